// ForkingThreads: threads that steal from each other and do nothing else: an executor's part in
// forking, for tests.
#ifndef PLAIT_RUNTIME_PARALLEL_FORKING_THREADS_H_
#define PLAIT_RUNTIME_PARALLEL_FORKING_THREADS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "absl/functional/function_ref.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/fork_stack.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/core/work_item.h"

namespace plait {

class ForkingThreads {
 public:
  // `threads`, counting the one that calls Run.
  explicit ForkingThreads(int threads);
  ForkingThreads(const ForkingThreads&) = delete;
  ForkingThreads& operator=(const ForkingThreads&) = delete;
  ~ForkingThreads();

  // Calls `body` on this thread, whose forks the others may steal. One call at a time.
  void Run(absl::FunctionRef<void()> body);

  // How many jobs were run by another thread than the one that forked them.
  int64_t stolen() const noexcept { return stolen_.load(internal::kRelaxed); }

 private:
  class Forks final : public internal::ForkStack {
   public:
    Forks(ForkingThreads& all, size_t number) : all_(all), number_(number) {}
    bool RunOne(WorkItem::RunFunction only) noexcept override;

   private:
    void Publish(internal::ForkJob& job) noexcept override;
    // Null when there is none. The newest for the owner, the oldest for others.
    internal::ForkJob* Take(bool newest) noexcept;

    ForkingThreads& all_;
    const size_t number_;
    internal::SpinLock lock_;
    std::deque<internal::ForkJob*> published_;
  };

  internal::Atomic<bool> ending_{false};
  internal::Atomic<int64_t> stolen_{0};
  std::deque<Forks> forks_;
  std::vector<Thread> threads_;
};

}  // namespace plait

#endif  // PLAIT_RUNTIME_PARALLEL_FORKING_THREADS_H_
