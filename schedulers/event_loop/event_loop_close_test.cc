// Closing an EventLoop: what becomes of its tasks, operations and callbacks, and of what others
// wait for here. The numbers in the tests' names are those of the list "What any event loop must
// get right".
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_reactors.h"
#include "plait/runtime/testing/reactor_factory.h"
#include "plait/schedulers/event_loop/event_loop.h"
#include "plait/schedulers/event_loop/event_loop_fixture.h"

namespace plait {
namespace {

INSTANTIATE_TEST_SUITE_P(AllReactors, EventLoopTest, testing::ValuesIn(AllReactors()),
                         ReactorFactory::Name);
INSTANTIATE_TEST_SUITE_P(AllReactors, EventLoopDeathTest, testing::ValuesIn(AllReactors()),
                         ReactorFactory::Name);

// On another thread than the loop's, which runs, and ends them.
void AwaitLastTask(EventLoop& loop) {
  for (int round = 0; loop.tasks().size() > 0; ++round) internal::SpinWait(round);
}

TEST_P(EventLoopTest, Line7CloseCancelsLiveOperationsAndTasksAndJoinsThem) {
  Pipe pipe;
  JoinHandle<absl::StatusOr<size_t>> reader = Spawn(ReadOne(pipe.reading()), {.executor = &loop_});
  JoinHandle<absl::Status> sleeper = Spawn(SleepTask(absl::Hours(9)), {.executor = &loop_});
  bool called = false;
  ASSERT_TRUE(loop_.PostAfter(absl::Hours(1), [&] { called = true; }).ok());
  EXPECT_TRUE(loop_.RunReady().ok());
  EXPECT_EQ(loop_.io().in_flight(), 1u);
  JoinHandle<absl::Status> fresh = Spawn(SleepTask(absl::Hours(9)), {.executor = &loop_});
  EXPECT_TRUE(loop_.Close().ok());
  EXPECT_TRUE(absl::IsCancelled(reader.result().status())) << reader.result().status();
  EXPECT_TRUE(absl::IsCancelled(sleeper.result())) << sleeper.result();
  EXPECT_TRUE(absl::IsCancelled(fresh.result())) << fresh.result();
  EXPECT_EQ(loop_.io().in_flight(), 0u);
  EXPECT_FALSE(called);
  EXPECT_FALSE(loop_.live());
  EXPECT_TRUE(loop_.Close().ok());  // again
}

TEST_P(EventLoopTest, Line7CloseFreesTheCallbacksThatHaveNotRun) {
  auto captured = std::make_shared<int>(1);
  EventLoop::Handle posted = loop_.Post([captured] {});
  absl::StatusOr<EventLoop::Handle> later = loop_.PostAfter(absl::Hours(1), [captured] {});
  absl::StatusOr<EventLoop::Handle> never =
      loop_.PostAfter(absl::InfiniteDuration(), [captured] {});
  ASSERT_TRUE(later.ok() && never.ok());
  EXPECT_TRUE(loop_.Close().ok());
  EXPECT_FALSE(posted.Cancel());
  EXPECT_FALSE(later->Cancel());
  EXPECT_FALSE(never->Cancel());
  posted = EventLoop::Handle();
  later = absl::CancelledError();
  never = absl::CancelledError();
  EXPECT_EQ(captured.use_count(), 1);
}

TEST_P(EventLoopTest, AClosedLoopRefusesToRun) {
  EXPECT_TRUE(loop_.Close().ok());
  for (const absl::Status& status :
       {loop_.Run(), loop_.RunForever(), loop_.RunOnce(), loop_.RunReady(), loop_.CancelTasks()}) {
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), "it was closed")) << status;
  }
}

TEST_P(EventLoopDeathTest, WorkForAClosedLoopIsAProgrammingError) {
  EventLoop loop(GetParam().make(nullptr));
  ASSERT_TRUE(loop.Close().ok());
  const char* const message = "work was scheduled on an EventLoop that was closed";
  EXPECT_DEATH(loop.Post([] {}), message);
  EXPECT_DEATH(loop.PostAfter(absl::Seconds(1), [] {}).IgnoreError(), message);
  EXPECT_DEATH(Spawn(YieldThenGive(1), {.executor = &loop}), message);
}

