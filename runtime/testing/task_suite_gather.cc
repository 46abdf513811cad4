// GatherAll, GatherLimit, and the limit on a group's children.
#include <utility>
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
