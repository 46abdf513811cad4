// A spawned task's state under the explorer: its end against those who look, wait, leave, cancel it
// and drop their handles.
//
// Traps: the wake-up lost between check and park, which is a deadlock here; cancel racing
// completion; a state that is used after its last reference has gone.
#include <coroutine>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "gtest/gtest.h"
#include "plait/runtime/core/executor.h"
#include "plait/runtime/core/thread_state.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/task/join_handle.h"
#include "plait/runtime/task/promise.h"
#include "plait/runtime/task/spawn.h"
#include "plait/runtime/task/stop_token.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/task/task_context.h"
#include "plait/runtime/task/task_local.h"
#include "plait/runtime/task/task_state.h"
#include "plait/runtime/testing/explorer/expect.h"
#include "plait/runtime/testing/explorer/explorer.h"

namespace plait::internal {
namespace {

using explorer::Event;
using explorer::ExpectAllExecutionsPass;
using explorer::ExpectMutantsKilled;
using explorer::Parallel;
using explorer::Require;
using explorer::Scenario;
using explorer::Shorter;

// Keeps the one task that was scheduled until a thread runs it.
class Later final : public Executor {
 public:
  void Schedule(WorkItem& item) noexcept override { item_ = &item; }
  bool TakeIfNext(WorkItem& item) noexcept override {
    Require(item_ == &item, "what was scheduled is next");
    return std::exchange(item_, nullptr) != nullptr;
  }
  void Run() { item_->run(*item_); }
  const WorkItem* next() const { return item_; }

 private:
  WorkItem* item_ = nullptr;
};

Task<std::unique_ptr<int>> Seven() { co_return std::make_unique<int>(7); }

using State = TaskStateOf<std::unique_ptr<int>>;

TaskRef<State> Start(Later& executor) {
  TaskRef<State> state = MakeTaskState(Seven(), "");
  StartSpawned(*state, {.executor = &executor});
  return state;
}

void RequireSeven(State& state) {
  Require(*state.result().value() == 7, "who sees that it is done sees the result");
}

class Waiter : public WorkItem {
 public:
  Waiter() : WorkItem(&Run) {}

  // Until the task is done.
  void Await(TaskState& task) {
    if (task.AddWaiter(*this)) woken_.Wait();
  }

 private:
  static void Run(WorkItem& item) noexcept {
    auto& self = static_cast<Waiter&>(item);
    ++self.times_;
    Require(self.times_ == 1, "it is told once");
    self.woken_.Set();
  }

