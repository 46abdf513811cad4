// Cancellation: of tasks, through tokens, and cleanup after it. The numbers in the tests' names are
// those of the list "What any event loop must get right".
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/sync/queue.h"
#include "plait/runtime/task/future.h"
#include "plait/runtime/task/join_handle.h"
#include "plait/runtime/task/or_return.h"
#include "plait/runtime/task/spawn.h"
#include "plait/runtime/task/stop_token.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/task/task_context.h"
#include "plait/runtime/task/uncancellable.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/task_programs.h"
#include "plait/runtime/testing/task_suite.h"
#include "plait/runtime/time/sleep.h"

namespace plait {
namespace {

using namespace testing_programs;  // NOLINT: they are this file's own words

using internal::Atomic;

// --- before, during, after ---

Task<absl::Status> SetFlagOk(bool* flag, std::shared_ptr<int> argument) {
  static_cast<void>(argument);
  *flag = true;
  co_return absl::OkStatus();
}

TEST_P(TaskSuite, Line56ATaskCancelledBeforeItBeganNeverRunsAndFreesItsArguments) {
  if (!ordered()) return;  // on a pool it may begin before the cancel
  bool ran = false;
  auto argument = std::make_shared<int>(1);
  Await([&]() -> Task<void> {
    JoinHandle<absl::Status> handle = Spawn(SetFlagOk(&ran, argument));
    EXPECT_TRUE(handle.Cancel());
    EXPECT_FALSE(handle.done());
    const absl::Status status = co_await handle;
    EXPECT_TRUE(absl::IsCancelled(status)) << status;
    EXPECT_TRUE(handle.cancelled());
    EXPECT_EQ(argument.use_count(), 1);
  });
  EXPECT_FALSE(ran);
}

Task<bool> SeesStop() { co_return CurrentStopToken().stop_requested(); }

TEST_P(TaskSuite, Line56ATaskThatCannotSayThatItWasCancelledRunsAndSeesTheRequest) {
  if (!ordered()) return;
  Await([]() -> Task<void> {
    JoinHandle<bool> handle = Spawn(SeesStop());
    EXPECT_TRUE(handle.Cancel());
    const bool saw = co_await handle;
    EXPECT_TRUE(saw);
    EXPECT_TRUE(handle.cancelled());
  });
}

TEST_P(TaskSuite, Line56ACancelBeforeTheFirstSuspensionEndsThatWaitAtOnce) {
  Await([]() -> Task<void> {
    auto cancel_self_then_wait = []() -> Task<absl::Status> {
      CurrentTask().Cancel();
      co_return co_await Forever();
    };
    JoinHandle<absl::Status> handle = Spawn(cancel_self_then_wait());
    const absl::Status status = co_await handle;
    EXPECT_TRUE(absl::IsCancelled(status)) << status;
  });
}

TEST_P(TaskSuite, ACancelEndsAWaitWithCancelledAndSoEveryLaterWait) {
  Await([]() -> Task<void> {
    auto wait_twice = [](std::vector<absl::Status>* ended) -> Task<absl::Status> {
      ended->push_back(co_await Forever());
      ended->push_back(co_await Forever());
      co_return ended->back();
    };
    std::vector<absl::Status> ended;
    JoinHandle<absl::Status> handle = Spawn(wait_twice(&ended));
    co_await Turns(5);
    EXPECT_TRUE(ended.empty());
    EXPECT_TRUE(handle.Cancel());
    EXPECT_FALSE(handle.Cancel());  // asked before
    const absl::Status status = co_await handle;
    EXPECT_TRUE(absl::IsCancelled(status)) << status;
    EXPECT_EQ(ended.size(), 2u);
    for (const absl::Status& each : ended) EXPECT_TRUE(absl::IsCancelled(each)) << each;
    EXPECT_TRUE(handle.cancelled());
  });
}

TEST_P(TaskSuite, ATaskMayEndWellThoughItWasCancelled) {
  Await([]() -> Task<void> {
    auto stubborn = []() -> Task<absl::StatusOr<int>> {
      static_cast<void>(co_await Forever());
      co_return 5;
    };
    JoinHandle<absl::StatusOr<int>> handle = Spawn(stubborn());
    co_await Turns(3);
    EXPECT_TRUE(handle.Cancel());
    const absl::StatusOr<int> value = co_await handle;
    EXPECT_TRUE(value.ok() && *value == 5) << value.status();
    EXPECT_FALSE(handle.cancelled());
  });
}

TEST_P(TaskSuite, Line59ACancelAfterTheEndIsANoOp) {
  Await([]() -> Task<void> {
    JoinHandle<absl::StatusOr<int>> handle = Spawn(GiveOr(3));
    const absl::StatusOr<int> value = co_await handle;
    EXPECT_TRUE(value.ok());
    EXPECT_FALSE(handle.Cancel());
    EXPECT_FALSE(handle.cancelled());
    EXPECT_TRUE(handle.result().ok());
    const absl::StatusOr<int> again = co_await handle;
    EXPECT_TRUE(again.ok() && *again == 3);
    JoinHandle<void> plain = Spawn(Nothing());
    co_await plain;
    EXPECT_FALSE(plain.Cancel());
    EXPECT_FALSE(plain.cancelled());
  });
}

TEST_P(TaskSuite, ACancelReachesEveryTaskThatIsAwaitedFromTheCancelledOne) {
  Await([]() -> Task<void> {
    auto inner = []() -> Task<absl::Status> { co_return co_await Forever(); };
    auto middle = [](Task<absl::Status> task) -> Task<absl::Status> {
      co_return co_await std::move(task);
    };
    JoinHandle<absl::Status> handle = Spawn(middle(middle(inner())));
    co_await Turns(3);
    handle.Cancel();
    const absl::Status status = co_await handle;
    EXPECT_TRUE(absl::IsCancelled(status)) << status;
  });
}

TEST_P(TaskSuite, ACancelledAwaiterCancelsTheTaskThatItAwaitsAndStillGetsItsResult) {
  Await([]() -> Task<void> {
    auto stubborn = [](bool* told) -> Task<int> {
      static_cast<void>(co_await ForeverNoting(told));
      co_await Turns(3);
      co_return 4;
    };
    auto await_it = [](JoinHandle<int> handle) -> Task<int> { co_return co_await handle; };
    bool told = false;
    JoinHandle<int> outer = Spawn(await_it(Spawn(stubborn(&told))));
    co_await Turns(4);
    EXPECT_FALSE(told);
    outer.Cancel();
    const int value = co_await outer;
    EXPECT_TRUE(told);
    EXPECT_EQ(value, 4);
  });
}

TEST_P(TaskSuite, ASpawnedTaskDoesNotInheritTheCancelOfItsParent) {
  Await([]() -> Task<void> {
    auto parent = [](JoinHandle<absl::Status>* child) -> Task<absl::Status> {
      *child = Spawn(Forever());
      co_return co_await Forever();
    };
    JoinHandle<absl::Status> child;
    JoinHandle<absl::Status> handle = Spawn(parent(&child));
    co_await Turns(5);
    handle.Cancel();
    static_cast<void>(co_await handle);
    co_await Turns(5);
    EXPECT_FALSE(child.done());
    child.Cancel();
    const absl::Status status = co_await child;
    EXPECT_TRUE(absl::IsCancelled(status)) << status;
  });
}

// A loop over waits that a cancelled task makes must not hold the thread: each goes through the
// executor.
TEST_P(TaskSuite, ACancelledTasksWaitsStillLetOthersRun) {
  if (!ordered()) return;
  Await([]() -> Task<void> {
    auto spin = [](bool* stop, int* waits) -> Task<absl::Status> {
      absl::Status status;
      while (!*stop) {
        status = co_await Forever();
        ++*waits;
      }
      co_return status;
    };
    bool stop = false;
    int waits = 0;
    JoinHandle<absl::Status> handle = Spawn(spin(&stop, &waits));
    co_await Turns(2);
    handle.Cancel();
    co_await Turns(10);
    EXPECT_GT(waits, 1);
    stop = true;
    static_cast<void>(co_await handle);
  });
}

// --- cleanup ---

TEST_P(TaskSuite, Line60CleanupAfterACancelMayAwait) {
  Await([]() -> Task<void> {
    auto careful = [](std::vector<std::string>* log, Future<int> peer) -> Task<absl::Status> {
      const absl::Status cut = co_await Forever();
      log->push_back("cleaning up");
      const absl::StatusOr<int> answer = co_await Uncancellable(peer);
      log->push_back(answer.ok() ? "clean" : answer.status().ToString());
      EXPECT_TRUE(CurrentStopToken().stop_requested());  // still, outside of Uncancellable
      co_return cut;
    };
    std::vector<std::string> log;
    Promise<int> peer;
    JoinHandle<absl::Status> handle = Spawn(careful(&log, peer.future()));
    co_await Turns(3);
    handle.Cancel();
    co_await Turns(10);
    EXPECT_FALSE(handle.done());
    peer.Set(1);
    const absl::Status status = co_await handle;
    EXPECT_TRUE(absl::IsCancelled(status)) << status;
    EXPECT_EQ(log, (std::vector<std::string>{"cleaning up", "clean"}));
  });
}

TEST_P(TaskSuite, UncancellableGivesTheResultOfTasksAndOfOtherAwaitables) {
  int target = 0;
  Await([&]() -> Task<void> {
    const int value = co_await Uncancellable(Give(3));
    EXPECT_EQ(value, 3);
    co_await Uncancellable(Nothing());
    co_await Uncancellable(Yield());
    const std::unique_ptr<int> moved = co_await Uncancellable(GiveMoveOnly(4));
    EXPECT_EQ(*moved, 4);
    int& reference = co_await Uncancellable(GiveReference(target));
    EXPECT_EQ(&reference, &target);
    const int joined = co_await Uncancellable(Spawn(Give(5)));
    EXPECT_EQ(joined, 5);
#if defined(__cpp_exceptions)
    bool caught = false;
    try {
      static_cast<void>(co_await Uncancellable(Throw("oh")));
    } catch (const std::runtime_error&) {
      caught = true;
    }
    EXPECT_TRUE(caught);
#endif
  });
}

TEST_P(TaskSuite, NothingInsideUncancellableSeesTheStop) {
  Await([]() -> Task<void> {
    auto body = [](bool* seen) -> Task<absl::Status> {
      CurrentTask().Cancel();
      *seen = co_await Uncancellable(SeesStop());
      co_return co_await Forever();
    };
    bool seen = true;
    JoinHandle<absl::Status> handle = Spawn(body(&seen));
    const absl::Status status = co_await handle;
    EXPECT_FALSE(seen);
    EXPECT_TRUE(absl::IsCancelled(status)) << status;
  });
}

// --- tokens ---

TEST_P(TaskSuite, AStopIsRequestedOnceAndStays) {
  StopSource source;
  const StopToken token = source.token();
  EXPECT_TRUE(token.stop_possible());
  EXPECT_FALSE(token.stop_requested());
  EXPECT_TRUE(source.RequestStop());
  EXPECT_FALSE(source.RequestStop());
  EXPECT_TRUE(token.stop_requested());
  EXPECT_TRUE(source.stop_requested());
  EXPECT_FALSE(StopToken().stop_possible());
  EXPECT_FALSE(StopToken().stop_requested());
  EXPECT_FALSE(CurrentStopToken().stop_possible());  // outside of tasks
}

TEST_P(TaskSuite, StopCallbacksRunInTheOrderOfRegistrationInsideTheRequest) {
  StopSource source;
  std::vector<int> ran;
  StopCallback first(source.token(), [&] { ran.push_back(1); });
  {
    StopCallback gone(source.token(), [&] { ran.push_back(-1); });
  }
  StopCallback second(source.token(), [&] { ran.push_back(2); });
  StopCallback third(source.token(), [&] { ran.push_back(3); });
  EXPECT_TRUE(ran.empty());
  source.RequestStop();
  EXPECT_EQ(ran, (std::vector<int>{1, 2, 3}));
  StopCallback late(source.token(), [&] { ran.push_back(4); });
  EXPECT_EQ(ran.back(), 4);  // at once
  StopCallback never(StopToken(), [&] { ran.push_back(-1); });
  EXPECT_EQ(ran.size(), 4u);
}

// Destroys the callback that it belongs to, and another.
struct Destroyer {
  std::optional<StopCallback<Destroyer>>* self;
  std::optional<StopCallback<Destroyer>>* other;
  int* runs;

