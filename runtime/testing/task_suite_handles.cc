// What a spawned task can be asked and told: eager starts, reasons, callbacks, task-locals.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/task/as_future.h"
#include "plait/runtime/task/future.h"
#include "plait/runtime/task/gather.h"
#include "plait/runtime/task/join_handle.h"
#include "plait/runtime/task/or_return.h"
#include "plait/runtime/task/spawn.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/task/task_group.h"
#include "plait/runtime/task/task_local.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/task_programs.h"
#include "plait/runtime/testing/task_suite.h"
#include "plait/runtime/time/sleep.h"

namespace plait {
namespace {

using namespace testing_programs;  // NOLINT: they are this file's own words

using internal::Atomic;

// --- eager start ---

Task<int> NoteThenTurn(std::vector<std::string>* log) {
  log->push_back("child begins");
  co_await Turns(2);
  co_return 7;
}

TEST_P(TaskSuite, AnEagerTaskRunsUpToItsFirstWaitInsideSpawn) {
  std::vector<std::string> log;
  Await([&]() -> Task<void> {
    JoinHandle<int> child = Spawn(NoteThenTurn(&log), {.eager = true});
    log.push_back("parent goes on");
    const int value = co_await child;
    EXPECT_EQ(value, 7);
  });
  EXPECT_EQ(log, (std::vector<std::string>{"child begins", "parent goes on"}));
}

TEST_P(TaskSuite, AnEagerTaskThatDoesNotWaitIsDoneWhenSpawnReturns) {
  Await([]() -> Task<void> {
    JoinHandle<int> child = Spawn(Give(3), {.eager = true});
    EXPECT_TRUE(child.done());
    const absl::StatusOr<int> result = child.result();
    EXPECT_TRUE(result.ok() && *result == 3);
    // The spawning task is still itself.
    EXPECT_TRUE(CurrentTask() != child);
    co_await Yield();
  });
}

Task<int> SpawnEagerly(int depth) {
  if (depth == 0) co_return 0;
  JoinHandle<int> child = Spawn(SpawnEagerly(depth - 1), {.eager = true});
  co_return 1 + co_await child;
}

TEST_P(TaskSuite, EagerTasksThatStartEachOtherDoNotUseUpTheStack) {
  const int deep = Repeats(20'000);
  const int depth = Await([&]() -> Task<int> { co_return co_await SpawnEagerly(deep); });
  EXPECT_EQ(depth, deep);
}

TEST_P(TaskSuite, AnEagerTaskSeesItsOwnCancel) {
  Await([]() -> Task<void> {
    JoinHandle<absl::Status> child = Spawn(Forever(), {.eager = true});
    EXPECT_FALSE(child.done());
    EXPECT_TRUE(child.Cancel());
    const absl::Status status = co_await child;
    EXPECT_TRUE(absl::IsCancelled(status)) << status;
    EXPECT_FALSE(CurrentStopToken().stop_requested());
  });
}

// --- reasons ---

TEST_P(TaskSuite, TheReasonOfACancelIsInTheStatusThatTheTaskEndsWith) {
  Await([]() -> Task<void> {
    JoinHandle<absl::Status> child = Spawn(Forever());
    EXPECT_EQ(child.cancel_reason(), "");
    EXPECT_TRUE(child.Cancel("the server goes down"));
    EXPECT_FALSE(child.Cancel("another reason"));
    EXPECT_EQ(child.cancel_reason(), "the server goes down");
    const absl::Status status = co_await child;
    EXPECT_TRUE(absl::IsCancelled(status)) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), "the server goes down")) << status;
    EXPECT_TRUE(child.cancelled());
  });
}

TEST_P(TaskSuite, ALastingNameIsKeptAlsoWhereTheTaskNeedsMoreThanThat) {
  static constexpr TaskName kLasting{"lasting"};
  Await([]() -> Task<void> {
    JoinHandle<absl::Status> child = Spawn(Forever(), {.lasting_name = &kLasting});
    EXPECT_EQ(child.name(), "lasting");
    EXPECT_EQ(child.cancel_reason(), "");
    EXPECT_TRUE(child.Cancel("a reason"));
    EXPECT_EQ(child.name(), "lasting");
    EXPECT_EQ(child.cancel_reason(), "a reason");
    const absl::Status status = co_await child;
    EXPECT_TRUE(absl::IsCancelled(status)) << status;
  });
}

TEST_P(TaskSuite, AReasonAfterTheEndChangesNothing) {
  Await([]() -> Task<void> {
    JoinHandle<absl::Status> child = Spawn(Ok());
    const absl::Status status = co_await child;
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_FALSE(child.Cancel("too late"));
    EXPECT_EQ(child.cancel_reason(), "");
    EXPECT_TRUE(child.result().ok());
  });
}

// --- error() and exception() ---

