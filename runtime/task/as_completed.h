// AsCompleted: the results of tasks, one by one, in the order in which they end.
//
//   plait::AsyncGenerator<int> results = plait::AsCompleted(std::move(handles));
//   while (auto result = co_await results.Next()) Use(*result);
//
// It takes the handles: dropping the generator early detaches the tasks that are left; they run on.
// Tasks that end together come in the order of the handles. A task that threw rethrows from the
// Next that meets it, and that ends the generator. Cancellation: when the task that awaits Next is
// cancelled the generator ends, after an item of absl::CancelledError where U carries a status; the
// tasks are not cancelled. Handles that are empty are a programming error (CHECK). Cost: one small
// block per task, and one per wait.
#ifndef PLAIT_RUNTIME_TASK_AS_COMPLETED_H_
#define PLAIT_RUNTIME_TASK_AS_COMPLETED_H_

#include <cstddef>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/task/async_generator.h"
#include "plait/runtime/task/future.h"
#include "plait/runtime/task/join_handle.h"
#include "plait/runtime/task/status_traits.h"

namespace plait {
namespace internal {

// Which of several tasks have ended and were not told of yet. Shared with their callbacks.
class Completions {
 public:
  void Add(size_t index);
  // The next index, or null where `wait` must be awaited first.
  bool Take(size_t& index, Future<void>& wait);

 private:
  SpinLock lock_;  // guards what follows
  std::deque<size_t> ended_;
  std::unique_ptr<Promise<void>> waiter_;
};

}  // namespace internal

template <class U>
AsyncGenerator<U> AsCompleted(std::vector<JoinHandle<U>> handles) {
  const auto completions = std::make_shared<internal::Completions>();
  for (size_t i = 0; i < handles.size(); ++i) {
    TaskHandle& handle = handles[i];
    handle.OnDone([completions, i] { completions->Add(i); });
  }
  for (size_t left = handles.size(); left > 0; --left) {
    size_t index = 0;
    Future<void> wait;
    while (!completions->Take(index, wait)) {
      const absl::Status waited = co_await wait;
      if (!waited.ok()) {
        if constexpr (internal::kCarriesStatus<U>) {
          co_yield absl::CancelledError("the wait for tasks was cancelled");
        }
        co_return;
      }
    }
    JoinHandle<U> ended = std::move(handles[index]);
    co_yield co_await std::move(ended);
  }
}

}  // namespace plait

#endif  // PLAIT_RUNTIME_TASK_AS_COMPLETED_H_
