// Traps faced: (1) a function that outlives its captures; (2) a reference parameter; (5) a cancel
// that races completion.
#include "plait/runtime/task/offload.h"

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/test_clock.h"
#include "plait/runtime/testing/thread_executor.h"
#include "plait/schedulers/blocking/blocking_pool.h"
#include "plait/schedulers/run.h"

namespace plait {
namespace {

using internal::Atomic;

const void* ThisThread() { return &internal::thread_state; }

Task<void> Turns(int times) {
  for (int i = 0; i < times; ++i) co_await Yield();
}

// --- results ---

Task<void> OffloadEveryKind() {
  const int number = co_await Offload([] { return 3; });
  EXPECT_EQ(number, 3);
  bool ran = false;
  co_await Offload([&] { ran = true; });
  EXPECT_TRUE(ran);
  const std::unique_ptr<int> moved = co_await Offload([] { return std::make_unique<int>(4); });
  EXPECT_EQ(*moved, 4);
  int target = 0;
  int& reference = co_await Offload([&]() -> int& { return target; });
  EXPECT_EQ(&reference, &target);
  const absl::Status status = co_await Offload([] { return absl::NotFoundError("no"); });
  EXPECT_EQ(status, absl::NotFoundError("no"));
  const absl::StatusOr<std::string> text =
      co_await Offload([]() -> absl::StatusOr<std::string> { return "text"; });
  EXPECT_TRUE(text.ok() && *text == "text");
  // Move-only functions, and function pointers.
  auto owned = std::make_unique<int>(5);
  auto give_owned = [owned = std::move(owned)] { return *owned; };
  const int five = co_await Offload(std::move(give_owned));
  EXPECT_EQ(five, 5);
  int (*pointer)() = [] { return 6; };
  const int six = co_await Offload(pointer);
  EXPECT_EQ(six, 6);
}

TEST(OffloadTest, ItGivesTheResultOfTheFunctionWhateverItsType) { plait::Run(OffloadEveryKind()); }

#if defined(__cpp_exceptions)
TEST(OffloadTest, AnExceptionTravelsToWhoeverAwaitsIt) {
  plait::Run([]() -> Task<void> {
    bool caught = false;
    try {
      static_cast<void>(co_await Offload([]() -> int { throw std::runtime_error("oh"); }));
    } catch (const std::runtime_error& error) {
      caught = error.what() == std::string("oh");
    }
    EXPECT_TRUE(caught);
  }());
}
#endif

TEST(OffloadTest, TheFunctionRunsElsewhereAndTheTaskGoesOnOnItsOwnExecutor) {
  plait::Run([]() -> Task<void> {
    const void* const before = ThisThread();
    const TaskContext* seen = TaskContext::Current();
    const void* const there = co_await Offload([&] {
      seen = TaskContext::Current();
      return ThisThread();
    });
    EXPECT_NE(there, before);
    EXPECT_EQ(seen, nullptr);  // it may block, and is no task
    EXPECT_EQ(ThisThread(), before);
  }());
}

TEST(OffloadTest, TheLoopRunsOtherTasksMeanwhile) {
  plait::Run([]() -> Task<void> {
    absl::Notification release;
    auto release_later = [](absl::Notification* notification) -> Task<void> {
      co_await Turns(10);
      notification->Notify();
    };
    Spawn(release_later(&release));
    co_await Offload([&] { release.WaitForNotification(); });  // or never
  }());
}

TEST(OffloadTest, ItComposes) {
  plait::Run([]() -> Task<void> {
    const auto [a, b] = co_await Gather(Offload([] { return 1; }), Offload([] { return 2; }));
    EXPECT_EQ(a + b, 3);
    auto unwrap = []() -> Task<absl::StatusOr<int>> {
      co_return 1 + co_await OrReturn(Offload([]() -> absl::StatusOr<int> { return 2; }));
    };
    const absl::StatusOr<int> three = co_await unwrap();
    EXPECT_TRUE(three.ok() && *three == 3);
    const absl::StatusOr<int> in_time = co_await Timeout(absl::Hours(1), Offload([] { return 4; }));
    EXPECT_TRUE(in_time.ok() && *in_time == 4);
  }());
}

// Trap: the callable that is gone when it runs. The Task keeps its own.
TEST(OffloadTest, TheFunctionIsKeptUntilItHasRun) {
  auto captured = std::make_shared<int>(7);
  plait::Run([](std::shared_ptr<int>* outside) -> Task<void> {
    Task<int> task = [&] {
      auto function = [inside = *outside] { return *inside; };
      return Offload(std::move(function));
    }();
    EXPECT_EQ(outside->use_count(), 2);
    const int seven = co_await std::move(task);
    EXPECT_EQ(seven, 7);
    EXPECT_EQ(outside->use_count(), 1);
  }(&captured));
}

// --- cancellation ---

// A blocking pool whose only thread is busy until Release.
class BusyPool {
 public:
  BusyPool() : pool_({.max_threads = 1}) {
    pool_.Post([this] {
      begun_.Notify();
      release_.WaitForNotification();
    });
    begun_.WaitForNotification();
  }
  BlockingPool& pool() { return pool_; }
  void Release() { release_.Notify(); }

