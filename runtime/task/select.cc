#include "plait/runtime/task/select.h"

#include <algorithm>
#include <cstdint>

#include "plait/runtime/core/fork_stack.h"
#include "plait/runtime/core/thread_state.h"

namespace plait::internal {
void SelectScope::BranchDone(int index) noexcept {
  int undecided = -1;
  if (winner_.compare_exchange_strong(undecided, index, kRelaxed, kRelaxed)) stop().RequestStop();
  counter_.Done();
}

WorkItem& SelectBranchBase::OnReady(ProxyPromise& proxy) noexcept {
  auto& self = static_cast<SelectBranchBase&>(proxy);
  self.next = nullptr;
  self.Capture();
  self.scope_->BranchDone(self.index_);
  // The Select itself is resumed by the last of them.
  return kNothing;
}

void SelectBranchBase::StartWith(SelectScope& scope, int index,
                                 std::coroutine_handle<> (*begin)(SelectBranchBase&)) noexcept {
  // How deep Selects start each other on one stack; beyond it their branches queue.
  constexpr int kMaxDepth = 16;
  scope_ = &scope;
  index_ = index;
  context = &scope.context();
  scope.counter().Add(1);
  ThreadState& thread = thread_state;
  const ThreadState outer = thread;
  const ForkFloor floor(thread.forks);
  thread.context = context;
  thread.bounced = nullptr;
  ++thread.nested;
  // Whoever selects gives others their turn when it has ended, not each branch: one that was taken
  // for waiting would have others begin that need not.
  thread.budget = std::max(outer.budget, 1);
  // So that whatever coroutine it starts is handed to us instead of being resumed in between.
  thread.stack_limit = reinterpret_cast<const char*>(UINTPTR_MAX);
  const std::coroutine_handle<> started = begin(*this);
  if (started != nullptr) started.resume();
  if (thread.bounced != nullptr) {
    auto* const coroutine = static_cast<PromiseBase*>(thread.bounced);
    thread.bounced = nullptr;
    if (outer.nested < kMaxDepth) {
      ResumeTask(*coroutine);
    } else {
      coroutine->Schedule();
    }
  }
  thread.stack_limit = outer.stack_limit;
  thread.bounced = outer.bounced;
  thread.context = outer.context;
  thread.nested = outer.nested;
  thread.budget = outer.budget - 1;
  if (started == nullptr) OnReady(*this);
}

void ShowBranch(const SelectBranchBase& branch, AwaitVisitor& visitor) {
  if (branch.started()) visitor.OnCoroutine(branch);
}

}  // namespace plait::internal
