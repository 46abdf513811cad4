// A pool's workers under the explorer: the loop that they are on their threads, with what is posted
// to them, in every execution. What the parts of it promise one by one is explored beside each;
// here is that they are put together right.
//
// Traps: the wake-up lost between check and park, which is a deadlock here, as is work that lies
// where nobody looks who has nothing to do.
#include <cstddef>
#include <initializer_list>
#include <memory>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/executor.h"
#include "plait/runtime/core/fork_stack.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/core/thread_state.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/testing/explorer/expect.h"
#include "plait/runtime/testing/explorer/explorer.h"
#include "plait/schedulers/work_stealing/pool_shared.h"
#include "plait/schedulers/work_stealing/pool_worker.h"
#include "plait/schedulers/work_stealing/sleepy_reactor.h"
#include "plait/schedulers/work_stealing/spinner.h"

namespace plait::internal {
namespace {

using explorer::Event;
using explorer::ExpectAllExecutionsPass;
using explorer::Options;
using explorer::Parallel;
using explorer::Require;

// A worker looks at some twenty atomics each time that it finds nothing, so that there are bounds
// on everything. MUTANTS.md lists what was taken out of the loop by hand and noticed within these.
constexpr Options kOneWorker = {.preemptions = 3, .stale_values = 1};
constexpr Options kTwoWorkers = {.preemptions = 1, .stale_values = 1};
constexpr Options kThreeWorkers = {.preemptions = 1, .stale_values = 0};

enum class Sleep { kOnAFutex, kInItsReactor };

// The workers of a pool, whose threads are the scenario's. It has no monitor and no spares, and
// ends when so many items have run.
class Pool final : public Executor {
 public:
  Pool(int threads, int items, Sleep sleep = Sleep::kOnAFutex)
      : shared_(*this, clock_, threads), items_left_(items) {
    for (int i = 0; i < threads; ++i) {
      auto reactor = sleep == Sleep::kInItsReactor ? std::make_unique<SleepyReactor>() : nullptr;
      shared_.workers.push_back(std::make_unique<PoolWorker>(
          shared_, i, /*seed=*/i + 1, IdlePolicy::kFrugal, std::move(reactor)));
    }
  }
  ~Pool() override { Require(items_left_.load(kRelaxed) == 0, "all items have run"); }

  // From any thread that is none of the pool's.
  void Schedule(WorkItem& item) noexcept override { shared_.PostFromOutside(item); }
  PoolWorker& worker(int number) { return *shared_.workers[static_cast<size_t>(number)]; }
  // A thread of the pool.
  void Run(int number) { worker(number).Run(); }
  void NoteRun() noexcept {
    if (items_left_.fetch_sub(1, kRelaxed) == 1) Close();
  }
  void Close() noexcept { shared_.Close(); }

 private:
  StoppedClock clock_;
  PoolShared shared_;
  Atomic<int> items_left_;
};

// Schedules others, waits for an event, and sets another, where it is told to.
struct Item : WorkItem {
  explicit Item(Pool& its_pool) : WorkItem(&Run), pool(its_pool) {}
  static void Run(WorkItem& item) noexcept { static_cast<Item&>(item).Run(); }
  void Run() noexcept {
    Require(!std::exchange(ran, true), "it runs once");
    auto& worker = static_cast<PoolWorker&>(*thread_state.worker);
    if (next != nullptr) worker.Schedule(*next);
    for (Item* item : queued) worker.ScheduleLast(*item);
    if (awaits != nullptr) awaits->Wait();
    if (tells != nullptr) tells->Set();
    pool.NoteRun();
  }

