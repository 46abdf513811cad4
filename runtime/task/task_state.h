// TaskState: a spawned task, from Spawn to the last handle's end. Behind JoinHandle, TaskGroup and
// Run; internal.
//
//   created --Start--> queued --RunStart--> running --coroutine ends--> done
//                     \--cancelled, and T can say so: without running--/
//
// An eager start is RunStart inside Start. A task that waits for its group's limit is created only.
// One that is awaited while it is what its thread would run next is called by who awaits it, as a
// Task is (RunCalled): it leaves the queue, which nobody else has looked at since, and where it
// ends without having waited its awaiter is never suspended.
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
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/executor.h"
#include "plait/runtime/core/frame_allocator.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/core/task_registry.h"
#include "plait/runtime/task/promise.h"
#include "plait/runtime/task/result.h"
#include "plait/runtime/task/status_traits.h"
#include "plait/runtime/task/stop_token.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/task/task_context.h"
#include "plait/runtime/task/task_observer.h"

namespace plait {

class TaskGroup;
class TaskLocals;

// A task's name that is there as long as the program, and so is not copied:
//   constexpr plait::TaskName kConnection{"connection"};
struct alignas(8) TaskName {
  const char* text;
};

namespace internal {

class ChildVisit;

struct TaskExtras : TaskExtrasBase {
  std::string name;
  SpinLock lock;  // guards what follows
  std::string cancel_reason;
  ChildVisit* visit = nullptr;  // of a group's child on another executor; its own
  TaskLink groups;              // the groups that the task has open: a ring with this as its anchor

  TaskExtras() noexcept { groups.previous = groups.next_task = &groups; }
};

// Unique numbers, handed to threads by the block so that a spawn does not touch shared memory for
// one.
struct TaskIds {
  uint64_t next = 0;
  uint64_t end = 0;
};
[[gnu::tls_model("initial-exec")]] extern constinit thread_local TaskIds task_ids;
uint64_t NextIdOfNewBlock() noexcept;
inline uint64_t NextTaskId() noexcept {
  if (task_ids.next == task_ids.end) [[unlikely]]
    return NextIdOfNewBlock();
  return task_ids.next++;
}

// What most tasks come by, each once, is in line; what few need is not.
class TaskState : public WorkItem, public TaskLink {
 public:
  static void* operator new(size_t size) { return AllocateFrame(size); }
  static void operator delete(void* state, size_t size) noexcept { FreeFrame(state, size); }

  void Ref() noexcept { references_.fetch_add(kReference, kRelaxed); }
  // Acquire and release: whoever deletes sees what the others did.
  void Unref() noexcept {
    // The last reference needs no locked instruction: nobody else can make another.
    if (references_.load(kAcquire) < 2 * kReference ||
        references_.fetch_sub(kReference, kAcqRel) < 2 * kReference) {
      Destroy();
    }
  }

  // Where the task will run, and who owns it: `group`, of which it was made a child, or null for
  // the executor itself. Then Start.
  void Adopt(Executor& executor, TaskGroup* group, const TaskLocalNode* locals) noexcept;
  // Queues the task, or, `eager` and on a thread of its executor, runs it up to its first wait.
  void Start(bool eager) noexcept;

  // Adopt and Start for a task that `spawner`, which runs, begins as most are.
  void StartIn(const TaskContext& spawner) noexcept;

  // On the thread of `awaiter`, a coroutine that runs: takes the task out of its queue if it is
  // what this thread would run next and may run here. Then it is the caller's to call. (This and
  // RunCalled are in line with the await in join_handle.cc.)
  [[nodiscard]] inline bool TakeIfNext(const PromiseBase& awaiter) noexcept;
  // Then: runs `coroutine`, which is its, up to its first wait. True if it has ended. Else the
  // awaiter must be suspended, as after Call. `join` is of the awaiter. `sole`: only who awaits it
  // has a handle, which nobody uses meanwhile.
  [[nodiscard]] inline bool RunCalled(PromiseBase& coroutine, PromiseBase& awaiter,
                                      CalledJoin& join, bool sole) noexcept;

