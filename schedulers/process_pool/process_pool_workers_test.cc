// The lives of a process pool's workers: how they are set up, their ends at every moment, and what
// is made of those.
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_reactors.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/runtime/testing/reactor_factory.h"
#include "plait/runtime/testing/sanitized.h"
#include "plait/runtime/testing/test_clock.h"
#include "plait/schedulers/event_loop/event_loop.h"
#include "plait/schedulers/process_pool/link.h"
#include "plait/schedulers/process_pool/pool_functions.h"
#include "plait/schedulers/process_pool/process_pool.h"
#include "plait/schedulers/process_pool/process_pool_fixture.h"

namespace plait {
namespace {

using internal::CountLines;
using internal::CountRuns;
using internal::Die;
using internal::DieAtFirst;
using internal::Echo;
using internal::Exists;
using internal::kLong;
using internal::kSlowness;
using internal::Length;
using internal::Make;
using internal::MemoryLimit;
using internal::Niceness;
using internal::NoteAndDie;
using internal::PageFaults;
using internal::Pid;
using internal::Square;
using internal::Until;
using internal::UntilTerminated;
using internal::WaitAtGate;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::Le;

class ProcessPoolWorkersTest : public internal::ProcessPoolFixture {
 protected:
  // While `variable` is set, which workers see that are forked by then.
  static ProcessPool NewPoolWhere(const char* variable, ProcessPoolOptions options,
                                  const std::string& value = "1") {
    EXPECT_EQ(::setenv(variable, value.c_str(), 1), 0);
    ProcessPool pool = NewPool(std::move(options));
    EXPECT_EQ(::unsetenv(variable), 0);
    return pool;
  }
};

// How much memory the files in memory of that name take, which this process has open.
int64_t MemoryOf(absl::string_view name) {
  int64_t bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code error;
    const std::string file = std::filesystem::read_symlink(entry.path(), error).string();
    struct stat status = {};
    if (!error && absl::StrContains(file, name) && ::stat(entry.path().c_str(), &status) == 0) {
      bytes += status.st_blocks * 512;
    }
  }
  return bytes;
}

Task<void> UntilMemoryIsAtMost(int64_t bytes) {
  while (MemoryOf("plait-payload") > bytes) co_await Yield();
}

TEST_P(ProcessPoolWorkersTest, TheyAreAsTheOptionsSay) {
  ProcessPoolOptions options;
  options.workers = 1;
  options.worker.name = "plait-test";
  options.worker.nice = 2;
  options.worker.memory_limit = uint64_t{1} << 40;
  ProcessPool pool = NewPool(std::move(options));
  const int pid = *Run(pool.Call(Pid));
  std::ifstream comm(absl::StrCat("/proc/", pid, "/comm"));
  std::string name;
  std::getline(comm, name);
  EXPECT_EQ(name, "plait-test");
  EXPECT_EQ(*Run(pool.Call(Niceness)), std::min(::getpriority(PRIO_PROCESS, 0) + 2, 19));
  const uint64_t limit = *Run(pool.Call(MemoryLimit));
  EXPECT_GE(limit, uint64_t{1} << 40);
  // Beyond what it starts with, to which a sanitizer's tables of all memory belong.
  const uint64_t start = kSanitized ? uint64_t{64} << 40 : uint64_t{1} << 40;
  EXPECT_LT(limit, start + (uint64_t{1} << 40));
}

TEST_P(ProcessPoolWorkersTest, MemoryOfArgumentsAndResultsGoesBackWhenThereIsNothingToDo) {
  constexpr int64_t kLarge = int64_t{8} << 20;
  ProcessPool pool = NewPool({.workers = 1});
  const std::string large(static_cast<size_t>(kLarge), 'x');
  EXPECT_EQ(*Run(pool.Call(Length, absl::string_view(large))), kLarge);
  EXPECT_GE(MemoryOf("plait-payload"), kLarge);
  EXPECT_EQ(Run(pool.Call(Make, kLarge))->size(), large.size());
  Run(UntilMemoryIsAtMost(kLarge / 8));
  EXPECT_EQ(*Run(pool.Call(Length, absl::string_view(large))), kLarge) << "and comes again";
}

// Each MiB would else be 256 fresh pages for the argument, and as many for the result.
TEST_P(ProcessPoolWorkersTest, LargeValuesUseTheMemoryOfThoseBeforeThem) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer's memory is its own";
  ProcessPool pool = NewPool({.workers = 1});
  const std::string large(size_t{1} << 20, 'x');
  constexpr int kCalls = 20;
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(Run(pool.Call(Echo, large)).ok());
  const int64_t before = *Run(pool.Call(PageFaults));
  for (int i = 0; i < kCalls; ++i) ASSERT_TRUE(Run(pool.Call(Echo, large)).ok());
  const int64_t faults = *Run(pool.Call(PageFaults)) - before;
  EXPECT_LT(faults, kCalls * 64);
  RecordProperty("faults_per_call", static_cast<int>(faults / kCalls));
}

