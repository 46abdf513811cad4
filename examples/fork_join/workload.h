// The four workloads of fork_join, and the two styles in which each is written: as coroutines
// (coroutines.cc) and as plain functions (closures.cc).
#ifndef PLAIT_EXAMPLES_FORK_JOIN_WORKLOAD_H_
#define PLAIT_EXAMPLES_FORK_JOIN_WORKLOAD_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "plait/runtime/task/task.h"

namespace examples {

struct Workload {
  std::string name;
  std::string what;   // for --help
  int moderate;       // the size that a machine does in a moment
  int least, most;    // the sizes that there are
  bool power_of_two;  // of these
  // What has to come out, worked out in another way.
  int64_t (*answer)(int n);
  plait::Task<int64_t> (*coroutines)(int n);
  int64_t (*closures)(int n);
};

const std::vector<Workload>& Workloads();

// Why there is no such size; OK if there is.
absl::Status CheckSize(const Workload& workload, int64_t n);
// A size that takes a fraction of the time that `n` takes.
int WarmUpSize(const Workload& workload, int n);

// As coroutines. A fork is a co_await of several children.
plait::Task<int64_t> FibCoroutine(int n);
plait::Task<int64_t> SkynetCoroutine(int levels);
plait::Task<int64_t> NQueensCoroutine(int n);
plait::Task<int64_t> MatmulCoroutine(int n);

// As plain functions, called in a task of the pool.
int64_t FibClosure(int n);
int64_t SkynetClosure(int levels);
int64_t NQueensClosure(int n);
int64_t MatmulClosure(int n);

}  // namespace examples

#endif  // PLAIT_EXAMPLES_FORK_JOIN_WORKLOAD_H_
