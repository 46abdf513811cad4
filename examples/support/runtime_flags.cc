#include "plait/examples/support/runtime_flags.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "plait/io/auto_reactor/auto_reactor.h"
#include "plait/runtime/task/task.h"

namespace examples {
namespace {

plait::Task<absl::Status> Nothing() { co_return absl::OkStatus(); }

}  // namespace

void AddReactorFlag(Flags& flags, plait::RunOptions* options) {
  flags.Text(
      "reactor", &options->reactor,
      absl::StrCat("what waits for the system: auto, ", absl::StrJoin(plait::ReactorNames(), ", "),
                   "; not given: $PLAIT_REACTOR, else the build's"));
  // Running nothing is how one asks whether the names are good and the system is willing.
  flags.Check([options] { return plait::Run(Nothing(), *options); });
}

void AddSchedulerFlag(Flags& flags, plait::RunOptions* options) {
  flags.Text("scheduler", &options->scheduler,
             "what runs the tasks: event_loop, work_stealing; not given: the build's");
}

std::string ReactorName(const plait::RunOptions& options) {
  const auto reactor = plait::MakeReactor(options.reactor);
  return reactor.ok() ? std::string((*reactor)->name()) : options.reactor;
}

std::string SchedulerName(const plait::RunOptions& options) {
  return std::string(options.scheduler.empty() ? plait::DefaultScheduler() : options.scheduler);
}

}  // namespace examples
