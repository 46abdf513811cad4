#include "plait/runtime/parallel/loops.h"

#include <cstdint>
#include <functional>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/core/thread_state.h"
#include "plait/runtime/parallel/forking_threads.h"
#include "plait/runtime/parallel/invoke.h"
#include "plait/runtime/parallel/parallel.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/schedulers/thread_pool/thread_pool.h"

namespace plait {
namespace {

using internal::Atomic;
using internal::thread_state;
using ::testing::Each;
using ::testing::ElementsAre;

constexpr int64_t kLowest = std::numeric_limits<int64_t>::min();
constexpr int64_t kHighest = std::numeric_limits<int64_t>::max();

// Calls `body` where nobody steals, on one thread that could be asked, and on several.
void OnAnyThreads(const std::function<void()>& body) {
  {
    SCOPED_TRACE("nobody steals");
    body();
  }
  for (const int count : {1, 2, 4}) {
    SCOPED_TRACE(count);
    ForkingThreads threads(count);
    threads.Run(body);
  }
}

TEST(GrainedRangeTest, TheGrainsAreTheRangeInOrderWithoutGaps) {
  for (const auto& [begin, end] : std::vector<std::pair<int64_t, int64_t>>{
           {0, 1}, {0, 7}, {-3, 5}, {0, 1024}, {10, 5000}, {0, 1'000'000}}) {
    for (const int64_t grain : {0, 1, 3, 1'000'000'000}) {
      const internal::GrainedRange range(begin, end, grain);
      int64_t at = begin;
      for (uint64_t i = 0; i < range.grains(); ++i) {
        ASSERT_EQ(range.begin_of(i), at);
        ASSERT_GT(range.end_of(i), at);
        at = range.end_of(i);
      }
      EXPECT_EQ(at, end) << begin << " " << end << " " << grain;
    }
  }
}

TEST(GrainedRangeTest, TheLargestRangeThereIsOverflowsNothing) {
  const internal::GrainedRange range(kLowest, kHighest, 0);
  EXPECT_EQ(range.begin_of(0), kLowest);
  EXPECT_EQ(range.end_of(range.grains() - 1), kHighest);
  const internal::GrainedRange coarse(kLowest, kHighest, kHighest);
  EXPECT_EQ(coarse.grains(), 3u);
  EXPECT_EQ(coarse.end_of(2), kHighest);
}

TEST(LoopsTest, EveryIndexIsDoneOnce) {
  OnAnyThreads([] {
    for (const int64_t count : {0, 1, 2, 3, 100, 5000}) {
      std::vector<int> calls(static_cast<size_t>(count), 0);
      ParallelFor(-5, count - 5, [&](int64_t i) { ++calls[static_cast<size_t>(i + 5)]; });
      EXPECT_THAT(calls, Each(1));
    }
  });
}

TEST(LoopsTest, AnEndBeforeTheBeginIsAnEmptyRange) {
  ParallelFor(3, 2, [](int64_t) { FAIL(); });
  ParallelFor(kHighest, kLowest, [](int64_t) { FAIL(); });
  EXPECT_TRUE(ParallelFor(3, 2, [](int64_t) { return absl::InternalError("called"); }).ok());
  EXPECT_EQ(ParallelReduce(3, 3, 7, std::plus<>(), std::plus<>()), 7);
}

TEST(LoopsTest, WhereNobodyAsksTheIndexesAreDoneInOrder) {
  ForkingThreads threads(1);
  threads.Run([] {
    int64_t next = 0;
    ParallelFor(0, 10'000, [&](int64_t i) { EXPECT_EQ(i, next++); });
    EXPECT_EQ(next, 10'000);
  });
}

TEST(LoopsTest, AnotherThreadTakesAPartOfTheRangeWhileThisOneIsAtItsFirstItem) {
  ForkingThreads threads(2);
  threads.Run([] {
    Atomic<bool> other_came{false};
    const void* const here = &thread_state;
    ParallelFor(0, 8, [&](int64_t) {
      if (&thread_state != here) other_came.store(true, internal::kRelease);
      for (int round = 0; !other_came.load(internal::kAcquire); ++round) {
        ParallelInvoke([] {}, [] {});  // so that it can be asked
        internal::SpinWait(round);
      }
    });
  });
}

TEST(LoopsTest, LoopsNest) {
  OnAnyThreads([] {
    Atomic<int64_t> sum{0};
    ParallelFor(0, 30, [&](int64_t i) {
      ParallelFor(0, 30, [&](int64_t j) { sum.fetch_add(i * j, internal::kRelaxed); });
    });
    EXPECT_EQ(sum.load(), 435 * 435);
  });
}

TEST(LoopsTest, AFoldCombinesNeighboursInOrder) {
  OnAnyThreads([] {
    std::string expected;
    for (int i = 0; i < 300; ++i) absl::StrAppend(&expected, i, ",");
    for (const int64_t grain : {0, 1, 7, 1000}) {
      EXPECT_EQ(ParallelReduce(
                    0, 300, std::string(),
                    [](std::string text, int64_t i) { return absl::StrCat(text, i, ","); },
                    [](std::string a, std::string b) { return a + b; }, grain),
                expected);
    }
  });
}

TEST(LoopsTest, SumsOfFloatingPointComeOutTheSameEveryTime) {
  std::vector<double> sums;
  OnAnyThreads([&] {
    for (int i = 0; i < Repeats(10); ++i) {
      sums.push_back(ParallelReduce(
          1, 100'000, 0.0, [](double sum, int64_t i) { return sum + 1.0 / static_cast<double>(i); },
          std::plus<>()));
    }
  });
  EXPECT_THAT(sums, Each(sums[0]));
}

TEST(LoopsTest, TheErrorOfTheLowestIndexWinsAndAllBeforeItIsDone) {
  OnAnyThreads([] {
    for (int repeat = 0; repeat < Repeats(20); ++repeat) {
      std::vector<int> calls(1000, 0);
      const absl::Status status = ParallelFor(0, 1000, [&](int64_t i) -> absl::Status {
        ++calls[static_cast<size_t>(i)];
        if (i % 100 == 37) return absl::NotFoundError(absl::StrCat(i));
        return absl::OkStatus();
      });
      EXPECT_EQ(status, absl::NotFoundError("37"));
      for (int i = 0; i <= 37; ++i) EXPECT_EQ(calls[static_cast<size_t>(i)], 1) << i;
    }
  });
}

TEST(LoopsTest, WhereNobodyStealsNothingIsDoneBehindAnError) {
  int64_t last = -1;
  const absl::Status status = ParallelFor(0, 1000, [&](int64_t i) -> absl::StatusOr<int> {
    last = i;
    if (i == 500) return absl::DataLossError("at 500");
    return 0;
  });
  EXPECT_EQ(status, absl::DataLossError("at 500"));
  EXPECT_EQ(last, 500);
}

TEST(LoopsTest, AFoldsErrorIsTheResult) {
  OnAnyThreads([] {
    const auto sum = [](int64_t bad) {
      return ParallelReduce(
          0, 2000, int64_t{0},
          [bad](int64_t sum, int64_t i) -> absl::StatusOr<int64_t> {
            if (i >= bad) return absl::OutOfRangeError(absl::StrCat(i));
            return sum + i;
          },
          std::plus<>());
    };
    EXPECT_EQ(sum(1234).status(), absl::OutOfRangeError("1234"));
    EXPECT_EQ(*sum(2000), 1'999'000);
  });
}

TEST(LoopsTest, ACancelSkipsTheRestWhereTheResultCanSaySo) {
  OnAnyThreads([] {
    internal::StopState stop;
    TaskContext context;
    context.stop = &stop;
    const TaskContext* const outer = std::exchange(thread_state.context, &context);
    Atomic<int64_t> done{0};
    const absl::Status status = ParallelFor(0, 100'000, [&](int64_t i) {
      if (i == 10) stop.RequestStop();
      done.fetch_add(1, internal::kRelaxed);
      return absl::OkStatus();
    });
    EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
    EXPECT_LT(done.load(), 100'000);
    EXPECT_EQ(ParallelReduce(
                  0, 10, 0, [](int, int64_t) -> absl::StatusOr<int> { return 1; }, std::plus<>())
                  .status()
                  .code(),
              absl::StatusCode::kCancelled);
    int64_t all = 0;
    all = ParallelReduce(0, 100, int64_t{0}, std::plus<>(), std::plus<>());
    EXPECT_EQ(all, 4950) << "this one cannot, so it does all";
    thread_state.context = outer;
  });
}

TEST(LoopsTest, ANegativeGrainIsAProgrammingError) {
  EXPECT_DEATH(ParallelFor(0, 1, [](int64_t) {}, -1), "grain");
}

// The two families of the same names, in one place.
Task<absl::StatusOr<double>> Both(Executor& pool, int64_t n) {
  double plain = 0;
  ParallelFor(0, n, [&](int64_t i) { plain += static_cast<double>(i); });
  co_await OrReturn(ParallelFor(pool, 0, n, [](int64_t) {}));
  plain += ParallelReduce(0, n, 0.0, std::plus<>(), std::plus<>());
  const double awaited =
      co_await OrReturn(ParallelReduce(pool, 0, n, 0.0, std::plus<>(), std::plus<>()));
  co_return plain + awaited;
}

TEST(LoopsTest, ATaskUsesBothFamiliesSideBySide) {
  ThreadPool pool({.threads = 2});
  EXPECT_EQ(*BlockOn(pool, Both(pool, 100)), 3 * 4950.0);
}

#if defined(__cpp_exceptions)

TEST(LoopsTest, TheExceptionOfTheLowestIndexComesOutAndAllBeforeItIsDone) {
  OnAnyThreads([] {
    for (int repeat = 0; repeat < Repeats(20); ++repeat) {
      std::vector<int> calls(1000, 0);
      std::string caught;
      try {
        ParallelFor(0, 1000, [&](int64_t i) {
          ++calls[static_cast<size_t>(i)];
          if (i % 100 == 37) throw std::runtime_error(absl::StrCat(i));
        });
      } catch (const std::runtime_error& error) {
        caught = error.what();
      }
      EXPECT_EQ(caught, "37");
      for (int i = 0; i <= 37; ++i) EXPECT_EQ(calls[static_cast<size_t>(i)], 1) << i;
    }
  });
}

TEST(LoopsTest, AnErrorIsBeforeTheExceptionOfAHigherIndex) {
  ForkingThreads threads(2);
  threads.Run([] {
    Atomic<bool> throws{false};
    // The other thread takes the right half, and has thrown, or is about to, when this one fails.
    const absl::Status whole = ParallelFor(0, 2, [&](int64_t i) -> absl::Status {
      if (i == 1) {
        throws.store(true, internal::kRelease);
        throw std::runtime_error("behind the error");
      }
      for (int round = 0; !throws.load(internal::kAcquire); ++round) {
        ParallelInvoke([] {}, [] {});  // so that it can be asked
        internal::SpinWait(round);
      }
      return absl::DataLossError("the lowest");
    });
    EXPECT_EQ(whole, absl::DataLossError("the lowest"));
    throws.store(false, internal::kRelaxed);
    const absl::StatusOr<int> fold = ParallelReduce(
        0, 2, 0,
        [&](int, int64_t i) -> absl::StatusOr<int> {
          if (i == 1) {
            throws.store(true, internal::kRelease);
            throw std::runtime_error("behind the error");
          }
          for (int round = 0; !throws.load(internal::kAcquire); ++round) {
            ParallelInvoke([] {}, [] {});
            internal::SpinWait(round);
          }
          return absl::DataLossError("the lowest");
        },
        [](int left, int right) { return left + right; });
    EXPECT_EQ(fold.status(), absl::DataLossError("the lowest"));
  });
}

#endif  // __cpp_exceptions

}  // namespace
}  // namespace plait
