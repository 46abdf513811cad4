// subprocess: other programs, started, talked to, timed out and killed, many at once.
//
// A process is waited for like anything else: while it runs, the loop does other work. Without
// flags this is a tour of what io/process offers; with --command it runs a command of yours and
// shows each line that it says with the time when it came.
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "plait/examples/subprocess/commands.h"
#include "plait/examples/subprocess/session.h"
#include "plait/examples/subprocess/tour.h"
#include "plait/examples/support/console.h"
#include "plait/examples/support/flags.h"
#include "plait/examples/support/runtime_flags.h"
#include "plait/examples/support/until_told_to_end.h"
#include "plait/runtime/runtime.h"
#include "plait/schedulers/run.h"

namespace {

plait::Task<absl::StatusOr<int>> Main(examples::Console& console,
                                      examples::CommandOptions options) {
  examples::Session session(console);
  if (!options.command.empty()) co_return co_await examples::RunCommands(session, options);
  co_await plait::OrReturn(examples::Tour(session));
  co_return 0;
}

}  // namespace

int main(int argc, char** argv) {
  examples::CommandOptions command;
  std::optional<absl::Duration> timeout;
  plait::RunOptions options;
  options.handle_sigint = false;  // UntilToldToEnd does, so that what was started is ended
  examples::Flags flags("subprocess",
                        "Other programs, started, talked to, timed out and killed: a tour, or a "
                        "command of yours."
                        "\nWith --command the exit status is the command's, and 124 if it took "
                        "longer than --timeout.");
  flags.Text("command", &command.command, "what the shell is to run; not given: the tour");
  flags.Int("times", &command.times, 1, 1000,
            "how often it is run, all at once; each finds its number in $NUMBER");
  flags.Time("timeout", &timeout, "how long it may take before it is killed; not given: for ever");
  flags.Text("directory", &command.directory, "where it is run; not given: here");
  flags.Check([&]() -> absl::Status {
    const bool more = command.times != 1 || timeout.has_value() || !command.directory.empty();
    if (!command.command.empty() || !more) return absl::OkStatus();
    return absl::InvalidArgumentError("--times, --timeout and --directory need a --command");
  });
  examples::AddReactorFlag(flags, &options);
  if (const auto status = flags.Parse(argc, argv)) return *status;
  command.timeout = timeout.value_or(absl::InfiniteDuration());

  examples::Console console;
  const absl::StatusOr<int> status =
      plait::Run(examples::UntilToldToEnd(Main(console, command)), options);
  if (status.ok()) return *status;
  console.Print(status.status().ToString(), examples::Color::kRed);
  return 1;
}
