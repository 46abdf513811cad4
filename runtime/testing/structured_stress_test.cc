// Structured concurrency under random programs: trees of tasks that use everything the runtime has,
// with cancels, failures, exceptions and deadlines at every kind of suspension point. Each node
// checks what it was told against what really happened; in the end nothing may be left: every frame
// was destroyed, every task ended, every cleanup ran once, every resource was closed once.
//
// A program is drawn from a seed and is the same on every run. A failure prints its seed, and
//
//   PLAIT_STRESS_SEED=123 bazel-bin/runtime/testing/structured_stress_test
//
// runs that program alone, once on a test clock, and prints what happens in it. PLAIT_STRESS_COUNT
// is how many programs to run, in place of ten thousand.
//
// Traps faced here: a wake-up lost between check and park, a cancel that races completion.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/io/auto_reactor/auto_reactor.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/testing/executor_fixture.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/stress_programs.h"
#include "plait/runtime/testing/stress_world.h"
#include "plait/runtime/testing/test_clock.h"
#include "plait/schedulers/event_loop/event_loop.h"
#include "plait/schedulers/thread_pool/thread_pool.h"

namespace plait::stress {
namespace {

// What is wrong with the world after its program has ended; empty if nothing is.
std::string Verdict(World& world) {
  for (const World::Pair* pair : {&world.frames, &world.tasks, &world.cleanups, &world.resources}) {
    const int64_t begun = pair->begun.load(internal::kAcquire);
    const int64_t ended = pair->ended.load(internal::kAcquire);
    if (begun != ended) {
      return absl::StrCat(pair->what, " differ: ", begun, " and ", ended);
    }
  }
  return absl::StrJoin(world.complaints(), "\n");
}

// Where there are several threads: who joins a task that is done already may go on a moment before
// its done callbacks have run, which the world has to outlive. Of one that is lost the verdict
// tells: seconds later, each round being a yield.
void AwaitCallbacks(const World& world, int most_rounds = 5'000'000) {
  const int64_t begun = world.tasks.begun.load(internal::kAcquire);
  for (int round = 0; round < most_rounds; ++round) {
    if (world.tasks.ended.load(internal::kAcquire) == begun) return;
    internal::SpinWait(round);
  }
}

void Report(const World& world, const std::string& verdict) {
  if (verdict.empty()) return;
  ADD_FAILURE() << "PLAIT_STRESS_SEED=" << world.seed << ": " << verdict;
}

// One program on one loop and a test clock.
void RunOnTestClock(uint64_t seed, const Kind* kind = nullptr, bool trace = false) {
  TestClock clock;
  EventLoop loop(MakeReactor(), EventLoopOptions{.clock = &clock});
  World world(seed, clock);
  world.trace = trace;
  BlockOn(loop, RunProgram(world, kind));
  const bool idle = !loop.live();
  Report(world, Verdict(world));
  if (!idle) ADD_FAILURE() << "PLAIT_STRESS_SEED=" << seed << ": something is left in the loop";
}

int64_t NumberFromEnvironment(const char* name, int64_t otherwise) {
  const char* const text = std::getenv(name);
  int64_t number = otherwise;
  if (text != nullptr && !absl::SimpleAtoi(text, &number)) {
    ADD_FAILURE() << name << " is not a number: " << text;
  }
  return number;
}

TEST(StructuredStress, TenThousandProgramsOnATestClock) {
  const int64_t one = NumberFromEnvironment("PLAIT_STRESS_SEED", -1);
  if (one >= 0) return RunOnTestClock(static_cast<uint64_t>(one), nullptr, true);
  const int64_t count = NumberFromEnvironment("PLAIT_STRESS_COUNT", 10'000);
  for (const int seed : ShareOf(static_cast<int>(count))) {
    if (!HasFailure()) RunOnTestClock(static_cast<uint64_t>(seed));
  }
}

// So that none is left out by chance.
TEST(StructuredStress, EveryKindOfNodeAtTheRoot) {
  for (const absl::Span<const Kind> kinds : {Leaves(), Branches()}) {
    for (const Kind& kind : kinds) {
      SCOPED_TRACE(kind.name);
      for (const int seed : ShareOf(50)) {
        if (!HasFailure()) RunOnTestClock(static_cast<uint64_t>(seed), &kind);
      }
    }
  }
}

// In real time, where cancels and ends meet on different threads. The programs are the same, what
// happens in them is not.
TEST(StructuredStress, ThreeHundredProgramsOverTwoLoopsOnTwoThreads) {
  auto make_loop = [] { return std::make_unique<EventLoop>(MakeReactor()); };
  RunningExecutor one(make_loop());
  RunningExecutor two(make_loop());
  for (const int seed : ShareOf(300)) {
    if (HasFailure()) break;
    World world(static_cast<uint64_t>(seed), Clock::Real());
    world.exact = false;
    world.unit = absl::Microseconds(5);
    world.executors = {&one.executor(), &two.executor()};
    BlockOn(one.executor(), RunProgram(world));
    AwaitCallbacks(world);
    // A task's last reference may go a moment after its end was seen, but its frame goes before.
    Report(world, Verdict(world));
  }
}

// Every wait may go on on the other thread.
TEST(StructuredStress, ThreeHundredProgramsOnAPoolOfTwoThreads) {
  ThreadPool pool({.threads = 2});
  for (const int seed : ShareOf(300)) {
    if (HasFailure()) break;
    World world(static_cast<uint64_t>(seed), Clock::Real());
    world.exact = false;
    world.unit = absl::Microseconds(5);
    BlockOn(pool, RunProgram(world));
    AwaitCallbacks(world);
    Report(world, Verdict(world));
  }
}

// --- that the test would notice ---

Task<absl::Status> HangNode(World& world, Draw, int) {
  Alive alive(world);
  Promise<void> never;
  co_return co_await Uncancellable(never.future());
}

TEST(StructuredStressDeathTest, AProgramThatHangsIsNamed) {
  const Kind hang{"Hang", &HangNode};
  EXPECT_DEATH(RunOnTestClock(17, &hang), "the program of PLAIT_STRESS_SEED=17 hangs");
}

Task<absl::Status> ForgetfulNode(World& world, Draw, int) {
  Alive alive(world);
  world.cleanups.Begin();
  world.Expect(StopRequested(), "planned complaint");
  co_return absl::OkStatus();
}

TEST(StructuredStress, ACleanupThatDidNotRunAndABrokenPromiseAreNoticed) {
  const Kind forgetful{"Forgetful", &ForgetfulNode};
  TestClock clock;
  EventLoop loop(MakeReactor(), EventLoopOptions{.clock = &clock});
  World world(17, clock);
  BlockOn(loop, RunProgram(world, &forgetful));
  EXPECT_EQ(Verdict(world), "cleanups due and run differ: 1 and 0");
  world.cleanups.End();
  EXPECT_EQ(Verdict(world), "planned complaint");
}

TEST(StructuredStress, ADoneCallbackThatIsLostIsNamedAndNotWaitedForForEver) {
  World world(17, Clock::Real());
  world.tasks.Begin();
  AwaitCallbacks(world, /*most_rounds=*/100);
  EXPECT_EQ(Verdict(world), "tasks spawned and done callbacks run differ: 1 and 0");
}

}  // namespace
}  // namespace plait::stress
