// Scope: a context with a stop state of its own, between a coroutine and the children that it runs.
// Internal.
//
// A stop of the outer context reaches the inner one; the inner one can be stopped alone. Lives in
// the frame of the coroutine that opened it, which joins all that runs in it before it goes.
#ifndef PLAIT_RUNTIME_TASK_SCOPE_H_
#define PLAIT_RUNTIME_TASK_SCOPE_H_

#include "plait/runtime/core/atomic.h"
#include "plait/runtime/task/await_note.h"
#include "plait/runtime/task/budget.h"
#include "plait/runtime/task/promise.h"
#include "plait/runtime/task/stop_token.h"
#include "plait/runtime/task/task_context.h"

namespace plait::internal {

class Scope {
 public:
  // Inside the context of the coroutine that runs on this thread now (CHECK: there is one).
  Scope() noexcept;
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;
  ~Scope() {
    if (outer_.stop != nullptr) outer_.stop->Unregister(link_);
  }

  const TaskContext& context() const noexcept { return context_; }
  StopState& stop() noexcept { return stop_; }
  const TaskContext& outer() const noexcept { return outer_; }

 private:
  struct Link : StopNode {
    using StopNode::StopNode;
    Scope* self = nullptr;
  };

  const TaskContext& outer_;
  TaskContext context_;
  StopState stop_;
  Link link_;
};

// "its children".
extern const AwaitNote kChildrenNote;

// Counts children down and then resumes the coroutine that waits for them. Any thread may end a
// child.
//
// The count starts with one for the waiter itself, so that it can't reach zero while children are
// still being added.
class JoinCounter {
 public:
  // Before the join only.
  void Add(int children) noexcept { count_.fetch_add(children, kRelaxed); }

  // At any time: false when the join has ended, and nothing may be added any more.
  [[nodiscard]] bool TryAdd() noexcept {
    int count = count_.load(kRelaxed);
    do {
      if (count == 0) return false;
    } while (!count_.compare_exchange_weak(count, count + 1, kRelaxed, kRelaxed));
    return true;
  }

  // A child has ended; nothing of the scope may be touched after this.
  void Done() noexcept {
    // Release: the child's result is visible to the waiter. Acquire: the last one sees the others'
    // results and waiter_.
    if (count_.fetch_sub(1, kAcqRel) == 1) waiter_->Schedule();
  }

  // co_await: until every child has ended.
  struct [[nodiscard]] Awaiter {
    JoinCounter& counter;
    const AwaitNote& note;
    bool await_ready() const noexcept { return false; }
    template <PlaitPromise P>
    bool await_suspend(std::coroutine_handle<P> waiter) const noexcept {
      counter.waiter_ = &waiter.promise();
      SetAwaitNote(waiter.promise(), note);
      if (counter.count_.fetch_sub(1, kAcqRel) != 1) return true;
      waiter.promise().next = nullptr;
      return YieldIfSpent(waiter.promise());
    }
    void await_resume() const noexcept {}
  };
  // `note` tells what is waited for; it outlives the wait.
  Awaiter Join(const AwaitNote& note = kChildrenNote) noexcept { return Awaiter{*this, note}; }

 private:
  Atomic<int> count_{1};
  PromiseBase* waiter_ = nullptr;
};

}  // namespace plait::internal

#endif  // PLAIT_RUNTIME_TASK_SCOPE_H_
