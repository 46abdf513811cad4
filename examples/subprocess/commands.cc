#include "plait/examples/subprocess/commands.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "plait/io/file/file.h"
#include "plait/io/ops/owned_descriptor.h"
#include "plait/runtime/runtime.h"

namespace examples {
namespace {

using plait::ExitStatus;
using plait::OrReturn;
using plait::Process;
using plait::Task;

constexpr int kTimedOut = 124;  // as of the command of that name

// Says each line of `pipe` as it comes, until its end.
Task<absl::Status> SayLines(Session& session, plait::io::OwnedDescriptor pipe, std::string mark,
                            Color color) {
  if (!pipe.valid()) co_return absl::OkStatus();
  plait::File file = plait::File::Adopt(pipe.Release(), mark);
  plait::AsyncGenerator<absl::StatusOr<std::string>> lines = plait::Lines(file);
  while (auto line = co_await lines.Next()) {
    if (!line->ok()) co_return line->status();
    session.Say(absl::StrCat(mark, " ", **line), color);
  }
  co_return co_await file.Close();
}

Task<absl::StatusOr<ExitStatus>> WatchToTheEnd(Session& session, Process& process,
                                               std::string name) {
  const absl::Status said = co_await plait::Gather(
      SayLines(session, std::move(process.output()), name + " |", Color::kCyan),
      SayLines(session, std::move(process.error()), name + " !", Color::kYellow));
  if (!said.ok()) co_return said;
  co_return co_await process.Wait();
}

// For one command of several.
int ShellStatus(const absl::StatusOr<ExitStatus>& ended) {
  if (absl::IsDeadlineExceeded(ended.status())) return kTimedOut;
  if (!ended.ok()) return 1;
  return ended->exited() ? ended->code() : 128 + ended->signal();
}

Task<absl::StatusOr<int>> RunCommand(Session& session, const CommandOptions& options,
                                     int64_t number) {
  const std::string name = options.times == 1 ? "sh" : absl::StrCat("sh ", number);
  plait::ProcessOptions process_options;
  process_options.working_directory = options.directory;
  process_options.environment.emplace_back("NUMBER", absl::StrCat(number));
  process_options.input = plait::Stdio::Null();
  process_options.output = process_options.error = plait::Stdio::Pipe();
  // So that what it starts goes with it.
  process_options.group = plait::ProcessOptions::Group::kNew;
  Process process = co_await OrReturn(plait::Shell(options.command, process_options));
  session.Say(absl::StrCat(name, " is process ", process.pid()), Color::kDim);
  const absl::StatusOr<ExitStatus> ended =
      co_await plait::Timeout(options.timeout, Watch(session, process, name));
  if (absl::IsDeadlineExceeded(ended.status())) {
    session.Say(absl::StrCat(name, " took longer than ", absl::FormatDuration(options.timeout),
                             ": ", process.exit_status()->ToString()),
                Color::kRed);
  } else if (ended.ok()) {
    session.Say(absl::StrCat(name, ": ", ended->ToString()),
                ended->ok() ? Color::kGreen : Color::kRed);
  } else {
    co_return ended.status();
  }
  co_return ShellStatus(ended);
}

}  // namespace

Task<absl::StatusOr<ExitStatus>> Watch(Session& session, Process& process, std::string name) {
  absl::StatusOr<ExitStatus> ended = co_await WatchToTheEnd(session, process, std::move(name));
  if (ended.ok()) co_return ended;
  // It may have ended a moment ago: then there is nothing to kill.
  const absl::Status killed = process.Kill();
  if (!killed.ok() && !absl::IsFailedPrecondition(killed)) co_return killed;
  const absl::StatusOr<ExitStatus> reaped = co_await plait::Uncancellable(process.Wait());
  if (!reaped.ok()) co_return reaped.status();
  co_return ended.status();
}

Task<absl::StatusOr<int>> RunCommands(Session& session, CommandOptions options) {
  std::vector<Task<absl::StatusOr<int>>> runs;
  for (int64_t i = 1; i <= options.times; ++i) runs.push_back(RunCommand(session, options, i));
  const std::vector<int> statuses = co_await OrReturn(plait::Gather(std::move(runs)));
  const auto failed = std::find_if(statuses.begin(), statuses.end(), [](int s) { return s != 0; });
  const auto well = std::count(statuses.begin(), statuses.end(), 0);
  session.Title(absl::StrFormat("subprocess runs=%d well=%d seconds=%.3f", options.times, well,
                                absl::ToDoubleSeconds(session.elapsed())));
  co_return failed == statuses.end() ? 0 : *failed;
}

}  // namespace examples
