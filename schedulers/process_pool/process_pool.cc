#include "plait/schedulers/process_pool/process_pool.h"

#include "plait/runtime/core/check.h"

namespace plait {
namespace {

// Keeps it: the pool may be moved, or end, meanwhile.
Task<absl::Status> DrainCore(std::shared_ptr<internal::PoolCore> core) {
  if (core->forked()) {
    co_return absl::FailedPreconditionError(
        "draining a process pool: it belongs to the process that this was forked from");
  }
  core->Close(/*at_once=*/false);
  co_return co_await core->closed_event().Wait();
}

}  // namespace

absl::StatusOr<ProcessPool> ProcessPool::Create(ProcessPoolOptions options) {
  absl::StatusOr<std::shared_ptr<internal::PoolCore>> core =
      internal::PoolCore::Create(std::move(options));
  if (!core.ok()) return std::move(core).status();
  return ProcessPool(*std::move(core));
}

absl::StatusOr<ProcessPool> ProcessPool::Create(FunctionTable functions,
                                                ProcessPoolOptions options) {
  options.functions = std::move(functions);
  return Create(std::move(options));
}

ProcessPool::ProcessPool(std::shared_ptr<internal::PoolCore> core) : core_(std::move(core)) {}

ProcessPool& ProcessPool::operator=(ProcessPool&& other) noexcept {
  if (this == &other) return *this;
  if (core_ != nullptr) Stop();
  core_ = std::move(other.core_);
  return *this;
}

ProcessPool::~ProcessPool() {
  if (core_ != nullptr) Stop();
}

internal::PoolCore& ProcessPool::core() const noexcept {
  PLAIT_CHECK(core_ != nullptr, "a process pool was used that had been moved from");
  return *core_;
}

Task<absl::Status> ProcessPool::Drain() {
  core();
  return DrainCore(core_);
}

void ProcessPool::Stop() { core().Close(/*at_once=*/true); }

int ProcessPool::workers() const noexcept { return core().options().workers; }

std::vector<int> ProcessPool::worker_pids() const { return core().worker_pids(); }

uint64_t ProcessPool::workers_replaced() const noexcept { return core().replaced(); }

const FunctionTable& ProcessPool::functions() const noexcept { return core().functions(); }

void ProcessPool::Start(RemoteCall& call) noexcept { core().Start(call); }

void ProcessPool::Cancel(RemoteCall& call) noexcept { core().Cancel(call); }

RemoteCapacity ProcessPool::capacity() const noexcept { return core().capacity(); }

std::shared_ptr<RemoteExecutor> ProcessPool::Keep() {
  core();
  return core_;
}

}  // namespace plait
