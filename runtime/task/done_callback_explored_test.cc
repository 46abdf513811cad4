// DoneCallback under the explorer: it is called, or removed, and its handle dropped.
//
// Traps: cancel racing completion; a callback that is used after it was freed.
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/task/done_callback.h"
#include "plait/runtime/testing/explorer/expect.h"
#include "plait/runtime/testing/explorer/explorer.h"

namespace plait::internal {
namespace {

using explorer::ExpectAllExecutionsPass;
using explorer::ExpectMutantsKilled;
using explorer::Parallel;
using explorer::Require;
using explorer::Scenario;

// What is done at some time, and has one callback then.
class Owner {
 public:
  void Add(WorkItem& callback) { callback_ = &callback; }
  bool RemoveWaiter(WorkItem& callback) {
    const SpinLockHolder hold(lock_);
    return std::exchange(callback_, nullptr) == &callback;
  }
  void BeDone() {
    WorkItem* callback = nullptr;
    {
      const SpinLockHolder hold(lock_);
      callback = std::exchange(callback_, nullptr);
    }
    if (callback != nullptr) callback->run(*callback);
  }

 private:
  SpinLock lock_;
  WorkItem* callback_ = nullptr;
};

template <class F>
DoneCallbackHandle AddTo(Owner& owner, F f) {
  auto* const callback = new DoneFunction<F, Owner*>(std::move(f), &owner);
  owner.Add(*callback);
  return DoneCallbackHandle(callback);
}

void ItsHandleIsDropped() {
  Owner owner;
  int calls = 0;
  DoneCallbackHandle handle = AddTo(owner, [&calls] { ++calls; });
  Parallel(
      {[&] { owner.BeDone(); }, [&] { const DoneCallbackHandle dropped = std::move(handle); }});
  Require(calls == 1, "it is called once");
}

void ItIsRemoved() {
  Owner owner;
  int calls = 0;
  bool removed = false;
  DoneCallbackHandle handle = AddTo(owner, [&calls] { ++calls; });
  Parallel({[&] { owner.BeDone(); },
            [&] {
              DoneCallbackHandle mine = std::move(handle);
              removed = mine.Remove();
              if (removed) Require(calls == 0, "it is not called");
            }});
  Require(calls == (removed ? 0 : 1), "it is called, or removed");
}

std::vector<Scenario> Scenarios() {
  return {{"its handle is dropped", ItsHandleIsDropped}, {"it is removed", ItIsRemoved}};
}

TEST(DoneCallbackExploredTest, ItIsCalledOrRemovedAndFreedOnce) {
  ExpectAllExecutionsPass(Scenarios());
}

TEST(DoneCallbackExploredTest, WeakeningAnyMemoryOrderIsNoticed) {
  ExpectMutantsKilled("runtime/task/done_callback.", Scenarios(), 2);
}

}  // namespace
}  // namespace plait::internal
