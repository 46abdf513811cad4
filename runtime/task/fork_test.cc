// Fork where threads steal: on a small executor of the test's own, whose threads ask for work all
// the time, or so much that every fork is published, or are told to make way again and again. (What
// a fork gives on any executor is in runtime/testing/task_suite_fork.cc.)
#include "plait/runtime/task/fork.h"

#include <array>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/fork_stack.h"
#include "plait/runtime/core/thread_state.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/allocations.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/schedulers/run.h"

namespace plait {
namespace {

using internal::Atomic;
using internal::kRelaxed;

// One queue for all; threads that find nothing there ask those that run something.
class StealingExecutor final : public Executor {
 public:
  // kToYield: all threads are told to make way, too, again and again.
  enum Asking { kWhenIdle, kAlways, kToYield };

  explicit StealingExecutor(int threads, Asking asking = kWhenIdle) : asking_(asking) {
    for (int i = 0; i < threads; ++i) stacks_.push_back(std::make_unique<Forks>(*this));
    for (int i = 0; i < threads; ++i) {
      threads_.push_back(
          StartThread("stealing", [this, i] { Run(*stacks_[static_cast<size_t>(i)]); }));
    }
  }
  ~StealingExecutor() override {
    {
      std::lock_guard lock(mutex_);
      ending_ = true;
    }
    changed_.notify_all();
    for (Thread& thread : threads_) thread.join();
    EXPECT_EQ(tasks().size(), 0u);
  }

  void Schedule(WorkItem& item) noexcept override {
    std::lock_guard lock(mutex_);
    items_.push_back(&item);
    changed_.notify_one();
  }
  int published() const { return published_.load(kRelaxed); }
  int yields() const { return yields_.load(kRelaxed); }

 private:
  class Forks final : public internal::ForkStack {
   public:
    explicit Forks(StealingExecutor& executor) : executor_(executor) {
      if (executor_.asking_ == kAlways) Ask();
    }

   private:
    void Publish(internal::ForkJob& job) noexcept override {
      executor_.published_.fetch_add(1, kRelaxed);
      executor_.Schedule(job);
      if (executor_.asking_ == kAlways) Ask();
      if (executor_.asking_ == kToYield) AskToYield();
    }
    void OnYield(WorkItem& rest) noexcept override {
      executor_.yields_.fetch_add(1, kRelaxed);
      executor_.Schedule(rest);
    }

    StealingExecutor& executor_;
  };

