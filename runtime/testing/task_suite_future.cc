// Future and Promise, and OrReturn.
#include <coroutine>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/task/future.h"
#include "plait/runtime/task/join_handle.h"
#include "plait/runtime/task/or_return.h"
#include "plait/runtime/task/spawn.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/task/task_context.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/task_programs.h"
#include "plait/runtime/testing/task_suite.h"
#include "plait/runtime/time/sleep.h"

namespace plait {
namespace {

using namespace testing_programs;  // NOLINT: they are this file's own words

// --- Future and Promise ---

TEST_P(TaskSuite, AFutureGivesAValueThatWasSetBefore) {
  Await([]() -> Task<void> {
    Promise<int> promise;
    Future<int> future = promise.future();
    EXPECT_TRUE(future.valid());
    EXPECT_FALSE(future.ready());
    EXPECT_TRUE(promise.Set(7));
    EXPECT_TRUE(future.ready());
    const absl::StatusOr<int> value = co_await future;
    EXPECT_TRUE(value.ok() && *value == 7) << value.status();
  });
}

TEST_P(TaskSuite, AFutureGivesAValueThatIsSetLater) {
  Await([]() -> Task<void> {
    auto take = [](Future<std::string> future) -> Task<absl::StatusOr<std::string>> {
      co_return co_await future;
    };
    Promise<std::string> promise;
    JoinHandle<absl::StatusOr<std::string>> taker = Spawn(take(promise.future()));
    co_await Turns(3);
    EXPECT_FALSE(taker.done());
    EXPECT_TRUE(promise.Set("text"));
    const absl::StatusOr<std::string> value = co_await taker;
    EXPECT_TRUE(value.ok() && *value == "text") << value.status();
  });
}

TEST_P(TaskSuite, AFutureGivesAnError) {
  Await([]() -> Task<void> {
    Promise<int> promise;
    Future<int> future = promise.future();
    EXPECT_TRUE(promise.SetError(absl::NotFoundError("no")));
    const absl::StatusOr<int> value = co_await future;
    EXPECT_EQ(value.status(), absl::NotFoundError("no"));
  });
}

TEST_P(TaskSuite, AFutureOfVoidGivesAStatus) {
  Await([]() -> Task<void> {
    Promise<void> promise;
    Future<void> future = promise.future();
    EXPECT_TRUE(promise.Set());
    const absl::Status status = co_await future;
    EXPECT_TRUE(status.ok()) << status;
  });
}

TEST_P(TaskSuite, AFutureOfAStatusOrIsNotWrappedTwice) {
  Await([]() -> Task<void> {
    Promise<absl::StatusOr<int>> promise;
    Future<absl::StatusOr<int>> future = promise.future();
    EXPECT_TRUE(promise.Set(absl::StatusOr<int>(3)));
    const absl::StatusOr<int> value = co_await future;
    EXPECT_TRUE(value.ok() && *value == 3);
    Promise<absl::Status> failing;
    Future<absl::Status> failed = failing.future();
    EXPECT_TRUE(failing.Set(absl::InternalError("oh")));
    const absl::Status status = co_await failed;
    EXPECT_EQ(status, absl::InternalError("oh"));
  });
}

TEST_P(TaskSuite, AFutureGivesAMoveOnlyValue) {
  Await([]() -> Task<void> {
    Promise<std::unique_ptr<int>> promise;
    Future<std::unique_ptr<int>> future = promise.future();
    EXPECT_TRUE(promise.Set(std::make_unique<int>(3)));
    const absl::StatusOr<std::unique_ptr<int>> value = co_await future;
    EXPECT_TRUE(value.ok());
    EXPECT_EQ(**value, 3);
  });
}

TEST_P(TaskSuite, TheFirstSettingOfAPromiseStands) {
  Await([]() -> Task<void> {
    Promise<int> promise;
    Future<int> future = promise.future();
    EXPECT_TRUE(promise.Set(1));
    EXPECT_FALSE(promise.Set(2));
    EXPECT_FALSE(promise.SetError(absl::InternalError("late")));
    const absl::StatusOr<int> value = co_await future;
    EXPECT_TRUE(value.ok() && *value == 1);
    EXPECT_FALSE(promise.Set(3));  // also when it was taken
  });
}

TEST_P(TaskSuite, AValueIsTakenOnce) {
  Await([]() -> Task<void> {
    Promise<int> promise;
    Future<int> future = promise.future();
    promise.Set(1);
    const absl::StatusOr<int> first = co_await future;
    EXPECT_TRUE(first.ok());
    const absl::StatusOr<int> second = co_await future;
    EXPECT_TRUE(absl::IsFailedPrecondition(second.status())) << second.status();
  });
}

TEST_P(TaskSuite, APromiseThatDiesUnsetBreaksItsFuture) {
  Await([]() -> Task<void> {
    auto take = [](Future<int> future) -> Task<absl::StatusOr<int>> { co_return co_await future; };
    auto promise = std::make_unique<Promise<int>>();
    Future<int> early = promise->future();
    JoinHandle<absl::StatusOr<int>> waiting = Spawn(take(early));
    co_await Turns(3);
    promise = nullptr;
    const absl::StatusOr<int> value = co_await waiting;
    EXPECT_TRUE(absl::IsAborted(value.status())) << value.status();

    Future<int> late;
    {
      Promise<int> other;
      late = other.future();
    }
    const absl::StatusOr<int> broken = co_await late;
    EXPECT_TRUE(absl::IsAborted(broken.status())) << broken.status();
  });
}

TEST_P(TaskSuite, AssigningToAPromiseBreaksItsOldFuture) {
  Await([]() -> Task<void> {
    Promise<int> promise;
    Future<int> old = promise.future();
    promise = Promise<int>();
    const absl::StatusOr<int> broken = co_await old;
    EXPECT_TRUE(absl::IsAborted(broken.status())) << broken.status();
    Future<int> fresh = promise.future();
    promise.Set(1);
    const absl::StatusOr<int> value = co_await fresh;
    EXPECT_TRUE(value.ok());
  });
}

TEST_P(TaskSuite, AValueOutlivesItsPromise) {
  Await([]() -> Task<void> {
    Future<int> future;
    EXPECT_FALSE(future.valid());
    EXPECT_FALSE(future.ready());
    {
      Promise<int> promise;
      future = promise.future();
      promise.Set(4);
    }
    const absl::StatusOr<int> value = co_await future;
    EXPECT_TRUE(value.ok() && *value == 4) << value.status();
  });
}

TEST_P(TaskSuite, ACancelledAwaitOfAFutureLeavesTheValueForTheNext) {
  Await([]() -> Task<void> {
    auto take = [](Future<int> future) -> Task<absl::StatusOr<int>> { co_return co_await future; };
    Promise<int> promise;
    Future<int> future = promise.future();
    JoinHandle<absl::StatusOr<int>> first = Spawn(take(future));
    co_await Turns(3);
    first.Cancel();
    const absl::StatusOr<int> cancelled = co_await first;
    EXPECT_TRUE(absl::IsCancelled(cancelled.status())) << cancelled.status();
    promise.Set(8);
    const absl::StatusOr<int> value = co_await future;
    EXPECT_TRUE(value.ok() && *value == 8) << value.status();
  });
}

// Its value comes right after the look that found none.
class SetAfterTheLook {
 public:
  SetAfterTheLook(Promise<int>* promise, const Future<int>& future)
      : promise_(promise), awaiter_(future.operator co_await()) {}
  bool await_ready() {
    const bool ready = awaiter_.await_ready();
    EXPECT_FALSE(ready);
    promise_->Set(7);
    return ready;
  }
  template <internal::PlaitPromise P>
  bool await_suspend(std::coroutine_handle<P> waiter) {
    return awaiter_.await_suspend(waiter);
  }
  absl::StatusOr<int> await_resume() { return awaiter_.await_resume(); }