TEST_P(TaskSuite, AHandleTellsTheErrorOfATask) {
  Await([]() -> Task<void> {
    JoinHandle<absl::StatusOr<int>> child = Spawn(FailOr("broken"));
    JoinHandle<absl::StatusOr<int>> good = Spawn(GiveOr(1));
    JoinHandle<absl::Status> pending = Spawn(Forever());
    const absl::StatusOr<int> failed = co_await child;
    const absl::StatusOr<int> fine = co_await good;
    EXPECT_EQ(child.error(), failed.status());
    EXPECT_TRUE(good.error().ok() && fine.ok());
    EXPECT_TRUE(absl::IsFailedPrecondition(pending.error()));
    EXPECT_EQ(pending.exception(), nullptr);
    EXPECT_EQ(child.exception(), nullptr);
    pending.Cancel();
    const absl::Status ended = co_await pending;
    EXPECT_TRUE(absl::IsCancelled(ended));
  });
}

#if defined(__cpp_exceptions)
TEST_P(TaskSuite, AHandleTellsTheExceptionOfATask) {
  Await([]() -> Task<void> {
    JoinHandle<int> child = Spawn(Throw("boom"));
    while (!child.done()) co_await Yield();
    EXPECT_NE(child.exception(), nullptr);
    EXPECT_TRUE(absl::StrContains(child.error().message(), "boom")) << child.error();
  });
}
#endif

// --- callbacks ---

// Callbacks run on the thread that ends the task, maybe after those who await it go on on another:
// so each test waits for those that it looks at.

TEST_P(TaskSuite, ACallbackIsCalledOnceWhenTheTaskIsDone) {
  Await([]() -> Task<void> {
    Promise<void> go;
    JoinHandle<absl::Status> child =
        Spawn([](Future<void> f) -> Task<absl::Status> { co_return co_await f; }(go.future()));
    Atomic<int> calls{0};
    Atomic<bool> saw_result{false};
    child.OnDone([&] { calls.fetch_add(1); });
    child.OnDone([&](JoinHandle<absl::Status>& done) {
      saw_result.store(done.done() && done.result().ok());
    });
    co_await Turns(3);
    EXPECT_EQ(calls.load(), 0);
    go.Set();
    const absl::Status status = co_await child;
    EXPECT_TRUE(status.ok()) << status;
    while (calls.load() < 1 || !saw_result.load()) co_await Yield();
    EXPECT_EQ(calls.load(), 1);
    // Late ones too.
    child.OnDone([&] { calls.fetch_add(10); });
    EXPECT_EQ(calls.load(), 11);
  });
}

TEST_P(TaskSuite, CallbacksAreCalledInTheOrderInWhichTheyWereAdded) {
  std::vector<int> order;
  Atomic<int> calls{0};
  Await([&]() -> Task<void> {
    Promise<void> go;
    JoinHandle<absl::Status> child =
        Spawn([](Future<void> f) -> Task<absl::Status> { co_return co_await f; }(go.future()));
    for (int i = 0; i < 5; ++i) {
      child.OnDone([&order, &calls, i] {
        order.push_back(i);
        calls.fetch_add(1);
      });
    }
    go.Set();
    const absl::Status status = co_await child;
    EXPECT_TRUE(status.ok()) << status;
    while (calls.load() < 5) co_await Yield();
  });
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4}));
}

TEST_P(TaskSuite, ACallbackThatWasRemovedIsNotCalled) {
  Await([]() -> Task<void> {
    Promise<void> go;
    JoinHandle<absl::Status> child =
        Spawn([](Future<void> f) -> Task<absl::Status> { co_return co_await f; }(go.future()));
    Atomic<int> calls{0};
    DoneCallbackHandle first = child.OnDone([&] { calls.fetch_add(1); });
    DoneCallbackHandle second = child.OnDone([&] { calls.fetch_add(10); });
    DoneCallbackHandle third = child.OnDone([&] { calls.fetch_add(100); });
    EXPECT_TRUE(second.Remove());
    EXPECT_FALSE(second.Remove());
    go.Set();
    const absl::Status status = co_await child;
    EXPECT_TRUE(status.ok()) << status;
    while (calls.load() < 101) co_await Yield();
    EXPECT_EQ(calls.load(), 101);
    EXPECT_FALSE(first.Remove());
    EXPECT_FALSE(DoneCallbackHandle().Remove());
  });
}

// Trap: a cancel that races completion, here the removal of a callback.
TEST_P(TaskSuite, ACallbackIsCalledOrRemovedNeverBoth) {
  for (const int round : ShareOf(ordered() ? 200 : 50)) {
    Await([&]() -> Task<void> {
      Atomic<int> calls{0};
      JoinHandle<void> child = Spawn(Turns(round % 5));
      DoneCallbackHandle callback = child.OnDone([&] { calls.fetch_add(1); });
      co_await Turns(round % 4);
      const bool removed = callback.Remove();
      co_await child;
      while (!removed && calls.load() == 0) co_await Yield();
      EXPECT_EQ(calls.load() + (removed ? 1 : 0), 1);
    });
  }
}

