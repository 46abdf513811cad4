#include "plait/runtime/testing/explorer/explorer.h"

#include <algorithm>
#include <charconv>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/testing/explorer/decisions.h"
#include "plait/runtime/testing/explorer/execution.h"
#include "plait/runtime/testing/explorer/sites.h"

namespace plait::explorer {
namespace {

#if defined(PLAIT_EXPLORE)
constexpr bool kBuiltToBeExplored = true;
#else
constexpr bool kBuiltToBeExplored = false;
#endif

struct Search {
  const Options& options;
  const Site* weakened = nullptr;
  std::vector<Site>* sites = nullptr;
};

Report RunSearch(const Search& search, Body body) {
  PLAIT_CHECK(kBuiltToBeExplored, "a test that uses the explorer must be a plait_explored_test");
  const auto execution = std::make_unique<Execution>();
  Report report;
  Visited visited;
  // With few preemptions first: what is found then is easier to understand, and found sooner.
  for (int bound = 0; bound <= search.options.preemptions; ++bound) {
    Decisions decisions;
    Execution::Settings settings{.preemptions = bound,
                                 .max_steps = search.options.max_steps,
                                 .stale_values = search.options.stale_values,
                                 .traced = false,
                                 .weakened = search.weakened,
                                 .sites = search.sites,
                                 .whole_spin_locks = search.options.whole_spin_locks,
                                 .forbid_load_buffering = search.options.forbid_load_buffering,
                                 .visited = search.options.merge ? &visited : nullptr};
    visited.clear();
    do {
      if (report.executions++ >= search.options.max_executions) {
        report.gave_up = "that many are allowed";
        return report;
      }
      report.failure = execution->Run(body, decisions, settings);
      if (report.failure.empty()) continue;
      if (execution->overflown()) {
        report.gave_up = std::exchange(report.failure, "");
        return report;
      }
      settings.visited = nullptr;
      report.schedule = absl::StrCat(bound, ":", decisions.ToString());
      settings.traced = true;
      report.failure = execution->Run(body, decisions, settings);
      report.trace = execution->trace();
      return report;
    } while (decisions.Advance());
    if (!execution->TakeWasBounded()) {
      report.exhaustive = !execution->was_bounded_in_values();
      break;
    }
  }
  report.complete = true;
  return report;
}

std::string KindOf(std::string_view failure) {
  constexpr std::pair<std::string_view, std::string_view> kKinds[] = {
      {"data race", "data race"},
      {"deadlock", "lost wake-up"},
      {"load buffering", "load buffering"},
      {"use of freed memory", "use of freed memory"},
      {"an atomic is used after", "use of freed memory"},
      {"an execution does not end", "no end"},
  };
  for (const auto& [begins, kind] : kKinds) {
    if (failure.substr(0, begins.size()) == begins) return std::string(kind);
  }
  return "requirement";
}

}  // namespace

std::string Report::ToString() const {
  const std::string explored = absl::StrCat(executions, " executions",
                                            exhaustive ? ", all that there are"
                                            : complete ? ", all within the bounds"
                                                       : "");
  if (failure.empty()) {
    return complete ? explored : absl::StrCat("gave up after ", explored, ": ", gave_up);
  }
  return absl::StrCat(failure, "\nin execution ", executions, ", Replay(\"", schedule, "\"):\n  ",
                      absl::StrJoin(trace, "\n  "), "\n");
}

Report Explore(const Options& options, Body body) { return RunSearch({.options = options}, body); }

Report Replay(std::string_view schedule, Body body, const Options& options) {
  PLAIT_CHECK(kBuiltToBeExplored, "a test that uses the explorer must be a plait_explored_test");
  const size_t colon = schedule.find(':');
  int bound = 0;
  std::from_chars(schedule.data(), schedule.data() + schedule.size(), bound);
  Decisions decisions;
  decisions.Read(colon == schedule.npos ? "" : schedule.substr(colon + 1));
  const auto execution = std::make_unique<Execution>();
  Report report;
  report.executions = 1;
  report.schedule = std::string(schedule);
  report.failure = execution->Run(body, decisions,
                                  {.preemptions = bound,
                                   .max_steps = options.max_steps,
                                   .stale_values = options.stale_values,
                                   .traced = true,
                                   .whole_spin_locks = options.whole_spin_locks,
                                   .forbid_load_buffering = options.forbid_load_buffering});
  report.trace = execution->trace();
  return report;
}

void Parallel(std::initializer_list<absl::FunctionRef<void()>> threads) {
  InsideExplorer().execution().Parallel(std::span(threads.begin(), threads.size()));
}

void Require(bool condition, std::string_view message, std::source_location where) {
  if (condition) return;
  std::string_view file = where.file_name();
  file.remove_prefix(file.rfind('/') + 1);
  const InsideExplorer inside;
  inside.execution().Fail(
      absl::StrCat(std::string(message), " (", std::string(file), ":", where.line(), ")"));
}

int64_t LockedInstructions() { return InsideExplorer().execution().locked_instructions(); }

void Event::Set(std::source_location where) {
  const InsideExplorer inside;
  inside.execution().Release(released_, "sets an event", where);
  set_ = true;
}

void Event::Wait(std::source_location where) {
  const InsideExplorer inside;
  const auto is_set = [this] { return set_; };
  inside.execution().WaitUntil(is_set, "an event", where);
  set_ = false;
  inside.execution().Acquire(released_);
}

// --- mutants ---

std::vector<std::string> Mutants::survivors() const {
  std::vector<std::string> result;
  for (const Mutant& mutant : all) {
    if (!mutant.killed) result.push_back(mutant.name);
  }
  return result;
}

std::string Mutants::ToString() const {
  std::string result;
  for (const Mutant& mutant : all) {
    absl::StrAppend(&result, mutant.name,
                    mutant.killed      ? ": killed by "
                    : mutant.undecided ? ": NOT DECIDED: "
                                       : ": SURVIVES",
                    mutant.killer, "\n");
  }
  return result;
}

Mutants ExploreMutants(std::string_view files, const std::vector<Scenario>& scenarios) {
  std::vector<Site> sites;
  for (const Scenario& scenario : scenarios) {
    const Report report = RunSearch({.options = scenario.options, .sites = &sites}, scenario.body);
    PLAIT_CHECK(report.ok(), absl::StrCat("the scenario ", scenario.name,
                                          " must pass before it is mutated: ", report.ToString()));
  }
  std::erase_if(sites, [files](const Site& site) {
    return std::string_view(site.where.file_name()).find(files) == std::string_view::npos;
  });
  const std::vector<std::string> names = NameSites(sites);
  Mutants result;
  for (size_t i = 0; i < sites.size(); ++i) {
    std::vector<MemoryOrder> to_try = OneStepWeaker(sites[i].kind, sites[i].order);
    for (size_t next = 0; next < to_try.size(); ++next) {
      Site weakened = sites[i];
      weakened.order = to_try[next];
      const bool left_out =
          weakened.kind == SiteKind::kFence && weakened.order == internal::kRelaxed;
      Mutant mutant;
      mutant.name = absl::StrCat(names[i], ": ", NameOf(sites[i].order), " -> ",
                                 left_out ? "none" : NameOf(weakened.order));
      for (const Scenario& scenario : scenarios) {
        const Report report =
            RunSearch({.options = scenario.options, .weakened = &weakened}, scenario.body);
        if (report.failure.empty()) {
          if (report.complete) continue;
          mutant.undecided = true;
          mutant.killer = absl::StrCat(scenario.name, ", ", report.ToString());
          continue;
        }
        mutant.killed = true;
        mutant.undecided = false;
        mutant.killer = absl::StrCat(scenario.name, ", ", report.failure);
        mutant.noticed_by = absl::StrCat(KindOf(report.failure), " in \"", scenario.name, "\"");
        break;
      }
      result.all.push_back(mutant);
      if (mutant.killed) continue;
      for (MemoryOrder weaker : OneStepWeaker(weakened.kind, weakened.order)) {
        if (std::find(to_try.begin(), to_try.end(), weaker) == to_try.end()) {
          to_try.push_back(weaker);
        }
      }
    }
  }
  return result;
}

}  // namespace plait::explorer
