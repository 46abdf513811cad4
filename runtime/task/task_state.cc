#include "plait/runtime/task/task_state.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "plait/runtime/task/child_visit.h"
#include "plait/runtime/task/describe_exception.h"
#include "plait/runtime/task/task_group.h"
#include "plait/runtime/task/task_local.h"

namespace plait::internal {

constinit thread_local TaskIds task_ids;

uint64_t NextIdOfNewBlock() noexcept {
  constexpr uint64_t kBlock = 1024;
  static constinit Atomic<uint64_t> next_block{1};
  task_ids.next = next_block.fetch_add(kBlock, kRelaxed);
  task_ids.end = task_ids.next + kBlock;
  return task_ids.next++;
}

void TaskState::DropRest() noexcept {
  UnrefLocals(context_.locals());
  delete ExtrasIn(context_.rarities.load(kRelaxed));
}

inline void TaskState::AdoptAs(Owner owner, Executor& executor, TaskGroup* group,
                               const TaskLocalNode* locals) noexcept {
  context_.executor = &executor;
  if (locals != nullptr) [[unlikely]]
    KeepLocals(*RefLocals(locals));
  // The only reference so far is the caller's, so this need not be atomic.
  references_.store(2 * kReference | owner, kRelaxed);
  const bool open = owner == kGroup ? group->children().Add(*this)
                                    : executor.tasks().Add(*this, owner == kOwnExecutor);
  if (!open) [[unlikely]]
    stop_.RequestStop();
  if (owner == kGroup && group->context().executor != &executor) [[unlikely]]
    extras().visit = ChildVisit::Begin(executor, *this);
  if (TaskObserver* observer = executor.hooks().observer) [[unlikely]] {
    const TaskContext* parent = TaskContext::Current();
    observer->OnStart({.id = id_, .name = name()}, parent == nullptr ? 0 : parent->task->id());
  }
}

void TaskState::Adopt(Executor& executor, TaskGroup* group, const TaskLocalNode* locals) noexcept {
  const TaskContext* const spawner = TaskContext::Current();
  const bool own = spawner != nullptr && spawner->executor == &executor;
  AdoptAs(group != nullptr ? kGroup : own ? kOwnExecutor : kExecutor, executor, group, locals);
}

inline void TaskState::ScheduleHere(Executor& executor) noexcept {
  if (&executor == thread_state.list_executor) {
    thread_state.local_ready->Push(*this);
  } else {
    executor.Schedule(*this);
  }
}

void TaskState::StartIn(const TaskContext& spawner) noexcept {
  Executor& executor = *spawner.executor;
  // As AdoptAs does.
  context_.executor = &executor;
  references_.store(2 * kReference | kOwnExecutor, kRelaxed);
  if (spawner.locals() != nullptr || executor.hooks().observer != nullptr ||
      !executor.tasks().AddQuickly(*this)) [[unlikely]] {
    return StartAtLength(spawner);
  }
  ScheduleHere(executor);
}

void TaskState::StartAtLength(const TaskContext& spawner) noexcept {
  AdoptAs(kOwnExecutor, *spawner.executor, nullptr, spawner.locals());
  ScheduleHere(*spawner.executor);
}

void TaskState::Start(bool eager) noexcept {
  // How deep eager tasks start each other on one stack; beyond it they queue.
  constexpr int kMaxEagerDepth = 16;
  if (eager && thread_state.context != nullptr && thread_state.nested < kMaxEagerDepth &&
      thread_state.context->executor == context_.executor) {
    // A thread that blocks in it is to be known by it; and by the one that began it afterwards.
    Atomic<const void*>* const shown = thread_state.shown_task;
    const void* const outer = shown != nullptr ? shown->load(kRelaxed) : nullptr;
    if (shown != nullptr) shown->store(this, kRelaxed);
    ResumeNested(*this);
    if (shown != nullptr) shown->store(outer, kRelaxed);
  } else {
    context_.executor->Schedule(*this);
  }
}

bool TaskState::EndUnrun() noexcept {
  if (!SetStatusResult(absl::CancelledError("the task was cancelled before it started"))) {
    return false;
  }
  Finish();
  return true;
}

void TaskState::RunDone(WorkItem& item) noexcept { static_cast<TaskState&>(item).Finish(); }

void TaskState::Reject(absl::Status status) noexcept {
  DropCoroutine();
  SetStatusResult(std::move(status));
  MarkDone(TaskObserver::Ending::kCancelled);
}

void TaskState::TellOfEnding(TaskObserver::Ending ending) noexcept {
  context_.executor->hooks().observer->OnEnd({.id = id_, .name = name()}, ending);
}

void TaskState::Finish() noexcept {
  MarkDone(NoteEnding());
  const Owner owned_by = owner();
  if (owned_by == kGroup) {
    TaskGroup::ChildDone(*siblings(), *this);
  } else {
    context_.executor->tasks().Remove(*this, owned_by == kOwnExecutor);
  }
  Unref();
}

void TaskState::AppendReason() {
  const std::string reason = cancel_reason();
  if (reason.empty()) return;
  const absl::Status old = error();
  if (absl::IsCancelled(old)) {
    SetStatusResult(absl::CancelledError(absl::StrCat(old.message(), ": ", reason)));
  }
}

void TaskState::Destroy() noexcept {
  if (waiters_.load(kRelaxed) == DoneWith(TaskObserver::Ending::kFailed)) [[unlikely]]
    ReportLost();  // nobody has retrieved it
  delete this;
}

void TaskState::ReportLost() const noexcept {
  // A handle may outlive the executor, which is sure to be there only on its own threads.
  const TaskContext* running = TaskContext::Current();
  const bool on_executor = (running != nullptr && running->executor == context_.executor) ||
                           thread_state.local_executor == context_.executor;
  const absl::Status status = error();
  const Report report{
      .kind = ReportKind::kErrorNeverRetrieved,
      .task_id = id_,
      .task_name = std::string(name()),
      .message = absl::StrCat(Describe(*this), " failed and nobody looked at its result: ",
                              status.ok() ? DescribeException(exception()) : status.ToString())};
  (on_executor ? context_.executor->hooks() : ExecutorHooks()).Tell(report);
}

void TaskState::KeepLocals(const TaskLocalNode& locals) {
  if (context_.rarities.load(kRelaxed) == 0) {
    context_.set_locals(&locals);
  } else {
    extras().locals = &locals;  // of one with a name
  }
}

TaskExtras& TaskState::extras() {
  TaskRarities::Word present = context_.rarities.load(kAcquire);
  if (TaskExtras* const there = ExtrasIn(present)) return *there;
  auto fresh = std::make_unique<TaskExtras>();
  if (const char* const lasting = NameIn(present)) fresh->name = lasting;
  fresh->locals = TaskRarities::LocalsIn(present);
  // Release: its contents are visible to whoever finds it. Acquire, where that is another's: and
  // its to us.
  if (context_.rarities.compare_exchange_strong(present, TaskRarities::Extras(fresh.get()),
                                                kRelease, kAcquire)) {
    return *fresh.release();
  }
  return *ExtrasIn(present);
}

void TaskState::EndVisit() noexcept {
  // Relaxed: they were made before it was started.
  ExtrasIn(context_.rarities.load(kRelaxed))->visit->End(*context_.executor);
}

void TaskState::AddGroup(TaskLink& group) noexcept {
  TaskExtras& mine = extras();
  SpinLockHolder hold(mine.lock);
  group.previous = mine.groups.previous;
  group.next_task = &mine.groups;
  mine.groups.previous->next_task = &group;
  mine.groups.previous = &group;
}

void TaskState::RemoveGroup(TaskLink& group) noexcept {
  SpinLockHolder hold(extras().lock);
  group.previous->next_task = group.next_task;
  group.next_task->previous = group.previous;
}

std::string TaskState::cancel_reason() const {
  TaskExtras* const extras = ExtrasIn(context_.rarities.load(kAcquire));
  if (extras == nullptr) return "";
  SpinLockHolder hold(extras->lock);
  return extras->cancel_reason;
}

uintptr_t TaskState::TakeWaiters(uintptr_t now) noexcept {
  for (int round = 0;; ++round) {
    uintptr_t waiters = waiters_.load(kRelaxed);
    if ((waiters & kDone) != 0) return waiters;
    // Release: the result is visible to whoever sees done. Acquire: the waiters' contents are
    // visible here.
    if (waiters != kLocked && waiters_.compare_exchange_weak(waiters, now, kAcqRel, kRelaxed)) {
      return waiters;
    }
    SpinWait(round);
  }
}

bool TaskState::RemoveWaiter(WorkItem& waiter) noexcept {
  const uintptr_t waiters = TakeWaiters(kLocked);
  if ((waiters & kDone) != 0) return false;
  WorkItem* head = ListIn(waiters);
  WorkItem** link = &head;
  while (*link != nullptr && *link != &waiter) link = &(*link)->next;
  const bool found = *link != nullptr;
  if (found) *link = waiter.next;
  // Release: what was added before is visible to whoever takes the list.
  waiters_.store(WordOf(head), kRelease);
  return found;
}

void TaskState::MarkDone(TaskObserver::Ending ending) noexcept {
  WorkItem* waiter = ListIn(TakeWaiters(DoneWith(ending)));
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

bool TaskState::Cancel(absl::string_view reason) noexcept {
  if (done()) return false;
  if (!reason.empty() && !cancel_requested()) {
    // Before the request, so that whoever sees that sees the reason.
    std::string copy(reason);
    TaskExtras& mine = extras();
    SpinLockHolder hold(mine.lock);
    if (mine.cancel_reason.empty()) mine.cancel_reason.swap(copy);
  }
  return stop_.RequestStop();
}

bool TaskState::AddWaiter(WorkItem& waiter) noexcept {
  for (int round = 0;; ++round) {
    uintptr_t waiters = waiters_.load(kAcquire);  // acquire: done, and then the result, may be seen
    if ((waiters & kDone) != 0) return false;
    if (waiters != kLocked) {
      waiter.next = ListIn(waiters);
      // Release: Finish sees the waiter's contents, and through it those of the others: a chain of
      // read-modify-writes carries them on.
      if (waiters_.compare_exchange_weak(waiters, WordOf(&waiter), kRelease, kRelaxed)) return true;
    }
    SpinWait(round);
  }
}

namespace {

template <class Registry>
std::vector<TaskRef<TaskState>> RefAll(Registry& registry) {
  std::vector<TaskRef<TaskState>> tasks;
  tasks.reserve(registry.size());  // so that mostly nothing is allocated under the lock
  registry.ForEach([&](TaskLink& link) {
    auto& task = static_cast<TaskState&>(link);
    task.Ref();
    tasks.emplace_back(&task);
  });
  return tasks;
}

}  // namespace

std::vector<TaskRef<TaskState>> TasksIn(TaskRegistry& registry) { return RefAll(registry); }
std::vector<TaskRef<TaskState>> TasksIn(ExecutorTasks& tasks) { return RefAll(tasks); }

void CancelAll(TaskRegistry& registry) {
  for (const auto& task : RefAll(registry)) task->Cancel();
}
void CancelAll(ExecutorTasks& tasks) {
  for (const auto& task : RefAll(tasks)) task->Cancel();
}

std::string Describe(const TaskState& task) {
  return task.name().empty() ? absl::StrCat("task ", task.id())
                             : absl::StrCat("task ", task.id(), " \"", task.name(), "\"");
}

}  // namespace plait::internal
