#include "plait/examples/parallelism/comparison.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace examples {
namespace {

constexpr const char* kBackends[] = {"sync", "threads", "processes", "async", "pool"};

const Measurement* Find(const std::vector<Measurement>& all, Workload workload,
                        const std::string& backend) {
  for (const Measurement& m : all) {
    if (m.workload == workload && m.backend == backend) return &m;
  }
  return nullptr;
}

}  // namespace

double AmdahlBound(double parallel, double workers) {
  return 1 / ((1 - parallel) + parallel / workers);
}

int Overlap(Workload workload, const std::string& backend, int tasks, int cores) {
  if (backend == "sync") return 1;
  if (workload == Workload::kSleep) return tasks;
  // A coroutine that computes keeps its one thread to itself.
  return backend == "async" ? 1 : std::min(tasks, cores);
}

std::vector<std::string> ComparisonTable(const std::vector<Measurement>& measurements, int cores) {
  std::vector<std::string> lines = {
      "|                        |    sync | threads | processes |   async |    pool |",
      "|:-----------------------|--------:|--------:|----------:|--------:|--------:|",
  };
  for (const Workload workload : {Workload::kSleep, Workload::kHardWork}) {
    const Measurement* sync = Find(measurements, workload, "sync");
    std::string seconds = absl::StrFormat("| %-22s |", WorkloadName(workload) + ", seconds");
    std::string speed_ups = absl::StrFormat("| %-22s |", "    times faster");
    std::string bounds = absl::StrFormat("| %-22s |", "    at most");
    bool any = false;
    for (const std::string backend : kBackends) {
      const int width = backend == "processes" ? 9 : 7;
      const Measurement* m = Find(measurements, workload, backend);
      any |= m != nullptr;
      const auto cell = [&](bool known, double value) {
        return absl::StrFormat(" %*s |", width, known ? absl::StrFormat("%.2f", value) : "-");
      };
      const bool comparable = m != nullptr && sync != nullptr && m->total > absl::ZeroDuration();
      absl::StrAppend(&seconds, cell(m != nullptr, m ? absl::ToDoubleSeconds(m->total) : 0));
      absl::StrAppend(&speed_ups,
                      cell(comparable, comparable ? absl::FDivDuration(sync->total, m->total) : 0));
      // What the tasks themselves took of the synchronous time; the rest is starting them, telling
      // of them and so on.
      const double parallel =
          comparable ? std::min(1.0, absl::FDivDuration(sync->sum_of_tasks, sync->total)) : 0;
      absl::StrAppend(&bounds,
                      cell(comparable, comparable ? AmdahlBound(parallel, Overlap(workload, backend,
                                                                                  m->tasks, cores))
                                                  : 0));
    }
    if (any) lines.insert(lines.end(), {seconds, speed_ups, bounds});
  }
  return lines;
}

std::string MachineLine(const Measurement& m) {
  std::string line =
      absl::StrFormat("parallelism workload=%s backend=%s tasks=%d seconds=%.3f",
                      WorkloadName(m.workload), m.backend, m.tasks, absl::ToDoubleSeconds(m.total));
  if (m.failed > 0) absl::StrAppend(&line, " failed=", m.failed);
  return line;
}

}  // namespace examples
