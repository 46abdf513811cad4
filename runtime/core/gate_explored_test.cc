// Gate in every execution of small programs; every memory order weakened.
//
// Traps: what goes away is touched by who is still inside, or comes in at the last moment.
#include <memory>
#include <vector>

#include "gtest/gtest.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/gate.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/testing/explorer/expect.h"
#include "plait/runtime/testing/explorer/explorer.h"

namespace plait::internal {
namespace {

using explorer::ExpectAllExecutionsPass;
using explorer::ExpectMutantsKilled;
using explorer::Parallel;
using explorer::Require;
using explorer::Scenario;

// What is used inside of a gate. Each user has a part of its own, so that only who ends it can
// clash with them.
struct Guarded {
  Gate gate;
  int touched[2] = {};
  bool ended = false;

  bool Use(int user) {
    const bool open = gate.Enter();
    if (open) {
      Require(!ended, "somebody is inside after the end");
      ++touched[user];
    }
    gate.Leave();
    return open;
  }
  void End() {
    gate.Shut();
    gate.AwaitEmpty();
    ended = true;
  }
};

void OneIsInsideWhenItIsShut() {
  Guarded guarded;
  bool used = false;
  Parallel({[&] { used = guarded.Use(0); },
            [&] {
              guarded.End();
              guarded.touched[0] += 10;
            }});
  Require(guarded.touched[0] == (used ? 11 : 10), "who was let in did what it came for");
  Require(guarded.gate.shut() && guarded.gate.empty(), "it is shut, and nobody is inside");
}

void TwoAreInsideWhenItIsShut() {
  Guarded guarded;
  Parallel({[&] { static_cast<void>(guarded.Use(0)); }, [&] { static_cast<void>(guarded.Use(1)); },
            [&] {
              guarded.End();
              for (int& each : guarded.touched) each += 10;
            }});
}

void ItIsOpenedOnceMore() {
  Guarded guarded;
  int used = 0;
  Parallel({[&] {
              used += guarded.Use(0);
              used += guarded.Use(0);
            },
            [&] {
              guarded.gate.Shut();
              guarded.gate.AwaitEmpty();
              guarded.touched[0] += 10;  // nobody is inside
              guarded.gate.Open();
              guarded.End();
            }});
  Require(guarded.touched[0] == 10 + used, "one was inside while it was shut");
}

// The end is what is done inside; the gate goes with all the rest.
void WhatIsDoneInsideEndsIt() {
  auto guarded = std::make_unique<Guarded>();
  Atomic<bool> posted{false};
  Parallel({[&, self = guarded.get()] {
              const GateVisit visit(self->gate);
              posted.store(true, kRelease);
              ++self->touched[0];  // may have begun to end
            },
            [&] {
              for (int round = 0; !posted.load(kAcquire); ++round) SpinWait(round);
              guarded->gate.AwaitEmpty();
              guarded.reset();
            }});
}

std::vector<Scenario> Scenarios() {
  return {{"one is inside when it is shut", OneIsInsideWhenItIsShut},
          {"two are inside when it is shut", TwoAreInsideWhenItIsShut},
          {"it is opened once more", ItIsOpenedOnceMore},
          {"what is done inside ends it", WhatIsDoneInsideEndsIt}};
}

TEST(GateExploredTest, NobodyIsInsideAfterTheEnd) { ExpectAllExecutionsPass(Scenarios()); }

TEST(GateExploredTest, WeakeningAnyMemoryOrderIsNoticed) {
  ExpectMutantsKilled("core/gate.", Scenarios(), 4);
}

}  // namespace
}  // namespace plait::internal