TEST_P(ProcessPoolWorkersTest, ManyCallsAtOnceAreSharedAmongWorkersThatServeAFewEach) {
  ProcessPool pool = NewPool({.workers = 2, .max_tasks_per_worker = 7});
  std::vector<Task<absl::StatusOr<int>>> calls;
  for (int i = 0; i < 300; ++i) calls.push_back(pool.Call(CountRuns));
  const absl::StatusOr<std::vector<int>> runs = Run(Gather(std::move(calls)));
  ASSERT_TRUE(runs.ok()) << runs.status();
  EXPECT_THAT(*runs, Each(AllOf(Ge(1), Le(7))));
  // All that were started but two, which may still have some to serve.
  EXPECT_GE(pool.workers_replaced(), 300u / 7 - 1);
}

// The memory that a pool's only worker shares.
internal::LinkHeader& Link() {
  char* const link = internal::FindMemory("plait-link");
  PLAIT_CHECK(link != nullptr, "no memory is shared with a worker");
  // A link begins with one (link.cc).
  return *reinterpret_cast<internal::LinkHeader*>(link);
}

// Changes it while the worker has no call, as a stray write of its last one might.
void Damage(void (*damage)(internal::LinkHeader&)) { damage(Link()); }

TEST_P(ProcessPoolWorkersTest, OneThatWasDamagedWithNothingToDoIsReplacedAndCostsNoCall) {
  ProcessPool pool = NewPool({.workers = 1});
  const auto damages = std::to_array<void (*)(internal::LinkHeader&)>({
      // A record that nobody has asked for.
      [](internal::LinkHeader& link) { link.to_parent.tail.fetch_add(8); },
      [](internal::LinkHeader& link) { link.to_parent.tail.fetch_add(3); },
      [](internal::LinkHeader& link) { link.to_parent.tail.store(0); },
      [](internal::LinkHeader& link) { link.to_parent.tail.store(~uint64_t{0}); },
  });
  for (size_t i = 0; i < damages.size(); ++i) {
    const int pid = *Run(pool.Call(Pid));
    Damage(damages[i]);
    const absl::StatusOr<int> next = Run(pool.Call(Pid));
    ASSERT_TRUE(next.ok()) << i << next.status();
    EXPECT_NE(*next, pid) << i;
  }
  EXPECT_EQ(pool.workers_replaced(), damages.size());
}

TEST_P(ProcessPoolWorkersTest, OneThatDiedWithNothingToDoIsReplacedAndCostsNoCall) {
  ProcessPool pool = NewPool({.workers = 1});
  for (int i = 0; i < 3; ++i) {
    const int pid = *Run(pool.Call(Pid));
    ASSERT_EQ(::kill(pid, SIGKILL), 0);
    // Nobody looks while the loop does not run.
    while (::kill(pid, 0) == 0) ::sched_yield();
    const absl::StatusOr<int> next = Run(pool.Call(Pid));
    ASSERT_TRUE(next.ok()) << next.status();
    EXPECT_NE(*next, pid);
  }
}

TEST_P(ProcessPoolWorkersTest, ACallBeforeWhichWorkersDieAgainAndAgainFails) {
  ProcessPool pool = NewPoolWhere(internal::kDiesBeforeCalls, {.workers = 2});
  std::vector<Task<absl::StatusOr<int>>> calls;
  for (int i = 0; i < 8; ++i) calls.push_back(pool.Call(Square, i));
  // Nor is it quarantined, as it has not run.
  for (const absl::StatusOr<int>& result : Run(GatherAll(std::move(calls)))) {
    EXPECT_EQ(result.status().code(), absl::StatusCode::kAborted) << result.status();
    EXPECT_THAT(std::string(result.status().message()),
                AllOf(HasSubstr("square"), HasSubstr("before it had begun")));
  }
  EXPECT_GE(pool.workers_replaced(), 3u);
}

TEST_P(ProcessPoolWorkersTest, ACallBeforeWhichWorkersHangAgainAndAgainFails) {
  ProcessPool pool = NewPoolWhere(internal::kHangsBeforeCalls,
                                  {.workers = 1, .terminate_grace = absl::Milliseconds(1)});
  const absl::Status failed = Run(pool.Call(Square, 2)).status();
  EXPECT_EQ(failed.code(), absl::StatusCode::kUnavailable) << failed;
  EXPECT_THAT(std::string(failed.message()), HasSubstr("before it had begun"));
}

