#include "plait/runtime/sync/latch.h"

#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "plait/io/auto_reactor/auto_reactor.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/task_programs.h"
#include "plait/schedulers/event_loop/event_loop.h"
#include "plait/schedulers/run.h"

namespace plait {
namespace {

using testing_programs::Turns;

Task<absl::Status> WaitFor(Latch* latch) { co_return co_await latch->Wait(); }
Task<absl::Status> Arrive(Latch* latch) { co_return co_await latch->ArriveAndWait(); }

TEST(LatchTest, ItOpensAtTheLastCountAndStaysOpen) {
  plait::Run([]() -> Task<void> {
    Latch latch(3);
    JoinHandle<absl::Status> waiting = Spawn(WaitFor(&latch));
    latch.CountDown();
    latch.CountDown(0);
    co_await Turns(3);
    EXPECT_FALSE(waiting.done());
    EXPECT_FALSE(latch.IsOpen());
    EXPECT_EQ(latch.count(), 2);
    latch.CountDown(2);
    EXPECT_TRUE(latch.IsOpen());
    const absl::Status status = co_await waiting;
    EXPECT_TRUE(status.ok()) << status;
    const absl::Status late = co_await latch.Wait();
    EXPECT_TRUE(late.ok()) << late;
  }());
}

TEST(LatchTest, ALatchOfNothingIsOpen) { EXPECT_TRUE(Latch(0).IsOpen()); }

TEST(LatchTest, WhoArrivesAndWaitsGoesOnWithTheOthers) {
  plait::Run([]() -> Task<void> {
    Latch latch(3);
    JoinHandle<absl::Status> a = Spawn(Arrive(&latch));
    JoinHandle<absl::Status> b = Spawn(Arrive(&latch));
    co_await Turns(3);
    EXPECT_FALSE(a.done() || b.done());
    const absl::Status last = co_await latch.ArriveAndWait();
    const absl::Status first = co_await a;
    const absl::Status second = co_await b;
    EXPECT_TRUE(first.ok() && second.ok() && last.ok());
  }());
}

// Trap: a cancel that races the completion, both ways.
TEST(LatchTest, ACancelledWaitEndsAloneAndItsCountStays) {
  plait::Run([]() -> Task<void> {
    Latch latch(2);
    JoinHandle<absl::Status> cancelled = Spawn(Arrive(&latch));
    JoinHandle<absl::Status> waiting = Spawn(WaitFor(&latch));
    co_await Turns(3);
    cancelled.Cancel();
    const absl::Status status = co_await cancelled;
    EXPECT_TRUE(absl::IsCancelled(status)) << status;
    EXPECT_EQ(latch.count(), 1);
    latch.CountDown();
    waiting.Cancel();
    const absl::Status open = co_await waiting;
    EXPECT_TRUE(open.ok()) << open;
  }());
}

// The usual pattern: the latch is a local of who waits, and gone the moment that goes on.
TEST(LatchStressTest, WhoHasWaitedMayDestroyItWhileTheLastCountIsStillReturning) {
  auto count_down = [](Latch* latch) -> Task<void> {
    latch->CountDown();
    co_return;
  };
  EventLoop other(MakeReactor());
  Thread thread = StartThread("other", [&] {
    const absl::Status ran = other.RunForever();
    EXPECT_TRUE(ran.ok()) << ran;
  });
  plait::Run([](EventLoop* loop, auto* count) -> Task<void> {
    for (int i = 0; i < Repeats(2000); ++i) {
      auto latch = std::make_unique<Latch>(1);
      Spawn((*count)(latch.get()), {.executor = loop});
      for (int turn = 0; turn < i % 3; ++turn) co_await Yield();
      const absl::Status status = co_await latch->Wait();
      EXPECT_TRUE(status.ok()) << status;
    }
  }(&other, &count_down));
  other.Stop();
  thread.join();
}

TEST(LatchDeathTest, NonsenseIsRefusedWithASentence) {
  EXPECT_DEATH(Latch(-1), "a Latch cannot count -1: that is negative");
  EXPECT_DEATH(Latch(2).CountDown(-1), "Latch::CountDown: -1 is negative");
  EXPECT_DEATH(Latch(2).CountDown(3), "Latch::CountDown: 3 is more than the 2 that are left");
}

}  // namespace
}  // namespace plait
