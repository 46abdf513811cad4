#include "plait/schedulers/work_stealing/pool_shared.h"

#include <algorithm>
#include <chrono>

#include "plait/runtime/core/check.h"
#include "plait/runtime/core/deadline.h"
#include "plait/runtime/task/visit.h"
#include "plait/schedulers/work_stealing/pool_worker.h"

namespace plait::internal {

PoolShared::PoolShared(Executor& own_executor, Clock& own_clock, int thread_count)
    : executor(own_executor),
      clock(own_clock),
      generation(ProcessGeneration()),
      threads(thread_count),
      group(own_executor),
      idle(thread_count + spares()) {}

PoolShared::~PoolShared() = default;

// --- posting ---

PoolShared::Posting::Posting(PoolShared& shared, To to) noexcept : shared_(shared) {
  shared.posts_.Begin(to);
  PLAIT_CHECK(!shared.closed(), "work was scheduled on a WorkStealingPool that was closed");
  PLAIT_CHECK(shared.generation == ProcessGeneration(),
              "work was scheduled, in a forked child, on a WorkStealingPool of the parent process");
}

void PoolShared::PostFromOutside(WorkItem& item) noexcept {
  const Posting posting(*this, Posting::To::kAny);
  posts_.Push(item);
  WakeForWork();
}

void PoolShared::TakeOver(PoolWorker& stuck, uint64_t turns) noexcept {
  if (!stuck.has_work()) return;
  // Under the lock, as what is on its way is nowhere that Drained looks.
  const std::lock_guard<std::mutex> hold(mutex_);
  while (stuck.turns() == turns) {
    WorkQueue taken;
    stuck.TakeForOthers(taken);
    if (taken.empty()) return;
    while (WorkItem* const item = taken.Pop()) PostFromOutside(*item);
  }
}

void PoolShared::Wake(int worker) noexcept {
  if (worker != IdleSet::kNobody) workers[static_cast<size_t>(worker)]->Wake();
}

// --- the workers ---

bool PoolShared::HasWork() const noexcept {
  return HasPosted() || std::any_of(workers.begin(), workers.end(),
                                    [](const auto& worker) { return worker->HasItems(); });
}

bool PoolShared::HasWorkForOneThatParks() const noexcept {
  // One barrier shows what is in all lanes.
  static_cast<void>(std::any_of(workers.begin(), workers.end(),
                                [](const auto& worker) { return worker->RevealLane(); }));
  return HasWork();
}

bool PoolShared::AllAsleepWithoutWork() const noexcept {
  return !HasPosted() && std::all_of(workers.begin(), workers.end(), [](const auto& worker) {
    return worker->asleep() && !worker->has_work();
  });
}

void PoolShared::OnAsleep() noexcept {
  if (clock.is_virtual()) PassVirtualTime();
  if (!draining()) return;
  const std::lock_guard<std::mutex> hold(mutex_);
  drained_.notify_all();
}

void PoolShared::PassVirtualTime() noexcept {
  const std::lock_guard<std::mutex> hold(mutex_);
  const uint64_t begun = turns();
  if (!AllAsleepWithoutWork()) return;
  Deadline first = Deadline::Infinite();
  for (const auto& worker : workers) first = std::min(first, worker->wake_at());
  if (first.is_infinite()) return;
  // What the system has ready comes before any time passes: each worker that sleeps in its reactor
  // has asked there since the last item ended (one that ran when it asked may have written to a
  // pipe afterwards), or does so now, and is back here if there was nothing.
  const uint64_t now_rested = rests.count();
  bool all_asked = true;
  for (const auto& worker : workers) {
    if (!worker->in_reactor() || worker->asked_reactor_at() == now_rested) continue;
    all_asked = false;
    worker->Wake();
  }
  if (!all_asked) return;
  // One that its reactor has woken meanwhile did not count as being in it. It has something to do,
  // or has done it and is about to ask here itself.
  if (turns() != begun || !AllAsleepWithoutWork()) return;
  clock.AdvanceTo(first);
  const Deadline now = clock.Now();
  for (const auto& worker : workers) {
    if (worker->wake_at() <= now) worker->Wake();
  }
}

// --- the end ---

bool PoolShared::Drained() const noexcept {
  // Twice, with nothing begun in between: one worker may have woken another and fallen asleep.
  const uint64_t begun = turns();
  return !HasTasks(executor) && AllAsleepWithoutWork() && AllAsleepWithoutWork() &&
         turns() == begun;
}

void PoolShared::AwaitTasksBriefly() {
  std::unique_lock<std::mutex> lock(mutex_);
  drained_.wait_for(lock, std::chrono::milliseconds(1),
                    [this] { return executor.tasks().size() == 0; });
}

void PoolShared::AwaitDrained() {
  std::unique_lock<std::mutex> lock(mutex_);
  drained_.wait(lock, [this] { return Drained(); });
}

void PoolShared::Close() noexcept {
  closed_.store(true, kRelaxed);
  for (const auto& worker : workers) worker->Wake();
}

size_t PoolShared::queued() const noexcept {
  size_t count = posts_.waiting();
  for (const auto& worker : workers) count += worker->queued();
  return count;
}

uint64_t PoolShared::turns() const noexcept {
  uint64_t sum = 0;
  for (const auto& worker : workers) sum += worker->turns();
  return sum;
}

}  // namespace plait::internal
