// ForkJoin and ForkStack under the explorer: every execution of a fork of a few parts with an owner
// and thieves, and every memory order weakened.
#include <cstddef>
#include <vector>

#include "gtest/gtest.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/fork_join.h"
#include "plait/runtime/core/fork_stack.h"
#include "plait/runtime/testing/explorer/expect.h"
#include "plait/runtime/testing/explorer/explorer.h"

namespace plait::internal {
namespace {

using explorer::Event;
using explorer::ExpectAllExecutionsPass;
using explorer::ExpectMutantsKilled;
using explorer::Parallel;
using explorer::Require;
using explorer::Scenario;

// Stands for the executor's queue.
class Queue {
 public:
  void Put(ForkJob& job) { job_.store(&job, kRelease); }
  ForkJob* Take() { return job_.exchange(nullptr, kAcquire); }

 private:
  Atomic<ForkJob*> job_{nullptr};
};

class Forks : public ForkStack {
 public:
  explicit Forks(Queue& queue) : queue_(queue) {}

 private:
  void Publish(ForkJob& job) noexcept override { queue_.Put(job); }

  Queue& queue_;
};

class Program : public ForkJoin {
 public:
  explicit Program(size_t parts) : ForkJoin(nullptr), parts_(parts) {}

  Forks& forks() { return forks_; }

  void Own() {
    bool joined = Strand(forks_, {Begin(parts_) ? kAlone : kPart, 0});
    TakeAll(forks_, joined);
    if (!joined) joined_.Wait();
    Require(forks_.empty(), "nothing is left");
  }
  void Steal(Forks& from) {
    Forks mine(queue_);
    from.Ask();
    Thieve(mine);
  }
  void StealAndBeRobbed() {
    forks_.Ask();
    Thieve(thiefs_);
  }
  void Rob() {
    thiefs_.Ask();
    Steal(forks_);
  }

 private:
  void Thieve(Forks& mine) {
    bool joined = false;
    TakeAll(mine, joined);
    if (joined) joined_.Set();
    Require(mine.empty(), "nothing is left");
  }
  // As a thread does that has returned to its queue.
  void TakeAll(Forks& forks, bool& joined) {
    while (!joined && queue_.Take() != nullptr) joined = Strand(forks, BeginStrand(parts_));
  }
  bool Strand(Forks& forks, Step step) {
    for (;;) {
      ++prepared_;  // by two at once, that is a data race
      const bool alone = step.what == kAlone;
      if (step.what == kPart) Offer(forks);
      ++done_[step.part];
      if (alone) return Joined();
      step = AfterPart(forks, parts_);
      if (step.what == kWait) return false;
      if (step.what == kJoined) return Joined();
    }
  }
  bool Joined() {
    for (size_t i = 0; i < parts_; ++i) Require(done_[i] == 1, "each part was done once");
    return true;
  }

  const size_t parts_;
  Queue queue_;
  Forks forks_{queue_};
  Forks thiefs_{queue_};
  int prepared_ = 0;
  int done_[4] = {};
  Event joined_;
};

void TwoPartsAndAThief() {
  Program program(2);
  Parallel({[&] { program.Own(); }, [&] { program.Steal(program.forks()); }});
}

void ThreePartsAndAThief() {
  Program program(3);
  Parallel({[&] { program.Own(); }, [&] { program.Steal(program.forks()); }});
}

void ThreePartsAndTwoThieves() {
  Program program(3);
  Parallel({[&] { program.Own(); }, [&] { program.StealAndBeRobbed(); }, [&] { program.Rob(); }});
}

std::vector<Scenario> Scenarios() {
  return {{"two parts and a thief", TwoPartsAndAThief},
          {"three parts and a thief", ThreePartsAndAThief},
          {"three parts and two thieves", ThreePartsAndTwoThieves}};
}

// Traps: a wake-up lost between check and park: here a join that nobody makes, which is a deadlock.
TEST(ForkJoinExploredTest, EachPartIsDoneOnceAndTheLastStrandJoins) {
  ExpectAllExecutionsPass(Scenarios());
}

TEST(ForkJoinExploredTest, WeakeningAMemoryOrderIsNoticed) {
  ExpectMutantsKilled("runtime/core/fork_join.", Scenarios(), 4);
}

}  // namespace
}  // namespace plait::internal
