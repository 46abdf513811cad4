// What do more threads than processors cost? Each workload on a pool with four threads for each
// processor, against the best of one thread and a thread for each; in turn, so that the machine's
// drift hits all alike.
//
// The time is that with too many threads. times_best is the least of it over the least of the best;
// the goal is at most 1.3.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "benchmark/benchmark.h"
#include "plait/examples/fork_join/workload.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/runtime.h"
#include "plait/schedulers/work_stealing/work_stealing_pool.h"

namespace examples {
namespace {

using plait::Clock;
using plait::Deadline;
using plait::Task;
using plait::WorkStealingPool;

// Builds that are not optimised are not measured.
#ifdef NDEBUG
int SizeOf(const Workload& workload) { return workload.moderate; }
#else
int SizeOf(const Workload& workload) {
  return WarmUpSize(workload, WarmUpSize(workload, workload.moderate));
}
#endif

Task<int64_t> AsTask(const Workload& workload, bool coroutines) {
  const int size = SizeOf(workload);
  if (coroutines) return workload.coroutines(size);
  return [](const Workload& w, int n) -> Task<int64_t> { co_return w.closures(n); }(workload, size);
}

class Contender {
 public:
  explicit Contender(int threads) : pool_({.threads = threads}) {}

  // In seconds; negative where the answer is wrong.
  double Run(const Workload& workload, bool coroutines) {
    const Deadline before = Clock::Real().Now();
    const int64_t result = plait::BlockOn(pool_, AsTask(workload, coroutines));
    const double took = absl::ToDoubleSeconds(Clock::Real().Now().Since(before));
    least_ = std::min(least_, took);
    return result == workload.answer(SizeOf(workload)) ? took : -1;
  }
  double least() const { return least_; }

 private:
  WorkStealingPool pool_;
  double least_ = std::numeric_limits<double>::infinity();
};

// Its numbers are those of the workload, and whether as coroutines.
void BM_Oversubscribed(benchmark::State& state) {
  const Workload& workload = Workloads()[static_cast<size_t>(state.range(0))];
  const bool coroutines = state.range(1) != 0;
  const int processors = plait::HardwareThreads();
  state.SetLabel(absl::StrCat(workload.name, "(", SizeOf(workload), ") as ",
                              coroutines ? "coroutines" : "closures", ", ", 4 * processors,
                              " threads on ", processors));
  Contender one(1);
  Contender each(processors);
  Contender many(4 * processors);
  for (auto _ : state) {
    const std::array<double, 3> took = {one.Run(workload, coroutines),
                                        each.Run(workload, coroutines),
                                        many.Run(workload, coroutines)};
    if (*std::min_element(took.begin(), took.end()) < 0) state.SkipWithError("a wrong answer");
    state.SetIterationTime(std::max(0.0, took[2]));
  }
  state.counters["times_best"] = many.least() / std::min(one.least(), each.least());
}
BENCHMARK(BM_Oversubscribed)
    ->ArgsProduct({{0, 1, 2, 3}, {0, 1}})
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace examples
