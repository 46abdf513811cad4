// What the event loop does beyond what the shared suites ask of every executor. The numbers in the
// tests' names are those of the list "What any event loop must get right".
#include "plait/schedulers/event_loop/event_loop.h"

#include <time.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/reactor.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_reactors.h"
#include "plait/runtime/testing/reactor_factory.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/schedulers/event_loop/event_loop_fixture.h"

namespace plait {
namespace {

using internal::Atomic;
using internal::kRelaxed;

INSTANTIATE_TEST_SUITE_P(AllReactors, EventLoopTest, testing::ValuesIn(AllReactors()),
                         ReactorFactory::Name);
INSTANTIATE_TEST_SUITE_P(AllReactors, EventLoopDeathTest, testing::ValuesIn(AllReactors()),
                         ReactorFactory::Name);

// --- Run, RunOnce, RunReady, Stop ---

TEST_P(EventLoopTest, Line1RunReturnsAtOnceWhenNothingIsLive) {
  EXPECT_FALSE(real_loop_.live());
  EXPECT_TRUE(real_loop_.Run().ok());
  EXPECT_TRUE(real_loop_.RunOnce().ok());
  EXPECT_TRUE(real_loop_.RunReady().ok());
}

TEST_P(EventLoopTest, Line1RunReturnsWhenTheLastCallbackTaskTimerAndOperationHaveEnded) {
  Pipe pipe;
  bool called = false;
  loop_.Post([&] { called = true; });
  JoinHandle<absl::Status> sleeper = Spawn(SleepTask(absl::Hours(3)), {.executor = &loop_});
  JoinHandle<absl::StatusOr<size_t>> reader = Spawn(ReadOne(pipe.reading()), {.executor = &loop_});
  ASSERT_TRUE(loop_.PostAfter(absl::Hours(5), [&] { pipe.Write(); }).ok());
  EXPECT_TRUE(loop_.live());
  EXPECT_TRUE(loop_.Run().ok());
  EXPECT_FALSE(loop_.live());
  EXPECT_TRUE(called);
  EXPECT_TRUE(sleeper.result().ok());
  EXPECT_TRUE(reader.result().ok());
  EXPECT_EQ(clock_.elapsed(), absl::Hours(5));
  EXPECT_TRUE(loop_.Run().ok());  // and may be run again
}

TEST_P(EventLoopTest, Line2RunOnceWaitsForOneEventAndRunsThatOnly) {
  std::vector<int> ran;
  ASSERT_TRUE(loop_.PostAfter(absl::Hours(1), [&] { ran.push_back(1); }).ok());
  ASSERT_TRUE(loop_.PostAfter(absl::Hours(2), [&] { ran.push_back(2); }).ok());
  EXPECT_TRUE(loop_.RunOnce().ok());
  EXPECT_EQ(ran, (std::vector<int>{1}));
  EXPECT_EQ(clock_.elapsed(), absl::Hours(1));
  EXPECT_TRUE(loop_.RunOnce().ok());
  EXPECT_EQ(ran, (std::vector<int>{1, 2}));
}

TEST_P(EventLoopTest, Line2RunOnceWaitsForAnOperation) {
  Pipe pipe;
  JoinHandle<absl::StatusOr<size_t>> reader =
      Spawn(ReadOne(pipe.reading()), {.executor = &real_loop_});
  EXPECT_TRUE(real_loop_.RunOnce().ok());  // starts it
  EXPECT_FALSE(reader.done());
  Thread writer = StartThread("writer", [&] { pipe.Write(); });
  while (!reader.done()) EXPECT_TRUE(real_loop_.RunOnce().ok());
  writer.join();
  EXPECT_TRUE(reader.result().ok());
}

TEST_P(EventLoopTest, Line2RunOnceRunsOneTurnThoughWorkRepostsItself) {
  int runs = 0;
  struct Again {
    EventLoop* loop;
    int* runs;
    void operator()() {
      ++*runs;
      loop->Post(Again{loop, runs});
    }
  };
  real_loop_.Post(Again{&real_loop_, &runs});
  for (int turn = 1; turn <= 5; ++turn) {
    EXPECT_TRUE(real_loop_.RunOnce().ok());
    EXPECT_EQ(runs, turn);
    EXPECT_TRUE(real_loop_.RunReady().ok());
    runs = turn;
  }
}

// Notes how long the loop was ready to wait.
class WaitRecorder : public sys::SystemCalls {
 public:
  int EpollWait(int epoll, epoll_event* events, int count,
                const timespec* timeout) noexcept override {
    if (timeout == nullptr || timeout->tv_sec != 0 || timeout->tv_nsec != 0) ++blocking_waits;
    return SystemCalls::EpollWait(epoll, events, count, timeout);
  }
  int IoUringEnter(int ring, unsigned submit, unsigned wait_for, unsigned flags,
                   const void* argument, size_t argument_size) noexcept override {
    if (wait_for > 0) ++blocking_waits;
    return SystemCalls::IoUringEnter(ring, submit, wait_for, flags, argument, argument_size);
  }
  int SignalEventFd(int fd) noexcept override {
    wakes.fetch_add(1, kRelaxed);
    return SystemCalls::SignalEventFd(fd);
  }