  // Instead of Start: the task is done at once and never ran, with `status` if its type can carry
  // it.
  void Reject(absl::Status status) noexcept;

  // Acquire: the result is visible once this is true.
  bool done() const noexcept { return (waiters_.load(kAcquire) & kDone) != 0; }

  // Asks the task to end. False when it was asked before or is done.
  bool Cancel(absl::string_view reason = {}) noexcept;
  bool cancel_requested() const noexcept { return stop_.stop_requested(); }
  // The first reason that was given, or empty.
  std::string cancel_reason() const;
  // Valid once done.
  bool ended_cancelled() const noexcept { return ending() == TaskObserver::Ending::kCancelled; }
  bool ended_badly() const noexcept { return ending() != TaskObserver::Ending::kOk; }
  // Somebody has seen how it ended. Once done. Release: others may learn from this that it is done.
  void MarkRetrieved() noexcept { waiters_.store(waiters_.load(kRelaxed) | kRetrieved, kRelease); }

  // Runs `waiter` when the task is done, on the thread that ends it; it must be brief. False when
  // it is done already.
  [[nodiscard]] bool AddWaiter(WorkItem& waiter) noexcept;
  // True when `waiter` was waiting and now never runs; false when it has run or is about to. Takes
  // as long as there are waiters.
  [[nodiscard]] bool RemoveWaiter(WorkItem& waiter) noexcept;

  uint64_t id() const noexcept { return id_; }
  absl::string_view name() const noexcept {
    const TaskRarities::Word word = context_.rarities.load(kAcquire);
    if (const char* const lasting = NameIn(word)) return lasting;
    const TaskExtras* const extras = ExtrasIn(word);
    return extras == nullptr ? absl::string_view() : absl::string_view(extras->name);
  }
  // Before it starts.
  void set_name(absl::string_view name) {
    if (!name.empty()) extras().name = std::string(name);
  }
  void set_name(const TaskName& name) noexcept {
    context_.rarities.store(TaskRarities::Name(&name), kRelaxed);
  }
  const TaskContext& context() const noexcept { return context_; }

  // The coroutine itself, until it has a result; valid on the thread that runs it. Else null.
  virtual const PromiseBase* coroutine() const noexcept = 0;
  bool started() const noexcept { return run == &RunDone; }

  // Of a group's child on another executor, which has ended: that is told.
  void EndVisit() noexcept;

  // The task's own thread: a group that it opens, until it closes it.
  void AddGroup(TaskLink& group) noexcept;
  void RemoveGroup(TaskLink& group) noexcept;
  // Calls `visit(link)` for each, oldest first, under a lock. Any thread.
  template <class Visit>
  void ForEachGroup(Visit visit) {
    TaskExtras* const extras = ExtrasIn(context_.rarities.load(kAcquire));
    if (extras == nullptr) return;
    SpinLockHolder hold(extras->lock);
    for (TaskLink* l = extras->groups.next_task; l != &extras->groups; l = l->next_task) visit(*l);
  }

  // How it failed: the status it ended with if that is an error. Valid once done.
  virtual absl::Status error() const = 0;
  // The exception that left it, or null. Valid once done.
  virtual std::exception_ptr exception() const = 0;

 protected:
  // `start` is run when it starts: unless EndsUnrun, it gives StartWith the coroutine. (`id` is
  // made before the object is begun, so that this writes each of its fields once.)
  explicit TaskState(RunFunction start, uint64_t id = NextTaskId()) noexcept
      : WorkItem(start, Unlinked()), id_(id) {
    context_.stop = &stop_;
    context_.task = this;
  }
  // The coroutine is gone.
  virtual ~TaskState() {
    if (context_.rarities.load(kRelaxed) != 0) [[unlikely]]
      DropRest();
  }

  // Makes it the task's coroutine.
  void Take(PromiseBase& coroutine) noexcept {
    coroutine.context = &context_;
    coroutine.continuation = this;
  }
  // Runs it up to its first wait.
  void StartWith(PromiseBase& coroutine) noexcept {
    run = &RunDone;
    ResumeTask(coroutine);
  }
  // True, and the task is done and may be gone, where it was cancelled before it has begun and can
  // say so.
  [[nodiscard]] bool EndsUnrun() noexcept { return stop_.stop_requested() && EndUnrun(); }

