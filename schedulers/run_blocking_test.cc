// Where blocking work runs under Run, and when its threads begin and end.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "plait/io/auto_reactor/auto_reactor.h"
#include "plait/io/ops/operations.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/thread_executor.h"
#include "plait/schedulers/event_loop/event_loop.h"
#include "plait/schedulers/run.h"

namespace plait {
namespace {

// Of this process, as the system counts them.
int Threads() {
  StartThread("first", [] {}).join();  // with the first one, a sanitizer starts one of its own
  static_cast<void>(MakeReactor());    // and with this one, the emulation of kqueue
  int count = 0;
  for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task")) {
    static_cast<void>(thread);
    ++count;
  }
  return count;
}

const void* ThisThread() { return &internal::thread_state; }

TEST(RunBlockingTest, NoThreadIsStartedBeforeOneIsNeededAndAllAreJoinedInTheEnd) {
  const int before = Threads();
  plait::Run([](int threads) -> Task<void> {
    co_await Yield();
    EXPECT_EQ(Threads(), threads);
    co_await Offload([] {});
    EXPECT_EQ(Threads(), threads + 1);
  }(before));
  EXPECT_EQ(Threads(), before);
}

TEST(RunBlockingTest, RunWaitsForAFunctionThatWasLeftBehind) {
  bool ran = false;
  plait::Run([](bool* flag) -> Task<void> {
    auto leave = [](bool* to_set) -> Task<void> { co_await Offload([to_set] { *to_set = true; }); };
    Spawn(leave(flag));
    co_await Yield();
  }(&ran));
  EXPECT_TRUE(ran);
}

TEST(RunBlockingTest, ALoopOfOnesOwnHasItsOwnPoolOrTheOneItWasGiven) {
  const int before = Threads();
  {
    EventLoop loop(MakeReactor());
    EXPECT_EQ(Threads(), before);
    BlockOn(loop, []() -> Task<void> { co_await Offload([] {}); }());
    EXPECT_EQ(Threads(), before + 1);
    EXPECT_EQ(&loop.blocking(), &loop.blocking());
    EXPECT_NE(&loop.blocking(), static_cast<Executor*>(&loop));
  }
  EXPECT_EQ(Threads(), before);
  ThreadExecutor given;
  EventLoop loop(MakeReactor(), {.blocking = &given});
  EXPECT_EQ(&loop.blocking(), &given);
  const void* const there =
      BlockOn(loop, []() -> Task<const void*> { co_return co_await Offload(&ThisThread); }());
  EXPECT_NE(there, ThisThread());
}

Task<absl::StatusOr<std::string>> ReadAll(int fd) {
  const GuardedBuffer buffer(64);
  const size_t size = co_await OrReturn(io::Read(fd, buffer.span()));
  co_return std::string(buffer.text(size));
}

TEST(RunBlockingTest, FilesAreReadOnEveryReactorWithoutAnyOtherOptions) {
  const int fd = ::memfd_create("file", 0);
  ASSERT_GE(fd, 0);
  ASSERT_EQ(::write(fd, "hello", 5), 5);
  for (const std::string& reactor : ReactorNames()) {
    ASSERT_EQ(::lseek(fd, 0, SEEK_SET), 0);
    const absl::StatusOr<std::string> text = plait::Run(ReadAll(fd), {.reactor = reactor});
    ASSERT_TRUE(text.ok()) << reactor << ": " << text.status();
    EXPECT_EQ(*text, "hello") << reactor;
  }
  ::close(fd);
}

}  // namespace
}  // namespace plait
