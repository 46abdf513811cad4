#include "plait/schedulers/inline/inline_executor.h"

#include <cstddef>

#include "plait/runtime/core/check.h"
#include "plait/runtime/core/fork_stack.h"
#include "plait/runtime/core/stack_end.h"
#include "plait/runtime/core/thread_state.h"
#include "plait/runtime/task/promise.h"
#include "plait/runtime/task/visit.h"

namespace plait {

using internal::thread_state;

namespace {

// What coroutines may use, and a little for the functions that they call.
constexpr ptrdiff_t kLeastStack = internal::kStackBudget + 8 * 1024;

// A fiber's stack may be too small for what runs on it in its midst. Of a thread's own that is not
// known, nor likely.
void CheckStack() noexcept {
  const char* const end = internal::stack_end;
  PLAIT_CHECK(
      end == nullptr || static_cast<const char*>(__builtin_frame_address(0)) - end >= kLeastStack,
      "an InlineExecutor would run work on what is left of a fiber's stack, which is less "
      "than 24 KiB: give the fiber a larger one (FiberOptions::stack_size)");
}

}  // namespace

void InlineExecutor::Schedule(WorkItem& item) noexcept {
  std::unique_lock<std::mutex> lock(mutex_);
  PLAIT_CHECK(!closed_, "work was scheduled on an InlineExecutor that was closed");
  queue_.Push(item);
  if (runner_ == nullptr) RunItems(lock);
}

void InlineExecutor::RunItems(std::unique_lock<std::mutex>& lock) {
  CheckStack();
  runner_ = &thread_state;
  // The caller may be in the middle of a task of another executor: that is not to be seen, nor
  // disturbed.
  const internal::ThreadState callers = thread_state;
  const internal::ForkFloor floor(callers.forks);
  while (WorkItem* item = queue_.Pop()) {
    lock.unlock();
    thread_state = internal::ThreadState();
    item->run(*item);
    lock.lock();
  }
  thread_state = callers;
  runner_ = nullptr;
  if (closing_) drained_.notify_one();
}

absl::Status InlineExecutor::Close() {
  std::unique_lock<std::mutex> lock(mutex_);
  if (closed_) return absl::OkStatus();
  if (runner_ == &thread_state) {
    return absl::FailedPreconditionError(
        "InlineExecutor::Close: it cannot be called from work that it runs, for which it waits");
  }
  closing_ = true;
  lock.unlock();
  internal::BeginClosing(*this);
  lock.lock();
  drained_.wait(lock, [this] { return runner_ == nullptr && !internal::HasTasks(*this); });
  closed_ = true;
  return absl::OkStatus();
}

InlineExecutor::~InlineExecutor() {
  const absl::Status closed = Close();
  PLAIT_CHECK(closed.ok(), closed.ToString());
}

}  // namespace plait
