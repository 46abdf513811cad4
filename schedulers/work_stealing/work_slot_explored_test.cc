// WorkSlot in every execution of small programs; every memory order weakened.
#include <cstddef>
#include <vector>

#include "gtest/gtest.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/testing/explorer/expect.h"
#include "plait/runtime/testing/explorer/explorer.h"
#include "plait/schedulers/work_stealing/work_slot.h"

namespace plait::internal {
namespace {

using explorer::ExpectAllExecutionsPass;
using explorer::ExpectMutantsKilled;
using explorer::Parallel;
using explorer::Require;
using explorer::Scenario;

// An item's contents are written before it is put, and written again by who runs it.
struct Item : WorkItem {
  int contents = 0;
  int runs = 0;

  void Run() {
    Require(contents == 1, "what was written before is visible");
    ++runs;
  }
};

void RunWhatIsThere(WorkItem* item) {
  if (item != nullptr) static_cast<Item*>(item)->Run();
}

void PutAndRunDisplaced(WorkSlot& slot, Item& item) {
  item.contents = 1;
  RunWhatIsThere(slot.Put(item));
}

void OneIsStolenOrNot() {
  WorkSlot slot;
  Item item;
  Parallel({[&] {
              PutAndRunDisplaced(slot, item);
              RunWhatIsThere(slot.Take());
            },
            [&] { RunWhatIsThere(slot.Steal()); }});
  Require(item.runs == 1 && slot.empty(), "it runs once");
}

void TwoAndTwoThieves() {
  WorkSlot slot;
  Item items[2];
  const auto steal = [&slot] { RunWhatIsThere(slot.Steal()); };
  Parallel({[&] {
              PutAndRunDisplaced(slot, items[0]);
              PutAndRunDisplaced(slot, items[1]);
              RunWhatIsThere(slot.Take());
            },
            steal, steal});
  Require(items[0].runs == 1 && items[1].runs == 1 && slot.empty(), "each runs once");
}

void ACertainOneIsTakenOrStolen() {
  WorkSlot slot;
  Item items[2];
  Parallel({[&] {
              PutAndRunDisplaced(slot, items[0]);
              PutAndRunDisplaced(slot, items[1]);
              Require(!slot.Take(items[0], [] {}), "another is there, or none");
              if (slot.Take(items[1], [] {})) items[1].Run();
            },
            [&] { RunWhatIsThere(slot.Steal()); }});
  Require(items[0].runs == 1 && items[1].runs == 1 && slot.empty(), "each runs once");
}

std::vector<Scenario> Scenarios() {
  return {{"one is stolen or not", OneIsStolenOrNot},
          {"two and two thieves", TwoAndTwoThieves},
          {"a certain one is taken or stolen", ACertainOneIsTakenOrStolen}};
}

// Trap: what the worker believes to be there may have been taken since it looked.
TEST(WorkSlotExploredTest, EachItemRunsOnceWithItsContents) {
  ExpectAllExecutionsPass(Scenarios());
}

TEST(WorkSlotExploredTest, WeakeningAnyMemoryOrderIsNoticed) {
  ExpectMutantsKilled("work_stealing/work_slot.h", Scenarios(), 2);
}

}  // namespace
}  // namespace plait::internal
