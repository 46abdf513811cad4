// DoneCallback: a function that is called once when a task or a future is done. Behind OnDone.
#ifndef PLAIT_RUNTIME_TASK_DONE_CALLBACK_H_
#define PLAIT_RUNTIME_TASK_DONE_CALLBACK_H_

#include <utility>

#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/work_item.h"

namespace plait {
namespace internal {

// Counted: by the list that it is in, and by the handle that may remove it. Whoever settles it, by
// calling the function or by removing it, does so alone.
class DoneCallback : public WorkItem {
 public:
  explicit DoneCallback(RunFunction f) : WorkItem(f) {}
  virtual ~DoneCallback() = default;

  // True when the function has not been called and now never is.
  bool Remove() noexcept {
    if (!Settle()) return false;
    if (Unlink()) Unref();
    return true;
  }

  // True for the first caller only. Relaxed: the list brings the function's contents, and who comes
  // second leaves them alone.
  bool Settle() noexcept { return !settled_.exchange(true, kRelaxed); }
  void Unref() noexcept {
    // Release and acquire: whoever deletes sees what the other did.
    if (references_.fetch_sub(1, kAcqRel) == 1) delete this;
  }

 protected:
  // Takes it out of its list; false when it is out already, or about to be run.
  virtual bool Unlink() noexcept = 0;

 private:
  Atomic<bool> settled_{false};
  Atomic<int> references_{2};
};

// Calls `f()`. `Owner` keeps what has the list alive, and takes callbacks out of it by
// `owner->RemoveWaiter(item)`.
template <class F, class Owner>
class DoneFunction final : public DoneCallback {
 public:
  DoneFunction(F f, Owner owner)
      : DoneCallback(&Call), f_(std::move(f)), owner_(std::move(owner)) {}

 private:
  static void Call(WorkItem& item) noexcept {
    auto& self = static_cast<DoneFunction&>(item);
    if (self.Settle()) self.f_();
    self.Unref();
  }
  bool Unlink() noexcept override { return owner_->RemoveWaiter(*this); }

  F f_;
  Owner owner_;
};

}  // namespace internal

// A callback that was added with OnDone, to be removed. Dropping it changes nothing. It may outlive
// the task. One thread at a time.
class DoneCallbackHandle {
 public:
  DoneCallbackHandle() = default;
  explicit DoneCallbackHandle(internal::DoneCallback* callback) : callback_(callback) {}
  DoneCallbackHandle(DoneCallbackHandle&& other) noexcept
      : callback_(std::exchange(other.callback_, nullptr)) {}
  DoneCallbackHandle& operator=(DoneCallbackHandle&& other) noexcept {
    std::swap(callback_, other.callback_);
    return *this;
  }
  ~DoneCallbackHandle() {
    if (callback_ != nullptr) callback_->Unref();
  }

  // True when the callback will not be called; false when it was called, is being called on another
  // thread, or was removed before.
  bool Remove() { return callback_ != nullptr && callback_->Remove(); }

 private:
  internal::DoneCallback* callback_ = nullptr;
};

}  // namespace plait

#endif  // PLAIT_RUNTIME_TASK_DONE_CALLBACK_H_
