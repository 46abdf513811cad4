#include "plait/runtime/testing/explorer/expect.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace plait::explorer {
namespace {

void ExpectPass(const std::vector<Scenario>& scenarios, bool exhaustively) {
  EXPECT_FALSE(scenarios.empty());
  for (const Scenario& scenario : scenarios) {
    const Report report = Explore(scenario.options, scenario.body);
    EXPECT_TRUE(report.ok()) << scenario.name << ": " << report.ToString();
    if (exhaustively) {
      EXPECT_TRUE(report.exhaustive) << scenario.name << ": " << report.ToString();
    }
    testing::Test::RecordProperty(scenario.name, report.ToString());
  }
}

}  // namespace

std::vector<Scenario> Shorter(std::vector<Scenario> scenarios, int preemptions) {
  for (Scenario& scenario : scenarios) scenario.options.preemptions = preemptions;
  return scenarios;
}

void ExpectAllExecutionsPass(const std::vector<Scenario>& scenarios) {
  ExpectPass(scenarios, /*exhaustively=*/false);
}

void ExpectExhaustivelyPass(const std::vector<Scenario>& scenarios) {
  ExpectPass(scenarios, /*exhaustively=*/true);
}

void ExpectMutantsKilled(std::string_view files, const std::vector<Scenario>& scenarios,
                         size_t count, const std::vector<std::string>& survivors) {
  const Mutants mutants = ExploreMutants(files, scenarios);
  EXPECT_THAT(mutants.survivors(), testing::UnorderedElementsAreArray(survivors))
      << mutants.ToString();
  EXPECT_EQ(mutants.all.size(), count) << mutants.ToString();
  for (const Mutant& mutant : mutants.all) {
    EXPECT_FALSE(mutant.undecided) << mutant.name << ": not every execution was looked at";
  }
  testing::Test::RecordProperty("mutants", mutants.ToString());
}

}  // namespace plait::explorer
