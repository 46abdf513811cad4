// Select, Wait, Shield, CancelScope, GatherAll, GatherLimit and a group's limit. The numbers in the
// tests' names are those of the list "What any event loop must get right".
#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/sync/queue.h"
#include "plait/runtime/task/as_completed.h"
#include "plait/runtime/task/async_generator.h"
#include "plait/runtime/task/future.h"
#include "plait/runtime/task/gather.h"
#include "plait/runtime/task/join_handle.h"
#include "plait/runtime/task/select.h"
#include "plait/runtime/task/spawn.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/task/task_group.h"
#include "plait/runtime/task/uncancellable.h"
#include "plait/runtime/task/wait.h"
#include "plait/runtime/testing/task_programs.h"
#include "plait/runtime/testing/task_suite.h"
#include "plait/runtime/time/cancel_scope.h"
#include "plait/runtime/time/sleep.h"
#include "plait/runtime/time/timeout.h"

namespace plait {
namespace {

using namespace testing_programs;  // NOLINT: they are this file's own words

using internal::Atomic;

// --- Select ---

TEST_P(TaskSuite, SelectGivesTheFirstThatEndsAndCancelsTheOthers) {
  Await([&]() -> Task<void> {
    bool cancelled = false;
    auto selected = co_await Select(ForeverNoting(&cancelled), TurnsThenGive(3, 7));
    EXPECT_EQ(selected.index(), 1u);
    EXPECT_TRUE(cancelled);  // it was joined
    const absl::StatusOr<int>& value = selected.get<1>();
    EXPECT_TRUE(value.ok() && *value == 7) << value.status();
    EXPECT_TRUE(selected.has<0>());
    EXPECT_TRUE(absl::IsCancelled(selected.get<0>()));
  });
}

TEST_P(TaskSuite, SelectOfSeveralThatAreReadyDoesOnlyTheFirst) {
  Await([]() -> Task<void> {
    Queue<int> a(4);
    Queue<int> b(4);
    EXPECT_TRUE(a.TryPut(1).ok());
    EXPECT_TRUE(b.TryPut(2).ok());
    auto selected = co_await Select(a.Get(), b.Get());
    EXPECT_EQ(selected.index(), 0u);
    EXPECT_EQ(*selected.get<0>(), 1);
    EXPECT_FALSE(selected.has<1>());
    EXPECT_EQ(b.size(), 1u);  // nothing was taken from it
    auto second = co_await Select(a.Get(), b.Get());
    EXPECT_EQ(second.index(), 1u);
    EXPECT_EQ(*second.get<1>(), 2);
    EXPECT_TRUE(absl::IsCancelled(second.get<0>().status()));
  });
}

TEST_P(TaskSuite, SelectTakesAwaitablesOfAllKinds) {
  Await([&]() -> Task<void> {
    Promise<int> promise;
    Future<int> future = promise.future();
    JoinHandle<absl::Status> handle = Spawn(Forever());
    JoinHandle<void> setter = Spawn([](Promise<int> p) -> Task<void> {
      co_await Turns(4);
      p.Set(5);
    }(std::move(promise)));
    Queue<int> queue(1);
    auto selected = co_await Select(future, handle, queue.Get(), Forever());
    EXPECT_EQ(selected.index(), 0u);
    EXPECT_EQ(selected.get<0>().value_or(0), 5);
    // On several threads the value may be there before the others have begun.
    if (selected.has<1>()) {
      EXPECT_TRUE(absl::IsCancelled(selected.get<1>()));  // awaiting a handle passes the cancel on
    }
    if (selected.has<3>()) {
      EXPECT_TRUE(absl::IsCancelled(selected.get<2>().status()));
      EXPECT_TRUE(absl::IsCancelled(selected.get<3>()));
    }
    handle.Cancel();
    const absl::Status ended = co_await handle;
    EXPECT_TRUE(absl::IsCancelled(ended));
    co_await setter;
  });
}

TEST_P(TaskSuite, SelectOfVoidAndPlainValues) {
  Await([]() -> Task<void> {
    auto selected = co_await Select(Forever(), Give(std::string("text")));
    EXPECT_EQ(selected.index(), 1u);
    EXPECT_EQ(selected.get<1>(), "text");
    auto nothing = co_await Select(Turns(1), Forever());
    EXPECT_EQ(nothing.index(), 0u);
    nothing.get<0>();  // void
    int target = 0;
    auto reference = co_await Select(GiveReference(target));
    EXPECT_EQ(&reference.get<0>(), &target);
  });
}

Task<absl::StatusOr<int>> GiveInSpiteOfCancel(int n) {
  const absl::Status cancelled = co_await Forever();
  EXPECT_TRUE(absl::IsCancelled(cancelled));
  co_return n;
}

// Trap: a cancel that races completion.
TEST_P(TaskSuite, AValueThatArrivedWithTheCancelOfASelectIsNotLost) {
  Await([]() -> Task<void> {
    auto selected = co_await Select(GiveInSpiteOfCancel(1), TurnsThenGive(2, 2));
    EXPECT_EQ(selected.index(), 1u);
    EXPECT_EQ(*selected.get<0>(), 1);
    EXPECT_EQ(*selected.get<1>(), 2);
  });
}

TEST_P(TaskSuite, NoItemOfAQueueIsLostInSelects) {
  constexpr int kItems = 500;
  Await([]() -> Task<void> {
    Queue<int> a(2);
    Queue<int> b(2);
    auto produce = [](Queue<int>* queue, int first) -> Task<absl::Status> {
      for (int i = 0; i < kItems; ++i) {
        absl::Status put = co_await queue->Put(first + i);
        if (!put.ok()) co_return put;
        if (i % 3 == 0) co_await Yield();
      }
      co_return absl::OkStatus();
    };
    JoinHandle<absl::Status> even = Spawn(produce(&a, 0));
    JoinHandle<absl::Status> odd = Spawn(produce(&b, 10'000));
    std::vector<int> seen;
    while (seen.size() < 2 * kItems) {
      auto selected = co_await Select(a.Get(), b.Get());
      if (selected.has<0>() && selected.get<0>().ok()) seen.push_back(*selected.get<0>());
      if (selected.has<1>() && selected.get<1>().ok()) seen.push_back(*selected.get<1>());
    }
    const absl::Status evens = co_await even;
    const absl::Status odds = co_await odd;
    EXPECT_TRUE(evens.ok() && odds.ok());
    std::sort(seen.begin(), seen.end());
    for (int i = 0; i < kItems; ++i) {
      EXPECT_EQ(seen[static_cast<size_t>(i)], i);
      EXPECT_EQ(seen[static_cast<size_t>(kItems + i)], 10'000 + i);
    }
  });
}

TEST_P(TaskSuite, ACancelOfTheTaskReachesTheBranchesOfASelect) {
  Await([]() -> Task<void> {
    auto run = []() -> Task<absl::Status> {
      Promise<void> never;
      Future<void> future = never.future();
      auto selected = co_await Select(Forever(), future);
      EXPECT_TRUE(absl::IsCancelled(selected.get<0>()));
      if (selected.has<1>()) {
        EXPECT_TRUE(absl::IsCancelled(selected.get<1>()));
      }
      co_return selected.get<0>();
    };
    JoinHandle<absl::Status> task = Spawn(run());
    co_await Turns(2);
    task.Cancel();
    const absl::Status status = co_await task;
    EXPECT_TRUE(absl::IsCancelled(status)) << status;
  });
}

Task<int> SelectDeep(int depth) {
  if (depth == 0) co_return 0;
  auto selected = co_await Select(SelectDeep(depth - 1), Forever());
  co_return 1 + selected.get<0>();
}

TEST_P(TaskSuite, SelectsInsideSelectsDoNotUseUpTheStack) {
  const int depth = Await([]() -> Task<int> { co_return co_await SelectDeep(5'000); });
  EXPECT_EQ(depth, 5'000);
}

#if defined(__cpp_exceptions)
TEST_P(TaskSuite, SelectKeepsTheExceptionsOfItsBranches) {
  Await([]() -> Task<void> {
    auto selected = co_await Select(Throw("boom"), Forever());
    EXPECT_EQ(selected.index(), 0u);
    std::string what;
    try {
      static_cast<void>(selected.get<0>());
    } catch (const std::runtime_error& error) {
      what = error.what();
    }
    EXPECT_EQ(what, "boom");
  });
}
#endif

TEST_P(TaskSuite, SelectOfAVectorGivesTheFirstAndJoinsTheRest) {
  Await([&]() -> Task<void> {
    std::vector<Task<absl::StatusOr<int>>> tasks;
    for (int i = 0; i < 10; ++i) tasks.push_back(TurnsThenGive(i == 6 ? 1 : 1000, i));
    auto selected = co_await Select(std::move(tasks));
    EXPECT_TRUE(selected.ok()) << selected.status();
    if (!selected.ok()) co_return;
    EXPECT_EQ(selected->size(), 10u);
    if (ordered()) {
      for (size_t i = 0; i < selected->size(); ++i) EXPECT_TRUE(selected->has(i));
      EXPECT_EQ(selected->index(), 6u);
    }
    EXPECT_EQ(*selected->get(), static_cast<int>(selected->index()));
    auto nothing = co_await Select(std::vector<Task<int>>());
    EXPECT_TRUE(absl::IsInvalidArgument(nothing.status())) << nothing.status();
  });
}

TEST_P(TaskSuite, TheBranchesOfASelectAreGoneBeforeItReturns) {
  auto held = std::make_shared<int>(1);
  Await([&]() -> Task<void> {
    auto hold = [](std::shared_ptr<int>) -> Task<absl::Status> {
      absl::Status status = co_await Forever();
      co_await Uncancellable(Turns(3));  // cleanup may wait
      co_return status;
    };
    auto selected = co_await Select(hold(held), hold(held), Turns(2));
    EXPECT_EQ(selected.index(), 2u);
    EXPECT_EQ(held.use_count(), 1);
  });
}

// --- Wait ---

TEST_P(TaskSuite, WaitForAllTellsThatAllHaveEnded) {
  Await([]() -> Task<void> {
    std::vector<JoinHandle<absl::StatusOr<int>>> handles;
    for (int i = 0; i < 5; ++i) handles.push_back(Spawn(TurnsThenGive(i, i)));
    const absl::StatusOr<WaitResult> ended = co_await Wait(handles);
    EXPECT_TRUE(ended.ok()) << ended.status();
    EXPECT_EQ(ended->done, (std::vector<size_t>{0, 1, 2, 3, 4}));
    EXPECT_TRUE(ended->pending.empty());
    for (auto& handle : handles) EXPECT_TRUE(handle.done());
  });
}

TEST_P(TaskSuite, WaitForTheFirstLeavesTheOthersRunning) {
  Await([]() -> Task<void> {
    std::vector<JoinHandle<absl::Status>> handles;
    handles.push_back(Spawn(Forever()));
    handles.push_back(Spawn(Ok()));
    handles.push_back(Spawn(Forever()));
    const absl::StatusOr<WaitResult> ended = co_await Wait(handles, WaitFor::kFirstCompleted);
    EXPECT_TRUE(ended.ok()) << ended.status();
    EXPECT_EQ(ended->done, (std::vector<size_t>{1}));
    EXPECT_EQ(ended->pending, (std::vector<size_t>{0, 2}));
    EXPECT_FALSE(handles[0].done());
    for (auto& handle : handles) handle.Cancel();
    const absl::StatusOr<WaitResult> all = co_await Wait(handles, WaitFor::kAll);
    EXPECT_EQ(all->done.size(), 3u);
  });
}

TEST_P(TaskSuite, WaitForTheFirstErrorPassesOverSuccesses) {
  Await([]() -> Task<void> {
    std::vector<JoinHandle<absl::Status>> handles;
    handles.push_back(Spawn(Ok()));
    handles.push_back(Spawn(Forever()));
    handles.push_back(Spawn(TurnsThenFail(4, "late")));
    const absl::StatusOr<WaitResult> ended = co_await Wait(handles, WaitFor::kFirstError);
    EXPECT_TRUE(ended.ok()) << ended.status();
    EXPECT_EQ(ended->pending, (std::vector<size_t>{1}));
    EXPECT_TRUE(absl::IsInternal(handles[2].error()));
    handles[1].Cancel();
    std::vector<JoinHandle<absl::Status>> good;
    good.push_back(Spawn(Ok()));
    const absl::StatusOr<WaitResult> all = co_await Wait(good, WaitFor::kFirstError);
    EXPECT_EQ(all->done.size(), 1u);
    static_cast<void>(co_await Wait(handles));
  });
}

TEST_P(TaskSuite, ACancelledWaitLeavesTheTasksRunning) {
  Await([]() -> Task<void> {
    std::vector<JoinHandle<absl::Status>> handles;
    handles.push_back(Spawn(Forever()));
    auto wait = [&]() -> Task<absl::Status> {
      const absl::StatusOr<WaitResult> ended = co_await Wait(handles);
      co_return ended.status();
    };
    JoinHandle<absl::Status> waiter = Spawn(wait());
    co_await Turns(2);
    waiter.Cancel();
    const absl::Status waited = co_await waiter;
    EXPECT_TRUE(absl::IsCancelled(waited)) << waited;
    EXPECT_FALSE(handles[0].done());
    handles[0].Cancel();
    static_cast<void>(co_await Wait(handles));
  });
}

TEST_P(TaskSuite, WaitForNothingIsAnError) {
  Await([]() -> Task<void> {
    const std::vector<JoinHandle<int>> none;
    const absl::StatusOr<WaitResult> nothing = co_await Wait(none);
    EXPECT_TRUE(absl::IsInvalidArgument(nothing.status())) << nothing.status();
    const std::vector<TaskHandle> empty(1);
    const absl::StatusOr<WaitResult> moved = co_await Wait(empty);
    EXPECT_TRUE(absl::IsInvalidArgument(moved.status())) << moved.status();
  });
}

// A long-lived task that is waited for again and again keeps nothing of the waits.
TEST_P(TaskSuite, WaitsThatHaveEndedLeaveNothingWithATaskThatRunsOn) {
  Await([]() -> Task<void> {
    std::vector<TaskHandle> handles(2);
    JoinHandle<absl::Status> forever = Spawn(Forever());
    handles[0] = forever;
    for (int i = 0; i < 1000; ++i) {
      handles[1] = Spawn(Give(i));
      const absl::StatusOr<WaitResult> ended = co_await Wait(handles, WaitFor::kFirstCompleted);
      EXPECT_EQ(ended->done, (std::vector<size_t>{1}));
    }
    forever.Cancel();
    const absl::Status status = co_await forever;
    EXPECT_TRUE(absl::IsCancelled(status));
  });
}

// --- Shield ---

TEST_P(TaskSuite, AShieldedTaskRunsOnWhenItsWaiterIsCancelled) {
  Await([]() -> Task<void> {
    Promise<int> promise;
    JoinHandle<absl::StatusOr<int>> inner = Spawn(
        [](Future<int> f) -> Task<absl::StatusOr<int>> { co_return co_await f; }(promise.future()));
    auto wait = [&]() -> Task<absl::StatusOr<int>> { co_return co_await Shield(inner); };
    JoinHandle<absl::StatusOr<int>> waiter = Spawn(wait());
    co_await Turns(2);
    waiter.Cancel();
    const absl::StatusOr<int> waited = co_await waiter;
    EXPECT_TRUE(absl::IsCancelled(waited.status())) << waited.status();
    EXPECT_FALSE(inner.done());
    promise.Set(5);
    const absl::StatusOr<int> value = co_await inner;
    EXPECT_TRUE(value.ok() && *value == 5) << value.status();
    const absl::StatusOr<int> again = co_await Shield(inner);
    EXPECT_TRUE(again.ok() && *again == 5) << again.status();
  });
}

TEST_P(TaskSuite, AShieldGivesTheResultOfTheTask) {
  Await([]() -> Task<void> {
    const absl::StatusOr<int> plain = co_await Shield(Give(3));
    EXPECT_TRUE(plain.ok() && *plain == 3);
    const absl::Status nothing = co_await Shield(Nothing());
    EXPECT_TRUE(nothing.ok());
    const absl::StatusOr<int> failed = co_await Shield(FailOr("broken"));
    EXPECT_TRUE(absl::IsInternal(failed.status()));
    JoinHandle<std::unique_ptr<int>> moved = Spawn(GiveMoveOnly(4));
    const absl::StatusOr<std::unique_ptr<int>> four = co_await Shield(moved);
    EXPECT_TRUE(four.ok() && **four == 4);
    // The inner task's own cancel is its result.
    JoinHandle<absl::Status> cancelled = Spawn(Forever());
    cancelled.Cancel();
    const absl::Status status = co_await Shield(cancelled);
    EXPECT_TRUE(absl::IsCancelled(status));
  });
}

// --- AsCompleted ---

TEST_P(TaskSuite, AsCompletedGivesResultsInTheOrderOfTheirEnds) {
  Await([&]() -> Task<void> {
    std::vector<JoinHandle<absl::StatusOr<int>>> handles;
    for (int i = 0; i < 6; ++i) handles.push_back(Spawn(TurnsThenGive(3 * (6 - i), i)));
    AsyncGenerator<absl::StatusOr<int>> results = AsCompleted(std::move(handles));
    std::vector<int> order;
    while (auto result = co_await results.Next()) {
      EXPECT_TRUE(result->ok()) << result->status();
      order.push_back(**result);
    }
    if (ordered()) {
      EXPECT_EQ(order, (std::vector<int>{5, 4, 3, 2, 1, 0}));
    }
    std::sort(order.begin(), order.end());
    EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4, 5}));
  });
}

TEST_P(TaskSuite, AsCompletedGivesPlainAndMoveOnlyResults) {
  Await([]() -> Task<void> {
    std::vector<JoinHandle<std::unique_ptr<int>>> handles;
    for (int i = 0; i < 4; ++i) handles.push_back(Spawn(GiveMoveOnly(i)));
    for (int i = 0; i < 3; ++i) co_await Yield();
    AsyncGenerator<std::unique_ptr<int>> results = AsCompleted(std::move(handles));
    int sum = 0;
    while (auto result = co_await results.Next()) sum += **result;
    EXPECT_EQ(sum, 6);
    AsyncGenerator<int> nothing = AsCompleted(std::vector<JoinHandle<int>>());
    const auto none = co_await nothing.Next();
    EXPECT_FALSE(none.has_value());
  });
}

TEST_P(TaskSuite, ACancelEndsAsCompletedAndLeavesTheTasksRunning) {
  Await([]() -> Task<void> {
    JoinHandle<absl::Status> forever = Spawn(Forever());
    auto consume = [](JoinHandle<absl::Status> handle) -> Task<int> {
      std::vector<JoinHandle<absl::Status>> handles;
      handles.push_back(std::move(handle));
      AsyncGenerator<absl::Status> results = AsCompleted(std::move(handles));
      int cancelled = 0;
      while (auto result = co_await results.Next()) cancelled += absl::IsCancelled(*result) ? 1 : 0;
      co_return cancelled;
    };
    JoinHandle<int> consumer = Spawn(consume(forever.Share()));
    co_await Turns(3);
    consumer.Cancel();
    const int cancelled = co_await consumer;
    EXPECT_EQ(cancelled, 1);
    EXPECT_FALSE(forever.done());
    forever.Cancel();
    const absl::Status status = co_await forever;
    EXPECT_TRUE(absl::IsCancelled(status));
  });
}

// --- GatherAll, GatherLimit ---

TEST_P(TaskSuite, GatherAllGivesWhatEachTaskEndedWith) {
  Await([]() -> Task<void> {
    auto [one, failed, nothing, ok] =
        co_await GatherAll(Give(1), FailOr("broken"), Nothing(), Ok());
    EXPECT_TRUE(one.ok() && *one == 1);
    EXPECT_TRUE(absl::IsInternal(failed.status()));
    EXPECT_TRUE(nothing.ok() && ok.ok());
    std::vector<Task<absl::StatusOr<int>>> tasks;
    tasks.push_back(FailOr("first"));
    tasks.push_back(TurnsThenGive(5, 5));  // it is not cancelled
    const std::vector<absl::StatusOr<int>> all = co_await GatherAll(std::move(tasks));
    EXPECT_EQ(all.size(), 2u);
    EXPECT_TRUE(absl::IsInternal(all[0].status()));
    EXPECT_TRUE(all[1].ok() && *all[1] == 5);
    const std::vector<absl::StatusOr<int>> empty = co_await GatherAll(std::vector<Task<int>>());
    EXPECT_TRUE(empty.empty());
  });
}

#if defined(__cpp_exceptions)
TEST_P(TaskSuite, GatherAllTurnsAnExceptionIntoAnError) {
  Await([]() -> Task<void> {
    auto [thrown, one] = co_await GatherAll(Throw("boom"), Give(1));
    EXPECT_TRUE(absl::StrContains(thrown.status().message(), "boom")) << thrown.status();
    EXPECT_TRUE(one.ok());
  });
}
#endif

Task<absl::StatusOr<int>> CountInFlight(Atomic<int>* in_flight, Atomic<int>* most, int n) {
  const int now = in_flight->fetch_add(1) + 1;
  int seen = most->load();
  while (seen < now && !most->compare_exchange_weak(seen, now)) {
  }
  co_await Turns(n % 4);
  in_flight->fetch_sub(1);
  co_return n;
}

TEST_P(TaskSuite, GatherLimitRunsNoMoreThanItsLimitAtOnceAndKeepsTheOrder) {
  Await([]() -> Task<void> {
    for (int limit : {1, 3, 100}) {
      Atomic<int> in_flight{0};
      Atomic<int> most{0};
      std::vector<Task<absl::StatusOr<int>>> tasks;
      for (int i = 0; i < 20; ++i) tasks.push_back(CountInFlight(&in_flight, &most, i));
      const absl::StatusOr<std::vector<int>> all = co_await GatherLimit(limit, std::move(tasks));
      EXPECT_TRUE(all.ok()) << all.status();
      for (size_t i = 0; i < 20; ++i) EXPECT_EQ((*all)[i], static_cast<int>(i));
      EXPECT_LE(most.load(), limit);
      EXPECT_GE(most.load(), 1);
    }
  });
}

TEST_P(TaskSuite, AnErrorInAGatherLimitKeepsTheRestFromBeginning) {
  Await([]() -> Task<void> {
    Atomic<int> begun{0};
    auto begin = [](Atomic<int>* count) -> Task<absl::StatusOr<int>> {
      count->fetch_add(1);
      co_return 1;
    };
    std::vector<Task<absl::StatusOr<int>>> tasks;
    tasks.push_back(FailOr("broken"));
    for (int i = 0; i < 10; ++i) tasks.push_back(begin(&begun));
    const absl::StatusOr<std::vector<int>> all = co_await GatherLimit(1, std::move(tasks));
    EXPECT_TRUE(absl::IsInternal(all.status())) << all.status();
    EXPECT_EQ(begun.load(), 0);
  });
}

TEST_P(TaskSuite, ACancelledGatherLimitOfPlainValuesStillGivesThemAll) {
  Await([]() -> Task<void> {
    auto run = []() -> Task<std::vector<int>> {
      auto give = [](int n) -> Task<int> {
        const absl::Status waited = co_await Forever();
        co_return absl::IsCancelled(waited) ? n : -1;
      };
      std::vector<Task<int>> tasks;
      for (int i = 0; i < 6; ++i) tasks.push_back(give(i));
      co_return co_await GatherLimit(2, std::move(tasks));
    };
    JoinHandle<std::vector<int>> task = Spawn(run());
    co_await Turns(3);
    task.Cancel();
    const std::vector<int> values = co_await task;
    EXPECT_EQ(values, (std::vector<int>{0, 1, 2, 3, 4, 5}));
  });
}

TEST_P(TaskSuite, ALimitBelowOneIsAnError) {
  Await([]() -> Task<void> {
    std::vector<Task<absl::StatusOr<int>>> tasks;
    tasks.push_back(GiveOr(1));
    const absl::StatusOr<std::vector<int>> all = co_await GatherLimit(0, std::move(tasks));
    EXPECT_TRUE(absl::IsInvalidArgument(all.status())) << all.status();
  });
}

// --- a group's limit ---

TEST_P(TaskSuite, AGroupsLimitHoldsChildrenBackAndRunsThemAll) {
  Atomic<int> in_flight{0};
  Atomic<int> most{0};
  Atomic<int> ended{0};
  const absl::Status status = Await([&]() -> Task<absl::Status> {
    auto child = [](Atomic<int>* in, Atomic<int>* top, Atomic<int>* count,
                    int n) -> Task<absl::Status> {
      const absl::StatusOr<int> counted = co_await CountInFlight(in, top, n);
      count->fetch_add(counted.ok() ? 1 : 0);
      co_return counted.status();
    };
    co_return co_await WithTaskGroup({.max_in_flight = 3},
                                     [&](TaskGroup& group) -> Task<absl::Status> {
                                       for (int i = 0; i < 30; ++i)
                                         group.Spawn(child(&in_flight, &most, &ended, i));
                                       co_return absl::OkStatus();
                                     });
  });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(ended.load(), 30);
  EXPECT_LE(most.load(), 3);
}

TEST_P(TaskSuite, ChildrenThatWaitForAGroupsLimitDoNotRunOnceItIsCancelled) {
  Atomic<int> begun{0};
  const absl::Status status = Await([&]() -> Task<absl::Status> {
    auto child = [](Atomic<int>* count) -> Task<absl::Status> {
      count->fetch_add(1);
      co_return co_await Forever();
    };
    co_return co_await WithTaskGroup({.max_in_flight = 2},
                                     [&](TaskGroup& group) -> Task<absl::Status> {
                                       for (int i = 0; i < 10; ++i) group.Spawn(child(&begun));
                                       while (begun.load() < 2) co_await Yield();
                                       group.Cancel();
                                       co_return absl::OkStatus();
                                     });
  });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(begun.load(), 2);
}

}  // namespace

// --- CancelScope, with the tests of timers ---

namespace {

TEST_P(TimerSuite, ACancelScopeExpiresAtItsDeadline) {
  Await([&]() -> Task<void> {
    CancelScope scope(unit());
    const absl::Status status = co_await scope.Run(Forever());
    EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
    EXPECT_TRUE(scope.expired());
    EXPECT_FALSE(scope.cancelled());
    // What runs in it afterwards ends at once.
    const absl::Status again = co_await scope.Run(Sleep(absl::Hours(1)));
    EXPECT_TRUE(absl::IsDeadlineExceeded(again)) << again;
    EXPECT_TRUE(absl::IsFailedPrecondition(scope.Reschedule(absl::Hours(1))));
  });
}

TEST_P(TimerSuite, ACancelScopeThatEndsInTimeGivesTheResult) {
  Await([&]() -> Task<void> {
    CancelScope scope(absl::Hours(1000));
    const absl::StatusOr<int> value = co_await scope.Run(TurnsThenGive(2, 5));
    EXPECT_TRUE(value.ok() && *value == 5);
    const absl::StatusOr<int> plain = co_await scope.Run(Give(6));
    EXPECT_TRUE(plain.ok() && *plain == 6);
    const absl::Status nothing = co_await scope.Run(Nothing());
    EXPECT_TRUE(nothing.ok());
    EXPECT_FALSE(scope.expired());
  });
}

TEST_P(TimerSuite, ACancelScopeCanBeCancelledByHand) {
  Await([&]() -> Task<void> {
    CancelScope scope;
    EXPECT_EQ(scope.deadline(), absl::InfiniteFuture());
    auto run = [](CancelScope* s) -> Task<absl::Status> { co_return co_await s->Run(Forever()); };
    JoinHandle<absl::Status> task = Spawn(run(&scope));
    co_await Turns(2);
    scope.Cancel();
    const absl::Status status = co_await task;
    EXPECT_TRUE(absl::IsCancelled(status)) << status;
    EXPECT_TRUE(scope.cancelled());
    EXPECT_FALSE(scope.expired());
    EXPECT_FALSE(task.cancelled() && CurrentStopToken().stop_requested());
  });
}

TEST_P(TimerSuite, TheDeadlineOfACancelScopeCanBeMoved) {
  Await([&]() -> Task<void> {
    CancelScope later(unit());
    auto extend = [&](CancelScope* scope) -> Task<absl::Status> {
      EXPECT_TRUE(scope->Reschedule(absl::Hours(1000)).ok());
      co_return co_await Sleep(2 * unit());
    };
    const absl::Status slept = co_await later.Run(extend(&later));
    EXPECT_TRUE(slept.ok()) << slept;
    CancelScope sooner(absl::Hours(1000));
    EXPECT_TRUE(sooner.Reschedule(unit()).ok());
    const absl::Status cut = co_await sooner.Run(Forever());
    EXPECT_TRUE(absl::IsDeadlineExceeded(cut)) << cut;
    CancelScope never(unit());
    EXPECT_TRUE(never.Reschedule(absl::InfiniteDuration()).ok());
    const absl::Status unbounded = co_await never.Run(Sleep(2 * unit()));
    EXPECT_TRUE(unbounded.ok()) << unbounded;
    CancelScope at(clock().WallTime() + unit());
    const absl::Status passed = co_await at.Run(Forever());
    EXPECT_TRUE(absl::IsDeadlineExceeded(passed)) << passed;
    CancelScope before(clock().WallTime() - unit());
    const absl::Status past = co_await before.Run(Forever());
    EXPECT_TRUE(absl::IsDeadlineExceeded(past)) << past;
  });
}

TEST_P(TimerSuite, Line55OfNestedCancelScopesTheOneWhoseDeadlinePassedReportsIt) {
  Await([&]() -> Task<void> {
    CancelScope outer(unit());
    absl::Status seen_inside;
    auto inside = [](absl::Status* seen) -> Task<absl::Status> {
      CancelScope inner(absl::Hours(1000));
      *seen = co_await inner.Run(Forever());
      EXPECT_FALSE(inner.expired());
      co_return *seen;
    };
    const absl::Status status = co_await outer.Run(inside(&seen_inside));
    EXPECT_TRUE(absl::IsCancelled(seen_inside)) << seen_inside;
    EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
    CancelScope patient(absl::Hours(1000));
    auto hasty = [&](absl::Duration after) -> Task<absl::Status> {
      CancelScope inner(after);
      const absl::Status cut = co_await inner.Run(Forever());
      EXPECT_TRUE(absl::IsDeadlineExceeded(cut)) << cut;
      co_return absl::OkStatus();  // the outer one is not concerned
    };
    const absl::Status fine = co_await patient.Run(hasty(unit()));
    EXPECT_TRUE(fine.ok()) << fine;
  });
}

TEST_P(TimerSuite, Line53ACancelOfTheTaskWinsOverACancelScopesDeadline) {
  Await([&]() -> Task<void> {
    auto run = [&]() -> Task<absl::Status> {
      CancelScope scope(absl::Hours(1000));
      const absl::Status status = co_await scope.Run(Forever());
      EXPECT_FALSE(scope.expired());
      co_return status;
    };
    JoinHandle<absl::Status> task = Spawn(run());
    co_await Turns(2);
    task.Cancel();
    const absl::Status status = co_await task;
    EXPECT_TRUE(absl::IsCancelled(status)) << status;
  });
}

TEST_P(TimerSuite, NonsenseDeadlinesOfACancelScopeAreErrors) {
  Await([&]() -> Task<void> {
    CancelScope scope(-absl::Seconds(1));
    const absl::Status status = co_await scope.Run(Forever());
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    CancelScope good(absl::Hours(1000));
    EXPECT_TRUE(absl::IsInvalidArgument(good.Reschedule(-absl::InfiniteDuration())));
    const absl::Status ok = co_await good.Run(Ok());
    EXPECT_TRUE(ok.ok()) << ok;
  });
}

// Trap: a cancel that races completion.
TEST_P(TimerSuite, Line54ADeadlineAndACompletionHaveOneOutcome) {
  Await([&]() -> Task<void> {
    for (int i = 0; i < 100; ++i) {
      CancelScope scope(virtual_time() ? unit() : absl::Microseconds(i));
      const absl::Status status =
          co_await scope.Run(Sleep(virtual_time() ? unit() : absl::Microseconds(i)));
      EXPECT_TRUE(status.ok() || absl::IsDeadlineExceeded(status)) << status;
      // A full sleep is a value that is not lost, whatever the deadline says.
      if (!scope.expired()) {
        EXPECT_TRUE(status.ok()) << status;
      }
    }
  });
}

}  // namespace
}  // namespace plait
