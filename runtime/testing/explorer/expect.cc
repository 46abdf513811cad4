#include "plait/runtime/testing/explorer/expect.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <limits>
#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/runtime/core/check.h"

namespace plait::explorer {
namespace {

// How many preemptions the environment wants at least; none, where it says nothing.
std::optional<int> WantedPreemptions() {
  const char* const text = std::getenv("PLAIT_EXPLORE_PREEMPTIONS");
  if (text == nullptr) return std::nullopt;
  int wanted = 0;
  PLAIT_CHECK(absl::SimpleAtoi(text, &wanted) && wanted >= 0,
              "PLAIT_EXPLORE_PREEMPTIONS is not a number of preemptions");
  return wanted;
}

void ExpectPass(const std::vector<Scenario>& scenarios, bool exhaustively) {
  EXPECT_FALSE(scenarios.empty());
  const std::optional<int> wanted = WantedPreemptions();
  for (const Scenario& scenario : scenarios) {
    Options options = scenario.options;
    if (wanted.has_value()) {
      options.preemptions = std::max(options.preemptions, *wanted);
      options.max_executions = std::numeric_limits<int64_t>::max();
    }
    const Report report = Explore(options, scenario.body);
    EXPECT_TRUE(report.ok()) << scenario.name << ": " << report.ToString();
    if (exhaustively) {
      EXPECT_TRUE(report.exhaustive) << scenario.name << ": " << report.ToString();
    }
    testing::Test::RecordProperty(scenario.name, report.ToString());
    // It may take hours: how far it is.
    if (wanted.has_value()) std::cout << scenario.name << ": " << report.ToString() << std::endl;
  }
}

// The lines of Plait's MUTANTS.md, in Plait's own tests; else none.
std::vector<std::string> PageOfMutants() {
  std::ifstream page("runtime/testing/explorer/MUTANTS.md");
  std::vector<std::string> lines;
  for (std::string line; std::getline(page, line);) lines.push_back(line);
  return lines;
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
  static const std::vector<std::string> page = PageOfMutants();
  const Mutants mutants = ExploreMutants(files, scenarios);
  EXPECT_THAT(mutants.survivors(), testing::UnorderedElementsAreArray(survivors))
      << mutants.ToString();
  EXPECT_EQ(mutants.all.size(), count) << mutants.ToString();
  for (const Mutant& mutant : mutants.all) {
    EXPECT_FALSE(mutant.undecided) << mutant.name << ": not every execution was looked at";
    const std::string row =
        absl::StrCat("| `", mutant.name, "` | ",
                     mutant.killed ? absl::StrCat(mutant.noticed_by, " |") : "survives");
    const auto begins = [&row](const std::string& line) { return line.starts_with(row); };
    EXPECT_TRUE(std::any_of(page.begin(), page.end(), begins))
        << "MUTANTS.md does not say: " << row;
  }
  testing::Test::RecordProperty("mutants", mutants.ToString());
}

}  // namespace plait::explorer