 private:
  Promise<int>* const promise_;
  internal::FutureAwaiter<int> awaiter_;
};

// Trap: a cancel that races completion.
TEST_P(TaskSuite, AValueThatIsThereIsGivenAlsoInATaskThatWasCancelled) {
  Await([]() -> Task<void> {
    auto take = [](bool after_the_look) -> Task<absl::StatusOr<int>> {
      CurrentTask().Cancel();
      Promise<int> promise;
      Future<int> future = promise.future();
      if (after_the_look) co_return co_await SetAfterTheLook(&promise, future);
      promise.Set(7);
      co_return co_await future;
    };
    for (const bool after_the_look : {false, true}) {
      const absl::StatusOr<int> value = co_await Spawn(take(after_the_look));
      EXPECT_TRUE(value.ok() && *value == 7) << value.status();
    }
  });
}

TEST_P(TaskSuite, AFutureIsSetFromAnyThread) {
  for (int i = 0; i < Repeats(300); ++i) {
    Promise<int> promise;
    Future<int> future = promise.future();
    Thread setter = StartThread("setter", [promise = std::move(promise), i]() mutable {
      promise.Set(i);
      // Its end on this thread, set, must not break the future.
      Promise<int> gone = std::move(promise);
    });
    const absl::StatusOr<int> value =
        Await([&]() -> Task<absl::StatusOr<int>> { co_return co_await future; });
    ASSERT_TRUE(value.ok()) << value.status();
    EXPECT_EQ(*value, i);
    setter.join();
  }
}

Task<void> AwaitEmptyFuture() {
  Future<int> empty;
  static_cast<void>(co_await empty);
}

TEST_P(TaskSuite, MisuseOfPromisesAndFuturesIsAProgrammingError) {
  Promise<int> promise;
  Future<int> future = promise.future();
  EXPECT_DEATH(promise.future(), "Promise::future was called twice");
  EXPECT_DEATH(promise.SetError(absl::OkStatus()), "Promise::SetError needs an error");
  Promise<int> moved = std::move(promise);
  EXPECT_DEATH(promise.Set(1), "a Promise was used that was moved from");  // NOLINT
  EXPECT_DEATH(promise.SetError(absl::InternalError("")), "a Promise was used that was moved from");
  EXPECT_DEATH(
      {
        std::unique_ptr<Executor> mortal = MakeExecutor();
        BlockOn(*mortal, AwaitEmptyFuture());
      },
      "awaiting a Future that is empty or was moved from");
}

// --- OrReturn ---

Task<absl::StatusOr<int>> AddOne(absl::StatusOr<int> value) {
  co_return 1 + co_await OrReturn(value);
}

Task<absl::Status> Pass(absl::Status status, bool* went_on) {
  co_await OrReturn(status);
  *went_on = true;
  co_return absl::OkStatus();
}

TEST_P(TaskSuite, OrReturnUnwrapsAPlainStatusOr) {
  const absl::StatusOr<int> good = Await([]() { return AddOne(2); });
  EXPECT_TRUE(good.ok() && *good == 3);
  const absl::StatusOr<int> bad = Await([]() { return AddOne(absl::NotFoundError("no")); });
  EXPECT_EQ(bad.status(), absl::NotFoundError("no"));
}

TEST_P(TaskSuite, OrReturnPassesAnOkStatusAndEndsOnAnError) {
  bool went_on = false;
  EXPECT_TRUE(BlockOn(executor(), Pass(absl::OkStatus(), &went_on)).ok());
  EXPECT_TRUE(went_on);
  went_on = false;
  EXPECT_EQ(BlockOn(executor(), Pass(absl::InternalError("oh"), &went_on)),
            absl::InternalError("oh"));
  EXPECT_FALSE(went_on);
}

Task<absl::StatusOr<std::string>> Chain(bool fail, bool suspend) {
  if (suspend) co_await Yield();
  const int a = co_await OrReturn(GiveOr(1));
  co_await OrReturn(Ok());
  // Not in one expression: g++ 12 destroys both branches' temporaries in one with a co_await.
  Task<absl::StatusOr<int>> middle = fail ? FailOr("in the middle") : TurnsThenGive(2, 2);
  const int b = co_await OrReturn(std::move(middle));
  co_return std::to_string(a + b);
}

TEST_P(TaskSuite, OrReturnUnwrapsTasksWhetherTheySuspendOrNot) {
  for (const bool suspend : {false, true}) {
    const absl::StatusOr<std::string> good = BlockOn(executor(), Chain(false, suspend));
    EXPECT_TRUE(good.ok() && *good == "3") << good.status();
    const absl::StatusOr<std::string> bad = BlockOn(executor(), Chain(true, suspend));
    EXPECT_EQ(bad.status(), absl::InternalError("in the middle"));
  }
}

Task<absl::StatusOr<int>> OrReturnHandles(JoinHandle<absl::StatusOr<int>>* handle) {
  const int first = co_await OrReturn(*handle);
  const int second = co_await OrReturn(*handle);  // an lvalue may be awaited again
  const int last = co_await OrReturn(std::move(*handle));
  co_return first + second + last;
}

TEST_P(TaskSuite, OrReturnUnwrapsHandlesAndFutures) {
  Await([]() -> Task<void> {
    JoinHandle<absl::StatusOr<int>> good = Spawn(TurnsThenGive(2, 5));
    const absl::StatusOr<int> sum = co_await OrReturnHandles(&good);
    EXPECT_TRUE(sum.ok() && *sum == 15) << sum.status();
    JoinHandle<absl::StatusOr<int>> bad = Spawn(FailOr("oh"));
    const absl::StatusOr<int> failed = co_await OrReturnHandles(&bad);
    EXPECT_EQ(failed.status(), absl::InternalError("oh"));

    auto from_future = [](Future<int> future) -> Task<absl::StatusOr<int>> {
      co_return 1 + co_await OrReturn(future);
    };
    Promise<int> promise;
    JoinHandle<absl::StatusOr<int>> waiting = Spawn(from_future(promise.future()));
    co_await Turns(3);
    promise.Set(1);
    const absl::StatusOr<int> two = co_await waiting;
    EXPECT_TRUE(two.ok() && *two == 2);
    Future<int> broken;
    {
      Promise<int> dropped;
      broken = dropped.future();
    }
    const absl::StatusOr<int> aborted = co_await from_future(broken);
    EXPECT_TRUE(absl::IsAborted(aborted.status())) << aborted.status();
  });
}

Task<absl::StatusOr<std::unique_ptr<int>>> GiveMoveOnlyOr(int n) {
  co_await Yield();
  co_return std::make_unique<int>(n);
}

Task<absl::StatusOr<int>> UnwrapMoveOnly() {
  const std::unique_ptr<int> value = co_await OrReturn(GiveMoveOnlyOr(3));
  const std::unique_ptr<int> plain =
      co_await OrReturn(absl::StatusOr<std::unique_ptr<int>>(std::make_unique<int>(4)));
  co_return *value + *plain;
}

TEST_P(TaskSuite, OrReturnMovesAMoveOnlyValueOut) {
  const absl::StatusOr<int> sum = BlockOn(executor(), UnwrapMoveOnly());
  EXPECT_TRUE(sum.ok() && *sum == 7) << sum.status();
}

Task<absl::Status> LeaveThroughOrReturn(std::vector<std::string>* log, bool suspend) {
  Leaving first(*log, "first local");
  Leaving second(*log, "second local");
  co_await OrReturn(TurnsThenFail(suspend ? 2 : 0, "oh"));
  log->push_back("not reached");
  co_return absl::OkStatus();
}

TEST_P(TaskSuite, OrReturnDestroysTheLocalsBeforeTheAwaiterGoesOn) {
  for (const bool suspend : {false, true}) {
    std::vector<std::string> log;
    Await([&]() -> Task<void> {
      const absl::Status status = co_await LeaveThroughOrReturn(&log, suspend);
      log.push_back(std::string(status.message()));
    });
    EXPECT_EQ(log, (std::vector<std::string>{"second local", "first local", "oh"}));
  }
}

Task<absl::Status> LeaveThroughPlainOrReturn(std::vector<std::string>* log) {
  Leaving local(*log, "local");
  co_await OrReturn(absl::InternalError("oh"));
  co_return absl::OkStatus();
}

TEST_P(TaskSuite, OrReturnOfAPlainErrorDestroysTheLocalsToo) {
  std::vector<std::string> log;
  Await([&]() -> Task<void> {
    const absl::Status status = co_await LeaveThroughPlainOrReturn(&log);
    log.push_back(std::string(status.message()));
  });
  EXPECT_EQ(log, (std::vector<std::string>{"local", "oh"}));
}

TEST_P(TaskSuite, OrReturnEndsASpawnedTask) {
  Await([]() -> Task<void> {
    bool went_on = false;
    JoinHandle<absl::Status> handle = Spawn(Pass(absl::InternalError("oh"), &went_on));
    const absl::Status status = co_await handle;
    EXPECT_EQ(status, absl::InternalError("oh"));
    EXPECT_FALSE(went_on);
  });
}

Task<absl::Status> NestedOrReturn(int depth) {
  if (depth == 0) co_return absl::InternalError("from below");
  co_await OrReturn(NestedOrReturn(depth - 1));
  co_return absl::OkStatus();
}

TEST_P(TaskSuite, AnErrorPassesManyOrReturns) {
  EXPECT_EQ(BlockOn(executor(), NestedOrReturn(100)), absl::InternalError("from below"));
}

TEST_P(TaskSuite, OrReturnOfACancelledWaitEndsTheTaskCancelled) {
  Await([]() -> Task<void> {
    auto wait = [](bool* went_on) -> Task<absl::StatusOr<int>> {
      co_await OrReturn(Forever());
      *went_on = true;
      co_return 1;
    };
    bool went_on = false;
    JoinHandle<absl::StatusOr<int>> handle = Spawn(wait(&went_on));
    co_await Turns(3);
    handle.Cancel();
    const absl::StatusOr<int> value = co_await handle;
    EXPECT_TRUE(absl::IsCancelled(value.status())) << value.status();
    EXPECT_TRUE(handle.cancelled());
    EXPECT_FALSE(went_on);
  });
}

#if defined(__cpp_exceptions)
// Cannot begin to wait.
struct ThrowsInsteadOfWaiting {
  bool await_ready() const noexcept { return false; }
  template <internal::PlaitPromise P>
  bool await_suspend(std::coroutine_handle<P>) const {
    throw std::runtime_error("not now");
  }
  absl::Status await_resume() const noexcept { return absl::OkStatus(); }
};

TEST_P(TaskSuite, ACoroutineGoesOnAfterAnOrReturnWhoseWaitThrewBeforeItBegan) {
  auto tries = []() -> Task<absl::Status> {
    bool caught = false;
    try {
      co_await OrReturn(ThrowsInsteadOfWaiting());
    } catch (const std::runtime_error& error) {
      caught = error.what() == std::string("not now");
    }
    EXPECT_TRUE(caught);
    co_await Yield();
    co_await OrReturn(TurnsThenFail(2, "later"));
    co_return absl::OkStatus();
  };
  EXPECT_EQ(BlockOn(executor(), tries()), absl::InternalError("later"));
}

TEST_P(TaskSuite, AnExceptionPassesThroughOrReturn) {
  Await([]() -> Task<void> {
    auto pass = []() -> Task<absl::Status> {
      co_await OrReturn(ThrowInStatus("oh"));
      co_return absl::OkStatus();
    };
    bool caught = false;
    try {
      const absl::Status status = co_await pass();
      EXPECT_TRUE(false) << status;
    } catch (const std::runtime_error& error) {
      caught = error.what() == std::string("oh");
    }
    EXPECT_TRUE(caught);
  });
}
#endif

// An awaiter that knows nothing of Plait: it takes any handle, and somebody resumes that later.
class ForeignOperation {
 public:
  explicit ForeignOperation(std::vector<std::coroutine_handle<>>* waiting,
                            absl::StatusOr<int> result)
      : waiting_(waiting), result_(std::move(result)) {}
  bool await_ready() const { return waiting_ == nullptr; }
  void await_suspend(std::coroutine_handle<> handle) { waiting_->push_back(handle); }
  absl::StatusOr<int> await_resume() { return result_; }

