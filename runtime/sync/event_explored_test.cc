// Event and Latch under the explorer: a Set against those who look, wait, are cancelled, and
// destroy the event when they have waited.
//
// Traps: the wake-up lost between check and park, which is a deadlock here; cancel racing
// completion; an event that is used after who waited for it has destroyed it.
#include <memory>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "plait/runtime/sync/event.h"
#include "plait/runtime/sync/latch.h"
#include "plait/runtime/task/stop_token.h"
#include "plait/runtime/testing/explorer/await.h"
#include "plait/runtime/testing/explorer/expect.h"
#include "plait/runtime/testing/explorer/explorer.h"

namespace plait {
namespace {

using explorer::Await;
using explorer::ExpectAllExecutionsPass;
using explorer::ExpectMutantsKilled;
using explorer::Parallel;
using explorer::Require;
using explorer::Scenario;
using explorer::Shorter;

void OneLooks() {
  Event event;
  int written = 0;
  Parallel({[&] {
              written = 1;
              event.Set();
            },
            [&] {
              if (event.IsSet()) Require(written == 1, "what came before is visible");
            }});
}

void OneWaitsAndDestroysIt() {
  auto event = std::make_unique<Event>();
  Event* const set = event.get();
  int written = 0;
  Parallel({[&written, set] {
              written = 1;
              set->Set();
            },
            [&] {
              Require(Await(event->Wait()).ok(), "nobody cancels it");
              Require(written == 1, "what came before is visible");
              event.reset();
            }});
}

void TwoWaitAndOneIsCancelled() {
  Event event;
  internal::StopState stop;
  int written = 0;
  Parallel({[&] {
              written = 1;
              event.Set();
              stop.RequestStop();
            },
            [&] {
              Require(Await(event.Wait()).ok(), "nobody cancels it");
              Require(written == 1, "what came before is visible");
            },
            [&] {
              if (Await(event.Wait(), &stop).ok()) Require(written == 1, "and here");
            }});
}

// Only a stop that came first may end a wait that a Set could have ended.
void AWaitIsCancelledAndTheEventDestroyed() {
  auto event = std::make_unique<Event>();
  Event* const set = event.get();
  internal::StopState stop;
  bool waited = false;
  Parallel({[set] { set->Set(); },
            [&] {
              waited = Await(event->Wait(), &stop).ok();
              if (waited) event.reset();
            },
            [&] { stop.RequestStop(); }});
  Require(waited || stop.stop_requested(), "nobody else cancels it");
}

void ItIsClearedAtOnce() {
  Event event;
  Event second;
  Parallel({[&] {
              event.Set();
              event.Clear();
              second.Set();
            },
            [&] {
              Require(Await(second.Wait()).ok(), "nobody cancels it");
              Require(!event.IsSet(), "it was cleared");
            }});
}

std::vector<Scenario> EventScenarios() {
  return {{"one looks", OneLooks},
          {"one waits and destroys it", OneWaitsAndDestroysIt},
          {"two wait and one is cancelled", TwoWaitAndOneIsCancelled, {.preemptions = 2}},
          {"a wait is cancelled and the event destroyed", AWaitIsCancelledAndTheEventDestroyed},
          {"it is cleared at once", ItIsClearedAtOnce}};
}

TEST(EventExploredTest, NoWakeUpIsLostAndWhoHasWaitedMayDestroyIt) {
  ExpectAllExecutionsPass(EventScenarios());
}

TEST(EventExploredTest, WeakeningAnyMemoryOrderIsNoticed) {
  ExpectMutantsKilled("runtime/sync/event.", Shorter(EventScenarios(), 1), 5);
}

// What each of two wrote before is visible to who waits, whoever of them was the last.
void TwoCountDown() {
  Latch latch(2);
  int one = 0, two = 0;
  const auto arrive = [&latch](int& written) {
    written = 1;
    latch.CountDown();
  };
  Parallel({[&] { arrive(one); }, [&] { arrive(two); },
            [&] {
              Require(Await(latch.Wait()).ok(), "nobody cancels it");
              Require(one + two == 2, "both are visible");
            }});
}

TEST(LatchExploredTest, TheLastOneOpensItForAll) {
  ExpectAllExecutionsPass({{"two count down", TwoCountDown}});
}

TEST(LatchExploredTest, WeakeningAnyMemoryOrderIsNoticed) {
  ExpectMutantsKilled("runtime/sync/latch.", Shorter({{"two count down", TwoCountDown}}, 1), 2);
}

}  // namespace
}  // namespace plait
