// A cascade of stages with a bounded queue between each two: photographs are read, shrunk and
// saved, all at the same time.
//
// What a stage has done goes into the queue to the next. A full queue makes the stage before it
// wait, and the one before that, up to the source: back-pressure. The end goes the other way: a
// stage that has nothing left to do closes its queue, and the next one takes what is still in it.
#ifndef PLAIT_EXAMPLES_PIPELINE_CASCADE_H_
#define PLAIT_EXAMPLES_PIPELINE_CASCADE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "plait/examples/support/console.h"
#include "plait/runtime/runtime.h"
#include "plait/schedulers/run.h"

namespace examples {

struct Stage {
  std::string name;
  absl::Duration time;  // that one photograph takes
  int64_t workers = 1;  // tasks that do this stage's work side by side
};

struct Plan {
  int64_t photos = 8;
  size_t capacity = 2;  // of each queue
  int64_t broken = 0;   // the number of a photograph that the second stage fails on; 0 for none
  std::vector<Stage> stages;
};

struct Outcome {
  absl::Duration total;
  std::vector<int64_t> done;         // photographs, by stage
  std::vector<int64_t> pushed_back;  // how often a stage found the queue behind it full
};

// What the photographs would take one after the other, each through all stages.
absl::Duration OneAfterTheOther(const Plan& plan);

// Runs the plan and prints what happens as it happens. The status is the stage's that failed: the
// others are cancelled then.
absl::StatusOr<Outcome> RunCascade(const Plan& plan, Console& console,
                                   const plait::RunOptions& options = {});

}  // namespace examples

#endif  // PLAIT_EXAMPLES_PIPELINE_CASCADE_H_
