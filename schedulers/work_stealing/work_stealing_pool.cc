#include "plait/schedulers/work_stealing/work_stealing_pool.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/core/heavy_barrier.h"
#include "plait/runtime/core/thread_state.h"
#include "plait/runtime/core/worker.h"
#include "plait/runtime/task/task_state.h"
#include "plait/runtime/task/visit.h"
#include "plait/schedulers/work_stealing/pool_shared.h"
#include "plait/schedulers/work_stealing/pool_worker.h"

namespace plait {

using internal::PoolWorker;
using internal::thread_state;

// --- beginning ---

absl::Status WorkStealingPool::Validate(const WorkStealingPoolOptions& options) {
  if (options.threads < 1 || options.threads > kMostThreads) {
    return absl::InvalidArgumentError(absl::StrCat("WorkStealingPoolOptions::threads is ",
                                                   options.threads, "; it must be from 1 to ",
                                                   kMostThreads));
  }
  return absl::OkStatus();
}

absl::StatusOr<WorkStealingPool::Reactors> WorkStealingPool::MakeReactors(
    WorkStealingPoolOptions& options) {
  if (absl::Status valid = Validate(options); !valid.ok()) return valid;
  Reactors reactors(static_cast<size_t>(options.threads));
  if (options.reactor == nullptr) return reactors;
  for (auto& made : reactors) {
    absl::StatusOr<std::unique_ptr<Reactor>> reactor = options.reactor();
    if (!reactor.ok()) return reactor.status();
    made = *std::move(reactor);
  }
  return reactors;
}

WorkStealingPool::Reactors WorkStealingPool::CheckedReactors(WorkStealingPoolOptions& options) {
  absl::StatusOr<Reactors> reactors = MakeReactors(options);
  PLAIT_CHECK(reactors.ok(), reactors.status().ToString());
  return *std::move(reactors);
}

absl::StatusOr<std::unique_ptr<WorkStealingPool>> WorkStealingPool::Create(
    WorkStealingPoolOptions options) {
  absl::StatusOr<Reactors> reactors = MakeReactors(options);
  if (!reactors.ok()) return reactors.status();
  std::unique_ptr<WorkStealingPool> pool(new WorkStealingPool(options, *std::move(reactors)));
  if (absl::Status started = pool->StartThreads(options); !started.ok()) return started;
  return pool;
}

WorkStealingPool::WorkStealingPool(WorkStealingPoolOptions& options, Reactors reactors)
    : Executor(options.hooks),
      shared_(std::make_unique<internal::PoolShared>(
          *this, options.clock != nullptr ? *options.clock : Clock::Real(), options.threads)),
      blocking_(options.blocking) {
  internal::PrepareHeavyBarrier();
  shared_->make_reactor = std::move(options.reactor);
  uint64_t seed = RandomSeed();
  reactors.resize(reactors.size() + static_cast<size_t>(shared_->spares()));
  for (int i = 0; i < options.threads + shared_->spares(); ++i) {
    seed += 0x9e3779b97f4a7c15;  // another for each, and none of them 0 but by a rare chance
    shared_->workers.push_back(std::make_unique<PoolWorker>(
        *shared_, i, seed | 1, options.idle, std::move(reactors[static_cast<size_t>(i)])));
    shared_->group.Add(*shared_->workers.back());
  }
  shared_->group.SetInTurn(static_cast<size_t>(options.threads));
}

WorkStealingPool::WorkStealingPool(WorkStealingPoolOptions options)
    : WorkStealingPool(options, CheckedReactors(options)) {
  const absl::Status started = StartThreads(options);
  PLAIT_CHECK(started.ok(), started.ToString());
}

absl::Status WorkStealingPool::StartThreads(const WorkStealingPoolOptions& options) {
  absl::Status started = absl::OkStatus();
  for (int i = 0; i < options.threads && started.ok(); ++i) {
    started = shared_->workers[static_cast<size_t>(i)]->StartThread(options.name, options.pin);
  }
  if (started.ok() && shared_->spares() > 0) started = shared_->monitor.StartThread(options.name);
  if (!started.ok()) JoinThreads();
  return started;
}

// --- posting ---

inline bool WorkStealingPool::OnOwnThread() const {
  // Mostly; but a Strand on the pool has its turns there too.
  if (thread_state.local_executor == this) [[likely]]
    return true;
  const Worker* const worker = thread_state.worker;
  return worker != nullptr && worker->group() == &shared_->group;
}

void WorkStealingPool::Schedule(WorkItem& item) noexcept {
  if (OnOwnThread()) [[likely]] {
    static_cast<PoolWorker*>(thread_state.worker)->Schedule(item);
  } else {
    shared_->PostFromOutside(item);
  }
}

void WorkStealingPool::ScheduleLast(WorkItem& item) noexcept {
  if (OnOwnThread()) [[likely]] {
    static_cast<PoolWorker*>(thread_state.worker)->ScheduleLast(item);
  } else {
    shared_->PostFromOutside(item);
  }
}

bool WorkStealingPool::TakeIfNext(WorkItem& item) noexcept {
  return OnOwnThread() && static_cast<PoolWorker*>(thread_state.worker)->TakeIfNext(item);
}

void WorkStealingPool::PostFromSignalHandler(WorkItem& item) noexcept {
  shared_->PostFromOutside(item);
}

// --- figures ---

Clock& WorkStealingPool::clock() noexcept { return shared_->clock; }

int WorkStealingPool::threads() const { return shared_->threads; }

int WorkStealingPool::idle_threads() const {
  const auto& workers = shared_->workers;
  const auto busy = std::count_if(workers.begin(), workers.end(),
                                  [](const auto& worker) { return !worker->idle(); });
  return std::max(0, threads() - static_cast<int>(busy));
}

size_t WorkStealingPool::queued() const { return shared_->queued(); }

uint64_t WorkStealingPool::steals() const {
  uint64_t sum = 0;
  for (const auto& worker : shared_->workers) sum += worker->steals();
  return sum;
}

// --- ending ---

absl::Status WorkStealingPool::Refusal(const char* what) const {
  const char* why = nullptr;
  if (shared_->generation != internal::ProcessGeneration()) {
    why = "it belongs to the parent process; make a new one after fork";
  } else if (internal::PoolWorker::RunsThisThread(*shared_)) {
    why = "it cannot be called on one of the pool's own threads, for which it waits";
  }
  if (why == nullptr) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("WorkStealingPool::", what, ": ", why));
}

