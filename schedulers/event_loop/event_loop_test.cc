// What the event loop does beyond what the shared suites ask of every executor. The numbers in the
// tests' names are those of the list "What any event loop must get right".
#include "plait/schedulers/event_loop/event_loop.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "plait/io/ops/operations.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/reactor.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_reactors.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/reactor_factory.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/test_clock.h"

namespace plait {
namespace {

using internal::Atomic;
using internal::kRelaxed;

class Pipe {
 public:
  Pipe() { EXPECT_EQ(::pipe2(fds_, O_NONBLOCK | O_CLOEXEC), 0); }
  ~Pipe() {
    ::close(fds_[0]);
    ::close(fds_[1]);
  }
  int reading() const { return fds_[0]; }
  int writing() const { return fds_[1]; }
  void Write() { EXPECT_EQ(::write(fds_[1], "x", 1), 1); }

 private:
  int fds_[2];
};

Task<absl::StatusOr<size_t>> ReadOne(int fd) {
  const GuardedBuffer byte(1);
  co_return co_await io::Read(fd, byte.span());
}

Task<absl::Status> SleepTask(absl::Duration duration) { co_return co_await Sleep(duration); }

class EventLoopTest : public testing::TestWithParam<ReactorFactory> {
 protected:
  TestClock clock_;
  EventLoop loop_{GetParam().make(nullptr), {.clock = &clock_}};
  EventLoop real_loop_{GetParam().make(nullptr)};
};
class EventLoopDeathTest : public testing::TestWithParam<ReactorFactory> {};
class EventLoopForkTest : public testing::TestWithParam<ReactorFactory> {};

INSTANTIATE_TEST_SUITE_P(AllReactors, EventLoopTest, testing::ValuesIn(AllReactors()),
                         ReactorFactory::Name);
INSTANTIATE_TEST_SUITE_P(AllReactors, EventLoopDeathTest, testing::ValuesIn(AllReactors()),
                         ReactorFactory::Name);
INSTANTIATE_TEST_SUITE_P(AllReactors, EventLoopForkTest, testing::ValuesIn(AllReactors()),
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

Task<int> YieldThenGive(int n) {
  co_await Yield();
  co_return n;
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

// --- closing ---

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
    for (int round = 0; loop_.tasks().size() > 0; ++round) internal::SpinWait(round);
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
    for (int round = 0; loop_.tasks().size() > 0; ++round) internal::SpinWait(round);
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

// --- interruptions and fork ---

// Interrupts every second call.
class Interrupter : public sys::SystemCalls {
 public:
  ssize_t Read(int fd, void* data, size_t size) noexcept override {
    return Interrupted() ? -EINTR : SystemCalls::Read(fd, data, size);
  }
  ssize_t Write(int fd, const void* data, size_t size) noexcept override {
    return Interrupted() ? -EINTR : SystemCalls::Write(fd, data, size);
  }
  int EpollWait(int epoll, epoll_event* events, int count,
                const timespec* timeout) noexcept override {
    return Interrupted() ? -EINTR : SystemCalls::EpollWait(epoll, events, count, timeout);
  }
  int IoUringEnter(int ring, unsigned submit, unsigned wait_for, unsigned flags,
                   const void* argument, size_t argument_size) noexcept override {
    return Interrupted()
               ? -EINTR
               : SystemCalls::IoUringEnter(ring, submit, wait_for, flags, argument, argument_size);
  }
  int interruptions() const { return calls_.load(kRelaxed) / 2; }

 private:
  bool Interrupted() { return calls_.fetch_add(1, kRelaxed) % 2 == 0; }
  Atomic<int> calls_{0};
};

Task<absl::Status> WriteMany(int fd, int count) {
  for (int i = 0; i < count; ++i) {
    const char byte = static_cast<char>(i);
    co_await OrReturn(io::Write(fd, absl::MakeConstSpan(&byte, 1)));
    if (i % 7 == 0) co_await OrReturn(Sleep(absl::Microseconds(50)));
  }
  co_return absl::OkStatus();
}

Task<absl::StatusOr<std::string>> ReadMany(int fd, int count) {
  const GuardedBuffer byte(1);
  std::string all;
  while (static_cast<int>(all.size()) < count) {
    const size_t size = co_await OrReturn(io::Read(fd, byte.span()));
    all.append(byte.data(), size);
  }
  co_return all;
}

TEST_P(EventLoopTest, Line14AnInterruptedSystemCallLosesNothing) {
  Interrupter interrupter;
  const sys::ScopedSystemCalls scoped(interrupter);
  Pipe pipe;
  constexpr int kBytes = 120;
  JoinHandle<absl::Status> writer =
      Spawn(WriteMany(pipe.writing(), kBytes), {.executor = &real_loop_});
  JoinHandle<absl::StatusOr<std::string>> reader =
      Spawn(ReadMany(pipe.reading(), kBytes), {.executor = &real_loop_});
  EXPECT_TRUE(real_loop_.Run().ok());
  EXPECT_TRUE(writer.result().ok()) << writer.result();
  const absl::StatusOr<std::string> bytes = reader.result();
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  std::string expected;
  for (int i = 0; i < kBytes; ++i) expected.push_back(static_cast<char>(i));
  EXPECT_EQ(*bytes, expected);
  EXPECT_GT(interrupter.interruptions(), 0);
}

// What the child finds, as its exit status: 0 when all is well, else the number of the first thing
// that is not.
int UseLoopInChild(EventLoop* loop, const ReactorFactory& factory) {
  if (!absl::IsFailedPrecondition(loop->Run())) return 1;
  if (!absl::IsFailedPrecondition(loop->RunForever())) return 2;
  if (!absl::IsFailedPrecondition(loop->RunOnce())) return 3;
  if (!absl::IsFailedPrecondition(loop->RunReady())) return 4;
  if (!absl::IsFailedPrecondition(loop->CancelTasks())) return 5;
  if (!absl::IsFailedPrecondition(loop->Close())) return 6;
  loop->~EventLoop();
  EventLoop own(factory.make(nullptr));
  if (BlockOn(own, YieldThenGive(7)) != 7) return 7;
  return 0;
}

TEST_P(EventLoopForkTest, Line15AForkedChildsCallsAreRefusedAndTheParentsLoopGoesOn) {
  Pipe pipe;
  // In memory that the child may end, as its own copy is not the parent's.
  alignas(EventLoop) unsigned char memory[sizeof(EventLoop)];
  auto* const loop = new (memory) EventLoop(GetParam().make(nullptr));
  JoinHandle<absl::StatusOr<size_t>> reader = Spawn(ReadOne(pipe.reading()), {.executor = loop});
  ASSERT_TRUE(loop->RunReady().ok());  // the operation is in flight
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) ::_exit(UseLoopInChild(loop, GetParam()));
  int wait_status = 0;
  ASSERT_EQ(::waitpid(child, &wait_status, 0), child);
  EXPECT_TRUE(WIFEXITED(wait_status));
  EXPECT_EQ(WEXITSTATUS(wait_status), 0);
  pipe.Write();
  EXPECT_TRUE(loop->Run().ok());
  EXPECT_TRUE(reader.result().ok()) << reader.result().status();
  loop->~EventLoop();
}

TEST_P(EventLoopForkTest, Line15AChildForkedInsideACallbackCannotRunTheLoop) {
  EventLoop loop(GetParam().make(nullptr));
  int wait_status = -1;
  loop.Post([&] {
    const pid_t child = ::fork();
    if (child == 0) {
      const absl::Status status = loop.Run();
      ::_exit(absl::StrContains(status.message(), "parent process") ? 0 : 1);
    }
    ASSERT_EQ(::waitpid(child, &wait_status, 0), child);
  });
  EXPECT_TRUE(loop.Run().ok());
  EXPECT_TRUE(WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0) << wait_status;
}

// --- timers ---

TEST_P(EventLoopTest, Line16ACallbackIsNeverEarly) {
  Clock& clock = real_loop_.clock();
  for (int i = 1; i <= 10; ++i) {
    const absl::Duration delay = absl::Microseconds(137) * i;
    Deadline fired;
    const Deadline before = clock.Now();
    ASSERT_TRUE(real_loop_.PostAfter(delay, [&] { fired = clock.Now(); }).ok());
    EXPECT_TRUE(real_loop_.Run().ok());
    EXPECT_GE(fired.Since(before), delay);
  }
}

TEST_P(EventLoopTest, Line16CallbacksFireInTheOrderOfTheirDeadlinesAndExactlyThen) {
  std::vector<absl::Duration> fired;
  for (const int hours : {9, 2, 7, 1, 3}) {
    ASSERT_TRUE(
        loop_.PostAfter(absl::Hours(hours), [&] { fired.push_back(clock_.elapsed()); }).ok());
  }
  EXPECT_TRUE(loop_.Run().ok());
  EXPECT_EQ(fired, (std::vector<absl::Duration>{absl::Hours(1), absl::Hours(2), absl::Hours(3),
                                                absl::Hours(7), absl::Hours(9)}));
}

TEST_P(EventLoopTest, Line17EqualDeadlinesAreFifo) {
  std::vector<int> fired;
  std::vector<int> expected;
  for (int i = 0; i < 300; ++i) {
    expected.push_back(i);
    ASSERT_TRUE(loop_.PostAfter(absl::Hours(1), [&fired, i] { fired.push_back(i); }).ok());
  }
  EXPECT_TRUE(loop_.Run().ok());
  EXPECT_EQ(fired, expected);
}

TEST_P(EventLoopTest, Line18AZeroDelayFiresOnTheNextTurn) {
  std::vector<std::string> ran;
  loop_.Post([&] {
    ASSERT_TRUE(loop_.PostAfter(absl::ZeroDuration(), [&] { ran.push_back("zero delay"); }).ok());
    ran.push_back("this turn");
  });
  loop_.Post([&] { ran.push_back("this turn too"); });
  EXPECT_TRUE(loop_.Run().ok());
  EXPECT_EQ(ran, (std::vector<std::string>{"this turn", "this turn too", "zero delay"}));
  EXPECT_EQ(clock_.elapsed(), absl::ZeroDuration());
}

TEST_P(EventLoopTest, ACallbackForAPointOnTheCalendarRunsThenAndForThePastOnTheNextTurn) {
  std::vector<std::string> ran;
  const absl::Time now = clock_.WallTime();
  const absl::Time never = absl::InfiniteFuture();
  absl::StatusOr<EventLoop::Handle> endless = loop_.PostAt(never, [&] { ran.push_back("never"); });
  ASSERT_TRUE(endless.ok()) << endless.status();
  ASSERT_TRUE(loop_
                  .PostAt(now + absl::Hours(2),
                          [&] {
                            ran.push_back("later");
                            EXPECT_TRUE(endless->Cancel());
                          })
                  .ok());
  for (const absl::Time past : {now, now - absl::Hours(1), absl::InfinitePast()}) {
    ASSERT_TRUE(loop_.PostAt(past, [&] { ran.push_back("past"); }).ok());
  }
  EXPECT_TRUE(loop_.Run().ok());
  EXPECT_EQ(ran, (std::vector<std::string>{"past", "past", "past", "later"}));
  EXPECT_EQ(clock_.elapsed(), absl::Hours(2));
}

TEST_P(EventLoopTest, Line19AHugeDelayDoesNotWrapAndCancellingItLeavesNothing) {
  const int64_t most = std::numeric_limits<int64_t>::max();
  for (const absl::Duration huge :
       {absl::InfiniteDuration(), absl::Seconds(most), absl::Nanoseconds(most),
        absl::Nanoseconds(most - 2), absl::Hours(24 * 365 * 250)}) {
    bool fired = false;
    absl::StatusOr<EventLoop::Handle> handle = loop_.PostAfter(huge, [&] { fired = true; });
    ASSERT_TRUE(handle.ok()) << handle.status();
    ASSERT_TRUE(loop_.PostAfter(absl::Hours(1), [&] { EXPECT_TRUE(handle->Cancel()); }).ok());
    EXPECT_TRUE(loop_.Run().ok());  // returns: the huge one was all that was left
    EXPECT_FALSE(fired) << huge;
    EXPECT_FALSE(loop_.live()) << huge;
  }
  EXPECT_EQ(clock_.elapsed(), absl::Hours(5));
}

TEST_P(EventLoopTest, ANegativeDelayIsAnInvalidArgument) {
  for (const absl::Duration negative : {absl::Nanoseconds(-1), -absl::InfiniteDuration()}) {
    const absl::StatusOr<EventLoop::Handle> handle = loop_.PostAfter(negative, [] {});
    EXPECT_TRUE(absl::IsInvalidArgument(handle.status())) << handle.status();
  }
  EXPECT_FALSE(loop_.live());
}

TEST_P(EventLoopTest, Line21ACancelledTimerNeverFiresAndKeepsNothingAlive) {
  auto captured = std::make_shared<int>(1);
  bool fired = false;
  absl::StatusOr<EventLoop::Handle> handle =
      loop_.PostAfter(absl::Hours(1), [&fired, captured] { fired = true; });
  ASSERT_TRUE(handle.ok());
  EXPECT_TRUE(handle->Cancel());
  EXPECT_EQ(captured.use_count(), 1);
  EXPECT_FALSE(handle->Cancel());
  EXPECT_FALSE(loop_.live());
  EXPECT_TRUE(loop_.Run().ok());
  EXPECT_FALSE(fired);
  EXPECT_EQ(clock_.elapsed(), absl::ZeroDuration());
}

TEST_P(EventLoopTest, Line22ATimerMayBeCancelledByAnotherOfTheSameTick) {
  std::vector<int> fired;
  std::vector<EventLoop::Handle> handles(3);
  for (int i = 0; i < 3; ++i) {
    absl::StatusOr<EventLoop::Handle> handle = loop_.PostAfter(absl::Hours(1), [&, i] {
      fired.push_back(i);
      for (int other = 0; other < 3; ++other) {
        EXPECT_EQ(handles[static_cast<size_t>(other)].Cancel(), i == 0 && other != 0);
      }
    });
    ASSERT_TRUE(handle.ok());
    handles[static_cast<size_t>(i)] = *std::move(handle);
  }
  EXPECT_TRUE(loop_.Run().ok());
  EXPECT_EQ(fired, (std::vector<int>{0}));
  EXPECT_FALSE(loop_.live());
}

Task<absl::Status> ShoveBytes(int from, int to, bool* stop) {
  const GuardedBuffer buffer(16);
  while (!*stop) {
    const size_t size = co_await OrReturn(io::Read(from, buffer.span()));
    co_await OrReturn(io::Write(to, absl::MakeConstSpan(buffer.data(), size)));
  }
  co_return absl::OkStatus();
}

TEST_P(EventLoopTest, Line25TimersFireWhileIoIsSaturated) {
  Pipe pipe;
  pipe.Write();
  Pipe other;
  other.Write();
  bool stop = false;
  int fired = 0;
  // Each finds its byte ready, always.
  JoinHandle<absl::Status> first =
      Spawn(ShoveBytes(pipe.reading(), pipe.writing(), &stop), {.executor = &real_loop_});
  JoinHandle<absl::Status> second =
      Spawn(ShoveBytes(other.reading(), other.writing(), &stop), {.executor = &real_loop_});
  for (int i = 1; i <= 5; ++i) {
    ASSERT_TRUE(
        real_loop_.PostAfter(absl::Microseconds(200) * i, [&] { stop = ++fired == 5; }).ok());
  }
  EXPECT_TRUE(real_loop_.Run().ok());
  EXPECT_EQ(fired, 5);
  EXPECT_TRUE(first.result().ok()) << first.result();
  EXPECT_TRUE(second.result().ok()) << second.result();
}

Task<int> HoursOfWork(Queue<int>* queue, int days) {
  int ticks = 0;
  for (int hour = 0; hour < 24 * days; ++hour) {
    static_cast<void>(co_await Sleep(absl::Hours(1)));
    ++ticks;
    static_cast<void>(queue->TryPut(hour));
  }
  queue->Close();
  co_return ticks;
}

TEST_P(EventLoopTest, AProgramOfMonthsRunsAtOnceOnATestClock) {
  Queue<int> queue;
  EXPECT_EQ(BlockOn(loop_, HoursOfWork(&queue, 90)), 24 * 90);
  EXPECT_EQ(clock_.elapsed(), absl::Hours(24 * 90));
  EXPECT_EQ(queue.size(), size_t{24 * 90});
}

}  // namespace
}  // namespace plait