  void operator()() {
    ++*runs;
    other->reset();
    self->reset();  // last: this is gone now
  }
};

TEST_P(TaskSuite, AStopCallbackMayDestroyItselfAndOthers) {
  StopSource source;
  int runs = 0;
  int last_runs = 0;
  std::optional<StopCallback<Destroyer>> first;
  std::optional<StopCallback<Destroyer>> second;
  first.emplace(source.token(), Destroyer{&first, &second, &runs});
  second.emplace(source.token(), Destroyer{&second, &first, &runs});
  StopCallback last(source.token(), [&] { ++last_runs; });
  source.RequestStop();
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(last_runs, 1);
  EXPECT_FALSE(first.has_value());
  EXPECT_FALSE(second.has_value());
}

// Trap: the cancel that races the completion. Whichever way it goes the callback runs at most once,
// never after its destructor has returned, and it does run when it was still there.
TEST_P(TaskSuite, DestroyingAStopCallbackWaitsForItOnAnotherThread) {
  const int rounds = Repeats(2000);
  int ran_rounds = 0;
  for (int i = 0; i < rounds; ++i) {
    StopSource source;
    Atomic<int> go{0};
    auto value = std::make_unique<int>(0);
    Thread requester = StartThread("requester", [&] {
      go.fetch_add(1, internal::kAcqRel);
      for (int n = 0; go.load(internal::kAcquire) != 2; ++n) internal::SpinWait(n);
      source.RequestStop();
    });
    {
      int* const raw = value.get();
      StopCallback callback(source.token(), [raw] { ++*raw; });
      for (int n = 0; go.load(internal::kAcquire) != 1; ++n) internal::SpinWait(n);
      go.fetch_add(1, internal::kAcqRel);
      if (i % 3 == 0) internal::SpinWait(1);
    }
    EXPECT_LE(*value, 1);
    ran_rounds += *value;
    value = nullptr;  // what a late callback would write to
    requester.join();
    EXPECT_TRUE(source.stop_requested());
  }
  EXPECT_LE(ran_rounds, rounds);
}

TEST_P(TaskSuite, OfManyThreadsThatRequestAStopExactlyOneIsFirst) {
  for (int i = 0; i < Repeats(200); ++i) {
    StopSource source;
    Atomic<int> firsts{0};
    Atomic<int> runs{0};
    StopCallback callback(source.token(), [&] { runs.fetch_add(1, internal::kRelaxed); });
    std::vector<Thread> threads;
    for (int t = 0; t < 3; ++t) {
      threads.push_back(StartThread("requester", [&] {
        if (source.RequestStop()) firsts.fetch_add(1, internal::kRelaxed);
      }));
    }
    for (Thread& thread : threads) thread.join();
    EXPECT_EQ(firsts.load(internal::kRelaxed), 1);
    EXPECT_EQ(runs.load(internal::kRelaxed), 1);
  }
}

// --- races ---

// Trap: the cancel that races the completion. Another thread cancels a wait while a third completes
// it: there is one outcome, and a value that was not taken is still there.
TEST_P(TaskSuite, ACancelThatRacesAFutureHasOneOutcomeAndLosesNoValue) {
  const int rounds = Repeats(500);
  RunningExecutor canceller(MakeExecutor());
  RunningExecutor setter(MakeExecutor());
  int taken = 0;
  int cancelled = 0;
  Await([&]() -> Task<void> {
    auto take = [](Future<int> future) -> Task<absl::StatusOr<int>> { co_return co_await future; };
    auto set = [](Promise<int>* promise) -> Task<void> {
      promise->Set(1);
      co_return;
    };
    auto cancel = [](TaskHandle handle) -> Task<void> {
      handle.Cancel();
      co_return;
    };
    for (int i = 0; i < rounds; ++i) {
      Promise<int> promise;
      Future<int> future = promise.future();
      JoinHandle<absl::StatusOr<int>> waiter = Spawn(take(future));
      co_await Yield();
      JoinHandle<void> a = Spawn(cancel(waiter), {.executor = &canceller.executor()});
      JoinHandle<void> b = Spawn(set(&promise), {.executor = &setter.executor()});
      const absl::StatusOr<int> value = co_await waiter;
      co_await a;
      co_await b;
      if (value.ok()) {
        ++taken;
        EXPECT_EQ(*value, 1);
        continue;
      }
      ++cancelled;
      EXPECT_TRUE(absl::IsCancelled(value.status())) << value.status();
      const absl::StatusOr<int> left = co_await future;
      EXPECT_TRUE(left.ok()) << left.status();
    }
  });
  EXPECT_EQ(taken + cancelled, rounds);
}

TEST_P(TaskSuite, ACancelThatRacesAQueueLosesNoItem) {
  const int rounds = Repeats(500);
  RunningExecutor canceller(MakeExecutor());
  RunningExecutor producer(MakeExecutor());
  Await([&]() -> Task<void> {
    auto get = [](Queue<int>* queue) -> Task<absl::StatusOr<int>> {
      co_return co_await queue->Get();
    };
    auto put = [](Queue<int>* queue, int n) -> Task<absl::Status> {
      co_return co_await queue->Put(n);
    };
    auto cancel = [](TaskHandle handle) -> Task<void> {
      handle.Cancel();
      co_return;
    };
    for (int i = 0; i < rounds; ++i) {
      Queue<int> queue(1);
      JoinHandle<absl::StatusOr<int>> getter = Spawn(get(&queue));
      co_await Yield();
      JoinHandle<void> a = Spawn(cancel(getter), {.executor = &canceller.executor()});
      JoinHandle<absl::Status> b = Spawn(put(&queue, i), {.executor = &producer.executor()});
      const absl::StatusOr<int> got = co_await getter;
      co_await a;
      const absl::Status put_status = co_await b;
      EXPECT_TRUE(put_status.ok()) << put_status;
      if (got.ok()) {
        EXPECT_EQ(*got, i);
        EXPECT_TRUE(queue.empty());
        continue;
      }
      EXPECT_TRUE(absl::IsCancelled(got.status())) << got.status();
      const absl::StatusOr<int> left = queue.TryGet();
      EXPECT_TRUE(left.ok() && *left == i) << left.status();
    }
  });
}

TEST_P(TaskSuite, ACancelThatRacesTheEndOfTheTaskHasOneOutcome) {
  const int rounds = Repeats(500);
  RunningExecutor other(MakeExecutor());
  Await([&]() -> Task<void> {
    for (int i = 0; i < rounds; ++i) {
      JoinHandle<absl::StatusOr<int>> handle =
          Spawn(TurnsThenGive(i % 7, i), {.executor = &other.executor()});
      if (i % 2 == 0) co_await Yield();
      handle.Cancel();
      const absl::StatusOr<int> value = co_await handle;
      EXPECT_EQ(handle.cancelled(), !value.ok());
      if (value.ok()) {
        EXPECT_EQ(*value, i);
      } else {
        EXPECT_TRUE(absl::IsCancelled(value.status())) << value.status();
      }
      EXPECT_FALSE(handle.Cancel());
    }
  });
}

}  // namespace
}  // namespace plait
