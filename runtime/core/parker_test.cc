// Parker with real threads, and Futex as the system has it and as it is elsewhere. That no wake-up
// is lost in any execution is parker_explored_test's.
#include "plait/runtime/core/parker.h"

#include <cstdint>

#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/deadline.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/futex.h"

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
  constexpr int kRounds = 20'000;
  Parker ping, pong;
  int turns = 0;  // guarded by whose turn it is
  Thread other = StartThread("other", [&] {
    for (int i = 0; i < kRounds; ++i) {
      pong.Park(Deadline::Infinite(), Clock::Real());
      ++turns;
      ping.Wake();
    }
  });
  for (int i = 0; i < kRounds; ++i) {
    ++turns;
    pong.Wake();
    ping.Park(Deadline::Infinite(), Clock::Real());
  }
  other.join();
  EXPECT_EQ(turns, 2 * kRounds);
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
