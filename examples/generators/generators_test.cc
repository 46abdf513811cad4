#include <algorithm>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/examples/support/manners.h"
#include "plait/examples/support/run_program.h"

namespace examples {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;

constexpr char kProgram[] = "examples/generators/generators";

class GeneratorsTest : public ::testing::Test {
 protected:
  GeneratorsTest() : run_(RunProgram(kProgram, {"--pace=4ms"})) {}

  // The lines below the title that begins with `title`, ticks left out.
  std::vector<std::string> Section(const std::string& title) {
    std::vector<std::string> lines;
    bool inside = false;
    for (const std::string& line : run_.lines()) {
      if (!line.empty() && line[0] != ' ') {
        inside = line.rfind(title, 0) == 0;
      } else if (inside && !line.empty() && line.rfind("    tick", 0) != 0) {
        lines.push_back(line);
      }
    }
    return lines;
  }

  const ProgramRun run_;
};

TEST_F(GeneratorsTest, ItEndsWell) {
  EXPECT_EQ(run_.exit_status, 0);
  EXPECT_EQ(run_.error, "");
  EXPECT_EQ(run_.lines().back(), "Run -> OK");
}

TEST_F(GeneratorsTest, AnInfiniteGeneratorIsLeftAndGoes) {
  EXPECT_THAT(Section("Infinite"),
              ElementsAre("  0 1 1 2 3 5 8 13 21 34 55 89", "  (the Fibonacci generator is gone)"));
  EXPECT_THAT(Section("A range"),
              ElementsAre("  0 2 8 34 144", "  (the Fibonacci generator is gone)"));
}

TEST_F(GeneratorsTest, ARecursiveGeneratorWalksATree) {
  EXPECT_THAT(Section("Recursive"),
              ElementsAre("  Bulbasaur Charmander Eevee Jigglypuff Mew Snorlax"));
}

TEST_F(GeneratorsTest, OthersRunWhileAnAsynchronousGeneratorWaits) {
  EXPECT_THAT(Section("Asynchronous"),
              ElementsAre("  Bulbasaur", "  Charmander", "  Squirtle", "  Pikachu", "  Mew",
                          "  (the Pokemon generator is gone)"));
  const std::vector<std::string> lines = run_.lines();
  const auto tick = std::find(lines.begin(), lines.end(), "    tick 1");
  EXPECT_LT(tick, std::find(lines.begin(), lines.end(), "  Mew"));
}

TEST_F(GeneratorsTest, LeavingEarlyDestroysTheFrame) {
  EXPECT_THAT(Section("Left early"), ElementsAre("  Bulbasaur", "  Charmander", "  that is enough",
                                                 "  (the Pokemon generator is gone)"));
}

TEST_F(GeneratorsTest, CleanupThatWaitsIsWaitedFor) {
  EXPECT_THAT(Section("Cleanup"),
              ElementsAre("  the table is open", "  row 1", "  row 2", "  row 3",
                          "  closing the table takes a while ...", "  the table is closed: OK",
                          "  WithAsync -> DATA_LOSS: row 3 cannot be read"));
}

TEST_F(GeneratorsTest, ItRunsOnEveryReactor) {
  ExpectEveryReactor(kProgram, {"--below=10", "--pace=1ms"});
}

TEST_F(GeneratorsTest, ItHasManners) {
  ExpectHelp(kProgram, {"--below=N", "--pace=TIME", "--reactor=TEXT"});
  ExpectManners(kProgram);
  ExpectRefusal(kProgram, {"--below=-1"}, "is not a whole number");
  const ProgramRun few = RunProgram(kProgram, {"--below=2", "--pace=0"});
  EXPECT_THAT(few.lines(), Contains("  0 1 1"));
}

}  // namespace
}  // namespace examples
