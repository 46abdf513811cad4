// The programs of the structured-concurrency stress test: random trees of nodes, each a coroutine
// that uses one of the runtime's means and checks what it promises. Internal to runtime/testing.
//
// To add a kind: a coroutine of the type below, with an Alive in its frame, that runs its children
// with RunNode and calls world.Expect for everything that must hold, and a line in the table.
#ifndef PLAIT_RUNTIME_TESTING_STRESS_PROGRAMS_H_
#define PLAIT_RUNTIME_TESTING_STRESS_PROGRAMS_H_

#include <cstddef>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/testing/stress_world.h"

namespace plait::stress {

struct Kind {
  const char* name;
  Task<absl::Status> (*run)(World& world, Draw draw, int depth);
};

// How deep the trees are: nodes at this depth have no children.
inline constexpr int kMaxDepth = 7;

// Those without children, and those with.
absl::Span<const Kind> Leaves();
absl::Span<const Kind> Branches();

// Runs a node of a kind that is drawn, or of `kind`, and notes in `outcome` how it ended. Both
// references outlive it.
Task<absl::Status> RunNode(World& world, Draw draw, int depth, Outcome& outcome,
                           const Kind* kind = nullptr);

// A whole program: a tree whose root is of a kind that is drawn, or of `kind`, and which may be
// cancelled at any time. When it ends nothing of it is left. A program that hangs is a CHECK with
// its seed.
Task<void> RunProgram(World& world, const Kind* kind = nullptr);

}  // namespace plait::stress

#endif  // PLAIT_RUNTIME_TESTING_STRESS_PROGRAMS_H_
