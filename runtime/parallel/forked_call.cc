#include "plait/runtime/parallel/forked_call.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>

#include "plait/runtime/core/spin_lock.h"

namespace plait::internal {
namespace {

// Looks for the end and for work, before the thread blocks: some tens of microseconds, as much as
// waking it would take.
constexpr int kSpins = 200;
// How long a blocked thread waits before it looks for work again, at first and at most. Nobody
// tells it of work.
constexpr std::chrono::microseconds kFirstPark{50};
constexpr std::chrono::microseconds kLongestPark{1000};

// Blocks this thread until it was run by another.
class EndWaiter : public WorkItem {
 public:
  EndWaiter() : WorkItem(&Unpark) {}

  // True once it was run: then nothing refers to it any more.
  bool ParkFor(std::chrono::microseconds time) {
    std::unique_lock lock(mutex_);
    return wake_.wait_for(lock, time, [this] { return unparked_; });
  }

 private:
  static void Unpark(WorkItem& item) noexcept {
    auto& waiter = static_cast<EndWaiter&>(item);
    // Under the lock, as the waiter may die as soon as it is let go.
    const std::lock_guard lock(waiter.mutex_);
    waiter.unparked_ = true;
    waiter.wake_.notify_one();
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  bool unparked_ = false;
};

}  // namespace

void ForkedCallBase::Run(WorkItem& item) noexcept {
  auto& call = static_cast<ForkedCallBase&>(item);
  const TaskContext* const outer = std::exchange(thread_state.context, call.context_);
  call.body_(call);
  thread_state.context = outer;
  call.end_.Reach();
}

[[gnu::cold]] void ForkedCallBase::AwaitEnd(ForkStack& forks) noexcept {
  for (int spin = 0; spin < kSpins; ++spin) {
    if (end_.reached()) return;
    if (forks.RunOne(&Run)) {
      spin = 0;
    } else {
      SpinWait(spin);
    }
  }
  EndWaiter waiter;
  if (!end_.Attach(waiter)) return;
  for (auto time = kFirstPark; !waiter.ParkFor(time); time = std::min(2 * time, kLongestPark)) {
    while (!end_.reached() && forks.RunOne(&Run)) time = kFirstPark;
  }
}

}  // namespace plait::internal
