// Who asks for what others fork, and goes to sleep: ForkStack, IdleSet and WorkStealingDeque
// together as PoolForks and PoolWorker have them, in every execution, and every memory order of the
// question and the answer weakened.
//
// Traps: the wake-up lost between check and park. What was published is taken back by who forked
// it, so that there is nothing in the queue to find.
#include <vector>

#include "gtest/gtest.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/fork_stack.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/testing/explorer/expect.h"
#include "plait/runtime/testing/explorer/explorer.h"
#include "plait/schedulers/work_stealing/deque.h"
#include "plait/schedulers/work_stealing/idle_set.h"

namespace plait::internal {
namespace {

using explorer::Event;
using explorer::ExpectAllExecutionsPass;
using explorer::ExpectMutantsKilled;
using explorer::Parallel;
using explorer::Require;
using explorer::Scenario;

// A worker that forks, and others that have nothing to do.
class Pool {
 public:
  // `workers` besides the one that forks, which never looks for work. They have asked, and search.
  explicit Pool(int workers) : idle_(workers) {
    for (int worker = 0; worker < workers; ++worker) idle_.BeginSearch(worker);
    forks_.Ask();
  }

  // Forks, and does it itself, until `count` were given to others. May take back the first of them.
  void ForkUntilGiven(int count, bool takes_back) {
    while (count > 0) {
      forks_.Push(job_);
      if (forks_.Pop(job_)) {
        // Where nobody has asked there is somebody who will, or this is the end.
        if (!forks_.asked()) has_asked_.Wait();
      } else if (!takes_back || deque_.Pop() == nullptr) {
        --count;
      } else {
        takes_back = false;
      }
    }
  }

  void SleepAndTakeOne(int worker) {
    wakes_[worker].Wait();
    static_cast<void>(idle_.CancelPark(worker));
    TakeOne(worker);
  }
  // Takes one, sleeping until there is one.
  void TakeOne(int worker) {
    while (!Take()) {
      idle_.PreparePark(worker);
      forks_.Ask();
      const bool seen = deque_.HasItems();
      if (!seen) {
        has_asked_.Set();
        wakes_[worker].Wait();
      }
      if (idle_.CancelPark(worker) && seen) idle_.BeginSearch(worker);
    }
    if (idle_.EndSearch(worker) && deque_.HasItems()) WakeForForked();
    if (!idle_.SomebodyIsIdle()) return;
    forks_.Ask();
    has_asked_.Set();
  }

  IdleSet& idle() { return idle_; }

 private:
  class Forks : public ForkStack {
   public:
    explicit Forks(Pool& pool) : pool_(pool) {}

   private:
    void Publish(ForkJob& job) noexcept override {
      pool_.deque_.Push(job);
      pool_.WakeForForked();
      if (pool_.idle_.parked() + pool_.idle_.searching() > pool_.deque_.size()) Ask();
    }

    Pool& pool_;
  };

  bool Take() {
    for (;;) {
      const WorkStealingDeque::Stolen stolen = deque_.Steal();
      if (stolen.outcome != WorkStealingDeque::Stolen::kLost) return stolen.item != nullptr;
    }
  }
  void WakeForForked() {
    const int worker = idle_.ClaimForOrderedWork();
    if (worker != IdleSet::kNobody) wakes_[worker].Set();
  }

  IdleSet idle_;
  WorkStealingDeque deque_{2};
  Forks forks_{*this};
  ForkJob job_{[](WorkItem&) noexcept { Require(false, "it is only passed on"); }};
  Event wakes_[2];
  Event has_asked_;
};

void One() {
  Pool pool(1);
  Parallel({[&] { pool.ForkUntilGiven(1, /*takes_back=*/true); }, [&] { pool.TakeOne(0); }});
}

// What one that sleeps has asked for is taken by one that looks.
void Two() {
  Pool pool(2);
  pool.idle().PreparePark(1);
  Parallel({[&] { pool.ForkUntilGiven(2, /*takes_back=*/false); }, [&] { pool.TakeOne(0); },
            [&] { pool.SleepAndTakeOne(1); }});
}

TEST(ForkAskExploredTest, NoQuestionIsLost) {
  ExpectAllExecutionsPass({{"one that looks", One}, {"two that look", Two, {.preemptions = 2}}});
}

TEST(ForkAskExploredTest, WeakeningAnyMemoryOrderIsNoticed) {
  ExpectMutantsKilled("core/fork_stack.", {{"one that looks", One, {.preemptions = 2}}}, 2);
}

}  // namespace
}  // namespace plait::internal
