// RovingLock in every execution of small programs, its spin lock one step; every memory order
// weakened, and each of the two barriers left out.
//
// Traps: the lock that belongs to one thread is taken away while that thread is about to go in; and
// belongs to another by the time that it notices.
#include <vector>

#include "gtest/gtest.h"
#include "plait/runtime/core/roving_lock.h"
#include "plait/runtime/testing/explorer/expect.h"
#include "plait/runtime/testing/explorer/explorer.h"

namespace plait::internal {
namespace {

using explorer::ExpectAllExecutionsPass;
using explorer::ExpectMutantsKilled;
using explorer::Parallel;
using explorer::Require;
using explorer::Scenario;

// Here a lock belongs to who has taken it twice in a row, at first.
struct Program {
  RovingLock lock;
  int count = 0;  // under the lock

  void Add(int times) {
    for (int i = 0; i < times; ++i) {
      const RovingLockHolder hold(lock);
      ++count;
    }
  }
};

void OneTakesItAway() {
  Program program;
  Parallel({[&] { program.Add(6); }, [&] { program.Add(1); }});
  Require(program.count == 7, "an addition was lost");
}

void TwoTakeItAway() {
  Program program;
  Parallel({[&] { program.Add(4); }, [&] { program.Add(1); }, [&] { program.Add(1); }});
  Require(program.count == 6, "an addition was lost");
}

// One is about to go in as the other takes the lock away, owns it and goes in.
void ItBelongsToOneAfterAnother() {
  Program program;
  Parallel({[&] { program.Add(6); }, [&] { program.Add(8); }});
  Require(program.count == 14, "an addition was lost");
}

// Each owns it again and again.
void ItGoesBackAndForth() {
  Program program;
  Parallel({[&] { program.Add(9); }, [&] { program.Add(9); }});
  Require(program.count == 18, "an addition was lost");
}

std::vector<Scenario> Scenarios() {
  return {{"one takes it away", OneTakesItAway},
          {"two take it away", TwoTakeItAway},
          {"it belongs to one after another", ItBelongsToOneAfterAnother},
          {"it goes back and forth", ItGoesBackAndForth}};
}

TEST(RovingLockExploredTest, OneThreadAtATimeIsIn) { ExpectAllExecutionsPass(Scenarios()); }

TEST(RovingLockExploredTest, WeakeningAnyMemoryOrderIsNoticed) {
  ExpectMutantsKilled("core/roving_lock", {{"one takes it away", OneTakesItAway}}, 5);
}

}  // namespace
}  // namespace plait::internal
