#include "plait/schedulers/work_stealing/pool_monitor.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "plait/runtime/core/report.h"
#include "plait/runtime/task/task_group.h"
#include "plait/runtime/task/task_state.h"
#include "plait/schedulers/work_stealing/pool_shared.h"
#include "plait/schedulers/work_stealing/pool_worker.h"

namespace plait::internal {
namespace {

// Drops references on the pool: the last one ends a task's result, which may have its home there.
struct DropTasks : WorkItem {
  DropTasks() : WorkItem(&Run) {}
  static void Run(WorkItem& item) noexcept { delete static_cast<DropTasks*>(&item); }

  std::vector<TaskRef<TaskState>> tasks;
};

// The one of `tasks`, or of those below them, that `worker` runs, or null. References go to `held`,
// so that of what the worker has begun only the address matters.
const TaskState* Find(std::vector<TaskRef<TaskState>> tasks, const PoolWorker& worker,
                      std::vector<TaskRef<TaskState>>& held) {
  const TaskState* found = nullptr;
  for (TaskRef<TaskState>& task : tasks) {
    if (found == nullptr && worker.runs(*task)) found = &*task;
    if (found == nullptr) found = Find(ChildrenOf(*task), worker, held);
    held.push_back(std::move(task));
  }
  return found;
}

}  // namespace

PoolMonitor::PoolMonitor(PoolShared& shared) : shared_(shared) {}

absl::Status PoolMonitor::StartThread(const std::string& name) {
  name_ = name;
  watched_.resize(shared_.workers.size());
  absl::StatusOr<Thread> thread = TryStartThread(absl::StrCat(name, " watch"), [this] { Run(); });
  if (!thread.ok()) return thread.status();
  thread_ = *std::move(thread);
  return absl::OkStatus();
}

void PoolMonitor::End() noexcept {
  if (!thread_.joinable()) return;
  ending_.store(true, kRelaxed);
  parker_.Wake();
  thread_.join();
}

void PoolMonitor::Run() noexcept {
  int quiet_looks = 0;
  while (!ending_.load(kRelaxed)) {
    quiet_looks = AllAsleep() ? quiet_looks + 1 : 0;
    if (quiet_looks > kLooksBeforeSleep) {
      Sleep();
      quiet_looks = 0;
    }
    AwaitTick();
    Look();
  }
}

bool PoolMonitor::AllAsleep() const noexcept {
  return std::all_of(shared_.workers.begin(), shared_.workers.end(),
                     [](const auto& worker) { return worker->asleep(); });
}

void PoolMonitor::Sleep() noexcept {
  asleep_.Begin();
  while (!ending_.load(kRelaxed) && AllAsleep()) parker_.Park(Deadline::Infinite(), Clock::Real());
  asleep_.End();
}

void PoolMonitor::AwaitTick() noexcept {
  // Woken, it may be by a worker that has seen it asleep before: two looks that come close together
  // would take anybody for stuck.
  const Deadline next = Clock::Real().Now() + kTick;
  while (!ending_.load(kRelaxed) && parker_.Park(next, Clock::Real())) {
  }
}

void PoolMonitor::Look() noexcept {
  const Deadline now = Clock::Real().Now();
  for (size_t i = 0; i < watched_.size(); ++i) LookAt(*shared_.workers[i], watched_[i], now);
  AdaptSpares();
}

void PoolMonitor::LookAt(PoolWorker& worker, Watched& watched, Deadline now) noexcept {
  const uint64_t turns = worker.turns();
  const bool idle = worker.idle();
  if (idle || watched.idle || turns != watched.turns) {
    watched = {.turns = turns, .idle = idle, .since = now};
    return;
  }
  shared_.TakeOver(worker, turns);
  worker.AskToYield();
  LookWhetherItWaits(worker, watched, now);
  if (watched.reported) return;
  const ExecutorHooks& hooks = shared_.executor.hooks();
  const bool waits = watched.waits > 0 && !worker.waits_for_forked();
  if (now.Since(waits ? watched.waits_since : watched.since) < hooks.slow_callback) return;
  // After one look that found it waiting, the next one says what it is. And what computes may block
  // still.
  if (waits ? !watched.blocked() : !hooks.debug) return;
  watched.reported = true;
  Report(worker, watched, now);
}

void PoolMonitor::LookWhetherItWaits(const PoolWorker& worker, Watched& watched,
                                     Deadline now) noexcept {
  const Deadline looked_at = Clock::Real().Now();
  const ThreadActivity activity = ActivityOf(worker.thread_number());
  if (!activity.waits) {
    watched.waits = 0;
    return;
  }
  // Who computes, and waits for a page or a lock of the allocator now and then, may be met in it
  // twice. Also where the machine has too much to do.
  const bool ran_meanwhile =
      watched.waits > 0 && 2 * (activity.ran - watched.ran) > looked_at.Since(watched.looked_at);
  if (watched.waits == 0 || ran_meanwhile) {
    watched.waits = 0;
    watched.waits_since = now;
  }
  ++watched.waits;
  watched.looked_at = looked_at;
  watched.ran = activity.ran;
}

void PoolMonitor::Report(const PoolWorker& worker, const Watched& watched, Deadline now) const {
  const bool blocked = watched.blocked() && !worker.waits_for_forked();
  const Deadline since = blocked ? watched.waits_since : watched.since;
  auto dropped = std::make_unique<DropTasks>();
  const TaskState* const task = Find(TasksIn(shared_.executor.tasks()), worker, dropped->tasks);
  if (worker.turns() == watched.turns) Tell(task, blocked, now.Since(since));
  // (Otherwise it has gone on meanwhile.)
  if (!dropped->tasks.empty()) shared_.PostFromOutside(*dropped.release());
}

void PoolMonitor::Tell(const TaskState* task, bool blocked, absl::Duration since) const {
  plait::Report report{.kind = ReportKind::kSlowCallback};
  std::string who = "a callback";
  if (task != nullptr) {
    who = Describe(*task);
    report.task_id = task->id();
    report.task_name = std::string(task->name());
  }
  report.message =
      absl::StrCat(who, blocked ? " has blocked" : " has held", " a thread of its pool for ",
                   absl::FormatDuration(absl::Floor(since, absl::Milliseconds(1))),
                   blocked ? ", waiting inside of a function: that belongs into an Offload" : "");
  shared_.executor.hooks().Tell(report);
}

bool PoolMonitor::AllBlocked(size_t first, size_t end) const noexcept {
  return std::all_of(watched_.begin() + static_cast<ptrdiff_t>(first),
                     watched_.begin() + static_cast<ptrdiff_t>(end),
                     [](const Watched& watched) { return watched.blocked(); });
}

void PoolMonitor::SetSpares(int count) noexcept {
  spares_.store(count, kRelaxed);
  // Connections are at home for good: none with a spare that is not needed any more.
  shared_.group.SetInTurn(static_cast<size_t>(shared_.threads + count));
}

void PoolMonitor::AdaptSpares() noexcept {
  const auto threads = static_cast<size_t>(shared_.threads);
  for (size_t i = threads; i < watched_.size(); ++i) {
    PoolWorker& spare = *shared_.workers[i];
    // Where the system has no thread or the factory no reactor now: later perhaps.
    if (!spare.begun() && spare.has_work()) static_cast<void>(spare.StartSpare(name_));
  }
  const int used = spares();
  if (!AllBlocked(0, threads)) {
    if (used == 0) return;
    SetSpares(0);
    // They look whether they are still needed, and leave others' work alone.
    for (size_t i = threads; i < watched_.size(); ++i) {
      if (shared_.workers[i]->begun()) shared_.workers[i]->Wake();
    }
    return;
  }
  const size_t next = threads + static_cast<size_t>(used);
  if (next == watched_.size() || !AllBlocked(threads, next) || !shared_.HasWork()) return;
  PoolWorker& spare = *shared_.workers[next];
  SetSpares(used + 1);
  if (spare.begun()) {
    spare.Wake();
  } else if (!spare.StartSpare(name_)) {
    SetSpares(used);
  }
}

}  // namespace plait::internal
