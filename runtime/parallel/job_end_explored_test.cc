// JobEnd under every interleaving and every stale load that C++20 allows. Traps: a wake-up that is
// lost between the look and the wait; a job's memory that is used after its joiner has gone on.
#include <memory>

#include "gtest/gtest.h"
#include "plait/runtime/parallel/job_end.h"
#include "plait/runtime/testing/explorer/expect.h"
#include "plait/runtime/testing/explorer/explorer.h"

namespace plait::internal {
namespace {

using explorer::ExpectAllExecutionsPass;
using explorer::ExpectExhaustivelyPass;
using explorer::ExpectMutantsKilled;
using explorer::Parallel;
using explorer::Require;

struct Waiter : WorkItem {
  Waiter() : WorkItem(&Run) {}
  static void Run(WorkItem& item) noexcept { static_cast<Waiter&>(item).run_.Set(); }
  void Wait() { run_.Wait(); }

 private:
  explorer::Event run_;
};

struct Job {
  JobEnd end;
  int result = 0;
};

void OneWaits() {
  auto job = std::make_unique<Job>();
  Job* const stolen = job.get();
  Parallel({[&] {
              {
                // Not a local, whose writes clang leaves out until its address is known elsewhere.
                const auto waiter = std::make_unique<Waiter>();
                if (!job->end.reached() && job->end.Attach(*waiter)) waiter->Wait();
                Require(job->result == 7, "the end was reached, but the result is not there");
              }
              job.reset();
            },
            [stolen] {
              stolen->result = 7;
              stolen->end.Reach();
            }});
}

void OneOnlyLooks() {
  Job job;
  Parallel({[&] {
              if (job.end.reached()) Require(job.result == 7, "an end without its result");
            },
            [&] {
              job.result = 7;
              job.end.Reach();
            }});
}

// The joiner's own job, stolen; meanwhile it joins another that it stole itself.
void TwoWaitForEachOther() {
  Job one;
  Job other;
  const auto swap = [](Job& mine, Job& theirs) {
    theirs.result = 7;
    theirs.end.Reach();
    Waiter waiter;
    if (mine.end.Attach(waiter)) waiter.Wait();
    Require(mine.result == 7, "the end was reached, but the result is not there");
  };
  Parallel({[&] { swap(one, other); }, [&] { swap(other, one); }});
}

// A thread that has stolen a job waits in the middle of it for one of its own, which a third runs.
void AJobThatWaitsForAnother() {
  Job outer;
  Job inner;
  const auto wait = [](Job& job) {
    Waiter waiter;
    if (!job.end.reached() && job.end.Attach(waiter)) waiter.Wait();
  };
  Parallel({[&] {
              wait(outer);
              Require(outer.result == 8, "the end was reached, but the result is not there");
            },
            [&] {
              wait(inner);
              outer.result = inner.result + 1;
              outer.end.Reach();
            },
            [&] {
              inner.result = 7;
              inner.end.Reach();
            }});
}

TEST(JobEndExploredTest, WhoWaitsSeesWhatTheJobDidAndMayFreeIt) {
  ExpectExhaustivelyPass({{"one waits", OneWaits}});
}

TEST(JobEndExploredTest, WhoOnlyLooksSeesTheEndWithTheResult) {
  ExpectExhaustivelyPass({{"one only looks", OneOnlyLooks}});
}

TEST(JobEndExploredTest, TwoThreadsThatWaitForEachOthersJobsBothGoOn) {
  ExpectAllExecutionsPass({{"two wait for each other", TwoWaitForEachOther}});
}

TEST(JobEndExploredTest, WhatAThirdThreadDidForAJobIsSeenWithIt) {
  ExpectAllExecutionsPass({{"a job that waits for another", AJobThatWaitsForAnother}});
}

TEST(JobEndExploredTest, WeakeningAnyMemoryOrderIsNoticed) {
  ExpectMutantsKilled("runtime/parallel/job_end",
                      {{"one waits", OneWaits}, {"one only looks", OneOnlyLooks}}, 5);
}

}  // namespace
}  // namespace plait::internal
