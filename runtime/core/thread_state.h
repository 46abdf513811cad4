// What a thread knows about the work that it is running: a few words, thread-local, reached in one
// instruction.
#ifndef PLAIT_RUNTIME_CORE_THREAD_STATE_H_
#define PLAIT_RUNTIME_CORE_THREAD_STATE_H_

#include <cstdint>

#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/work_item.h"

namespace plait {

class Executor;
class Worker;
struct TaskContext;

namespace internal {

class ForkStack;
struct CalledJoin;
struct PromiseBase;

// Is told of each coroutine that the thread resumes from a queue.
class ResumeWatcher {
 public:
  virtual void OnResume(const PromiseBase& coroutine) noexcept = 0;

 protected:
  ~ResumeWatcher() = default;
};

struct ThreadState {
  // A coroutine that would be resumed with the stack pointer below this is handed to `bounced`
  // instead, and resumed by the ResumeTask that is at the bottom of the stack. See
  // runtime/task/promise.h.
  const char* stack_limit = nullptr;
  WorkItem* bounced = nullptr;
  // The context of the coroutine that runs now, or null.
  const TaskContext* context = nullptr;
  // How many more of its awaits the coroutine that runs may go on from without giving others a
  // turn. See runtime/task/budget.h.
  int budget = 0;
  // Set by executors in debug mode.
  ResumeWatcher* watcher = nullptr;
  // Where other threads see which task runs here: the executor writes it when it resumes one, and
  // what begins another task in the middle of one (an eager Spawn) for as long as that takes. Null
  // where nobody looks. Others compare what it holds, and never follow it.
  Atomic<const void*>* shown_task = nullptr;
  // The coroutine that was called last on this stack and has not ended or returned suspended, or
  // null. See runtime/task/promise.h.
  PromiseBase* called = nullptr;
  // The join that has called the task that it awaits last on this stack, and has not had it end or
  // wait; or null. See runtime/task/stop_token.h.
  CalledJoin* joins = nullptr;
  // How many coroutines that this thread runs wait for it to return from one that they started.
  int nested = 0;
  // The executor's thread that this is, or null.
  Worker* worker = nullptr;
  // The executor whose work this thread runs now, where what waits here may go on at once; or null.
  Executor* local_executor = nullptr;
  // Where such goes instead, while the executor runs an event and is to go on with what waited for
  // it later, or elsewhere; the executor's, for one event. Or null.
  WorkQueue* continuations = nullptr;
  // The executor whose only thread this is, so that what waits here goes on here; or null. A guess:
  // where another thread stands in for it once, it costs more, and is right.
  Executor* sole_executor = nullptr;
  // Where work for `list_executor` may simply be appended on this thread, in place of a virtual
  // call; null when there is no such executor. It runs on this thread only.
  Executor* list_executor = nullptr;
  WorkQueue* local_ready = nullptr;
  // The forks of this thread that nobody else knows of. Set by executors whose threads steal from
  // each other; null until needed elsewhere.
  ForkStack* forks = nullptr;
};

// Initial-exec: one instruction also in position-independent code, where the general model would be
// a function call. A shared library that is loaded late draws this, and the kilobyte of
// frame_pool, from the loader's small reserve.
[[gnu::tls_model("initial-exec")]] extern constinit thread_local ThreadState thread_state;

// Not a part of thread_state, which executors replace while they run another's work.
[[gnu::tls_model("initial-exec")]] extern constinit thread_local uint64_t thread_serial;
uint64_t NewThreadSerial() noexcept;

// A number that no other thread has, has had or will have: the address of thread_state is given to
// a later thread again.
inline uint64_t ThreadSerial() noexcept {
  const uint64_t serial = thread_serial;
  return serial != 0 ? serial : NewThreadSerial();
}

}  // namespace internal
}  // namespace plait

#endif  // PLAIT_RUNTIME_CORE_THREAD_STATE_H_