 private:
  std::vector<std::coroutine_handle<>>* waiting_;  // null: ready at once
  absl::StatusOr<int> result_;
};

Task<absl::StatusOr<int>> UnwrapForeign(std::vector<std::coroutine_handle<>>* waiting,
                                        absl::StatusOr<int> result) {
  co_return 1 + co_await OrReturn(ForeignOperation(waiting, std::move(result)));
}

TEST_P(TaskSuite, AForeignAwaiterMayResumeATaskThatUnwrapsIt) {
  if (!ordered())
    return;  // resumed below on the thread that runs it, as a foreign library would have to
  Await([]() -> Task<void> {
    for (const bool fails : {false, true}) {
      std::vector<std::coroutine_handle<>> waiting;
      const absl::StatusOr<int> result =
          fails ? absl::StatusOr<int>(absl::InternalError("oh")) : absl::StatusOr<int>(4);
      JoinHandle<absl::StatusOr<int>> handle = Spawn(UnwrapForeign(&waiting, result));
      co_await Yield();
      co_await Yield();
      EXPECT_EQ(waiting.size(), 1u);
      waiting[0].resume();
      EXPECT_FALSE(handle.done());  // it was scheduled, not run inside of resume
      const absl::StatusOr<int> value = co_await handle;
      EXPECT_EQ(value.ok(), !fails);
      EXPECT_TRUE(fails || *value == 5);
    }
  });
}

// Resumes whoever awaits it on a thread of its own.
struct OnAnotherThread {
  Thread* thread;
  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<> handle) {
    // Once it is resumed this is gone, and the task joins the thread, which must be there by then.
    auto assigned = std::make_shared<absl::Notification>();
    *thread = StartThread("foreign", [handle, assigned] {
      assigned->WaitForNotification();
      handle.resume();
    });
    assigned->Notify();
  }
  void await_resume() const {}
};

TEST_P(TaskSuite, AForeignAwaiterCannotMoveATaskToItsOwnThread) {
  if (GetParam().inlined) return;
  Await([]() -> Task<void> {
    Thread thread;
    const TaskContext* const before = TaskContext::Current();
    co_await OnAnotherThread{&thread};
    EXPECT_EQ(TaskContext::Current(), before);
    EXPECT_NE(std::this_thread::get_id(), thread.get_id());
    thread.join();
  });
}

TEST_P(TaskSuite, OrReturnUnwrapsForeignAwaiters) {
  Await([]() -> Task<void> {
    const absl::StatusOr<int> ready = co_await UnwrapForeign(nullptr, 1);
    EXPECT_TRUE(ready.ok() && *ready == 2) << ready.status();
    const absl::StatusOr<int> failed = co_await UnwrapForeign(nullptr, absl::InternalError("oh"));
    EXPECT_EQ(failed.status(), absl::InternalError("oh"));
  });
}

}  // namespace
}  // namespace plait
