// IdleSet under the explorer: small pools of parking workers and those who post to them, in every
// execution, and every memory order weakened.
//
// Traps: the wake-up lost between check and park, which is a deadlock here. A worker that has taken
// an item is busy for good, so that each post must bring somebody else.
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/testing/explorer/expect.h"
#include "plait/runtime/testing/explorer/explorer.h"
#include "plait/schedulers/work_stealing/deque.h"
#include "plait/schedulers/work_stealing/idle_set.h"
#include "plait/schedulers/work_stealing/work_lane.h"

namespace plait::internal {
namespace {

using explorer::Event;
using explorer::ExpectAllExecutionsPass;
using explorer::ExpectMutantsKilled;
using explorer::ExploreMutants;
using explorer::Mutants;
using explorer::Parallel;
using explorer::Require;
using explorer::Scenario;
using ::testing::IsSupersetOf;

// A queue that is as weak as may be: its push releases, its look is relaxed.
class WeakQueue {
 public:
  static constexpr bool kOrdered = false;
  void Push() { items_.fetch_add(1, kRelease); }
  bool HasItems() { return items_.load(kRelaxed) > 0; }
  bool Take() { return TakeFrom(items_); }

  static bool TakeFrom(Atomic<int>& items) {
    int count = items.load(kRelaxed);
    while (count > 0) {
      if (items.compare_exchange_strong(count, count - 1, kAcquire, kRelaxed)) return true;
    }
    return false;
  }

 private:
  Atomic<int> items_{0};
};

// One whose push and look are sequentially consistent, and whose push is no read-modify-write, so
// that nothing else makes the look see it.
class OrderedQueue {
 public:
  static constexpr bool kOrdered = true;
  void Push() { items_[pushed_++].store(1, kSeqCst); }
  bool HasItems() { return items_[0].load(kSeqCst) > 0 || items_[1].load(kSeqCst) > 0; }
  bool Take() { return WeakQueue::TakeFrom(items_[0]) || WeakQueue::TakeFrom(items_[1]); }

 private:
  Atomic<int> items_[2] = {0, 0};
  int pushed_ = 0;  // the poster's
};

// The deque of a worker that is busy and never looks at it.
class DequeOfAnother {
 public:
  static constexpr bool kOrdered = true;
  void Push() { Push(items_[pushed_++]); }
  void Push(WorkItem& item) { deque_.Push(item); }
  bool HasItems() { return deque_.HasItems(); }
  bool Take() {
    for (;;) {
      const WorkStealingDeque::Stolen stolen = deque_.Steal();
      if (stolen.outcome != WorkStealingDeque::Stolen::kLost) return stolen.item != nullptr;
    }
  }

 private:
  WorkStealingDeque deque_{2};
  WorkItem items_[2];
  int pushed_ = 0;
};

// The lane of such a worker, and its deque; open before it pushes, or opened for that.
template <bool open>
class LaneOfAnother {
 public:
  static constexpr bool kOrdered = true;
  LaneOfAnother() {
    if (open) lane_.Open();
  }
  void Push() {
    if (!lane_.open()) lane_.Open();
    Require(lane_.Push(item_, /*lone=*/false), "nobody has taken anything");
  }
  void Close() {
    while (WorkItem* const item = lane_.Pop()) deque_.Push(*item);
    lane_.Close();
  }
  bool HasItems() {
    static_cast<void>(lane_.Reveal());
    return deque_.HasItems() || lane_.HasItems();
  }
  bool Take() {
    if (deque_.Take()) return true;
    if (!lane_.HasItems()) return false;
    WorkQueue taken;
    lane_.TakeHalf(taken);
    return !taken.empty();
  }

 private:
  DequeOfAnother deque_;
  WorkLane lane_;
  WorkItem item_;
};

template <class Queue>
class Pool {
 public:
  explicit Pool(int workers) : idle_(workers) {}

  void Post() {
    queue_.Push();
    if constexpr (requires { queue_.Close(); }) {
      if (!idle_.SomebodyIsIdle()) return;
      queue_.Close();
    }
    WakeForWork();
  }
  void PostTo(int worker) {
    own_.Push();
    if (idle_.ClaimParked(worker)) EventOf(worker).Set();
  }

  // Takes an item, sleeping until there is one.
  void RunOne(int worker) {
    for (;;) {
      idle_.BeginSearch(worker);
      if (queue_.Take()) break;
      idle_.PreparePark(worker);
      if (!queue_.HasItems()) EventOf(worker).Wait();
      static_cast<void>(idle_.CancelPark(worker));
    }
    if (idle_.EndSearch(worker) && queue_.HasItems()) WakeForWork();
  }
  void SleepAndRunOne(int worker) {
    EventOf(worker).Wait();
    static_cast<void>(idle_.CancelPark(worker));
    RunOne(worker);
  }
  // Takes an item of its own and one for all.
  void RunBoth(int worker) {
    bool own = false, shared = false;
    for (;;) {
      if (!own && own_.Take()) {
        own = true;
        if (idle_.EndSearch(worker) && queue_.HasItems()) WakeForWork();
      }
      if (!shared && queue_.Take()) shared = true;
      if (own && shared) return;
      idle_.PreparePark(worker);
      if (!(!own && own_.HasItems()) && !(!shared && queue_.HasItems())) EventOf(worker).Wait();
      static_cast<void>(idle_.CancelPark(worker));
    }
  }
  // Parks, and wakes at once as by a deadline. If it was claimed meanwhile, it sees why.
  void ParkInVain(int worker) {
    idle_.PreparePark(worker);
    if (idle_.CancelPark(worker)) return;
    Require(idle_.searches(worker), "a claimed worker searches");
    Require(queue_.Take() || own_.Take(), "it sees what it was claimed for");
    Require(idle_.EndSearch(worker), "nobody else searches");
  }

