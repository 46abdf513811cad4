// VisitState: a part of another executor's task as an executor has it on its books
// (Executor::visits). Internal; see visit.h and child_visit.h.
#ifndef PLAIT_RUNTIME_TASK_VISIT_STATE_H_
#define PLAIT_RUNTIME_TASK_VISIT_STATE_H_

#include <cstddef>

#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/frame_allocator.h"
#include "plait/runtime/core/task_registry.h"
#include "plait/runtime/task/stop_token.h"

namespace plait::internal {

// Counted, as whoever asks it to end may be answered, and the visit be over, before that returns.
struct VisitState : TaskLink {
  static void* operator new(size_t size) { return AllocateFrame(size); }
  static void operator delete(void* state, size_t size) noexcept { FreeFrame(state, size); }

  VisitState() = default;
  VisitState(const VisitState&) = delete;
  VisitState& operator=(const VisitState&) = delete;
  virtual ~VisitState() = default;

  void Ref() noexcept { references.fetch_add(1, kRelaxed); }
  // Acquire and release: who deletes it sees that the others are done with it.
  void Unref() noexcept {
    if (references.fetch_sub(1, kAcqRel) == 1) delete this;
  }
  // The caller has no reference of its own that is sure to last.
  void Stop() noexcept {
    Ref();
    stop.RequestStop();
    Unref();
  }

  Atomic<int> references{1};
  StopState stop;
};

}  // namespace plait::internal

#endif  // PLAIT_RUNTIME_TASK_VISIT_STATE_H_
