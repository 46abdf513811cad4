#include "plait/io/signal/signal_wait.h"

#include <signal.h>

#include <bit>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "plait/io/ops/operations.h"
#include "plait/io/system/errno_status.h"
#include "plait/io/system/signal_name.h"
#include "plait/io/system/system_calls.h"

namespace plait::internal {
namespace {

#ifdef SIGRTMAX
// Those between the system's and the program's first real-time signal are the C library's.
bool IsSignal(int signal) {
  return signal >= 1 && signal <= SIGRTMAX && (signal < 32 || signal >= SIGRTMIN);
}
#else
bool IsSignal(int signal) { return signal >= 1 && signal < NSIG; }
#endif

// Why nobody can listen to it; empty where one can.
absl::string_view WhyNot(int signal) {
  switch (signal) {
    case SIGKILL:
    case SIGSTOP:
      return "the system lets nobody have it";
    case SIGSEGV:
    case SIGBUS:
    case SIGFPE:
    case SIGILL:
      return "the program cannot go on after the fault that it tells of";
    default:
      return IsSignal(signal) ? "" : "there is no such signal";
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<SignalWait>> SignalWait::Create(absl::Span<const int> signals,
                                                               Kind kind) {
  if (signals.empty()) {
    return absl::InvalidArgumentError("listen for signals: there is none to listen for");
  }
  uint64_t set = 0;
  for (const int signal : signals) {
    const absl::string_view why_not = WhyNot(signal);
    if (!why_not.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("listen for ", SignalName(signal), ": ", why_not));
    }
    set |= sys::SignalBit(signal);
  }
  std::vector<std::string> names;
  for (uint64_t rest = set; rest != 0; rest &= rest - 1) {
    names.push_back(SignalName(std::countr_zero(rest) + 1));
  }
  std::string name = absl::StrJoin(names, " or ");
  const int event = sys::Calls().EventFd();
  if (event < 0) return ErrnoToStatus(event, absl::StrCat("listen for ", name));
  std::unique_ptr<SignalWait> wait(new SignalWait(absl::StrCat("wait for ", name), event));
  const int started = wait->subscription_.Start(set, event, kind);
  if (started < 0) return ErrnoToStatus(started, absl::StrCat("listen for ", name));
  return wait;
}

Task<absl::StatusOr<int>> SignalWait::WaitForNext() {
  uint64_t count = 0;  // which nobody looks at: what came is in the subscription
  for (;;) {
    if (taken_ == 0) taken_ = subscription_.Take();
    if (taken_ != 0) {
      const int signal = std::countr_zero(taken_) + 1;
      taken_ &= taken_ - 1;
      co_return signal;
    }
    const absl::StatusOr<size_t> read = co_await io::Read(
        event_.get(), absl::MakeSpan(reinterpret_cast<char*>(&count), sizeof(count)));
    if (!read.ok()) {
      co_return absl::Status(read.status().code(),
                             absl::StrCat(name_, ": ", read.status().message()));
    }
  }
}

Task<absl::StatusOr<int>> SignalWait::Next() {
  if (waiting_) {
    co_return absl::FailedPreconditionError(
        absl::StrCat(name_, ": another task waits for the same listener already"));
  }
  waiting_ = true;
  absl::StatusOr<int> signal = co_await WaitForNext();
  waiting_ = false;
  co_return signal;
}

}  // namespace plait::internal
