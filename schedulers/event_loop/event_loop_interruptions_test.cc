// An EventLoop whose system calls are interrupted, and one that a child of a fork has. The numbers
// in the tests' names are those of the list "What any event loop must get right".
#include <errno.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "plait/io/ops/operations.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_reactors.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/reactor_factory.h"
#include "plait/schedulers/event_loop/event_loop.h"
#include "plait/schedulers/event_loop/event_loop_fixture.h"

namespace plait {
namespace {

using internal::Atomic;
using internal::kRelaxed;

class EventLoopForkTest : public testing::TestWithParam<ReactorFactory> {};

INSTANTIATE_TEST_SUITE_P(AllReactors, EventLoopTest, testing::ValuesIn(AllReactors()),
                         ReactorFactory::Name);
INSTANTIATE_TEST_SUITE_P(AllReactors, EventLoopForkTest, testing::ValuesIn(AllReactors()),
                         ReactorFactory::Name);

// Interrupts every second call.
class Interrupter : public sys::SystemCalls {
 public:
  ssize_t Read(int fd, void* data, size_t size) noexcept override {
    return Interrupted() ? -EINTR : SystemCalls::Read(fd, data, size);
  }
  ssize_t Write(int fd, const void* data, size_t size) noexcept override {
    return Interrupted() ? -EINTR : SystemCalls::Write(fd, data, size);
  }
  int EpollWait(int epoll, epoll_event* events, int count,
                const timespec* timeout) noexcept override {
    return Interrupted() ? -EINTR : SystemCalls::EpollWait(epoll, events, count, timeout);
  }
  int IoUringEnter(int ring, unsigned submit, unsigned wait_for, unsigned flags,
                   const void* argument, size_t argument_size) noexcept override {
    return Interrupted()
               ? -EINTR
               : SystemCalls::IoUringEnter(ring, submit, wait_for, flags, argument, argument_size);
  }
  int interruptions() const { return calls_.load(kRelaxed) / 2; }

 private:
  bool Interrupted() { return calls_.fetch_add(1, kRelaxed) % 2 == 0; }
  Atomic<int> calls_{0};
};

Task<absl::Status> WriteMany(int fd, int count) {
  for (int i = 0; i < count; ++i) {
    const char byte = static_cast<char>(i);
    co_await OrReturn(io::Write(fd, absl::MakeConstSpan(&byte, 1)));
    if (i % 7 == 0) co_await OrReturn(Sleep(absl::Microseconds(50)));
  }
  co_return absl::OkStatus();
}

Task<absl::StatusOr<std::string>> ReadMany(int fd, int count) {
  std::string all;
  const GuardedBuffer byte(1);
  while (static_cast<int>(all.size()) < count) {
    const size_t size = co_await OrReturn(io::Read(fd, byte.span()));
    all.append(byte.data(), size);
  }
  co_return all;
}

TEST_P(EventLoopTest, Line14AnInterruptedSystemCallLosesNothing) {
  Interrupter interrupter;
  const sys::ScopedSystemCalls scoped(interrupter);
  Pipe pipe;
  constexpr int kBytes = 120;
  JoinHandle<absl::Status> writer =
      Spawn(WriteMany(pipe.writing(), kBytes), {.executor = &real_loop_});
  JoinHandle<absl::StatusOr<std::string>> reader =
      Spawn(ReadMany(pipe.reading(), kBytes), {.executor = &real_loop_});
  EXPECT_TRUE(real_loop_.Run().ok());
  EXPECT_TRUE(writer.result().ok()) << writer.result();
  const absl::StatusOr<std::string> bytes = reader.result();
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  std::string expected;
  for (int i = 0; i < kBytes; ++i) expected.push_back(static_cast<char>(i));
  EXPECT_EQ(*bytes, expected);
  EXPECT_GT(interrupter.interruptions(), 0);
}

// What the child finds, as its exit status: 0 when all is well, else the number of the first thing
// that is not.
int UseLoopInChild(EventLoop* loop, const ReactorFactory& factory) {
  if (!absl::IsFailedPrecondition(loop->Run())) return 1;
  if (!absl::IsFailedPrecondition(loop->RunForever())) return 2;
  if (!absl::IsFailedPrecondition(loop->RunOnce())) return 3;
  if (!absl::IsFailedPrecondition(loop->RunReady())) return 4;
  if (!absl::IsFailedPrecondition(loop->CancelTasks())) return 5;
  if (!absl::IsFailedPrecondition(loop->Close())) return 6;
  loop->~EventLoop();
  EventLoop own(factory.make(nullptr));
  if (BlockOn(own, YieldThenGive(7)) != 7) return 7;
  return 0;
}

TEST_P(EventLoopForkTest, Line15AForkedChildsCallsAreRefusedAndTheParentsLoopGoesOn) {
  Pipe pipe;
  // In memory that the child may end, as its own copy is not the parent's.
  alignas(EventLoop) unsigned char memory[sizeof(EventLoop)];
  auto* const loop = new (memory) EventLoop(GetParam().make(nullptr));
  JoinHandle<absl::StatusOr<size_t>> reader = Spawn(ReadOne(pipe.reading()), {.executor = loop});
  ASSERT_TRUE(loop->RunReady().ok());  // the operation is in flight
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) ::_exit(UseLoopInChild(loop, GetParam()));
  int wait_status = 0;
  ASSERT_EQ(::waitpid(child, &wait_status, 0), child);
  EXPECT_TRUE(WIFEXITED(wait_status));
  EXPECT_EQ(WEXITSTATUS(wait_status), 0);
  pipe.Write();
  EXPECT_TRUE(loop->Run().ok());
  EXPECT_TRUE(reader.result().ok()) << reader.result().status();
  loop->~EventLoop();
}

TEST_P(EventLoopForkTest, Line15AChildForkedInsideACallbackCannotRunTheLoop) {
  EventLoop loop(GetParam().make(nullptr));
  int wait_status = -1;
  loop.Post([&] {
    const pid_t child = ::fork();
    if (child == 0) {
      const absl::Status status = loop.Run();
      ::_exit(absl::StrContains(status.message(), "parent process") ? 0 : 1);
    }
    ASSERT_EQ(::waitpid(child, &wait_status, 0), child);
  });
  EXPECT_TRUE(loop.Run().ok());
  EXPECT_TRUE(WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0) << wait_status;
}

}  // namespace
}  // namespace plait
