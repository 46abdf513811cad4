// ExecutorSuite: an executor that is closed while parts of another executor's tasks run on it.
//
// Traps: a cancel that races completion (the close asks a part to end that ends by itself).
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "plait/runtime/parallel/parallel.h"
#include "plait/runtime/task/future.h"
#include "plait/runtime/task/offload.h"
#include "plait/runtime/task/task_group.h"
#include "plait/runtime/task/uncancellable.h"
#include "plait/runtime/testing/executor_suite.h"
#include "plait/runtime/testing/repeats.h"

namespace plait {
namespace {

using internal::Atomic;
using internal::kAcqRel;

Task<absl::Status> WaitHere(Finish* began, Future<int> future) {
  began->Set();
  co_return (co_await future).status();
}

template <class T>
Task<T> Joined(JoinHandle<T>* handle) {
  co_return co_await *handle;
}

TEST_P(ExecutorSuite, ClosingCancelsAndJoinsAPartOfAnotherExecutorsTask) {
  RunningExecutor home(MakeExecutor());
  Finish began;
  Promise<int> never;
  auto visit = [](Executor* here, Finish* finish, Future<int> future) -> Task<absl::Status> {
    absl::Status part = co_await On(*here, WaitHere(finish, future));
    // It is the part that was cancelled, and is told so; the task has not been asked to end.
    EXPECT_FALSE(CurrentStopToken().stop_requested());
    co_return part;
  };
  JoinHandle<absl::Status> task =
      Spawn(visit(&executor(), &began, never.future()), {.executor = &home.executor()});
  began.Await(executor());
  ReplaceExecutor();
  const absl::Status part = BlockOn(home.executor(), Joined(&task));  // or never
  EXPECT_TRUE(absl::IsCancelled(part)) << part;
}

TEST_P(ExecutorSuite, ClosingCancelsAndJoinsTheJobsOfAnotherExecutorsParallelFor) {
  RunningExecutor home(MakeExecutor());
  Finish began;
  Atomic<int> waiting{0};
  auto visit = [](Executor* here, Finish* finish, Atomic<int>* waits) -> Task<absl::Status> {
    const auto wait = [&](int64_t) -> Task<absl::Status> {
      if (waits->fetch_add(1, kAcqRel) == 0) finish->Set();
      Promise<void> never;
      Future<void> future = never.future();
      co_return co_await future;
    };
    co_return co_await ParallelFor(*here, 0, 100, wait, {.n_jobs = 3});
  };
  JoinHandle<absl::Status> task =
      Spawn(visit(&executor(), &began, &waiting), {.executor = &home.executor()});
  began.Await(executor());
  ReplaceExecutor();
  const absl::Status whole = BlockOn(home.executor(), Joined(&task));  // or never
  EXPECT_TRUE(absl::IsCancelled(whole)) << whole;
}

TEST_P(ExecutorSuite, ClosingCancelsAndJoinsAChildOfAnotherExecutorsGroup) {
  RunningExecutor home(MakeExecutor());
  Finish began;
  Promise<int> never;
  JoinHandle<absl::Status> child;
  auto visit = [](Executor* here, Finish* finish, Future<int> future,
                  JoinHandle<absl::Status>* handle) -> Task<absl::Status> {
    co_return co_await WithTaskGroup([&](TaskGroup& group) -> Task<absl::Status> {
      *handle = group.Spawn(WaitHere(finish, future), {.executor = here});
      co_return absl::OkStatus();
    });
  };
  JoinHandle<absl::Status> task =
      Spawn(visit(&executor(), &began, never.future(), &child), {.executor = &home.executor()});
  began.Await(executor());
  ReplaceExecutor();
  const absl::Status group = BlockOn(home.executor(), Joined(&task));  // or never
  EXPECT_TRUE(group.ok()) << group;  // a child that ends cancelled is no failure of its group
  const absl::Status ended = BlockOn(home.executor(), Joined(&child));
  EXPECT_TRUE(absl::IsCancelled(ended)) << ended;
}

TEST_P(ExecutorSuite, ClosingWaitsForAChildOfAnotherExecutorsGroupWhereverItIs) {
  RunningExecutor home(MakeExecutor());
  for (int i = 0; i < Repeats(200); ++i) {
    Atomic<int> runs{0};
    auto visit = [](Executor* here, Finish* finish, Atomic<int>* count) -> Task<absl::Status> {
      auto part = [](Finish* begun, Atomic<int>* counted) -> Task<void> {
        if (begun != nullptr) begun->Set();
        for (int turn = 0; turn < 3; ++turn) co_await Yield();
        counted->fetch_add(1, kAcqRel);
      };
      // The second waits for the first one's place.
      co_return co_await WithTaskGroup({.max_in_flight = 1},
                                       [&](TaskGroup& group) -> Task<absl::Status> {
                                         group.Spawn(part(nullptr, count), {.executor = here});
                                         group.Spawn(part(finish, count), {.executor = here});
                                         co_return absl::OkStatus();
                                       });
    };
    Finish began;
    JoinHandle<absl::Status> task =
        Spawn(visit(&executor(), &began, &runs), {.executor = &home.executor()});
    began.Await(executor());
    ReplaceExecutor();
    const absl::Status group = BlockOn(home.executor(), Joined(&task));  // or never
    EXPECT_TRUE(group.ok()) << group;
    EXPECT_EQ(runs.load(internal::kAcquire), 2);
  }
}

// The close finds it anywhere: on its way, running, or done.
TEST_P(ExecutorSuite, ClosingWaitsForAPartWhereverItIs) {
  RunningExecutor home(MakeExecutor());
  for (int i = 0; i < Repeats(200); ++i) {
    int runs = 0;
    auto visit = [](Executor* here, Finish* finish, int* count) -> Task<int> {
      auto part = [](Finish* begun, int* counted) -> Task<int> {
        begun->Set();
        for (int turn = 0; turn < 3; ++turn) co_await Yield();
        co_return ++*counted;
      };
      co_return co_await On(*here, part(finish, count));
    };
    Finish began;
    JoinHandle<int> task = Spawn(visit(&executor(), &began, &runs), {.executor = &home.executor()});
    began.Await(executor());
    ReplaceExecutor();
    EXPECT_EQ(BlockOn(home.executor(), Joined(&task)), 1);  // or never
    EXPECT_EQ(runs, 1);
  }
}

TEST_P(ExecutorSuite, APartThatBeginsWhileTheExecutorClosesIsCancelledAndJoined) {
  RunningExecutor home(MakeExecutor());
  Promise<void> closing;  // set when the executor's own task is asked to end
  Promise<void> visited;  // which it does after the visit is over
  Promise<int> never, never_either;
  Finish resident_began, part_began;
  auto visit = [](Executor* here, Promise<void>* closes, Promise<void>* over, Finish* finish,
                  Future<int> future) -> Task<absl::Status> {
    const absl::Status asked = co_await closes->future();
    EXPECT_TRUE(asked.ok()) << asked;
    absl::Status part = co_await On(*here, WaitHere(finish, future));
    over->Set();
    co_return part;
  };
  auto reside = [](Promise<void>* closes, Promise<void>* over, Finish* finish,
                   Future<int> future) -> Task<absl::Status> {
    finish->Set();
    absl::Status cut = (co_await future).status();
    closes->Set();
    const absl::Status ended = co_await Uncancellable(over->future());
    EXPECT_TRUE(ended.ok()) << ended;
    co_return cut;
  };
  JoinHandle<absl::Status> visitor =
      Spawn(visit(&executor(), &closing, &visited, &part_began, never.future()),
            {.executor = &home.executor()});
  JoinHandle<absl::Status> resident =
      Spawn(reside(&closing, &visited, &resident_began, never_either.future()),
            {.executor = &executor()});
  resident_began.Await(executor());
  ReplaceExecutor();  // or never
  const absl::Status part = BlockOn(home.executor(), Joined(&visitor));
  EXPECT_TRUE(absl::IsCancelled(part)) << part;
  EXPECT_TRUE(resident.cancelled());
}

}  // namespace
}  // namespace plait
