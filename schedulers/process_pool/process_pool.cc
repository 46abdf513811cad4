#include "plait/schedulers/process_pool/process_pool.h"

#include "plait/runtime/core/check.h"

namespace plait {

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

Task<absl::Status> ProcessPool::Drain() {
  const std::shared_ptr<internal::PoolCore> core = core_;
  if (core->forked()) {
    co_return absl::FailedPreconditionError(
        "draining a process pool: it belongs to the process that this was forked from");
  }
  core->Close(/*at_once=*/false);
  co_return co_await core->closed_event().Wait();
}

void ProcessPool::Stop() { core_->Close(/*at_once=*/true); }

int ProcessPool::workers() const noexcept { return core_->options().workers; }

int ProcessPool::calls_per_worker() const noexcept { return core_->options().calls_per_worker; }

std::vector<int> ProcessPool::worker_pids() const { return core_->worker_pids(); }

uint64_t ProcessPool::workers_replaced() const noexcept { return core_->replaced(); }

const FunctionTable& ProcessPool::functions() const noexcept { return core_->functions(); }

void ProcessPool::Start(RemoteCall& call) noexcept { core_->Start(call); }

void ProcessPool::Cancel(RemoteCall& call) noexcept { core_->Cancel(call); }

}  // namespace plait