  int times_ = 0;
  Event woken_;
};

void OneLooks() {
  Later executor;
  const TaskRef<State> state = Start(executor);
  Parallel({[&] { executor.Run(); },
            [&] {
              if (state->done()) RequireSeven(*state);
            }});
  Require(state->done(), "it has ended");
}

void OneWaits() {
  Later executor;
  const TaskRef<State> state = Start(executor);
  Parallel({[&] { executor.Run(); },
            [&] {
              // On the heap, so that whoever comes too late uses memory that was freed.
              const auto waiter = std::make_unique<Waiter>();
              waiter->Await(*state);
              RequireSeven(*state);
            }});
}

void TwoWaitAndOneOfThemLeaves() {
  Later executor;
  const TaskRef<State> state = Start(executor);
  Parallel({[&] { executor.Run(); },
            [&] {
              const auto waiter = std::make_unique<Waiter>();
              waiter->Await(*state);
              RequireSeven(*state);
            },
            [&] {
              struct Leaver : WorkItem {
                Leaver()
                    : WorkItem(
                          [](WorkItem& item) noexcept { static_cast<Leaver&>(item).told.Set(); }) {}
                Event told;
              };
              const auto leaver = std::make_unique<Leaver>();
              if (state->AddWaiter(*leaver) && !state->RemoveWaiter(*leaver)) leaver->told.Wait();
            }});
}

// The task's own reference, and two handles.
void AllHandlesAreDropped() {
  Later executor;
  TaskRef<State> one = Start(executor);
  TaskRef<State> other = one;
  const auto look_and_drop = [](TaskRef<State> handle) {
    if (handle->done()) RequireSeven(*handle);
  };
  Parallel({[&] { executor.Run(); }, [&] { look_and_drop(std::move(one)); },
            [&] { look_and_drop(std::move(other)); }});
}

void TwoCancelAndOneAsksWhy() {
  Later executor;
  const TaskRef<State> state = Start(executor);
  bool first = false, second = false;
  Parallel({[&] { first = state->Cancel("one"); }, [&] { second = state->Cancel("two"); },
            [&] {
              const bool asked = state->cancel_requested();
              const std::string reason = state->cancel_reason();
              Require(!asked || reason == "one" || reason == "two", "it is seen with its reason");
            }});
  Require(first != second, "one of them makes the request");
  executor.Run();
}

// A name that is not copied moves when there is a reason to keep as well. Meanwhile somebody reads
// it, and looks at the groups that the task has open.
void ANameAndACancel() {
  static constexpr TaskName kName{"seven"};
  Later executor;
  const TaskRef<State> state = MakeTaskState(Seven(), "", &kName);
  StartSpawned(*state, {.executor = &executor});
  Parallel({[&] { state->Cancel("a reason"); },
            [&] { Require(state->name() == "seven", "it keeps its name"); },
            [&] {
              int groups = 0;
              state->ForEachGroup([&groups](TaskLink&) { ++groups; });
              Require(groups == 0, "there are none");
            }});
  executor.Run();
}

Task<std::unique_ptr<int>> LookAtLocals(const TaskLocalNode& expected) {
  Require(TaskContext::Current()->locals() == &expected, "it has its task-locals");
  co_return std::make_unique<int>(7);
}

// They move when there is a reason to keep as well.
void TaskLocalsAndACancel() {
  Later executor;
  auto* const node = new TaskLocalValue<int>(nullptr, nullptr, 5);
  TaskRef<State> state = MakeTaskState(LookAtLocals(*node), "");
  {
    const TaskLocals given(node);
    StartSpawned(*state, {.executor = &executor, .context = &given});
  }
  UnrefLocals(node);
  Parallel({[&] { executor.Run(); }, [&] { state->Cancel("a reason"); }});
  RequireSeven(*state);
}

// One of them takes note of that, which is where the other may learn that it is done.
void OneRetrievesItAndAnotherLooks() {
  Later executor;
  const TaskRef<State> state = Start(executor);
  const auto retrieve = [&] {
    if (!state->done()) return;
    state->MarkRetrieved();
    RequireSeven(*state);
  };
  Parallel({[&] { executor.Run(); }, retrieve,
            [&] {
              if (state->done()) RequireSeven(*state);
            }});
  Require(state->done() && !state->ended_badly(), "it has ended, and how is still known");
}

Task<int> Eight() { co_return 8; }

// As its only handle is given up to the await, its end is told to nobody else, unless they have
// found it among the executor's tasks.
void AwaitAtOnce(absl::FunctionRef<void(TaskStateOf<int>&)> who_finds_it) {
  struct Awaiter : PromiseBase {};
  Later executor;
  TaskRef<TaskStateOf<int>> state = MakeTaskState(Eight(), "");
  StartSpawned(*state, {.executor = &executor});
  JoinHandle<int> handle(std::move(state));
  Parallel({[&] {
              TaskContext context;
              context.executor = &executor;
              Awaiter promise;
              promise.context = &context;
              thread_state.budget = kReadyAwaits;
              JoinHandle<int> given_up = std::move(handle);
              JoinAwaiter<int> awaiter = std::move(given_up).operator co_await();
              const bool suspended =
                  awaiter.await_suspend(std::coroutine_handle<Awaiter>::from_promise(promise));
              Require(!suspended, "it is called, and has ended");
              const int value = awaiter.await_resume();
              Require(value == 8, "the awaiter has its result");
            },
            [&] {
              for (const TaskRef<TaskState>& found : TasksIn(executor.tasks())) {
                who_finds_it(static_cast<TaskStateOf<int>&>(*found));
              }
            }});
  Require(executor.tasks().size() == 0, "it has gone");
}

void TheAwaiterCallsItAndAnotherWaits() {
  AwaitAtOnce([](TaskStateOf<int>& found) {
    const auto waiter = std::make_unique<Waiter>();
    waiter->Await(found);
    Require(found.result().value() == 8, "who finds it sees its result");
  });
}

void TheAwaiterCallsItAndAnotherLooks() {
  AwaitAtOnce([](TaskStateOf<int>& found) {
    if (found.done()) Require(found.result().value() == 8, "who finds it sees its result");
  });
}

// A coroutine that awaits `task` at once, as its only handle is given up to that, is asked to stop
// meanwhile. The stop is there, with its reason, before `go_on` sees to what the task has waited
// for, if it has. Returns the task's result.
int AwaitAtOnceAndStop(Task<int> task, int& reason, absl::FunctionRef<void()> go_on) {
  struct Awaiter : PromiseBase {};
  Later executor;
  StopState stop;
  TaskContext context;
  context.executor = &executor;
  context.stop = &stop;
  Awaiter promise;
  promise.context = &context;
  TaskRef<TaskStateOf<int>> state = MakeTaskState(std::move(task), "");
  StartSpawned(*state, {.executor = &executor});
  JoinHandle<int> handle(std::move(state));
  JoinAwaiter<int> awaiter = std::move(handle).operator co_await();
  bool suspended = false;
  Parallel({[&] {
              thread_state.budget = kReadyAwaits;
              suspended =
                  awaiter.await_suspend(std::coroutine_handle<Awaiter>::from_promise(promise));
            },
            [&] {
              reason = 1;
              stop.RequestStop();
            }});
  if (suspended) {
    go_on();
    executor.Run();
    if (executor.next() != &promise) {
      // It was cancelled before it began, and only now has come to its wait.
      go_on();
      executor.Run();
    }
    Require(executor.next() == &promise, "who awaits it goes on");
  }
  return awaiter.await_resume();
}

Task<int> LookForStop(const int& reason) {
  if (!TaskContext::Current()->stop_requested()) co_return 0;
  Require(reason == 1, "who sees the stop sees its reason");
  co_return 1;
}

void TheAwaiterIsStoppedWhileItsTaskLooks() {
  int reason = 0;
  static_cast<void>(AwaitAtOnceAndStop(LookForStop(reason), reason, [] {}));
}

Task<int> CallbackOnStop(const int& reason) {
  int calls = 0;
  {
    const StopCallback on_stop(CurrentStopToken(), [&] {
      Require(reason == 1, "who is told of the stop sees its reason");
      ++calls;
    });
  }
  Require(calls <= 1, "it is told once");
  co_return calls;
}

void TheAwaiterIsStoppedWhileItsTaskHasACallback() {
  int reason = 0;
  static_cast<void>(AwaitAtOnceAndStop(CallbackOnStop(reason), reason, [] {}));
}

struct [[nodiscard]] UntilStopped : StopNode {
  PromiseBase* waiter = nullptr;

