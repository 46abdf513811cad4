// What the programs of the structured-concurrency stress test share: the numbers they are drawn
// from, the counters they leave, and how they say what went wrong. Internal to runtime/testing.
#ifndef PLAIT_RUNTIME_TESTING_STRESS_WORLD_H_
#define PLAIT_RUNTIME_TESTING_STRESS_WORLD_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/executor.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/runtime.h"

namespace plait::stress {

// A stream of numbers (splitmix64). Passed on by value: what a node draws depends on the seed and
// its place in the tree, and not on when it runs, so that a seed is one program on any executor.
class Draw {
 public:
  explicit Draw(uint64_t seed) : state_(seed) {}

  uint64_t Next() {
    uint64_t z = (state_ += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }
  // From 0 to `bound` - 1.
  int Below(int bound) { return static_cast<int>(Next() % static_cast<uint64_t>(bound)); }
  bool OneIn(int n) { return Below(n) == 0; }
  // Another stream.
  Draw Fork() { return Draw(Next()); }

 private:
  uint64_t state_;
};

// One program's surroundings; outlives everything that runs in it. Threads: any.
struct World {
  World(uint64_t of_seed, Clock& of_clock) : seed(of_seed), clock(of_clock) {}

  // Notes that something is wrong unless `held`.
  void Expect(bool held, const char* what);
  std::vector<std::string> complaints();
  // On its own line, if this run is traced.
  void Trace(int depth, const char* name, const std::string& what);

  const uint64_t seed;
  Clock& clock;
  // One thread and a test clock: times and orders are known exactly.
  bool exact = true;
  bool trace = false;
  absl::Duration unit = absl::Minutes(1);
  // Where spawned tasks may run; empty for the executor that the program runs on.
  std::vector<Executor*> executors;

  // Pairs that must be equal in the end.
  struct Pair {
    const char* what;
    internal::Atomic<int64_t> begun{0};
    internal::Atomic<int64_t> ended{0};
    void Begin() { begun.fetch_add(1, internal::kRelaxed); }
    // Release: whoever has seen all ends may destroy the world.
    void End() { ended.fetch_add(1, internal::kRelease); }
  };
  Pair frames{"coroutine frames made and destroyed"};
  Pair tasks{"tasks spawned and done callbacks run"};
  Pair cleanups{"cleanups due and run"};
  Pair resources{"resources opened and closed"};
  internal::Atomic<int64_t> endings{0};  // numbers the nodes in the order of their endings

  // Tasks whose handles were dropped; the program's end cancels and awaits them.
  void Detach(TaskHandle handle);
  std::vector<TaskHandle> TakeDetached();

 private:
  internal::SpinLock lock_;
  std::vector<std::string> complaints_;
  std::vector<TaskHandle> detached_;
};

// A local of every coroutine: counts its frame.
class Alive {
 public:
  explicit Alive(World& world) : world_(world) { world_.frames.Begin(); }
  Alive(const Alive&) = delete;
  Alive& operator=(const Alive&) = delete;
  ~Alive() { world_.frames.End(); }

 private:
  World& world_;
};

// How a node ended, for whoever runs it to compare with what it was told.
struct Outcome {
  bool begun = false;
  bool ended = false;
  bool threw = false;
  absl::Status status;
  int64_t order = -1;  // among all endings

  bool failed() const { return ended && (threw || (!status.ok() && !absl::IsCancelled(status))); }
};

using Outcomes = std::deque<Outcome>;

// The outcome with the earliest ending among those that `which` picks; null when there is none.
template <class Which>
const Outcome* Earliest(const Outcomes& outcomes, Which which) {
  const Outcome* earliest = nullptr;
  for (const Outcome& outcome : outcomes) {
    if (!which(outcome)) continue;
    if (earliest == nullptr || outcome.order < earliest->order) earliest = &outcome;
  }
  return earliest;
}

inline bool StopRequested() { return CurrentStopToken().stop_requested(); }

}  // namespace plait::stress

#endif  // PLAIT_RUNTIME_TESTING_STRESS_WORLD_H_
