// Traps: a joiner that goes on, and frees its stack, while another thread still works on it; a
// wake-up lost between the look for the end and the wait for it (also in job_end_explored_test).
#include "plait/runtime/parallel/invoke.h"

#include <memory>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/fork_stack.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/core/thread_state.h"
#include "plait/runtime/parallel/forking_threads.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/allocations.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/schedulers/inline/inline_executor.h"
#include "plait/schedulers/thread_pool/thread_pool.h"

namespace plait {
namespace {

using internal::Atomic;
using internal::ForkJob;
using internal::ForkStack;
using internal::thread_state;
using ::testing::ElementsAre;

int64_t Fib(int n) {
  if (n < 2) return n;
  const auto [a, b] = ParallelInvoke([&] { return Fib(n - 1); }, [&] { return Fib(n - 2); });
  return a + b;
}

// Waits on a thread that forks for what another is to do: it forks, so that it can be asked for
// work.
void AwaitFlag(const Atomic<bool>& flag) {
  for (int round = 0; !flag.load(internal::kAcquire); ++round) {
    ParallelInvoke([] {}, [] {});
    internal::SpinWait(round);
  }
}

const void* ThisThread() { return &thread_state; }

// Where everything that is forked is asked for at once; what is published is run by its joiner, or
// when the test says so.
class AskedForAll final : public ForkStack {
 public:
  AskedForAll() : outer_(thread_state.forks) { thread_state.forks = this; }
  ~AskedForAll() override { thread_state.forks = outer_; }

  bool RunOne(WorkItem::RunFunction only) noexcept override {
    if (published.empty()) return false;
    ForkJob* const job = published.back();
    EXPECT_EQ(job->run, only);
    published.pop_back();
    job->run(*job);
    return true;
  }

  std::vector<ForkJob*> published;

 private:
  void Publish(ForkJob& job) noexcept override { published.push_back(&job); }

