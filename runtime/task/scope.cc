#include "plait/runtime/task/scope.h"

#include "plait/runtime/core/check.h"

namespace plait::internal {
namespace {

const TaskContext& CurrentContext() {
  const TaskContext* context = TaskContext::Current();
  PLAIT_CHECK(context != nullptr, "this can only be used inside a task");
  return *context;
}

constexpr AwaitKind kChildrenKind{"its children"};

}  // namespace

constinit const AwaitNote kChildrenNote{&kChildrenKind};

Scope::Scope() noexcept
    : outer_(CurrentContext()),
      context_(outer_),
      link_([](WorkItem& item) noexcept { static_cast<Link&>(item).self->stop_.RequestStop(); }) {
  context_.stop = &stop_;
  link_.self = this;
  if (outer_.stop != nullptr && !outer_.stop->Register(link_)) stop_.RequestStop();
}

}  // namespace plait::internal
