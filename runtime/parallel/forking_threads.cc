#include "plait/runtime/parallel/forking_threads.h"

#include "plait/runtime/core/thread_state.h"

namespace plait {

using internal::ForkJob;
using internal::SpinLockHolder;
using internal::thread_state;

ForkingThreads::ForkingThreads(int threads) {
  for (int i = 0; i < threads; ++i) forks_.emplace_back(*this, static_cast<size_t>(i));
  for (int i = 1; i < threads; ++i) {
    threads_.push_back(StartThread("forking", [this, i] {
      Forks& forks = forks_[static_cast<size_t>(i)];
      thread_state.forks = &forks;
      for (int round = 0; !ending_.load(internal::kRelaxed); ++round) {
        if (forks.RunOne(nullptr)) round = 0;
        internal::SpinWait(round);
      }
      thread_state.forks = nullptr;
    }));
  }
}

ForkingThreads::~ForkingThreads() {
  ending_.store(true, internal::kRelaxed);  // they are joined
  for (Thread& thread : threads_) thread.join();
}

void ForkingThreads::Run(absl::FunctionRef<void()> body) {
  struct Restore {
    ~Restore() { thread_state.forks = outer; }
    internal::ForkStack* outer;
  } restore{thread_state.forks};
  thread_state.forks = &forks_[0];
  body();
}

void ForkingThreads::Forks::Publish(ForkJob& job) noexcept {
  const SpinLockHolder hold(lock_);
  published_.push_back(&job);
}

ForkJob* ForkingThreads::Forks::Take(bool newest) noexcept {
  const SpinLockHolder hold(lock_);
  if (published_.empty()) return nullptr;
  ForkJob* const job = newest ? published_.back() : published_.front();
  newest ? published_.pop_back() : published_.pop_front();
  return job;
}

// Nothing but one kind of job is ever here.
bool ForkingThreads::Forks::RunOne(WorkItem::RunFunction) noexcept {
  if (ForkJob* const own = Take(/*newest=*/true); own != nullptr) {
    own->run(*own);
    return true;
  }
  for (size_t i = 1; i < all_.forks_.size(); ++i) {
    Forks& victim = all_.forks_[(number_ + i) % all_.forks_.size()];
    if (ForkJob* const job = victim.Take(/*newest=*/false); job != nullptr) {
      all_.stolen_.fetch_add(1, internal::kRelaxed);
      job->run(*job);
      return true;
    }
    victim.Ask();
  }
  return false;
}

}  // namespace plait