TEST_P(ProcessPoolWorkersTest, OneThatIsAlwaysSlowToBeginGetsToItsCalls) {
  if (!kSlowness || kSanitized) GTEST_SKIP() << "it cannot be made slow here";
  ProcessPool pool =
      NewPoolWhere(internal::kSlowBeforeCalls, {.workers = 1, .terminate_grace = kLong});
  const int pid = *Run(pool.CallWith({.timeout = kLong}, Pid));
  for (int i = 0; i < 3; ++i) {
    const absl::StatusOr<int> next = Run(pool.CallWith({.timeout = kLong}, Pid));
    ASSERT_TRUE(next.ok()) << next.status();
    EXPECT_EQ(*next, pid) << "it does not hang";
  }
}

TEST_P(ProcessPoolWorkersTest, ADeathFailsItsOwnCallOnlyAndSaysHow) {
  ProcessPool pool = NewPool({.workers = 1, .quarantine_after = 0});
  struct Case {
    const char* how;
    const char* says;
  };
  for (const Case& c : {Case{"segv", "SIGSEGV"}, Case{"abort", "SIGABRT"}, Case{"kill", "SIGKILL"},
                        Case{"exit 3", "status 3"}}) {
    std::vector<Task<absl::StatusOr<int>>> calls;
    for (int i = 0; i < 10; ++i) calls.push_back(pool.Call(Square, i));
    calls.push_back(pool.Call(Die, c.how));
    for (int i = 0; i < 10; ++i) calls.push_back(pool.Call(Square, i));
    const std::vector<absl::StatusOr<int>> results = Run(GatherAll(std::move(calls)));
    for (size_t i = 0; i < results.size(); ++i) {
      if (i != 10) {
        ASSERT_TRUE(results[i].ok()) << i << results[i].status();
      } else {
        EXPECT_EQ(results[i].status().code(), absl::StatusCode::kAborted);
        EXPECT_THAT(std::string(results[i].status().message()),
                    AllOf(HasSubstr("die"), HasSubstr(c.says)));
      }
    }
  }
  EXPECT_GE(pool.workers_replaced(), 4u);
  EXPECT_THAT(std::string(Run(pool.Call(Die, "abort")).status().message()),
              HasSubstr("the last words"));
}

TEST_P(ProcessPoolWorkersTest, AnIdempotentCallRunsAgainElsewhereAndOthersDoNot) {
  ProcessPool pool = NewPool();
  const std::string folder = folder_.path();
  EXPECT_EQ(*Run(pool.CallWith({.attempts = 2}, DieAtFirst, folder, "twice")), 1);
  EXPECT_EQ(CountLines(File("journal"), "twice"), 2);
  EXPECT_EQ(Run(pool.Call(DieAtFirst, folder, "once")).status().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(CountLines(File("journal"), "once"), 1);
}

TEST_P(ProcessPoolWorkersTest, AnIdempotentCallRunsNoMoreOftenThanItMay) {
  ProcessPool pool = NewPool({.quarantine_after = 0});
  const absl::StatusOr<int> result =
      Run(pool.CallWith({.attempts = 3}, NoteAndDie, File("runs"), 7, "kill"));
  EXPECT_EQ(result.status().code(), absl::StatusCode::kAborted);
  std::ifstream runs(File("runs"));
  int count = 0;
  for (std::string line; std::getline(runs, line);) count += line.empty() ? 0 : 1;
  EXPECT_EQ(count, 3);
  // A worker that had nothing to do may not have been started again yet: those that died were.
  EXPECT_GE(pool.workers_replaced(), 3u);
}

TEST_P(ProcessPoolWorkersTest, ACallThatAStoppedProcessHasNotBegunRunsElsewhere) {
  ProcessPool pool = NewPool({.workers = 1, .terminate_grace = absl::Milliseconds(1)});
  const int pid = *Run(pool.Call(Pid));
  ASSERT_EQ(::kill(pid, SIGSTOP), 0);
  const absl::StatusOr<int> other = Run(pool.Call(Pid));
  ASSERT_TRUE(other.ok()) << other.status();
  EXPECT_NE(*other, pid);
}

TEST_P(ProcessPoolWorkersTest, AProcessThatIsStoppedInACallIsKilledWhenThatIsLate) {
  ProcessPool pool = NewPool({.workers = 1,
                              .cancel_grace = absl::Milliseconds(1),
                              .terminate_grace = absl::Milliseconds(1)});
  const int pid = *Run(pool.Call(Pid));
  auto stopped = [](ProcessPool& on, std::string in, int process) -> Task<absl::Status> {
    JoinHandle<absl::StatusOr<int>> call =
        Spawn(on.CallWith({.timeout = absl::Milliseconds(300)}, WaitAtGate, in, "gate"));
    const std::string began = in + "/gate.began";
    while (!Exists(began) && !call.done()) co_await Yield();
    ::kill(process, SIGSTOP);
    co_return (co_await call).status();
  };
  EXPECT_EQ(Run(stopped(pool, folder_.path(), pid)).code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_NE(*Run(pool.Call(Pid)), pid);
}

TEST_P(ProcessPoolWorkersTest, AFunctionThatKillsItsWorkersIsQuarantined) {
  ProcessPool pool = NewPool({.quarantine_after = 2, .quarantine = kLong});
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(Run(pool.Call(Die, "kill")).status().code(), absl::StatusCode::kAborted);
  }
  const absl::Status refused = Run(pool.Call(Die, "kill")).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(refused.message()), AllOf(HasSubstr("die"), HasSubstr("SIGKILL")));
  EXPECT_EQ(*Run(pool.Call(Square, 2)), 4) << "others are called";
}

