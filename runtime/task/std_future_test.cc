// Traps faced: (5) a cancel that races completion.
#include "plait/runtime/task/std_future.h"

#include <future>
#include <memory>
#include <stdexcept>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/schedulers/run.h"
#include "plait/schedulers/thread_pool/thread_pool.h"

namespace plait {
namespace {

Task<std::unique_ptr<int>> GiveMoveOnly(int n) {
  co_await Yield();
  co_return std::make_unique<int>(n);
}

TEST(AsFutureTest, AStdFutureGetsTheResultOfATask) {
  ThreadPool pool({.threads = 2});
  for (int i = 0; i < Repeats(200); ++i) {
    std::future<std::unique_ptr<int>> future = AsStdFuture(GiveMoveOnly(i), {.executor = &pool});
    EXPECT_EQ(*future.get(), i);
  }
  int target = 0;
  AsStdFuture(
      [](int* value) -> Task<void> {
        *value = 3;
        co_return;
      }(&target),
      {.executor = &pool})
      .get();
  EXPECT_EQ(target, 3);
  std::future<int&> reference =
      AsStdFuture([](int& of) -> Task<int&> { co_return of; }(target), {.executor = &pool});
  EXPECT_EQ(&reference.get(), &target);
}

TEST(AsFutureTest, AStdFutureGetsTheResultOfAHandleAlsoOfOneThatIsDone) {
  ThreadPool pool({.threads = 1});
  JoinHandle<std::unique_ptr<int>> handle = Spawn(GiveMoveOnly(4), {.executor = &pool});
  while (!handle.done()) internal::SpinWait(1000);
  EXPECT_EQ(*AsStdFuture(std::move(handle)).get(), 4);
}

TEST(AsFutureTest, ATaskGoesOnThoughItsStdFutureIsDropped) {
  bool ran = false;
  {
    ThreadPool pool({.threads = 1});
    Promise<void> gate;
    auto wait = [](Future<void> until, bool* flag) -> Task<void> {
      static_cast<void>(co_await Uncancellable(until));
      *flag = true;
    };
    {
      std::future<void> dropped = AsStdFuture(wait(gate.future(), &ran), {.executor = &pool});
    }
    gate.Set();
  }
  EXPECT_TRUE(ran);
}

#if defined(__cpp_exceptions)
TEST(AsFutureTest, AStdFutureGetsTheException) {
  ThreadPool pool({.threads = 1});
  auto failing = []() -> Task<int> {
    co_await Yield();
    throw std::runtime_error("oh");
  };
  std::future<int> future = AsStdFuture(failing(), {.executor = &pool});
  EXPECT_THROW(future.get(), std::runtime_error);
}

TEST(FromStdFutureTest, AnExceptionIsRethrownByTheAwait) {
  plait::Run([]() -> Task<void> {
    std::promise<int> promise;
    promise.set_exception(std::make_exception_ptr(std::runtime_error("oh")));
    bool caught = false;
    try {
      static_cast<void>(co_await FromStdFuture(promise.get_future()));
    } catch (const std::runtime_error&) {
      caught = true;
    }
    EXPECT_TRUE(caught);
  }());
}
#endif

TEST(FromStdFutureTest, ItGivesTheValueAndTheLoopRunsMeanwhile) {
  plait::Run([]() -> Task<void> {
    std::promise<int> promise;
    auto set_later = [](std::promise<int>* to_set) -> Task<void> {
      for (int i = 0; i < 10; ++i) co_await Yield();
      to_set->set_value(5);
    };
    JoinHandle<void> setter = Spawn(set_later(&promise));
    const absl::StatusOr<int> five = co_await FromStdFuture(promise.get_future());
    EXPECT_TRUE(five.ok() && *five == 5) << five.status();
    co_await setter;

    std::promise<void> nothing;
    nothing.set_value();
    const absl::Status status = co_await FromStdFuture(nothing.get_future());
    EXPECT_TRUE(status.ok()) << status;

    std::promise<absl::StatusOr<int>> carries;
    carries.set_value(absl::NotFoundError("no"));
    const absl::StatusOr<int> failed = co_await FromStdFuture(carries.get_future());
    EXPECT_EQ(failed.status(), absl::NotFoundError("no"));
  }());
}

TEST(FromStdFutureTest, AStdFutureWithoutAStateIsAnInvalidArgument) {
  const absl::StatusOr<int> value = plait::Run(FromStdFuture(std::future<int>()));
  EXPECT_TRUE(absl::IsInvalidArgument(value.status())) << value.status();
}

TEST(FromStdFutureTest, ACancelEndsTheAwaitThoughTheStdFutureIsNotReady) {
  std::promise<int> promise;
  plait::Run([](std::promise<int>* never) -> Task<void> {
    JoinHandle<absl::StatusOr<int>> handle = Spawn(FromStdFuture(never->get_future()));
    co_await Yield();
    co_await Yield();
    EXPECT_FALSE(handle.done());
    handle.Cancel();
    const absl::StatusOr<int> value = co_await handle;
    EXPECT_TRUE(absl::IsCancelled(value.status())) << value.status();
    never->set_value(1);  // else the end of Run would wait for it
  }(&promise));
}

TEST(FromStdFutureTest, ItCanBeBoundedByATimeout) {
  plait::Run([]() -> Task<void> {
    std::promise<int> promise;
    const absl::StatusOr<int> late =
        co_await Timeout(absl::Milliseconds(1), FromStdFuture(promise.get_future()));
    EXPECT_TRUE(absl::IsDeadlineExceeded(late.status())) << late.status();
    promise.set_value(1);
  }());
}

}  // namespace
}  // namespace plait
