#include "plait/runtime/task/blocking_get.h"

#include <memory>
#include <stdexcept>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "plait/io/auto_reactor/auto_reactor.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/schedulers/event_loop/event_loop.h"
#include "plait/schedulers/run.h"
#include "plait/schedulers/thread_pool/thread_pool.h"

namespace plait {
namespace {

Task<int> GiveLater(int n) {
  static_cast<void>(co_await Sleep(absl::Microseconds(50)));
  co_return n;
}

TEST(BlockingGetTest, ItGivesTheResultOfATaskThatAPoolRuns) {
  ThreadPool pool({.threads = 2});
  for (int i = 0; i < Repeats(200); ++i) {
    JoinHandle<int> handle = Spawn(GiveLater(i), {.executor = &pool});
    EXPECT_EQ(BlockingGet(handle), i);
    EXPECT_EQ(BlockingGet(handle), i);  // it is copied
  }
  JoinHandle<std::unique_ptr<int>> moved =
      Spawn([]() -> Task<std::unique_ptr<int>> { co_return std::make_unique<int>(3); }(),
            {.executor = &pool});
  EXPECT_EQ(*BlockingGet(moved), 3);
  JoinHandle<void> nothing = Spawn([]() -> Task<void> { co_return; }(), {.executor = &pool});
  BlockingGet(nothing);
  JoinHandle<absl::Status> failed = Spawn(
      []() -> Task<absl::Status> { co_return absl::NotFoundError("no"); }(), {.executor = &pool});
  EXPECT_EQ(BlockingGet(failed), absl::NotFoundError("no"));
}

TEST(BlockingGetTest, ItGivesTheResultOfATaskThatALoopOnAnotherThreadRuns) {
  EventLoop loop(MakeReactor());
  int got = 0;
  JoinHandle<int> handle = Spawn(GiveLater(4), {.executor = &loop});
  Thread other = StartThread("other", [&] { got = BlockingGet(handle); });
  EXPECT_TRUE(loop.Run().ok());
  other.join();
  EXPECT_EQ(got, 4);
}

TEST(BlockingGetTest, AHandlesOwnGetDoesTheSame) {
  ThreadPool pool({.threads = 2});
  for (int i = 0; i < Repeats(200); ++i) {
    JoinHandle<int> handle = Spawn(GiveLater(i), {.executor = &pool});
    EXPECT_EQ(handle.Get(), i);
    EXPECT_EQ(handle.Get(), i);
    EXPECT_TRUE(handle.done());
  }
}

// Trap: a wake-up lost between check and park.
TEST(BlockingGetTest, AFuturesGetTakesTheValueWheneverItIsSet) {
  for (int i = 0; i < Repeats(500); ++i) {
    Promise<std::unique_ptr<int>> promise;
    Future<std::unique_ptr<int>> future = promise.future();
    int calls = 0;
    future.OnDone([&] { ++calls; });
    Thread setter = StartThread("setter", [&] { promise.Set(std::make_unique<int>(i)); });
    const absl::StatusOr<std::unique_ptr<int>> value = future.Get();
    setter.join();
    EXPECT_TRUE(value.ok() && **value == i);
    EXPECT_EQ(calls, 1);
    EXPECT_TRUE(absl::IsFailedPrecondition(future.Get().status()));  // it was taken
  }
}

TEST(BlockingGetTest, ItWaitsForAFuture) {
  for (int i = 0; i < Repeats(200); ++i) {
    Promise<int> promise;
    Future<int> future = promise.future();
    Thread setter = StartThread("setter", [&] { promise.Set(i); });
    const absl::StatusOr<int> value = BlockingGet(future);
    EXPECT_TRUE(value.ok() && *value == i);
    setter.join();
  }
  Future<int> broken;
  {
    Promise<int> promise;
    broken = promise.future();
  }
  EXPECT_TRUE(absl::IsAborted(BlockingGet(broken).status()));
}

#if defined(__cpp_exceptions)
TEST(BlockingGetTest, AnExceptionComesOutOfIt) {
  ThreadPool pool({.threads = 1});
  auto failing = []() -> Task<int> {
    co_await Yield();
    throw std::runtime_error("oh");
  };
  JoinHandle<int> handle = Spawn(failing(), {.executor = &pool});
  EXPECT_THROW(BlockingGet(handle), std::runtime_error);
}
#endif

TEST(BlockingGetTest, AnOffloadedFunctionMayCallIt) {
  ThreadPool pool({.threads = 1});
  const int value = BlockOn(pool, [](ThreadPool* own) -> Task<int> {
    co_return co_await Offload([own] {
      JoinHandle<int> handle = Spawn(GiveLater(6), {.executor = own});
      return BlockingGet(handle);
    });
  }(&pool));
  EXPECT_EQ(value, 6);
}

TEST(BlockingGetDeathTest, InsideATaskOrOtherWorkOfAnExecutorItIsAProgrammingError) {
  EXPECT_DEATH(plait::Run([]() -> Task<void> {
                 JoinHandle<int> handle = Spawn(GiveLater(1));
                 BlockingGet(handle);
                 co_return;
               }()),
               "a blocking Get cannot be called inside a task");
  EXPECT_DEATH(
      {
        EventLoop loop(MakeReactor());
        Promise<int> promise;
        Future<int> future = promise.future();
        loop.Post([&] { static_cast<void>(BlockingGet(future)); });
        static_cast<void>(loop.Run());
      },
      "a blocking Get cannot be called inside a task or other work of an executor");
}

}  // namespace
}  // namespace plait
