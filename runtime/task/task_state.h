// TaskState: a spawned task, from Spawn to the last handle's end. Behind JoinHandle, TaskGroup and
// Run; internal.
//
//   created --Start--> queued --RunStart--> running --coroutine ends--> done
//                     \--cancelled, and T can say so: without running--/
//
// References: one is the task's own, from Start until it is done; each handle has another.
// Threads: a handle may be used from any thread; what runs the coroutine is its executor's.
#ifndef PLAIT_RUNTIME_TASK_TASK_STATE_H_
#define PLAIT_RUNTIME_TASK_TASK_STATE_H_

#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/executor.h"
#include "plait/runtime/core/frame_allocator.h"
#include "plait/runtime/core/task_registry.h"
#include "plait/runtime/task/promise.h"
#include "plait/runtime/task/result.h"
#include "plait/runtime/task/status_traits.h"
#include "plait/runtime/task/stop_token.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/task/task_context.h"

namespace plait {

class TaskGroup;

namespace internal {

class TaskState : public WorkItem, public TaskLink {
 public:
  static void* operator new(size_t size) { return AllocateFrame(size); }
  static void operator delete(void* state, size_t size) noexcept { FreeFrame(state, size); }

  void Ref() noexcept { references_.fetch_add(1, kRelaxed); }
  // Acquire and release: whoever deletes sees what the others did.
  void Unref() noexcept {
    // The last reference needs no locked instruction: nobody else can make another.
    if (references_.load(kAcquire) == 1 || references_.fetch_sub(1, kAcqRel) == 1) delete this;
  }

  // Queues the task on `executor`. `group` is its owner, or null for the executor itself.
  void Start(Executor& executor, TaskGroup* group) noexcept;

  // Instead of Start: the task is done at once and never ran, with `status` if its type can carry
  // it.
  void Reject(absl::Status status) noexcept;

  // Acquire: the result is visible once this is true.
  bool done() const noexcept { return waiters_.load(kAcquire) == &kDone; }

  // Asks the task to end. False when it was asked before or is done.
  bool Cancel() noexcept;
  bool cancel_requested() const noexcept { return stop_.stop_requested(); }
  // Valid once done.
  bool ended_cancelled() const noexcept { return ended_cancelled_; }

  // Runs `waiter` when the task is done, on the thread that ends it; it must be brief. False when
  // it is done already.
  [[nodiscard]] bool AddWaiter(WorkItem& waiter) noexcept;

  uint64_t id() const noexcept { return id_; }
  absl::string_view name() const noexcept {
    return name_ == nullptr ? absl::string_view() : absl::string_view(*name_);
  }
  void set_name(absl::string_view name) {
    if (!name.empty()) name_ = std::make_unique<std::string>(name);
  }
  const TaskContext& context() const noexcept { return context_; }

  // How it failed: the status it ended with if that is an error. Valid once done.
  virtual absl::Status error() const = 0;
  // The exception that left it, or null. Valid once done.
  virtual std::exception_ptr exception() const = 0;

 protected:
  explicit TaskState(PromiseBase& promise) noexcept;
  virtual ~TaskState();

  // Ends a task without running it, with `status`; false if its type cannot carry one.
  virtual bool SetStatusResult(absl::Status status) = 0;
  // Whether the result says that it was cancelled; for types that can't say so, whether that was
  // asked.
  virtual bool ResultIsCancelled() const = 0;

 private:
  static void RunStart(WorkItem& item) noexcept;
  static void RunDone(WorkItem& item) noexcept;
  void Finish() noexcept;
  // Publishes the result and runs the waiters.
  void MarkDone() noexcept;

  static WorkItem kDone;  // its address, in waiters_, means done

  Atomic<uint32_t> references_{1};
  bool in_group_ = false;
  bool ended_cancelled_ = false;
  TaskContext context_;
  StopState stop_;
  Atomic<WorkItem*> waiters_{nullptr};  // newest first
  TaskRegistry* registry_ = nullptr;
  PromiseBase* promise_;  // until it starts
  uint64_t id_;
  std::unique_ptr<std::string> name_;
};

template <class T>
class TaskStateOf final : public TaskState {
 public:
  explicit TaskStateOf(TaskPromise<T>& promise) noexcept : TaskState(promise) {
    promise.result = &result_;
  }

  Result<T>& result() noexcept { return result_; }

  absl::Status error() const override {
    if constexpr (kCarriesStatus<T>) {
      if (result_.has_value()) return StatusOf(result_.value());
    }
    return absl::OkStatus();
  }
  std::exception_ptr exception() const override { return result_.exception(); }

 protected:
  bool SetStatusResult(absl::Status status) override {
    if constexpr (kCarriesStatus<T>) {
      result_.Emplace(std::move(status));
      return true;
    } else {
      static_cast<void>(status);
      return false;
    }
  }
  bool ResultIsCancelled() const override {
    if constexpr (kCarriesStatus<T>) {
      return result_.has_value() && absl::IsCancelled(StatusOf(result_.value()));
    } else {
      return result_.has_value() && cancel_requested();
    }
  }

 private:
  Result<T> result_;
};

// A counted reference to a TaskState.
template <class S>
class TaskRef {
 public:
  TaskRef() = default;
  // Takes over a reference.
  explicit TaskRef(S* adopted) noexcept : state_(adopted) {}
  TaskRef(const TaskRef& other) noexcept : state_(other.state_) {
    if (state_ != nullptr) state_->Ref();
  }
  TaskRef(TaskRef&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  TaskRef& operator=(TaskRef other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~TaskRef() {
    if (state_ != nullptr) state_->Unref();
  }

  // Gives the reference up.
  S* Release() && noexcept { return std::exchange(state_, nullptr); }

  S* get() const noexcept { return state_; }
  S* operator->() const noexcept { return state_; }
  S& operator*() const noexcept { return *state_; }
  explicit operator bool() const noexcept { return state_ != nullptr; }

 private:
  S* state_ = nullptr;
};

// Cancels every task in `registry`, oldest first. Any thread.
void CancelAll(TaskRegistry& registry);

}  // namespace internal
}  // namespace plait

#endif  // PLAIT_RUNTIME_TASK_TASK_STATE_H_
