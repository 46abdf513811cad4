// BiasedLock in every execution of small programs, its spin lock one step; every memory order
// weakened, and each of the two barriers left out.
//
// Traps: the lock that belongs to one thread is taken away while that thread is about to go in.
#include <vector>

#include "gtest/gtest.h"
#include "plait/runtime/core/biased_lock.h"
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
  BiasedLock lock;
  int count = 0;  // under the lock

  void Add() {
    const BiasedLockHolder hold(lock);
    ++count;
  }
  void OwnAndAdd(int times) {
    {
      const BiasedLockHolder hold(lock);
      lock.GiveToThisThread();
    }
    for (int i = 0; i < times; ++i) Add();
  }
};

void OneTakesItAway() {
  Program program;
  Parallel({[&] { program.OwnAndAdd(2); }, [&] { program.Add(); }});
  Require(program.count == 3, "an addition was lost");
}

void TwoTakeItAway() {
  Program program;
  Parallel({[&] { program.OwnAndAdd(2); }, [&] { program.Add(); }, [&] { program.Add(); }});
  Require(program.count == 4, "an addition was lost");
}

// It is forgotten that it was taken away: then its owner may have it again, and the other one must
// not, as the owner may still be about to say that it is not inside.
void OneTakesItAwayAndForgets() {
  Program program;
  Parallel({[&] {
              program.OwnAndAdd(1);
              program.OwnAndAdd(1);
            },
            [&] {
              {
                const BiasedLockHolder hold(program.lock);
                ++program.count;
                program.lock.ForgetThis();
              }
              program.OwnAndAdd(1);
            },
            [&] { program.Add(); }});
  Require(program.count == 5, "an addition was lost");
}

std::vector<Scenario> Scenarios() {
  return {{"one takes it away", OneTakesItAway},
          {"two take it away", TwoTakeItAway},
          {"one takes it away and forgets", OneTakesItAwayAndForgets}};
}

TEST(BiasedLockExploredTest, OneThreadAtATimeIsIn) { ExpectAllExecutionsPass(Scenarios()); }

TEST(BiasedLockExploredTest, WeakeningAnyMemoryOrderIsNoticed) {
  ExpectMutantsKilled("core/biased_lock", {{"one takes it away", OneTakesItAway}}, 5);
}

}  // namespace
}  // namespace plait::internal