TEST_P(TaskSuite, ACallbackKeepsWhatItHoldsOnlyUntilItWasCalled) {
  auto held = std::make_shared<int>(1);
  Await([&]() -> Task<void> {
    JoinHandle<int> child = Spawn(Give(1));
    child.OnDone([held] {});
    const int one = co_await child;
    EXPECT_EQ(one, 1);
    while (held.use_count() > 1) co_await Yield();
    JoinHandle<absl::Status> forever = Spawn(Forever());
    forever.OnDone([held] {}).Remove();
    EXPECT_EQ(held.use_count(), 1);
    forever.Cancel();
    const absl::Status ended = co_await forever;
    EXPECT_TRUE(absl::IsCancelled(ended));
  });
}

TEST_P(TaskSuite, AFuturesCallbacksAreCalledOnceAndLateOnesAtOnce) {
  Await([]() -> Task<void> {
    Promise<int> promise;
    Future<int> future = promise.future();
    std::vector<std::string> log;
    future.OnDone([&](const absl::StatusOr<int>& value) {
      log.push_back("first " + std::to_string(*value));
    });
    future.OnDone([&] { log.push_back("second"); });
    DoneCallbackHandle removed = future.OnDone([&] { log.push_back("never"); });
    EXPECT_TRUE(removed.Remove());
    EXPECT_TRUE(log.empty());
    EXPECT_FALSE(future.done());
    EXPECT_TRUE(absl::IsFailedPrecondition(future.result().status()));
    promise.Set(7);
    EXPECT_EQ(log, (std::vector<std::string>{"first 7", "second"}));
    future.OnDone(
        [&](const absl::StatusOr<int>& value) { log.push_back("late " + std::to_string(*value)); });
    EXPECT_EQ(log.back(), "late 7");
    const absl::StatusOr<int> value = co_await future;  // still there
    EXPECT_TRUE(value.ok() && *value == 7);
    EXPECT_EQ(log.size(), 3u);
  });
}

TEST_P(TaskSuite, ABrokenPromiseCallsTheCallbacksWithTheError) {
  Await([]() -> Task<void> {
    absl::Status seen;
    Future<void> future;
    {
      Promise<void> promise;
      future = promise.future();
      future.OnDone([&](const absl::Status& status) { seen = status; });
    }
    EXPECT_TRUE(absl::IsAborted(seen)) << seen;
    co_return;
  });
}

TEST_P(TaskSuite, AFutureThatIsCancelledEndsItsWaitersAndTellsThePromise) {
  Await([]() -> Task<void> {
    Promise<int> promise;
    Future<int> future = promise.future();
    auto wait = [](Future<int>* f) -> Task<absl::StatusOr<int>> { co_return co_await *f; };
    JoinHandle<absl::StatusOr<int>> waiter = Spawn(wait(&future));
    EXPECT_FALSE(promise.cancelled());
    EXPECT_TRUE(future.Cancel());
    EXPECT_FALSE(future.Cancel());
    EXPECT_TRUE(future.cancelled());
    EXPECT_TRUE(promise.cancelled());
    EXPECT_FALSE(promise.Set(1));
    const absl::StatusOr<int> value = co_await waiter;
    EXPECT_TRUE(absl::IsCancelled(value.status())) << value.status();
  });
}

TEST_P(TaskSuite, ATaskCanBeHadAsAFuture) {
  Await([]() -> Task<void> {
    const absl::StatusOr<int> plain = co_await AsFuture(Give(3));
    EXPECT_TRUE(plain.ok() && *plain == 3);
    const absl::Status nothing = co_await AsFuture(Nothing());
    EXPECT_TRUE(nothing.ok());
    const absl::StatusOr<int> failed = co_await AsFuture(FailOr("broken"));
    EXPECT_TRUE(absl::IsInternal(failed.status()));
    const absl::StatusOr<std::unique_ptr<int>> moved = co_await AsFuture(Spawn(GiveMoveOnly(4)));
    EXPECT_TRUE(moved.ok() && **moved == 4);
    const absl::Status status = co_await AsFuture(FailWith("no"));
    EXPECT_TRUE(absl::IsInternal(status));
#if defined(__cpp_exceptions)
    const absl::StatusOr<int> thrown = co_await AsFuture(Throw("boom"));
    EXPECT_TRUE(absl::StrContains(thrown.status().message(), "boom")) << thrown.status();
#endif
  });
}

// --- AllTasks ---

