// A process pool that is called from several event loops at once, each on a thread of its own.
//
// Of the five traps this faces two: a wake-up lost between look and sleep, and a cancel that races
// with the end, both between threads.
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_reactors.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/runtime/testing/reactor_factory.h"
#include "plait/schedulers/event_loop/event_loop.h"
#include "plait/schedulers/process_pool/pool_functions.h"
#include "plait/schedulers/process_pool/process_pool.h"
#include "plait/schedulers/process_pool/process_pool_fixture.h"
#include "plait/schedulers/work_stealing/work_stealing_pool.h"

namespace plait {
namespace {

using internal::Square;

constexpr int kThreads = 3;

class ProcessPoolLoopsTest : public internal::ProcessPoolFixture {
 protected:
  // Runs `body` on threads, and this one's loop until all have ended.
  template <class Body>
  void RunOnThreads(Body body) {
    internal::Atomic<int> running{kThreads};
    std::vector<Thread> threads;
    for (int i = 0; i < kThreads; ++i) {
      threads.push_back(StartThread(absl::StrCat("caller ", i), [&running, &body, i] {
        body(i);
        running.fetch_sub(1, internal::kAcqRel);
      }));
    }
    Run([](internal::Atomic<int>* left) -> Task<void> {
      while (left->load(internal::kAcquire) > 0) co_await Yield();
    }(&running));
    for (Thread& thread : threads) thread.join();
  }
};

struct Counts {
  int right = 0;
  int cancelled = 0;
  int unavailable = 0;
  std::string other;
};

// Calls, each third of which is cancelled at once.
Task<Counts> CallMany(ProcessPool* pool, int calls, bool cancels) {
  std::vector<JoinHandle<absl::StatusOr<int>>> handles;
  for (int i = 0; i < calls; ++i) {
    handles.push_back(pool->Submit(Square, i));
    if (cancels && i % 3 == 0) handles.back().Cancel();
    if (i % 8 == 0) co_await Yield();
  }
  Counts counts;
  for (int i = 0; i < calls; ++i) {
    const absl::StatusOr<int> result = co_await handles[static_cast<size_t>(i)];
    if (result.ok() && *result == i * i) {
      ++counts.right;
    } else if (absl::IsCancelled(result.status())) {
      ++counts.cancelled;
    } else if (absl::IsUnavailable(result.status())) {
      ++counts.unavailable;
    } else {
      counts.other = result.status().ToString();
    }
  }
  co_return counts;
}

TEST_P(ProcessPoolLoopsTest, CallsOfAllLoopsComeBackToThem) {
  ProcessPool pool = NewPool();
  EXPECT_EQ(*Run(pool.Call(Square, 2)), 4) << "this thread drives it";
  std::vector<Counts> counts(kThreads);
  RunOnThreads([&](int thread) {
    EventLoop loop(GetParam().make(nullptr));
    counts[static_cast<size_t>(thread)] = BlockOn(loop, CallMany(&pool, 300, /*cancels=*/true));
  });
  for (const Counts& of : counts) {
    EXPECT_EQ(of.right + of.cancelled, 300) << of.other;
    EXPECT_GE(of.right, 200) << "nobody has cancelled them";
    EXPECT_EQ(of.unavailable, 0);
  }
}

TEST_P(ProcessPoolLoopsTest, LoopsComeAndGoAndEachCallHasItsOutcome) {
  ProcessPool pool = NewPool();
  constexpr int kLoops = 10;
  constexpr int kCalls = 30;
  std::vector<Counts> counts(kThreads);
  RunOnThreads([&](int thread) {
    Counts& all = counts[static_cast<size_t>(thread)];
    for (int i = 0; i < kLoops; ++i) {
      // The first that calls drives the pool, until it is closed.
      EventLoop loop(GetParam().make(nullptr));
      const Counts of = BlockOn(loop, CallMany(&pool, kCalls, /*cancels=*/false));
      all.right += of.right;
      all.unavailable += of.unavailable;
      if (!of.other.empty()) all.other = of.other;
    }
  });
  for (const Counts& of : counts) {
    EXPECT_EQ(of.right + of.unavailable, kLoops * kCalls) << of.other;
  }
  EXPECT_EQ(*Run(pool.Call(Square, 5)), 25);
  EXPECT_TRUE(Run(pool.Drain()).ok());
  EXPECT_FALSE(HasChildren());
}

TEST_P(ProcessPoolLoopsTest, TasksOfAPoolOfThreadsCallItToo) {
  ProcessPool pool = NewPool();
  WorkStealingPool threads({.threads = 2, .reactor = [] { return GetParam().make(nullptr); }});
  const Counts of = BlockOn(threads, CallMany(&pool, 300, /*cancels=*/true));
  EXPECT_EQ(of.right + of.cancelled, 300) << of.other;
  EXPECT_GE(of.right, 200) << "nobody has cancelled them";
  EXPECT_TRUE(BlockOn(threads, pool.Drain()).ok());
  EXPECT_FALSE(HasChildren());
}

INSTANTIATE_TEST_SUITE_P(AllReactors, ProcessPoolLoopsTest, ::testing::ValuesIn(AllReactors()),
                         ReactorFactory::Name);

}  // namespace
}  // namespace plait
