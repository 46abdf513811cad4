#include "plait/examples/fork_join/workload.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "plait/schedulers/work_stealing/peers/workloads.h"

namespace examples {

const std::vector<Workload>& Workloads() {
  static const auto& workloads = *new std::vector<Workload>{
      {"fib", "the n-th Fibonacci number, by forking both terms", 30, 0, 60, false,
       &peers::FibAnswer, &FibCoroutine, &FibClosure},
      {"skynet", "the sum of the leaves of a tree with n levels, 10 children a node", 6, 0,
       peers::kMostSkynet, false, &peers::SkynetAnswer, &SkynetCoroutine, &SkynetClosure},
      {"nqueens", "how n queens stand on a board of n by n without a fight", 11, 1,
       peers::kMostNQueens, false, &peers::NQueensAnswer, &NQueensCoroutine, &NQueensClosure},
      {"matmul", "a product of matrices of n by n, by quarters", 512, 1, peers::kMostMatmul, true,
       &peers::MatmulAnswer, &MatmulCoroutine, &MatmulClosure},
  };
  return workloads;
}

absl::Status CheckSize(const Workload& workload, int64_t n) {
  const bool fits =
      n >= workload.least && n <= workload.most && (!workload.power_of_two || (n & (n - 1)) == 0);
  if (fits) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("--n=", n, " is no size of ", workload.name,
                                                 ", which are ",
                                                 workload.power_of_two ? "the powers of two " : "",
                                                 "from ", workload.least, " to ", workload.most));
}

int WarmUpSize(const Workload& workload, int n) {
  if (workload.power_of_two) return std::max(workload.least, n / 2);
  return std::clamp(n - 1, workload.least, workload.moderate);
}

}  // namespace examples
