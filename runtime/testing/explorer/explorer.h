// The explorer: runs a small concurrent program in every way that C++20's memory model allows.
//
//   TEST(SpinLockTest, OneAtATime) {
//     const Report report = Explore([] {
//       SpinLock lock;
//       int shared = 0;
//       auto add = [&] { SpinLockHolder hold(lock); ++shared; };
//       Parallel({add, add});                                  // two threads
//       Require(shared == 2, "an addition was lost");
//     });
//     EXPECT_TRUE(report.ok()) << report.ToString();
//   }
//
// A test that uses it is a plait_explored_test (tools/explored.bzl). That builds the test and all
// it depends on a second time, with -DPLAIT_EXPLORE, so that plait::internal::Atomic asks the
// explorer, and with the compiler's instrumentation of memory accesses, so that plain memory is
// watched too. The code under test is the same text as in production, which is not touched by any
// of it: nothing there is a template of its atomics, and Atomic<T> is std::atomic<T> itself.
//
// What is explored: which thread runs next at each operation on an atomic, with at most
// `preemptions` switches away from a thread that could have gone on; which store each load reads,
// and where in the modification order each store goes, of all that coherence, happens-before and
// the order of sequentially consistent operations leave open (memory_model.h says exactly what).
// Not explored: loads that read from the future ("load buffering"), but a test can ask that none
// could (Options::forbid_load_buffering); and compare_exchange_weak failing for no reason. Fewer
// preemptions are tried first, so that what is found is simple.
//
// What is found: a Require that does not hold; a data race on plain
// memory or on an atomic's construction and destruction; the use of memory that was freed; a
// deadlock, which is also what a lost wake-up ends in; an execution that does not end. A failure
// comes with the trace of its execution and a schedule, which Replay runs again alone, under a
// debugger say.
//
// The body runs many thousand times, on small stacks, and must do the same whenever it is decided
// the same: no clock, no randomness, no real threads or blocking. Loops that wait for another
// thread call SpinWait (runtime/core/spin_lock.h), which lets others run. std::atomic, inside
// Abseil say, works, but is not explored: its operations happen at once, in the order of execution.
// Of thread_locals each thread has its own thread_state; the others are one for all, unwatched.
//
// Cost: a microsecond or two an operation. Three threads of ten operations each are a second; turns
// that lead to the same are explored once (execution.h).
//
// It stands on the shoulders of loom (replaced atomics, and stale loads), CDSChecker and GenMC
// (what the memory model allows), CHESS (bounded preemptions) and FastTrack (races by vector
// clocks).
#ifndef PLAIT_RUNTIME_TESTING_EXPLORER_EXPLORER_H_
#define PLAIT_RUNTIME_TESTING_EXPLORER_EXPLORER_H_

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <source_location>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "plait/runtime/testing/explorer/clock.h"

namespace plait::explorer {

struct Options {
  // How often a thread may be stopped that could have gone on.
  int preemptions = 3;
  // How often in an execution a load may read another store than the last one, or a store go before
  // one that was done. At 0 they happen in one order, that of the turns. By default as often as the
  // memory model allows, which is too often for loops that look at much, again and again.
  int stale_values = kAllValues;
  // Where the search gives up; then the report is not `complete`.
  int64_t max_executions = 10'000'000;
  // An execution with more operations on atomics does not end.
  int max_steps = 2'000;
  // A SpinLock is one step: who wants it waits until it is free. False for tests of SpinLock
  // itself, which prove that it is no more than that.
  bool whole_spin_locks = true;
  // That a load could have read from a store that comes of it is a failure. Such an execution is
  // not explored, though C++20 allows it, and machines do it: a load may be done after a store that
  // stands behind it. So where an order is there to keep a thread from overwriting what another has
  // yet to read, nothing else notices that it is missing. (It says nothing of code to which it does
  // no harm, as where relaxed counts go back and forth.)
  bool forbid_load_buffering = false;
  // Executions that have come to the same point in different ways are explored further once.
  bool merge = true;
};

struct Report {
  // Nothing was found, and all within the bound was explored.
  bool ok() const { return failure.empty() && complete; }
  // For people: the failure with its trace, or how much was explored.
  std::string ToString() const;

  std::string failure;   // what went wrong, in a line; empty if nothing did
  std::string gave_up;   // why it is not complete, where nothing went wrong
  std::string schedule;  // for Replay
  std::vector<std::string> trace;
  int64_t executions = 0;
  bool complete = false;
  // No execution would have needed more preemptions, or stale values, than were allowed: these are
  // all there are.
  bool exhaustive = false;
};

using Body = absl::FunctionRef<void()>;

// Runs `body` in every way.
Report Explore(const Options& options, Body body);
inline Report Explore(Body body) { return Explore(Options(), body); }

// Runs `body` in the one way that a report's `schedule` says; `options` as they were.
Report Replay(std::string_view schedule, Body body, const Options& options = Options());

// --- for the body ---

// Runs all of these at once, each as a thread, and returns when all have ended.
void Parallel(std::initializer_list<absl::FunctionRef<void()>> threads);

// What must hold. If it does not, the execution ends here.
void Require(bool condition, std::string_view message,
             std::source_location where = std::source_location::current());

// How many operations of this execution, by all of its threads, processors do as locked
// instructions or as barriers: read-modify-writes, and stores and fences that are sequentially
// consistent.
int64_t LockedInstructions();

// What a thread sleeps on in place of a futex, an eventfd or a condition variable: Set wakes it,
// now or when it comes to wait.
class Event {
 public:
  Event() = default;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  // What comes before is visible to who returns from the Wait.
  void Set(std::source_location where = std::source_location::current());
  // Waits until it is set, and takes that away again.
  void Wait(std::source_location where = std::source_location::current());

 private:
  bool set_ = false;
  Clock released_;
};

// --- mutants ---

// A small program, and what must hold of it.
struct Scenario {
  std::string name;
  std::function<void()> body;
  Options options = {};
};

// A program in which one memory order is weaker than it is written.
struct Mutant {
  std::string name;  // "Inbox::Push compare_exchange: release -> relaxed"
  bool killed = false;
  std::string killer;      // the scenario that failed, and its failure
  std::string noticed_by;  // the same in short, as MUTANTS.md has it: data race in "one producer"
  // The search of some scenario gave up before anything failed: it is not known to be harmless.
  bool undecided = false;
};

struct Mutants {
  std::vector<Mutant> all;

  // All that were not killed.
  std::vector<std::string> survivors() const;
  std::string ToString() const;  // a line for each
};

// Weakens every memory order that the scenarios meet in source files whose path contains `files`,
// one at a time, by one step, and those that this does not kill further. A fence's last step is to
// be left out. The scenarios must all pass as they are (CHECK).
Mutants ExploreMutants(std::string_view files, const std::vector<Scenario>& scenarios);

}  // namespace plait::explorer

#endif  // PLAIT_RUNTIME_TESTING_EXPLORER_EXPLORER_H_
