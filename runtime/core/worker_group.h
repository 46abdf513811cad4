// WorkerGroup: the Workers of an executor that has several, and at which of them each descriptor is
// at home.
//
// A reactor belongs to one thread, and a descriptor to one reactor: its operations are served in
// order, its close ends what is pending, and what was registered for it is not taken for that of
// the next descriptor of its number. The tasks of a pool go from thread to thread, so the group
// remembers where a descriptor was first used, and its operations are carried there
// (runtime/task/home_wait.h).
//
// A home never moves. To move it, both who reads and who writes would have to agree on each use,
// and its registration be undone; to be carried costs a post, once each time that a task was
// stolen, as the task then mostly goes on at the descriptor's home.
//
// What is remembered is where to go, no more: a descriptor that was closed behind the group's back
// leaves a home to the next of its number, which is as good as any. Threads: any, but for Add. No
// locks: a lookup is two loads, a first use one compare-and-swap.
#ifndef PLAIT_RUNTIME_CORE_WORKER_GROUP_H_
#define PLAIT_RUNTIME_CORE_WORKER_GROUP_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "plait/runtime/core/atomic.h"

namespace plait {

class Executor;
class Worker;

class WorkerGroup {
 public:
  // `executor` is whose threads they are.
  explicit WorkerGroup(Executor& executor);
  WorkerGroup(const WorkerGroup&) = delete;
  WorkerGroup& operator=(const WorkerGroup&) = delete;
  ~WorkerGroup();

  // Before any of them runs. At least one.
  void Add(Worker& worker) {
    workers_.push_back(&worker);
    in_turn_.store(workers_.size(), kRelaxed);
  }

  Executor& executor() const noexcept { return executor_; }
  // Whether it is one of these; it may be a worker that is gone. O(n).
  bool Has(const Worker* worker) const noexcept;

  // One after the other, for what is to be spread over those in turn. Not before there is one.
  Worker& Next() noexcept {
    return *workers_[next_.fetch_add(1, kRelaxed) % in_turn_.load(kRelaxed)];
  }
  // How many are in turn from now on, those that were added first: at least one. At first all.
  void SetInTurn(size_t count) noexcept { in_turn_.store(count, kRelaxed); }

  // The home of `fd`, which is not negative: from now on that is `here`, where it has none. Then
  // whoever closed it before has been counted, and is seen here.
  Worker& HomeOf(int fd, Worker& here) noexcept {
    const Block* const block = BlockOf(fd);
    Worker* const home = block == nullptr ? nullptr : block->homes[IndexOf(fd)].load(kRelaxed);
    return home != nullptr ? *home : Claim(fd, here);
  }
  // At its home, right before it is closed: then the number may be anybody's.
  void Forget(int fd) noexcept;
  // How often descriptors of that number were closed. Who has a number notes that, then asks
  // whether it is closed yet, then for its home, and looks again when it is there: the number may
  // be another descriptor's by then. It is the same one where the count is the same.
  uint32_t ClosesOf(int fd) const noexcept {
    const Block* const block = BlockOf(fd);
    return block == nullptr ? 0 : block->closes[IndexOf(fd)].load(internal::kAcquire);
  }

 private:
  static constexpr auto kRelaxed = internal::kRelaxed;
  static constexpr size_t kPerBlock = 1024;
  static constexpr size_t kBlocks = 1024;
  // A close is counted with release, and what is read of that with acquire: who reads it does not
  // take the descriptor for open any more. Then a home is given up with release, and taken with
  // acquire, by itself: a home has seen all closes of those before it. Any other look at a home is
  // relaxed, as it is a place to go to, where the count is compared.
  // worker_group_explored_test weakens each.
  struct Block {
    internal::Atomic<Worker*> homes[kPerBlock];
    internal::Atomic<uint32_t> closes[kPerBlock];
  };

  static size_t IndexOf(int fd) noexcept { return static_cast<size_t>(fd) % kPerBlock; }
  // Null where nothing was ever claimed.
  Block* BlockOf(int fd) const noexcept {
    const size_t number = static_cast<size_t>(fd) / kPerBlock;
    // Acquire pairs with the release of who made it.
    return number < kBlocks ? blocks_[number].load(internal::kAcquire) : nullptr;
  }
  Worker& Claim(int fd, Worker& here) noexcept;

  Executor& executor_;
  std::vector<Worker*> workers_;
  internal::Atomic<size_t> next_{0};
  internal::Atomic<size_t> in_turn_{0};
  const std::unique_ptr<internal::Atomic<Block*>[]> blocks_;
};

}  // namespace plait

#endif  // PLAIT_RUNTIME_CORE_WORKER_GROUP_H_