  bool await_ready() const noexcept { return false; }
  template <PlaitPromise P>
  bool await_suspend(std::coroutine_handle<P> suspended) noexcept {
    waiter = &suspended.promise();
    run = [](WorkItem& item) noexcept {
      static_cast<UntilStopped&>(static_cast<StopNode&>(item)).waiter->Schedule();
    };
    return waiter->context->stop->Register(*this);
  }
  void await_resume() const noexcept {}
};

Task<int> WaitForStop() {
  co_await UntilStopped();
  co_return 1;
}

void TheAwaiterIsStoppedWhileItsTaskWaitsForThat() {
  int reason = 0;
  const int value = AwaitAtOnceAndStop(WaitForStop(), reason, [] {});
  Require(value == 1, "it has been told");
}

struct [[nodiscard]] Pause {
  PromiseBase*& waiter;

  bool await_ready() const noexcept { return false; }
  template <PlaitPromise P>
  bool await_suspend(std::coroutine_handle<P> suspended) const noexcept {
    waiter = &suspended.promise();
    return true;
  }
  void await_resume() const noexcept {}
};

Task<int> PauseAndLook(PromiseBase*& paused) {
  co_await Pause{paused};
  co_return TaskContext::Current()->stop_requested() ? 1 : 0;
}

// It has asked for nothing when it is suspended: the join has to tell it.
void TheAwaiterIsStoppedWhileItsTaskPauses() {
  int reason = 0;
  PromiseBase* paused = nullptr;
  const int value = AwaitAtOnceAndStop(PauseAndLook(paused), reason, [&] {
    if (paused != nullptr) std::exchange(paused, nullptr)->Schedule();
  });
  Require(value == 1, "it has been told");
}

std::vector<Scenario> Scenarios() {
  return {{"one looks", OneLooks},
          {"one waits", OneWaits},
          {"two wait and one of them leaves", TwoWaitAndOneOfThemLeaves},
          {"all handles are dropped", AllHandlesAreDropped},
          {"two cancel and one asks why", TwoCancelAndOneAsksWhy},
          {"a name and a cancel", ANameAndACancel},
          {"task-locals and a cancel", TaskLocalsAndACancel},
          {"one retrieves it and another looks", OneRetrievesItAndAnotherLooks},
          {"the awaiter calls it and another waits", TheAwaiterCallsItAndAnotherWaits},
          {"the awaiter calls it and another looks", TheAwaiterCallsItAndAnotherLooks},
          {"the awaiter is stopped while its task looks", TheAwaiterIsStoppedWhileItsTaskLooks},
          {"the awaiter is stopped while its task has a callback",
           TheAwaiterIsStoppedWhileItsTaskHasACallback},
          {"the awaiter is stopped while its task waits for that",
           TheAwaiterIsStoppedWhileItsTaskWaitsForThat},
          {"the awaiter is stopped while its task pauses", TheAwaiterIsStoppedWhileItsTaskPauses}};
}

TEST(TaskStateExploredTest, EachIsToldOnceAndSeesTheResult) {
  ExpectAllExecutionsPass(Scenarios());
}

TEST(TaskStateExploredTest, WeakeningAMemoryOrderIsNoticed) {
  ExpectMutantsKilled("runtime/task/task_state.", Shorter(Scenarios(), 1), 16);
  ExpectMutantsKilled("runtime/task/task_context.h", Shorter(Scenarios(), 1), 1);
  ExpectMutantsKilled("runtime/task/join_handle.cc", Shorter(Scenarios(), 1), 1);
}

}  // namespace
}  // namespace plait::internal