// Where threads keep frames, as without a sanitizer, one would be woken in the end for their sake.
TEST_P(EventLoopTest, CancelTasksEndsAlsoWhatTheTasksStartMeanwhile) {
  Event never;
  const auto wait = [&]() -> Task<absl::Status> { co_return co_await never.Wait(); };
  JoinHandle<absl::Status> started;
  const auto start = [&]() -> Task<absl::Status> {
    const absl::Status waited = co_await never.Wait();
    started = Spawn(wait(), {.eager = true});
    co_return waited;
  };
  JoinHandle<absl::Status> first = Spawn(start(), {.executor = &real_loop_});
  EXPECT_TRUE(real_loop_.RunOnce().ok());
  EXPECT_TRUE(real_loop_.CancelTasks().ok());
  EXPECT_TRUE(absl::IsCancelled(first.result()));
  EXPECT_TRUE(absl::IsCancelled(started.result()));
}

TEST_P(EventLoopTest, CancelTasksEndsTheTasksAndLeavesTheLoopOpen) {
  JoinHandle<absl::Status> sleeper = Spawn(SleepTask(absl::Hours(9)), {.executor = &loop_});
  EXPECT_TRUE(loop_.RunReady().ok());
  EXPECT_TRUE(loop_.CancelTasks().ok());
  EXPECT_TRUE(absl::IsCancelled(sleeper.result())) << sleeper.result();
  EXPECT_EQ(BlockOn(loop_, YieldThenGive(4)), 4);
}

Task<absl::Status> SpawnWhenCancelled(Executor* executor, JoinHandle<absl::Status>* late) {
  absl::Status cut = co_await Sleep(absl::Hours(1));
  *late = Spawn(SleepTask(absl::Hours(1)), {.executor = executor});
  co_return cut;
}

TEST_P(EventLoopTest, CloseAlsoEndsTasksThatCancelledTasksSpawn) {
  JoinHandle<absl::Status> late;
  JoinHandle<absl::Status> first = Spawn(SpawnWhenCancelled(&loop_, &late), {.executor = &loop_});
  EXPECT_TRUE(loop_.RunReady().ok());
  EXPECT_TRUE(loop_.Close().ok());
  EXPECT_TRUE(first.done());
  ASSERT_TRUE(late.valid());
  EXPECT_TRUE(absl::IsCancelled(late.result())) << late.result();
}

TEST_P(EventLoopTest, CloseRunsTheFunctionsAndPartsOfTasksThatOthersWaitForHere) {
  auto ask = [](EventLoop* there, const auto function) -> Task<int> {
    co_return co_await RunIn(*there, function);
  };
  auto visit = [](EventLoop* there) -> Task<absl::Status> {
    co_return co_await On(*there, SleepTask(absl::Hours(9)));
  };
  JoinHandle<int> call = Spawn(ask(&loop_, [] { return 7; }), {.executor = &real_loop_});
  JoinHandle<absl::Status> part = Spawn(visit(&loop_), {.executor = &real_loop_});
  EXPECT_TRUE(real_loop_.RunReady().ok());
  EXPECT_FALSE(call.done() || part.done());
  EXPECT_TRUE(loop_.live());
  EXPECT_TRUE(loop_.Close().ok());
  EXPECT_TRUE(real_loop_.RunReady().ok());
  ASSERT_TRUE(call.done() && part.done());
  EXPECT_EQ(call.result().value(), 7);
  EXPECT_TRUE(absl::IsCancelled(part.result())) << part.result();
}

