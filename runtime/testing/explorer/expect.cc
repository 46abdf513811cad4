#include "plait/runtime/testing/explorer/expect.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <limits>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/runtime/core/check.h"

namespace plait::explorer {
namespace {

constexpr char kPreemptions[] = "PLAIT_EXPLORE_PREEMPTIONS";

// Those of a scenario, or more, where the environment wants that.
Options Deepened(Options options) {
  const char* const wanted = std::getenv(kPreemptions);
  if (wanted == nullptr) return options;
  int preemptions = 0;
  PLAIT_CHECK(absl::SimpleAtoi(wanted, &preemptions) && preemptions >= 0,
              "PLAIT_EXPLORE_PREEMPTIONS is not a number of preemptions");
  options.preemptions = std::max(options.preemptions, preemptions);
  options.max_executions = std::numeric_limits<int64_t>::max();
  return options;
}

void ExpectPass(const std::vector<Scenario>& scenarios, bool exhaustively) {
  EXPECT_FALSE(scenarios.empty());
  for (const Scenario& scenario : scenarios) {
    const Report report = Explore(Deepened(scenario.options), scenario.body);
    EXPECT_TRUE(report.ok()) << scenario.name << ": " << report.ToString();
    if (exhaustively) {
      EXPECT_TRUE(report.exhaustive) << scenario.name << ": " << report.ToString();
    }
    testing::Test::RecordProperty(scenario.name, report.ToString());
    if (std::getenv(kPreemptions) != nullptr) {
      std::printf("%s: %s\n", scenario.name.c_str(), report.ToString().c_str());
      std::fflush(stdout);
    }
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
