// A task that is awaited while it has not begun: an executor may let it be called by who awaits it
// (Executor::TakeIfNext), of which nothing may be seen but that it is faster.
//
// Traps: a wake-up lost between check and park, where the called task waits; a cancel that races
// the completion.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/task/join_handle.h"
#include "plait/runtime/task/spawn.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/task/task_group.h"
#include "plait/runtime/task/task_local.h"
#include "plait/runtime/task/uncancellable.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/task_programs.h"
#include "plait/runtime/testing/task_suite.h"
#include "plait/runtime/time/sleep.h"

namespace plait {
namespace {

using namespace testing_programs;  // NOLINT: they are this file's own words

using internal::Atomic;

Task<std::vector<std::string>> NamesOfAllTasks() {
  std::vector<std::string> names;
  for (const TaskHandle& task : AllTasks()) names.push_back(task.name());
  co_return names;
}

TEST_P(TaskSuite, ATaskThatIsAwaitedAtOnceIsATaskOfItsOwnWhileItRuns) {
  Await([]() -> Task<void> {
    const std::vector<std::string> names =
        co_await Spawn(NamesOfAllTasks(), {.name = "child", .eager = false});
    EXPECT_EQ(names, (std::vector<std::string>{"main", "child"}));
    EXPECT_EQ(AllTasks().size(), 1u);
    EXPECT_EQ(CurrentTask().name(), "main");
    const std::string name =
        co_await Spawn([]() -> Task<std::string> { co_return CurrentTask().name(); }());
    EXPECT_EQ(name, "");
    EXPECT_EQ(CurrentTask().name(), "main");
  });
}

Task<int> TurnThenGive(int turns, int n) {
  co_await Turns(turns);
  co_return n;
}

TEST_P(TaskSuite, ATaskThatIsAwaitedAtOnceMayWait) {
  const int sum = Await([]() -> Task<int> {
    int total = 0;
    for (int i = 0; i < 100; ++i) {
      total += co_await Spawn(TurnThenGive(i % 3, i));
      EXPECT_EQ(CurrentTask().name(), "main");
    }
    co_return total;
  });
  EXPECT_EQ(sum, 4950);
}

TEST_P(TaskSuite, WhoSpawnsAndAwaitsForEverKeepsNobodyFromRunning) {
  // What it spawns is called where it is awaited, or has ended by then.
  for (const bool eager : {false, true}) {
    Await([eager]() -> Task<void> {
      Atomic<bool> ran{false};
      auto set = [&ran]() -> Task<void> {
        for (int i = 0; i < 3; ++i) co_await Yield();
        ran.store(true, internal::kRelaxed);
      };
      JoinHandle<void> other = Spawn(set());
      // No executor lets one run so often before the other.
      constexpr int kMost = 10'000'000;
      int rounds = 0;
      while (!ran.load(internal::kRelaxed) && rounds < kMost) {
        co_await Spawn(Nothing(), {.eager = eager});
        ++rounds;
      }
      EXPECT_LT(rounds, kMost);
      co_await other;
    });
  }
}

Task<int> SpawnAndAwait(int depth) {
  if (depth == 0) co_return 0;
  co_return 1 + co_await Spawn(SpawnAndAwait(depth - 1));
}

TEST_P(TaskSuite, TasksThatAwaitEachOtherDeepDownDoNotUseUpTheStack) {
  const int deep = Repeats(20'000);
  const int depth = Await([&]() -> Task<int> { co_return co_await SpawnAndAwait(deep); });
  EXPECT_EQ(depth, deep);
}

// The callback runs on the thread that ends the task, maybe after those who await it go on, and its
// memory goes after that.
Task<void> UntilCalled(const Atomic<int>& called, int times) {
  while (called.load(internal::kAcquire) < times) co_await Yield();
}

// What a handle that was given up to an await leaves to others.
TEST_P(TaskSuite, OtherHandlesAndCallbacksSeeTheEndOfATaskThatIsAwaitedAtOnce) {
  Await([]() -> Task<void> {
    Atomic<int> called{0};
    const auto call = [&called] { called.fetch_add(1, internal::kRelease); };
    JoinHandle<int> handle = Spawn(Give(5));
    JoinHandle<int> other = handle.Share();
    const DoneCallbackHandle on_done = handle.OnDone(call);
    const int value = co_await std::move(handle);
    EXPECT_EQ(value, 5);
    co_await UntilCalled(called, 1);
    EXPECT_EQ(called.load(internal::kRelaxed), 1);
    EXPECT_TRUE(other.done());
    const absl::StatusOr<int> result = other.result();
    EXPECT_TRUE(result.ok() && *result == 5) << result.status();

    JoinHandle<int> alone = Spawn(Give(6));
    const DoneCallbackHandle on_end = alone.OnDone(call);
    const int six = co_await std::move(alone);
    EXPECT_EQ(six, 6);
    co_await UntilCalled(called, 2);
    EXPECT_EQ(called.load(internal::kRelaxed), 2);
    EXPECT_TRUE(alone.done());
  });
}

TEST_P(TaskSuite, AStatusTaskThatWasCancelledBeforeItIsAwaitedNeverRuns) {
  Await([&]() -> Task<void> {
    bool ran = false;
    auto run = [&ran]() -> Task<absl::Status> {
      ran = true;
      co_return absl::OkStatus();
    };
    JoinHandle<absl::Status> child = Spawn(run());
    const bool cancelled = child.Cancel();
    const absl::Status status = co_await std::move(child);
    if (GetParam().inlined) co_return;          // it has run before that
    if (!GetParam().ordered && ran) co_return;  // another thread was faster
    EXPECT_TRUE(cancelled);
    EXPECT_TRUE(absl::IsCancelled(status)) << status;
  });
}

// The task that is awaited cancels the one that awaits it, and with that itself.
struct Pair {
  TaskHandle parent;
  bool polled = false;
  bool called = false;
};

Task<void> CancelParent(Pair* pair) {
  const StopCallback on_stop(CurrentStopToken(), [pair] { pair->called = true; });
  EXPECT_FALSE(CurrentStopToken().stop_requested());
  pair->parent.Cancel();
  // Where the parent runs elsewhere, it may yet have to come to its await.
  while (!CurrentStopToken().stop_requested()) co_await Yield();
  pair->polled = true;
}

TEST_P(TaskSuite, ACancelOfTheAwaitingTaskReachesTheOneThatItAwaitsAtOnce) {
  Await([]() -> Task<void> {
    Pair pair;
    auto parent = [&pair]() -> Task<void> {
      pair.parent = CurrentTask();
      co_await Spawn(CancelParent(&pair));
      EXPECT_TRUE(CurrentStopToken().stop_requested());
    };
    JoinHandle<void> handle = Spawn(parent());
    co_await handle;
    EXPECT_TRUE(handle.cancelled());
    EXPECT_TRUE(pair.polled);
    EXPECT_TRUE(pair.called);
    pair.parent = TaskHandle();
  });
}

// What is awaited at once and never waits may see a cancel of the others on its stack only if it
// looks itself.
Task<void> CancelAndLook(TaskHandle whom, bool until_stopped, std::vector<bool>* seen) {
  seen->push_back(TaskContext::Current()->stop_requested());
  whom.Cancel();
  while (until_stopped && !TaskContext::Current()->stop_requested()) co_await Yield();
  seen->push_back(TaskContext::Current()->stop_requested());
  co_return;
}

Task<void> SpawnOneThatCancels(TaskHandle whom, bool until_stopped, std::vector<bool>* seen) {
  JoinHandle<void> child = Spawn(CancelAndLook(whom, until_stopped, seen));
  co_await child;
  EXPECT_TRUE(child.cancelled());
  seen->push_back(CurrentStopToken().stop_requested());
}

TEST_P(TaskSuite, ACancelReachesThoseThatAreAwaitedAtOnceOneByAnother) {
  // Elsewhere they may run before they are awaited: the cancel reaches them then.
  Await([elsewhere = GetParam().inlined || !ordered()]() -> Task<void> {
    std::vector<bool> seen;
    auto outermost = [elsewhere, &seen]() -> Task<void> {
      JoinHandle<void> child = Spawn(SpawnOneThatCancels(CurrentTask(), elsewhere, &seen));
      co_await child;
      EXPECT_TRUE(child.cancelled());
    };
    JoinHandle<void> handle = Spawn(outermost());
    co_await handle;
    EXPECT_TRUE(handle.cancelled());
    EXPECT_EQ(seen, (std::vector<bool>{false, true, true}));
  });
}

TEST_P(TaskSuite, ACancelDoesNotReachATaskThatIsAwaitedAtOnceWhereItsAwaiterHearsOfNone) {
  Await([]() -> Task<void> {
    std::vector<bool> seen;
    auto spawn = [&seen](TaskHandle whom) -> Task<bool> {
      JoinHandle<void> child =
          Spawn(CancelAndLook(std::move(whom), /*until_stopped=*/false, &seen));
      co_await child;
      co_return child.cancelled();
    };
    auto parent = [&spawn]() -> Task<void> {
      const bool cancelled = co_await Uncancellable(spawn(CurrentTask()));
      EXPECT_FALSE(cancelled);
      EXPECT_TRUE(CurrentStopToken().stop_requested());
    };
    co_await Spawn(parent());
    EXPECT_EQ(seen, (std::vector<bool>{false, false}));
  });
}

// It has forgotten nothing when it is cancelled long after the join that has called it.
TEST_P(TaskSuite, ACancelReachesATaskThatWasAwaitedAtOnceAndWaits) {
  Await([]() -> Task<void> {
    Atomic<bool> begun{false};
    auto child = [&begun]() -> Task<absl::Status> {
      co_await Yield();  // asks for no stop
      begun.store(true, internal::kRelaxed);
      while (!TaskContext::Current()->stop_requested()) co_await Yield();
      co_return absl::CancelledError("as was asked");
    };
    auto parent = [&child]() -> Task<absl::Status> { co_return co_await Spawn(child()); };
    JoinHandle<absl::Status> handle = Spawn(parent());
    while (!begun.load(internal::kRelaxed)) co_await Yield();
    EXPECT_TRUE(handle.Cancel());
    const absl::Status status = co_await handle;
    EXPECT_TRUE(absl::IsCancelled(status)) << status;
  });
}

#if defined(__cpp_exceptions)
TEST_P(TaskSuite, AnExceptionOfATaskThatIsAwaitedAtOnceIsRethrown) {
  Await([]() -> Task<void> {
    auto fail = []() -> Task<int> {
      throw std::string("it fails");
      co_return 1;
    };
    std::string caught;
    try {
      static_cast<void>(co_await Spawn(fail()));
    } catch (const std::string& what) {
      caught = what;
    }
    EXPECT_EQ(caught, "it fails");
    EXPECT_EQ(CurrentTask().name(), "main");
  });
}
#endif

TEST_P(TaskSuite, AChildOfAGroupThatIsAwaitedAtOnceEndsForTheGroupToo) {
  Await([]() -> Task<void> {
    const absl::Status status = co_await WithTaskGroup([](TaskGroup& group) -> Task<absl::Status> {
      for (int i = 0; i < 10; ++i) {
        const int value = co_await group.Spawn(Give(i));
        EXPECT_EQ(value, i);
      }
      co_return absl::OkStatus();
    });
    EXPECT_TRUE(status.ok()) << status;
  });
}

const TaskLocal<int> kNumber;

Task<int> ReadNumber() {
  const int* const number = kNumber.Get();
  co_return number == nullptr ? 0 : *number;
}

Task<int> SpawnReadNumber() {
  const int inner = co_await Spawn(ReadNumber());
  const int* const own = kNumber.Get();
  co_return inner * 10 + (own == nullptr ? 0 : *own);
}

TEST_P(TaskSuite, ATaskThatIsAwaitedAtOnceHasItsSpawnersTaskLocals) {
  Await([]() -> Task<void> {
    const int both = co_await kNumber.With(4, SpawnReadNumber());
    EXPECT_EQ(both, 44);
    const int none = co_await Spawn(ReadNumber());
    EXPECT_EQ(none, 0);
  });
}

}  // namespace
}  // namespace plait
