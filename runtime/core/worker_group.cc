#include "plait/runtime/core/worker_group.h"

#include <algorithm>

namespace plait {

using internal::Atomic;
using internal::kAcquire;
using internal::kRelease;

WorkerGroup::WorkerGroup(Executor& executor)
    : executor_(executor), blocks_(new Atomic<Block*>[kBlocks]()) {}

WorkerGroup::~WorkerGroup() {
  for (size_t i = 0; i < kBlocks; ++i) delete blocks_[i].load(kRelaxed);
}

bool WorkerGroup::Has(const Worker* worker) const noexcept {
  return std::find(workers_.begin(), workers_.end(), worker) != workers_.end();
}

Worker& WorkerGroup::Claim(int fd, Worker& here) noexcept {
  const size_t number = static_cast<size_t>(fd) / kPerBlock;
  // More than systems give out: then the number itself says where.
  if (number >= kBlocks) return *workers_[static_cast<size_t>(fd) % workers_.size()];
  Block* block = BlockOf(fd);
  if (block == nullptr) {
    auto made = std::make_unique<Block>();
    if (blocks_[number].compare_exchange_strong(block, made.get(), kRelease, kAcquire)) {
      block = made.release();
    }
  }
  Worker* home = nullptr;
  Atomic<Worker*>& entry = block->homes[IndexOf(fd)];
  return entry.compare_exchange_strong(home, &here, kAcquire, kRelaxed) ? here : *home;
}

void WorkerGroup::Forget(int fd) noexcept {
  if (Block* const block = BlockOf(fd); block != nullptr) {
    block->closes[IndexOf(fd)].fetch_add(1, kRelease);
    block->homes[IndexOf(fd)].store(nullptr, kRelease);
  }
}

}  // namespace plait
