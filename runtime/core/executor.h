// Executor: the interface of everything that runs work: an event loop, a thread pool, the calling
// thread.
#ifndef PLAIT_RUNTIME_CORE_EXECUTOR_H_
#define PLAIT_RUNTIME_CORE_EXECUTOR_H_

#include <utility>

#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/executor_hooks.h"
#include "plait/runtime/core/task_registry.h"
#include "plait/runtime/core/work_item.h"

namespace plait {

class Executor {
 public:
  Executor() = default;
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;
  virtual ~Executor() = default;

  // Runs `item` once, soon, on a thread of this executor; never inside this call, unless the
  // executor's documentation says so. Any thread. Does not allocate and cannot fail: scheduling on
  // an executor that was closed is a programming error (CHECK).
  virtual void Schedule(WorkItem& item) noexcept = 0;

  // The same, behind what is ready now, where Schedule may prefer what was scheduled last: for
  // items that give others a turn. The default, for executors that run first in, first out:
  // Schedule.
  virtual void ScheduleLast(WorkItem& item) noexcept { Schedule(item); }

  // On a thread of this executor, which runs one of its items: takes `item` back if it was
  // scheduled here, has not run, and is what this thread would run next. The caller then runs it,
  // inside its own item, and sees to it that others get their turns. The default, for executors
  // where that cannot be had cheaply: false.
  virtual bool TakeIfNext(WorkItem& item) noexcept {
    static_cast<void>(item);
    return false;
  }

  // For BlockOn. An executor without threads of its own runs on the calling thread until an item
  // that it runs has set `done`, and returns true; it may not be running already (CHECK). The
  // default, for executors with threads, returns false at once: the caller may block.
  virtual bool RunUntil(const internal::Atomic<bool>& done) noexcept {
    static_cast<void>(done);
    return false;
  }

  // Where functions that block their thread run, so that this executor's own threads do not wait
  // (see Offload). Any thread. Starts no thread by itself; lives as long as this executor does. The
  // default, for executors whose threads may block: this one.
  virtual Executor& blocking() noexcept { return *this; }

  // The tasks spawned on this executor that have not ended.
  internal::ExecutorTasks& tasks() noexcept { return tasks_; }
  const internal::ExecutorTasks& tasks() const noexcept { return tasks_; }
  // The parts of other executors' tasks that run here (runtime/task/visit.h).
  internal::TaskRegistry& visits() noexcept { return visits_; }
  const internal::TaskRegistry& visits() const noexcept { return visits_; }

  // Who is told of what happens here. Set before anything runs.
  const ExecutorHooks& hooks() const noexcept { return hooks_; }

 protected:
  explicit Executor(ExecutorHooks hooks) : hooks_(std::move(hooks)) {}

 private:
  internal::ExecutorTasks tasks_;
  internal::TaskRegistry visits_;
  const ExecutorHooks hooks_;
};

}  // namespace plait

#endif  // PLAIT_RUNTIME_CORE_EXECUTOR_H_
