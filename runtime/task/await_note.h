// AwaitNote: what a suspended coroutine waits for, left where somebody who looks at the running
// program finds it. Internal; see runtime/trace/dump_tasks.h.
//
// While a coroutine is suspended its WorkItem::next is unused, as the coroutine is in no queue. An
// await writes there, with a tag in the lowest bits, either the coroutine that it goes on with or a
// note; a queue writes a plain pointer, so a coroutine that is ready shows neither. Cost: one store
// to a line that is being written anyway. Only the thread that runs the coroutine may follow what
// is found: it is the one that would free it.
#ifndef PLAIT_RUNTIME_TASK_AWAIT_NOTE_H_
#define PLAIT_RUNTIME_TASK_AWAIT_NOTE_H_

#include <cstdint>

#include "plait/runtime/core/work_item.h"

namespace plait::internal {

struct PromiseBase;
class TaskState;
struct AwaitNote;

// Is shown what stands behind an await.
class AwaitVisitor {
 public:
  // A coroutine that runs on behalf of the one that waits.
  virtual void OnCoroutine(const PromiseBase& coroutine) = 0;
  // Another task, whose end is awaited.
  virtual void OnTask(const TaskState& task) = 0;

 protected:
  ~AwaitVisitor() = default;
};

struct AwaitKind {
  const char* what;  // "Sleep", "Gather": what people call it
  // Null when there is nothing more to tell.
  void (*visit)(const AwaitNote& note, AwaitVisitor& visitor) = nullptr;
  // `visit` names a task, which says it all.
  bool names_task = false;
};

// In the awaiter, or, where the kind says it all, a constant.
struct AwaitNote {
  const AwaitKind* kind;
};

// A constant note that says no more than its name.
struct NamedNote : AwaitNote {
  constexpr explicit NamedNote(const char* what) : AwaitNote{&own_kind}, own_kind{what} {}
  NamedNote(const NamedNote&) = delete;
  NamedNote& operator=(const NamedNote&) = delete;

  AwaitKind own_kind;
};

inline constexpr uintptr_t kAwaitTagMask = 3;
inline constexpr uintptr_t kAwaitsCoroutine = 1;
inline constexpr uintptr_t kAwaitsNote = 2;

inline void SetAwait(WorkItem& waiter, const void* target, uintptr_t tag) noexcept {
  waiter.next = reinterpret_cast<WorkItem*>(reinterpret_cast<uintptr_t>(target) | tag);
}

inline void SetAwaitNote(WorkItem& waiter, const AwaitNote& note) noexcept {
  SetAwait(waiter, &note, kAwaitsNote);
}

}  // namespace plait::internal

#endif  // PLAIT_RUNTIME_TASK_AWAIT_NOTE_H_
