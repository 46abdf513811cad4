#include "plait/runtime/task/future.h"

namespace plait::internal {

namespace {

constexpr NamedNote kFutureNote("a future");

}  // namespace

bool FutureStateBase::Suspend(Waiter& waiter, PromiseBase& promise) noexcept {
  return waiter.Park(promise, lock_, waiters_, kFutureNote,
                     [this] { return stage_ >= Stage::kSet; });
}

bool FutureStateBase::AddWaiter(WorkItem& callback) noexcept {
  SpinLockHolder hold(lock_);
  if (stage_ >= Stage::kSet) return false;
  callbacks_.Push(callback);  // also while others run: Settled looks again
  return true;
}

bool FutureStateBase::RemoveWaiter(WorkItem& callback) noexcept {
  SpinLockHolder hold(lock_);
  return callbacks_.Remove(callback);
}

void FutureStateBase::AwaitSettled() noexcept {
  for (int round = 0; !ready(); ++round) SpinWait(round);
}

void FutureStateBase::Settled() noexcept {
  for (;;) {
    WorkItem* callback = nullptr;
    {
      SpinLockHolder hold(lock_);
      callback = callbacks_.Pop();
      if (callback == nullptr) {
        stage_ = Stage::kSet;
        break;
      }
    }
    callback->run(*callback);
  }
  for (;;) {
    Waiter* waiter = nullptr;
    {
      SpinLockHolder hold(lock_);
      waiter = waiters_.PopFront();
    }
    if (waiter == nullptr) return;
    waiter->Wake();
  }
}

}  // namespace plait::internal
