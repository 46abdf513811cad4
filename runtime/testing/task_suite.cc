// Tasks by themselves, handles, where a task runs and what it costs. The numbers in the tests'
// names are those of the list "What any event loop must get right".
#include "plait/runtime/testing/task_suite.h"

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "plait/runtime/core/thread_state.h"
#include "plait/runtime/sync/queue.h"
#include "plait/runtime/task/future.h"
#include "plait/runtime/task/gather.h"
#include "plait/runtime/task/join_handle.h"
#include "plait/runtime/task/or_return.h"
#include "plait/runtime/task/spawn.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/task/task_context.h"
#include "plait/runtime/testing/allocations.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/task_programs.h"
#include "plait/runtime/time/sleep.h"

namespace plait {
namespace {

using namespace testing_programs;  // NOLINT: they are this file's own words

const void* ThisThread() { return &internal::thread_state; }

// --- Task ---

TEST_P(TaskSuite, ATaskGivesAValue) {
  const int value = Await([]() -> Task<int> { co_return co_await Give(20) + co_await Give(3); });
  EXPECT_EQ(value, 23);
}

TEST_P(TaskSuite, ATaskOfVoidEnds) {
  bool ran = false;
  Await([&]() -> Task<void> {
    co_await Nothing();
    ran = true;
  });
  EXPECT_TRUE(ran);
}

TEST_P(TaskSuite, ATaskGivesAReferenceToTheObjectItself) {
  int target = 1;
  Await([&]() -> Task<void> {
    int& reference = co_await GiveReference(target);
    reference = 2;
    EXPECT_EQ(&reference, &target);
  });
  EXPECT_EQ(target, 2);
  EXPECT_EQ(&BlockOn(executor(), GiveReference(target)), &target);
}

TEST_P(TaskSuite, ATaskGivesAMoveOnlyValue) {
  const std::unique_ptr<int> value = Await([]() -> Task<std::unique_ptr<int>> {
    std::unique_ptr<int> inner = co_await GiveMoveOnly(5);
    ++*inner;
    co_return inner;
  });
  EXPECT_EQ(*value, 6);
}

Task<void> SetFlag(bool* flag) {
  *flag = true;
  co_return;
}

TEST_P(TaskSuite, ATaskDoesNotRunBeforeItIsAwaited) {
  bool ran = false;
  Await([&]() -> Task<void> {
    Task<void> task = SetFlag(&ran);
    co_await Turns(3);
    EXPECT_FALSE(ran);
    co_await std::move(task);
    EXPECT_TRUE(ran);
  });
}

TEST_P(TaskSuite, ATaskThatIsNeverAwaitedNeverRunsAndFreesItsArguments) {
  bool ran = false;
  auto argument = std::make_shared<int>(1);
  Await([&]() -> Task<void> {
    auto hold = [](std::shared_ptr<int>, bool* flag) -> Task<void> {
      *flag = true;
      co_return;
    };
    {
      Task<void> task = hold(argument, &ran);
      EXPECT_EQ(argument.use_count(), 2);
    }
    EXPECT_EQ(argument.use_count(), 1);
    co_return;
  });
  EXPECT_FALSE(ran);
}

// Trap: a reference parameter of a lazy task. One that is taken by value is the task's own.
Task<std::string> Echo(std::string text) {
  co_await Yield();
  co_return text;
}

TEST_P(TaskSuite, AnArgumentTakenByValueLivesUntilTheLazyTaskEnds) {
  const std::string result = Await([]() -> Task<std::string> {
    std::unique_ptr<Task<std::string>> task;
    {
      std::string text(100, 'x');  // gone before the task starts
      task = std::make_unique<Task<std::string>>(Echo(text));
    }
    co_return co_await std::move(*task);
  });
  EXPECT_EQ(result, std::string(100, 'x'));
}

Task<void> LeaveBehind(std::vector<std::string>* log) {
  Leaving first(*log, "child's first local");
  Leaving second(*log, "child's second local");
  co_await Yield();
}

TEST_P(TaskSuite, TheLocalsAndArgumentsOfATaskAreGoneBeforeItsAwaiterGoesOn) {
  std::vector<std::string> log;
  auto argument = std::make_shared<int>(1);
  Await([&]() -> Task<void> {
    co_await LeaveBehind(&log);
    log.push_back("awaiter");
    auto hold = [](std::shared_ptr<int>) -> Task<int> { co_return 1; };
    const int one = co_await hold(argument);
    EXPECT_EQ(one, 1);
    EXPECT_EQ(argument.use_count(), 1);
  });
  EXPECT_EQ(log,
            (std::vector<std::string>{"child's second local", "child's first local", "awaiter"}));
}

Task<void> AwaitMovedFrom() {
  Task<int> task = Give(1);
  Task<int> other = std::move(task);
  static_cast<void>(co_await std::move(task));  // NOLINT: the misuse is the test
}

TEST_P(TaskSuite, AwaitingAMovedFromTaskIsAProgrammingError) {
  EXPECT_DEATH(
      {
        std::unique_ptr<Executor> mortal = MakeExecutor();
        BlockOn(*mortal, AwaitMovedFrom());
      },
      "awaiting a Task that was moved from or awaited before");
}

TEST_P(TaskSuite, SpawningAMovedFromTaskIsAProgrammingError) {
  EXPECT_DEATH(
      {
        std::unique_ptr<Executor> mortal = MakeExecutor();
        Task<int> task = Give(1);
        Task<int> other = std::move(task);
        Spawn(std::move(task), {.executor = mortal.get()});  // NOLINT: the misuse is the test
      },
      "spawning a Task that was moved from or awaited before");
}

TEST_P(TaskSuite, AnAwaitedTaskKnowsItIsNoLongerValid) {
  Await([]() -> Task<void> {
    Task<int> task = Give(1);
    EXPECT_TRUE(task.valid());
    const int one = co_await std::move(task);
    EXPECT_EQ(one, 1);
    EXPECT_FALSE(task.valid());  // NOLINT: defined
  });
}

#if defined(__cpp_exceptions)

Task<int> Rethrow(std::string what) { co_return co_await Throw(what); }

TEST_P(TaskSuite, AnExceptionReachesTheAwaiterThroughEveryTaskInBetween) {
  Await([]() -> Task<void> {
    std::string caught;
    try {
      static_cast<void>(co_await Rethrow("oh"));
    } catch (const std::runtime_error& error) {
      caught = error.what();
    }
    EXPECT_EQ(caught, "oh");
  });
}

TEST_P(TaskSuite, AnExceptionComesOutOfBlockOn) {
  EXPECT_THROW(BlockOn(executor(), Rethrow("out")), std::runtime_error);
}

TEST_P(TaskSuite, AnExceptionOfASpawnedTaskReachesWhoeverAwaitsIt) {
  Await([]() -> Task<void> {
    JoinHandle<int> handle = Spawn(Throw("oh"));
    for (int i = 0; i < 2; ++i) {  // every time
      bool caught = false;
      try {
        static_cast<void>(co_await handle);
      } catch (const std::runtime_error&) {
        caught = true;
      }
      EXPECT_TRUE(caught);
    }
    EXPECT_THROW(handle.result().IgnoreError(), std::runtime_error);
    EXPECT_FALSE(handle.cancelled());
  });
}

TEST_P(TaskSuite, AnExceptionNobodyAwaitsEndsWithItsTask) {
  Await([]() -> Task<void> {
    {
      JoinHandle<int> dropped = Spawn(Throw("unseen"));
    }
    co_await Turns(10);
  });
}

#endif

// --- Spawn and JoinHandle ---

TEST_P(TaskSuite, ASpawnedTaskBeginsLaterAndTasksBeginInTheOrderOfSpawning) {
  std::vector<int> began;
  Await([&]() -> Task<void> {
    auto begin = [](std::vector<int>* log, int n) -> Task<void> {
      log->push_back(n);
      co_return;
    };
    std::vector<JoinHandle<void>> handles;
    // On a pool the tasks run at once and side by side.
    if (!ordered()) co_return;
    for (int i = 0; i < 10; ++i) handles.push_back(Spawn(begin(&began, i)));
    EXPECT_TRUE(began.empty());
    for (auto& handle : handles) co_await handle;
    EXPECT_EQ(began, (std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
  });
}

TEST_P(TaskSuite, APendingHandleSaysSo) {
  Await([]() -> Task<void> {
    Promise<int> promise;
    auto take = [](Future<int> future) -> Task<absl::StatusOr<int>> { co_return co_await future; };
    JoinHandle<absl::StatusOr<int>> handle = Spawn(take(promise.future()), {.name = "taker"});
    for (int i = 0; i < 2; ++i) {  // before it has begun, and suspended
      EXPECT_TRUE(handle.valid());
      EXPECT_FALSE(handle.done());
      EXPECT_FALSE(handle.cancelled());
      EXPECT_TRUE(absl::IsFailedPrecondition(handle.result().status())) << handle.result().status();
      EXPECT_EQ(handle.name(), "taker");
      co_await Turns(3);
    }
    promise.Set(9);
    const absl::StatusOr<int> value = co_await handle;
    EXPECT_TRUE(value.ok());
    EXPECT_EQ(*value, 9);
  });
}

TEST_P(TaskSuite, ADoneHandleGivesItsResultAgainAndAgain) {
  Await([]() -> Task<void> {
    JoinHandle<std::string> handle = Spawn(Echo("text"));
    const std::string first = co_await handle;
    const std::string second = co_await handle;
    EXPECT_EQ(first, "text");
    EXPECT_EQ(second, "text");
    EXPECT_TRUE(handle.done());
    EXPECT_FALSE(handle.cancelled());
    EXPECT_TRUE(handle.result().ok());
    EXPECT_EQ(*handle.result(), "text");
    EXPECT_EQ(handle.name(), "");
    const std::string moved = co_await std::move(handle);
    EXPECT_EQ(moved, "text");
  });
}

TEST_P(TaskSuite, AMoveOnlyResultMovesOutOnce) {
  Await([]() -> Task<void> {
    JoinHandle<std::unique_ptr<int>> awaited = Spawn(GiveMoveOnly(7));
    const std::unique_ptr<int> value = co_await awaited;
    EXPECT_EQ(*value, 7);
    const std::unique_ptr<int> nothing = co_await awaited;
    EXPECT_EQ(nothing, nullptr);

    auto give_later = [](Future<void> gate) -> Task<std::unique_ptr<int>> {
      static_cast<void>(co_await gate);
      co_return std::make_unique<int>(8);
    };
    Promise<void> gate;
    JoinHandle<std::unique_ptr<int>> looked_at = Spawn(give_later(gate.future()));
    EXPECT_TRUE(absl::IsFailedPrecondition(looked_at.result().status()));
    gate.Set();
    while (!looked_at.done()) co_await Yield();
    const absl::StatusOr<std::unique_ptr<int>> result = looked_at.result();
    EXPECT_TRUE(result.ok());
    EXPECT_EQ(**result, 8);
  });
}

TEST_P(TaskSuite, AHandleOfVoidSaysOkOnceDone) {
  Await([]() -> Task<void> {
    auto end_later = [](Future<void> gate) -> Task<void> { static_cast<void>(co_await gate); };
    Promise<void> gate;
    JoinHandle<void> handle = Spawn(end_later(gate.future()));
    EXPECT_TRUE(absl::IsFailedPrecondition(handle.result()));
    gate.Set();
    co_await handle;
    EXPECT_TRUE(handle.result().ok());
    co_await handle;
  });
}

TEST_P(TaskSuite, AHandleOfAReferenceGivesTheObjectItselfHoweverItIsAwaited) {
  int target = 1;
  Await([&]() -> Task<void> {
    JoinHandle<int&> handle = Spawn(GiveReference(target));
    int& from_lvalue = co_await handle;
    EXPECT_EQ(&from_lvalue, &target);
    int& from_rvalue = co_await std::move(handle);
    EXPECT_EQ(&from_rvalue, &target);
  });
}

TEST_P(TaskSuite, AHandleOfAStatusGivesThatStatus) {
  Await([]() -> Task<void> {
    JoinHandle<absl::Status> handle = Spawn(FailWith("oh"));
    const absl::Status status = co_await handle;
    EXPECT_EQ(status, absl::InternalError("oh"));
    EXPECT_EQ(handle.result(), absl::InternalError("oh"));
    EXPECT_FALSE(handle.cancelled());
  });
}

Task<int> AwaitShared(JoinHandle<int>* shared, std::vector<int>* order, int n) {
  const int value = co_await *shared;
  order->push_back(n);
  co_return value;
}

TEST_P(TaskSuite, ManyMayAwaitOneHandleAndGoOnInTheOrderTheyCame) {
  if (!ordered()) return;  // one thread at a time may use a handle
  Await([]() -> Task<void> {
    Promise<int> promise;
    auto take = [](Future<int> future) -> Task<int> { co_return *co_await future; };
    JoinHandle<int> shared = Spawn(take(promise.future()));
    std::vector<int> order;
    std::vector<JoinHandle<int>> awaiters;
    for (int n = 0; n < 5; ++n) awaiters.push_back(Spawn(AwaitShared(&shared, &order, n)));
    co_await Turns(3);
    promise.Set(6);
    for (auto& awaiter : awaiters) {
      const int value = co_await awaiter;
      EXPECT_EQ(value, 6);
    }
    EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4}));
  });
}

TEST_P(TaskSuite, ATaskGoesOnWhenItsHandleIsDropped) {
  Await([]() -> Task<void> {
    Promise<int> promise;
    Future<int> future = promise.future();
    auto set = [](Promise<int> target) -> Task<void> {
      co_await Turns(5);
      target.Set(1);
    };
    {
      JoinHandle<void> dropped = Spawn(set(std::move(promise)));
    }
    const absl::StatusOr<int> value = co_await future;
    EXPECT_TRUE(value.ok()) << value.status();
  });
}

TEST_P(TaskSuite, IdsAreUniqueAndHandlesCompareByTask) {
  Await([]() -> Task<void> {
    JoinHandle<void> a = Spawn(Nothing());
    JoinHandle<void> b = Spawn(Nothing());
    EXPECT_NE(a.id(), b.id());
    EXPECT_FALSE(a == b);
    const TaskHandle same = a;
    EXPECT_TRUE(same == a);
    EXPECT_EQ(same.id(), a.id());
    co_await a;
    co_await b;
    EXPECT_TRUE(same.done());
  });
}

TEST_P(TaskSuite, AnEmptyHandleIsNotValidAndUsingItIsAProgrammingError) {
  JoinHandle<int> empty;
  EXPECT_FALSE(empty.valid());
  EXPECT_FALSE(TaskHandle().valid());
  EXPECT_DEATH(empty.done(), "a task handle was used that is empty or was moved from");
  EXPECT_DEATH(empty.Cancel(), "a task handle was used that is empty or was moved from");
  EXPECT_DEATH(empty.result().IgnoreError(), "a task handle was used that is empty");
}

TEST_P(TaskSuite, AMovedFromHandleIsEmpty) {
  Await([]() -> Task<void> {
    JoinHandle<int> handle = Spawn(Give(1));
    JoinHandle<int> other = std::move(handle);
    EXPECT_FALSE(handle.valid());  // NOLINT: defined
    const int one = co_await other;
    EXPECT_EQ(one, 1);
  });
}

struct SelfAwait {
  JoinHandle<int> handle;
  Promise<void> assigned;
};

Task<int> AwaitSelf(SelfAwait* self) {
  static_cast<void>(co_await self->assigned.future());
  co_return co_await self->handle;
}

TEST_P(TaskSuite, ATaskThatAwaitsItselfIsAProgrammingError) {
  EXPECT_DEATH(
      {
        std::unique_ptr<Executor> mortal = MakeExecutor();
        SelfAwait self;
        self.handle = Spawn(AwaitSelf(&self), {.executor = mortal.get()});
        self.assigned.Set();
        static_cast<void>(BlockOn(*mortal, Forever()));
      },
      "a task cannot await itself: it would never end");
}

TEST_P(TaskSuite, SpawnOutsideOfATaskNeedsAnExecutor) {
  EXPECT_DEATH(Spawn(Give(1)), "Spawn outside of a task needs SpawnOptions::executor");
  JoinHandle<int> handle = Spawn(Give(1), {.executor = &executor()});
  const int one = Await([&]() -> Task<int> { co_return co_await handle; });
  EXPECT_EQ(one, 1);
}

// --- CurrentTask ---

Task<uint64_t> CurrentId() {
  co_await Yield();
  co_return CurrentTask().id();
}

TEST_P(TaskSuite, CurrentTaskIsTheSpawnedTaskInAllThatItAwaits) {
  EXPECT_FALSE(CurrentTask().valid());
  Await([]() -> Task<void> {
    const TaskHandle current = CurrentTask();
    EXPECT_TRUE(current.valid());
    EXPECT_FALSE(current.done());
    const uint64_t awaited = co_await CurrentId();
    EXPECT_EQ(awaited, current.id());
    JoinHandle<uint64_t> handle = Spawn(CurrentId(), {.name = "other"});
    const uint64_t spawned = co_await handle;
    EXPECT_EQ(spawned, handle.id());
    EXPECT_NE(spawned, current.id());
    EXPECT_TRUE(CurrentTask() == current);  // and again after the suspension
    std::vector<Task<uint64_t>> children;
    children.push_back(CurrentId());
    const std::vector<uint64_t> gathered = co_await Gather(std::move(children));
    EXPECT_EQ(gathered[0], current.id());
  });
  EXPECT_FALSE(CurrentTask().valid());
}

TEST_P(TaskSuite, ATaskMayCancelItself) {
  const absl::Status status = Await([]() -> Task<absl::Status> {
    EXPECT_FALSE(CurrentStopToken().stop_requested());
    EXPECT_TRUE(CurrentTask().Cancel());
    EXPECT_TRUE(CurrentStopToken().stop_requested());
    EXPECT_FALSE(CurrentTask().Cancel());
    co_return co_await Forever();
  });
  EXPECT_TRUE(absl::IsCancelled(status)) << status;
}

// --- where a task runs ---

TEST_P(TaskSuite, ATaskResumesOnItsOwnExecutorWhateverItAwaits) {
  RunningExecutor other(MakeExecutor());
  Await([&]() -> Task<void> {
    Executor* const home = TaskContext::Current()->executor;
    const void* const home_thread = ThisThread();
    const auto expect_home = [&](const char* after) {
      EXPECT_EQ(TaskContext::Current()->executor, home) << after;
      if (ordered()) {
        EXPECT_EQ(ThisThread(), home_thread) << after;
      }
    };
    EXPECT_EQ(home, &executor());
    for (int i = 0; i < Repeats(200); ++i) {
      auto where = []() -> Task<const void*> {
        co_await Yield();
        co_return ThisThread();
      };
      JoinHandle<const void*> handle = Spawn(where(), {.executor = &other.executor()});
      const void* const elsewhere = co_await handle;
      if (ordered()) {
        EXPECT_NE(elsewhere, home_thread);
      }
      expect_home("a handle of another executor's task");

      Promise<int> promise;
      Future<int> future = promise.future();
      auto set = [](Promise<int> target) -> Task<void> {
        target.Set(1);
        co_return;
      };
      JoinHandle<void> setter = Spawn(set(std::move(promise)), {.executor = &other.executor()});
      const absl::StatusOr<int> one = co_await future;
      EXPECT_TRUE(one.ok());
      expect_home("a future that another executor's task set");
      co_await setter;

      Queue<int> queue(1);
      auto put = [](Queue<int>* target) -> Task<void> {
        for (int n = 0; n < 3; ++n) {
          const absl::Status status = co_await target->Put(n);
          EXPECT_TRUE(status.ok()) << status;
        }
      };
      JoinHandle<void> putter = Spawn(put(&queue), {.executor = &other.executor()});
      for (int n = 0; n < 3; ++n) {
        const absl::StatusOr<int> item = co_await queue.Get();
        EXPECT_TRUE(item.ok() && *item == n);
        expect_home("a queue that another executor's task fills");
      }
      co_await putter;
      expect_home("a handle that may be done");
    }
  });
}

// --- no allocations ---

// Frames come from the pool, where there is one: elsewhere each is an allocation, and there may be
// no other.
int64_t Expected(int64_t frames) { return FramesArePooled() ? 0 : frames; }

constexpr int kTimes = 200;
constexpr int kWarmUp = 20;

TEST_P(TaskSuite, AwaitingAReadyTaskAllocatesOnlyItsFrame) {
  const int64_t expected = Expected(kTimes);
  const int64_t allocated = Await([]() -> Task<int64_t> {
    for (int i = 0; i < kWarmUp; ++i) static_cast<void>(co_await Give(1));
    const int64_t before = AllocationCount();
    for (int i = 0; i < kTimes; ++i) static_cast<void>(co_await Give(1));
    co_return AllocationCount() - before;
  });
  EXPECT_EQ(allocated, expected);
}

TEST_P(TaskSuite, AYieldAllocatesNothing) {
  const int64_t allocated = Await([]() -> Task<int64_t> {
    for (int i = 0; i < kWarmUp; ++i) co_await Yield();
    const int64_t before = AllocationCount();
    for (int i = 0; i < kTimes; ++i) co_await Yield();
    co_return AllocationCount() - before;
  });
  EXPECT_EQ(allocated, 0);
}

TEST_P(TaskSuite, SpawningAndJoiningAllocatesOnlyTheFrameAndTheState) {
  const int64_t expected = Expected(2 * kTimes);
  const int64_t allocated = Await([]() -> Task<int64_t> {
    for (int i = 0; i < kWarmUp; ++i) static_cast<void>(co_await Spawn(Give(1)));
    const int64_t before = AllocationCount();
    for (int i = 0; i < kTimes; ++i) static_cast<void>(co_await Spawn(Give(1)));
    co_return AllocationCount() - before;
  });
  if (ordered()) {
    EXPECT_EQ(allocated, expected);
  }
}

TEST_P(TaskSuite, ALastingNameTakesThePlaceOfOneThatWouldBeCopied) {
  static constexpr TaskName kLasting{"lasting"};
  const int64_t expected = Expected(2 * kTimes);
  const int64_t allocated = Await([]() -> Task<int64_t> {
    const SpawnOptions both{.name = "copied", .lasting_name = &kLasting};
    for (int i = 0; i < kWarmUp; ++i) {
      JoinHandle<int> handle = Spawn(Give(1), both);
      EXPECT_EQ(handle.name(), "lasting");
      static_cast<void>(co_await handle);
    }
    const int64_t before = AllocationCount();
    for (int i = 0; i < kTimes; ++i) static_cast<void>(co_await Spawn(Give(1), both));
    co_return AllocationCount() - before;
  });
  if (ordered()) {
    EXPECT_EQ(allocated, expected);
  }
}

TEST_P(TaskSuite, AwaitingAHandleOrOrReturnAllocatesNothing) {
  const absl::StatusOr<int64_t> allocated = Await([]() -> Task<absl::StatusOr<int64_t>> {
    JoinHandle<absl::StatusOr<int>> handle = Spawn(GiveOr(1));
    static_cast<void>(co_await handle);
    const int64_t before = AllocationCount();
    for (int i = 0; i < kTimes; ++i) {
      static_cast<void>(co_await handle);
      static_cast<void>(co_await OrReturn(handle));
      static_cast<void>(co_await OrReturn(absl::StatusOr<int>(1)));
      co_await OrReturn(absl::OkStatus());
    }
    co_return AllocationCount() - before;
  });
  ASSERT_TRUE(allocated.ok());
  EXPECT_EQ(*allocated, 0);
}

Task<void> PutMany(Queue<int>* queue, int count) {
  for (int i = 0; i < count; ++i) {
    const absl::Status put = co_await queue->Put(i);
    EXPECT_TRUE(put.ok()) << put;
  }
}

TEST_P(TaskSuite, AQueueThatWaitsOnBothSidesAllocatesNothing) {
  if (!ordered()) return;  // another thread's work would be counted
  const int64_t allocated = Await([]() -> Task<int64_t> {
    Queue<int> queue(1);
    JoinHandle<void> putter = Spawn(PutMany(&queue, kWarmUp + kTimes));
    for (int i = 0; i < kWarmUp; ++i) static_cast<void>(co_await queue.Get());
    const int64_t before = AllocationCount();
    for (int i = 0; i < kTimes; ++i) static_cast<void>(co_await queue.Get());
    const int64_t count = AllocationCount() - before;
    co_await putter;
    co_return count;
  });
  EXPECT_EQ(allocated, 0);
}

}  // namespace
}  // namespace plait
