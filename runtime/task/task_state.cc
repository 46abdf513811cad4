#include "plait/runtime/task/task_state.h"

#include <vector>

#include "plait/runtime/task/task_group.h"

namespace plait::internal {
namespace {

// Unique numbers, handed to threads by the block so that a spawn does not touch shared memory for
// one.
uint64_t NextTaskId() noexcept {
  constexpr uint64_t kBlock = 1024;
  static constinit Atomic<uint64_t> next_block{1};
  struct Range {
    uint64_t next = 0;
    uint64_t end = 0;
  };
  static constinit thread_local Range range;
  if (range.next == range.end) {
    range.next = next_block.fetch_add(kBlock, kRelaxed);
    range.end = range.next + kBlock;
  }
  return range.next++;
}

}  // namespace

constinit WorkItem TaskState::kDone;

TaskState::TaskState(PromiseBase& promise) noexcept
    : WorkItem(&RunStart), promise_(&promise), id_(NextTaskId()) {
  context_.stop = &stop_;
  context_.task = this;
  promise.context = &context_;
  promise.continuation = this;
}

TaskState::~TaskState() {
  if (promise_ != nullptr) promise_->handle().destroy();  // never started
}

void TaskState::Start(Executor& executor, TaskGroup* group) noexcept {
  context_.executor = &executor;
  in_group_ = group != nullptr;
  registry_ = in_group_ ? &group->children() : &executor.tasks();
  // The only reference so far is the caller's, so this need not be atomic.
  references_.store(2, kRelaxed);
  if (!registry_->Add(*this)) stop_.RequestStop();
  executor.Schedule(*this);
}

void TaskState::RunStart(WorkItem& item) noexcept {
  auto& self = static_cast<TaskState&>(item);
  PromiseBase* promise = std::exchange(self.promise_, nullptr);
  if (self.stop_.stop_requested() &&
      self.SetStatusResult(absl::CancelledError("the task was cancelled before it started"))) {
    promise->handle().destroy();
    self.Finish();
    return;
  }
  self.run = &RunDone;
  ResumeTask(*promise);
}

void TaskState::RunDone(WorkItem& item) noexcept { static_cast<TaskState&>(item).Finish(); }

void TaskState::Reject(absl::Status status) noexcept {
  std::exchange(promise_, nullptr)->handle().destroy();
  SetStatusResult(std::move(status));
  ended_cancelled_ = true;
  MarkDone();
}

void TaskState::Finish() noexcept {
  ended_cancelled_ = ResultIsCancelled();
  MarkDone();
  if (in_group_) {
    TaskGroup::ChildDone(*registry_, *this);
  } else {
    registry_->Remove(*this);
  }
  Unref();
}

void TaskState::MarkDone() noexcept {
  // Release: the result is visible to whoever sees done. Acquire: the waiters' contents are visible
  // here.
  WorkItem* waiter = waiters_.exchange(&kDone, kAcqRel);
  WorkItem* oldest = nullptr;
  while (waiter != nullptr) {
    WorkItem* next = waiter->next;
    waiter->next = oldest;
    oldest = waiter;
    waiter = next;
  }
  while (oldest != nullptr) {
    WorkItem* next = oldest->next;
    oldest->run(*oldest);
    oldest = next;
  }
}

bool TaskState::Cancel() noexcept { return !done() && stop_.RequestStop(); }

bool TaskState::AddWaiter(WorkItem& waiter) noexcept {
  WorkItem* head = waiters_.load(kAcquire);
  do {
    if (head == &kDone) return false;
    waiter.next = head;
    // Release: Finish sees the waiter's contents. Acquire on failure: we may see done, and then the
    // result.
  } while (!waiters_.compare_exchange_weak(head, &waiter, kRelease, kAcquire));
  return true;
}

void CancelAll(TaskRegistry& registry) {
  std::vector<TaskRef<TaskState>> tasks;
  tasks.reserve(registry.size());  // so that mostly nothing is allocated under the lock
  registry.ForEach([&](TaskLink& link) {
    auto& task = static_cast<TaskState&>(link);
    if (task.cancel_requested()) return;
    task.Ref();
    tasks.emplace_back(&task);
  });
  for (const auto& task : tasks) task->Cancel();
}

}  // namespace plait::internal