  void Run(Forks& mine) {
    internal::thread_state.forks = &mine;
    std::unique_lock lock(mutex_);
    for (;;) {
      while (items_.empty() && !ending_) {
        ++idle_;
        AskAll();
        changed_.wait(lock);
        --idle_;
      }
      if (items_.empty()) break;
      WorkItem* const item = items_.front();
      items_.pop_front();
      if (idle_ > 0) AskAll();
      if (asking_ == kToYield) {
        for (const auto& stack : stacks_) stack->AskToYield();
      }
      lock.unlock();
      item->run(*item);
      lock.lock();
    }
    EXPECT_TRUE(mine.empty());
    internal::thread_state.forks = nullptr;
  }
  void AskAll() {
    for (const auto& stack : stacks_) stack->Ask();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<WorkItem*> items_;
  const Asking asking_;
  int idle_ = 0;
  bool ending_ = false;
  Atomic<int> published_{0};
  Atomic<int> yields_{0};
  std::vector<std::unique_ptr<Forks>> stacks_;
  std::vector<Thread> threads_;
};

Task<int64_t> Fib(int n) {
  if (n < 2) co_return n;
  auto [a, b] = co_await Fork(Fib(n - 1), Fib(n - 2));
  co_return a + b;
}

Task<int64_t> Skynet(int64_t base, int64_t size) {
  if (size == 1) co_return base;
  const int64_t each = size / 10;
  const std::array<int64_t, 10> sums = co_await ForkEach<10>(
      [&](size_t i) { return Skynet(base + static_cast<int64_t>(i) * each, each); });
  int64_t sum = 0;
  for (const int64_t part : sums) sum += part;
  co_return sum;
}

Task<int> Give(int n) { co_return n; }
Task<absl::Status> SleepLong() { co_return co_await Sleep(absl::Hours(1)); }

class ForkTest : public testing::TestWithParam<std::tuple<int, StealingExecutor::Asking>> {
 protected:
  StealingExecutor executor_{std::get<0>(GetParam()), std::get<1>(GetParam())};
};

TEST_P(ForkTest, ForksInForksAddUp) {
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(BlockOn(executor_, Fib(15)), 610);
    EXPECT_EQ(BlockOn(executor_, Skynet(0, 1'000)), 499'500);
  }
  if (std::get<1>(GetParam()) == StealingExecutor::kAlways) {
    EXPECT_GT(executor_.published(), 1'000);
  }
  if (std::get<1>(GetParam()) == StealingExecutor::kToYield) {
    EXPECT_GT(executor_.yields(), 100);
  }
}

// Forks, waits, and forks again, at random.
Task<int64_t> Wander(uint64_t seed, int depth) {
  const auto draw = [&seed] {
    return (seed = seed * 6364136223846793005u + 1442695040888963407u) >> 33;
  };
  if (draw() % 3 == 0) co_await Yield();
  if (depth == 0) co_return 1;
  int64_t sum = 0;
  if (draw() % 2 == 0) {
    auto [a, b, c] = co_await Fork(Wander(draw(), depth - 1), Wander(draw(), depth - 1),
                                   Wander(draw(), depth - 1));
    sum = a + b + c;
  } else {
    const std::vector<int64_t> all =
        co_await ForkEach(3, [&](size_t) { return Wander(draw(), depth - 1); });
    for (const int64_t one : all) sum += one;
  }
  if (draw() % 3 == 0) co_await Yield();
  co_return sum;
}

// Trap: a wake-up lost between check and park: here an awaiting task that nobody resumes.
TEST_P(ForkTest, ForksWhoseChildrenWaitNowAndThenAllEnd) {
  for (const int seed : ShareOf(10)) {
    EXPECT_EQ(BlockOn(executor_, Wander(static_cast<uint64_t>(seed) + 1, 6)), 729)
        << "seed " << seed;
  }
}

TEST_P(ForkTest, AChildThatWaitsForAnothersChildIsNotInItsWay) {
  const auto body = []() -> Task<void> {
    for (int i = 0; i < Repeats(100); ++i) {
      Promise<int> promise;
      const auto wait = [](Future<int> future) -> Task<int> {
        const absl::StatusOr<int> value = co_await std::move(future);
        co_return value.value_or(-1);
      };
      const auto tell = [](Promise<int>* p) -> Task<int> {
        p->Set(7);
        co_return 0;
      };
      const auto deeper = [&]() -> Task<int> {
        auto [a, b] = co_await Fork(wait(promise.future()), Give(1));
        co_return a + b;
      };
      auto [a, b] = co_await Fork(deeper(), tell(&promise));
      EXPECT_EQ(a + b, 8);
    }
  };
  BlockOn(executor_, body());
}

TEST_P(ForkTest, ForkEachMakesItsChildrenOneAtATimeInTheirOrder) {
  const auto body = []() -> Task<void> {
    std::vector<size_t> all(20);
    for (size_t i = 0; i < all.size(); ++i) all[i] = i;
    for (int round = 0; round < Repeats(50); ++round) {
      std::vector<size_t> made;  // by two threads at once, that is a data race
      static_cast<void>(co_await ForkEach(all.size(), [&made](size_t i) {
        made.push_back(i);
        return Give(static_cast<int>(i));
      }));
      EXPECT_EQ(made, all);
    }
  };
  BlockOn(executor_, body());
}

TEST_P(ForkTest, ACancelThatRacesStealsReachesAllOrNone) {
  const auto body = []() -> Task<void> {
    const auto leaf = [](size_t) -> Task<absl::Status> {
      Promise<void> never;
      co_return co_await never.future();
    };
    const auto tree = [&leaf](size_t) -> Task<absl::Status> {
      co_return co_await ForkEach(4, leaf);
    };
    for (const int i : ShareOf(20)) {
      const auto all = [&tree]() -> Task<absl::Status> { co_return co_await ForkEach(4, tree); };
      JoinHandle<absl::Status> task = Spawn(all());
      for (int turn = 0; turn < i; ++turn) co_await Yield();
      task.Cancel();
      EXPECT_TRUE(absl::IsCancelled(co_await task));
    }
  };
  BlockOn(executor_, body());
}

std::string ThreadsAndAsking(const testing::TestParamInfo<ForkTest::ParamType>& info) {
  constexpr const char* kNames[] = {"AskingWhenIdle", "AlwaysAsking", "AskingToYield"};
  return absl::StrCat(std::get<0>(info.param), "Threads", kNames[std::get<1>(info.param)]);
}

INSTANTIATE_TEST_SUITE_P(Threads, ForkTest,
                         testing::Combine(testing::Values(1, 2, 8),
                                          testing::Values(StealingExecutor::kWhenIdle,
                                                          StealingExecutor::kAlways,
                                                          StealingExecutor::kToYield)),
                         ThreadsAndAsking);

// --- costs ---

TEST(ForkCostTest, WhereNobodyAsksNothingIsPublished) {
  StealingExecutor executor(1);
  static_cast<void>(BlockOn(executor, Fib(2)));  // answers what the thread asked when it was idle
  const int before = executor.published();
  EXPECT_EQ(BlockOn(executor, Fib(20)), 6765);
  EXPECT_LE(executor.published() - before, 1);
}

TEST(ForkCostTest, InTheSteadyStateAForkAllocatesNothing) {
  // Under the sanitizers all memory comes from the system, so that they see it go.
  if (!FramesArePooled()) GTEST_SKIP() << "each frame is an allocation here";
  plait::Run([]() -> Task<void> {
    static_cast<void>(co_await Fib(15));
    static_cast<void>(co_await Skynet(0, 100));
    const int64_t before = AllocationCount();
    static_cast<void>(co_await Fib(15));
    static_cast<void>(co_await Skynet(0, 100));
    EXPECT_EQ(AllocationCount(), before);
  }());
}

// --- what it shows ---

TEST(ForkShowsTest, ADumpNamesAForkAndTheChildrenThatHaveNotEnded) {
  plait::Run([]() -> Task<void> {
    const auto fork = []() -> Task<absl::Status> {
      co_return co_await Fork(SleepLong(), SleepLong());
    };
    JoinHandle<absl::Status> handle = Spawn(fork(), {.name = "it"});
    for (int i = 0; i < 5; ++i) co_await Yield();
    const absl::StatusOr<std::string> dump = DumpTask(handle.id());
    EXPECT_TRUE(dump.ok()) << dump.status();
    EXPECT_TRUE(absl::StrContains(*dump, "waits for Fork\n")) << *dump;
    size_t children = 0;
    for (size_t at = 0; (at = dump->find("SleepLong", at)) != std::string::npos; ++at) ++children;
    EXPECT_EQ(children, 2u) << *dump;
    handle.Cancel();
    static_cast<void>(co_await handle);
  }());
}

}  // namespace
}  // namespace plait
