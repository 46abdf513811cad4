// Gather, GatherAll, GatherLimit, and the limit on a group's children. The numbers in the tests'
// names are those of the list "What any event loop must get right".
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/task/gather.h"
#include "plait/runtime/task/join_handle.h"
#include "plait/runtime/task/spawn.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/task/task_group.h"
#include "plait/runtime/testing/task_programs.h"
#include "plait/runtime/testing/task_suite.h"

namespace plait {
namespace {

using namespace testing_programs;  // NOLINT: they are this file's own words

using internal::Atomic;

// --- Gather ---

TEST_P(TaskSuite, GatherGivesATupleInTheOrderOfTheArguments) {
  int target = 0;
  Await([&]() -> Task<void> {
    auto late = [](int turns, int n) -> Task<int> {
      co_await Turns(turns);
      co_return n;
    };
    const auto [a, b, c] = co_await Gather(late(5, 1), late(0, 2), Give(std::string("three")));
    EXPECT_EQ(a, 1);
    EXPECT_EQ(b, 2);
    EXPECT_EQ(c, "three");
    const std::tuple<std::unique_ptr<int>, int> moved = co_await Gather(GiveMoveOnly(4), Give(5));
    EXPECT_EQ(*std::get<0>(moved), 4);
    EXPECT_EQ(std::get<1>(moved), 5);
    const std::tuple<int&, int> with_reference = co_await Gather(GiveReference(target), Give(6));
    EXPECT_EQ(&std::get<0>(with_reference), &target);
    const std::tuple<std::monostate, int> with_void = co_await Gather(Nothing(), Give(7));
    EXPECT_EQ(std::get<1>(with_void), 7);
    co_await Gather(Nothing(), Nothing());
    const std::tuple<> none = co_await Gather();
    static_cast<void>(none);
  });
}

TEST_P(TaskSuite, GatherGivesAVectorInOrder) {
  Await([]() -> Task<void> {
    auto late = [](int turns, int n) -> Task<int> {
      co_await Turns(turns);
      co_return n;
    };
    std::vector<Task<int>> tasks;
    for (int i = 0; i < 20; ++i) tasks.push_back(late((i * 7) % 5, i));
    const std::vector<int> values = co_await Gather(std::move(tasks));
    EXPECT_EQ(values.size(), 20u);
    for (int i = 0; i < 20; ++i) EXPECT_EQ(values[static_cast<size_t>(i)], i);

    std::vector<Task<std::unique_ptr<int>>> move_only;
    move_only.push_back(GiveMoveOnly(1));
    const std::vector<std::unique_ptr<int>> moved = co_await Gather(std::move(move_only));
    EXPECT_EQ(*moved[0], 1);

    std::vector<Task<void>> nothings;
    nothings.push_back(Turns(2));
    nothings.push_back(Nothing());
    co_await Gather(std::move(nothings));
  });
}

TEST_P(TaskSuite, GatherOfAnEmptyVectorEndsAtOnce) {
  Await([]() -> Task<void> {
    const std::vector<int> none = co_await Gather(std::vector<Task<int>>());
    EXPECT_TRUE(none.empty());
    co_await Gather(std::vector<Task<void>>());
    const absl::Status status = co_await Gather(std::vector<Task<absl::Status>>());
    EXPECT_TRUE(status.ok()) << status;
    const absl::StatusOr<std::vector<int>> or_none =
        co_await Gather(std::vector<Task<absl::StatusOr<int>>>());
    EXPECT_TRUE(or_none.ok() && or_none->empty());
  });
}

TEST_P(TaskSuite, GatherOfStatusOrsGivesTheValues) {
  Await([]() -> Task<void> {
    const absl::StatusOr<std::tuple<int, int>> both =
        co_await Gather(GiveOr(1), TurnsThenGive(3, 2));
    EXPECT_TRUE(both.ok()) << both.status();
    EXPECT_EQ(*both, std::make_tuple(1, 2));
    const absl::StatusOr<std::tuple<std::monostate, int, int>> mixed =
        co_await Gather(Ok(), GiveOr(2), Give(3));
    EXPECT_TRUE(mixed.ok()) << mixed.status();
    EXPECT_EQ(std::get<2>(*mixed), 3);
    std::vector<Task<absl::StatusOr<int>>> tasks;
    for (int i = 0; i < 5; ++i) tasks.push_back(TurnsThenGive(5 - i, i));
    const absl::StatusOr<std::vector<int>> all = co_await Gather(std::move(tasks));
    EXPECT_TRUE(all.ok()) << all.status();
    EXPECT_EQ(*all, (std::vector<int>{0, 1, 2, 3, 4}));
    const absl::Status statuses = co_await Gather(Ok(), Ok());
    EXPECT_TRUE(statuses.ok()) << statuses;
  });
}

TEST_P(TaskSuite, Line51TheFirstErrorOfAGatherCancelsTheOthersAndAllAreJoined) {
  Atomic<int> ended{0};
  Await([&]() -> Task<void> {
    const absl::Status of_tuple =
        co_await Gather(CountedForever(&ended), TurnsThenFail(3, "first"), CountedForever(&ended),
                        FailWhenCancelled("too late"));
    EXPECT_EQ(of_tuple, absl::InternalError("first"));
    EXPECT_EQ(ended.load(internal::kRelaxed), 2);
    std::vector<Task<absl::Status>> tasks;
    tasks.push_back(CountedForever(&ended));
    tasks.push_back(TurnsThenFail(1, "of vector"));
    const absl::Status of_vector = co_await Gather(std::move(tasks));
    EXPECT_EQ(of_vector, absl::InternalError("of vector"));
    EXPECT_EQ(ended.load(internal::kRelaxed), 3);
    const absl::StatusOr<std::tuple<int, int>> or_tuple = co_await Gather(GiveOr(1), FailOr("or"));
    EXPECT_EQ(or_tuple.status(), absl::InternalError("or"));
  });
}

TEST_P(TaskSuite, Line53AnOuterCancelReachesEveryChildOfAGather) {
  Await([]() -> Task<void> {
    auto gather = [](Atomic<int>* ended) -> Task<absl::Status> {
      co_return co_await Gather(CountedForever(ended), CountedForever(ended));
    };
    auto gather_plain = [](bool* a, bool* b) -> Task<void> {
      auto note = [](bool* cancelled) -> Task<int> {
        static_cast<void>(co_await ForeverNoting(cancelled));
        co_return 1;
      };
      const std::tuple<int, int> both = co_await Gather(note(a), note(b));
      EXPECT_EQ(both, std::make_tuple(1, 1));
    };
    Atomic<int> ended{0};
    JoinHandle<absl::Status> handle = Spawn(gather(&ended));
    bool a = false;
    bool b = false;
    JoinHandle<void> plain = Spawn(gather_plain(&a, &b));
    co_await Turns(5);
    handle.Cancel();
    plain.Cancel();
    const absl::Status status = co_await handle;
    EXPECT_TRUE(absl::IsCancelled(status)) << status;
    EXPECT_EQ(ended.load(internal::kRelaxed), 2);
    co_await plain;
    EXPECT_TRUE(a && b);
  });
}

TEST_P(TaskSuite, AGatheredTaskIsLazyAndChildrenStartInOrder) {
  Await([&]() -> Task<void> {
    if (!ordered()) co_return;
    std::vector<int> started;
    auto note = [](std::vector<int>* log, int n) -> Task<void> {
      log->push_back(n);
      co_return;
    };
    Task<void> gather = Gather(note(&started, 0), note(&started, 1), note(&started, 2));
    co_await Turns(3);
    EXPECT_TRUE(started.empty());
    co_await std::move(gather);
    EXPECT_EQ(started, (std::vector<int>{0, 1, 2}));
  });
}

Task<void> GatherMovedFrom() {
  Task<int> task = Give(1);
  Task<int> other = std::move(task);
  static_cast<void>(co_await Gather(std::move(task)));  // NOLINT: the misuse is the test
}

TEST_P(TaskSuite, GatheringAMovedFromTaskIsAProgrammingError) {
  EXPECT_DEATH(
      {
        std::unique_ptr<Executor> mortal = MakeExecutor();
        BlockOn(*mortal, GatherMovedFrom());
      },
      "gathering a Task that was moved from or awaited before");
}

#if defined(__cpp_exceptions)
TEST_P(TaskSuite, AnExceptionOfAGatheredChildCancelsTheOthersAndIsRethrown) {
  Atomic<int> ended{0};
  Await([&]() -> Task<void> {
    bool caught = false;
    try {
      static_cast<void>(co_await Gather(CountedForever(&ended), Throw("oh"), Throw("later")));
    } catch (const std::runtime_error& error) {
      caught = error.what() == std::string("oh") || !ordered();
    }
    EXPECT_TRUE(caught);
    EXPECT_EQ(ended.load(internal::kRelaxed), 1);
    caught = false;
    std::vector<Task<int>> tasks;
    tasks.push_back(Give(1));
    tasks.push_back(Throw("of vector"));
    try {
      static_cast<void>(co_await Gather(std::move(tasks)));
    } catch (const std::runtime_error& error) {
      caught = error.what() == std::string("of vector");
    }
    EXPECT_TRUE(caught);
  });
}
#endif

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
}  // namespace plait
