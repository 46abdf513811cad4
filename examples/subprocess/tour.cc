#include "plait/examples/subprocess/tour.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/time.h"
#include "plait/examples/subprocess/commands.h"
#include "plait/io/file/file.h"
#include "plait/io/process/process.h"
#include "plait/runtime/runtime.h"

namespace examples {
namespace {

using plait::ExitStatus;
using plait::OrReturn;
using plait::Process;
using plait::ProcessOptions;
using plait::ProcessOutput;
using plait::Stdio;
using plait::Task;

// One line for a text of several.
std::string Show(const std::string& text) {
  return absl::StrCat("\"", absl::StrReplaceAll(text, {{"\n", "\\n"}}), "\"");
}

Task<absl::Status> LineByLine(Session& session) {
  session.Title("Start: another program runs, and what it says is read as it comes");
  ProcessOptions options;
  options.arguments = {"sh", "-c", "echo first; echo second >&2; echo third; exit 3"};
  options.output = options.error = Stdio::Pipe();
  Process process = co_await OrReturn(Process::Start(options));
  session.Say(absl::StrCat("pid()       -> ", process.pid() > 0 ? "a number" : "none"));
  const ExitStatus ended = co_await OrReturn(Watch(session, process, "sh"));
  session.Say(absl::StrCat("Wait()      -> ", ended.ToString()));
  co_return absl::OkStatus();
}

Task<absl::Status> InAndOut(Session& session) {
  session.Title("Communicate: gives it input, and takes all that it says, side by side");
  ProcessOptions options;
  options.arguments = {"sort", "-r"};
  options.input = options.output = Stdio::Pipe();
  Process sort = co_await OrReturn(Process::Start(options));
  const ProcessOutput sorted = co_await OrReturn(sort.Communicate("ants\nbees\ncats\n"));
  session.Say(absl::StrCat("output      -> ", Show(sorted.output)));
  session.Say(absl::StrCat("status      -> ", sorted.status.ToString()));
  co_return absl::OkStatus();
}

Task<absl::Status> ShellAndEnvironment(Session& session) {
  session.Title("Shell: a command line, with variables and a directory of its own");
  ProcessOptions options;
  options.environment.emplace_back("GREETING", "hello; echo not a command");
  options.working_directory = "/";
  options.output = Stdio::Pipe();
  Process shell =
      co_await OrReturn(plait::Shell("echo \"$GREETING\" from $(pwd) | tr a-z A-Z", options));
  const ProcessOutput said = co_await OrReturn(shell.Communicate());
  session.Say(absl::StrCat("output      -> ", Show(said.output)));

  options.inherit_environment = false;
  options.environment.clear();
  options.arguments = {"/usr/bin/env"};
  Process env = co_await OrReturn(Process::Start(options));
  const ProcessOutput variables = co_await OrReturn(env.Communicate());
  session.Say(absl::StrCat("without any -> ", Show(variables.output)));
  co_return absl::OkStatus();
}

Task<absl::Status> TooLong(Session& session) {
  session.Title("Timeout: what takes too long is killed, and gone when the co_await returns");
  ProcessOptions options;
  options.output = Stdio::Pipe();
  options.group = ProcessOptions::Group::kNew;  // its sleep goes with the shell
  Process slow = co_await OrReturn(plait::Shell("echo begun; sleep 1000", options));
  const absl::StatusOr<ProcessOutput> said =
      co_await plait::Timeout(absl::Milliseconds(100), slow.Communicate());
  session.Say(absl::StrCat("co_await    -> ", said.status().ToString()));
  session.Say(absl::StrCat("status      -> ", slow.exit_status()->ToString()));
  co_return absl::OkStatus();
}

Task<absl::Status> Asked(Session& session) {
  session.Title("Terminate: it is asked to end, and may put its things in order first");
  ProcessOptions options;
  options.output = Stdio::Pipe();
  options.group = ProcessOptions::Group::kNew;
  const std::string script =
      "trap 'echo tidying up; kill -KILL $!; exit 7' TERM; sleep 1000 >&- & echo ready; wait";
  Process polite = co_await OrReturn(plait::Shell(script, options));
  plait::File output = plait::File::Adopt(polite.output().Release(), "its output");
  plait::AsyncGenerator<absl::StatusOr<std::string>> lines = plait::Lines(output);
  while (auto line = co_await lines.Next()) {
    if (!line->ok()) co_return line->status();
    session.Say(absl::StrCat("sh | ", **line), Color::kCyan);
    if (**line != "ready") continue;
    const absl::Status asked = polite.Terminate();
    session.Say(absl::StrCat("Terminate() -> ", asked.ToString()));
  }
  const ExitStatus ended = co_await OrReturn(polite.Wait());
  session.Say(absl::StrCat("Wait()      -> ", ended.ToString()));
  const absl::Status late = polite.Kill();
  session.Say(
      absl::StrCat("Kill()      -> ", late.ok() ? "OK" : "FAILED_PRECONDITION", ", it has ended"));
  co_return co_await output.Close();
}

Task<absl::StatusOr<int64_t>> Square(int64_t number) {
  ProcessOptions options;
  options.environment.emplace_back("NUMBER", absl::StrCat(number));
  options.output = Stdio::Pipe();
  Process process =
      co_await OrReturn(plait::Shell("sleep 0.2; exit $((NUMBER * NUMBER))", options));
  const ProcessOutput said = co_await OrReturn(process.Communicate());
  co_return said.status.code();
}

Task<absl::Status> ManyAtOnce(Session& session) {
  constexpr int64_t kMany = 15;
  session.Title("Many at once: fifteen that take 0.2 s each");
  const absl::Duration begin = session.elapsed();
  std::vector<Task<absl::StatusOr<int64_t>>> squares;
  for (int64_t number = 1; number <= kMany; ++number) squares.push_back(Square(number));
  const std::vector<int64_t> results = co_await OrReturn(plait::Gather(std::move(squares)));
  int64_t sum = 0;
  for (const int64_t result : results) sum += result;
  session.Say(absl::StrCat("the squares of 1 to 15 add up to ", sum));
  const bool fast = session.elapsed() - begin < kMany * absl::Milliseconds(200);
  session.Say(absl::StrCat("all of them took ", fast ? "less" : "more",
                           " than one after the other would have"));
  co_return absl::OkStatus();
}

Task<absl::Status> WhatCannotBeStarted(Session& session) {
  session.Title("Errors: what cannot be started says why, at once");
  ProcessOptions options;
  for (const char* command : {"no-such-command", "/etc/passwd", "/"}) {
    options.arguments = {command};
    const absl::StatusOr<Process> process = Process::Start(options);
    session.Say(absl::StrCat("Start()     -> ", process.status().ToString()));
  }
  options.arguments = {"true"};
  options.working_directory = "/no/such/directory";
  const absl::StatusOr<Process> nowhere = Process::Start(options);
  session.Say(absl::StrCat("Start()     -> ", nowhere.status().ToString()));
  co_return absl::OkStatus();
}

}  // namespace

Task<absl::Status> Tour(Session& session) {
  co_await OrReturn(LineByLine(session));
  co_await OrReturn(InAndOut(session));
  co_await OrReturn(ShellAndEnvironment(session));
  co_await OrReturn(TooLong(session));
  co_await OrReturn(Asked(session));
  co_await OrReturn(ManyAtOnce(session));
  co_return co_await WhatCannotBeStarted(session);
}

}  // namespace examples
