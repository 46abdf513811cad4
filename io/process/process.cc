#include "plait/io/process/process.h"

#include <signal.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "plait/io/process/communicate.h"
#include "plait/io/process/process_state.h"
#include "plait/io/process/start.h"
#include "plait/runtime/core/check.h"

namespace plait {

absl::StatusOr<Process> Process::Start(const ProcessOptions& options) {
  absl::StatusOr<internal::StartedProcess> started = internal::StartProcess(options);
  if (!started.ok()) return started.status();
  return Process(*std::move(started), options.kill_on_drop);
}

Process::Process(internal::StartedProcess started, bool kill_on_drop)
    : state_(std::move(started.state)), kill_on_drop_(kill_on_drop) {
  for (int n = 0; n < 3; ++n) pipes_[n] = std::move(started.pipes[n]);
}

Process::Process(Process&& other) noexcept
    : state_(std::move(other.state_)), kill_on_drop_(other.kill_on_drop_) {
  for (int n = 0; n < 3; ++n) pipes_[n] = std::move(other.pipes_[n]);
}

Process& Process::operator=(Process&& other) noexcept {
  std::swap(state_, other.state_);
  std::swap(pipes_, other.pipes_);
  std::swap(kill_on_drop_, other.kill_on_drop_);
  return *this;
}

Process::~Process() {
  if (state_ != nullptr) internal::Abandon(std::move(state_), kill_on_drop_);
}

internal::ProcessState& Process::state() const {
  PLAIT_CHECK(state_ != nullptr, "a Process was used that was moved from");
  return *state_;
}

int Process::pid() const { return state().pid(); }

Task<absl::StatusOr<ExitStatus>> Process::Wait() const {
  PLAIT_CHECK(state_ != nullptr, "a Process was used that was moved from");
  return internal::WaitForExit(state_);
}

std::optional<ExitStatus> Process::exit_status() const {
  const std::optional<absl::StatusOr<ExitStatus>> ended = state().TakeExit();
  if (!ended.has_value() || !ended->ok()) return std::nullopt;
  return **ended;
}

Task<absl::StatusOr<ProcessOutput>> Process::Communicate(std::string input, size_t max_output) {
  PLAIT_CHECK(state_ != nullptr, "a Process was used that was moved from");
  return internal::Communicate(state_, std::move(pipes_[0]), std::move(pipes_[1]),
                               std::move(pipes_[2]), std::move(input), max_output);
}

absl::Status Process::Signal(int signal) { return state().Signal(signal, /*group=*/false); }

absl::Status Process::SignalGroup(int signal) {
  if (!state().own_group()) {
    return absl::FailedPreconditionError(
        absl::StrCat("signal the group of ", state().name(),
                     ": it was started in this program's own group; see ProcessOptions::group"));
  }
  return state().Signal(signal, /*group=*/true);
}

absl::Status Process::Terminate() { return Signal(SIGTERM); }

absl::Status Process::Kill() { return state().Kill(); }

absl::StatusOr<Process> Shell(absl::string_view command, ProcessOptions options) {
  if (!options.arguments.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("Shell(\"", command, "\"): options.arguments must be empty"));
  }
  options.arguments = {"/bin/sh", "-c", std::string(command)};
  return Process::Start(options);
}

}  // namespace plait
