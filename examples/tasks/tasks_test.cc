#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/examples/support/manners.h"
#include "plait/examples/support/run_program.h"

namespace examples {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kTasks[] = "examples/tasks/tasks";

constexpr char kNotYet[] = "  result()    -> FAILED_PRECONDITION: the task has not ended yet";
constexpr char kCancelled[] = "CANCELLED";

class TasksTest : public ::testing::Test {
 protected:
  // Title (up to the colon) and text of each section.
  using Sections = std::vector<std::pair<std::string, std::vector<std::string>>>;

  TasksTest() : run_(RunProgram(kTasks, {})) {
    for (const std::string& line : run_.lines()) {
      if (line.empty()) continue;
      if (line[0] != ' ') {
        sections_.emplace_back(line, std::vector<std::string>());
      } else if (!sections_.empty()) {
        sections_.back().second.push_back(line);
      }
    }
  }

  // The lines of the section whose title begins with `title`.
  std::vector<std::string> Section(const std::string& title) {
    for (const auto& [name, lines] : sections_) {
      if (name.rfind(title, 0) == 0) return lines;
    }
    ADD_FAILURE() << "no section " << title << " in\n" << run_.output;
    return {};
  }

  const ProgramRun run_;
  Sections sections_;
};

TEST_F(TasksTest, ItEndsWell) {
  EXPECT_EQ(run_.exit_status, 0);
  EXPECT_EQ(run_.error, "");
  EXPECT_EQ(run_.lines().back(), "Run -> OK");
}

TEST_F(TasksTest, APendingTaskIsNotDoneAndHasNoResult) {
  EXPECT_THAT(Section("Pending: spawned"),
              ElementsAre("  name()      -> tea", "  done()      -> false",
                          "  cancelled() -> false", kNotYet));
  EXPECT_THAT(Section("Pending: it has begun"),
              ElementsAre("  done()      -> false", "  cancelled() -> false", kNotYet));
}

TEST_F(TasksTest, ADoneTaskHasItsResultAndCannotBeCancelled) {
  EXPECT_THAT(
      Section("Done"),
      ElementsAre("  co_await    -> tea", "  done()      -> true", "  cancelled() -> false",
                  "  result()    -> tea", "  Cancel()    -> false, it is too late",
                  "  done()      -> true", "  cancelled() -> false", "  result()    -> tea"));
}

TEST_F(TasksTest, AFailedTaskIsDoneWithItsError) {
  EXPECT_THAT(Section("Failed"),
              ElementsAre("  co_await    -> NOT_FOUND: no water", "  done()      -> true",
                          "  cancelled() -> false", "  result()    -> NOT_FOUND: no water"));
}

TEST_F(TasksTest, CancellingIsARequestThatIsMadeOnceAndEndsTheTask) {
  EXPECT_THAT(Section("Cancelled: its sleep"),
              ElementsAre("  Cancel()    -> true, it was asked to end",
                          "  Cancel()    -> false, it was asked before", "  done()      -> false",
                          "  cancelled() -> false", kNotYet, HasSubstr(kCancelled),
                          "  done()      -> true", "  cancelled() -> true", HasSubstr(kCancelled)));
}

TEST_F(TasksTest, ATaskThatIsCancelledBeforeItBeganEndsToo) {
  EXPECT_THAT(Section("Cancelled before it began"),
              ElementsAre("  Cancel()    -> true", HasSubstr(kCancelled), "  done()      -> true",
                          "  cancelled() -> true", HasSubstr(kCancelled)));
}

TEST_F(TasksTest, AnExceptionReachesWhoeverAwaitsTheTaskOrAsksForItsResult) {
#if defined(__cpp_exceptions)
  EXPECT_THAT(Section("Left by an exception"),
              ElementsAre("  co_await    -> throws: spilt", "  done()      -> true",
                          "  result()    -> throws: spilt"));
#else
  EXPECT_THAT(Section("Left by an exception: this program was built without"), ElementsAre());
#endif
}

TEST_F(TasksTest, CallbacksAreCalledOnceAndLateOnesAtOnce) {
  EXPECT_THAT(Section("Callbacks"),
              ElementsAre("  Remove()    -> true, the second callback", "  callback    -> tea",
                          "  a late one  -> called at once"));
}

TEST_F(TasksTest, AFutureHasItsStatesToo) {
  EXPECT_THAT(Section("A future, pending"),
              ElementsAre("  done()      -> false", "  cancelled() -> false",
                          HasSubstr("result()    -> FAILED_PRECONDITION")));
  EXPECT_THAT(
      Section("A future, done"),
      ElementsAre("  callback    -> coffee", "  Set()       -> true", "  done()      -> true",
                  "  cancelled() -> false", "  Set()       -> false, it has a value",
                  "  co_await    -> coffee", HasSubstr("result()    -> FAILED_PRECONDITION")));
  EXPECT_THAT(Section("A future, cancelled"),
              ElementsAre("  Cancel()    -> true", "  done()      -> true", "  cancelled() -> true",
                          "  Set()       -> false, it is too late"));
}

TEST_F(TasksTest, ATaskThatIsLeftBehindIsCancelledAndJoinedByTheEndOfRun) {
  EXPECT_THAT(Section("Left behind"), ElementsAre(HasSubstr("its sleep   -> CANCELLED")));
}

TEST_F(TasksTest, ItRunsOnEveryReactor) { ExpectEveryReactor(kTasks, {}); }

TEST_F(TasksTest, ItHasManners) {
  ExpectHelp(kTasks, {"--reactor=TEXT"});
  ExpectManners(kTasks);
}

}  // namespace
}  // namespace examples