  // Destroys the coroutine, which has not run; it has none from then on.
  virtual void DropCoroutine() noexcept = 0;
  // The list of the group that it was made a child of.
  virtual TaskRegistry* siblings() noexcept { return nullptr; }

  // Ends a task without running it, with `status`; false if its type cannot carry one.
  virtual bool SetStatusResult(absl::Status status) = 0;
  // Called once, when the coroutine has ended, before anybody hears of it. Types that can't say
  // that they were cancelled count as cancelled if that was asked.
  virtual TaskObserver::Ending HowItEnded() = 0;
  // For that: a stop of who has called it has been passed on by then.
  bool cancel_arrived() const noexcept { return stop_.stop_requested_here(); }

 private:
  // In whose list it is, in the lowest bits of references_.
  enum Owner : uint32_t {
    kExecutor = 0,     // in its list of those that came from elsewhere
    kOwnExecutor = 1,  // begun on a thread of the executor
    kGroup = 2,
    kOwnerBits = 3,
  };
  static constexpr uint32_t kReference = 4;

  // Adopt, by `group` where that is the owner.
  inline void AdoptAs(Owner owner, Executor& executor, TaskGroup* group,
                      const TaskLocalNode* locals) noexcept;
  Owner owner() const noexcept {
    return static_cast<Owner>(references_.load(kRelaxed) & kOwnerBits);
  }
  // Start of one that is not eager, on a thread of `executor`.
  inline void ScheduleHere(Executor& executor) noexcept;
  // StartIn where there is more to do than mostly.
  void StartAtLength(const TaskContext& spawner) noexcept;
  static void RunDone(WorkItem& item) noexcept;
  bool EndUnrun() noexcept;
  void Finish() noexcept;
  // Finish of one that was called with `sole`: the same without a locked instruction, where it is
  // so that nobody else knows of the task.
  inline void FinishForSole() noexcept;
  // How it ended, before anybody hears of it.
  TaskObserver::Ending NoteEnding() noexcept {
    const TaskObserver::Ending ending = HowItEnded();
    if (ending == TaskObserver::Ending::kCancelled) [[unlikely]]
      AppendReason();
    if (context_.executor->hooks().observer != nullptr) [[unlikely]]
      TellOfEnding(ending);
    return ending;
  }
  void TellOfEnding(TaskObserver::Ending ending) noexcept;
  // Puts the reason of a cancel into the status that the task ends with.
  void AppendReason();
  // Tells of an error that nobody has seen and nobody can see any more.
  void ReportLost() const noexcept;
  void Destroy() noexcept;
  // The destructor's, of what few have by then.
  void DropRest() noexcept;
  // Made when first needed. Any thread.
  TaskExtras& extras();
  // Before it starts. Takes over a reference.
  void KeepLocals(const TaskLocalNode& locals);
  static const char* NameIn(TaskRarities::Word word) noexcept {
    const void* const name = TaskRarities::NameIn(word);
    return name == nullptr ? nullptr : static_cast<const TaskName*>(name)->text;
  }
  static TaskExtras* ExtrasIn(TaskRarities::Word word) noexcept {
    return static_cast<TaskExtras*>(TaskRarities::ExtrasIn(word));
  }
  // Publishes the result and runs the waiters.
  void MarkDone(TaskObserver::Ending ending) noexcept;

  // What waiters_ is: the list of those who wait, kLocked while RemoveWaiter has that, or, once the
  // task is done, kDone with how it ended, and kRetrieved once somebody has seen that. (A waiter's
  // address has none of these bits.)
  static constexpr uintptr_t kDone = 1;
  static constexpr uintptr_t kLocked = 2;
  static constexpr uintptr_t kRetrieved = 4;
  static constexpr int kEndingShift = 3;
  static constexpr uintptr_t DoneWith(TaskObserver::Ending ending) noexcept {
    return kDone | static_cast<uintptr_t>(ending) << kEndingShift;
  }
  // Once done.
  TaskObserver::Ending ending() const noexcept {
    return static_cast<TaskObserver::Ending>(waiters_.load(kRelaxed) >> kEndingShift);
  }
  static WorkItem* ListIn(uintptr_t waiters) noexcept {
    return reinterpret_cast<WorkItem*>(waiters);
  }
  static uintptr_t WordOf(WorkItem* list) noexcept { return reinterpret_cast<uintptr_t>(list); }