TEST_P(TaskSuite, AllTasksTellsOfEveryTaskThatIsNotDone) {
  Await([]() -> Task<void> {
    JoinHandle<absl::Status> first = Spawn(Forever(), {.name = "first"});
    JoinHandle<int> ended = Spawn(Give(1), {.name = "ended"});
    const int one = co_await ended;
    EXPECT_EQ(one, 1);
    const absl::Status status = co_await WithTaskGroup([&](TaskGroup& group) -> Task<absl::Status> {
      group.Spawn(Forever(), {.name = "child"});
      std::vector<std::string> names;
      for (const TaskHandle& task : AllTasks()) names.push_back(task.name());
      EXPECT_EQ(names, (std::vector<std::string>{"main", "child", "first"}));
      group.Cancel();
      co_return absl::OkStatus();
    });
    EXPECT_TRUE(status.ok()) << status;
    first.Cancel();
    const absl::Status cancelled = co_await first;
    EXPECT_TRUE(absl::IsCancelled(cancelled));
    EXPECT_EQ(AllTasks().size(), 1u);
  });
  EXPECT_TRUE(AllTasks().empty());
}

// --- task-locals ---

const TaskLocal<std::string> kRequest;
const TaskLocal<int> kDepth;

Task<std::string> ReadRequest() {
  co_await Turns(2);
  const std::string* request = kRequest.Get();
  co_return request == nullptr ? "none" : *request;
}

TEST_P(TaskSuite, ATaskLocalIsSetForWhatRunsInsideAndForNothingElse) {
  Await([]() -> Task<void> {
    EXPECT_EQ(kRequest.Get(), nullptr);
    auto [a, b, none] = co_await Gather(kRequest.With("a", ReadRequest()),
                                        kRequest.With("b", ReadRequest()), ReadRequest());
    EXPECT_EQ(a, "a");
    EXPECT_EQ(b, "b");
    EXPECT_EQ(none, "none");
    EXPECT_EQ(kRequest.Get(), nullptr);
  });
  EXPECT_EQ(kRequest.Get(), nullptr);
}

TEST_P(TaskSuite, AnInnerValueOfATaskLocalHidesTheOuterOne) {
  Await([]() -> Task<void> {
    auto inner = []() -> Task<std::string> { co_return co_await ReadRequest(); };
    auto outer = [&inner]() -> Task<std::string> {
      std::string seen = co_await kRequest.With("inner", inner());
      co_return seen + "," + co_await ReadRequest() + "," + std::to_string(*kDepth.Get());
    };
    const std::string seen = co_await kDepth.With(3, kRequest.With("outer", outer()));
    EXPECT_EQ(seen, "inner,outer,3");
  });
}

TEST_P(TaskSuite, ASpawnedTaskInheritsTaskLocalsAndKeepsThem) {
  Await([]() -> Task<void> {
    Promise<void> go;
    auto wait_then_read = [](Future<void> f) -> Task<std::string> {
      const absl::Status waited = co_await f;
      EXPECT_TRUE(waited.ok());
      co_return co_await ReadRequest();
    };
    auto spawn = [&]() -> Task<JoinHandle<std::string>> {
      co_return Spawn(wait_then_read(go.future()));
    };
    JoinHandle<std::string> child = co_await kRequest.With("kept", spawn());
    go.Set();  // the scope that set it has ended
    const std::string seen = co_await child;
    EXPECT_EQ(seen, "kept");
    const TaskLocals locals = child.context();
    EXPECT_EQ(*kRequest.Get(locals), "kept");
  });
}

TEST_P(TaskSuite, ATaskGroupsChildrenInheritTaskLocals) {
  Await([]() -> Task<void> {
    auto body = [](TaskGroup& group) -> Task<absl::Status> {
      JoinHandle<std::string> child = group.Spawn(ReadRequest());
      const std::string seen = co_await child;
      EXPECT_EQ(seen, "group");
      co_return absl::OkStatus();
    };
    const absl::Status status = co_await kRequest.With("group", WithTaskGroup(body));
    EXPECT_TRUE(status.ok()) << status;
  });
}

TEST_P(TaskSuite, SpawnCanGiveATaskOtherTaskLocals) {
  Await([]() -> Task<void> {
    auto snapshot = []() -> Task<TaskLocals> { co_return TaskLocals::Current(); };
    const TaskLocals locals = co_await kRequest.With("snapshot", snapshot());
    JoinHandle<std::string> with = Spawn(ReadRequest(), {.context = &locals});
    const std::string seen = co_await with;
    EXPECT_EQ(seen, "snapshot");
    const TaskLocals none;
    auto spawn_without = [&]() -> Task<std::string> {
      JoinHandle<std::string> without = Spawn(ReadRequest(), {.context = &none});
      co_return co_await without;
    };
    const std::string nothing = co_await kRequest.With("hidden", spawn_without());
    EXPECT_EQ(nothing, "none");
  });
}

}  // namespace
}  // namespace plait
