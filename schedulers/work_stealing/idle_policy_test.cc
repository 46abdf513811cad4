// How many workers of a pool are woken for what is posted, and how IdlePolicy changes that.
//
// Time stands still here unless a test moves it, and the workers sleep in reactors that count: so a
// worker that spins does so until there is work, and one that sleeps is seen to.
#include <cstddef>
#include <deque>
#include <memory>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/deadline.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/parker.h"
#include "plait/runtime/core/reactor.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/test_clock.h"
#include "plait/runtime/testing/until.h"
#include "plait/schedulers/work_stealing/work_stealing_pool.h"

namespace plait {
namespace {

using internal::Atomic;

// Time that a worker may spin by, and that passes when the test says so.
class HandClock final : public Clock {
 public:
  Deadline Now() noexcept override { return time_.Now(); }
  absl::Time WallTime() noexcept override { return time_.WallTime(); }
  void Advance(absl::Duration by) noexcept { time_.Advance(by); }

 private:
  TestClock time_;
};

// What all the reactors of a pool have seen.
struct Sleepers {
  Atomic<int> asleep{0};
  Atomic<int> wakes{0};
  Atomic<int> polls{0};
  Atomic<WorkItem*> result{nullptr};  // what one of them is to have now
};

// A reactor in which something is in flight until it is cancelled: its worker sleeps in it.
class CountingReactor final : public Reactor {
 public:
  explicit CountingReactor(Sleepers& sleepers) : sleepers_(sleepers) {}

  absl::string_view name() const override { return "counting"; }
  void Submit(IoOperation&) noexcept override {}
  void Cancel(IoOperation&) noexcept override {}
  void CancelAll() noexcept override { in_flight_ = 0; }
  void Poll(Deadline deadline, Clock&, WorkQueue& ready) noexcept override {
    sleepers_.polls.fetch_add(1);
    if (TakeResult(ready) || deadline == Deadline::Immediate() || in_flight_ == 0) return;
    sleepers_.asleep.fetch_add(1);
    // Not by its clock, which never ends a sleep; but to see what it has.
    while (!woken_.Park(Clock::Real().Now() + absl::Microseconds(100), Clock::Real())) {
      if (TakeResult(ready)) break;
    }
    sleepers_.asleep.fetch_sub(1);
  }
  void Wake() noexcept override {
    sleepers_.wakes.fetch_add(1);
    woken_.Wake();
  }
  size_t in_flight() const noexcept override { return in_flight_; }

 private:
  bool TakeResult(WorkQueue& ready) noexcept {
    WorkItem* const item = sleepers_.result.exchange(nullptr);
    if (item != nullptr) ready.Push(*item);
    return item != nullptr;
  }

  Sleepers& sleepers_;
  size_t in_flight_ = 1;
  internal::Parker woken_;
};

// Says that it runs, and then waits for that many to do so. When it is the last of them it may be
// gone.
struct Item : WorkItem {
  explicit Item(Atomic<int>& all_that_run, int its_wait_for = 0)
      : WorkItem(&Run), run(all_that_run), wait_for(its_wait_for) {}
  static void Run(WorkItem& item) noexcept {
    Atomic<int>& all = static_cast<Item&>(item).run;
    const int wait_for = static_cast<Item&>(item).wait_for;
    if (all.fetch_add(1) + 1 < wait_for) Until([&] { return all.load() >= wait_for; });
  }

  Atomic<int>& run;
  const int wait_for;
};

class WatchedPool {
 public:
  WatchedPool(int threads, IdlePolicy policy)
      : threads_(threads), pool_(OptionsOf(threads, policy)) {
    AwaitAllAsleep();
  }
  // Where time stands still, one that spins would do so for ever.
  ~WatchedPool() { SpinInVain(); }

