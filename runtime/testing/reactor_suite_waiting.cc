// ReactorSuite: deadlines, wakes and signals.
#include <pthread.h>
#include <signal.h>

#include <cstdint>
#include <limits>
#include <vector>

#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/reactor_suite.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/runtime/testing/test_clock.h"

namespace plait {
namespace {

using internal::Atomic;
using internal::kAcquire;
using internal::kRelease;

// --- waiting. Trap: park ---

TEST_P(ReactorSuite, PollWithAnImmediateDeadlineDoesNotBlock) {
  FdPair pair = MakeSocketPair();
  EXPECT_EQ(PollOnce(Deadline::Immediate()), 0);
  GuardedBuffer buffer(1);
  ReadOperation read(pair.first.get(), buffer.span());
  Submit(read);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(PollOnce(Deadline::Immediate()), 0);
  Cancel(read);
  Await(read);
}

TEST_P(ReactorSuite, PollReturnsByItsDeadlineAndMayBeCalledWithOneThatHasPassed) {
  const Deadline deadline = In(absl::Milliseconds(5));
  while (Clock::Real().Now() < deadline) PollOnce(deadline);
  PollOnce(deadline);
  PollOnce(Deadline::AtNanos(0));
  PollOnce(Deadline::AtNanos(1));
  PollOnce(Deadline::AtNanos(std::numeric_limits<int64_t>::min() + 1));
  EXPECT_EQ(reactor().in_flight(), 0u);
}

TEST_P(ReactorSuite, PollWaitsOutAShortDeadlineInsteadOfSpinning) {
  const Deadline deadline = In(absl::Milliseconds(20));
  int polls = 0;
  while (Clock::Real().Now() < deadline) {
    PollOnce(deadline);
    ++polls;
  }
  EXPECT_LT(polls, 50);
}

TEST_P(ReactorSuite, PollMeasuresItsDeadlineByTheClockThatItIsGiven) {
  TestClock clock;
  clock.Advance(absl::Hours(10));
  WorkQueue ready;
  // In the past by this clock, though far ahead of the machine's if that was started a moment ago.
  reactor().Poll(clock.Now() + absl::ZeroDuration(), clock, ready);
  EXPECT_TRUE(ready.empty());
}

TEST_P(ReactorSuite, AVeryLateDeadlineDoesNotWrap) {
  FdPair pair = MakeSocketPair();
  GuardedBuffer buffer(1);
  ReadOperation read(pair.first.get(), buffer.span());
  Submit(read);
  Thread peer = StartThread("peer", [&] { WriteAll(pair.second.get(), "x"); });
  while (!read.delivered()) {
    PollOnce(Deadline::AtNanos(std::numeric_limits<int64_t>::max() - 1));
  }
  peer.join();
  EXPECT_EQ(read.result, 1);
}

TEST_P(ReactorSuite, AWakeBeforePollIsNotLost) {
  reactor().Wake();
  PollOnce(Deadline::Infinite());  // or never
  for (int i = 0; i < 1000; ++i) reactor().Wake();
  PollOnce(Deadline::Infinite());
  EXPECT_EQ(reactor().in_flight(), 0u);
}

TEST_P(ReactorSuite, Line14NoWakeFromAnotherThreadIsLost) {
  const int rounds = Repeats(3000);
  Atomic<int> asked{0};
  Atomic<int> answered{0};
  Thread other = StartThread("waker", [&] {
    for (int i = 1; i <= rounds; ++i) {
      asked.store(i, kRelease);
      reactor().Wake();
      for (int spin = 0; answered.load(kAcquire) != i; ++spin) internal::SpinWait(spin);
    }
  });
  for (int i = 1; i <= rounds; ++i) {
    while (asked.load(kAcquire) != i) PollOnce(Deadline::Infinite());
    answered.store(i, kRelease);
  }
  other.join();
}

TEST_P(ReactorSuite, Line12ManyWakesMayCoalesceButWakeAPollThatIsUnderWay) {
  constexpr int kThreads = 4;
  Atomic<int> ended{0};
  std::vector<Thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.push_back(StartThread("waker", [&] {
      for (int n = 0; n < Repeats(1000); ++n) reactor().Wake();
      ended.fetch_add(1, internal::kAcqRel);
      reactor().Wake();
    }));
  }
  while (ended.load(kAcquire) != kThreads) PollOnce(Deadline::Infinite());
  for (Thread& thread : threads) thread.join();
}

TEST_P(ReactorSuite, Line14ASignalThatInterruptsPollLosesNothing) {
  struct sigaction action{};
  action.sa_handler = +[](int) {};  // without SA_RESTART
  struct sigaction before{};
  ASSERT_EQ(::sigaction(SIGUSR1, &action, &before), 0);
  FdPair pair = MakeSocketPair();
  GuardedBuffer buffer(5);
  ReadOperation read(pair.first.get(), buffer.span());
  Submit(read);
  const pthread_t owner = ::pthread_self();
  Thread peer = StartThread("signals", [&, owner] {
    for (int i = 0; i < Repeats(500); ++i) ::pthread_kill(owner, SIGUSR1);
    WriteAll(pair.second.get(), "hello");
    for (int i = 0; i < Repeats(500); ++i) ::pthread_kill(owner, SIGUSR1);
  });
  Await(read);
  EXPECT_EQ(buffer.text(5), "hello");
  peer.join();
  ASSERT_EQ(::sigaction(SIGUSR1, &before, nullptr), 0);
}

}  // namespace
}  // namespace plait