TEST_P(ProcessPoolWorkersTest, AQuarantineEndsAndBeginsAgainWithTheNextDeath) {
  ProcessPool pool = NewPool({.quarantine_after = 2, .quarantine = absl::ZeroDuration()});
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(Run(pool.Call(Die, "kill")).status().code(), absl::StatusCode::kAborted);
  }
}

TEST_P(ProcessPoolWorkersTest, CallsThatWaitWhenAQuarantineBeginsAreNotMade) {
  ProcessPool pool = NewPool({.workers = 2, .quarantine_after = 3, .quarantine = kLong});
  std::vector<Task<absl::StatusOr<int>>> calls;
  for (int i = 0; i < 200; ++i) calls.push_back(pool.Call(Die, "kill"));
  int deaths = 0;
  for (const absl::StatusOr<int>& result : Run(GatherAll(std::move(calls)))) {
    if (absl::IsAborted(result.status())) {
      ++deaths;
    } else {
      EXPECT_EQ(result.status().code(), absl::StatusCode::kUnavailable) << result.status();
    }
  }
  EXPECT_GE(deaths, 3);
  EXPECT_LE(deaths, 3 + 2) << "those, and what the other worker had begun";
}

TEST_P(ProcessPoolWorkersTest, AWorkerIsReplacedAfterSoManyCalls) {
  ProcessPool pool = NewPool({.workers = 1, .max_tasks_per_worker = 3, .terminate_grace = kLong});
  std::vector<int> counts;
  for (int i = 0; i < 9; ++i) counts.push_back(*Run(pool.Call(CountRuns)));
  EXPECT_THAT(counts, ElementsAre(1, 2, 3, 1, 2, 3, 1, 2, 3));
}

TEST_P(ProcessPoolWorkersTest, WorkersThatDoNotStartFailTheCallsAndSayWhy) {
  ProcessPool pool = NewPoolWhere(internal::kInitializerFails, {.workers = 1});
  const absl::Status failed = Run(pool.Call(Square, 2)).status();
  EXPECT_EQ(failed.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(failed.message()), HasSubstr("no model"));
}

TEST_P(ProcessPoolWorkersTest, AWorkerThatDoesNotGetReadyIsKilledAndTheCallsAreToldWhy) {
  ProcessPool pool = NewPoolWhere(internal::kInitializerHangs,
                                  {.workers = 1, .start_grace = absl::Milliseconds(5)});
  const absl::Status failed = Run(pool.Call(Square, 2)).status();
  EXPECT_EQ(failed.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(failed.message()), HasSubstr("not ready after 5ms"));
}

