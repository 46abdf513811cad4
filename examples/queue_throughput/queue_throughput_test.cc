#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/examples/support/manners.h"
#include "plait/examples/support/run_program.h"
#include "plait/io/auto_reactor/auto_reactor.h"
#include "plait/schedulers/run.h"

namespace examples {
namespace {

using ::testing::Contains;
using ::testing::MatchesRegex;

constexpr char kProgram[] = "examples/queue_throughput/queue_throughput";

// What one producer's squares add up to.
uint64_t SumOfSquares(uint64_t items) { return items * (items + 1) * (2 * items + 1) / 6; }

std::string SumLine(uint64_t sum) {
  return absl::StrCat("The squares that came through add up to ", sum, ".");
}

TEST(QueueThroughputTest, EveryItemComesThroughOnceByDefault) {
  const ProgramRun run = RunProgram(kProgram, {});
  EXPECT_EQ(run.exit_status, 0);
  EXPECT_EQ(run.error, "");
  EXPECT_THAT(run.lines(),
              Contains("500000 items from 2 producers to 1 consumer, 1000000 yields."));
  EXPECT_THAT(run.lines(), Contains(SumLine(2 * SumOfSquares(250000))));
  EXPECT_THAT(run.lines().back(),
              MatchesRegex(absl::StrCat("queue_throughput items=500000 seconds=[0-9]+\\.[0-9]{3} "
                                        "reactor=[a-z_]+ scheduler=",
                                        plait::DefaultScheduler())));
}

TEST(QueueThroughputTest, TheResultIsTheSameOnEveryReactor) {
  std::vector<std::string> reactors = plait::ReactorNames();
  ASSERT_FALSE(reactors.empty());
  for (const std::string& reactor : reactors) {
    const ProgramRun run = RunProgram(kProgram, {"--items=1000", "--reactor=" + reactor});
    EXPECT_EQ(run.exit_status, 0);
    EXPECT_THAT(run.lines(), Contains(SumLine(2 * SumOfSquares(500))));
    EXPECT_THAT(run.lines().back(),
                MatchesRegex(absl::StrCat(
                    "queue_throughput items=1000 seconds=[0-9]+\\.[0-9]{3} reactor=", reactor,
                    " scheduler=", plait::DefaultScheduler())));
  }
}

TEST(QueueThroughputTest, TheResultIsTheSameWhateverTheQueueHolds) {
  for (const char* capacity : {"0", "1", "2", "3", "100", "1000000000"}) {
    SCOPED_TRACE(capacity);
    const ProgramRun run = RunProgram(kProgram, {"--items=1000", "--capacity", capacity});
    EXPECT_EQ(run.exit_status, 0);
    EXPECT_THAT(run.lines(), Contains(SumLine(2 * SumOfSquares(500))));
  }
}

TEST(QueueThroughputTest, ItemsAreSharedOutAmongTheProducers) {
  const ProgramRun three = RunProgram(kProgram, {"--items=10", "--producers=3"});
  EXPECT_THAT(three.lines(), Contains(SumLine(SumOfSquares(4) + 2 * SumOfSquares(3))));
  const ProgramRun idle = RunProgram(kProgram, {"--items=2", "--producers=1000"});
  EXPECT_THAT(idle.lines(), Contains(SumLine(2)));
  const ProgramRun none = RunProgram(kProgram, {"--items=0"});
  EXPECT_EQ(none.exit_status, 0);
  EXPECT_THAT(none.lines(), Contains(SumLine(0)));
}

TEST(QueueThroughputTest, ItHasManners) {
  ExpectHelp(kProgram,
             {"--items=N", "--producers=N", "--capacity=N", "--reactor=TEXT", "--scheduler=TEXT"});
  ExpectManners(kProgram);
  ExpectRefusal(kProgram, {"--scheduler=roundabout"}, "unknown scheduler \"roundabout\"");
  ExpectRefusal(kProgram, {"--items=-1"}, "is not a whole number");
  ExpectRefusal(kProgram, {"--items=nan"}, "is not a whole number");
  ExpectRefusal(kProgram, {"--items=99999999999999999999"}, "is not a whole number");
  ExpectRefusal(kProgram, {"--producers=0"}, "is not a whole number");
  ExpectRefusal(kProgram, {"--capacity=-1"}, "is not a whole number");
}

}  // namespace
}  // namespace examples