absl::Status WorkStealingPool::CancelTasks() {
  if (absl::Status refusal = Refusal("CancelTasks"); !refusal.ok()) return refusal;
  shared_->BeginDraining();
  while (tasks().size() > 0) {
    internal::CancelAll(tasks());
    // Tasks that are spawned meanwhile are to be cancelled too: look again now and then.
    shared_->AwaitTasksBriefly();
  }
  shared_->EndDraining();
  return absl::OkStatus();
}

absl::Status WorkStealingPool::Close() {
  if (absl::Status refusal = Refusal("Close"); !refusal.ok()) return refusal;
  if (shared_->closed()) return absl::OkStatus();
  shared_->BeginDraining();
  internal::BeginClosing(*this);
  shared_->AwaitDrained();
  blocking_.Drain();       // what runs there may still post here, and that may still use it;
  shared_->monitor.End();  // and so may this
  shared_->AwaitDrained();
  JoinThreads();
  blocking_.Close();  // which the ends of operations may still have used
  return absl::OkStatus();
}

void WorkStealingPool::JoinThreads() {
  // First, as it may begin a thread, and posts what it takes over.
  shared_->monitor.End();
  shared_->Close();
  for (const auto& worker : shared_->workers) worker->JoinThread();
  shared_->AwaitPosters();
}

WorkStealingPool::~WorkStealingPool() {
  if (shared_->generation != internal::ProcessGeneration()) {
    // The threads, and what is in flight, are the parent's: here, nothing is ours to end.
    static_cast<void>(shared_.release());
    return;
  }
  const absl::Status closed = Close();
  PLAIT_CHECK(closed.ok(), closed.ToString());
}

}  // namespace plait