  int blocking_waits = 0;
  Atomic<int> wakes{0};
};

TEST_P(EventLoopTest, Line3RunReadyNeverBlocks) {
  WaitRecorder recorder;
  const sys::ScopedSystemCalls scoped(recorder);
  Pipe pipe;
  JoinHandle<absl::StatusOr<size_t>> reader =
      Spawn(ReadOne(pipe.reading()), {.executor = &real_loop_});
  ASSERT_TRUE(real_loop_.PostAfter(absl::Hours(100), [] {}).ok());
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(real_loop_.RunReady().ok());
  EXPECT_EQ(recorder.blocking_waits, 0);
  EXPECT_FALSE(reader.done());
  pipe.Write();
  while (!reader.done()) EXPECT_TRUE(real_loop_.RunReady().ok());
  EXPECT_EQ(recorder.blocking_waits, 0);
}

TEST_P(EventLoopTest, RunReadyRunsNothingThatItHasMadeReadyThoughItIsAwaitedAtOnce) {
  std::string order;
  auto note = [&order](char what) -> Task<void> {
    order += what;
    co_return;
  };
  auto parent = [&]() -> Task<void> {
    order += 'P';
    co_await Spawn(note('X'), {.eager = false});
    order += 'R';
  };
  JoinHandle<void> first = Spawn(parent(), {.executor = &loop_});
  JoinHandle<void> second = Spawn(note('Q'), {.executor = &loop_});
  EXPECT_TRUE(loop_.RunReady().ok());
  EXPECT_EQ(order, "PQ");
  EXPECT_TRUE(loop_.RunReady().ok());
  EXPECT_EQ(order, "PQX");
  EXPECT_TRUE(loop_.RunReady().ok());
  EXPECT_EQ(order, "PQXR");
}

TEST_P(EventLoopTest, RunReadyDoesNotMakeAVirtualClockJump) {
  ASSERT_TRUE(loop_.PostAfter(absl::Hours(1), [] {}).ok());
  EXPECT_TRUE(loop_.RunReady().ok());
  EXPECT_EQ(clock_.elapsed(), absl::ZeroDuration());
}

TEST_P(EventLoopTest, Line4AStopBeforeRunEndsThatRunAfterItsFirstTurnAndNoOther) {
  for (const bool forever : {false, true}) {
    int ran = 0;
    ASSERT_TRUE(loop_.PostAfter(absl::Hours(1), [&] { ran += 100; }).ok());
    loop_.Post([&] { ++ran; });
    loop_.Stop();
    loop_.Stop();  // once is enough
    EXPECT_TRUE((forever ? loop_.RunForever() : loop_.Run()).ok());
    EXPECT_EQ(ran, 1);
    EXPECT_TRUE(loop_.Run().ok());
    EXPECT_EQ(ran, 101);
  }
}

TEST_P(EventLoopTest, Line5AStopFromACallbackEndsThatTurn) {
  std::vector<std::string> ran;
  loop_.Post([&] { ran.push_back("before"); });
  loop_.Post([&] {
    loop_.Post([&] { ran.push_back("posted before the stop"); });
    loop_.Stop();
  });
  loop_.Post([&] {
    ran.push_back("after, ready");
    loop_.Post([&] { ran.push_back("next turn"); });
  });
  EXPECT_TRUE(loop_.RunForever().ok());
  EXPECT_EQ(ran, (std::vector<std::string>{"before", "after, ready", "posted before the stop"}));
  EXPECT_TRUE(loop_.Run().ok());
  EXPECT_EQ(ran.back(), "next turn");
}

TEST_P(EventLoopTest, Line5AStopFromAnotherThreadEndsAWaitingLoop) {
  for (int i = 0; i < Repeats(200); ++i) {
    absl::Notification running;
    real_loop_.Post([&] { running.Notify(); });
    Thread stopper = StartThread("stopper", [&] {
      running.WaitForNotification();
      real_loop_.Stop();
    });
    EXPECT_TRUE(real_loop_.RunForever().ok());
    stopper.join();
  }
}

Task<void> StopAndEnd(EventLoop* loop) {
  loop->Stop();
  co_return;
}

TEST_P(EventLoopTest, Line5AStopByTheAwaitedTasksLastStepDoesNotReachTheNextRun) {
  BlockOn(real_loop_, StopAndEnd(&real_loop_));
  EXPECT_EQ(BlockOn(real_loop_, YieldThenGive(3)), 3);
}

Task<void> StopAndWait(EventLoop* loop) {
  loop->Stop();
  Promise<void> never;
  static_cast<void>(co_await never.future());
}

TEST_P(EventLoopDeathTest, AStopThatLeavesBlockOnWithoutAResultIsAProgrammingError) {
  EXPECT_DEATH(
      {
        EventLoop loop(GetParam().make(nullptr));
        BlockOn(loop, StopAndWait(&loop));
      },
      "EventLoop::Stop ended the loop before the awaited task had");
}

// --- nested runs ---

TEST_P(EventLoopTest, Line8ANestedRunIsRejectedAndChangesNothing) {
  std::vector<absl::Status> refusals;
  EventLoop other(GetParam().make(nullptr));
  loop_.Post([&] {
    refusals.push_back(loop_.Run());
    refusals.push_back(loop_.RunForever());
    refusals.push_back(loop_.RunOnce());
    refusals.push_back(loop_.RunReady());
    refusals.push_back(loop_.CancelTasks());
    refusals.push_back(loop_.Close());
    refusals.push_back(other.Run());
    refusals.push_back(other.RunOnce());
  });
  EXPECT_TRUE(loop_.Run().ok());
  ASSERT_EQ(refusals.size(), 8u);
  for (size_t i = 0; i < refusals.size(); ++i) {
    EXPECT_TRUE(absl::IsFailedPrecondition(refusals[i])) << refusals[i];
    EXPECT_TRUE(absl::StrContains(refusals[i].message(),
                                  i < 6 ? "it is running already" : "another loop is running"))
        << refusals[i];
  }
  // Also the refused Close: tasks may still be spawned, and live.
  JoinHandle<absl::Status> sleeper = Spawn(SleepTask(absl::Hours(1)), {.executor = &loop_});
  EXPECT_TRUE(loop_.Run().ok());
  EXPECT_TRUE(sleeper.result().ok()) << sleeper.result();
}

TEST_P(EventLoopDeathTest, Line8BlockOnInsideACallbackIsAProgrammingError) {
  EXPECT_DEATH(
      {
        EventLoop loop(GetParam().make(nullptr));
        loop.Post([&] { BlockOn(loop, YieldThenGive(1)); });
        loop.Run().IgnoreError();
      },
      "EventLoop::BlockOn: it is running already");
}

TEST_P(EventLoopDeathTest, ALoopNeedsAReactor) {
  EXPECT_DEATH(EventLoop(std::unique_ptr<Reactor>()), "an EventLoop needs a reactor, not null");
  EXPECT_DEATH(EventLoop(absl::ResourceExhaustedError("no descriptors")),
               "an EventLoop needs a reactor: RESOURCE_EXHAUSTED: no descriptors");
}

// --- posting ---

TEST_P(EventLoopTest, Line9CallbacksTasksAndWorkItemsShareOneOrder) {
  std::vector<int> ran;
  auto note = [](std::vector<int>* log, int n) -> Task<void> {
    log->push_back(n);
    co_return;
  };
  loop_.Post([&] { ran.push_back(0); });
  JoinHandle<void> first = Spawn(note(&ran, 1), {.executor = &loop_});
  loop_.Post([&] { ran.push_back(2); });
  JoinHandle<void> second = Spawn(note(&ran, 3), {.executor = &loop_});
  EXPECT_TRUE(loop_.Run().ok());
  EXPECT_EQ(ran, (std::vector<int>{0, 1, 2, 3}));
}

TEST_P(EventLoopTest, APostedCallbackMayBeCancelledUntilItRuns) {
  int ran = 0;
  EventLoop::Handle victim = loop_.Post([&] { ran += 100; });
  EventLoop::Handle other = loop_.Post([&] { ++ran; });
  EXPECT_TRUE(victim.Cancel());
  EXPECT_FALSE(victim.Cancel());
  EXPECT_TRUE(loop_.Run().ok());
  EXPECT_EQ(ran, 1);
  EXPECT_FALSE(other.Cancel());
  EXPECT_FALSE(EventLoop::Handle().Cancel());
}

TEST_P(EventLoopTest, ACallbackThatCancelsItselfWhileItRunsIsTooLate) {
  EventLoop::Handle self;
  bool cancelled = true;
  self = loop_.Post([&] { cancelled = self.Cancel(); });
  EXPECT_TRUE(loop_.Run().ok());
  EXPECT_FALSE(cancelled);
}

TEST_P(EventLoopTest, Line10WorkThatRepostsItselfStarvesNeitherIoNorTimers) {
  Pipe pipe;
  bool timer_fired = false;
  JoinHandle<absl::StatusOr<size_t>> reader =
      Spawn(ReadOne(pipe.reading()), {.executor = &real_loop_});
  ASSERT_TRUE(real_loop_.PostAfter(absl::Microseconds(100), [&] { timer_fired = true; }).ok());
  struct Greedy : WorkItem {
    EventLoop* loop = nullptr;
    JoinHandle<absl::StatusOr<size_t>>* reader = nullptr;
    bool* timer_fired = nullptr;
    Pipe* pipe = nullptr;
    int runs = 0;
  } greedy;
  greedy.loop = &real_loop_;
  greedy.reader = &reader;
  greedy.timer_fired = &timer_fired;
  greedy.pipe = &pipe;
  greedy.run = [](WorkItem& item) noexcept {
    auto& self = static_cast<Greedy&>(item);
    if (++self.runs == 5000) self.pipe->Write();
    if (!self.reader->done() || !*self.timer_fired) self.loop->Schedule(item);
  };
  real_loop_.Schedule(greedy);
  EXPECT_TRUE(real_loop_.Run().ok());  // or never
  EXPECT_TRUE(reader.result().ok());
  EXPECT_TRUE(timer_fired);
}

TEST_P(EventLoopTest, Line11APostWakesALoopThatWaitsForAnOperationOrATimer) {
  Pipe pipe;
  JoinHandle<absl::StatusOr<size_t>> reader =
      Spawn(ReadOne(pipe.reading()), {.executor = &real_loop_});
  absl::StatusOr<EventLoop::Handle> far = real_loop_.PostAfter(absl::Hours(100), [] {});
  ASSERT_TRUE(far.ok());
  const int rounds = Repeats(500);
  Thread poster = StartThread("poster", [&] {
    for (int i = 0; i < rounds; ++i) {
      absl::Notification ran;
      real_loop_.Post([&] { ran.Notify(); });
      ran.WaitForNotification();
    }
    real_loop_.Post([&] { EXPECT_TRUE(far->Cancel()); });
    pipe.Write();
  });
  EXPECT_TRUE(real_loop_.Run().ok());
  poster.join();
  EXPECT_TRUE(reader.result().ok());
}

TEST_P(EventLoopTest, Line12AWakeCostsASystemCallOnlyWhenTheLoopSleeps) {
  WaitRecorder recorder;
  const sys::ScopedSystemCalls scoped(recorder);
  // From outside, while it does not run; from inside; and from another thread, while it is busy.
  for (int i = 0; i < 100; ++i) real_loop_.Post([] {});
  real_loop_.Post([&] {
    for (int i = 0; i < 100; ++i) real_loop_.Post([] {});
    Thread poster = StartThread("poster", [&] {
      for (int i = 0; i < 100; ++i) real_loop_.Post([] {});
    });
    poster.join();
  });
  EXPECT_TRUE(real_loop_.Run().ok());
  EXPECT_EQ(recorder.wakes.load(kRelaxed), 0);
}

}  // namespace
}  // namespace plait