  IdleSet& idle() { return idle_; }

 private:
  void WakeForWork() {
    const int worker = Queue::kOrdered ? idle_.ClaimForOrderedWork() : idle_.ClaimForWork();
    if (worker != IdleSet::kNobody) EventOf(worker).Set();
  }
  Event& EventOf(int worker) { return wakes_[worker]; }

  IdleSet idle_;
  Queue queue_;
  WeakQueue own_;
  Event wakes_[2];
};

template <class Queue>
void OneWorker() {
  Pool<Queue> pool(1);
  Parallel({[&] { pool.RunOne(0); }, [&] { pool.Post(); }});
  Require(pool.idle().searching() == 0, "all searchers were counted, and have ended");
}

// The second post may trust in the worker that searches, or that the first has woken; which then
// wakes the other.
template <class Queue>
void TwoWorkers() {
  Pool<Queue> pool(2);
  pool.idle().BeginSearch(0);
  pool.idle().PreparePark(1);
  Parallel({[&] { pool.RunOne(0); }, [&] { pool.SleepAndRunOne(1); },
            [&] {
              pool.Post();
              pool.Post();
            }});
}

void TwoPosters() {
  Pool<WeakQueue> pool(1);
  Parallel({[&] {
              pool.RunOne(0);
              pool.RunOne(0);
            },
            [&] { pool.Post(); }, [&] { pool.Post(); }});
}

void OneOfItsOwn() {
  Pool<WeakQueue> pool(1);
  Parallel({[&] { pool.RunBoth(0); }, [&] { pool.PostTo(0); }, [&] { pool.Post(); }});
}

void ItWakesByItself() {
  Pool<WeakQueue> pool(1);
  Parallel({[&] { pool.ParkInVain(0); }, [&] { pool.Post(); }});
}

void ItWakesByItselfBeforeItsOwn() {
  Pool<WeakQueue> pool(1);
  Parallel({[&] { pool.ParkInVain(0); }, [&] { pool.PostTo(0); }});
}

std::vector<Scenario> Scenarios() {
  return {{"one worker", OneWorker<WeakQueue>},
          {"one worker, ordered", OneWorker<OrderedQueue>},
          {"it wakes by itself", ItWakesByItself},
          {"it wakes by itself before its own", ItWakesByItselfBeforeItsOwn},
          {"two posters", TwoPosters},
          {"one of its own", OneOfItsOwn},
          {"two workers", TwoWorkers<WeakQueue>},
          {"two workers, ordered", TwoWorkers<OrderedQueue>},
          {"one worker, a lane", OneWorker<LaneOfAnother<true>>},
          {"one worker, a lane that opens", OneWorker<LaneOfAnother<false>>}};
}

TEST(IdleSetExploredTest, NoWakeUpIsLost) { ExpectAllExecutionsPass(Scenarios()); }

TEST(IdleSetExploredTest, WeakeningAnyMemoryOrderIsNoticed) {
  ExpectMutantsKilled("work_stealing/idle_set.", Scenarios(), 10);
}

TEST(IdleSetExploredTest, WeakeningWhatShowsALaneIsNoticed) {
  ExpectMutantsKilled("work_stealing/work_lane.",
                      {{"a lane", OneWorker<LaneOfAnother<true>>, {.preemptions = 2}},
                       {"a lane that opens", OneWorker<LaneOfAnother<false>>, {.preemptions = 2}}},
                      4);
}

// What IdleSet asks of a queue so that ClaimForOrderedWork may be used.
TEST(IdleSetExploredTest, TheDequesPushAndLookAreSequentiallyConsistentForThis) {
  const Mutants mutants =
      ExploreMutants("work_stealing/deque.", {{"one worker", OneWorker<DequeOfAnother>}});
  std::vector<std::string> killed;
  for (const explorer::Mutant& mutant : mutants.all) {
    if (mutant.killed) killed.push_back(mutant.name);
  }
  EXPECT_THAT(killed, IsSupersetOf({"WorkStealingDeque::Push store: seq_cst -> release",
                                    "WorkStealingDeque::HasItems load #2: seq_cst -> acquire"}))
      << mutants.ToString();
  RecordProperty("mutants", mutants.ToString());
}

}  // namespace
}  // namespace plait::internal
