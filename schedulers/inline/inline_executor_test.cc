#include "plait/schedulers/inline/inline_executor.h"

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/core/thread_state.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/sync/condition_variable.h"
#include "plait/runtime/sync/event.h"
#include "plait/runtime/sync/mutex.h"
#include "plait/runtime/testing/executor_fixture.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/task_suite.h"
#include "plait/schedulers/run.h"
#include "plait/schedulers/thread_pool/thread_pool.h"
#include "plait/schedulers/work_stealing/work_stealing_pool.h"

namespace plait {
namespace {

// The shared suite of tasks. (Those of executors and of runtime/sync assume that Schedule returns
// first, and that two executors have two threads.) A task that is spawned from outside has run when
// Spawn returns, so the order is not that of a loop.
const ExecutorFactory kInline{.name = "Inline",
                              .make = [](Clock*) { return std::make_unique<InlineExecutor>(); },
                              .ordered = false,
                              .inlined = true};

INSTANTIATE_TEST_SUITE_P(InlineExecutor, TaskSuite, testing::Values(kInline),
                         ExecutorFactory::Name);

const void* ThisThread() { return &internal::thread_state; }

TEST(InlineExecutorTest, AnItemHasRunWhenScheduleReturns) {
  InlineExecutor executor;
  bool ran = false;
  FunctionItem item([&] { ran = true; });
  executor.Schedule(item);
  EXPECT_TRUE(ran);
}

TEST(InlineExecutorTest, WhatAnItemSchedulesRunsAfterItInTheOrderOfPosting) {
  InlineExecutor executor;
  std::vector<int> log;
  FunctionItem second([&] { log.push_back(2); });
  FunctionItem third([&] { log.push_back(3); });
  FunctionItem first([&] {
    executor.Schedule(second);
    executor.Schedule(third);
    log.push_back(1);
  });
  executor.Schedule(first);
  EXPECT_EQ(log, (std::vector<int>{1, 2, 3}));
}

TEST(InlineExecutorTest, TheStackStaysBoundedHoweverOftenWorkRepostsItself) {
  InlineExecutor executor;
  int left = Repeats(1'000'000);
  std::unique_ptr<FunctionItem> again;
  again = std::make_unique<FunctionItem>([&] {
    if (--left > 0) executor.Schedule(*again);
  });
  executor.Schedule(*again);
  EXPECT_EQ(left, 0);
}

TEST(InlineExecutorTest, TasksOfTwoInlineExecutorsThatWakeEachOtherNeedNoMoreStack) {
  InlineExecutor one;
  InlineExecutor other;
  const int all = Repeats(100'000);
  auto bounce = [](Executor* there, int rounds) -> Task<int> {
    auto echo = [](int n) -> Task<int> { co_return n + 1; };
    int value = 0;
    for (int i = 0; i < rounds; ++i) value = co_await On(*there, echo(value));
    co_return value;
  };
  EXPECT_EQ(BlockOn(one, bounce(&other, all)), all);
}

TEST(InlineExecutorTest, BlockOnWaitsWhereTheTaskWaitsForAnotherThread) {
  InlineExecutor executor;
  Promise<int> promise;
  Thread setter = StartThread("setter", [&] { promise.Set(5); });
  auto take = [](Future<int> future) -> Task<absl::StatusOr<int>> { co_return co_await future; };
  const absl::StatusOr<int> value = BlockOn(executor, take(promise.future()));
  EXPECT_TRUE(value.ok() && *value == 5);
  setter.join();
}

TEST(InlineExecutorTest, ATaskOfAnotherExecutorMayRunWorkOnItAndIsNotDisturbed) {
  plait::Run([]() -> Task<void> {
    InlineExecutor executor;
    const TaskContext* const context = TaskContext::Current();
    const Worker* const worker = Worker::Current();
    const TaskContext* inside = context;
    auto look = [](const TaskContext** seen) -> Task<void> {
      *seen = TaskContext::Current();
      co_return;
    };
    JoinHandle<void> handle = Spawn(look(&inside), {.executor = &executor});
    EXPECT_TRUE(handle.done());
    EXPECT_NE(inside, context);
    EXPECT_NE(inside, nullptr);
    EXPECT_EQ(TaskContext::Current(), context);
    EXPECT_EQ(Worker::Current(), worker);
    co_await Yield();  // this coroutine still transfers and schedules as before
    EXPECT_EQ(TaskContext::Current(), context);
  }());
}

TEST(InlineExecutorTest, OffloadRunsTheFunctionRightHere) {
  InlineExecutor executor;
  const void* const there =
      BlockOn(executor, []() -> Task<const void*> { co_return co_await Offload(&ThisThread); }());
  EXPECT_EQ(there, ThisThread());
}

// The close asks the part to end, which it does right there, inside of that request.
TEST(InlineExecutorTest, CloseCancelsThePartOfAnothersTaskThatIsHere) {
  InlineExecutor home;
  auto visit = [](Executor* there) -> Task<absl::Status> {
    auto wait = []() -> Task<absl::Status> {
      Promise<void> never;
      Future<void> future = never.future();
      co_return co_await future;
    };
    co_return co_await On(*there, wait());
  };
  InlineExecutor executor;
  JoinHandle<absl::Status> task = Spawn(visit(&executor), {.executor = &home});
  EXPECT_FALSE(task.done());
  EXPECT_TRUE(executor.Close().ok());
  ASSERT_TRUE(task.done());
  EXPECT_TRUE(absl::IsCancelled(task.result())) << task.result();
}

// A cancel from outside ends what waits right there, inside of the request: the frames that the
// request has come through, with the scopes in them, are gone when it goes on.
// Traps: the end of what is cancelled inside of the cancel; frames freed under it.
class InlineCancelTest : public testing::Test {
 public:
  static Task<absl::Status> Wait() {
    Promise<void> never;
    Future<void> future = never.future();
    co_return co_await future;
  }

  // Begins `task`, which waits, and cancels it.
  void CancelFromOutside(Task<absl::Status> task) {
    JoinHandle<absl::Status> handle = Spawn(std::move(task), {.executor = &executor_});
    EXPECT_FALSE(handle.done());
    EXPECT_TRUE(handle.Cancel());
    ASSERT_TRUE(handle.done());
    EXPECT_TRUE(absl::IsCancelled(handle.result())) << handle.result();
  }

  InlineExecutor executor_;
};

TEST_F(InlineCancelTest, ReachesTheChildrenOfAGather) {
  auto gather = []() -> Task<absl::Status> { co_return co_await Gather(Wait(), Wait()); };
  CancelFromOutside(gather());
}

TEST_F(InlineCancelTest, ReachesAScopeInAScope) {
  auto inner = []() -> Task<absl::Status> {
    CancelScope scope;
    co_return co_await scope.Run(Wait());
  };
  auto outer = [](Task<absl::Status> task) -> Task<absl::Status> {
    CancelScope scope;
    co_return co_await scope.Run(std::move(task));
  };
  CancelFromOutside(outer(inner()));
}

TEST_F(InlineCancelTest, ReachesTheTasksOfAGroup) {
  auto open = []() -> Task<absl::Status> {
    co_return co_await WithTaskGroup([](TaskGroup& group) -> Task<absl::Status> {
      group.Spawn(Wait());
      group.Spawn(Wait());
      co_return absl::OkStatus();
    });
  };
  CancelFromOutside(open());
}

TEST_F(InlineCancelTest, ReachesATaskWhoseOnlyHandleIsInTheFrameThatAwaitsIt) {
  auto await = []() -> Task<absl::Status> { co_return co_await Spawn(Wait()); };
  CancelFromOutside(await());
}

TEST_F(InlineCancelTest, OfAGroupAloneReturnsThoughTheGroupEndsInside) {
  TaskGroup* group = nullptr;
  auto open = [](TaskGroup** opened) -> Task<absl::Status> {
    co_return co_await WithTaskGroup([&](TaskGroup& here) -> Task<absl::Status> {
      *opened = &here;
      here.Spawn(Wait());
      here.Spawn(Wait());
      co_return absl::OkStatus();
    });
  };
  JoinHandle<absl::Status> handle = Spawn(open(&group), {.executor = &executor_});
  ASSERT_FALSE(handle.done());
  group->Cancel();
  EXPECT_TRUE(handle.done());
}

TEST_F(InlineCancelTest, OfAScopeAloneReturnsThoughTheScopeEndsInside) {
  CancelScope* scope = nullptr;
  auto open = [](CancelScope** opened) -> Task<absl::Status> {
    CancelScope here;
    *opened = &here;
    co_return co_await here.Run(Wait());
  };
  JoinHandle<absl::Status> handle = Spawn(open(&scope), {.executor = &executor_});
  ASSERT_FALSE(handle.done());
  scope->Cancel();
  ASSERT_TRUE(handle.done());
  EXPECT_TRUE(absl::IsCancelled(handle.result())) << handle.result();
}

TEST(InlineExecutorTest, ItHasNoTimersAndSaysSo) {
  InlineExecutor executor;
  auto wait = []() -> Task<absl::Status> { co_return co_await Sleep(absl::Seconds(1)); };
  EXPECT_TRUE(absl::IsFailedPrecondition(BlockOn(executor, wait())));
}

TEST(InlineExecutorTest, WhileOneThreadRunsItemsOthersQueueTheirs) {
  InlineExecutor executor;
  absl::Notification begun;
  absl::Notification go_on;
  const void* ran_on = nullptr;
  FunctionItem busy([&] {
    begun.Notify();
    go_on.WaitForNotification();
  });
  FunctionItem other([&] { ran_on = ThisThread(); });
  const void* runner = nullptr;
  Thread thread = StartThread("runner", [&] {
    runner = ThisThread();
    executor.Schedule(busy);
  });
  begun.WaitForNotification();
  executor.Schedule(other);  // returns, or this would hang
  go_on.Notify();
  thread.join();
  EXPECT_EQ(ran_on, runner);
}

TEST(InlineExecutorTest, ItsEndCancelsAndJoinsTheTasksThatAreLeft) {
  JoinHandle<absl::Status> handle;
  Promise<void> never;
  auto wait = [](Future<void> future) -> Task<absl::Status> { co_return co_await future; };
  {
    InlineExecutor executor;
    handle = Spawn(wait(never.future()), {.executor = &executor});
    EXPECT_FALSE(handle.done());
  }
  EXPECT_TRUE(handle.cancelled());
}

TEST(InlineExecutorTest, ItsWorkIsOnTheThreadThatSchedulesIt) {
  const uint64_t here = internal::ThreadSerial();
  InlineExecutor executor;
  uint64_t there = 0;
  FunctionItem item([&] { there = internal::ThreadSerial(); });
  executor.Schedule(item);
  EXPECT_EQ(there, here);
  EXPECT_EQ(internal::ThreadSerial(), here);
}

TEST(InlineExecutorTest, CloseFromItsOwnWorkIsRefused) {
  InlineExecutor executor;
  absl::Status status;
  FunctionItem item([&] { status = executor.Close(); });
  executor.Schedule(item);
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
}

TEST(InlineExecutorDeathTest, SchedulingAfterCloseIsAProgrammingError) {
  InlineExecutor executor;
  EXPECT_TRUE(executor.Close().ok());
  FunctionItem item([] {});
  EXPECT_DEATH(executor.Schedule(item), "an InlineExecutor that was closed");
}

// Work that is run where it is scheduled may destroy what has scheduled it.

template <class T>
Task<T> Joined(JoinHandle<T>* handle) {
  co_return co_await *handle;
}

TEST(InlineExecutorTest, WhoGetsThePromisedValueMayDestroyThePromise) {
  InlineExecutor executor;
  Promise<int>* there = nullptr;
  auto wait = [](Promise<int>** out) -> Task<int> {
    Promise<int> promise;
    *out = &promise;
    Future<int> future = promise.future();
    const absl::StatusOr<int> value = co_await future;
    co_return value.ok() ? *value : -1;
  };
  for (const bool set : {true, false}) {
    JoinHandle<int> task = Spawn(wait(&there), {.executor = &executor});
    EXPECT_TRUE(set ? there->Set(7) : there->SetError(absl::DataLossError("none")));
    EXPECT_EQ(BlockOn(executor, Joined(&task)), set ? 7 : -1);
  }
}

TEST(InlineExecutorTest, WhoHearsThatTheFutureWasGivenUpMayDestroyBothEnds) {
  InlineExecutor executor;
  Future<int>* there = nullptr;
  auto wait = [](Future<int>** out) -> Task<absl::Status> {
    Promise<int> promise;
    Future<int> future = promise.future();
    *out = &future;
    co_return (co_await future).status();
  };
  JoinHandle<absl::Status> task = Spawn(wait(&there), {.executor = &executor});
  EXPECT_TRUE(there->Cancel());
  EXPECT_TRUE(absl::IsCancelled(BlockOn(executor, Joined(&task))));
}

// More than are woken under one hold of the lock. The last of the first hold asks the last of all
// to end, which would destroy the primitive: it has been granted, and is woken last.
constexpr int kWaiters = 33;

TEST(InlineExecutorTest, TheLastToGoOnMayDestroyTheEvent) {
  InlineExecutor executor;
  struct Shared {
    std::unique_ptr<Event> event = std::make_unique<Event>();
    int waiting = 0;
    JoinHandle<absl::Status> last;
  } shared;
  auto wait = [](Shared* all, int number) -> Task<absl::Status> {
    ++all->waiting;
    absl::Status status = co_await all->event->Wait();
    --all->waiting;
    if (number == kWaiters - 2) all->last.Cancel();
    if (all->waiting == 0) all->event.reset();
    co_return status;
  };
  for (int i = 0; i < kWaiters; ++i) {
    shared.last = Spawn(wait(&shared, i), {.executor = &executor});
  }
  shared.event->Set();
  EXPECT_EQ(shared.event, nullptr);
  const absl::Status last = BlockOn(executor, Joined(&shared.last));
  EXPECT_TRUE(last.ok()) << last;
}

TEST(InlineExecutorTest, TheLastToGoOnMayDestroyTheConditionVariable) {
  InlineExecutor executor;
  struct Shared {
    Mutex mutex;
    std::unique_ptr<ConditionVariable> changed = std::make_unique<ConditionVariable>();
    int waiting = 0;
    JoinHandle<absl::Status> last;
  } shared;
  auto wait = [](Shared* all, int number) -> Task<absl::Status> {
    MutexGuard guard = co_await all->mutex.Lock();
    ++all->waiting;
    absl::Status status = co_await all->changed->Wait(guard);
    --all->waiting;
    if (number == kWaiters - 2) all->last.Cancel();
    if (all->waiting == 0) all->changed.reset();
    co_return status;
  };
  for (int i = 0; i < kWaiters; ++i) {
    shared.last = Spawn(wait(&shared, i), {.executor = &executor});
  }
  shared.changed->NotifyAll();
  EXPECT_EQ(shared.changed, nullptr);
  const absl::Status last = BlockOn(executor, Joined(&shared.last));
  EXPECT_TRUE(last.ok()) << last;
}

// The work of an InlineExecutor goes on on the thread that wakes it, and that may be a pool's.
template <class Pool>
absl::Status CloseOnItsThread(Pool& pool) {
  InlineExecutor executor;
  auto close = [](Pool* closing) -> Task<absl::Status> {
    // If this thread still runs what has brought it here, it also goes on with it: once more, then,
    // and longer.
    const void* there = nullptr;
    for (int spins = 1; ThisThread() != there; spins *= 2) {
      there = co_await RunIn(*closing, [spins] {
        for (int i = 0; i < spins; ++i) internal::SpinWait(0);
        return static_cast<const void*>(&internal::thread_state);
      });
    }
    co_return closing->Close();
  };
  return BlockOn(executor, close(&pool));
}

TEST(InlineExecutorTest, APoolThatIsClosedOnItsOwnThreadSaysSo) {
  {
    ThreadPool pool({.threads = 1});
    const absl::Status closed = CloseOnItsThread(pool);  // or never
    EXPECT_TRUE(absl::IsFailedPrecondition(closed)) << closed;
  }
  WorkStealingPool pool({.threads = 1});
  const absl::Status closed = CloseOnItsThread(pool);
  EXPECT_TRUE(absl::IsFailedPrecondition(closed)) << closed;
}

}  // namespace
}  // namespace plait
