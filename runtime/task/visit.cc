#include "plait/runtime/task/visit.h"

#include <cstddef>
#include <vector>

#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/core/frame_allocator.h"
#include "plait/runtime/core/task_registry.h"
#include "plait/runtime/task/task_state.h"

namespace plait::internal {

// Counted, as whoever asks it to end may be answered, and the visit be over, before that returns.
struct Visit::State : TaskLink {
  static void* operator new(size_t size) { return AllocateFrame(size); }
  static void operator delete(void* state, size_t size) noexcept { FreeFrame(state, size); }

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

namespace {

const TaskContext& CurrentContext() {
  const TaskContext* const context = TaskContext::Current();
  PLAIT_CHECK(context != nullptr, "this can only be used inside a task");
  return *context;
}

}  // namespace

Visit::Visit(Executor& executor)
    : outer_(CurrentContext().stop),
      context_(CurrentContext()),
      link_([](WorkItem& item) noexcept { static_cast<Link&>(item).self->RequestStop(); }),
      state_(new State) {
  context_.executor = &executor;
  context_.stop = &state_->stop;
  link_.self = this;
  if (!executor.visits().Add(*state_)) state_->stop.RequestStop();
  if (outer_ != nullptr && !outer_->Register(link_)) state_->stop.RequestStop();
}

Visit::~Visit() {
  // Waits for the link where that runs on another thread.
  if (outer_ != nullptr) outer_->Unregister(link_);
  state_->Unref();
}

void Visit::RequestStop() noexcept { state_->Stop(); }

void Visit::Leave() noexcept { context_.executor->visits().Remove(*state_); }

void StopVisits(Executor& executor) {
  std::vector<Visit::State*> states;
  states.reserve(executor.visits().size());  // so that mostly nothing is allocated under the lock
  executor.visits().ForEach([&](TaskLink& link) {
    auto& state = static_cast<Visit::State&>(link);
    state.Ref();
    states.push_back(&state);
  });
  for (Visit::State* const state : states) {
    state->stop.RequestStop();
    state->Unref();
  }
}

void BeginClosing(Executor& executor) {
  executor.tasks().Close();
  executor.visits().Close();
  CancelAll(executor.tasks());
  StopVisits(executor);
}

}  // namespace plait::internal
