// JoinCounter under the explorer: children that end on other threads, and who joins them.
//
// Traps: the wake-up lost between check and park, which is a deadlock here; children that use a
// scope which is gone.
#include <memory>
#include <vector>

#include "gtest/gtest.h"
#include "plait/runtime/task/scope.h"
#include "plait/runtime/testing/explorer/await.h"
#include "plait/runtime/testing/explorer/expect.h"
#include "plait/runtime/testing/explorer/explorer.h"

namespace plait::internal {
namespace {

using explorer::Await;
using explorer::ExpectAllExecutionsPass;
using explorer::ExpectMutantsKilled;
using explorer::Parallel;
using explorer::Require;
using explorer::Scenario;

// What is joined goes with the scope, on the heap, so that a child that comes too late uses memory
// that was freed.
struct Children {
  JoinCounter counter;
  int results[2] = {};
};

void TwoEndAndOneJoins() {
  auto children = std::make_unique<Children>();
  children->counter.Add(2);
  const auto end = [](Children& of, int child) {
    of.results[child] = 1;
    of.counter.Done();
  };
  Children& shared = *children;
  Parallel({[&] { end(shared, 0); }, [&] { end(shared, 1); },
            [&] {
              Await(shared.counter.Join());
              Require(shared.results[0] + shared.results[1] == 2, "both results are visible");
              children.reset();
            }});
}

// One is added while others may end the join.
void OneIsAddedLate() {
  JoinCounter counter;
  counter.Add(1);
  bool added = false;
  int result = 0;
  Parallel({[&] { counter.Done(); },
            [&] {
              added = counter.TryAdd();
              if (!added) return;
              result = 1;
              counter.Done();
            },
            [&] {
              Await(counter.Join());
              Require(!counter.TryAdd(), "it has ended");
            }});
  Require(added == (result == 1), "who was added was awaited");
}

std::vector<Scenario> Scenarios() {
  return {{"two end and one joins", TwoEndAndOneJoins}, {"one is added late", OneIsAddedLate}};
}

TEST(JoinCounterExploredTest, WhoJoinsSeesAllResultsAndMayFreeThem) {
  ExpectAllExecutionsPass(Scenarios());
}

TEST(JoinCounterExploredTest, WeakeningAnyMemoryOrderIsNoticed) {
  ExpectMutantsKilled("runtime/task/scope.", Scenarios(), 4);
}

}  // namespace
}  // namespace plait::internal
