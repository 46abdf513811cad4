// HomeLock in every execution of small programs; every memory order weakened, and each of the two
// barriers left out.
//
// Traps: the lock is taken away while its home is about to go in.
#include <vector>

#include "gtest/gtest.h"
#include "plait/runtime/core/home_lock.h"
#include "plait/runtime/testing/explorer/expect.h"
#include "plait/runtime/testing/explorer/explorer.h"

namespace plait::internal {
namespace {

using explorer::ExpectAllExecutionsPass;
using explorer::ExpectMutantsKilled;
using explorer::Parallel;
using explorer::Require;
using explorer::Scenario;

struct Program {
  HomeLock lock;
  int count = 0;  // under the lock

  void AddLocked() {
    const HomeLock::Bits bits = lock.Lock();
    ++count;
    lock.Unlock(bits);
  }
  void MakeHomeAndAdd(int times) {
    const HomeLock::Bits bits = lock.Lock();
    lock.MakeHome(bits);
    lock.Unlock(bits);
    for (int i = 0; i < times; ++i) {
      if (!lock.Enter()) {
        AddLocked();
        continue;
      }
      ++count;
      lock.Leave();
    }
  }
};

void OneTakesItAway() {
  Program program;
  Parallel({[&] { program.MakeHomeAndAdd(2); }, [&] { program.AddLocked(); }});
  Require(program.count == 3, "an addition was lost");
}

void TwoTakeItAway() {
  Program program;
  Parallel({[&] { program.MakeHomeAndAdd(2); }, [&] { program.AddLocked(); },
            [&] { program.AddLocked(); }});
  Require(program.count == 4, "an addition was lost");
}

// As its first home may still be about to leave.
void AnotherWantsToBeItsHome() {
  Program program;
  Parallel({[&] { program.MakeHomeAndAdd(1); }, [&] { program.MakeHomeAndAdd(1); }});
  Require(program.count == 2, "an addition was lost");
}

// What came before a bit was set is visible to whoever sees it.
void ABitIsSeen() {
  constexpr HomeLock::Bits kMine = 0x40;
  HomeLock lock;
  int told = 0;
  Parallel({[&] {
              told = 1;
              lock.Unlock(lock.Lock() | kMine);
            },
            [&] {
              if ((lock.bits() & kMine) != 0) Require(told == 1, "it is visible");
            }});
}

std::vector<Scenario> Scenarios() {
  return {{"one takes it away", OneTakesItAway},
          {"two take it away", TwoTakeItAway, {.preemptions = 2}},
          {"a bit is seen", ABitIsSeen},
          {"another wants to be its home", AnotherWantsToBeItsHome}};
}

TEST(HomeLockExploredTest, OneThreadAtATimeIsIn) { ExpectAllExecutionsPass(Scenarios()); }

TEST(HomeLockExploredTest, WeakeningAnyMemoryOrderIsNoticed) {
  ExpectMutantsKilled("core/home_lock",
                      {{"one takes it away", OneTakesItAway}, {"a bit is seen", ABitIsSeen}}, 8);
}

}  // namespace
}  // namespace plait::internal
