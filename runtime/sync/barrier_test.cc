#include "plait/runtime/sync/barrier.h"

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/task_programs.h"
#include "plait/schedulers/run.h"

namespace plait {
namespace {

using testing_programs::Turns;
using Index = absl::StatusOr<int>;

Task<Index> WaitAt(Barrier* barrier) { co_return co_await barrier->Wait(); }

TEST(BarrierTest, NobodyGoesOnBeforeAllAreThereAndEachGetsItsPlace) {
  plait::Run([]() -> Task<void> {
    Barrier barrier(3);
    EXPECT_EQ(barrier.parties(), 3);
    for (int round = 0; round < 3; ++round) {  // it is empty again after each
      JoinHandle<Index> first = Spawn(WaitAt(&barrier));
      JoinHandle<Index> second = Spawn(WaitAt(&barrier));
      co_await Turns(3);
      EXPECT_FALSE(first.done() || second.done());
      EXPECT_EQ(barrier.waiting(), 2);
      const Index third = co_await barrier.Wait();
      EXPECT_TRUE(third.ok() && *third == 2) << third.status();
      EXPECT_EQ(barrier.waiting(), 0);
      const Index a = co_await first;
      const Index b = co_await second;
      EXPECT_TRUE(a.ok() && *a == 0) << a.status();
      EXPECT_TRUE(b.ok() && *b == 1) << b.status();
    }
  }());
}

TEST(BarrierTest, ABarrierOfOneHoldsNobodyUp) {
  plait::Run([]() -> Task<void> {
    Barrier barrier(1);
    const Index alone = co_await barrier.Wait();
    EXPECT_TRUE(alone.ok() && *alone == 0) << alone.status();
  }());
}

TEST(BarrierTest, WhoComesInTheNextRoundBeforeThisOneHasLeftWaitsForTheNext) {
  plait::Run([]() -> Task<void> {
    Barrier barrier(2);
    JoinHandle<Index> first = Spawn(WaitAt(&barrier));
    co_await Turns(3);
    const Index second = co_await barrier.Wait();
    EXPECT_TRUE(second.ok()) << second.status();
    // `first` was let go and has not run yet.
    JoinHandle<Index> next = Spawn(WaitAt(&barrier));
    const Index one = co_await first;
    EXPECT_TRUE(one.ok()) << one.status();
    co_await Turns(3);
    EXPECT_FALSE(next.done());
    const Index last = co_await barrier.Wait();
    EXPECT_TRUE(last.ok() && *last == 1) << last.status();
    const Index of_next = co_await next;
    EXPECT_TRUE(of_next.ok() && *of_next == 0) << of_next.status();
  }());
}

TEST(BarrierTest, AnAbortedBarrierIsBrokenForThoseWhoWaitAndThoseWhoCome) {
  plait::Run([]() -> Task<void> {
    Barrier barrier(3);
    JoinHandle<Index> waiting = Spawn(WaitAt(&barrier));
    co_await Turns(3);
    EXPECT_FALSE(barrier.broken());
    barrier.Abort();
    EXPECT_TRUE(barrier.broken());
    const Index was = co_await waiting;
    EXPECT_TRUE(absl::IsAborted(was.status())) << was.status();
    const Index late = co_await barrier.Wait();
    EXPECT_TRUE(absl::IsAborted(late.status())) << late.status();
    EXPECT_EQ(barrier.waiting(), 0);
  }());
}

TEST(BarrierTest, AResetLetsThoseGoWhoWaitAndMakesItWholeAndEmpty) {
  plait::Run([]() -> Task<void> {
    Barrier barrier(2);
    JoinHandle<Index> waiting = Spawn(WaitAt(&barrier));
    co_await Turns(3);
    barrier.Reset();
    const Index was = co_await waiting;
    EXPECT_TRUE(absl::IsAborted(was.status())) << was.status();
    EXPECT_FALSE(barrier.broken());
    barrier.Abort();
    barrier.Reset();
    EXPECT_FALSE(barrier.broken());
    JoinHandle<Index> first = Spawn(WaitAt(&barrier));
    co_await Turns(3);
    const Index second = co_await barrier.Wait();
    const Index one = co_await first;
    EXPECT_TRUE(one.ok() && second.ok());
  }());
}

// Trap: a cancel that races the completion, both ways.
TEST(BarrierTest, OneThatWasCancelledHasNotArrivedAndOneThatWasLetGoBeforeSucceeds) {
  plait::Run([]() -> Task<void> {
    Barrier barrier(2);
    JoinHandle<Index> cancelled = Spawn(WaitAt(&barrier));
    co_await Turns(3);
    cancelled.Cancel();
    EXPECT_EQ(barrier.waiting(), 0);
    const Index none = co_await cancelled;
    EXPECT_TRUE(absl::IsCancelled(none.status())) << none.status();
    EXPECT_FALSE(barrier.broken());

    JoinHandle<Index> first = Spawn(WaitAt(&barrier));
    co_await Turns(3);
    EXPECT_FALSE(first.done());  // one is still missing
    const Index second = co_await barrier.Wait();
    EXPECT_TRUE(second.ok() && *second == 1) << second.status();
    first.Cancel();
    const Index one = co_await first;
    EXPECT_TRUE(one.ok() && *one == 0) << one.status();
  }());
}

TEST(BarrierDeathTest, ItNeedsAPartyAndOutlivesItsWaiters) {
  EXPECT_DEATH(Barrier(0), "a Barrier needs at least 1 party, and was given 0");
  EXPECT_DEATH(Barrier(-2), "a Barrier needs at least 1 party, and was given -2");
  EXPECT_DEATH(plait::Run([]() -> Task<void> {
                 auto barrier = std::make_unique<Barrier>(2);
                 JoinHandle<Index> waiting = Spawn(WaitAt(barrier.get()));
                 co_await Turns(3);
                 barrier = nullptr;
               }()),
               "a Barrier was destroyed while a task waits at it");
}

}  // namespace
}  // namespace plait
