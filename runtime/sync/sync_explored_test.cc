// Mutex, Semaphore and Channel under the explorer: their handshakes between those who wait, those
// who wake them, and cancels.
//
// Traps: the wake-up lost between check and park, which is a deadlock here; cancel racing
// completion.
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/runtime/sync/channel.h"
#include "plait/runtime/sync/mutex.h"
#include "plait/runtime/sync/semaphore.h"
#include "plait/runtime/task/stop_token.h"
#include "plait/runtime/testing/explorer/await.h"
#include "plait/runtime/testing/explorer/explorer.h"

namespace plait {
namespace {

using explorer::Await;
using explorer::Explore;
using explorer::ExploreMutants;
using explorer::Mutants;
using explorer::Parallel;
using explorer::Report;
using explorer::Require;
using explorer::Scenario;
using ::testing::IsEmpty;

void ExpectAllPass(const std::vector<Scenario>& scenarios) {
  for (const Scenario& scenario : scenarios) {
    const Report report = Explore(scenario.options, scenario.body);
    EXPECT_TRUE(report.ok()) << scenario.name << ": " << report.ToString();
    ::testing::Test::RecordProperty(scenario.name, report.ToString());
  }
}

// --- Mutex ---

void ThreeLock() {
  Mutex mutex;
  int shared = 0;
  const auto add = [&] {
    const MutexGuard guard = Await(mutex.Lock());
    Require(guard.ok(), "nobody cancels it");
    ++shared;
  };
  Parallel({add, add, add});
  Require(shared == 3, "one at a time");
  Require(!mutex.locked(), "it is free in the end");
}

void ALockIsCancelled() {
  Mutex mutex;
  internal::StopState stop;
  int shared = 0;
  Parallel({[&] {
              const MutexGuard guard = Await(mutex.Lock());
              ++shared;
            },
            [&] {
              const MutexGuard guard = Await(mutex.Lock(), &stop);
              if (guard.ok()) ++shared;
            },
            [&] { stop.RequestStop(); }});
  Require(shared >= 1, "who was not cancelled had it");
  Require(!mutex.locked(), "it is free in the end");
}

std::vector<Scenario> MutexScenarios() {
  return {{"three lock", ThreeLock, {.preemptions = 2}},
          {"a lock is cancelled", ALockIsCancelled, {.preemptions = 1}}};
}

TEST(MutexExploredTest, OneAtATimeAndNoWakeUpIsLost) { ExpectAllPass(MutexScenarios()); }

TEST(MutexExploredTest, WeakeningAnyMemoryOrderIsNoticed) {
  const Mutants mutants = ExploreMutants("runtime/sync/mutex", MutexScenarios());
  EXPECT_THAT(mutants.survivors(), IsEmpty()) << mutants.ToString();
  ::testing::Test::RecordProperty("mutants", mutants.ToString());
}

// --- Semaphore ---

void TwoAcquire() {
  Semaphore semaphore(1);
  int shared = 0;
  const auto add = [&] {
    const SemaphoreGuard guard = Await(semaphore.Acquire());
    ++shared;
  };
  Parallel({add, add});
  Require(shared == 2, "one at a time");
  Require(semaphore.available() == 1, "the permit is back");
}

std::vector<Scenario> SemaphoreScenarios() { return {{"two acquire", TwoAcquire}}; }

TEST(SemaphoreExploredTest, NoPermitAndNoWakeUpIsLost) { ExpectAllPass(SemaphoreScenarios()); }

// --- Channel ---

void TwoReceive() {
  Channel<int> channel(1);
  int one = 0, two = 0;
  const auto receive = [&](int& into) {
    const absl::StatusOr<int> item = Await(channel.Receive());
    Require(item.ok(), "nobody closes it");
    into = *item;
  };
  Parallel({[&] { receive(one); }, [&] { receive(two); },
            [&] {
              Require(Await(channel.Send(1)).ok(), "sent");
              Require(Await(channel.Send(2)).ok(), "sent");
            }});
  Require(one + two == 3, "each item came once");
}

void AReceiveIsCancelled() {
  Channel<int> channel(1);
  internal::StopState stop;
  bool received = false;
  Parallel({[&] { received = Await(channel.Receive(), &stop).ok(); },
            [&] { Require(Await(channel.Send(1)).ok(), "sent"); }, [&] { stop.RequestStop(); }});
  Require(received == channel.empty(), "the item was received, or is there");
}

std::vector<Scenario> ChannelScenarios() {
  return {{"two receive", TwoReceive, {.preemptions = 0}},
          {"a receive is cancelled", AReceiveIsCancelled, {.preemptions = 1}}};
}

TEST(ChannelExploredTest, NoItemAndNoWakeUpIsLost) { ExpectAllPass(ChannelScenarios()); }

}  // namespace
}  // namespace plait
