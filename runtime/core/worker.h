// Worker: one thread of an executor, as seen from the work that it runs: its clock, its timers, its
// reactor.
//
// Code that waits for time or for the operating system asks for the Worker that runs it, starts the
// wait there, and is called back there: timers and reactors belong to one thread and need no locks.
// An executor whose threads offer neither (a plain thread pool) has no Workers; what needs one then
// fails with FailedPrecondition.
#ifndef PLAIT_RUNTIME_CORE_WORKER_H_
#define PLAIT_RUNTIME_CORE_WORKER_H_

#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/thread_state.h"
#include "plait/runtime/core/timer.h"
#include "plait/runtime/core/work_item.h"

namespace plait {

class Executor;
class Reactor;
class WorkerGroup;

class Worker {
 public:
  Worker() = default;
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  virtual ~Worker() = default;

  // The Worker that this thread is, or null.
  static Worker* Current() noexcept { return internal::thread_state.worker; }

  // Runs `item` on this very thread, soon. Any thread.
  virtual void Post(WorkItem& item) noexcept = 0;

  // This thread only. Runs `timer` here at its deadline or soon after, never before; timers with
  // equal deadlines run in the order in which they were added. An infinite deadline never comes.
  virtual void AddTimer(Timer& timer) noexcept = 0;

  // This thread only. True when `timer` was waiting and now never runs; false when it is about to
  // run or has run.
  virtual bool CancelTimer(Timer& timer) noexcept = 0;

  // The clock that its timers go by.
  virtual Clock& clock() noexcept = 0;

  // This thread's own reactor, or null. Use it on this thread only.
  virtual Reactor* reactor() noexcept = 0;

  // This thread only. Whether something is ready to run here besides what runs now, as far as can
  // be told at once: then who could wait a moment without giving the thread up should not. The
  // default, where that is not known: false.
  virtual bool HasReady() noexcept { return false; }

  // Those of its executor, where that has several that wait for I/O; null for one that is alone.
  WorkerGroup* group() const noexcept { return group_; }

 protected:
  explicit Worker(WorkerGroup* group) noexcept : group_(group) {}

 private:
  WorkerGroup* const group_ = nullptr;
};

}  // namespace plait

#endif  // PLAIT_RUNTIME_CORE_WORKER_H_
