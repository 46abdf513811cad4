// Inbox under the explorer: every execution of small programs, and every memory order weakened.
#include <vector>

#include "gtest/gtest.h"
#include "plait/runtime/core/inbox.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/testing/explorer/expect.h"
#include "plait/runtime/testing/explorer/explorer.h"

namespace plait::internal {
namespace {

using explorer::Event;
using explorer::ExpectAllExecutionsPass;
using explorer::ExpectMutantsKilled;
using explorer::Parallel;
using explorer::Require;
using explorer::Scenario;

struct Numbered : WorkItem {
  int number = 0;  // written by the producer, read by the consumer
};

// The consumer sleeps as an event loop does: only a push that returned true wakes it.
class Consumer {
 public:
  explicit Consumer(Inbox& inbox) : inbox_(inbox) {}

  void Receive(int count) {
    while (static_cast<int>(received.size()) < count) {
      WorkQueue ready;
      inbox_.Drain(ready);
      if (ready.empty() && inbox_.PrepareToSleep()) wake_.Wait();
      while (WorkItem* item = ready.Pop()) {
        received.push_back(static_cast<Numbered&>(*item).number);
      }
    }
  }
  void Push(Numbered& item, int number) {
    item.number = number;
    if (inbox_.Push(item)) wake_.Set();
  }

  std::vector<int> received;

 private:
  Inbox& inbox_;
  Event wake_;
};

void OneProducer() {
  Inbox inbox;
  Consumer consumer(inbox);
  Numbered items[2];
  Parallel({[&] { consumer.Receive(2); },
            [&] {
              consumer.Push(items[0], 1);
              consumer.Push(items[1], 2);
            }});
  Require(consumer.received == std::vector<int>({1, 2}), "the items came in their order");
}

void TwoProducers() {
  Inbox inbox;
  Consumer consumer(inbox);
  Numbered items[2];
  Parallel({[&] { consumer.Receive(2); }, [&] { consumer.Push(items[0], 1); },
            [&] { consumer.Push(items[1], 2); }});
  Require(consumer.received == std::vector<int>({1, 2}) ||
              consumer.received == std::vector<int>({2, 1}),
          "each came once");
}

// An item goes through again as soon as it was received, as a task's does.
void Reuse() {
  Inbox inbox;
  Consumer consumer(inbox);
  Inbox back;
  Consumer other(back);
  Numbered item;
  Parallel({[&] {
              consumer.Receive(1);
              other.Push(item, 2);
              consumer.Receive(2);
            },
            [&] {
              consumer.Push(item, 1);
              other.Receive(1);
              consumer.Push(item, 3);
            }});
  Require(consumer.received == std::vector<int>({1, 3}) && other.received == std::vector<int>({2}),
          "the item came each time");
}

std::vector<Scenario> Scenarios() {
  return {{"one producer", OneProducer}, {"two producers", TwoProducers}, {"reuse", Reuse}};
}

// Traps: the wake-up lost between check and park, which would be a deadlock here.
TEST(InboxExploredTest, EveryItemArrivesInOrderAndNoWakeUpIsLost) {
  ExpectAllExecutionsPass(Scenarios());
}

TEST(InboxExploredTest, WeakeningAnyMemoryOrderIsNoticed) {
  // Push: release -> relaxed, and Drain: acquire -> relaxed. All else is relaxed as it is.
  ExpectMutantsKilled("runtime/core/inbox", Scenarios(), 2);
}

}  // namespace
}  // namespace plait::internal
