#include "plait/schedulers/process_pool/worker_process.h"

#include <errno.h>

#include <algorithm>
#include <string>

#include "absl/status/status.h"
#include "plait/schedulers/process_pool/pool_system.h"
#include "plait/schedulers/process_pool/zygote_protocol.h"

namespace plait::internal {
namespace {

WorkerExit ExitOf(const WorkerReport& report, std::string text) {
  WorkerExit exit;
  if (report.kind == WorkerReport::kNotStarted) {
    exit.kind = WorkerExit::Kind::kNotStarted;
    exit.reason = std::move(text);
    return exit;
  }
  exit.kind = report.signal != 0 ? WorkerExit::Kind::kSignalled : WorkerExit::Kind::kExited;
  exit.code = report.code;
  exit.signal = report.signal;
  exit.core_dumped = report.core_dumped;
  exit.error_tail = std::move(text);
  return exit;
}

}  // namespace

absl::StatusOr<std::unique_ptr<WorkerProcess>> WorkerProcess::Start(
    Zygote& zygote, const WorkerOptions& options, absl::Span<const int> descriptors) {
  int channel[2];
  if (const int result = pool_system::CreateChannel(true, channel); result < 0) {
    return absl::ErrnoToStatus(-result, "a channel to a worker process");
  }
  std::unique_ptr<WorkerProcess> worker(new WorkerProcess(channel[0]));
  const absl::Status asked = zygote.RequestWorker(options, channel[1], descriptors);
  pool_system::Close(channel[1]);
  if (!asked.ok()) return asked;
  return worker;
}

WorkerProcess::~WorkerProcess() { pool_system::Close(channel_); }

std::optional<WorkerExit> WorkerProcess::TakeExit() {
  while (!exit_.has_value()) {
    WorkerReport report;
    int64_t size = pool_system::Receive(channel_, &report, sizeof report, nullptr);
    // The zygote left something unread; that is told once, and before what it has said.
    if (size == -ECONNRESET) {
      size = pool_system::Receive(channel_, &report, sizeof report, nullptr);
    }
    if (size == -EAGAIN) return std::nullopt;
    if (size < static_cast<int64_t>(WorkerReport::Size(0))) {
      exit_.emplace();  // kLost
    } else if (report.kind == WorkerReport::kStarted) {
      pid_ = report.pid;
    } else {
      exit_ = ExitOf(report,
                     std::string(report.text, static_cast<size_t>(size) - WorkerReport::Size(0)));
      exit_->asked_for = report.signal > 0 && report.signal < 64 && was_sent(report.signal);
    }
  }
  return exit_;
}

void WorkerProcess::Signal(int signal) noexcept {
  const WorkerCommand command = {.signal = signal};
  signals_ |= uint64_t{1} << (signal & 63);
  // There is room: nobody sends hundreds.
  pool_system::Send(channel_, &command, sizeof command, {});
}

}  // namespace plait::internal
