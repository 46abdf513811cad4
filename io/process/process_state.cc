#include "plait/io/process/process_state.h"

#include <errno.h>
#include <signal.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "plait/io/ops/operations.h"
#include "plait/io/ops/owned_descriptor.h"
#include "plait/io/system/errno_status.h"
#include "plait/io/system/process_calls.h"
#include "plait/io/system/signal_name.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/reactor.h"
#include "plait/runtime/core/thread_state.h"
#include "plait/runtime/core/worker.h"
#include "plait/runtime/sync/strand_base.h"
#include "plait/runtime/task/spawn.h"
#include "plait/runtime/task/task_context.h"
#include "plait/runtime/task/task_local.h"
#include "plait/runtime/task/uncancellable.h"
#include "plait/runtime/time/sleep.h"
#include "plait/runtime/time/timeout.h"

namespace plait::internal {
namespace {

static_assert(SIGKILL == 9);

// How long a process that was killed may take to be gone before it is left to ReapOrphans.
constexpr absl::Duration kPatience = absl::Seconds(5);

// Where the system has no descriptor to wait for: how often to look.
constexpr absl::Duration kFirstLook = absl::Milliseconds(1);
constexpr absl::Duration kLastLook = absl::Milliseconds(20);

bool HasReactor() noexcept {
  Worker* const worker = Worker::Current();
  return worker != nullptr && worker->reactor() != nullptr;
}

struct Orphans {
  absl::Mutex mutex;
  std::vector<std::shared_ptr<ProcessState>> processes ABSL_GUARDED_BY(mutex);
  Atomic<size_t> size{0};  // a look that costs nothing

