// WorkerContext: what a function that runs in a worker process may know of its call.
//
//   int64_t Count(plait::WorkerContext& context, int64_t limit) {
//     int64_t n = 0;
//     while (n < limit && !context.cancelled()) ++n;
//     return n;
//   }
//
// A function that takes one as its first parameter gets it; callers do not see that parameter.
// Lives as long as the call. Threads: cancelled() may be asked from any.
#ifndef PLAIT_SCHEDULERS_PROCESS_POOL_WORKER_CONTEXT_H_
#define PLAIT_SCHEDULERS_PROCESS_POOL_WORKER_CONTEXT_H_

#include <cstdint>

#include "plait/runtime/core/atomic.h"

namespace plait {

class WorkerContext {
 public:
  // Of a call that nobody cancels: for tests of functions.
  WorkerContext() = default;
  // The caller has given the call up when `*stop_word`, which outlives this, is `stop_value`.
  WorkerContext(const internal::Atomic<uint64_t>* stop_word, uint64_t stop_value)
      : stop_word_(stop_word), stop_value_(stop_value) {}
  WorkerContext(const WorkerContext&) = delete;
  WorkerContext& operator=(const WorkerContext&) = delete;

  // Whether the caller has cancelled the call, or its deadline has passed. Nobody waits for the
  // result any more: return anything, soon, or the process is killed. One load.
  bool cancelled() const noexcept {
    return stop_word_ != nullptr && stop_word_->load(internal::kRelaxed) == stop_value_;
  }

 private:
  const internal::Atomic<uint64_t>* stop_word_ = nullptr;
  uint64_t stop_value_ = 0;
};

}  // namespace plait

#endif  // PLAIT_SCHEDULERS_PROCESS_POOL_WORKER_CONTEXT_H_
