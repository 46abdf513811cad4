// Select.
#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "plait/runtime/sync/queue.h"
#include "plait/runtime/task/future.h"
#include "plait/runtime/task/join_handle.h"
#include "plait/runtime/task/select.h"
#include "plait/runtime/task/spawn.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/task/uncancellable.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/task_programs.h"
#include "plait/runtime/testing/task_suite.h"

namespace plait {
namespace {

using namespace testing_programs;  // NOLINT: they are this file's own words

TEST_P(TaskSuite, SelectGivesTheFirstThatEndsAndCancelsTheOthers) {
  Await([&]() -> Task<void> {
    bool cancelled = false;
    auto selected = co_await Select(ForeverNoting(&cancelled), TurnsThenGive(3, 7));
    EXPECT_EQ(selected.index(), 1u);
    EXPECT_TRUE(cancelled);  // it was joined
    const absl::StatusOr<int>& value = selected.get<1>();
    EXPECT_TRUE(value.ok() && *value == 7) << value.status();
    EXPECT_TRUE(selected.has<0>());
    EXPECT_TRUE(absl::IsCancelled(selected.get<0>()));
  });
}

TEST_P(TaskSuite, SelectOfSeveralThatAreReadyDoesOnlyTheFirst) {
  Await([]() -> Task<void> {
    Queue<int> a(4);
    Queue<int> b(4);
    EXPECT_TRUE(a.TryPut(1).ok());
    EXPECT_TRUE(b.TryPut(2).ok());
    auto selected = co_await Select(a.Get(), b.Get());
    EXPECT_EQ(selected.index(), 0u);
    EXPECT_EQ(*selected.get<0>(), 1);
    EXPECT_FALSE(selected.has<1>());
    EXPECT_EQ(b.size(), 1u);  // nothing was taken from it
    auto second = co_await Select(a.Get(), b.Get());
    EXPECT_EQ(second.index(), 1u);
    EXPECT_EQ(*second.get<1>(), 2);
    EXPECT_TRUE(absl::IsCancelled(second.get<0>().status()));
  });
}

TEST_P(TaskSuite, SelectTakesAwaitablesOfAllKinds) {
  Await([&]() -> Task<void> {
    Promise<int> promise;
    Future<int> future = promise.future();
    JoinHandle<absl::Status> handle = Spawn(Forever());
    JoinHandle<void> setter = Spawn([](Promise<int> p) -> Task<void> {
      co_await Turns(4);
      p.Set(5);
    }(std::move(promise)));
    Queue<int> queue(1);
    auto selected = co_await Select(future, handle, queue.Get(), Forever());
    EXPECT_EQ(selected.index(), 0u);
    EXPECT_EQ(selected.get<0>().value_or(0), 5);
    // On several threads the value may be there before the others have begun.
    if (selected.has<1>()) {
      EXPECT_TRUE(absl::IsCancelled(selected.get<1>()));  // awaiting a handle passes the cancel on
    }
    if (selected.has<3>()) {
      EXPECT_TRUE(absl::IsCancelled(selected.get<2>().status()));
      EXPECT_TRUE(absl::IsCancelled(selected.get<3>()));
    }
    handle.Cancel();
    const absl::Status ended = co_await handle;
    EXPECT_TRUE(absl::IsCancelled(ended));
    co_await setter;
  });
}

TEST_P(TaskSuite, SelectOfVoidAndPlainValues) {
  Await([]() -> Task<void> {
    auto selected = co_await Select(Forever(), Give(std::string("text")));
    EXPECT_EQ(selected.index(), 1u);
    EXPECT_EQ(selected.get<1>(), "text");
    auto nothing = co_await Select(Turns(1), Forever());
    EXPECT_EQ(nothing.index(), 0u);
    nothing.get<0>();  // void
    int target = 0;
    auto reference = co_await Select(GiveReference(target));
    EXPECT_EQ(&reference.get<0>(), &target);
  });
}

Task<absl::StatusOr<int>> GiveInSpiteOfCancel(int n) {
  const absl::Status cancelled = co_await Forever();
  EXPECT_TRUE(absl::IsCancelled(cancelled));
  co_return n;
}

// Trap: a cancel that races completion.
TEST_P(TaskSuite, AValueThatArrivedWithTheCancelOfASelectIsNotLost) {
  Await([]() -> Task<void> {
    auto selected = co_await Select(GiveInSpiteOfCancel(1), TurnsThenGive(2, 2));
    EXPECT_EQ(selected.index(), 1u);
    EXPECT_EQ(*selected.get<0>(), 1);
    EXPECT_EQ(*selected.get<1>(), 2);
  });
}

TEST_P(TaskSuite, NoItemOfAQueueIsLostInSelects) {
  constexpr int kItems = 500;
  Await([]() -> Task<void> {
    Queue<int> a(2);
    Queue<int> b(2);
    auto produce = [](Queue<int>* queue, int first) -> Task<absl::Status> {
      for (int i = 0; i < kItems; ++i) {
        absl::Status put = co_await queue->Put(first + i);
        if (!put.ok()) co_return put;
        if (i % 3 == 0) co_await Yield();
      }
      co_return absl::OkStatus();
    };
    JoinHandle<absl::Status> even = Spawn(produce(&a, 0));
    JoinHandle<absl::Status> odd = Spawn(produce(&b, 10'000));
    std::vector<int> seen;
    while (seen.size() < 2 * kItems) {
      auto selected = co_await Select(a.Get(), b.Get());
      if (selected.has<0>() && selected.get<0>().ok()) seen.push_back(*selected.get<0>());
      if (selected.has<1>() && selected.get<1>().ok()) seen.push_back(*selected.get<1>());
    }
    const absl::Status evens = co_await even;
    const absl::Status odds = co_await odd;
    EXPECT_TRUE(evens.ok() && odds.ok());
    std::sort(seen.begin(), seen.end());
    for (int i = 0; i < kItems; ++i) {
      EXPECT_EQ(seen[static_cast<size_t>(i)], i);
      EXPECT_EQ(seen[static_cast<size_t>(kItems + i)], 10'000 + i);
    }
  });
}

TEST_P(TaskSuite, ACancelOfTheTaskReachesTheBranchesOfASelect) {
  Await([]() -> Task<void> {
    auto run = []() -> Task<absl::Status> {
      Promise<void> never;
      Future<void> future = never.future();
      auto selected = co_await Select(Forever(), future);
      EXPECT_TRUE(absl::IsCancelled(selected.get<0>()));
      if (selected.has<1>()) {
        EXPECT_TRUE(absl::IsCancelled(selected.get<1>()));
      }
      co_return selected.get<0>();
    };
    JoinHandle<absl::Status> task = Spawn(run());
    co_await Turns(2);
    task.Cancel();
    const absl::Status status = co_await task;
    EXPECT_TRUE(absl::IsCancelled(status)) << status;
  });
}

Task<int> SelectDeep(int depth) {
  if (depth == 0) co_return 0;
  auto selected = co_await Select(SelectDeep(depth - 1), Forever());
  co_return 1 + selected.get<0>();
}

TEST_P(TaskSuite, SelectsInsideSelectsDoNotUseUpTheStack) {
  const int deep = Repeats(5'000);
  const int depth = Await([&]() -> Task<int> { co_return co_await SelectDeep(deep); });
  EXPECT_EQ(depth, deep);
}

#if defined(__cpp_exceptions)
TEST_P(TaskSuite, SelectKeepsTheExceptionsOfItsBranches) {
  Await([]() -> Task<void> {
    auto selected = co_await Select(Throw("boom"), Forever());
    EXPECT_EQ(selected.index(), 0u);
    std::string what;
    try {
      static_cast<void>(selected.get<0>());
    } catch (const std::runtime_error& error) {
      what = error.what();
    }
    EXPECT_EQ(what, "boom");
  });
}
#endif

TEST_P(TaskSuite, SelectOfAVectorGivesTheFirstAndJoinsTheRest) {
  Await([&]() -> Task<void> {
    std::vector<Task<absl::StatusOr<int>>> tasks;
    for (int i = 0; i < 10; ++i) tasks.push_back(TurnsThenGive(i == 6 ? 1 : 1000, i));
    auto selected = co_await Select(std::move(tasks));
    EXPECT_TRUE(selected.ok()) << selected.status();
    if (!selected.ok()) co_return;
    EXPECT_EQ(selected->size(), 10u);
    if (ordered()) {
      for (size_t i = 0; i < selected->size(); ++i) EXPECT_TRUE(selected->has(i));
      EXPECT_EQ(selected->index(), 6u);
    }
    EXPECT_EQ(*selected->get(), static_cast<int>(selected->index()));
    auto nothing = co_await Select(std::vector<Task<int>>());
    EXPECT_TRUE(absl::IsInvalidArgument(nothing.status())) << nothing.status();
  });
}

TEST_P(TaskSuite, TheBranchesOfASelectAreGoneBeforeItReturns) {
  auto held = std::make_shared<int>(1);
  Await([&]() -> Task<void> {
    auto hold = [](std::shared_ptr<int>) -> Task<absl::Status> {
      absl::Status status = co_await Forever();
      co_await Uncancellable(Turns(3));  // cleanup may wait
      co_return status;
    };
    auto selected = co_await Select(hold(held), hold(held), Turns(2));
    EXPECT_EQ(selected.index(), 2u);
    EXPECT_EQ(held.use_count(), 1);
  });
}

}  // namespace
}  // namespace plait
