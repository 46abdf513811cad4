// Parker with real threads, and Futex as the system has it and as it is elsewhere. That no wake-up
// is lost in any execution is parker_explored_test's.
#include "plait/runtime/core/parker.h"

#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/deadline.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/futex.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/testing/repeats.h"

namespace plait::internal {
namespace {

TEST(ParkerTest, AWakeUpBeforeTheParkEndsItAtOnceAndOnce) {
  Parker parker;
  parker.Wake();
  EXPECT_TRUE(parker.Park(Deadline::Infinite(), Clock::Real()));
  EXPECT_FALSE(parker.Park(Deadline::Immediate(), Clock::Real()));
}

TEST(ParkerTest, ManyWakeUpsBeforeAParkAreOne) {
  Parker parker;
  for (int i = 0; i < 10; ++i) parker.Wake();
  EXPECT_TRUE(parker.Park(Deadline::Infinite(), Clock::Real()));
  EXPECT_FALSE(parker.Park(Deadline::Immediate(), Clock::Real()));
}

TEST(ParkerTest, AWakeUpThatIsThereCountsThoughTheDeadlineHasPassed) {
  Parker parker;
  parker.Wake();
  EXPECT_TRUE(parker.Park(Deadline::Immediate(), Clock::Real()));
}

TEST(ParkerTest, ADeadlineEndsTheSleepAndNotBefore) {
  Parker parker;
  Clock& clock = Clock::Real();
  const Deadline deadline = clock.Now() + absl::Milliseconds(3);
  EXPECT_FALSE(parker.Park(deadline, clock));
  EXPECT_GE(clock.Now(), deadline);
  parker.Wake();
  EXPECT_TRUE(parker.Park(Deadline::Infinite(), clock)) << "it can be used again";
}

TEST(ParkerTest, ADeadlineFarAwayDoesNotKeepAWakeUp) {
  Parker parker;
  Thread waker = StartThread("waker", [&] { parker.Wake(); });
  EXPECT_TRUE(parker.Park(Clock::Real().Now() + absl::Hours(1'000'000), Clock::Real()));
  waker.join();
}

// Each is woken by the other alone, so that a wake-up that is lost is a hang.
TEST(ParkerTest, TwoThreadsWakeEachOtherManyTimes) {
  const int rounds = Repeats(20'000);
  Parker ping, pong;
  int turns = 0;  // guarded by whose turn it is
  Thread other = StartThread("other", [&] {
    for (int i = 0; i < rounds; ++i) {
      pong.Park(Deadline::Infinite(), Clock::Real());
      ++turns;
      ping.Wake();
    }
  });
  for (int i = 0; i < rounds; ++i) {
    ++turns;
    pong.Wake();
    ping.Park(Deadline::Infinite(), Clock::Real());
  }
  other.join();
  EXPECT_EQ(turns, 2 * rounds);
}

struct SystemsFutex {
  void Wait(const Atomic<uint32_t>& word, uint32_t value, absl::Duration timeout) {
    FutexWait(word, value, timeout);
  }
  void Wake(const Atomic<uint32_t>& word) { FutexWake(word); }
};

template <class Futex>
class FutexTest : public ::testing::Test {
 protected:
  Futex futex_;
};
using Futexes = ::testing::Types<SystemsFutex, FutexTable>;
TYPED_TEST_SUITE(FutexTest, Futexes);

TYPED_TEST(FutexTest, AWordThatHasChangedIsNotWaitedFor) {
  const Atomic<uint32_t> word = 1;
  this->futex_.Wait(word, 0, absl::InfiniteDuration());
}

TYPED_TEST(FutexTest, AWaitTimesOut) {
  const Atomic<uint32_t> word = 0;
  const Deadline due = Clock::Real().Now() + absl::Milliseconds(2);
  while (Clock::Real().Now() < due) {
    this->futex_.Wait(word, 0, due.Since(Clock::Real().Now()));
  }
}

// Trap: a handler that waits for a lock of the thread that it interrupts. Each signal comes while
// the thread waits or wakes, anywhere in it, and the next one when the last is known by its
// wake-up.
TYPED_TEST(FutexTest, AWakeUpMayComeFromASignalHandlerThatInterruptsAnotherCall) {
  constexpr uint32_t kSignals = 1'000;
  struct Shared {
    TypeParam& futex;
    Atomic<uint32_t> word = 0;
    Atomic<uint32_t> handled = 0;
    Atomic<bool> done = false;
  };
  static Shared* shared = nullptr;
  Shared own{this->futex_};
  shared = &own;
  struct sigaction action = {};
  struct sigaction before = {};
  action.sa_handler = [](int) {
    shared->word.fetch_add(1, kRelaxed);
    shared->futex.Wake(shared->word);
    shared->handled.fetch_add(1, kRelaxed);
    shared->futex.Wake(shared->handled);
  };
  ASSERT_EQ(::sigaction(SIGUSR1, &action, &before), 0);
  Thread interrupted = StartThread("interrupted", [&] {
    while (!own.done.load(kRelaxed)) {
      own.futex.Wait(own.word, own.word.load(kRelaxed), absl::Microseconds(50));
      for (int i = 0; i < 50; ++i) own.futex.Wake(own.word);
    }
  });
  for (uint32_t sent = 0; sent < kSignals; ++sent) {
    ASSERT_EQ(::pthread_kill(interrupted.native_handle(), SIGUSR1), 0);
    while (own.handled.load(kRelaxed) == sent) {
      own.futex.Wait(own.handled, sent, absl::InfiniteDuration());
    }
  }
  own.done.store(true, kRelaxed);
  interrupted.join();
  ASSERT_EQ(::sigaction(SIGUSR1, &before, nullptr), 0);
}

TEST(FutexTableTest, MoreSleepAtOnceThanThereArePlacesForAWord) {
  constexpr int kThreads = 20;
  FutexTable table;
  Atomic<uint32_t> word = 0;
  Atomic<int> about_to_sleep = 0;
  std::vector<Thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.push_back(StartThread("sleeper", [&] {
      about_to_sleep.fetch_add(1, kRelaxed);
      while (word.load(kRelaxed) == 0) table.Wait(word, 0, absl::InfiniteDuration());
    }));
  }
  for (int round = 0; about_to_sleep.load(kRelaxed) < kThreads; ++round) SpinWait(round);
  word.store(1, kRelaxed);
  table.Wake(word);
  for (Thread& thread : threads) thread.join();  // or never
}

// A table that a signal handler is the first to use must not have to be made then.
union NeverDestroyed {
  constexpr NeverDestroyed() : table() {}
  ~NeverDestroyed() {}
  FutexTable table;
};
constinit NeverDestroyed made_beforehand;

TEST(FutexTableTest, ItIsThereBeforeAnythingRuns) {
  Atomic<uint32_t> word = 1;
  made_beforehand.table.Wake(word);
  made_beforehand.table.Wait(word, 0, absl::InfiniteDuration());
}

// How many rings wait in the pipe whose reading end is `fd`.
int RingsIn(int fd) {
  int bytes = -1;
  EXPECT_EQ(::ioctl(fd, FIONREAD, &bytes), 0);
  return bytes;
}

TEST(BellTest, AForkedChildDoesNotRingItsParents) {
  // The pipe's first end has the lowest number that is free.
  const int reading = ::dup(STDERR_FILENO);
  ASSERT_EQ(::close(reading), 0);
  Bell bell;
  bell.Prepare();
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    bell.Ring();
    ::_exit(0);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(RingsIn(reading), 0);
  bell.Ring();
  EXPECT_EQ(RingsIn(reading), 1);
}

TYPED_TEST(FutexTest, EveryChangeWakesAllThatWaitForIt) {
  constexpr uint32_t kRounds = 2'000;
  Atomic<uint32_t> word = 0;
  Atomic<uint32_t> seen = 0;
  const auto follow = [&] {
    for (uint32_t round = 0; round < kRounds; ++round) {
      while (word.load(kRelaxed) == round) {
        this->futex_.Wait(word, round, absl::InfiniteDuration());
      }
      if (seen.fetch_add(1, kRelaxed) + 1 == 2 * (round + 1)) this->futex_.Wake(seen);
    }
  };
  Thread one = StartThread("one", follow);
  Thread two = StartThread("two", follow);
  for (uint32_t round = 0; round < kRounds; ++round) {
    word.store(round + 1, kRelaxed);
    this->futex_.Wake(word);
    for (;;) {
      const uint32_t count = seen.load(kRelaxed);
      if (count == 2 * (round + 1)) break;
      this->futex_.Wait(seen, count, absl::InfiniteDuration());
    }
  }
  one.join();
  two.join();
}

}  // namespace
}  // namespace plait::internal
