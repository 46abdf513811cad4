#include "plait/runtime/trace/dump_tasks.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/runtime.h"
#include "plait/schedulers/run.h"

namespace plait {
namespace {

Task<absl::Status> SleepInside() { co_return co_await Sleep(absl::Hours(1)); }

Task<absl::Status> OuterOfTwo() {
  co_await OrReturn(SleepInside());
  co_return absl::OkStatus();
}

Task<int> WaitForIt(JoinHandle<int>* handle) { co_return co_await *handle; }

Task<int> GiveLater(Future<int> future) {
  const absl::StatusOr<int> value = co_await future;
  co_return value.value_or(-1);
}

Task<absl::Status> GatherTwo() { co_return co_await Gather(SleepInside(), OuterOfTwo()); }

Task<absl::Status> SelectTwo(Queue<int>* queue) {
  auto selected = co_await Select(queue->Get(), SleepInside());
  co_return selected.get<1>();
}

Task<absl::Status> SleepWithTimeout() { co_return co_await Timeout(absl::Hours(2), SleepInside()); }

// The dump's lines, indented as they stand.
std::vector<std::string> Lines(const std::string& dump) {
  std::vector<std::string> lines = absl::StrSplit(dump, '\n', absl::SkipEmpty());
  return lines;
}

// Whether `parts` appear in `text`, one after the other.
bool InOrder(const std::string& text, const std::vector<std::string>& parts) {
  size_t at = 0;
  for (const std::string& part : parts) {
    at = text.find(part, at);
    if (at == std::string::npos) return false;
    at += part.size();
  }
  return true;
}

// Runs `program` as a task of its own, dumps it once it waits, and cancels it.
template <class T>
std::string DumpOf(Task<T> program) {
  return plait::Run([](Task<T> task) -> Task<std::string> {
    JoinHandle<T> handle = Spawn(std::move(task), {.name = "it"});
    for (int i = 0; i < 10; ++i) co_await Yield();
    absl::StatusOr<std::string> dump = DumpTask(handle.id());
    EXPECT_TRUE(dump.ok()) << dump.status();
    handle.Cancel();
    static_cast<void>(co_await handle);
    EXPECT_TRUE(absl::IsNotFound(DumpTask(handle.id()).status()));
    co_return dump.value_or("");
  }(std::move(program)));
}

TEST(DumpTasksTest, ItShowsTheCoroutinesOfATaskAndWhatTheInnermostWaitsFor) {
  const std::string dump = DumpOf(OuterOfTwo());
  EXPECT_TRUE(InOrder(dump, {"task ", "\"it\"\n", "  ", "OuterOfTwo\n", "    ", "SleepInside\n",
                             "      waits for Sleep\n"}))
      << dump;
  EXPECT_EQ(Lines(dump).size(), 4u) << dump;
}

TEST(DumpTasksTest, ItShowsTheBranchesOfAGather) {
  const std::string dump = DumpOf(GatherTwo());
  EXPECT_TRUE(
      InOrder(dump, {"GatherTwo\n", "waits for Gather\n", "SleepInside\n", "waits for Sleep\n",
                     "OuterOfTwo\n", "SleepInside\n", "waits for Sleep\n"}))
      << dump;
}

TEST(DumpTasksTest, ItShowsTheBranchesOfASelect) {
  Queue<int> queue(1);
  const std::string dump = DumpOf(SelectTwo(&queue));
  EXPECT_TRUE(InOrder(dump, {"SelectTwo\n", "waits for Select\n", "waits for Queue::Get\n",
                             "SleepInside\n", "waits for Sleep\n"}))
      << dump;
}

TEST(DumpTasksTest, ItShowsWhatATimeoutBounds) {
  const std::string dump = DumpOf(SleepWithTimeout());
  EXPECT_TRUE(
      InOrder(dump, {"SleepWithTimeout\n", "RunWithTimeout", "SleepInside\n", "waits for Sleep\n"}))
      << dump;
}

TEST(DumpTasksTest, ItShowsWhichTaskATaskWaitsFor) {
  plait::Run([]() -> Task<void> {
    Promise<int> promise;
    JoinHandle<int> later = Spawn(GiveLater(promise.future()), {.name = "later"});
    JoinHandle<int> waiter = Spawn(WaitForIt(&later), {.name = "waiter"});
    co_await Yield();
    co_await Yield();
    const std::string dump = DumpTasks();
    EXPECT_TRUE(InOrder(dump, {"\"main\"\n", "is ready or runs\n", "\"later\"\n", "GiveLater\n",
                               "waits for a future\n", "\"waiter\"\n", "WaitForIt\n",
                               absl::StrCat("waits for task ", later.id(), " \"later\"\n")}))
        << dump;
    promise.Set(1);
    const int value = co_await waiter;
    EXPECT_EQ(value, 1);
  }());
}

TEST(DumpTasksTest, TheChildrenOfAGroupStandUnderTheTaskThatOpenedIt) {
  const absl::Status status = plait::Run([]() -> Task<absl::Status> {
    co_return co_await WithTaskGroup([](TaskGroup& group) -> Task<absl::Status> {
      group.Spawn(SleepInside(), {.name = "first"});
      group.Spawn(SleepInside(), {.name = "second"});
      co_await Yield();
      group.Spawn(SleepInside(), {.name = "third"});
      const std::string dump = DumpTasks();
      EXPECT_TRUE(
          InOrder(dump, {"task", "\"main\"\n", "\n  task", "\"first\"\n    ", "SleepInside\n",
                         "\n  task", "\"second\"\n", "\n  task", "\"third\" (has not begun)\n"}))
          << dump;
      group.Cancel();
      const std::string cancelled = DumpTasks();
      EXPECT_TRUE(InOrder(cancelled, {"\"first\" (cancelled)\n"})) << cancelled;
      co_return absl::OkStatus();
    });
  }());
  EXPECT_TRUE(status.ok()) << status;
}

TEST(DumpTasksTest, OutsideOfTasksThereIsNothing) {
  EXPECT_EQ(DumpTasks(), "");
  EXPECT_TRUE(absl::IsFailedPrecondition(DumpTask(1).status()));
}

// From elsewhere the coroutines may be running: only the tasks are shown.
TEST(DumpTasksTest, FromAnotherThreadOnlyTheTasksAreListed) {
  plait::Run([]() -> Task<void> {
    JoinHandle<absl::Status> sleeper = Spawn(SleepInside(), {.name = "sleeper"});
    co_await Yield();
    Executor* executor = TaskContext::Current()->executor;
    std::string dump;
    StartThread("dumper", [&] { dump = DumpTasks(*executor); }).join();
    EXPECT_TRUE(absl::StrContains(dump, "\"sleeper\"")) << dump;
    EXPECT_FALSE(absl::StrContains(dump, "SleepInside")) << dump;
    sleeper.Cancel();
    const absl::Status status = co_await sleeper;
    EXPECT_TRUE(absl::IsCancelled(status));
  }());
}

}  // namespace
}  // namespace plait