  // Replaces the list by `now`; returns what it was, or what says that it is done, and is left.
  uintptr_t TakeWaiters(uintptr_t now) noexcept;

  TaskContext context_;
  [[no_unique_address]] StopState stop_;  // ends with padding
  Atomic<uint32_t> references_{kReference};
  Atomic<uintptr_t> waiters_{0};  // newest first
  uint64_t id_;
};

template <class T>
class TaskStateOf : public TaskState {
 public:
  explicit TaskStateOf(TaskPromise<T>& promise) noexcept
      : TaskState(&RunStart), result_(static_cast<PromiseBase*>(&promise)) {
    Take(promise);
    promise.result = &result_;
  }
  ~TaskStateOf() override {
    if (result_.pending() != nullptr) [[unlikely]]
      DropCoroutine();
  }

  Result<T>& result() noexcept { return result_; }

  const PromiseBase* coroutine() const noexcept override {
    return static_cast<const PromiseBase*>(result_.pending());
  }
  // The same where it is known that it has not ended.
  PromiseBase& known_coroutine() const noexcept {
    return *static_cast<PromiseBase*>(result_.known_pending());
  }

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
      DropCoroutine();  // one that has not run is where the result goes
      result_.Emplace(std::move(status));
      return true;
    } else {
      static_cast<void>(status);
      return false;
    }
  }
  TaskObserver::Ending HowItEnded() override {
    using Ending = TaskObserver::Ending;
    if (!result_.has_value()) return Ending::kFailed;  // an exception
    if constexpr (kCarriesStatus<T>) {
      const absl::Status& status = StatusOf(result_.value());
      if (status.ok()) return Ending::kOk;
      return absl::IsCancelled(status) ? Ending::kCancelled : Ending::kFailed;
    } else {
      return cancel_arrived() ? Ending::kCancelled : Ending::kOk;
    }
  }
  void DropCoroutine() noexcept override {
    if (void* const coroutine = result_.TakePending()) {
      static_cast<PromiseBase*>(coroutine)->handle().destroy();
    }
  }

 private:
  static void RunStart(WorkItem& item) noexcept {
    auto& self = static_cast<TaskStateOf&>(item);
    if (!self.EndsUnrun()) [[likely]]
      self.StartWith(self.known_coroutine());
  }

  Result<T> result_;  // pending: the coroutine, until it leaves its result
};

// There may be very many that wait for something to happen.
static_assert(sizeof(TaskStateOf<absl::Status>) <= 120);

// A group's.
template <class T>
class ChildStateOf final : public TaskStateOf<T> {
 public:
  ChildStateOf(TaskPromise<T>& promise, TaskRegistry& siblings) noexcept
      : TaskStateOf<T>(promise), siblings_(siblings) {}

 private:
  TaskRegistry* siblings() noexcept override { return &siblings_; }

  TaskRegistry& siblings_;
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

// The tasks in `registry`, oldest first. Any thread.
std::vector<TaskRef<TaskState>> TasksIn(TaskRegistry& registry);
// The same, but that those which came from elsewhere are before those that the executor's threads
// have begun.
std::vector<TaskRef<TaskState>> TasksIn(ExecutorTasks& tasks);

// Cancels every task in `registry`, oldest first. Any thread.
void CancelAll(TaskRegistry& registry);
void CancelAll(ExecutorTasks& tasks);

// "task 7 "fetch"".
std::string Describe(const TaskState& task);

}  // namespace internal
}  // namespace plait

#endif  // PLAIT_RUNTIME_TASK_TASK_STATE_H_
