// Channel, and the TwoEndedRing in it, under the explorer: the handshakes between those who send,
// those who receive, and cancels.
//
// Traps: the wake-up lost between check and park, which is a deadlock here; cancel racing
// completion.
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "plait/runtime/sync/channel.h"
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

// What is sent, so that an item whose contents are not visible is a data race.
struct Item {
  int value = 0;
};
using ItemChannel = Channel<std::unique_ptr<Item>>;

void Send(ItemChannel& channel, int value) {
  auto item = std::make_unique<Item>();
  item->value = value;
  Require(Await(channel.Send(std::move(item))).ok(), "sent");
}

int Receive(ItemChannel& channel) {
  const absl::StatusOr<std::unique_ptr<Item>> item = Await(channel.Receive());
  Require(item.ok(), "nobody closes it");
  return (*item)->value;
}

// Each of the three may have to wait for another.
void TwoReceiveAndOneSends() {
  ItemChannel channel(1);
  int one = 0, two = 0;
  Send(channel, 1);
  Parallel({[&] { one = Receive(channel); }, [&] { two = Receive(channel); },
            [&] { Send(channel, 2); }});
  Require(one + two == 3, "each item came once");
}

void TwoSendAndOneReceives() {
  ItemChannel channel(1);
  int sum = 0;
  Send(channel, 1);
  Parallel({[&] { Send(channel, 2); }, [&] { Send(channel, 4); },
            [&] {
              for (int i = 0; i < 3; ++i) sum += Receive(channel);
            }});
  Require(sum == 7, "each item came once");
}

void AReceiveIsCancelled() {
  ItemChannel channel(1);
  internal::StopState stop;
  bool received = false;
  Parallel({[&] { received = Await(channel.Receive(), &stop).ok(); }, [&] { Send(channel, 1); },
            [&] { stop.RequestStop(); }});
  Require(received == channel.empty(), "the item was received, or is there");
}

// Before it waits, while it begins to, or then: nobody else ends it.
void AReceiveThatNobodyServesIsCancelled() {
  ItemChannel channel(1);
  internal::StopState stop;
  bool received = true;
  Parallel({[&] { received = Await(channel.Receive(), &stop).ok(); }, [&] { stop.RequestStop(); }});
  Require(!received, "it was cancelled");
}

// An item is handed to the first that waits, while that leaves the list or not.
void OneOfTwoReceivesIsCancelled() {
  ItemChannel channel(1);
  internal::StopState stop;
  bool first = false;
  int second = 0;
  Parallel({[&] { first = Await(channel.Receive(), &stop).ok(); },
            [&] { second = Receive(channel); },
            [&] {
              Send(channel, 1);
              stop.RequestStop();
              Send(channel, 1);
            }});
  Require(second == 1, "who is not cancelled receives");
  Require(first == channel.empty(), "the other has received, or its item is there");
}

// Somebody who waits to send is let in by who receives, while that leaves the list or not.
void OneOfTwoSendsIsCancelled() {
  ItemChannel channel(1);
  internal::StopState stop;
  bool first = false;
  int one = 0, two = 0;
  Send(channel, 1);
  Parallel({[&] {
              auto item = std::make_unique<Item>();
              item->value = 2;
              first = Await(channel.Send(std::move(item)), &stop).ok();
            },
            [&] { Send(channel, 4); },
            [&] {
              one = Receive(channel);
              stop.RequestStop();
              two = Receive(channel);
            }});
  const int left = channel.empty() ? 0 : Receive(channel);
  Require(one == 1, "it came first");
  Require(two + left == (first ? 6 : 4), "what was sent was received, or is there");
}

// Each alone at its end, but where it waits.
void OneSendsAndOneReceives() {
  ItemChannel channel(1);
  int one = 0, two = 0;
  Parallel({[&] {
              one = Receive(channel);
              two = Receive(channel);
            },
            [&] {
              Send(channel, 1);
              Send(channel, 2);
            }});
  Require(one == 1 && two == 2, "each item came once, in order");
}

// Each Send is received, or has failed.
void ItIsClosed() {
  ItemChannel channel(1);
  bool sent = false, received = false;
  Parallel({[&] {
              auto item = std::make_unique<Item>();
              sent = Await(channel.Send(std::move(item))).ok();
            },
            [&] { received = Await(channel.Receive()).ok(); }, [&] { channel.Close(); }});
  Require(sent == (received || !channel.empty()), "what was sent was received, or is there");
}

// The ends belong to the one that sends by then, or not yet.
void ItIsTakenAwayFromItsOwner() {
  ItemChannel channel(2);
  int one = 0, two = 0;
  Parallel({[&] {
              for (int value = 1; value <= 4; ++value) Send(channel, value);
            },
            [&] {
              one = Receive(channel);
              two = Receive(channel);
            }});
  Require(one == 1 && two == 2, "each item came once, in order");
}

std::vector<Scenario> ChannelScenarios() {
  return {{"two receive and one sends", TwoReceiveAndOneSends},
          {"two send and one receives", TwoSendAndOneReceives},
          {"a receive is cancelled", AReceiveIsCancelled, {.preemptions = 2}},
          {"a receive that nobody serves is cancelled", AReceiveThatNobodyServesIsCancelled},
          {"one of two receives is cancelled", OneOfTwoReceivesIsCancelled, {.preemptions = 2}},
          {"one of two sends is cancelled", OneOfTwoSendsIsCancelled, {.preemptions = 2}},
          {"one sends and one receives", OneSendsAndOneReceives},
          {"it is closed", ItIsClosed},
          {"it is taken away from its owner", ItIsTakenAwayFromItsOwner}};
}

TEST(ChannelExploredTest, NoItemAndNoWakeUpIsLost) { ExpectAllExecutionsPass(ChannelScenarios()); }

TEST(ChannelExploredTest, WeakeningAnyMemoryOrderIsNoticed) {
  // One preemption is enough to notice each.
  ExpectMutantsKilled("runtime/sync/",
                      {{"one sends and one receives", OneSendsAndOneReceives, {.preemptions = 1}}},
                      2);
}

}  // namespace
}  // namespace plait