  ForkStack* const outer_;
};

class InvokeTest : public ::testing::Test {
 protected:
  void Note(int number) { notes_.push_back(number); }
  std::vector<int> notes_;
};

TEST_F(InvokeTest, OutsideOfTasksFunctionsAreCalledInOrder) {
  ASSERT_EQ(thread_state.forks, nullptr);
  ParallelInvoke([&] { Note(1); }, [&] { Note(2); }, [&] { Note(3); });
  EXPECT_THAT(notes_, ElementsAre(1, 2, 3));
  EXPECT_EQ(Fib(20), 6765);
}

TEST_F(InvokeTest, WhereNobodyAsksFunctionsAreCalledInOrderOnTheCallersThread) {
  ForkingThreads threads(1);
  threads.Run([&] {
    ParallelInvoke([&] { Note(1); }, [&] { Note(2); }, [&] { Note(3); }, [&] { Note(4); });
  });
  EXPECT_THAT(notes_, ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(threads.stolen(), 0);
}

TEST_F(InvokeTest, OneFunctionIsCalled) {
  ParallelInvoke([&] { Note(1); });
  EXPECT_THAT(notes_, ElementsAre(1));
  EXPECT_EQ(ParallelInvoke([] { return 7; }), std::tuple(7));
}

TEST_F(InvokeTest, ResultsAreATupleInTheOrderOfTheFunctions) {
  int referred = 0;
  const auto call = [&] {
    auto [number, nothing, text, pointer, reference] =
        ParallelInvoke([] { return 7; }, [] {}, [] { return std::string("text"); },
                       [] { return std::make_unique<int>(9); }, [&]() -> int& { return referred; });
    EXPECT_EQ(number, 7);
    static_assert(std::is_same_v<decltype(nothing), std::monostate>);
    EXPECT_EQ(text, "text");
    EXPECT_EQ(*pointer, 9);
    EXPECT_EQ(&reference, &referred);
  };
  static_assert(std::is_void_v<decltype(ParallelInvoke([] {}, [] {}))>);
  call();
  {
    SCOPED_TRACE("published");
    AskedForAll forks;
    forks.Ask();
    ParallelInvoke([&] { forks.Ask(); }, call);
  }
}

TEST_F(InvokeTest, StatusesAreResultsLikeOthers) {
  const auto [first, second] = ParallelInvoke([] { return absl::NotFoundError("one"); },
                                              []() -> absl::StatusOr<int> { return 2; });
  EXPECT_EQ(first.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(*second, 2);
}

TEST_F(InvokeTest, WhoIsAskedGivesAwayTheLastFunctionFirst) {
  AskedForAll forks;
  forks.Ask();  // the first fork answers
  ParallelInvoke(
      [&] {
        Note(1);
        ASSERT_EQ(forks.published.size(), 1u);
        ForkJob* const stolen = forks.published.back();
        forks.published.pop_back();
        stolen->run(*stolen);
      },
      [&] { Note(2); }, [&] { Note(3); });
  EXPECT_THAT(notes_, ElementsAre(1, 3, 2)) << "3 was given away, 2 was not";
}

TEST_F(InvokeTest, WhatWasPublishedAndNobodyTookIsRunByItsJoiner) {
  AskedForAll forks;
  forks.Ask();
  ParallelInvoke([&] { Note(1); }, [&] { Note(2); });
  EXPECT_THAT(notes_, ElementsAre(1, 2));
  EXPECT_TRUE(forks.published.empty());
}

TEST_F(InvokeTest, AFunctionRunsOnAnotherThreadWhileTheFirstOneRuns) {
  ForkingThreads threads(2);
  threads.Run([&] {
    Atomic<bool> second_runs{false};
    Atomic<bool> first_saw_it{false};
    const auto [first, second] = ParallelInvoke(
        [&] {
          AwaitFlag(second_runs);
          first_saw_it.store(true, internal::kRelease);
          return ThisThread();
        },
        [&] {
          second_runs.store(true, internal::kRelease);
          AwaitFlag(first_saw_it);
          return ThisThread();
        });
    EXPECT_EQ(first, ThisThread());
    EXPECT_NE(second, ThisThread());
  });
  EXPECT_GE(threads.stolen(), 1);
}

TEST_F(InvokeTest, AJoinerThatFindsNothingToDoBlocksUntilItsFunctionHasEnded) {
  ForkingThreads threads(2);
  for (int i = 0; i < Repeats(20); ++i) {
    threads.Run([&] {
      Atomic<bool> second_runs{false};
      const auto results = ParallelInvoke([&] { AwaitFlag(second_runs); },
                                          [&] {
                                            second_runs.store(true, internal::kRelease);
                                            // Longer than a joiner spins.
                                            for (int round = 0; round < 2000; ++round) {
                                              internal::SpinWait(round);
                                            }
                                            return 7;
                                          });
      EXPECT_EQ(std::get<1>(results), 7);
    });
  }
}

TEST_F(InvokeTest, AJoinerHelpsTheThreadThatHasItsFunction) {
  ForkingThreads threads(2);
  threads.Run([&] {
    Atomic<bool> second_runs{false};
    Atomic<bool> helped{false};
    const void* const joiner = ThisThread();
    ParallelInvoke([&] { AwaitFlag(second_runs); },
                   [&] {
                     EXPECT_NE(ThisThread(), joiner);
                     second_runs.store(true, internal::kRelease);
                     // Ends only when somebody takes the other half: nobody but the joiner is
                     // there.
                     ParallelInvoke([&] { AwaitFlag(helped); },
                                    [&] {
                                      EXPECT_EQ(ThisThread(), joiner);
                                      helped.store(true, internal::kRelease);
                                    });
                   });
  });
}

TEST_F(InvokeTest, AFunctionThatWasStolenBelongsToTheTaskThatForkedIt) {
  ForkingThreads threads(2);
  internal::StopState stop;
  TaskContext context;
  context.stop = &stop;
  threads.Run([&] {
    thread_state.context = &context;
    Atomic<bool> second_runs{false};
    ParallelInvoke([&] { AwaitFlag(second_runs); },
                   [&] {
                     EXPECT_EQ(TaskContext::Current(), &context);
                     stop.RequestStop();
                     EXPECT_TRUE(CurrentStopToken().stop_requested());
                     second_runs.store(true, internal::kRelease);
                   });
    EXPECT_EQ(TaskContext::Current(), &context);
    thread_state.context = nullptr;
  });
}

TEST_F(InvokeTest, RecursionIsRightOnAnyNumberOfThreads) {
  for (const int count : {1, 2, 3, 8}) {
    ForkingThreads threads(count);
    for (int i = 0; i < Repeats(10); ++i) {
      threads.Run([&] { EXPECT_EQ(Fib(18), 2584) << count; });
    }
  }
}

TEST_F(InvokeTest, EachFunctionIsCalledOnceHoweverManyAreStolen) {
  ForkingThreads threads(3);
  threads.Run([&] {
    for (int i = 0; i < Repeats(2000); ++i) {
      int calls[5] = {};
      ParallelInvoke([&] { ++calls[0]; }, [&] { ++calls[1]; }, [&] { ++calls[2]; },
                     [&] { ++calls[3]; }, [&] { ++calls[4]; });
      ASSERT_THAT(calls, ElementsAre(1, 1, 1, 1, 1));
    }
  });
}

TEST_F(InvokeTest, NothingIsAllocatedWhileNobodyAsks) {
  ForkingThreads threads(1);
  threads.Run([&] {
    Fib(10);
    const int64_t before = AllocationCount();
    EXPECT_EQ(Fib(15), 610);
    EXPECT_EQ(AllocationCount(), before);
  });
}

TEST_F(InvokeTest, ItIsRightInTasksOfExecutorsThatDoNotSteal) {
  ThreadPool pool({.threads = 2});
  const auto task = []() -> Task<int64_t> { co_return Fib(15); };
  EXPECT_EQ(BlockOn(pool, task()), 610);
  InlineExecutor here;
  EXPECT_EQ(BlockOn(here, task()), 610);
}

#if defined(__cpp_exceptions)

std::string Caught(absl::FunctionRef<void()> body) {
  try {
    body();
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "nothing";
}

[[noreturn]] void Throw(const char* what) { throw std::runtime_error(what); }

TEST_F(InvokeTest, WhenTheFirstThrowsWhatHasNotBegunIsNotCalled) {
  const auto call = [&] { ParallelInvoke([&] { Throw("first"); }, [&] { Note(2); }); };
  EXPECT_EQ(Caught(call), "first");
  ForkingThreads threads(1);
  threads.Run([&] { EXPECT_EQ(Caught(call), "first"); });
  EXPECT_THAT(notes_, ElementsAre());
}

TEST_F(InvokeTest, WhatTheLastThrowsComesOutToo) {
  const auto call = [&] { ParallelInvoke([&] { Note(1); }, [&] { Throw("second"); }); };
  EXPECT_EQ(Caught(call), "second");
  ForkingThreads threads(1);
  threads.Run([&] { EXPECT_EQ(Caught(call), "second"); });
  AskedForAll forks;
  forks.Ask();
  EXPECT_EQ(Caught(call), "second") << "it was published";
  EXPECT_THAT(notes_, ElementsAre(1, 1, 1));
}

TEST_F(InvokeTest, WhenTheFirstThrowsItWaitsForWhatHasBegun) {
  ForkingThreads threads(2);
  threads.Run([&] {
    Atomic<bool> second_runs{false};
    bool second_ended = false;
    EXPECT_EQ(Caught([&] {
                ParallelInvoke(
                    [&] {
                      AwaitFlag(second_runs);
                      Throw("first");
                    },
                    [&] {
                      second_runs.store(true, internal::kRelease);
                      for (int round = 0; round < 1000; ++round) internal::SpinWait(round);
                      second_ended = true;
                      Throw("second");
                    });
              }),
              "first");
    EXPECT_TRUE(second_ended);
  });
}

TEST_F(InvokeTest, TheExceptionOfTheEarliestFunctionWins) {
  ForkingThreads threads(3);
  threads.Run([&] {
    for (int i = 0; i < Repeats(500); ++i) {
      ASSERT_EQ(Caught([&] {
                  ParallelInvoke([] {}, [] { Throw("second"); }, [] { Throw("third"); },
                                 [] { Throw("fourth"); });
                }),
                "second");
    }
  });
}

#endif  // __cpp_exceptions

}  // namespace
}  // namespace plait