TEST_P(EventLoopTest, CloseAlsoAwaitsWhatItsBlockingThreadsSpawnWhenNoTaskIsLeft) {
  JoinHandle<void> late;
  // It cannot say that it was cancelled, and so it runs.
  const auto clean_up = []() -> Task<void> {
    const absl::Status slept = co_await Uncancellable(Sleep(absl::Hours(1)));
    EXPECT_TRUE(slept.ok()) << slept;
  };
  const auto spawn_late = [&] {
    AwaitLastTask(loop_);
    late = Spawn(clean_up(), {.executor = &loop_});
  };
  const auto ask = [](Executor* there, const auto function) -> Task<void> {
    co_await RunIn(*there, function);
  };
  JoinHandle<absl::Status> last = Spawn(SleepTask(absl::Hours(9)), {.executor = &loop_});
  EXPECT_TRUE(loop_.RunReady().ok());
  JoinHandle<void> call = Spawn(ask(&loop_.blocking(), spawn_late), {.executor = &real_loop_});
  EXPECT_TRUE(real_loop_.RunReady().ok());
  EXPECT_TRUE(loop_.Close().ok());
  EXPECT_TRUE(last.cancelled());
  EXPECT_TRUE(late.done());
  while (!call.done()) EXPECT_TRUE(real_loop_.RunOnce().ok());
}

TEST_P(EventLoopTest, WhatIsSpawnedLateMayStillOffloadWhatCannotSayThatItDidNotRun) {
  JoinHandle<int> late;
  const auto offload = []() -> Task<int> { co_return co_await Offload([] { return 7; }); };
  const auto spawn_late = [&] {
    AwaitLastTask(loop_);
    late = Spawn(offload(), {.executor = &loop_});
  };
  const auto ask = [](Executor* there, const auto function) -> Task<void> {
    co_await RunIn(*there, function);
  };
  JoinHandle<void> call = Spawn(ask(&loop_.blocking(), spawn_late), {.executor = &real_loop_});
  EXPECT_TRUE(real_loop_.RunReady().ok());
  EXPECT_TRUE(loop_.Close().ok());
  ASSERT_TRUE(late.done());
  EXPECT_EQ(late.result().value(), 7);
  while (!call.done()) EXPECT_TRUE(real_loop_.RunOnce().ok());
}

// They begin when the loop has nothing left but to wait for its blocking threads.
TEST_P(EventLoopTest, CloseRunsWhatTasksOnItsBlockingThreadsWaitForHere) {
  const auto call = [&]() -> Task<int> {
    AwaitLastTask(loop_);
    co_return co_await RunIn(loop_, [] { return 7; });
  };
  const auto visit = [&]() -> Task<int> {
    AwaitLastTask(loop_);
    co_return co_await On(loop_, YieldThenGive(8));
  };
  JoinHandle<absl::Status> last = Spawn(SleepTask(absl::Hours(9)), {.executor = &loop_});
  EXPECT_TRUE(loop_.RunReady().ok());
  JoinHandle<int> called = Spawn(call(), {.executor = &loop_.blocking()});
  JoinHandle<int> visited = Spawn(visit(), {.executor = &loop_.blocking()});
  EXPECT_TRUE(loop_.Close().ok());
  ASSERT_TRUE(called.done() && visited.done());
  EXPECT_EQ(called.result().value(), 7);
  EXPECT_EQ(visited.result().value(), 8);
}

TEST_P(EventLoopTest, NoVirtualTimePassesWhileClosingWaitsForBlockingThreads) {
  bool called = false;
  ASSERT_TRUE(loop_.PostAfter(absl::Hours(1), [&] { called = true; }).ok());
  const auto call = [&]() -> Task<void> {
    for (int i = 0; i < 100; ++i) co_await RunIn(loop_, [] {});
  };
  JoinHandle<void> caller = Spawn(call(), {.executor = &loop_.blocking()});
  EXPECT_TRUE(loop_.Close().ok());
  EXPECT_TRUE(caller.done());
  EXPECT_FALSE(called);
  EXPECT_EQ(clock_.elapsed(), absl::ZeroDuration());
}

}  // namespace
}  // namespace plait
