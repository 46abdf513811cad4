// TaskRegistry: the list of an owner's live tasks, so that a scope or an executor can cancel, join
// and show them.
//
// Intrusive: a task embeds a TaskLink and is in one registry from its spawn to its end. Any thread;
// each operation holds a spin lock for a few instructions.
#ifndef PLAIT_RUNTIME_CORE_TASK_REGISTRY_H_
#define PLAIT_RUNTIME_CORE_TASK_REGISTRY_H_

#include <cstddef>

#include "plait/runtime/core/spin_lock.h"

namespace plait::internal {

struct TaskLink {
  TaskLink* previous = nullptr;
  TaskLink* next_task = nullptr;
};

class TaskRegistry {
 public:
  TaskRegistry() noexcept { ends_.previous = ends_.next_task = &ends_; }
  TaskRegistry(const TaskRegistry&) = delete;
  TaskRegistry& operator=(const TaskRegistry&) = delete;

  // Adds `link` at the end; returns false when the registry is closing, and the new task is to be
  // cancelled.
  bool Add(TaskLink& link) noexcept {
    SpinLockHolder hold(lock_);
    link.previous = ends_.previous;
    link.next_task = &ends_;
    ends_.previous->next_task = &link;
    ends_.previous = &link;
    ++size_;
    return !closing_;
  }

  // Removes `link`, which is in this registry; returns how many are left.
  size_t Remove(TaskLink& link) noexcept {
    SpinLockHolder hold(lock_);
    link.previous->next_task = link.next_task;
    link.next_task->previous = link.previous;
    return --size_;
  }

  // From now on Add returns false.
  void Close() noexcept {
    SpinLockHolder hold(lock_);
    closing_ = true;
  }

  size_t size() const noexcept {
    SpinLockHolder hold(lock_);
    return size_;
  }

  // Calls `visit(link)` for each, oldest first, under the lock: `visit` must be brief and must not
  // come back here.
  template <class Visit>
  void ForEach(Visit visit) {
    SpinLockHolder hold(lock_);
    for (TaskLink* link = ends_.next_task; link != &ends_; link = link->next_task) visit(*link);
  }

 private:
  mutable SpinLock lock_;
  bool closing_ = false;
  size_t size_ = 0;
  TaskLink ends_;  // the ring's anchor
};

}  // namespace plait::internal

#endif  // PLAIT_RUNTIME_CORE_TASK_REGISTRY_H_
