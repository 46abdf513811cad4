// Wait, Shield and AsCompleted: for tasks that run by themselves.
#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "plait/runtime/task/as_completed.h"
#include "plait/runtime/task/async_generator.h"
#include "plait/runtime/task/future.h"
#include "plait/runtime/task/join_handle.h"
#include "plait/runtime/task/spawn.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/task/wait.h"
#include "plait/runtime/testing/task_programs.h"
#include "plait/runtime/testing/task_suite.h"

namespace plait {
namespace {

using namespace testing_programs;  // NOLINT: they are this file's own words

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

}  // namespace
}  // namespace plait
