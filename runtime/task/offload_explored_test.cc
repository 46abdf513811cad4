// CallOn, which is behind Offload, and Visit under the explorer: a function that waits for its turn
// on another thread, and a cancel; a visit that ends while its executor stops it. And the chain of
// task-locals, of which the last reader frees what nobody else reads.
//
// Traps: cancel racing completion; a ticket or a state that is used after it was freed.
#include <coroutine>
#include <memory>
#include <vector>

#include "gtest/gtest.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/executor.h"
#include "plait/runtime/core/thread_state.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/task/offload.h"
#include "plait/runtime/task/promise.h"
#include "plait/runtime/task/stop_token.h"
#include "plait/runtime/task/task_context.h"
#include "plait/runtime/task/task_local.h"
#include "plait/runtime/task/visit.h"
#include "plait/runtime/testing/explorer/await.h"
#include "plait/runtime/testing/explorer/expect.h"
#include "plait/runtime/testing/explorer/explorer.h"

namespace plait::internal {
namespace {

using explorer::Await;
using explorer::Event;
using explorer::ExpectAllExecutionsPass;
using explorer::ExpectMutantsKilled;
using explorer::Parallel;
using explorer::Require;
using explorer::Scenario;

// Runs one item, when it comes, if it does.
class OneItem final : public Executor {
 public:
  void Schedule(WorkItem& item) noexcept override {
    item_ = &item;
    scheduled_.Set();
  }
  // Who schedules will schedule nothing any more.
  void Close() {
    if (item_ == nullptr) scheduled_.Set();
  }
  void Run() {
    scheduled_.Wait();
    if (item_ != nullptr) item_->run(*item_);
  }

 private:
  WorkItem* item_ = nullptr;
  Event scheduled_;
};

void ACallIsCancelledOrNot() {
  OneItem executor;
  StopState stop;
  bool called = false;
  Parallel({[&] {
              // On the heap, so that a call that comes too late uses memory that was freed.
              const auto calls = std::make_unique<int>(0);
              const CallOn::Call count = [](void* n) noexcept { ++*static_cast<int*>(n); };
              called = Await(CallOn(executor, count, calls.get(), /*cancellable=*/true), &stop);
              Require(*calls == (called ? 1 : 0), "it is called, or cancelled");
              executor.Close();
            },
            [&] { stop.RequestStop(); }, [&] { executor.Run(); }});
}

// Who awaits it may go on, and end the executor, as soon as the co_await is over: by then nothing
// is to be scheduled there any more.
void TheExecutorEndsWithTheCall() {
  struct Waiting : PromiseBase {
    Event resumed;
  };
  struct Home final : Executor {
    void Schedule(WorkItem& item) noexcept override { static_cast<Waiting&>(item).resumed.Set(); }
  };
  struct MayEnd final : Executor {
    void Schedule(WorkItem& item) noexcept override {
      Require(!ended.load(kRelaxed), "the executor is there");
      inside.store(true, kRelaxed);
      executor.Schedule(item);
      inside.store(false, kRelaxed);
    }
    OneItem executor;
    Atomic<bool> ended{false};
    Atomic<bool> inside{false};
  };
  MayEnd there;
  Home home;
  StopState stop;
  TaskContext context;
  context.executor = &home;
  context.stop = &stop;
  Waiting waiting;
  waiting.context = &context;
  const CallOn::Call nothing = [](void*) noexcept {};
  CallOn call(there, nothing, nullptr, /*cancellable=*/true);
  Parallel({[&] {
              call.await_suspend(std::coroutine_handle<Waiting>::from_promise(waiting));
              there.executor.Close();
            },
            [&] {
              stop.RequestStop();
              waiting.resumed.Wait();
              there.ended.store(true, kRelaxed);
              const bool called = call.await_resume();
              Require(called || !there.inside.load(kRelaxed), "nobody is inside of it either");
            },
            [&] { there.executor.Run(); }});
}

std::vector<Scenario> CallScenarios() {
  return {{"a call is cancelled or not", ACallIsCancelledOrNot},
          {"the executor ends with the call", TheExecutorEndsWithTheCall}};
}

TEST(CallOnExploredTest, AFunctionIsCalledOrCancelledAndItsTicketFreedOnce) {
  ExpectAllExecutionsPass(CallScenarios());
}

TEST(CallOnExploredTest, WeakeningAnyMemoryOrderIsNoticed) {
  ExpectMutantsKilled("runtime/task/offload.", CallScenarios(), 4);
}

void AVisitEndsWhileItIsStopped() {
  OneItem executor;
  TaskContext outer;
  outer.executor = &executor;
  Parallel({[&] {
              thread_state.context = &outer;
              {
                Visit visit(executor);
                visit.Leave();
              }
              thread_state.context = nullptr;
            },
            [&] { StopVisits(executor); }});
}

TEST(VisitExploredTest, ItMayEndWhileItIsStopped) {
  ExpectAllExecutionsPass({{"a visit ends while it is stopped", AVisitEndsWhileItIsStopped}});
}

TEST(VisitExploredTest, WeakeningAnyMemoryOrderIsNoticed) {
  ExpectMutantsKilled("runtime/task/visit_state.",
                      {{"a visit ends while it is stopped", AVisitEndsWhileItIsStopped}}, 2);
}

void TwoReadAndTheLastFrees() {
  static constexpr int kKey = 0;
  const TaskLocalNode* const outer = new TaskLocalValue<int>(&kKey, nullptr, 1);
  const TaskLocalNode* const inner = new TaskLocalValue<int>(&kKey, outer, 2);
  const TaskLocalNode* const also = RefLocals(inner);
  const auto read = [](const TaskLocalNode* node) {
    Require(static_cast<const TaskLocalValue<int>*>(node)->value == 2, "its own value");
    Require(static_cast<const TaskLocalValue<int>*>(node->outer)->value == 1, "the outer one");
    UnrefLocals(node);
  };
  Parallel({[&] { read(inner); }, [&] { read(also); }});
}

TEST(TaskLocalExploredTest, TheLastReaderFreesAll) {
  ExpectAllExecutionsPass({{"two read and the last frees", TwoReadAndTheLastFrees}});
}

TEST(TaskLocalExploredTest, WeakeningAnyMemoryOrderIsNoticed) {
  ExpectMutantsKilled("runtime/task/task_local.",
                      {{"two read and the last frees", TwoReadAndTheLastFrees}}, 2);
}

}  // namespace
}  // namespace plait::internal
