// Timeout: an awaitable, and a bound on how long it may take.
//
//   absl::StatusOr<int> item = co_await plait::Timeout(absl::Seconds(1), queue.Get());
//
// At the deadline the awaitable is cancelled; Timeout waits for it to end, as everything here is
// joined, and gives absl::DeadlineExceededError, with the payloads that the cancelled one's Status
// has (of a Stream's Write, AcceptedBytes). There is exactly one outcome: an awaitable of a
// Status or StatusOr that ends with a value (or with an error of its own) in spite of the cancel
// keeps it, so nothing that arrived is lost. An awaitable of a plain U, which can't say that it was
// cut short, has to end before the deadline. A cancel of the task around it wins over the deadline
// and gives absl::CancelledError. Nested timeouts: the one whose deadline passed reports it.
// absl::InfiniteDuration() never expires; zero lets the awaitable run up to its first wait; a
// negative duration gives InvalidArgument and the awaitable does not run. An exception passes
// through.
#ifndef PLAIT_RUNTIME_TIME_TIMEOUT_H_
#define PLAIT_RUNTIME_TIME_TIMEOUT_H_

#include <coroutine>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "plait/runtime/core/awaitable.h"
#include "plait/runtime/core/timer.h"
#include "plait/runtime/core/worker.h"
#include "plait/runtime/task/result.h"
#include "plait/runtime/task/scope.h"
#include "plait/runtime/task/status_traits.h"
#include "plait/runtime/task/task.h"

namespace plait {
namespace internal {

// A scope that a timer stops. Open it, run what it bounds in its context, then co_await Close()
// before it dies.
class DeadlineScope : public Scope, private Timer {
 public:
  DeadlineScope() : Timer(&Expire) {}

  absl::Status Open(absl::Duration duration);

  // After Close: the deadline came first.
  bool expired() const noexcept { return expired_; }

  struct [[nodiscard]] Closing {
    DeadlineScope& scope;
    bool await_ready() const noexcept { return scope.home_ == nullptr; }
    template <PlaitPromise P>
    bool await_suspend(std::coroutine_handle<P> waiter) const noexcept {
      return scope.StartClose(waiter.promise());
    }
    void await_resume() const noexcept {}
  };
  // The timer belongs to the thread that it was added on, which need not be the one that closes the
  // scope.
  Closing Close() noexcept { return Closing{*this}; }

 private:
  static void Expire(WorkItem& item) noexcept;
  bool StartClose(PromiseBase& waiter) noexcept;
  // On the home thread: false when the timer is still about to run, and will resume the waiter.
  bool CloseAtHome() noexcept;

  struct CloseItem : WorkItem {
    DeadlineScope* self = nullptr;
    PromiseBase* waiter = nullptr;
  };

  Worker* home_ = nullptr;
  PromiseBase* waiter_ = nullptr;  // set while Close waits for Expire
  bool fired_ = false;
  bool expired_ = false;
  CloseItem close_;
};

// What to report for something that was cut short after the deadline had passed, and ended with
// `cancelled`, whose payloads it has: they tell how far it came.
absl::Status TimeoutError(const DeadlineScope& scope, absl::Duration duration,
                          const absl::Status& cancelled = absl::CancelledError());

template <class R>
Task<WithStatus<R>> RunWithTimeout(absl::Duration duration, Task<R> task) {
  DeadlineScope scope;
  if (absl::Status opened = scope.Open(duration); !opened.ok()) co_return opened;
  Result<R> result;
  co_await AwaitInto<R>(std::move(task), &scope.context(), result);
  co_await scope.Close();
  if (result.has_value() && scope.expired()) {
    if constexpr (kCarriesStatus<R>) {
      const absl::Status& ended = StatusOf(result.value());
      if (absl::IsCancelled(ended)) co_return TimeoutError(scope, duration, ended);
    } else {
      co_return TimeoutError(scope, duration);
    }
  }
  if constexpr (std::is_void_v<R>) {
    result.Take();
    co_return absl::OkStatus();
  } else {
    co_return WithStatus<R>(result.Take());
  }
}

}  // namespace internal

// An lvalue awaitable (a JoinHandle, a Future) must outlive the co_await.
template <Awaitable A>
Task<internal::WithStatus<AwaitResult<A>>> Timeout(absl::Duration duration, A&& awaitable) {
  return internal::RunWithTimeout(duration, internal::AsTask(static_cast<A&&>(awaitable)));
}

}  // namespace plait

#endif  // PLAIT_RUNTIME_TIME_TIMEOUT_H_