  static Orphans& Get() {
    static Orphans* orphans = new Orphans;  // never destroyed: threads may outlive main
    return *orphans;
  }
};

void LeaveToReapOrphans(std::shared_ptr<ProcessState> state) {
  Orphans& orphans = Orphans::Get();
  absl::MutexLock hold(&orphans.mutex);
  orphans.processes.push_back(std::move(state));
  orphans.size.store(orphans.processes.size(), kRelaxed);
}

// Not a Task<Status>, which would not run on a loop that is being closed.
Task<void> ReapInBackground(std::shared_ptr<ProcessState> state, bool killed) {
  if (killed) {
    co_await KillAndReap(state);
  } else {
    const absl::StatusOr<ExitStatus> ended = co_await WaitForExit(state);
    static_cast<void>(ended);
  }
  if (!state->TakeExit().has_value()) LeaveToReapOrphans(std::move(state));
}

}  // namespace

ProcessState::ProcessState(int pid, int pidfd, bool own_group, const std::string& command)
    : pid_(pid),
      pidfd_(pidfd),
      own_group_(own_group),
      name_(absl::StrCat("process ", pid, " (", command, ")")) {}

ProcessState::~ProcessState() {
  // No reactor ever knew it: who waits does so on a copy.
  if (pidfd_ >= 0) sys::Calls().Close(pidfd_);
}

void ProcessState::TakeExitLocked() noexcept {
  if (ended_) return;
  sys::ProcessExit exit;
  const int taken = sys::Calls().TakeExit(pidfd_, pid_, &exit);
  if (taken == 0 || (taken < 0 && taken != -ECHILD)) return;
  ended_ = true;
  lost_ = taken < 0;
  exit_ = exit.signal != 0 ? ExitStatus::Signalled(exit.signal, exit.core_dumped)
                           : ExitStatus::Exited(exit.code);
}

bool ProcessState::ExitIsTakenLocked() noexcept {
  if (!ended_ && sys::Calls().TakeExit(pidfd_, pid_, nullptr) == -ECHILD) ended_ = lost_ = true;
  return ended_;
}

std::optional<absl::StatusOr<ExitStatus>> ProcessState::TakeExit() {
  SpinLockHolder hold(lock_);
  TakeExitLocked();
  if (!ended_) return std::nullopt;
  if (!lost_) return exit_;
  return absl::FailedPreconditionError(
      absl::StrCat("wait for ", name_,
                   ": its exit went to somebody else: this program ignores SIGCHLD, or waits for "
                   "children that are not its own"));
}

int ProcessState::SignalLocked(int signal, bool group) noexcept {
  sys::SystemCalls& calls = sys::Calls();
  int sent = pidfd_ >= 0 ? calls.SignalProcess(pidfd_, signal, group) : -ENOSYS;
  // Older systems do not know all of it. The number is still the child's, as its exit was not
  // taken.
  if (sent == -ENOSYS || sent == -EINVAL) sent = calls.SignalPid(pid_, signal, group);
  return sent;
}

absl::Status ProcessState::Signal(int signal, bool group) {
  const auto what = [&] { return absl::StrCat("send ", SignalName(signal), " to ", name_); };
  if (signal < 0 || signal > SIGRTMAX) {
    return absl::InvalidArgumentError(absl::StrCat(what(), ": there is no such signal"));
  }
  int sent = 0;
  bool ended = false;
  {
    SpinLockHolder hold(lock_);
    // Until the exit of a leader is taken nobody else gets its number, also for a group.
    if (!group) TakeExitLocked();
    ended = group ? ExitIsTakenLocked() : ended_;
    if (!ended) sent = SignalLocked(signal, group);
  }
  if (!ended) return ErrnoToStatus(sent, sent < 0 ? what() : "");
  return absl::FailedPreconditionError(
      absl::StrCat(what(), ": it has ended", lost_ ? "" : absl::StrCat(": ", exit_.ToString())));
}

Task<absl::StatusOr<ExitStatus>> WaitForExit(std::shared_ptr<ProcessState> state) {
  absl::Duration pause = kFirstLook;
  bool told = false;
  for (;;) {
    if (auto ended = state->TakeExit()) co_return *std::move(ended);
    // A copy for each wait: a descriptor belongs to one reactor, and those that wait for one
    // process need not share theirs. Once it was said to have ended there is nothing to wait for: a
    // debugger may have to take the exit before we can.
    const bool can_poll = !told && state->pidfd() >= 0 && HasReactor();
    io::OwnedDescriptor copy(can_poll ? sys::Calls().Duplicate(state->pidfd(), 0) : -1);
    absl::Status waited;
    if (copy.valid()) {
      const absl::StatusOr<uint32_t> polled = co_await io::Poll(copy.get(), kPollReadable);
      waited = polled.status();
      told = polled.ok();
      const absl::Status closed = co_await copy.Close();
      static_cast<void>(closed);
    } else {
      waited = co_await Sleep(pause);
      pause = std::min(2 * pause, kLastLook);
    }
    if (!waited.ok()) {
      co_return absl::Status(waited.code(),
                             absl::StrCat("wait for ", state->name(), ": ", waited.message()));
    }
  }
}

Task<void> KillAndReap(std::shared_ptr<ProcessState> state) {
  // First, as the exit of a leader that has ended keeps its group's number.
  const absl::Status killed = state->Kill();
  if (state->TakeExit().has_value()) co_return;
  if (!killed.ok()) co_return;  // not ours to kill any more: a set-user-ID program
  const absl::StatusOr<ExitStatus> ended =
      co_await Uncancellable(Timeout(kPatience, WaitForExit(std::move(state))));
  static_cast<void>(ended);
}

void Abandon(std::shared_ptr<ProcessState> state, bool kill) {
  const bool killed = kill && state->Kill().ok();  // first, as in KillAndReap
  if (state->TakeExit().has_value()) return;
  Executor* executor = BaseOf(thread_state.local_executor);
  if (executor == nullptr) {
    // A pool's, which do not say so.
    const TaskContext* const context = TaskContext::Current();
    if (context != nullptr) executor = BaseOf(context->executor);
  }
  if (executor != nullptr && Worker::Current() != nullptr) {
    const TaskLocals none;
    Spawn(ReapInBackground(std::move(state), killed),
          {.name = "reap", .executor = executor, .context = &none});
    return;
  }
  // On a thread that may block.
  if (killed && state->pidfd() >= 0) {
    const int waited = sys::Calls().WaitReadable(
        state->pidfd(), static_cast<int>(absl::ToInt64Milliseconds(kPatience)));
    static_cast<void>(waited);
    if (state->TakeExit().has_value()) return;
  }
  LeaveToReapOrphans(std::move(state));
}

size_t ReapOrphans() {
  Orphans& orphans = Orphans::Get();
  if (orphans.size.load(kRelaxed) == 0) return 0;
  absl::MutexLock hold(&orphans.mutex);
  auto& processes = orphans.processes;
  const auto gone = std::remove_if(
      processes.begin(), processes.end(),
      [](const std::shared_ptr<ProcessState>& state) { return state->TakeExit().has_value(); });
  processes.erase(gone, processes.end());
  orphans.size.store(processes.size(), kRelaxed);
  return processes.size();
}

}  // namespace plait::internal
