#include "plait/runtime/sync/strand.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/io/auto_reactor/auto_reactor.h"
#include "plait/io/ops/owned_descriptor.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/heavy_barrier.h"
#include "plait/runtime/core/thread_state.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/task_programs.h"
#include "plait/runtime/testing/test_clock.h"
#include "plait/runtime/testing/thread_executor.h"
#include "plait/schedulers/event_loop/event_loop.h"
#include "plait/schedulers/run.h"
#include "plait/schedulers/thread_pool/thread_pool.h"
#include "plait/schedulers/work_stealing/work_stealing_pool.h"

namespace plait {
namespace {

using testing_programs::Turns;

Executor& ThisExecutor() { return *TaskContext::Current()->executor; }

Task<void> Note(int number, std::vector<int>* order) {
  order->push_back(number);
  co_return;
}

TEST(StrandTest, WhatIsSpawnedOnItRunsInOrderAndResumesOnIt) {
  plait::Run([]() -> Task<void> {
    auto inside = [](Strand* strand) -> Task<void> {
      EXPECT_TRUE(strand->running_here());
      for (int i = 0; i < 3; ++i) {
        co_await Yield();
        EXPECT_TRUE(strand->running_here());
        EXPECT_EQ(&ThisExecutor(), strand);
      }
    };
    Strand strand(ThisExecutor());
    EXPECT_EQ(&strand.base(), &ThisExecutor());
    EXPECT_FALSE(strand.running_here());
    std::vector<int> order;
    std::vector<JoinHandle<void>> tasks;
    for (int i = 0; i < 200; ++i) {  // several turns of the strand
      tasks.push_back(Spawn(Note(i, &order), {.executor = &strand}));
    }
    tasks.push_back(Spawn(inside(&strand), {.executor = &strand}));
    for (auto& task : tasks) co_await task;
    EXPECT_FALSE(strand.running_here());
    for (int i = 0; i < 200; ++i) EXPECT_EQ(order[static_cast<size_t>(i)], i);
  }());
}

TEST(StrandTest, ATaskOfItResumesOnItAfterASleepToo) {
  TestClock clock;
  plait::Run(
      [](TestClock* time) -> Task<void> {
        auto nap = [](Strand* strand) -> Task<absl::Status> {
          const absl::Status slept = co_await Sleep(absl::Hours(1));
          EXPECT_TRUE(strand->running_here());
          const absl::Status late = co_await Timeout(absl::Hours(1), Sleep(absl::Hours(5)));
          EXPECT_TRUE(absl::IsDeadlineExceeded(late)) << late;
          EXPECT_TRUE(strand->running_here());
          co_return slept;
        };
        Strand strand(ThisExecutor());
        const absl::Status status = co_await Spawn(nap(&strand), {.executor = &strand});
        EXPECT_TRUE(status.ok()) << status;
        EXPECT_EQ(time->elapsed(), absl::Hours(2));
      }(&clock),
      {.clock = &clock});
}

TEST(StrandTest, BlockOnRunsItsBase) {
  EventLoop loop(MakeReactor());
  Strand strand(loop);
  std::vector<int> order;
  BlockOn(strand, Note(1, &order));
  ThreadExecutor threads(2);
  Strand on_threads(threads);
  BlockOn(on_threads, Note(2, &order));
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
}

TEST(StrandTest, AStrandOfAStrandWorks) {
  EventLoop loop(MakeReactor());
  Strand outer(loop);
  Executor& base = outer;
  Strand inner(base);
  auto check = [](Strand* strand) -> Task<void> {
    co_await Yield();
    EXPECT_TRUE(strand->running_here());
  };
  BlockOn(inner, check(&inner));
  BlockOn(outer, check(&outer));
}

// What the library does in the background is not the strand's, whose user does not know of it.
TEST(StrandTest, WhatIsDroppedInATaskOfItDoesNotKeepIt) {
  const auto drop = [](int fd) -> Task<void> {
    const io::OwnedDescriptor dropped(fd);
    co_return;
  };
  int fd = -1;
  {
    EventLoop loop(MakeReactor());
    Strand outer(loop);
    {
      Executor& base = outer;
      Strand inner(base);
      fd = ::dup(0);
      ASSERT_GE(fd, 0);
      BlockOn(inner, drop(fd));
    }
    EXPECT_TRUE(loop.Run().ok());
    EXPECT_EQ(::fcntl(fd, F_GETFD), -1) << "it was not closed";
  }
  WorkStealingPool pool({.threads = 2, .reactor = [] { return MakeReactor(); }});
  for (int i = 0; i < 20; ++i) {
    Strand strand(pool);
    BlockOn(strand, drop(::dup(0)));
  }
}

TEST(StrandTest, ABusyStrandLetsTheOtherWorkOfItsBaseHaveATurn) {
  plait::Run([]() -> Task<void> {
    auto spin = [](const bool* stop) -> Task<void> {
      while (!*stop) co_await Yield();
    };
    bool stop = false;
    Strand strand(ThisExecutor());
    JoinHandle<void> busy = Spawn(spin(&stop), {.executor = &strand});
    co_await Turns(10);
    stop = true;
    co_await busy;
  }());
}

TEST(StrandTest, ATaskOfItThatIsAwaitedAtOnceIsCalledOnAPoolOfThreadsToo) {
  auto pool = WorkStealingPool::Create({.threads = 2});
  ASSERT_TRUE(pool.ok()) << pool.status();
  auto was_called = []() -> Task<bool> { co_return internal::thread_state.called != nullptr; };
  auto joins = [](auto* child, Strand* strand) -> Task<void> {
    EXPECT_TRUE(co_await Spawn((*child)()));
    EXPECT_TRUE(strand->running_here());
    // Not before its turn.
    std::vector<int> order;
    JoinHandle<void> first = Spawn(Note(1, &order));
    JoinHandle<bool> second = Spawn((*child)());
    EXPECT_FALSE(co_await second);
    EXPECT_EQ(order, std::vector<int>{1});
    co_await first;
    // One that waits.
    co_await Spawn([]() -> Task<void> { co_await Turns(3); }());
    EXPECT_TRUE(strand->running_here());
  };
  Strand strand(**pool);
  auto run = [](Task<void> task, Strand* on) -> Task<void> {
    co_await Spawn(std::move(task), {.executor = on});
  };
  BlockOn(**pool, run(joins(&was_called, &strand), &strand));
}

TEST(StrandTest, WhatBlocksRunsWhereItsBaseHasItRun) {
  plait::Run(
      []() -> Task<void> {
        Strand strand(ThisExecutor());
        EXPECT_EQ(&strand.blocking(), &ThisExecutor().blocking());
        EXPECT_TRUE(strand.hooks().debug);
        auto block = []() -> Task<bool> {
          const void* const here = &internal::thread_state;
          auto elsewhere = [here] { return &internal::thread_state != here; };
          co_return co_await Offload(elsewhere);
        };
        JoinHandle<bool> task = Spawn(block(), {.executor = &strand});
        EXPECT_TRUE(co_await task);
      }(),
      {.debug = true});
}

TEST(StrandTest, ATaskOfItIsCancelledLikeAnyOther) {
  plait::Run([]() -> Task<void> {
    auto wait = [](Mutex* mutex) -> Task<absl::Status> {
      auto guard = co_await mutex->Lock();
      co_return guard.status();
    };
    Mutex mutex;
    const MutexGuard guard = mutex.TryLock();
    Strand strand(ThisExecutor());
    JoinHandle<absl::Status> task = Spawn(wait(&mutex), {.executor = &strand});
    co_await Turns(3);
    task.Cancel();
    const absl::Status status = co_await task;
    EXPECT_TRUE(absl::IsCancelled(status)) << status;
  }());
}

// It goes on on any of the pool's threads, so its stop state is at home on none.
TEST(StrandTest, ASleepOfItOnAPoolOfThreadsIsCancelledWithoutABarrier) {
  auto nap = []() -> Task<absl::Status> { co_return co_await Sleep(absl::Hours(1)); };
  auto nothing = []() -> Task<void> { co_return; };
  ThreadPool pool({.threads = 2});
  Strand strand(pool);
  JoinHandle<absl::Status> task = Spawn(nap(), {.executor = &strand});
  Spawn(nothing(), {.executor = &strand}).Get();  // behind it, so it sleeps
  const uint64_t before = internal::HeavyBarriersHere();
  task.Cancel();
  EXPECT_EQ(internal::HeavyBarriersHere(), before);
  const absl::Status status = task.Get();
  EXPECT_TRUE(absl::IsCancelled(status)) << status;
}

// Mutual exclusion over a pool of threads: the counter is a plain variable, so this is also for the
// thread sanitizer to see.
TEST(StrandStressTest, NothingOfItRunsAtTheSameTimeOnAPoolOfThreads) {
  constexpr int kTasks = 50;
  constexpr int kTurns = 100;
  struct State {
    int64_t count = 0;
    bool inside = false;
  };
  auto add = [](State* state) -> Task<void> {
    for (int i = 0; i < kTurns; ++i) {
      EXPECT_FALSE(state->inside);
      state->inside = true;
      ++state->count;
      state->inside = false;
      co_await Yield();
    }
  };
  ThreadExecutor pool(4);
  for (int round = 0; round < Repeats(20); ++round) {
    Strand strand(pool);  // also: it is destroyed while its last item may still return
    State state;
    auto all = [](auto* make, Strand* on, State* shared) -> Task<void> {
      std::vector<JoinHandle<void>> tasks;
      for (int i = 0; i < kTasks; ++i) {
        tasks.push_back(Spawn((*make)(shared), {.executor = on}));
      }
      for (auto& task : tasks) co_await task;
    };
    BlockOn(pool, all(&add, &strand, &state));
    EXPECT_EQ(state.count, kTasks * kTurns);
  }
}

TEST(StrandStressTest, ItemsOfOneThreadKeepTheirOrderWhileOthersPostToo) {
  constexpr int kThreads = 3;
  const int items_each = Repeats(2000);
  struct Item : WorkItem {
    using WorkItem::WorkItem;
    std::vector<int>* seen = nullptr;
    int number = 0;
  };
  ThreadExecutor pool(2);
  std::vector<std::vector<int>> seen(kThreads);  // touched by the strand only
  std::vector<std::unique_ptr<Item[]>> items;
  {
    Strand strand(pool);
    std::vector<Thread> threads;
    for (size_t t = 0; t < kThreads; ++t)
      items.push_back(std::make_unique<Item[]>(static_cast<size_t>(items_each)));
    for (size_t t = 0; t < kThreads; ++t) {
      threads.push_back(StartThread("poster", [&, t] {
        for (int i = 0; i < items_each; ++i) {
          Item& item = items[t][static_cast<size_t>(i)];
          item.seen = &seen[t];
          item.number = i;
          item.run = [](WorkItem& w) noexcept {
            auto& self = static_cast<Item&>(w);
            self.seen->push_back(self.number);
          };
          strand.Schedule(item);
        }
      }));
    }
    for (Thread& thread : threads) thread.join();
  }  // the strand waits for what is under way, and here that is all of it
  for (const auto& numbers : seen) {
    EXPECT_EQ(numbers.size(), static_cast<size_t>(items_each));
    for (size_t i = 0; i < numbers.size(); ++i) EXPECT_EQ(numbers[i], static_cast<int>(i));
  }
}

TEST(StrandDeathTest, ItOutlivesItsTasks) {
  EXPECT_DEATH(plait::Run([]() -> Task<void> {
                 auto wait = [](Event* event) -> Task<void> {
                   const absl::Status status = co_await event->Wait();
                   EXPECT_TRUE(status.ok());
                 };
                 Event never;
                 auto strand = std::make_unique<Strand>(ThisExecutor());
                 JoinHandle<void> task = Spawn(wait(&never), {.executor = strand.get()});
                 co_await Turns(3);
                 strand = nullptr;
               }()),
               "a Strand was destroyed before its tasks had ended");
  EXPECT_DEATH(plait::Run([]() -> Task<void> {
                 auto destroy = [](std::unique_ptr<Strand>* strand) -> Task<void> {
                   *strand = nullptr;
                   co_return;
                 };
                 auto strand = std::make_unique<Strand>(ThisExecutor());
                 co_await Spawn(destroy(&strand), {.executor = strand.get()});
               }()),
               "a Strand was destroyed by one of its own items");
}

}  // namespace
}  // namespace plait
