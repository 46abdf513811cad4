#include "plait/schedulers/work_stealing/spinner.h"

#include <utility>

#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/runtime/core/deadline.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/testing/test_clock.h"

namespace plait::internal {
namespace {

// Time that passes with what the thread does, and that it may spin by: each look at the clock takes
// a microsecond.
class BusyClock final : public Clock {
 public:
  Deadline Now() noexcept override {
    now_.Advance(absl::Microseconds(1));
    return now_.Now();
  }
  absl::Time WallTime() noexcept override { return now_.WallTime(); }

  absl::Duration elapsed() const { return now_.elapsed(); }

 private:
  TestClock now_;
};

constexpr int kProcessors = 2;

using Found = Spinner::Found;

Found Nothing() { return Found::kNothing; }

// Spins in vain until it trusts no more; gives how often.
int SpinInVain(Spinner& spinner) {
  int times = 0;
  for (; spinner.trusts(); ++times) EXPECT_FALSE(spinner.Spin(Deadline::Infinite(), Nothing));
  return times;
}

TEST(SpinnerTest, AWorkerThatNoWorkHasComeToParksAtOnce) {
  for (IdlePolicy policy : {IdlePolicy::kLatency, IdlePolicy::kBalanced, IdlePolicy::kFrugal}) {
    BusyClock clock;
    Spinner spinner(policy, clock, kProcessors);
    EXPECT_FALSE(spinner.trusts());
    EXPECT_FALSE(spinner.Spin(Deadline::Infinite(), [] {
      ADD_FAILURE() << "it looks no more";
      return Found::kWork;
    }));
    EXPECT_EQ(clock.elapsed(), absl::ZeroDuration()) << "and asks no clock";
  }
}

TEST(SpinnerTest, WorkThatEndsASleepSoonMakesItSpin) {
  BusyClock clock;
  Spinner spinner(IdlePolicy::kBalanced, clock, kProcessors);
  spinner.Slept(absl::Microseconds(81), Found::kWork);
  EXPECT_FALSE(spinner.trusts()) << "that was not soon";
  spinner.Slept(absl::Microseconds(5), Found::kNothing);
  EXPECT_FALSE(spinner.trusts()) << "that was no work";
  spinner.Slept(absl::Microseconds(80), Found::kWork);
  EXPECT_TRUE(spinner.trusts());
}

TEST(SpinnerTest, ItSpinsForAsLongAsThePolicySays) {
  for (const auto& [policy, spin] : {std::pair(IdlePolicy::kLatency, absl::Microseconds(50)),
                                     std::pair(IdlePolicy::kBalanced, absl::Microseconds(40))}) {
    BusyClock clock;
    Spinner spinner(policy, clock, kProcessors);
    spinner.Slept(absl::Microseconds(1), Found::kWork);
    int looks = 0;
    EXPECT_FALSE(spinner.Spin(Deadline::Infinite(), [&] {
      ++looks;
      return Found::kNothing;
    }));
    EXPECT_EQ(clock.elapsed(), spin + absl::Microseconds(1));
    EXPECT_EQ(looks, 16 * (spin / absl::Microseconds(1)));
  }
}

TEST(SpinnerTest, InVainAFewTimesInARowItStopsUntilItPaysAgain) {
  for (const auto& [policy, times] :
       {std::pair(IdlePolicy::kLatency, 16), std::pair(IdlePolicy::kBalanced, 3)}) {
    BusyClock clock;
    Spinner spinner(policy, clock, kProcessors);
    spinner.Slept(absl::Microseconds(1), Found::kWork);
    EXPECT_EQ(SpinInVain(spinner), times);
    spinner.Slept(absl::Seconds(1), Found::kWork);
    EXPECT_FALSE(spinner.trusts());
    spinner.Slept(absl::Microseconds(1), Found::kWork);
    EXPECT_EQ(SpinInVain(spinner), times);
  }
}

TEST(SpinnerTest, WhatItFindsWhileItSpinsRestoresItsTrust) {
  BusyClock clock;
  Spinner spinner(IdlePolicy::kBalanced, clock, kProcessors);
  spinner.Slept(absl::Microseconds(1), Found::kWork);
  for (int i = 0; i < 20; ++i) {
    EXPECT_FALSE(spinner.Spin(Deadline::Infinite(), Nothing));
    EXPECT_FALSE(spinner.Spin(Deadline::Infinite(), Nothing));
    int looks = 0;
    EXPECT_TRUE(spinner.Spin(Deadline::Infinite(),
                             [&] { return ++looks == 100 ? Found::kWork : Found::kNothing; }));
    EXPECT_EQ(looks, 100) << "it goes on at once";
  }
}

TEST(SpinnerTest, ResultsOfItsReactorPayWhereLatencyIsAllThatCounts) {
  for (const auto& [policy, pay] :
       {std::pair(IdlePolicy::kLatency, true), std::pair(IdlePolicy::kBalanced, false)}) {
    BusyClock clock;
    Spinner spinner(policy, clock, kProcessors);
    spinner.Slept(absl::Microseconds(1), Found::kResult);
    EXPECT_EQ(spinner.trusts(), pay);
    spinner.Slept(absl::Microseconds(1), Found::kWork);
    int found = 0;
    while (found < 100 && spinner.Spin(Deadline::Infinite(), [] { return Found::kResult; }))
      ++found;
    EXPECT_EQ(found, pay ? 100 : 3) << "it ends the spinning, whether or not it pays";
  }
}

TEST(SpinnerTest, ADeadlineEndsTheSpinning) {
  BusyClock clock;
  Spinner spinner(IdlePolicy::kLatency, clock, kProcessors);
  spinner.Slept(absl::Microseconds(1), Found::kWork);
  EXPECT_FALSE(spinner.Spin(clock.Now() + absl::Microseconds(10), Nothing));
  EXPECT_EQ(clock.elapsed(), absl::Microseconds(11));
}

TEST(SpinnerTest, AFrugalWorkerNeverSpins) {
  BusyClock clock;
  Spinner spinner(IdlePolicy::kFrugal, clock, kProcessors);
  spinner.Slept(absl::ZeroDuration(), Found::kWork);
  EXPECT_FALSE(spinner.trusts());
}

TEST(SpinnerTest, OnOneProcessorNobodySpins) {
  BusyClock clock;
  Spinner spinner(IdlePolicy::kLatency, clock, /*processors=*/1);
  spinner.Slept(absl::ZeroDuration(), Found::kWork);
  EXPECT_FALSE(spinner.trusts());
}

TEST(SpinnerTest, NobodySpinsWhileTimeStandsStill) {
  TestClock clock;
  Spinner spinner(IdlePolicy::kLatency, clock, kProcessors);
  spinner.Slept(absl::ZeroDuration(), Found::kWork);
  EXPECT_FALSE(spinner.trusts());
}

// Work every millisecond, for a second, which is what an idle service has to do at most: its worker
// parks between, and spins for less than a hundredth of the time.
TEST(SpinnerTest, SparseWorkIsNotSpunFor) {
  for (IdlePolicy policy : {IdlePolicy::kLatency, IdlePolicy::kBalanced, IdlePolicy::kFrugal}) {
    BusyClock clock;
    Spinner spinner(policy, clock, kProcessors);
    spinner.Slept(absl::Microseconds(1), Found::kWork);  // a busy time is just over
    for (int i = 0; i < 1000; ++i) {
      EXPECT_FALSE(spinner.Spin(Deadline::Infinite(), Nothing));
      spinner.Slept(absl::Milliseconds(1), Found::kWork);
    }
    EXPECT_LT(clock.elapsed(), absl::Milliseconds(10));
  }
}

}  // namespace
}  // namespace plait::internal