TEST_P(ProcessPoolWorkersTest, DrainDoesNotWaitForAWorkerThatStarts) {
  ProcessPool pool =
      NewPoolWhere(internal::kInitializerHangs, {.workers = 2, .start_grace = kLong});
  EXPECT_EQ(Run(pool.CallWith({.timeout = absl::Milliseconds(1)}, Square, 2)).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(Run(pool.Drain()).ok());
  EXPECT_FALSE(HasChildren());
}

TEST_P(ProcessPoolWorkersTest, TheyStartAndInitializeBeforeAnyCall) {
  const ProcessPool pool = NewPoolWhere(internal::kInitializerNotes, {.workers = 2}, File("notes"));
  // Without a loop of the pool's.
  while (CountLines(File("notes"), "initialized") < 2) ::sched_yield();
}

// Of a function that stops only for SIGTERM.
Task<absl::Status> CancelWhenItRuns(ProcessPool* pool, std::string folder) {
  JoinHandle<absl::StatusOr<int>> call = pool->Submit(UntilTerminated, folder, "gate");
  const std::string began = folder + "/gate.began";
  co_await Until(&began);
  call.Cancel();
  co_return (co_await call).status();
}

TEST_P(ProcessPoolWorkersTest, OneThatDoesNotStopIsAskedToEndBeforeItIsKilled) {
  ProcessPool pool =
      NewPool({.workers = 1, .cancel_grace = absl::Milliseconds(1), .terminate_grace = kLong});
  EXPECT_EQ(Run(CancelWhenItRuns(&pool, folder_.path())).code(), absl::StatusCode::kCancelled);
  Await("gate.terminated");  // by SIGTERM, which a function may see
}

TEST_P(ProcessPoolWorkersTest, AProcessThatWasToldToEndGetsNoOtherCall) {
  ProcessPool pool = NewPool({.workers = 1,
                              .cancel_grace = absl::Milliseconds(1),
                              .terminate_grace = absl::Milliseconds(50)});
  const int pid = *Run(pool.Call(Pid));
  EXPECT_EQ(Run(CancelWhenItRuns(&pool, folder_.path())).code(), absl::StatusCode::kCancelled);
  const absl::StatusOr<int> other = Run(pool.Call(Pid));
  ASSERT_TRUE(other.ok()) << other.status();
  EXPECT_NE(*other, pid);
}

// Runs `loop` a turn at a time: time stands still meanwhile.
void TurnUntilThere(EventLoop& loop, const std::string& path) {
  while (!Exists(path)) EXPECT_TRUE(loop.RunReady().ok());
}

// Its alarm for the first call is about to run when it answers, gets the next, and that one's time
// is up: the second call has its own grace, and not what the first has left.
TEST_P(ProcessPoolWorkersTest, AWorkerHasItsWholeGraceAlsoWhenAnEarlierOneIsJustOver) {
  TestClock clock;
  EventLoop loop(GetParam().make(nullptr), {.clock = &clock});
  ProcessPool pool = NewPool({.workers = 1,
                              .cancel_grace = absl::Seconds(10),
                              .start_grace = kLong,
                              .zygote_grace = kLong});
  JoinHandle<absl::StatusOr<int>> first =
      Spawn(pool.Call(WaitAtGate, folder_.path(), "first"), {.executor = &loop});
  TurnUntilThere(loop, File("first.began"));
  JoinHandle<absl::StatusOr<int>> second =
      Spawn(pool.CallWith({.timeout = absl::Seconds(5)}, WaitAtGate, folder_.path(), "second"),
            {.executor = &loop});
  EXPECT_TRUE(loop.RunReady().ok());

  auto& answers = Link().to_parent.tail;
  const uint64_t before = answers.load(internal::kAcquire);
  first.Cancel();
  // The loop hears of it; it looks for answers once more, and that is for the next turn.
  EXPECT_TRUE(loop.RunReady().ok());
  while (answers.load(internal::kAcquire) == before) ::sched_yield();
  clock.Advance(absl::Seconds(10));
  for (int turn = 0; turn < 10; ++turn) EXPECT_TRUE(loop.RunReady().ok());
  ASSERT_TRUE(first.done() && second.done());

  JoinHandle<absl::StatusOr<int>> next = Spawn(pool.Call(Pid), {.executor = &loop});
  while (!next.done()) EXPECT_TRUE(loop.RunReady().ok());
  using Handle = JoinHandle<absl::StatusOr<int>>;
  const auto outcome_of = [&loop](Handle handle) {
    return BlockOn(loop, [](Handle of) -> Task<absl::StatusOr<int>> {
      co_return co_await of;
    }(std::move(handle)));
  };
  EXPECT_TRUE(absl::IsCancelled(outcome_of(std::move(first)).status()));
  EXPECT_TRUE(absl::IsDeadlineExceeded(outcome_of(std::move(second)).status()));
  EXPECT_TRUE(outcome_of(std::move(next)).ok());
  EXPECT_EQ(pool.workers_replaced(), 0u);
}

INSTANTIATE_TEST_SUITE_P(AllReactors, ProcessPoolWorkersTest, ::testing::ValuesIn(AllReactors()),
                         ReactorFactory::Name);

}  // namespace
}  // namespace plait
