// Traps: a wake-up that is lost between a look and a park (of a descriptor whose number a stale
// registration has), a buffer that is freed while the kernel owns it (of an operation that the drop
// ends), a cancel that races completion (of the loop that ends while it closes).
#include "plait/io/ops/owned_descriptor.h"

#include <fcntl.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "plait/io/ops/operations.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_reactors.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/runtime/testing/thread_executor.h"
#include "plait/schedulers/event_loop/event_loop.h"

namespace plait::io {
namespace {

bool IsOpen(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

Task<absl::StatusOr<std::string>> ReadSome(int fd) {
  GuardedBuffer buffer(16);
  const absl::StatusOr<size_t> count = co_await Read(fd, buffer.span());
  if (!count.ok()) co_return count.status();
  co_return std::string(buffer.text(*count));
}

class OwnedDescriptorTest : public testing::TestWithParam<ReactorFactory> {
 protected:
  template <class Body>
  auto RunTask(Body body) {
    return BlockOn(loop_, body());
  }
  EventLoop& loop() { return loop_; }

 private:
  EventLoop loop_{GetParam().make(nullptr)};
};

TEST_P(OwnedDescriptorTest, IsClosedWhenItGoesAndItsNumberWorksForTheNext) {
  for (int round = 0; round < 3; ++round) {
    FdPair pipe = MakePipe();
    const int number = pipe.first.get();
    const auto body = [&]() -> Task<void> {
      OwnedDescriptor reader(pipe.first.Release());
      EXPECT_TRUE(reader.valid());
      WriteAll(pipe.second.get(), "x");
      absl::StatusOr<std::string> read = co_await ReadSome(reader.get());
      EXPECT_TRUE(read.ok() && *read == "x") << read.status();
      reader.Reset();
      EXPECT_FALSE(reader.valid());
      while (IsOpen(number)) co_await Yield();
    };
    RunTask(body);
    // The next round's pipe has the number again, and parks on it before there is anything to read.
    FdPair again = MakePipe();
    ASSERT_EQ(again.first.get(), number);
    const auto waits = [&]() -> Task<void> {
      OwnedDescriptor reader(again.first.Release());
      JoinHandle<absl::StatusOr<std::string>> reading = Spawn(ReadSome(reader.get()));
      co_await Yield();
      WriteAll(again.second.get(), "y");
      absl::StatusOr<std::string> read = co_await reading;
      EXPECT_TRUE(read.ok() && *read == "y") << read.status();
      const absl::Status closed = co_await reader.Close();
      EXPECT_TRUE(closed.ok()) << closed;
      const absl::Status again_closed = co_await reader.Close();
      EXPECT_TRUE(absl::IsFailedPrecondition(again_closed)) << again_closed;
    };
    RunTask(waits);
    EXPECT_FALSE(IsOpen(number));
  }
}

TEST_P(OwnedDescriptorTest, WhatIsPendingOnItIsCancelledWhenItGoes) {
  FdPair pipe = MakePipe();
  const auto body = [&]() -> Task<absl::StatusOr<std::string>> {
    OwnedDescriptor reader(pipe.first.Release());
    JoinHandle<absl::StatusOr<std::string>> reading = Spawn(ReadSome(reader.get()));
    co_await Yield();
    reader = OwnedDescriptor();
    co_return co_await reading;
  };
  const absl::StatusOr<std::string> read = RunTask(body);
  EXPECT_TRUE(absl::IsCancelled(read.status())) << read.status();
}

TEST_P(OwnedDescriptorTest, OneThatGoesWithACancelledTaskOfALoopThatEndsIsClosed) {
  FdPair pipe = MakePipe();
  const int number = pipe.first.get();
  const auto hold = [&]() -> Task<void> {
    OwnedDescriptor reader(pipe.first.Release());
    const absl::StatusOr<std::string> read = co_await ReadSome(reader.get());
    EXPECT_TRUE(absl::IsCancelled(read.status())) << read.status();
  };
  const auto body = [&]() -> Task<void> {
    Spawn(hold());
    co_await Yield();
  };
  RunTask(body);
  EXPECT_TRUE(IsOpen(number));
  const absl::Status closed = loop().Close();
  EXPECT_TRUE(closed.ok()) << closed;
  EXPECT_FALSE(IsOpen(number));
}

TEST_P(OwnedDescriptorTest, OneThatGoesInACallbackOfTheLoopIsClosed) {
  FdPair pipe = MakePipe();
  const int number = pipe.first.get();
  loop().Post([reader = std::make_unique<OwnedDescriptor>(pipe.first.Release())] {});
  const absl::Status ran = loop().Run();
  EXPECT_TRUE(ran.ok()) << ran;
  EXPECT_FALSE(IsOpen(number));
}

INSTANTIATE_TEST_SUITE_P(AllReactors, OwnedDescriptorTest, testing::ValuesIn(AllReactors()),
                         ReactorFactory::Name);

TEST(OwnedDescriptorOutsideTest, OutsideOfAllExecutorsItIsClosedAtOnce) {
  FdPair pipe = MakePipe();
  const int number = pipe.first.get();
  OwnedDescriptor reader(pipe.first.Release());
  OwnedDescriptor moved(std::move(reader));
  EXPECT_TRUE(IsOpen(number));
  moved.Reset();
  EXPECT_FALSE(IsOpen(number));
  // A close that is never awaited closes all the same.
  FdPair other = MakePipe();
  const int unawaited = other.first.get();
  OwnedDescriptor dropped(other.first.Release());
  {
    const Task<absl::Status> close = dropped.Close();
  }
  EXPECT_FALSE(IsOpen(unawaited));
  OwnedDescriptor given_away(pipe.second.get());
  EXPECT_EQ(given_away.Release(), pipe.second.get());
  given_away.Reset();
  EXPECT_TRUE(IsOpen(pipe.second.get()));
}

TEST(OwnedDescriptorOutsideTest, OnAnExecutorWithoutAReactorItIsClosedToo) {
  ThreadExecutor executor;
  FdPair pipe = MakePipe();
  const int number = pipe.first.get();
  const auto body = [&]() -> Task<absl::Status> {
    OwnedDescriptor reader(pipe.first.Release());
    co_return co_await reader.Close();
  };
  const absl::Status closed = BlockOn(executor, body());
  EXPECT_TRUE(closed.ok()) << closed;
  EXPECT_FALSE(IsOpen(number));
}

}  // namespace
}  // namespace plait::io