  Pool& pool;
  bool ran = false;
  Item* next = nullptr;
  std::vector<Item*> queued;
  Event* awaits = nullptr;
  Event* tells = nullptr;
};

template <Sleep sleep>
void OneIsPosted() {
  Pool pool(1, 1, sleep);
  Item item(pool);
  Parallel({[&] { pool.Run(0); }, [&] { pool.Schedule(item); }});
}

template <Sleep sleep>
void OneIsPostedToTheWorker() {
  Pool pool(1, 1, sleep);
  Item item(pool);
  Parallel({[&] { pool.Run(0); }, [&] { pool.worker(0).Post(item); }});
}

// By another thread, also before it has begun, or between its looks and its sleep.
template <Sleep sleep>
void ItIsClosed() {
  Pool pool(1, 0, sleep);
  Parallel({[&] { pool.Run(0); }, [&] { pool.Close(); }});
}

void TwoThreadsPost() {
  Pool pool(1, 2);
  Item first(pool), second(pool);
  Parallel(
      {[&] { pool.Run(0); }, [&] { pool.Schedule(first); }, [&] { pool.worker(0).Post(second); }});
}

// Whichever worker takes both: what lies with it while it is in the first is the other's.
void OneWaitsForTheOther() {
  Pool pool(2, 2);
  Event ran;
  Item waits(pool), other(pool);
  waits.awaits = other.tells = &ran;
  Parallel({[&] { pool.Run(0); }, [&] { pool.Run(1); },
            [&] {
              pool.Schedule(waits);
              pool.Schedule(other);
            }});
}

// Something is in the deque of a worker which is in an item that waits for it. (What is to be next
// there makes that two: for a single one nobody is woken, as it is next.)
void OneWaitsForWhatItQueues() {
  Pool pool(2, 3);
  Event ran;
  Item queues(pool), next(pool), queued(pool);
  queues.next = &next;
  queues.queued = {&queued};
  queues.awaits = queued.tells = &ran;
  pool.worker(0).Post(queues);
  Parallel({[&] { pool.Run(0); }, [&] { pool.Run(1); }});
}

// The same with two of which one waits for the other: both of the other workers must come, though
// only the first to find something may have been woken.
void TwoMustCome() {
  Pool pool(3, 4);
  Event ran, other_ran;
  Item queues(pool), next(pool), waits(pool), other(pool);
  queues.next = &next;
  queues.queued = {&waits, &other};
  waits.awaits = other.tells = &other_ran;
  queues.awaits = waits.tells = &ran;
  pool.worker(0).Post(queues);
  Parallel({[&] { pool.Run(0); }, [&] { pool.Run(1); }, [&] { pool.Run(2); }});
}

// What is forked, and done by whoever forks it as long as nobody else has asked for it.
struct Forked : ForkJob {
  explicit Forked(Pool& its_pool) : ForkJob(&Run), pool(its_pool) {}
  static void Run(WorkItem& item) noexcept {
    auto& self = static_cast<Forked&>(item);
    if (self.awaits != nullptr) self.awaits->Wait();
    if (self.tells != nullptr) self.tells->Set();
    self.pool.NoteRun();
  }

  Pool& pool;
  Event* awaits = nullptr;
  Event* tells = nullptr;
};

// Forks one after the other, each until another worker has taken it.
struct Forks : WorkItem {
  Forks(Pool& its_pool, std::initializer_list<Forked*> to_fork)
      : WorkItem(&Run), pool(its_pool), jobs(to_fork) {}
  static void Run(WorkItem& item) noexcept {
    auto& self = static_cast<Forks&>(item);
    for (Forked* job : self.jobs) {
      int round = 0;
      for (thread_state.forks->Push(*job); thread_state.forks->Pop(*job);
           thread_state.forks->Push(*job)) {
        SpinWait(round++);
      }
    }
    self.pool.NoteRun();
  }

  Pool& pool;
  const std::vector<Forked*> jobs;
};

void OneForksUntilItIsTaken() {
  Pool pool(2, 2);
  Forked job(pool);
  Forks forks(pool, {&job});
  pool.worker(0).Post(forks);
  Parallel({[&] { pool.Run(0); }, [&] { pool.Run(1); }});
}

// Both other workers must come, as one job waits for the other.
void OneForksUntilTwoAreTaken() {
  Pool pool(3, 3);
  Event ran;
  Forked waits(pool), other(pool);
  waits.awaits = other.tells = &ran;
  Forks forks(pool, {&waits, &other});
  pool.worker(0).Post(forks);
  Parallel({[&] { pool.Run(0); }, [&] { pool.Run(1); }, [&] { pool.Run(2); }});
}

TEST(PoolWorkerExploredTest, WhatIsPostedRunsOnceAndAllThreadsEnd) {
  ExpectAllExecutionsPass(
      {{"one is posted", OneIsPosted<Sleep::kOnAFutex>, kOneWorker},
       {"one is posted, in its reactor", OneIsPosted<Sleep::kInItsReactor>, kOneWorker},
       {"one is posted to the worker", OneIsPostedToTheWorker<Sleep::kOnAFutex>, kOneWorker},
       {"one is posted to the worker, in its reactor", OneIsPostedToTheWorker<Sleep::kInItsReactor>,
        kOneWorker},
       {"it is closed", ItIsClosed<Sleep::kOnAFutex>, kOneWorker},
       {"it is closed, in its reactor", ItIsClosed<Sleep::kInItsReactor>, kOneWorker},
       {"two threads post", TwoThreadsPost, kTwoWorkers}});
}

TEST(PoolWorkerExploredTest, WhatAWorkerCannotDoNowAnotherDoes) {
  ExpectAllExecutionsPass({{"one waits for the other", OneWaitsForTheOther, kTwoWorkers},
                           {"one waits for what it queues", OneWaitsForWhatItQueues, kTwoWorkers},
                           {"two must come", TwoMustCome, kThreeWorkers}});
}

TEST(PoolWorkerExploredTest, WhoHasNothingToDoIsGivenWhatIsForked) {
  ExpectAllExecutionsPass(
      {{"one forks until it is taken", OneForksUntilItIsTaken, kTwoWorkers},
       {"one forks until two are taken", OneForksUntilTwoAreTaken, kThreeWorkers}});
}

}  // namespace
}  // namespace plait::internal
