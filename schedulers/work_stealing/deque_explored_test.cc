// WorkStealingDeque under the explorer: every execution of small programs of an owner and two
// thieves, and every memory order weakened.
#include <initializer_list>
#include <vector>

#include "gtest/gtest.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/testing/explorer/expect.h"
#include "plait/runtime/testing/explorer/explorer.h"
#include "plait/schedulers/work_stealing/deque.h"

namespace plait::internal {
namespace {

using explorer::ExpectAllExecutionsPass;
using explorer::ExpectMutantsKilled;
using explorer::Options;
using explorer::Parallel;
using explorer::Require;
using explorer::Scenario;
using Stolen = WorkStealingDeque::Stolen;

struct Item : WorkItem {
  int pushed = 0;  // written by the owner before it pushes
  int taken = 0;   // written by whoever takes it: by two, that is a data race, or 2
};

class Program {
 public:
  explicit Program(size_t capacity) : deque_(capacity) {}

  void Push(Item& item) {
    item.pushed = 1;
    ++pushed_;
    deque_.Push(item);
  }
  void Pop() { Take(deque_.Pop()); }
  void Steal() { Take(deque_.Steal().item); }

  // When all threads have ended: takes what is left.
  void Finish(std::initializer_list<Item*> items) {
    while (WorkItem* item = deque_.Pop()) Take(item);
    for (const Item* item : items) Require(item->taken == item->pushed, "each was taken once");
  }

 private:
  static void Take(WorkItem* item) {
    if (item == nullptr) return;
    auto& taken = static_cast<Item&>(*item);
    Require(taken.pushed == 1, "what the owner wrote is visible");
    ++taken.taken;
  }

  WorkStealingDeque deque_;
  int pushed_ = 0;
};

// All want the last item.
void TheLastItem() {
  Program program(2);
  Item item;
  Parallel({[&] {
              program.Push(item);
              program.Pop();
            },
            [&] { program.Steal(); }, [&] { program.Steal(); }});
  program.Finish({&item});
}

// One thief knows that the other has stolen; the owner pops without a compare-and-swap.
void TwoItems() {
  Program program(2);
  Item items[2];
  program.Push(items[0]);
  program.Push(items[1]);
  Parallel({[&] { program.Pop(); }, [&] { program.Steal(); }, [&] { program.Steal(); }});
  program.Finish({&items[0], &items[1]});
}

void OneThiefStealsTwice() {
  Program program(2);
  Item items[2];
  program.Push(items[0]);
  program.Push(items[1]);
  Parallel({[&] {
              program.Pop();
              program.Pop();
            },
            [&] {
              program.Steal();
              program.Steal();
            }});
  program.Finish({&items[0], &items[1]});
}

// A slot is used again while a thief may still look at it.
void ASlotIsUsedAgain() {
  Program program(1);
  Item items[2];
  program.Push(items[0]);
  Parallel({[&] {
              program.Pop();
              program.Push(items[1]);
            },
            [&] { program.Steal(); }, [&] { program.Steal(); }});
  program.Finish({&items[0], &items[1]});
}

void ItGrows() {
  Program program(1);
  Item items[2];
  program.Push(items[0]);
  Parallel({[&] { program.Push(items[1]); }, [&] { program.Steal(); }, [&] { program.Steal(); }});
  program.Finish({&items[0], &items[1]});
}

const std::vector<Scenario>& Scenarios() {
  // A thief may also not read a slot late, when the owner has put another item there.
  constexpr Options kOptions = {.forbid_load_buffering = true};
  static const auto* const scenarios =
      new std::vector<Scenario>{{"the last item", TheLastItem, kOptions},
                                {"two items", TwoItems, kOptions},
                                {"one thief steals twice", OneThiefStealsTwice, kOptions},
                                {"a slot is used again", ASlotIsUsedAgain, kOptions},
                                {"it grows", ItGrows, kOptions}};
  return *scenarios;
}

TEST(WorkStealingDequeExploredTest, EveryItemIsTakenOnce) { ExpectAllExecutionsPass(Scenarios()); }

TEST(WorkStealingDequeExploredTest, WeakeningAMemoryOrderIsNoticed) {
  // It is for those who park, and is killed by idle_set_explored_test.
  ExpectMutantsKilled("work_stealing/deque", Scenarios(), 11,
                      {"WorkStealingDeque::Push store: seq_cst -> release"});
}

}  // namespace
}  // namespace plait::internal
