// Strand under the explorer: items that are scheduled from several threads, on a base of two.
//
// Traps: the wake-up lost between check and park, which is here an item that nobody runs, and so a
// deadlock; a strand that is used after it was destroyed.
#include <memory>
#include <vector>

#include "gtest/gtest.h"
#include "plait/runtime/core/executor.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/sync/strand.h"
#include "plait/runtime/task/join_handle.h"
#include "plait/runtime/task/spawn.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/testing/explorer/expect.h"
#include "plait/runtime/testing/explorer/explorer.h"

namespace plait {
namespace {

using explorer::Event;
using explorer::ExpectAllExecutionsPass;
using explorer::ExpectMutantsKilled;
using explorer::Parallel;
using explorer::Require;
using explorer::Scenario;

// A base that runs each turn on the thread that schedules it. It makes nothing visible to anybody,
// and as any queue it writes to the item.
class Here final : public Executor {
 public:
  void Schedule(WorkItem& item) noexcept override {
    item.next = nullptr;
    item.run(item);
  }
};

struct Item : WorkItem {
  Item() : WorkItem(&Run) {}
  static void Run(WorkItem& item) noexcept {
    auto& self = static_cast<Item&>(item);
    Require(self.contents == 1, "what was written before is visible");
    ++*self.shared;
    if (self.ran != nullptr) self.ran->Set();
  }

  int contents = 0;
  int* shared = nullptr;  // what only the strand's items touch
  Event* ran = nullptr;
};

void ScheduleOn(Strand& strand, Item& item, int& shared) {
  item.contents = 1;
  item.shared = &shared;
  strand.Schedule(item);
}

// Whoever finds it idle runs the turn, and with it what the other has posted meanwhile.
void TwoSchedule() {
  Here base;
  int shared = 0;
  Item items[2];
  {
    Strand strand(base);
    Parallel({[&] { ScheduleOn(strand, items[0], shared); },
              [&] { ScheduleOn(strand, items[1], shared); }});
  }
  Require(shared == 2, "each ran once, one at a time");
}

// Who waits for an item destroys the strand, whose turn may still be on its way out.
void WhoWaitedDestroysIt() {
  Here base;
  int shared = 0;
  Item item;
  Event ran;
  item.ran = &ran;
  auto strand = std::make_unique<Strand>(base);
  Strand& used = *strand;
  Parallel({[&] { ScheduleOn(used, item, shared); },
            [&] {
              ran.Wait();
              strand.reset();
              Require(shared == 1, "it has run");
            }});
}

// A task of the strand calls the one that it spawns on it and awaits, inside its own turn, while
// another thread schedules.
void ATaskCallsAnotherWhileOneSchedules() {
  Here base;
  int shared = 0;
  Item item;
  {
    Strand strand(base);
    auto inner = [](int* at) -> Task<void> {
      ++*at;
      co_return;
    };
    auto outer = [](auto* make, int* at) -> Task<void> {
      ++*at;
      co_await Spawn((*make)(at));
      ++*at;
    };
    Parallel({[&] { Spawn(outer(&inner, &shared), {.executor = &strand}); },
              [&] { ScheduleOn(strand, item, shared); }});
  }
  Require(shared == 4, "each ran once, one at a time");
}

std::vector<Scenario> Scenarios() {
  return {{"two schedule", TwoSchedule},
          {"who waited destroys it", WhoWaitedDestroysIt},
          {"a task calls another while one schedules", ATaskCallsAnotherWhileOneSchedules}};
}

TEST(StrandExploredTest, ItemsRunOneAtATimeAndNoneIsForgotten) {
  ExpectAllExecutionsPass(Scenarios());
}

TEST(StrandExploredTest, WeakeningAnyMemoryOrderIsNoticed) {
  ExpectMutantsKilled("runtime/sync/strand.", Scenarios(), 5);
}

}  // namespace
}  // namespace plait