  // Time passes until all sleep.
  void SpinInVain() {
    Until([this] {
      clock_.Advance(absl::Microseconds(50));
      return sleepers_.asleep.load() == threads_;
    });
  }
  void AwaitAllAsleep() {
    Until([this] { return sleepers_.asleep.load() == threads_; });
  }
  // Posts an item and waits until it runs.
  void RunOne() {
    Atomic<int> run{0};
    Item item(run);
    pool_.Schedule(item);
    Until([&run] { return run.load() == 1; });
  }
  // The same with one that is the result of an operation.
  void CompleteOne() {
    Atomic<int> run{0};
    Item item(run);
    sleepers_.result.store(&item);
    Until([&run] { return run.load() == 1; });
  }
  void RunTogether(int count) {
    Atomic<int> run{0};
    std::deque<Item> items;
    for (int i = 0; i < count; ++i) pool_.Schedule(items.emplace_back(run, count));
    Until([&] { return run.load() == count; });
    AwaitAllAsleep();
  }
  // A worker that spins looks at its reactor again and again; one that goes to sleep, after its
  // last item and as it does so.
  bool spins() {
    const int before = sleepers_.polls.load();
    bool more = false;
    Until([&] {
      more = sleepers_.polls.load() > before + 2;
      return more || sleepers_.asleep.load() == threads_;
    });
    return more;
  }

  HandClock& clock() { return clock_; }
  int wakes() const { return sleepers_.wakes.load(); }

 private:
  WorkStealingPoolOptions OptionsOf(int threads, IdlePolicy policy) {
    return {.threads = threads,
            .idle = policy,
            .reactor = [this] { return std::make_unique<CountingReactor>(sleepers_); },
            .clock = &clock_};
  }

  const int threads_;
  HandClock clock_;
  Sleepers sleepers_;
  WorkStealingPool pool_;
};

// With one processor nobody could post while a worker spins: all policies are frugal then.
bool NobodySpins() { return HardwareThreads() == 1; }

void ExpectToSleepAtOnce(IdlePolicy policy) {
  WatchedPool pool(1, policy);
  for (int posts = 1; posts <= 20; ++posts) {
    pool.RunOne();
    EXPECT_FALSE(pool.spins());
    EXPECT_EQ(pool.wakes(), posts);
  }
}

TEST(IdlePolicyTest, OneItemWakesOneWorker) {
  WatchedPool pool(8, IdlePolicy::kFrugal);
  for (int posts = 1; posts <= Repeats(200); ++posts) {
    pool.RunOne();
    pool.AwaitAllAsleep();
    ASSERT_EQ(pool.wakes(), posts);
  }
}

TEST(IdlePolicyTest, SeveralWakeNoMoreThanThereIsWork) {
  constexpr int kItems = 3;
  for (int i = 0; i < Repeats(200); ++i) {
    WatchedPool pool(8, IdlePolicy::kFrugal);
    pool.RunTogether(kItems);
    EXPECT_GE(pool.wakes(), kItems);
    // One for each post and one for each that has found more than it took: two, as after the last
    // there is no more.
    EXPECT_LE(pool.wakes(), kItems + kItems - 1);
  }
}

TEST(IdlePolicyTest, FrugalWorkersSleepAtOnce) { ExpectToSleepAtOnce(IdlePolicy::kFrugal); }

TEST(IdlePolicyTest, BalancedWorkersSpinWhereWorkHasJustComeSoonFromOthers) {
  if (NobodySpins()) return ExpectToSleepAtOnce(IdlePolicy::kBalanced);
  WatchedPool pool(1, IdlePolicy::kBalanced);
  pool.RunOne();  // no time after it fell asleep
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(pool.spins());
    pool.RunOne();
    EXPECT_EQ(pool.wakes(), 1) << "only the first had to wake it";
  }
  for (int in_vain = 1; in_vain <= 3; ++in_vain) {
    EXPECT_TRUE(pool.spins());
    pool.SpinInVain();
    pool.clock().Advance(absl::Seconds(1));
    pool.RunOne();  // but not soon
    EXPECT_EQ(pool.wakes(), 1 + in_vain);
  }
  EXPECT_FALSE(pool.spins()) << "it has not paid three times in a row";
}

TEST(IdlePolicyTest, BalancedWorkersSleepAfterAResult) {
  WatchedPool pool(1, IdlePolicy::kBalanced);
  for (int i = 0; i < 20; ++i) {
    pool.CompleteOne();
    EXPECT_FALSE(pool.spins());
  }
  EXPECT_EQ(pool.wakes(), 0);
}

TEST(IdlePolicyTest, LatencyWorkersSpinAfterAResultToo) {
  if (NobodySpins()) return ExpectToSleepAtOnce(IdlePolicy::kLatency);
  WatchedPool pool(1, IdlePolicy::kLatency);
  for (int i = 0; i < 20; ++i) {
    pool.CompleteOne();
    EXPECT_TRUE(pool.spins());
  }
  EXPECT_EQ(pool.wakes(), 0);
}

}  // namespace
}  // namespace plait
