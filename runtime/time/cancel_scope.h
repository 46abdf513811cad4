// CancelScope: part of a task that can be cancelled by itself, by hand or at a deadline that may be
// moved while it runs. (asyncio: timeout, timeout_at; trio: CancelScope, move_on_after.)
//
//   plait::CancelScope scope(absl::Seconds(1));
//   absl::StatusOr<Page> page = co_await scope.Run(Fetch(url, scope));   // may call
//   scope.Reschedule if (scope.expired()) ...
//
// What runs in the scope is told by its stop token, as when its task is cancelled, and Run returns
// once it has ended. Results as for Timeout: after the deadline, what was cut short gives
// DeadlineExceeded, with the payloads that the cancelled one's Status has; after Cancel(),
// absl::CancelledError; a value that arrived in spite of it is kept; an awaitable of a plain U that
// ends after the deadline gives DeadlineExceeded. A cancel of the task around it reaches the inside
// and wins over the deadline. Scopes nest: each reports only its own deadline. A scope that was
// cancelled or has expired stays so: what is run in it afterwards ends at its first wait.
//
// Lifetime: inside a task only (CHECK), in a coroutine's frame, around every Run (CHECK). Threads:
// Cancel from any; Run from the task and from its groups' children; Reschedule from the task.
// Cost: one small block per deadline that is set. Errors: a negative duration gives
// InvalidArgument; a deadline on an executor without timers gives FailedPrecondition; both are the
// result of Run and of Reschedule.
#ifndef PLAIT_RUNTIME_TIME_CANCEL_SCOPE_H_
#define PLAIT_RUNTIME_TIME_CANCEL_SCOPE_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/awaitable.h"
#include "plait/runtime/task/result.h"
#include "plait/runtime/task/status_traits.h"
#include "plait/runtime/task/stop_token.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/task/task_context.h"

namespace plait {

class CancelScope {
 public:
  // Without a deadline.
  CancelScope() : CancelScope(absl::InfiniteDuration()) {}
  // The deadline is `timeout` from now, by the monotonic clock.
  explicit CancelScope(absl::Duration timeout);
  // The deadline is a point on the calendar, as it stands now. One that has passed expires at once.
  explicit CancelScope(absl::Time deadline);
  CancelScope(const CancelScope&) = delete;
  CancelScope& operator=(const CancelScope&) = delete;
  ~CancelScope();

  // co_await: runs `awaitable` in the scope. Several may run at once. An lvalue awaitable must
  // outlive the co_await.
  template <Awaitable A>
  Task<internal::WithStatus<AwaitResult<A>>> Run(A&& awaitable) {
    return RunIn(*this, internal::AsTask(static_cast<A&&>(awaitable)));
  }

  // Asks what runs inside to end. Does not wait.
  void Cancel();

  // Moves the deadline, earlier or later; infinite for none. FailedPrecondition once it has
  // expired.
  absl::Status Reschedule(absl::Duration timeout);
  absl::Status Reschedule(absl::Time deadline);

  // When it will expire, or has; absl::InfiniteFuture() where there is no deadline.
  absl::Time deadline() const { return deadline_; }
  // The deadline has passed, and what ran inside was told.
  bool expired() const;
  // Cancel was called.
  bool cancelled() const;
  StopToken token() const;

 private:
  struct State;
  struct Alarm;
  struct Link : internal::StopNode {
    using StopNode::StopNode;
    CancelScope* self = nullptr;
  };

  absl::Status SetAlarm(absl::Duration timeout);
  void DropAlarm();
  // What to report for something that was cut short, or ran past the deadline; OK when it was
  // neither.
  absl::Status Failure(const absl::Status& ended, bool can_say) const;

  template <class R>
  static Task<internal::WithStatus<R>> RunIn(CancelScope& scope, Task<R> task) {
    if (!scope.opened_.ok()) co_return scope.opened_;
    scope.running_.fetch_add(1, internal::kRelaxed);
    internal::Result<R> result;
    co_await internal::AwaitInto<R>(std::move(task), &scope.context_, result);
    scope.running_.fetch_sub(1, internal::kRelaxed);
    if (result.has_value()) {
      absl::Status ended;
      if constexpr (internal::kCarriesStatus<R>) ended = internal::StatusOf(result.value());
      absl::Status failure = scope.Failure(ended, internal::kCarriesStatus<R>);
      if (!failure.ok()) co_return failure;
    }
    if constexpr (std::is_void_v<R>) {
      result.Take();
      co_return absl::OkStatus();
    } else {
      co_return internal::WithStatus<R>(result.Take());
    }
  }

  const TaskContext& outer_;
  TaskContext context_;
  State* const state_;  // counted, as an alarm that is on its way may outlive the scope
  Alarm* alarm_ = nullptr;
  Link link_;
  absl::Time deadline_ = absl::InfiniteFuture();
  absl::Status opened_;
  // Several may run at once, on several threads of a pool. Relaxed: it is for the check at the end,
  // which whoever destroys the scope comes to after them.
  internal::Atomic<int> running_{0};
};

}  // namespace plait

#endif  // PLAIT_RUNTIME_TIME_CANCEL_SCOPE_H_