 private:
  absl::Notification begun_;
  absl::Notification release_;
  BlockingPool pool_;
};

TEST(OffloadTest, AFunctionThatIsCancelledInTheQueueNeverRunsAndTheAwaitEndsAtOnce) {
  BusyPool busy;
  bool ran = false;
  auto captured = std::make_shared<int>(1);
  plait::Run(
      [](BusyPool* pool, bool* flag, std::shared_ptr<int> capture) -> Task<void> {
        auto wait = [](bool* to_set, std::shared_ptr<int> keep) -> Task<absl::Status> {
          auto function = [to_set, keep = std::move(keep)] {
            *to_set = true;
            return absl::OkStatus();
          };
          co_return co_await Offload(std::move(function));
        };
        JoinHandle<absl::Status> handle = Spawn(wait(flag, capture));
        co_await Turns(3);
        EXPECT_EQ(pool->pool().queued(), 1u);
        EXPECT_FALSE(handle.done());
        handle.Cancel();
        const absl::Status status = co_await handle;  // though the pool is busy
        EXPECT_TRUE(absl::IsCancelled(status)) << status;
        EXPECT_EQ(capture.use_count(), 2);  // ours and the caller's: the function is gone
      }(&busy, &ran, captured),
      {.blocking = &busy.pool()});
  busy.Release();
  EXPECT_TRUE(busy.pool().Close().ok());
  EXPECT_FALSE(ran);
}

TEST(OffloadTest, AFunctionThatCannotSayThatItWasCancelledIsWaitedForAndRuns) {
  BusyPool busy;
  bool ran = false;
  plait::Run(
      [](BusyPool* pool, bool* flag) -> Task<void> {
        auto wait = [](bool* to_set) -> Task<int> {
          co_return co_await Offload([to_set] {
            *to_set = true;
            return 3;
          });
        };
        JoinHandle<int> handle = Spawn(wait(flag));
        co_await Turns(3);
        handle.Cancel();
        co_await Turns(10);
        EXPECT_FALSE(handle.done());
        pool->Release();
        const int value = co_await handle;
        EXPECT_EQ(value, 3);
      }(&busy, &ran),
      {.blocking = &busy.pool()});
  EXPECT_TRUE(ran);
}

TEST(OffloadTest, InACancelledTaskAFunctionThatCanSaySoIsNotEvenQueued) {
  BlockingPool pool;
  plait::Run(
      []() -> Task<void> {
        auto late = []() -> Task<absl::Status> {
          CurrentTask().Cancel();
          co_return co_await Offload([] { return absl::OkStatus(); });
        };
        JoinHandle<absl::Status> handle = Spawn(late());
        const absl::Status status = co_await handle;
        EXPECT_TRUE(absl::IsCancelled(status)) << status;
      }(),
      {.blocking = &pool});
  EXPECT_EQ(pool.threads(), 0);
}

TEST(OffloadTest, ACancelDoesNotStopAFunctionThatRuns) {
  plait::Run([]() -> Task<void> {
    absl::Notification begun;
    absl::Notification release;
    auto wait = [](absl::Notification* in, absl::Notification* out) -> Task<absl::StatusOr<int>> {
      co_return co_await Offload([=]() -> absl::StatusOr<int> {
        in->Notify();
        out->WaitForNotification();
        return 4;
      });
    };
    JoinHandle<absl::StatusOr<int>> handle = Spawn(wait(&begun, &release));
    co_await Yield();
    begun.WaitForNotification();
    handle.Cancel();
    co_await Turns(10);
    EXPECT_FALSE(handle.done());
    release.Notify();
    const absl::StatusOr<int> value = co_await handle;
    EXPECT_TRUE(value.ok() && *value == 4) << value.status();
    EXPECT_FALSE(handle.cancelled());
  }());
}

// Trap: the cancel that races the completion, from another thread than the pool's and the loop's.
TEST(OffloadTest, ACancelThatRacesTheFunctionHasOneOutcome) {
  ThreadExecutor canceller;
  plait::Run([](ThreadExecutor* other) -> Task<void> {
    auto wait = [](int* ran) -> Task<absl::Status> {
      co_return co_await Offload([ran] {
        ++*ran;
        return absl::OkStatus();
      });
    };
    auto cancel = [](TaskHandle handle, int spins) -> Task<void> {
      for (int i = 0; i < spins; ++i) internal::SpinWait(0);
      handle.Cancel();
      co_return;
    };
    for (const int i : ShareOf(1000)) {
      int ran = 0;
      JoinHandle<absl::Status> waiter = Spawn(wait(&ran));
      co_await Yield();
      JoinHandle<void> done = Spawn(cancel(waiter, i % 200), {.executor = other});
      const absl::Status status = co_await waiter;
      EXPECT_EQ(ran, status.ok() ? 1 : 0);
      EXPECT_TRUE(status.ok() || absl::IsCancelled(status)) << status;
      co_await done;
    }
  }(&canceller));
}

// --- where it runs ---

TEST(OffloadTest, OffloadUsesTheBlockingExecutorThatRunWasGiven) {
  ThreadExecutor given;
  plait::Run(
      [](ThreadExecutor* executor) -> Task<void> {
        const void* const offloaded = co_await Offload(&ThisThread);
        const void* const named = co_await RunIn(*executor, &ThisThread);
        EXPECT_EQ(offloaded, named);  // it has one thread
      }(&given),
      {.blocking = &given});
}

TEST(RunInTest, TheFunctionRunsOnTheExecutorThatIsNamed) {
  ThreadExecutor other;
  plait::Run([](ThreadExecutor* executor) -> Task<void> {
    const void* const a = co_await RunIn(*executor, &ThisThread);
    const void* const b = co_await RunIn(*executor, &ThisThread);
    EXPECT_EQ(a, b);
    EXPECT_NE(a, ThisThread());
    const void* const offloaded = co_await Offload(&ThisThread);
    EXPECT_NE(offloaded, a);
  }(&other));
}

// --- On ---

Task<const void*> WhereItRuns() {
  co_await Turns(3);
  co_return ThisThread();
}

TEST(OnTest, TheTaskRunsOnTheOtherExecutorAndTheAwaiterGoesOnOnItsOwn) {
  ThreadExecutor other;
  plait::Run([](ThreadExecutor* executor) -> Task<void> {
    const void* const before = ThisThread();
    const TaskContext* const context = TaskContext::Current();
    const void* const there = co_await On(*executor, WhereItRuns());
    const void* const named = co_await RunIn(*executor, &ThisThread);
    EXPECT_EQ(there, named);
    EXPECT_EQ(ThisThread(), before);
    EXPECT_EQ(TaskContext::Current(), context);
  }(&other));
}

Task<int> There(Executor* executor, int depth) {
  if (depth == 0) co_return 1;
  co_return 1 + co_await On(*executor, There(executor, depth - 1));
}

TEST(OnTest, ItNestsAndGivesEveryKindOfResult) {
  ThreadExecutor other;
  plait::Run([](ThreadExecutor* executor) -> Task<void> {
    const int depth = co_await On(*executor, There(executor, 20));
    EXPECT_EQ(depth, 21);
    auto nothing = []() -> Task<void> { co_return; };
    co_await On(*executor, nothing());
    auto moved = []() -> Task<std::unique_ptr<int>> { co_return std::make_unique<int>(2); };
    const std::unique_ptr<int> two = co_await On(*executor, moved());
    EXPECT_EQ(*two, 2);
    auto failing = []() -> Task<absl::Status> { co_return absl::NotFoundError("no"); };
    auto unwrap = [](Executor* on, Task<absl::Status> task) -> Task<absl::StatusOr<int>> {
      co_await OrReturn(On(*on, std::move(task)));
      co_return 1;
    };
    const absl::StatusOr<int> failed = co_await unwrap(executor, failing());
    EXPECT_EQ(failed.status(), absl::NotFoundError("no"));
  }(&other));
}

#if defined(__cpp_exceptions)
TEST(OnTest, AnExceptionComesBack) {
  ThreadExecutor other;
  plait::Run([](ThreadExecutor* executor) -> Task<void> {
    auto failing = []() -> Task<int> {
      co_await Yield();
      throw std::runtime_error("oh");
    };
    bool caught = false;
    try {
      static_cast<void>(co_await On(*executor, failing()));
    } catch (const std::runtime_error&) {
      caught = true;
    }
    EXPECT_TRUE(caught);
  }(&other));
}
#endif

TEST(OnTest, ACancelPassesThroughAndTheResultComesBack) {
  ThreadExecutor other;
  plait::Run([](ThreadExecutor* executor) -> Task<void> {
    auto wait = []() -> Task<absl::Status> {
      Promise<void> never;
      co_return co_await never.future();
    };
    auto there = [&](Executor* on) -> Task<absl::Status> { co_return co_await On(*on, wait()); };
    for (const int i : ShareOf(300)) {
      JoinHandle<absl::Status> handle = Spawn(there(executor));
      co_await Turns(i % 3);
      handle.Cancel();
      const absl::Status status = co_await handle;
      EXPECT_TRUE(absl::IsCancelled(status)) << status;
    }
  }(&other));
}

TEST(OnTest, ItIsStillTheSameTask) {
  ThreadExecutor other;
  plait::Run([](ThreadExecutor* executor) -> Task<void> {
    auto id = []() -> Task<uint64_t> { co_return CurrentTask().id(); };
    const uint64_t there = co_await On(*executor, id());
    EXPECT_EQ(there, CurrentTask().id());
  }(&other));
}

TEST(OnDeathTest, AMovedFromTaskIsAProgrammingError) {
  EXPECT_DEATH(plait::Run([]() -> Task<void> {
                 ThreadExecutor other;
                 Task<void> task = Turns(1);
                 Task<void> taken = std::move(task);
                 co_await On(other, std::move(task));  // NOLINT: the misuse is the test
               }()),
               "On needs a Task that was not moved from");
}

}  // namespace
}  // namespace plait
