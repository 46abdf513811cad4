#include "plait/runtime/task/visit.h"

#include <vector>

#include "plait/runtime/core/check.h"
#include "plait/runtime/core/task_registry.h"
#include "plait/runtime/task/task_state.h"
#include "plait/runtime/task/visit_state.h"

namespace plait::internal {

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
      state_(new VisitState) {
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
  std::vector<VisitState*> states;
  states.reserve(executor.visits().size());  // so that mostly nothing is allocated under the lock
  executor.visits().ForEach([&](TaskLink& link) {
    auto& state = static_cast<VisitState&>(link);
    state.Ref();
    states.push_back(&state);
  });
  for (VisitState* const state : states) {
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
