// Fork and ForkEach, on executors whose threads steal and on those whose do not.
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/task/fork.h"
#include "plait/runtime/task/future.h"
#include "plait/runtime/task/join_handle.h"
#include "plait/runtime/task/or_return.h"
#include "plait/runtime/task/select.h"
#include "plait/runtime/task/spawn.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/task/task_context.h"
#include "plait/runtime/testing/task_programs.h"
#include "plait/runtime/testing/task_suite.h"

namespace plait {
namespace {

using namespace testing_programs;  // NOLINT: the suites' own words, of which the tests consist

using internal::Atomic;

Task<int64_t> Fib(int n) {
  if (n < 2) co_return n;
  auto [a, b] = co_await Fork(Fib(n - 1), Fib(n - 2));
  co_return a + b;
}

TEST_P(TaskSuite, AForkOfForksAddsUp) {
  EXPECT_EQ(Await([] { return Fib(18); }), 2584);
}

TEST_P(TaskSuite, AForkGivesWhatItsTasksGiveInTheirOrder) {
  int target = 3;
  Await([&]() -> Task<void> {
    auto [text, pointer, nothing, reference, one] = co_await Fork(
        Give(std::string("text")), GiveMoveOnly(2), Nothing(), GiveReference(target), Give(4));
    static_assert(std::is_same_v<decltype(nothing), std::monostate>);
    static_cast<void>(nothing);
    EXPECT_EQ(text, "text");
    EXPECT_EQ(*pointer, 2);
    EXPECT_EQ(&reference, &target);
    EXPECT_EQ(one, 4);
    co_await Fork(Nothing(), Nothing());
    const std::tuple<int> single = co_await Fork(Give(5));
    EXPECT_EQ(std::get<0>(single), 5);
  });
}

TEST_P(TaskSuite, ForkEachGivesAVectorAnArrayOrTellsAFunction) {
  Await([]() -> Task<void> {
    const auto square = [](size_t i) { return Give(static_cast<int>(i * i)); };
    const std::vector<int> squares = co_await ForkEach(5, square);
    EXPECT_EQ(squares, std::vector<int>({0, 1, 4, 9, 16}));
    const std::array<int, 3> three = co_await ForkEach<3>(square);
    EXPECT_EQ(three, (std::array<int, 3>{0, 1, 4}));
    std::vector<std::pair<size_t, int>> told;
    const auto note = [&told](size_t i, int value) { told.emplace_back(i, value); };
    co_await ForkEach(3, square, note);
    co_await ForkEach<8>(2, square, note);
    EXPECT_EQ(told, (std::vector<std::pair<size_t, int>>{{0, 0}, {1, 1}, {2, 4}, {0, 0}, {1, 1}}));
    const std::vector<int> none = co_await ForkEach(0, square);
    EXPECT_TRUE(none.empty());
    co_await ForkEach<8>(0, square, note);
    EXPECT_EQ(told.size(), 5u);
    co_await ForkEach(2, [](size_t) { return Nothing(); });
    co_await ForkEach<2>([](size_t) { return Nothing(); });
    size_t ended = 0;
    co_await ForkEach<2>(2, [](size_t) { return Nothing(); }, [&ended](size_t i) { ended += i; });
    EXPECT_EQ(ended, 1u);
    const std::vector<std::unique_ptr<int>> moved =
        co_await ForkEach(2, [](size_t i) { return GiveMoveOnly(static_cast<int>(i)); });
    EXPECT_EQ(*moved[1], 1);
  });
}

// --- errors ---

TEST_P(TaskSuite, TheFirstErrorInTheOrderOfAForksArgumentsIsItsResultAndAllRun) {
  Await([]() -> Task<void> {
    const absl::StatusOr<std::tuple<int, int>> good = co_await Fork(GiveOr(1), GiveOr(2));
    EXPECT_TRUE(good.ok() && *good == std::make_tuple(1, 2));
    bool ran = false;
    const auto last = [](bool* flag) -> Task<absl::Status> {
      *flag = true;
      co_return absl::OkStatus();
    };
    // The one that ends with an error later is the first in the order.
    const absl::StatusOr<std::tuple<int, std::monostate, int>> failed =
        co_await Fork(TurnsThenGive(2, 1), TurnsThenFail(2, "first"), FailOr("second"));
    EXPECT_EQ(failed.status(), absl::InternalError("first"));
    const absl::Status status = co_await Fork(FailWith("broken"), last(&ran));
    EXPECT_EQ(status, absl::InternalError("broken"));
    EXPECT_TRUE(ran);
    EXPECT_TRUE((co_await Fork(Ok(), Ok())).ok());
  });
}

TEST_P(TaskSuite, TheFirstErrorOfAForkEachIsItsResult) {
  Await([]() -> Task<void> {
    const auto child = [](size_t i) {
      return i < 2 ? GiveOr(static_cast<int>(i)) : FailOr(std::to_string(i));
    };
    const absl::StatusOr<std::vector<int>> good = co_await ForkEach(2, child);
    EXPECT_TRUE(good.ok() && *good == std::vector<int>({0, 1}));
    const absl::StatusOr<std::vector<int>> all = co_await ForkEach(4, child);
    EXPECT_EQ(all.status(), absl::InternalError("2"));
    const absl::StatusOr<std::array<int, 3>> three = co_await ForkEach<3>(child);
    EXPECT_EQ(three.status(), absl::InternalError("2"));
    std::vector<int> told;
    const absl::Status taken =
        co_await ForkEach(4, child, [&told](size_t, int value) { told.push_back(value); });
    EXPECT_EQ(taken, absl::InternalError("2"));
    EXPECT_EQ(told, std::vector<int>({0, 1})) << "those before the error";
    const absl::Status ok = co_await ForkEach(3, [](size_t) { return Ok(); });
    EXPECT_TRUE(ok.ok());
    const absl::Status failed =
        co_await ForkEach<3>([](size_t i) { return i == 1 ? FailWith("one") : Ok(); });
    EXPECT_EQ(failed, absl::InternalError("one"));
  });
}

#if defined(__cpp_exceptions)
Task<int> ThrowNow(std::string what) {
  throw std::runtime_error(what);
  co_return 0;
}

TEST_P(TaskSuite, TheFirstExceptionOfAForkIsRethrownWhenAllHaveEnded) {
  Await([]() -> Task<void> {
    Atomic<int> ended{0};
    const auto count = [](Atomic<int>* n) -> Task<int> {
      co_await Turns(2);
      n->fetch_add(1);
      co_return 1;
    };
    std::string what;
    try {
      co_await Fork(count(&ended), Throw("first"), ThrowNow("second"), count(&ended));
    } catch (const std::runtime_error& error) {
      what = error.what();
    }
    EXPECT_EQ(what, "first");
    EXPECT_EQ(ended.load(), 2);
    what.clear();
    // What makes the children may throw as well.
    const auto child = [&](size_t i) {
      if (i == 2) throw std::runtime_error("making");
      return count(&ended);
    };
    try {
      static_cast<void>(co_await ForkEach(4, child));
    } catch (const std::runtime_error& error) {
      what = error.what();
    }
    EXPECT_EQ(what, "making");
    EXPECT_EQ(ended.load(), 5);
  });
}
#endif

TEST_P(TaskSuite, AForkIsUnwrappedByOrReturn) {
  const absl::Status status = Await([]() -> Task<absl::Status> {
    auto [a, b] = co_await OrReturn(Fork(GiveOr(1), TurnsThenGive(1, 2)));
    EXPECT_EQ(a + b, 3);
    co_await OrReturn(Fork(Ok(), FailOr("broken")));
    ADD_FAILURE() << "it goes on";
    co_return absl::OkStatus();
  });
  EXPECT_EQ(status, absl::InternalError("broken"));
}

Task<absl::Status> FailInside(int turns) {
  co_await Turns(turns);
  co_await OrReturn(FailWith("inside"));
  ADD_FAILURE() << "it goes on";
  co_return absl::OkStatus();
}

TEST_P(TaskSuite, AChildOfAForkMayEndByOrReturnAtOnceOrLater) {
  Await([]() -> Task<void> {
    for (const int turns : {0, 2}) {
      const absl::StatusOr<std::tuple<std::monostate, int>> result =
          co_await Fork(FailInside(turns), GiveOr(1));
      EXPECT_EQ(result.status(), absl::InternalError("inside"));
    }
  });
}

// --- children that wait ---

TEST_P(TaskSuite, AChildThatWaitsLetsTheOthersGoOn) {
  Await([]() -> Task<void> {
    // Each waits for the next: the first ends last.
    Promise<int> promises[3];
    const auto pass = [](Future<int> future, Promise<int>* next) -> Task<int> {
      const absl::StatusOr<int> value = co_await std::move(future);
      if (next != nullptr) next->Set(*value + 1);
      co_return value.value_or(-1);
    };
    const auto begin = [](Promise<int>* next) -> Task<int> {
      next->Set(1);
      co_return 0;
    };
    auto [a, b, c, d] =
        co_await Fork(pass(promises[2].future(), nullptr), pass(promises[1].future(), &promises[2]),
                      pass(promises[0].future(), &promises[1]), begin(&promises[0]));
    EXPECT_EQ(std::make_tuple(a, b, c, d), std::make_tuple(3, 2, 1, 0));
  });
}

Task<int> ForkDownAndWait(int depth) {
  if (depth == 0) {
    co_await Turns(1);
    co_return 1;
  }
  auto [a, b] = co_await Fork(ForkDownAndWait(depth - 1), ForkDownAndWait(depth - 1));
  co_return a + b;
}

TEST_P(TaskSuite, AllLeavesOfATreeOfForksMayWait) {
  EXPECT_EQ(Await([] { return ForkDownAndWait(6); }), 64);
}

TEST_P(TaskSuite, AForkGoesOnOnItsTasksExecutorInItsContext) {
  Executor* const mine = &executor();
  Await([mine]() -> Task<void> {
    const TaskContext* const context = TaskContext::Current();
    const auto look = [](const TaskContext* expected, int turns) -> Task<bool> {
      co_await Turns(turns);
      co_return TaskContext::Current() == expected;
    };
    for (const int turns : {0, 1}) {
      auto [a, b] = co_await Fork(look(context, turns), look(context, 1 - turns));
      EXPECT_TRUE(a && b) << "children inherit the context";
      EXPECT_EQ(TaskContext::Current(), context);
      EXPECT_EQ(TaskContext::Current()->executor, mine);
    }
  });
}

TEST_P(TaskSuite, ForksWhoseBranchesRaceInASelectAreJoinedBeforeItReturns) {
  Await([]() -> Task<void> {
    bool cancelled = false;
    auto selected =
        co_await Select(Fork(Give(1), Give(2)), Fork(ForeverNoting(&cancelled), Forever()));
    EXPECT_EQ(selected.index(), 0u);
    EXPECT_EQ(selected.get<0>(), std::make_tuple(1, 2));
    auto other = co_await Select(Fork(ForeverNoting(&cancelled), Forever()), Turns(1));
    EXPECT_EQ(other.index(), 1u);
    EXPECT_TRUE(cancelled);
    EXPECT_TRUE(absl::IsCancelled(other.get<0>()));
  });
}

// --- cancellation ---

// Trap: a cancel that races the completion.
TEST_P(TaskSuite, ACancelReachesEveryChildOfAFork) {
  Await([]() -> Task<void> {
    bool cancelled[3] = {};
    const auto run = [](bool* flags) -> Task<absl::Status> {
      co_return co_await ForkEach(3, [flags](size_t i) { return ForeverNoting(&flags[i]); });
    };
    JoinHandle<absl::Status> task = Spawn(run(cancelled));
    co_await Turns(3);
    task.Cancel();
    EXPECT_TRUE(absl::IsCancelled(co_await task));
    for (const bool flag : cancelled) EXPECT_TRUE(flag);
    // Cancelled before it begins to wait.
    const auto fork = [](Atomic<int>* ended) -> Task<int> {
      const auto child = [ended](int turns) -> Task<int> {
        co_await Turns(turns);
        co_return ended->fetch_add(1);
      };
      auto [a, b] = co_await Fork(child(0), child(2));
      co_return a + b;
    };
    for (int i = 0; i < 5; ++i) {
      Atomic<int> ended{0};
      JoinHandle<int> racing = Spawn(fork(&ended));
      co_await Turns(i);
      racing.Cancel();
      static_cast<void>(co_await racing);
      EXPECT_TRUE(ended.load() == 2 || ended.load() == 0);
    }
  });
}

// --- lifetimes ---

// Trap: a lambda coroutine that outlives its captures. ForkEach keeps the lambda.
TEST_P(TaskSuite, AForkEachsLambdaCoroutineKeepsItsCapturesUntilAllChildrenHaveEnded) {
  Await([]() -> Task<void> {
    // It has a name as g++ 12 destroys temporary lambdas of a co_await, and what they hold, twice.
    auto child = [text = std::make_unique<std::string>("kept")](size_t i) -> Task<size_t> {
      co_await Turns(static_cast<int>(i));
      co_return text->size();
    };
    const std::vector<size_t> lengths = co_await ForkEach(4, std::move(child));
    EXPECT_EQ(lengths, std::vector<size_t>(4, 4));
  });
}

// Trap: a reference parameter of a lazy task: the awaiting coroutine's locals last until all have
// ended.
TEST_P(TaskSuite, ChildrenOfAForkMayReferToTheLocalsOfItsTask) {
  Await([]() -> Task<void> {
    const std::string text(100, 'x');
    const auto length = [](const std::string& s, int turns) -> Task<size_t> {
      co_await Turns(turns);
      co_return s.size();
    };
    auto [a, b] = co_await Fork(length(text, 2), length(text, 0));
    EXPECT_EQ(a + b, 200u);
  });
}

TEST_P(TaskSuite, AForkThatIsNeverAwaitedRunsNothingAndLeaksNothing) {
  Await([]() -> Task<void> {
    int ran = 0;
    const auto child = [](int* count) -> Task<void> {
      ++*count;
      co_return;
    };
    {
      [[maybe_unused]] auto fork = Fork(child(&ran), child(&ran));
      [[maybe_unused]] auto each = ForkEach<2>([&](size_t) { return child(&ran); });
    }
    EXPECT_EQ(ran, 0);
    co_return;
  });
}

// How many of a fork's children this thread has made that have not ended.
int& LiveOnThisThread() {
  thread_local int live = 0;
  return live;
}

TEST_P(TaskSuite, AThreadMakesTheChildrenOfAForkEachOneAtATime) {
  Await([]() -> Task<void> {
    struct Live {
      Live() : count(&LiveOnThisThread()) { EXPECT_EQ(++*count, 1); }
      Live(Live&& other) noexcept : count(std::exchange(other.count, nullptr)) {}
      ~Live() {
        if (count == nullptr) return;
        EXPECT_EQ(count, &LiveOnThisThread()) << "a child that never waits ends where it was made";
        --*count;
      }
      int* count;
    };
    Atomic<int> ended{0};
    const auto child = [](Live, Atomic<int>* count) -> Task<void> {
      count->fetch_add(1);
      co_return;
    };
    co_await ForkEach(10, [&](size_t) { return child(Live(), &ended); });
    EXPECT_EQ(ended.load(), 10);
  });
}

}  // namespace
}  // namespace plait
