// ForkStack and ForkJoin on one thread, with a thief that is a vector; and with real threads.
// (fork_join_explored_test has every execution of small programs.)
#include "plait/runtime/core/fork_stack.h"

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/fork_join.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/core/thread_state.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/testing/allocations.h"

namespace plait::internal {
namespace {

struct Job : ForkJob {
  Job() : ForkJob(&Count) {}
  static void Count(WorkItem& item) noexcept { ++static_cast<Job&>(item).runs; }
  int runs = 0;
};

class Forks : public ForkStack {
 public:
  std::vector<ForkJob*> published;
  std::vector<WorkItem*> put_aside;

 private:
  void Publish(ForkJob& job) noexcept override { published.push_back(&job); }
  void OnYield(WorkItem& rest) noexcept override { put_aside.push_back(&rest); }
};

using Published = std::vector<ForkJob*>;

// On the thread of `forks`.
void GoOn(WorkItem& rest, Forks& forks) {
  ForkStack* const outer = std::exchange(thread_state.forks, &forks);
  rest.run(rest);
  thread_state.forks = outer;
}

TEST(ForkStackTest, WhatWasPushedIsPoppedInReverse) {
  Forks forks;
  Job jobs[3];
  for (Job& job : jobs) forks.Push(job);
  EXPECT_FALSE(forks.Pop(jobs[0])) << "it is not the newest";
  EXPECT_TRUE(forks.Pop(jobs[2]));
  EXPECT_TRUE(forks.Pop(jobs[1]));
  EXPECT_FALSE(forks.empty());
  EXPECT_TRUE(forks.Pop(jobs[0]));
  EXPECT_FALSE(forks.Pop(jobs[0]));
  EXPECT_TRUE(forks.empty());
  EXPECT_TRUE(forks.published.empty()) << "nobody asked";
}

TEST(ForkStackTest, ThePushAfterAnAskPublishesTheOldestAndNoMore) {
  Forks forks;
  Job jobs[4];
  forks.Push(jobs[0]);
  forks.Push(jobs[1]);
  forks.Ask();
  EXPECT_TRUE(forks.asked());
  EXPECT_TRUE(forks.published.empty());
  forks.Push(jobs[2]);
  EXPECT_FALSE(forks.asked());
  EXPECT_EQ(forks.published, Published({&jobs[0]}));
  forks.Push(jobs[3]);
  EXPECT_EQ(forks.published.size(), 1u);
  EXPECT_TRUE(forks.Pop(jobs[3]));
  EXPECT_TRUE(forks.Pop(jobs[2]));
  EXPECT_TRUE(forks.Pop(jobs[1]));
  EXPECT_FALSE(forks.Pop(jobs[0]));
  EXPECT_TRUE(forks.empty());
}

TEST(ForkStackTest, AnAskOfAnEmptyStackIsAnsweredByTheFirstPushWithThatJob) {
  Forks forks;
  Job job;
  forks.Ask();
  forks.Push(job);
  EXPECT_EQ(forks.published, Published({&job}));
  EXPECT_FALSE(forks.Pop(job));
  EXPECT_TRUE(forks.empty());
}

// What a coroutine does that is told to, with the jobs in place of the coroutines.
TEST(ForkStackTest, WhatYieldsIsPutAsideAndGoesOnWhereItWas) {
  Forks forks;
  Job jobs[4];
  for (int i = 0; i < 2; ++i) EXPECT_FALSE(forks.Push(jobs[i]));
  forks.AskToYield();
  EXPECT_FALSE(forks.asked());
  EXPECT_TRUE(forks.Push(jobs[2]));
  EXPECT_TRUE(forks.published.empty()) << "nobody wants them";
  forks.Yield(&jobs[3]);
  EXPECT_TRUE(forks.empty());
  ASSERT_EQ(forks.put_aside.size(), 1u);

  // It goes on, here on another thread's stack.
  Forks other;
  GoOn(*forks.put_aside[0], other);
  EXPECT_EQ(jobs[3].runs, 1);
  EXPECT_TRUE(other.Pop(jobs[2]));
  EXPECT_TRUE(other.Pop(jobs[1]));
  EXPECT_TRUE(other.Pop(jobs[0]));
  EXPECT_TRUE(other.empty());
  EXPECT_TRUE(other.put_aside.empty());

  EXPECT_FALSE(forks.Push(jobs[0])) << "it has yielded";
  EXPECT_TRUE(forks.Pop(jobs[0]));
}

TEST(ForkStackTest, WhoAsksForWorkIsGivenItAlsoByWhatIsToYield) {
  Forks forks;
  Job jobs[3];
  forks.Push(jobs[0]);
  forks.AskToYield();
  forks.Ask();
  EXPECT_TRUE(forks.asked());
  forks.AskToYield();
  EXPECT_TRUE(forks.asked());
  EXPECT_TRUE(forks.Push(jobs[1]));
  EXPECT_FALSE(forks.asked());
  EXPECT_EQ(forks.published, Published({&jobs[0]}));
  forks.Yield(&jobs[2]);
  EXPECT_EQ(forks.published, Published({&jobs[0]}));
  ASSERT_EQ(forks.put_aside.size(), 1u);
  GoOn(*forks.put_aside[0], forks);
  EXPECT_TRUE(forks.Pop(jobs[1]));
  EXPECT_FALSE(forks.Pop(jobs[0]));
}

TEST(ForkStackTest, WhatRunsInTheMiddleOfSomethingElseDoesNotYield) {
  Forks forks;
  Job jobs[3];
  forks.Push(jobs[0]);
  forks.AskToYield();
  {
    const ForkFloor floor(&forks);
    EXPECT_FALSE(forks.Push(jobs[1]));
    EXPECT_TRUE(forks.Pop(jobs[1]));
  }
  EXPECT_FALSE(forks.Push(jobs[1])) << "it is not said again";
  forks.AskToYield();
  EXPECT_TRUE(forks.Push(jobs[2]));
  for (int i = 3; --i >= 0;) EXPECT_TRUE(forks.Pop(jobs[i]));
}

// A tree of coroutines whose leaves fork plain calls, as a ParallelFor does.
TEST(ForkStackTest, WhatCannotYieldLeavesItToTheNextThatCan) {
  Forks forks;
  Job jobs[3];
  forks.Push(jobs[0]);
  forks.AskToYield();
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(forks.Push(jobs[1]));
    EXPECT_TRUE(forks.Pop(jobs[1]));
  }
  // Not for ever: it costs them something.
  int pushes = 0;
  while (forks.Push(jobs[1]) && ++pushes < 1'000'000) EXPECT_TRUE(forks.Pop(jobs[1]));
  EXPECT_LT(pushes, 10'000);
  EXPECT_TRUE(forks.Pop(jobs[1]));
  forks.AskToYield();
  EXPECT_TRUE(forks.Push(jobs[1])) << "it is said again";
  forks.Yield(&jobs[2]);
  ASSERT_EQ(forks.put_aside.size(), 1u);
  GoOn(*forks.put_aside[0], forks);
  EXPECT_EQ(jobs[2].runs, 1);
  EXPECT_TRUE(forks.Pop(jobs[1]));
  EXPECT_TRUE(forks.Pop(jobs[0]));
}

TEST(ForkStackTest, AFullStackGrowsAndIsToldToYield) {
  Forks forks;
  std::vector<Job> jobs(1000);
  int times = 0;
  for (Job& job : jobs) {
    forks.AskToYield();
    times += forks.Push(job) ? 1 : 0;
  }
  EXPECT_EQ(times, 1000);
  for (size_t i = jobs.size(); i-- > 0;) ASSERT_TRUE(forks.Pop(jobs[i])) << i;
}

TEST(ForkStackTest, DrainAnswersAndYields) {
  struct Asks : ForkJob {
    Asks() : ForkJob(&Run) {}
    static void Run(WorkItem& item) noexcept {
      auto& self = static_cast<Asks&>(item);
      ++self.runs;
      if (self.work) self.forks->Ask();
      if (self.yield) self.forks->AskToYield();
    }
    Forks* forks = nullptr;
    bool work = false;
    bool yield = false;
    int runs = 0;
  };
  Forks forks;
  Asks jobs[6];
  for (Asks& job : jobs) {
    job.forks = &forks;
    forks.Push(job);
  }
  jobs[5].work = true;
  jobs[3].yield = true;
  forks.Drain();
  EXPECT_EQ(forks.published, Published({&jobs[0]}));
  for (int i = 0; i < 6; ++i) EXPECT_EQ(jobs[i].runs, i >= 3 ? 1 : 0) << i;
  ASSERT_EQ(forks.put_aside.size(), 1u);
  EXPECT_TRUE(forks.empty());
  GoOn(*forks.put_aside[0], forks);
  for (int i = 0; i < 6; ++i) EXPECT_EQ(jobs[i].runs, i >= 1 ? 1 : 0) << i;
  EXPECT_EQ(forks.put_aside.size(), 1u);
}

TEST(ForkStackTest, WhenAllWerePublishedTheirPlacesAreUsedAgain) {
  Forks forks;
  Job job;
  forks.published.reserve(1);
  const int64_t before = AllocationCount();
  for (int i = 0; i < 10'000; ++i) {
    forks.Ask();
    forks.Push(job);
    ASSERT_FALSE(forks.Pop(job));
    forks.published.clear();
  }
  EXPECT_EQ(AllocationCount(), before);
}

TEST(ForkStackTest, ItGrowsAndKeepsWhatIsAskedMeanwhile) {
  Forks forks;
  std::vector<Job> jobs(10'000);
  for (Job& job : jobs) forks.Push(job);
  EXPECT_TRUE(forks.published.empty());
  forks.Ask();
  forks.Push(jobs[0]);
  EXPECT_EQ(forks.published, Published({&jobs[0]}));
  EXPECT_TRUE(forks.Pop(jobs[0]));
  for (size_t i = jobs.size(); --i > 0;) ASSERT_TRUE(forks.Pop(jobs[i])) << i;
  EXPECT_FALSE(forks.Pop(jobs[0]));
}

TEST(ForkStackTest, DrainRunsWhatIsLeftNewestFirst) {
  Forks forks;
  struct Noted : ForkJob {
    Noted() : ForkJob(&Note) {}
    static void Note(WorkItem& item) noexcept {
      auto& self = static_cast<Noted&>(item);
      self.order->push_back(self.number);
      self.forks->Drain();  // it is being drained: nothing happens
      if (self.more != nullptr) self.forks->Push(*self.more);
    }
    Forks* forks = nullptr;
    std::vector<int>* order = nullptr;
    Noted* more = nullptr;
    int number = 0;
  };
  std::vector<int> order;
  Noted jobs[4];
  for (int i = 0; i < 4; ++i) {
    jobs[i].forks = &forks;
    jobs[i].order = &order;
    jobs[i].number = i;
    if (i < 3) forks.Push(jobs[i]);
  }
  jobs[2].more = &jobs[3];
  forks.Drain();
  EXPECT_EQ(order, std::vector<int>({2, 3, 1, 0}));
  EXPECT_TRUE(forks.empty());
}

TEST(ForkStackTest, BelowAFloorNothingIsDrainedButIsPublished) {
  Forks forks;
  Job outer[2], inner[2];
  forks.Push(outer[0]);
  forks.Push(outer[1]);
  {
    ForkFloor floor(&forks);
    EXPECT_TRUE(forks.empty());
    forks.Push(inner[0]);
    forks.Ask();
    forks.Push(inner[1]);
    EXPECT_EQ(forks.published, Published({&outer[0]}));
    forks.Drain();
    EXPECT_EQ(inner[0].runs + inner[1].runs, 2);
    EXPECT_EQ(outer[1].runs, 0);
    // Also when everything is published, above the floor and below.
    forks.Ask();
    forks.Push(inner[0]);
    forks.Ask();
    forks.Push(inner[1]);
    EXPECT_EQ(forks.published, Published({&outer[0], &outer[1], &inner[0]}));
    forks.Drain();
    EXPECT_FALSE(forks.Pop(inner[0]));
  }
  EXPECT_FALSE(forks.Pop(outer[1]));
  EXPECT_FALSE(forks.Pop(outer[0]));
  EXPECT_TRUE(forks.empty());
}

TEST(ForkStackTest, AThreadWithoutAnExecutorsOneHasOneOfItsOwn) {
  thread_state.forks = nullptr;
  ForkStack& own = ForkStack::Current();
  EXPECT_EQ(&own, &ForkStack::Current());
  EXPECT_EQ(thread_state.forks, &own);
  ForkStack* others = nullptr;
  StartThread("other", [&] { others = &ForkStack::Current(); }).join();
  EXPECT_NE(others, &own);
}

// --- ForkJoin ---

TEST(ForkJoinTest, AloneTheFirstStrandDoesAllPartsInOrder) {
  for (size_t parts : {1u, 2u, 5u}) {
    Forks forks;
    ForkJoin fork(nullptr);
    size_t part = 0;
    bool alone = fork.Begin(parts);
    EXPECT_EQ(alone, parts == 1);
    if (!alone) fork.Offer(forks);
    while (!alone) {
      const ForkJoin::Step step = fork.AfterPart(forks, parts);
      EXPECT_EQ(step.part, ++part);
      alone = step.what == ForkJoin::kAlone;
      EXPECT_TRUE(alone || step.what == ForkJoin::kPart);
      if (!alone) fork.Offer(forks);
    }
    EXPECT_EQ(part, parts - 1);
    EXPECT_TRUE(forks.empty());
  }
}

TEST(ForkJoinTest, WhoeverEndsLastJoins) {
  Forks here, there;
  ForkJoin fork(nullptr);
  EXPECT_FALSE(fork.Begin(3));
  here.Ask();
  fork.Offer(here);
  EXPECT_EQ(here.published, Published({&fork}));
  const ForkJoin::Step first = fork.BeginStrand(3);
  EXPECT_EQ(first.part, 1u);
  ASSERT_EQ(first.what, ForkJoin::kPart);
  fork.Offer(there);
  EXPECT_EQ(fork.AfterPart(here, 3).what, ForkJoin::kWait) << "the rest is elsewhere";
  const ForkJoin::Step last = fork.AfterPart(there, 3);
  EXPECT_EQ(last.what, ForkJoin::kAlone) << "the first strand has ended";
  EXPECT_EQ(last.part, 2u);
  EXPECT_TRUE(there.empty());
}

TEST(ForkJoinTest, TheFirstStrandJoinsWhereAThiefWasFaster) {
  Forks here, there;
  ForkJoin fork(nullptr);
  EXPECT_FALSE(fork.Begin(3));
  here.Ask();
  fork.Offer(here);
  ASSERT_EQ(fork.BeginStrand(3).what, ForkJoin::kPart);
  fork.Offer(there);
  const ForkJoin::Step last = fork.AfterPart(there, 3);
  EXPECT_EQ(last.what, ForkJoin::kLast) << "the first strand has not ended";
  EXPECT_EQ(last.part, 2u);
  EXPECT_EQ(fork.AfterPart(there, 3).what, ForkJoin::kWait);
  EXPECT_EQ(fork.AfterPart(here, 3).what, ForkJoin::kJoined);
}

// --- two real threads, one of which always asks ---

class SharedForks : public ForkStack {
 public:
  ForkJob* Steal() { return published_.exchange(nullptr, kAcquire); }

 private:
  // There is one fork at a time, so one job.
  void Publish(ForkJob& job) noexcept override { published_.store(&job, kRelease); }

  Atomic<ForkJob*> published_{nullptr};
};

struct Fork : ForkJoin {
  static constexpr size_t kParts = 4;

  Fork() : ForkJoin(nullptr) {}

  Step First() { return {Begin(kParts) ? kAlone : kPart, 0}; }
  // Whether this strand is the one that finds that all is done.
  bool Strand(ForkStack& forks, Step step) {
    for (;;) {
      prepared.push_back(step.part);  // by two at once, that is a data race
      const bool alone = step.what == kAlone;
      if (step.what == kPart) Offer(forks);
      results[step.part] = static_cast<int>(step.part) + 1;
      if (alone) return true;
      step = AfterPart(forks, kParts);
      if (step.what == kWait || step.what == kJoined) return step.what == kJoined;
    }
  }
  int Sum() const {
    int sum = 0;
    for (const int result : results) sum += result;
    return sum;
  }

  std::vector<size_t> prepared;
  int results[kParts] = {};  // plain memory: what orders it is the join
  Atomic<bool> joined{false};
};

// Traps: a wake-up lost between check and park: here a fork that nobody joins.
TEST(ForkJoinTest, WithAThiefThatAlwaysAsksEveryForkIsJoinedOnceAndSeesAllResults) {
  constexpr int kForks = 20'000;
  SharedForks mine, thiefs;
  Atomic<bool> over{false};
  Atomic<int> joined_by_thief{0};
  Thread thief = StartThread("thief", [&] {
    for (int round = 0; !over.load(kRelaxed);) {
      ForkJob* const job = mine.Steal();
      if (job == nullptr) {
        mine.Ask();
        SpinWait(round++);
        continue;
      }
      auto& fork = static_cast<Fork&>(*job);
      if (fork.Strand(thiefs, fork.BeginStrand(Fork::kParts))) {
        joined_by_thief.fetch_add(1, kRelaxed);
        fork.joined.store(true, kRelease);
      }
      round = 0;
    }
  });
  for (int i = 0; i < kForks; ++i) {
    Fork fork;
    bool joined = fork.Strand(mine, fork.First());
    if (!joined) {
      // The job may still be where it was published.
      if (ForkJob* const job = mine.Steal()) {
        ASSERT_EQ(job, &fork);
        joined = fork.Strand(mine, fork.BeginStrand(Fork::kParts));
      }
    }
    for (int round = 0; !joined; ++round) {
      joined = fork.joined.load(kAcquire);
      if (!joined) SpinWait(round);
    }
    ASSERT_EQ(fork.Sum(), 10);
    ASSERT_EQ(fork.prepared, std::vector<size_t>({0, 1, 2, 3}));
  }
  over.store(true, kRelaxed);
  thief.join();
  EXPECT_TRUE(mine.empty() && thiefs.empty());
  RecordProperty("joined by the thief", joined_by_thief.load());
}

}  // namespace
}  // namespace plait::internal
