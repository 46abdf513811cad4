// The articles' comparison: a table of how long each backend took, the speed-ups, and how large
// they could be at most.
#ifndef PLAIT_EXAMPLES_PARALLELISM_COMPARISON_H_
#define PLAIT_EXAMPLES_PARALLELISM_COMPARISON_H_

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "plait/examples/parallelism/workload.h"

namespace examples {

// One cell of the table.
struct Measurement {
  Workload workload;
  std::string backend;  // "sync", "threads", "processes", "async" or "pool"
  int tasks;
  absl::Duration total;
  absl::Duration sum_of_tasks;
  int failed;
};

// Amdahl's law: if a share of `parallel` (0 to 1) of a program's time can be spread over `workers`,
// and the rest cannot, it gets at most this many times faster.
double AmdahlBound(double parallel, double workers);

// How many tasks of the workload a backend can have going on at once, on a machine with `cores`:
// waiting takes no core.
int Overlap(Workload workload, const std::string& backend, int tasks, int cores);

// The table, line by line. Speed-ups are over "sync" and left out where that is missing.
std::vector<std::string> ComparisonTable(const std::vector<Measurement>& measurements, int cores);

// For programs: "parallelism workload=hard_work backend=threads tasks=5 seconds=1.234".
std::string MachineLine(const Measurement& measurement);

}  // namespace examples

#endif  // PLAIT_EXAMPLES_PARALLELISM_COMPARISON_H_
