// OwnerLock in every execution of small programs, with a HeavyBarrier and without; every memory
// order weakened, and each of the two barriers left out.
//
// Traps: another wants the lock while its owner is about to go in.
#include <vector>

#include "gtest/gtest.h"
#include "plait/runtime/testing/explorer/expect.h"
#include "plait/runtime/testing/explorer/explorer.h"
#include "plait/schedulers/work_stealing/owner_lock.h"

namespace plait::internal {
namespace {

using explorer::ExpectAllExecutionsPass;
using explorer::ExpectMutantsKilled;
using explorer::Parallel;
using explorer::Require;
using explorer::Scenario;

struct Program {
  explicit Program(bool light) : lock(light) {}

  void AddAsOwner(int times) {
    for (int i = 0; i < times; ++i) {
      lock.Do([this] { return ++count; });
    }
  }
  void AddAsOther() {
    const OthersHold hold(lock);
    ++count;
  }

  OwnerLock lock;
  int count = 0;  // under the lock
};

template <bool light>
void OneOther() {
  Program program(light);
  Parallel({[&] { program.AddAsOwner(2); }, [&] { program.AddAsOther(); }});
  Require(program.count == 3, "an addition was lost");
}

template <bool light>
void TwoOthers() {
  Program program(light);
  const auto add = [&program] { program.AddAsOther(); };
  Parallel({[&] { program.AddAsOwner(2); }, add, add});
  Require(program.count == 4, "an addition was lost");
}

std::vector<Scenario> Scenarios() {
  return {{"one other, light", OneOther<true>},
          {"one other", OneOther<false>},
          {"two others, light", TwoOthers<true>},
          {"two others", TwoOthers<false>}};
}

TEST(OwnerLockExploredTest, OneThreadAtATimeIsIn) { ExpectAllExecutionsPass(Scenarios()); }

TEST(OwnerLockExploredTest, WeakeningAnyMemoryOrderIsNoticed) {
  ExpectMutantsKilled("work_stealing/owner_lock.",
                      {{"one other, light", OneOther<true>}, {"one other", OneOther<false>}}, 9);
}

}  // namespace
}  // namespace plait::internal
