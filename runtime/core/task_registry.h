// TaskRegistry: the list of an owner's live tasks, so that a scope or an executor can cancel, join
// and show them. ExecutorTasks: an executor's, of which most are begun and ended on its own thread.
//
// Intrusive: a task embeds a TaskLink and is in one list from its spawn to its end. Any thread;
// each operation holds a spin lock for a few instructions.
#ifndef PLAIT_RUNTIME_CORE_TASK_REGISTRY_H_
#define PLAIT_RUNTIME_CORE_TASK_REGISTRY_H_

#include <cstddef>

#include "plait/runtime/core/biased_lock.h"
#include "plait/runtime/core/spin_lock.h"

namespace plait::internal {

// Its fields are set by the list that it is in.
struct TaskLink {
  TaskLink* previous;
  TaskLink* next_task;
};

template <class Lock, class Holder>
class TaskList {
 public:
  TaskList() noexcept { ends_.previous = ends_.next_task = &ends_; }
  TaskList(const TaskList&) = delete;
  TaskList& operator=(const TaskList&) = delete;

  // Adds `link` at the end; returns false when the list is closing, and the new task is to be
  // cancelled.
  bool Add(TaskLink& link) noexcept {
    Holder hold(lock_);
    Link(link);
    return !closing_;
  }

  // Removes `link`, which is in this list; returns how many are left.
  size_t Remove(TaskLink& link) noexcept {
    Holder hold(lock_);
    Unlink(link);
    return size_;
  }

  // From now on Add returns false.
  void Close() noexcept {
    Holder hold(lock_);
    closing_ = true;
  }

  size_t size() const noexcept {
    Holder hold(lock_);
    return size_;
  }

  // Calls `visit(link)` for each, oldest first, under the lock: `visit` must be brief and must not
  // come back here.
  template <class Visit>
  void ForEach(Visit visit) {
    Holder hold(lock_);
    for (TaskLink* link = ends_.next_task; link != &ends_; link = link->next_task) visit(*link);
  }

 private:
  friend class ExecutorTasks;

  // With the lock.
  void Link(TaskLink& link) noexcept {
    link.previous = ends_.previous;
    link.next_task = &ends_;
    ends_.previous->next_task = &link;
    ends_.previous = &link;
    ++size_;
  }
  void Unlink(TaskLink& link) noexcept {
    link.previous->next_task = link.next_task;
    link.next_task->previous = link.previous;
    --size_;
  }

  mutable Lock lock_;
  bool closing_ = false;
  size_t size_ = 0;
  TaskLink ends_;  // the ring's anchor
};

using TaskRegistry = TaskList<SpinLock, SpinLockHolder>;

// In two lists: what the executor's own threads have begun, and what came from elsewhere. Where it
// has one thread, the first is that thread's alone, mostly, and its lock costs it nothing
// (biased_lock.h); the others, who seldom look, give it back.
class ExecutorTasks {
 public:
  // `own`: this is a thread of the executor, at its work. As in TaskRegistry.
  bool Add(TaskLink& link, bool own) noexcept { return own ? own_.Add(link) : others_.Add(link); }
  // `own` as in its Add.
  void Remove(TaskLink& link, bool own) noexcept {
    if (!own || !own_.lock_.LockAsOwner()) [[unlikely]]
      return RemoveLocked(link, own);
    own_.Unlink(link);
    own_.lock_.Unlock(BiasedLock::Hold::kOwner);
  }

  // Add by a thread of the executor, where that is quickly done: its list is this thread's, and
  // open. Else false, and nothing was done.
  [[nodiscard]] bool AddQuickly(TaskLink& link) noexcept {
    if (!own_.lock_.LockAsOwner()) return false;
    const bool open = !own_.closing_;
    if (open) [[likely]]
      own_.Link(link);
    own_.lock_.Unlock(BiasedLock::Hold::kOwner);
    return open;
  }

  void Close() noexcept {
    own_.Close();
    others_.Close();
  }

  // Of one moment: one task may begin another in the other list and end.
  size_t size() const noexcept {
    const Visitor hold(own_.lock_);
    return own_.size_ + others_.size();
  }

  // Those from elsewhere, oldest first, and then the own, oldest first. As in TaskRegistry.
  template <class Visit>
  void ForEach(Visit visit) {
    others_.ForEach(visit);
    const Visitor hold(own_.lock_);
    for (TaskLink* link = own_.ends_.next_task; link != &own_.ends_; link = link->next_task) {
      visit(*link);
    }
  }

 private:
  // Holds the lock, and leaves no trace.
  class [[nodiscard]] Visitor {
   public:
    explicit Visitor(BiasedLock& lock) noexcept : hold_(lock), lock_(lock) {}
    ~Visitor() { lock_.ForgetThis(); }

   private:
    BiasedLockHolder hold_;
    BiasedLock& lock_;
  };

  // Not in line, where what is quick is.
  [[gnu::noinline]] void RemoveLocked(TaskLink& link, bool own) noexcept {
    own ? own_.Remove(link) : others_.Remove(link);
  }

  TaskList<BiasedLock, BiasedLockHolder> own_;
  TaskRegistry others_;
};

}  // namespace plait::internal

#endif  // PLAIT_RUNTIME_CORE_TASK_REGISTRY_H_
