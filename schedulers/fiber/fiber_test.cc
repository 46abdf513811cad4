// Traps faced: (1) a callable that is gone when it runs; (5) a cancel that races completion.
#include "plait/schedulers/fiber/fiber.h"

#include <errno.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/fork_stack.h"
#include "plait/runtime/core/thread_state.h"
#include "plait/runtime/parallel/invoke.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/test_clock.h"
#include "plait/schedulers/inline/inline_executor.h"
#include "plait/schedulers/run.h"
#include "plait/schedulers/thread_pool/thread_pool.h"

namespace plait {
namespace {

const void* ThisThread() { return &internal::thread_state; }

Task<int> Twice(int n) {
  co_await Yield();
  co_return 2 * n;
}

// Ordinary functions, one of which calls the other.
int TwiceInFiber(int n) { return Await(Twice(n)); }
int Sum() { return TwiceInFiber(1) + TwiceInFiber(2); }

TEST(FiberTest, AnOrdinaryFunctionAwaitsAtAnyDepth) { EXPECT_EQ(plait::Run(RunFiber(&Sum)), 6); }

Task<int> Nested(int depth) {
  if (depth == 0) co_return 0;
  co_return 1 + co_await Nested(depth - 1);
}

TEST(FiberTest, ADeepTaskThatASmallFiberSpawnsEagerlyDoesNotTakeItsStack) {
  auto body = [] { return Await(Spawn(Nested(300), {.eager = true})); };
  plait::Run([&]() -> Task<void> {
    const int depth = co_await SpawnFiber(body, {}, {.stack_size = kLeastFiberStack});
    EXPECT_EQ(depth, 300);
    // The thread's own stack is good for that again.
    bool began = false;
    auto begin = [&]() -> Task<void> {
      began = true;
      co_return;
    };
    JoinHandle<void> handle = Spawn(begin(), {.eager = true});
    EXPECT_TRUE(began);
    co_await handle;
  }());
}

// Gives the lowest place of the stack that any of them has; as a number, to be subtracted.
Task<uintptr_t> LowestOf(int depth) {
  const auto here = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  if (depth == 0) co_return here;
  co_return std::min(here, co_await LowestOf(depth - 1));
}

TEST(FiberTest, HoweverDeepATaskThatAFiberRunsInlineItTakesABoundedPartOfTheStack) {
  InlineExecutor here_and_now;
  const auto body = [&] {
    const auto top = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
    JoinHandle<uintptr_t> deep = Spawn(LowestOf(10'000), {.executor = &here_and_now});
    EXPECT_TRUE(deep.done());
    const uintptr_t lowest = Await(std::move(deep));
    EXPECT_LT(lowest, top) << "it ran elsewhere";
    return static_cast<size_t>(top - lowest);
  };
  const size_t used = plait::Run(RunFiber(body, {.stack_size = 64 * 1024}));
  EXPECT_LT(used, 32u * 1024);
}

TEST(FiberTest, ItGivesEveryKindOfResult) {
  plait::Run([]() -> Task<void> {
    bool ran = false;
    co_await RunFiber([&] { ran = true; });
    EXPECT_TRUE(ran);
    const std::unique_ptr<int> moved = co_await RunFiber([] {
      Await(Yield());
      return std::make_unique<int>(3);
    });
    EXPECT_EQ(*moved, 3);
    int target = 0;
    int& reference = co_await RunFiber([&]() -> int& { return target; });
    EXPECT_EQ(&reference, &target);
    const absl::StatusOr<int> failed =
        co_await RunFiber([]() -> absl::StatusOr<int> { return absl::NotFoundError("no"); });
    EXPECT_EQ(failed.status(), absl::NotFoundError("no"));
    auto owned = std::make_unique<int>(5);
    auto take = [owned = std::move(owned)] { return *owned + Await(Twice(1)); };
    const int seven = co_await RunFiber(std::move(take));
    EXPECT_EQ(seven, 7);
  }());
}

TEST(FiberTest, ItAwaitsWhateverATaskCan) {
  plait::Run(RunFiber([] {
    const absl::Status slept = Await(Sleep(absl::Microseconds(1)));
    EXPECT_TRUE(slept.ok()) << slept;
    Await(Yield());
    JoinHandle<int> handle = Spawn(Twice(3));
    EXPECT_EQ(Await(handle), 6);  // an lvalue
    EXPECT_EQ(Await(handle), 6);
    const auto [a, b] = Await(Gather(Twice(1), Twice(2)));
    EXPECT_EQ(a + b, 6);
    Promise<int> promise;
    Future<int> future = promise.future();
    promise.Set(4);
    const absl::StatusOr<int> four = Await(future);
    EXPECT_TRUE(four.ok() && *four == 4);
    EXPECT_EQ(Await(Offload([] { return 5; })), 5);
    EXPECT_EQ(Await(RunFiber(&Sum)), 6);  // a fiber in a fiber
    const absl::StatusOr<int> in_time = Await(Timeout(absl::Hours(1), RunFiber(&Sum)));
    EXPECT_TRUE(in_time.ok() && *in_time == 6);
    int counted = 0;
    const absl::Status status = Await(WithTaskGroup([&](TaskGroup& group) -> Task<absl::Status> {
      for (int i = 0; i < 10; ++i) {
        group.Spawn(RunFiber([&] {
          Await(Yield());
          ++counted;
        }));
      }
      co_return absl::OkStatus();
    }));
    EXPECT_TRUE(status.ok());
    EXPECT_EQ(counted, 10);
  }));
}

TEST(FiberTest, ManyFibersWaitOnOneThreadAtOnce) {
  TestClock clock;
  plait::Run(
      []() -> Task<void> {
        const void* const thread = ThisThread();
        int ended = 0;
        std::vector<Task<void>> fibers;
        for (int i = 0; i < 1000; ++i) {
          fibers.push_back(RunFiber([&ended, thread, i] {
            for (int n = 0; n < 3; ++n) {
              const absl::Status slept = Await(Sleep(absl::Hours(1) + absl::Seconds(i)));
              EXPECT_TRUE(slept.ok()) << slept;
              EXPECT_EQ(ThisThread(), thread);
            }
            ++ended;
          }));
        }
        co_await Gather(std::move(fibers));
        EXPECT_EQ(ended, 1000);
      }(),
      {.clock = &clock});
  EXPECT_LT(clock.elapsed(), absl::Hours(4));
}

TEST(FiberTest, OtherTasksRunWhileAFiberWaits) {
  plait::Run([]() -> Task<void> {
    std::vector<std::string> log;
    auto note = [&log](const char* who) {
      for (int i = 0; i < 3; ++i) {
        log.push_back(who);
        Await(Yield());
      }
    };
    JoinHandle<void> a = SpawnFiber([&] { note("a"); }, {.name = "fiber a"});
    JoinHandle<void> b = SpawnFiber([&] { note("b"); });
    EXPECT_EQ(a.name(), "fiber a");
    co_await a;
    co_await b;
    EXPECT_EQ(log, (std::vector<std::string>{"a", "b", "a", "b", "a", "b"}));
  }());
}

TEST(FiberTest, TheFiberIsPartOfItsTask) {
  plait::Run([]() -> Task<void> {
    const uint64_t id = CurrentTask().id();
    const TaskContext* const context = TaskContext::Current();
    co_await RunFiber([&] {
      EXPECT_TRUE(InFiber());
      EXPECT_EQ(CurrentTask().id(), id);
      Await(Yield());
      EXPECT_EQ(TaskContext::Current(), context);
      EXPECT_EQ(CurrentTask().id(), id);
    });
    EXPECT_FALSE(InFiber());
    EXPECT_EQ(TaskContext::Current(), context);
  }());
}

// --- threads ---

TEST(FiberTest, OnAPoolAFiberStaysOnItsThread) {
  ThreadPool pool({.threads = 4});
  for (int round = 0; round < 5; ++round) {
    BlockOn(pool, []() -> Task<void> {
      std::vector<Task<void>> fibers;
      for (int i = 0; i < 50; ++i) {
        fibers.push_back(RunFiber([i] {
          const void* const thread = ThisThread();
          for (int n = 0; n < 20; ++n) {
            errno = i;
            Await(Yield());
            EXPECT_EQ(ThisThread(), thread);
            EXPECT_TRUE(InFiber());
            EXPECT_EQ(Await(Twice(n)), 2 * n);
          }
        }));
      }
      co_await Gather(std::move(fibers));
    }());
  }
}

TEST(FiberTest, WhatAFiberForksItDoesItselfInOrderAlsoWhenItWaitsMeanwhile) {
  class Forks final : public internal::ForkStack {
    void Publish(internal::ForkJob&) noexcept override { ADD_FAILURE(); }
  };
  plait::Run([]() -> Task<void> {
    Forks forks;
    forks.Ask();
    internal::thread_state.forks = &forks;
    std::vector<int> order;
    co_await RunFiber([&order] {
      ParallelInvoke(
          [&order] {
            Await(Yield());
            order.push_back(1);
          },
          [&order] { order.push_back(2); });
    });
    EXPECT_EQ(order, (std::vector<int>{1, 2}));
    EXPECT_EQ(internal::thread_state.forks, &forks);
    internal::thread_state.forks = nullptr;
  }());
}

TEST(FiberTest, ACoroutineThatAFiberRunsInlineIsNotTheFiber) {
  plait::Run(RunFiber([] {
    InlineExecutor executor;
    bool in_fiber = true;
    auto look = [](bool* seen) -> Task<int> {
      *seen = InFiber();
      co_return co_await Twice(2);
    };
    JoinHandle<int> handle = Spawn(look(&in_fiber), {.executor = &executor});
    EXPECT_TRUE(handle.done());
    EXPECT_FALSE(in_fiber);
    EXPECT_TRUE(InFiber());
    EXPECT_EQ(Await(Twice(1)), 2);
  }));
}

// --- errors ---

#if defined(__cpp_exceptions)
TEST(FiberTest, ExceptionsTravelInAndOut) {
  plait::Run([]() -> Task<void> {
    auto failing = []() -> Task<int> {
      co_await Yield();
      throw std::runtime_error("from the task");
    };
    std::string caught;
    try {
      static_cast<void>(co_await RunFiber([&] { return Await(failing()); }));
    } catch (const std::runtime_error& error) {
      caught = error.what();
    }
    EXPECT_EQ(caught, "from the task");
    const int handled = co_await RunFiber([&] {
      try {
        return Await(failing());
      } catch (const std::runtime_error&) {
        return 3;
      }
    });
    EXPECT_EQ(handled, 3);
  }());
}

// Each fiber is in a catch block of its own when the others run.
TEST(FiberTest, AnAwaitMayStandInACatchBlock) {
  ThreadPool pool({.threads = 2});
  BlockOn(pool, []() -> Task<void> {
    std::vector<Task<void>> fibers;
    for (int i = 0; i < 20; ++i) {
      fibers.push_back(RunFiber([i] {
        const std::string mine = std::to_string(i);
        bool rethrown = false;
        try {
          try {
            throw std::runtime_error(mine);
          } catch (const std::runtime_error&) {
            for (int n = 0; n <= i; ++n) Await(Yield());
            EXPECT_EQ(std::uncaught_exceptions(), 0);
            throw;  // the one that this block caught
          }
        } catch (const std::runtime_error& error) {
          rethrown = error.what() == mine;
        }
        EXPECT_TRUE(rethrown);
        EXPECT_EQ(std::current_exception(), nullptr);
      }));
    }
    co_await Gather(std::move(fibers));
    EXPECT_EQ(std::current_exception(), nullptr);
  }());
}
#endif

TEST(FiberTest, AStackSizeThatMakesNoSenseIsRefused) {
  plait::Run([]() -> Task<void> {
    for (const size_t size : {size_t{0}, size_t{1}, kLeastFiberStack - 1, kMostFiberStack + 1,
                              static_cast<size_t>(-1)}) {
      const absl::Status status =
          co_await RunFiber([] { return absl::OkStatus(); }, {.stack_size = size});
      EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    }
  }());
}

// --- cancellation ---

TEST(FiberTest, ACancelEndsTheWaitsOfAFiber) {
  plait::Run([]() -> Task<void> {
    std::vector<absl::Status> ended;
    JoinHandle<absl::Status> handle = SpawnFiber([&] {
      ended.push_back(Await(Sleep(absl::InfiniteDuration())));
      ended.push_back(Await(Sleep(absl::InfiniteDuration())));
      const absl::Status cleanup = Await(Uncancellable(Sleep(absl::Microseconds(1))));
      EXPECT_TRUE(cleanup.ok()) << cleanup;
      return ended.back();
    });
    co_await Yield();
    handle.Cancel();
    const absl::Status status = co_await handle;
    EXPECT_TRUE(absl::IsCancelled(status)) << status;
    EXPECT_EQ(ended.size(), 2u);
    EXPECT_TRUE(handle.cancelled());
  }());
}

TEST(FiberTest, AFiberThatWasCancelledBeforeItBeganDoesNotRun) {
  plait::Run([]() -> Task<void> {
    bool ran = false;
    JoinHandle<absl::Status> handle = SpawnFiber([&] {
      ran = true;
      return absl::OkStatus();
    });
    handle.Cancel();
    const absl::Status status = co_await handle;
    EXPECT_TRUE(absl::IsCancelled(status)) << status;
    EXPECT_FALSE(ran);
  }());
}

// --- stacks ---

// Uses about `depth` kilobytes.
int Deep(int depth) {  // NOLINT: recursion is the point
  volatile char used[1024];
  used[0] = static_cast<char>(depth);
  return depth == 0 ? 0 : Deep(depth - 1) + (used[0] == static_cast<char>(depth) ? 1 : 0);
}

TEST(FiberTest, AStackIsAsLargeAsWasAskedFor) {
  plait::Run([]() -> Task<void> {
    const int depth = co_await RunFiber([] { return Deep(2000); }, {.stack_size = 8 << 20});
    EXPECT_EQ(depth, 2000);
    const int small = co_await RunFiber([] { return Deep(4); }, {.stack_size = kLeastFiberStack});
    EXPECT_EQ(small, 4);
  }());
}

TEST(FiberDeathTest, AStackOverflowEndsTheProgramAtItsGuardPage) {
  EXPECT_DEATH(plait::Run(RunFiber([] { return Deep(1'000'000); })), "");
}

TEST(FiberTest, StacksAreUsedAgain) {
  plait::Run([]() -> Task<void> {
    std::vector<const void*> stacks;
    for (int i = 0; i < 10; ++i) {
      stacks.push_back(
          co_await RunFiber([] { return static_cast<const void*>(__builtin_frame_address(0)); }));
    }
    int same = 0;
    for (const void* stack : stacks) same += stack == stacks[0] ? 1 : 0;
    EXPECT_EQ(same, 10);
  }());
}

// Trap: the callable that is gone when it runs. The Task keeps its own.
TEST(FiberTest, TheFunctionIsKeptUntilItHasRun) {
  auto captured = std::make_shared<int>(7);
  plait::Run([](std::shared_ptr<int>* outside) -> Task<void> {
    Task<int> task = [&] {
      auto function = [inside = *outside] { return *inside + Await(Twice(1)); };
      return RunFiber(std::move(function));
    }();
    const int nine = co_await std::move(task);
    EXPECT_EQ(nine, 9);
    EXPECT_EQ(outside->use_count(), 1);
  }(&captured));
}

TEST(FiberDeathTest, ATaskThatAFiberRunsInlineOnTooSmallAStackIsToldSo) {
  const auto body = [] {
    InlineExecutor here_and_now;
    Spawn(LowestOf(10), {.executor = &here_and_now});
  };
  EXPECT_DEATH(plait::Run(RunFiber(body, {.stack_size = kLeastFiberStack})),
               "less than 24 KiB: give the fiber a larger one");
  // Also where it is a coroutine that the fiber runs inline which runs others inline.
  const auto deeper = [] {
    InlineExecutor outer;
    const auto nested = []() -> Task<void> {
      InlineExecutor inner;
      Spawn(LowestOf(10), {.executor = &inner});
      co_return;
    };
    Spawn(nested(), {.executor = &outer});
  };
  plait::Run(RunFiber(deeper, {.stack_size = 128 * 1024}));
  // The thread's own stack is not looked at, after a fiber as before it.
  plait::Run([]() -> Task<void> {
    InlineExecutor here_and_now;
    Spawn(LowestOf(10), {.executor = &here_and_now});
    co_return;
  }());
}

TEST(FiberDeathTest, AwaitOutsideOfAFiberIsAProgrammingError) {
  EXPECT_DEATH(Await(Yield()), "Await was called outside of a fiber");
  EXPECT_DEATH(plait::Run([]() -> Task<void> {
                 Await(Yield());
                 co_return;
               }()),
               "Await was called outside of a fiber");
  EXPECT_DEATH(plait::Run(RunFiber([] {
                 InlineExecutor executor;
                 auto wrong = []() -> Task<int> { co_return Await(Twice(1)); };
                 Spawn(wrong(), {.executor = &executor});
               })),
               "Await was called outside of a fiber");
}

}  // namespace
}  // namespace plait
