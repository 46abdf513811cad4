// What an explored test expects of its scenarios: that every execution passes, and that it would be
// noticed if a memory order were weaker.
//
//   TEST(InboxExploredTest, NoWakeUpIsLost) { ExpectAllExecutionsPass(Scenarios()); }
//
//   TEST(InboxExploredTest, WeakeningAMemoryOrderIsNoticed) {
//     // Push's is for those who park, and killed by another test.
//     ExpectMutantsKilled("runtime/core/inbox", Scenarios(), 2, {"Inbox::Push ..."});
//   }
//
// What was explored stands among the test's properties (--gtest_output=xml:...), under the name of
// each scenario, and under "mutants". MUTANTS.md lists the mutants of all of Plait's own tests, and
// what notices each, which is checked here; a lint test reads the names of survivors in their text.
#ifndef PLAIT_RUNTIME_TESTING_EXPLORER_EXPECT_H_
#define PLAIT_RUNTIME_TESTING_EXPLORER_EXPECT_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "plait/runtime/testing/explorer/explorer.h"

namespace plait::explorer {

// The scenarios with a lower bound on preemptions, where that is enough to notice what is weaker.
std::vector<Scenario> Shorter(std::vector<Scenario> scenarios, int preemptions);

// Each scenario passes in every execution within its bound; or within one that is higher, however
// long that takes, where PLAIT_EXPLORE_PREEMPTIONS in the environment says so (--config=deep).
void ExpectAllExecutionsPass(const std::vector<Scenario>& scenarios);

// The same, and the bound leaves out none: these are all the executions that there are.
void ExpectExhaustivelyPass(const std::vector<Scenario>& scenarios);

// There are `count` mutants of `files` (see ExploreMutants), and the scenarios kill all of them but
// the `survivors`, in whatever order: the test says in a comment why these survive. All executions
// of those were looked at.
void ExpectMutantsKilled(std::string_view files, const std::vector<Scenario>& scenarios,
                         size_t count, const std::vector<std::string>& survivors = {});

}  // namespace plait::explorer

#endif  // PLAIT_RUNTIME_TESTING_EXPLORER_EXPECT_H_
