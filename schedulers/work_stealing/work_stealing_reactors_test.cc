// What operations do when tasks await them, on the work-stealing pool: every reactor, with one
// thread and with several. And that a pool with reactors leaves nothing behind.
#include <array>
#include <fstream>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/io/ops/operations.h"
#include "plait/io/system/fault_injection.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/fork_stack.h"
#include "plait/runtime/core/frame_allocator.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/core/thread_state.h"
#include "plait/runtime/core/worker.h"
#include "plait/runtime/parallel/invoke.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_reactors.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/runtime/testing/reactor_factory.h"
#include "plait/runtime/testing/reactor_task_suite.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/runtime/testing/test_clock.h"
#include "plait/runtime/testing/thread_executor.h"
#include "plait/runtime/testing/until.h"
#include "plait/schedulers/work_stealing/work_stealing_pool.h"

namespace plait {
namespace {

using internal::Atomic;

bool IsQuiet(Executor& executor) {
  const auto& pool = static_cast<WorkStealingPool&>(executor);
  return pool.queued() == 0 && pool.idle_threads() == pool.threads() - 1;
}

std::vector<ReactorTaskExecutor> Pools() {
  std::vector<ReactorTaskExecutor> pools;
  for (const ReactorFactory& reactor : AllReactors()) {
    for (const int threads : {1, 2, 8}) {
      ReactorTaskExecutor pool{
          .name = absl::StrCat(reactor.name, threads),
          .make = [make = reactor.make, threads](Executor* blocking) -> std::unique_ptr<Executor> {
            return std::make_unique<WorkStealingPool>(
                WorkStealingPoolOptions{.threads = threads,
                                        .reactor = [&make, blocking] { return make(blocking); },
                                        .blocking = blocking});
          },
          .ordered = false};
      if (threads > 1) pool.quiet = IsQuiet;
      pools.push_back(std::move(pool));
    }
  }
  return pools;
}

INSTANTIATE_TEST_SUITE_P(WorkStealing, ReactorTaskSuite, testing::ValuesIn(Pools()),
                         ReactorTaskExecutor::Name);

class WorkStealingReactorsTest : public testing::TestWithParam<ReactorFactory> {
 protected:
  std::unique_ptr<WorkStealingPool> MakePool(int threads) {
    return std::make_unique<WorkStealingPool>(WorkStealingPoolOptions{
        .threads = threads, .reactor = [] { return GetParam().make(nullptr); }});
  }
};

// The number after `name` in /proc/self/status.
int64_t ProcessStatus(const std::string& name) {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    int64_t value = -1;
    if (word == name && status >> value) return value;
  }
  return -1;
}

// The reader waits in the reactor when the byte is written.
Task<void> SayAndHear(int to, int from) {
  const auto hear = [from]() -> Task<void> {
    const GuardedBuffer byte(1);
    const absl::StatusOr<size_t> heard = co_await io::Read(from, byte.span());
    EXPECT_TRUE(heard.ok()) << heard.status();
  };
  JoinHandle<void> hearing = Spawn(hear(), {.eager = true});
  const GuardedBuffer byte("x");
  const absl::StatusOr<size_t> said = co_await io::Write(to, byte.span());
  EXPECT_TRUE(said.ok()) << said.status();
  co_await hearing;
}

TEST_P(WorkStealingReactorsTest, AThousandPoolsThatCameAndWentLeaveNoThreadDescriptorOrPage) {
  FdPair pair = MakeSocketPair();
  Atomic<bool> begun{false};
  const auto waits = [&]() -> Task<void> {
    const GuardedBuffer byte(1);
    begun.store(true);
    const absl::StatusOr<size_t> heard = co_await io::Read(pair.second.get(), byte.span());
    EXPECT_TRUE(absl::IsCancelled(heard.status())) << heard.status();
  };
  const auto some = [&](int count) {
    for (int i = 0; i < count; ++i) {
      const auto pool = MakePool(2);
      BlockOn(*pool, SayAndHear(pair.first.get(), pair.second.get()));
      // And one that waits in its reactor when it ends.
      begun.store(false);
      Spawn(waits(), {.executor = pool.get()});
      Until([&] { return begun.load() && pool->idle_threads() == 2; });
    }
  };
  const int64_t threads = ProcessStatus("Threads:");
  some(50);  // what is made once, and what allocators keep
  const int descriptors = OpenDescriptors();
  const int64_t kibibytes = ProcessStatus("VmRSS:");
  some(1000);
  EXPECT_EQ(OpenDescriptors(), descriptors);
  // The system counts a thread for a moment after it was joined.
  Until([&] { return ProcessStatus("Threads:") <= threads; });
  // A page a pool would be 4,000. (The sanitizers keep what was freed.)
  if (internal::kFramesArePooled) {
    EXPECT_LT(ProcessStatus("VmRSS:"), kibibytes + 2000);
  }
}

// Sockets that always have something, at once or as the reactor says, do not keep their worker from
// the rest: a timer, a task that yields, posts from outside, and another socket.
TEST_P(WorkStealingReactorsTest, Line65ASocketThatIsAlwaysReadyStarvesNobody) {
  ThreadExecutor outside;
  for (const int threads : {1, 2, 8}) {
    const auto pool = MakePool(threads);
    FdPair busy = MakeSocketPair();
    FdPair told = MakeSocketPair();
    FdPair other = MakeSocketPair();
    Atomic<bool> ended{false};
    const auto at_once = [&]() -> Task<void> {
      const GuardedBuffer byte("x");
      while (!ended.load(internal::kRelaxed)) {
        static_cast<void>(co_await io::Write(busy.first.get(), byte.span()));
        static_cast<void>(co_await io::Read(busy.second.get(), byte.span()));
      }
    };
    const auto by_the_reactor = [&]() -> Task<void> {
      while (!ended.load(internal::kRelaxed)) {
        co_await SayAndHear(told.first.get(), told.second.get());
      }
    };
    Atomic<int> turns{0};
    const auto yields = [&]() -> Task<void> {
      while (!ended.load(internal::kRelaxed)) {
        turns.fetch_add(1, internal::kRelaxed);
        co_await Yield();
      }
    };
    const auto body = [&]() -> Task<void> {
      for (int i = 0; i < Repeats(20); ++i) {  // each of these comes, or the test has no end
        const absl::Status slept = co_await Sleep(absl::Microseconds(50));
        EXPECT_TRUE(slept.ok()) << slept;
        co_await SayAndHear(other.first.get(), other.second.get());
        const absl::StatusOr<int> posted = co_await RunIn(outside, [] { return 1; });
        EXPECT_TRUE(posted.ok()) << posted.status();
        const int before = turns.load(internal::kRelaxed);
        while (turns.load(internal::kRelaxed) == before) co_await Yield();
      }
      ended.store(true, internal::kRelaxed);
    };
    std::vector<JoinHandle<void>> busy_ones;
    busy_ones.push_back(Spawn(at_once(), {.executor = pool.get()}));
    busy_ones.push_back(Spawn(by_the_reactor(), {.executor = pool.get()}));
    busy_ones.push_back(Spawn(yields(), {.executor = pool.get()}));
    BlockOn(*pool, body());
    const auto join = [&]() -> Task<void> {
      for (JoinHandle<void>& each : busy_ones) co_await each;
    };
    BlockOn(*pool, join());
  }
}

// A futex is the cheaper place to sleep, and the reactor the only one where results come.
TEST_P(WorkStealingReactorsTest, AWorkerWaitsInItsReactorOnlyForWhatIsInFlight) {
  using sys::FaultInjection;
  FaultInjection calls;
  const sys::ScopedSystemCalls scope(calls);
  const auto waits_in_reactors = [&] {
    return calls.count(FaultInjection::kEpollWait) + calls.count(FaultInjection::kIoUringEnter) +
           calls.count(FaultInjection::kKqueueEvents);
  };
  const auto pool = MakePool(2);
  const auto until_asleep = [&] { Until([&] { return pool->idle_threads() == 2; }); };
  const auto nothing = []() -> Task<void> { co_await Yield(); };
  BlockOn(*pool, nothing());
  until_asleep();
  const int64_t before = waits_in_reactors();
  for (int i = 0; i < Repeats(100); ++i) {
    BlockOn(*pool, nothing());
    until_asleep();
  }
  EXPECT_EQ(waits_in_reactors(), before);
  FdPair pair = MakeSocketPair();
  BlockOn(*pool, SayAndHear(pair.first.get(), pair.second.get()));
  EXPECT_GT(waits_in_reactors(), before);
}

// As many leaves as two are to the `levels`, or fewer once `enough`.
Task<void> Tree(int levels, const bool* enough) {
  if (levels == 0 || *enough) co_return;
  co_await Fork(Tree(levels - 1, enough), Tree(levels - 1, enough));
}

// The same, of which most that is forked are plain calls, which cannot make way.
Task<void> TreeOfCalls(int levels, const bool* enough) {
  if (*enough) co_return;
  if (levels > 0) {
    co_await Fork(TreeOfCalls(levels - 1, enough), TreeOfCalls(levels - 1, enough));
    co_return;
  }
  const auto nothing = [] {};
  for (int i = 0; i < 200; ++i) ParallelInvoke(nothing, nothing);
}

// A fork that is left to Drain, as the first child waits, and whose others fork nothing.
Task<void> Comb(int teeth, const bool* enough) {
  const auto tooth = [enough](size_t i) -> Task<void> {
    if (i == 0) co_await Yield();
    const Deadline end = Clock::Real().Now() + absl::Microseconds(50);
    while (!*enough && Clock::Real().Now() < end) internal::SpinWait(0);
  };
  co_await ForkEach(static_cast<size_t>(teeth), tooth);
}

// On one thread, so that nobody steals of them. For more than one pass: what is ready is not to
// wait for the next each.
TEST_P(WorkStealingReactorsTest, ForksMakeWayForTimersCompletionsAndTasks) {
  for (const absl::string_view kind : {"tree", "tree of calls", "comb"}) {
    SCOPED_TRACE(kind);
    constexpr int kWaits = 20;
    constexpr int kReaders = 50;
    constexpr int kYielders = 300;
    const auto pool = MakePool(1);
    std::vector<FdPair> pairs;
    for (int i = 0; i < kReaders; ++i) pairs.push_back(MakeSocketPair());
    int left = 1 + kReaders + kYielders;
    bool enough = false;
    const auto over = [&] { enough = --left == 0; };
    const auto sleeps = [&]() -> Task<void> {
      for (int i = 0; i < kWaits; ++i) {
        const absl::Status slept = co_await Sleep(absl::Milliseconds(1));
        EXPECT_TRUE(slept.ok()) << slept;
      }
      over();
    };
    const auto reads = [&](int fd) -> Task<void> {
      const GuardedBuffer byte(1);
      const absl::StatusOr<size_t> size = co_await io::Read(fd, byte.span());
      EXPECT_TRUE(size.ok()) << size.status();
      over();
    };
    const auto yields = [&]() -> Task<void> {
      for (int i = 0; i < kWaits; ++i) co_await Yield();
      over();
    };
    const auto body = [&]() -> Task<void> {
      std::vector<JoinHandle<void>> others;
      others.push_back(Spawn(sleeps(), {.eager = true}));
      for (int i = 0; i < kYielders; ++i) others.push_back(Spawn(yields(), {.eager = true}));
      for (const FdPair& pair : pairs) {
        others.push_back(Spawn(reads(pair.second.get()), {.eager = true}));
      }
      for (const FdPair& pair : pairs) WriteAll(pair.first.get(), "x");
      // Seconds, if it is all of it.
      if (kind == "tree") {
        co_await Tree(28, &enough);
      } else if (kind == "tree of calls") {
        co_await TreeOfCalls(26, &enough);
      } else {
        co_await Comb(200'000, &enough);
      }
      EXPECT_EQ(left, 0) << "they waited for all of it";
      for (JoinHandle<void>& other : others) co_await other;
    };
    BlockOn(*pool, body());
  }
}

// Again and again, and on each thread: what is put aside goes on elsewhere.
TEST_P(WorkStealingReactorsTest, ForksThatMakeWayComeToTheirEnd) {
  const auto pool = MakePool(3);
  struct Told {
    std::mutex mutex;
    std::set<internal::ForkStack*> stacks;
    Atomic<bool> enough{false};
  } told;
  struct Count {
    static Task<int64_t> Leaves(int levels, Told* told) {
      if (levels == 0) co_return 1;
      if (levels == 8) {
        const std::lock_guard hold(told->mutex);
        told->stacks.insert(internal::thread_state.forks);
      }
      // Some wait, so that their thread drains what they have forked.
      if (levels % 5 == 0) co_await Yield();
      const auto [a, b] = co_await Fork(Leaves(levels - 1, told), Leaves(levels - 1, told));
      co_return a + b;
    }
  };
  Thread teller = StartThread("teller", [&] {
    while (!told.enough.load()) {
      const std::lock_guard hold(told.mutex);
      for (internal::ForkStack* const forks : told.stacks) forks->AskToYield();
    }
  });
  std::vector<JoinHandle<int64_t>> trees;
  for (int i = 0; i < 6; ++i) {
    trees.push_back(Spawn(Count::Leaves(14, &told), {.executor = pool.get()}));
  }
  const auto body = [&]() -> Task<void> {
    for (JoinHandle<int64_t>& tree : trees) EXPECT_EQ(co_await tree, 1 << 14);
  };
  BlockOn(*pool, body());
  told.enough.store(true);
  teller.join();
}

// Whoever steals the task between its waits: each goes on at the worker that has its timer or its
// operation, which for a descriptor is the first that used it. Whatever else the pool does
// meanwhile, where nothing else waits there.
TEST_P(WorkStealingReactorsTest, AWaitGoesOnOnTheWorkerThatSubmittedIt) {
  const auto pool = MakePool(4);
  FdPair pair = MakeSocketPair();
  WriteAll(pair.second.get(), "x");
  const auto yields = [](const Atomic<bool>* end) -> Task<void> {
    while (!end->load()) co_await Yield();
  };
  const auto waits = [](int fd) -> Task<void> {
    const Worker* home = nullptr;  // of what is waited for at `fd`
    for (int i = 0; i < Repeats(200); ++i) {
      co_await Yield();
      const Worker* const here = Worker::Current();
      const absl::Status slept = co_await Sleep(absl::Microseconds(10));
      EXPECT_TRUE(slept.ok()) << slept;
      EXPECT_EQ(Worker::Current(), here);
      co_await Yield();
      if (home == nullptr) home = Worker::Current();
      const absl::StatusOr<uint32_t> events = co_await io::Poll(fd, kPollReadable);
      EXPECT_TRUE(events.ok()) << events.status();
      EXPECT_EQ(Worker::Current(), home);
    }
  };
  const auto body = [&]() -> Task<void> {
    Atomic<bool> end{false};
    std::vector<JoinHandle<void>> others;
    for (int i = 0; i < 8; ++i) others.push_back(Spawn(yields(&end)));
    co_await Spawn(waits(pair.first.get()));
    end.store(true);
    for (JoinHandle<void>& other : others) co_await other;
  };
  BlockOn(*pool, body());
}

using ThreePairs = std::array<FdPair, 3>;

// Three waits that begin on one worker and end there at once. `go_on` is what each does then; it is
// given how many have gone on before it. The sockets go to `used`, to be closed when no reactor
// knows them any more.
Task<void> ThreeThatEndAtOnce(std::vector<ThreePairs>* used, absl::FunctionRef<void(int)> go_on) {
  used->push_back({MakeSocketPair(), MakeSocketPair(), MakeSocketPair()});
  const ThreePairs& pairs = used->back();
  Atomic<int> gone_on{0};
  const auto wait = [&](int fd) -> Task<void> {
    const absl::StatusOr<uint32_t> events = co_await io::Poll(fd, kPollReadable);
    EXPECT_TRUE(events.ok()) << events.status();
    go_on(gone_on.fetch_add(1));
  };
  std::vector<JoinHandle<void>> tasks;
  for (const FdPair& pair : pairs) {
    tasks.push_back(Spawn(wait(pair.first.get()), {.eager = true}));
  }
  for (const FdPair& pair : pairs) WriteAll(pair.second.get(), "x");
  for (JoinHandle<void>& task : tasks) co_await task;
}

// The other worker sleeps, as time has passed by a virtual clock; by which nobody looks after
// workers that are stuck.
TEST_P(WorkStealingReactorsTest, WhatWaitsBehindALongContinuationIsGivenToWhoeverIsIdle) {
  TestClock clock;
  std::vector<ThreePairs> used;
  WorkStealingPool pool(
      {.threads = 2, .reactor = [] { return GetParam().make(nullptr); }, .clock = &clock});
  Atomic<int> gone_on{0};
  const auto body = [&]() -> Task<void> {
    const absl::Status slept = co_await Sleep(absl::Seconds(1));
    EXPECT_TRUE(slept.ok()) << slept;
    co_await ThreeThatEndAtOnce(&used, [&](int before) {
      gone_on.fetch_add(1);
      if (before == 0) clock.Advance(absl::Milliseconds(1));
      // One thread alone never does this.
      if (before == 1) Until([&] { return gone_on.load() == 3; });
    });
  };
  for (int i = 0; i < Repeats(20); ++i) {
    gone_on.store(0);
    BlockOn(pool, body());
  }
}

TEST_P(WorkStealingReactorsTest, WhatWaitsBehindShortContinuationsStaysAtItsWorker) {
  TestClock clock;
  std::vector<ThreePairs> used;
  WorkStealingPool pool(
      {.threads = 2, .reactor = [] { return GetParam().make(nullptr); }, .clock = &clock});
  const auto body = [&]() -> Task<void> {
    const absl::Status slept = co_await Sleep(absl::Seconds(1));
    EXPECT_TRUE(slept.ok()) << slept;
    const Worker* const home = Worker::Current();
    int in_order = 0;
    co_await ThreeThatEndAtOnce(&used, [&](int before) {
      EXPECT_EQ(before, in_order++);
      EXPECT_EQ(Worker::Current(), home);
      clock.Advance(absl::Microseconds(40));
      // Time enough for a thread that was woken to take what it was woken for.
      for (int spins = 0; spins < 20'000; ++spins) internal::SpinWait(0);
    });
  };
  for (int i = 0; i < Repeats(20); ++i) BlockOn(pool, body());
  EXPECT_EQ(pool.steals(), 0u);
}

TEST_P(WorkStealingReactorsTest, WhatACompletionMakesReadyIsStolen) {
  const auto pool = MakePool(2);
  FdPair pair = MakeSocketPair();
  Atomic<int> met{0};
  // Each waits, without giving its thread back, until all have begun: one thread alone never ends.
  const auto meet = [&]() -> Task<void> {
    met.fetch_add(1);
    while (met.load() < 2) {
    }
    co_return;
  };
  const auto body = [&]() -> Task<void> {
    co_await SayAndHear(pair.first.get(), pair.second.get());
    JoinHandle<void> first = Spawn(meet());
    JoinHandle<void> second = Spawn(meet());
    co_await first;
    co_await second;
  };
  for (int i = 0; i < Repeats(50); ++i) {
    met.store(0);
    BlockOn(*pool, body());
  }
  EXPECT_GT(pool->steals(), 0u);
}

// By a plain system call of an item that runs while the reader's worker falls asleep: nobody but
// the system knows of it.
TEST_P(WorkStealingReactorsTest, WhatAnItemMakesReadyComesBeforeAnyVirtualTimePasses) {
  TestClock clock;
  WorkStealingPool pool(
      {.threads = 2, .reactor = [] { return GetParam().make(nullptr); }, .clock = &clock});
  FdPair pair = MakeSocketPair();
  for (const int round : ShareOf(100)) {
    const absl::Duration before = clock.elapsed();
    Atomic<bool> writer_runs{false};
    Atomic<bool> sleeps{false};
    Atomic<bool> reads{false};
    Atomic<int64_t> read_at{-1};
    // Keeps one worker, and so time, until the other has nothing more to do than to wait.
    const auto write = [&]() -> Task<void> {
      writer_runs.store(true);
      Until([&] { return reads.load() && pool.idle_threads() == 1; });
      for (int i = 0; i < 20 * round; ++i) internal::SpinWait(0);  // until it sleeps, mostly
      WriteAll(pair.first.get(), "x");
      co_return;
    };
    const auto doze = [&]() -> Task<void> {
      sleeps.store(true);
      const absl::Status slept = co_await Sleep(absl::Hours(1));
      EXPECT_TRUE(slept.ok()) << slept;
    };
    const auto read = [&]() -> Task<void> {
      const GuardedBuffer byte(1);
      reads.store(true);
      const absl::StatusOr<size_t> size = co_await io::Read(pair.second.get(), byte.span());
      EXPECT_TRUE(size.ok()) << size.status();
      read_at.store(absl::ToInt64Nanoseconds(clock.elapsed() - before));
    };
    JoinHandle<void> writer = Spawn(write(), {.executor = &pool});
    Until([&] { return writer_runs.load(); });
    JoinHandle<void> sleeper = Spawn(doze(), {.executor = &pool});
    Until([&] { return sleeps.load() && pool.idle_threads() == 1; });
    JoinHandle<void> reader = Spawn(read(), {.executor = &pool});
    Until([&] { return read_at.load() >= 0; });
    ASSERT_EQ(read_at.load(), 0) << "in round " << round;
    const auto join = [&]() -> Task<void> {
      co_await writer;
      co_await reader;
      co_await sleeper;
    };
    BlockOn(pool, join());
  }
}

INSTANTIATE_TEST_SUITE_P(AllReactors, WorkStealingReactorsTest, testing::ValuesIn(AllReactors()),
                         ReactorFactory::Name);

}  // namespace
}  // namespace plait
