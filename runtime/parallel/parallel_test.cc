// Traps faced: (1) a callable that is gone when it runs; (5) a cancel that races completion.
#include "plait/runtime/parallel/parallel.h"

#include <functional>
#include <limits>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/barrier.h"
#include "gtest/gtest.h"
#include "plait/io/auto_reactor/auto_reactor.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/schedulers/event_loop/event_loop.h"
#include "plait/schedulers/inline/inline_executor.h"
#include "plait/schedulers/run.h"
#include "plait/schedulers/thread_pool/thread_pool.h"

namespace plait {
namespace {

using internal::Atomic;

std::vector<int> Numbers(int count) {
  std::vector<int> numbers(count);
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

const void* ThisThread() { return &internal::thread_state; }

// Everything over every kind of executor.
class ParallelTest : public testing::TestWithParam<std::string> {
 protected:
  ParallelTest() {
    if (GetParam() == "EventLoop") {
      executor_ = std::make_unique<EventLoop>(MakeReactor());
    } else if (GetParam() == "Inline") {
      executor_ = std::make_unique<InlineExecutor>();
    } else {
      executor_ = std::make_unique<ThreadPool>(
          ThreadPoolOptions{.threads = GetParam() == "OneThread" ? 1 : 4});
    }
  }
  Executor& executor() { return *executor_; }

 private:
  std::unique_ptr<Executor> executor_;
};

INSTANTIATE_TEST_SUITE_P(Executors, ParallelTest,
                         testing::Values("EventLoop", "Inline", "OneThread", "FourThreads"),
                         [](const auto& info) { return info.param; });

TEST_P(ParallelTest, AMapKeepsTheOrderWhateverTheJobsAndChunks) {
  for (const int count : {0, 1, 2, 7, 100, 1000}) {
    for (const int n_jobs : {1, 2, 3, 16, kMostParallelJobs}) {
      for (const int64_t chunk : {int64_t{0}, int64_t{1}, int64_t{7}, int64_t{1000},
                                  std::numeric_limits<int64_t>::max()}) {
        const absl::StatusOr<std::vector<std::string>> texts =
            BlockOn(executor(), ParallelMap(executor(), Numbers(count),
                                            [](int n) { return absl::StrCat("n", n); },
                                            {.n_jobs = n_jobs, .chunk = chunk}));
        ASSERT_TRUE(texts.ok()) << texts.status();
        ASSERT_EQ(texts->size(), static_cast<size_t>(count));
        for (int i = 0; i < count; ++i) ASSERT_EQ((*texts)[i], absl::StrCat("n", i));
      }
    }
  }
}

TEST_P(ParallelTest, AForVisitsEveryIndexOnce) {
  for (const int64_t chunk : {0, 1, 3, 64, 65, 1000}) {
    std::vector<Atomic<int>> visits(1000);
    const absl::Status status =
        BlockOn(executor(),
                ParallelFor(executor(), -500, 500,
                            [&](int64_t i) { visits[i + 500].fetch_add(1, internal::kRelaxed); },
                            {.n_jobs = 4, .chunk = chunk}));
    EXPECT_TRUE(status.ok()) << status;
    for (const Atomic<int>& each : visits) ASSERT_EQ(each.load(internal::kRelaxed), 1);
  }
}

TEST_P(ParallelTest, AReduceCombinesInOrder) {
  for (const int64_t chunk : {0, 1, 7, 1000}) {
    const absl::StatusOr<std::string> text = BlockOn(
        executor(), ParallelReduce(executor(), 0, 200, std::string(),
                                   [](std::string so_far, int64_t i) {
                                     return so_far + static_cast<char>('a' + i % 26);
                                   },
                                   std::plus<std::string>(), {.n_jobs = 4, .chunk = chunk}));
    ASSERT_TRUE(text.ok()) << text.status();
    ASSERT_EQ(text->size(), 200u);
    for (int i = 0; i < 200; ++i) ASSERT_EQ((*text)[i], 'a' + i % 26);
  }
  const absl::StatusOr<int64_t> sum =
      BlockOn(executor(), ParallelReduce(executor(), 0, 100'000, int64_t{0}, std::plus<int64_t>(),
                                         std::plus<int64_t>()));
  EXPECT_TRUE(sum.ok() && *sum == int64_t{99'999} * 100'000 / 2) << sum.status();
  const absl::StatusOr<int> nothing =
      BlockOn(executor(), ParallelReduce(executor(), 5, 5, 42, std::plus<int>(), std::plus<int>()));
  EXPECT_TRUE(nothing.ok() && *nothing == 42);
}

TEST_P(ParallelTest, ItemsAndResultsMayBeMoveOnly) {
  std::vector<std::unique_ptr<int>> items;
  for (int i = 0; i < 100; ++i) items.push_back(std::make_unique<int>(i));
  const absl::StatusOr<std::vector<std::unique_ptr<int>>> doubled =
      BlockOn(executor(), ParallelMap(executor(), std::move(items), [](std::unique_ptr<int> item) {
                return std::make_unique<int>(2 * *item);
              }));
  ASSERT_TRUE(doubled.ok());
  for (int i = 0; i < 100; ++i) EXPECT_EQ(*(*doubled)[i], 2 * i);
}

TEST_P(ParallelTest, BoolsDoNotShareBytes) {
  const absl::StatusOr<std::vector<bool>> odd = BlockOn(
      executor(),
      ParallelMap(executor(), Numbers(1000), [](int n) { return n % 2 == 1; }, {.chunk = 1}));
  ASSERT_TRUE(odd.ok());
  for (int i = 0; i < 1000; ++i) ASSERT_EQ((*odd)[i], i % 2 == 1);
}

TEST_P(ParallelTest, TheFunctionMayGiveTasks) {
  const auto twice = [](int n) -> Task<int> {
    co_await Yield();
    co_return 2 * n;
  };
  const absl::StatusOr<std::vector<int>> doubled =
      BlockOn(executor(), ParallelMap(executor(), Numbers(100), twice, {.n_jobs = 4, .chunk = 3}));
  ASSERT_TRUE(doubled.ok());
  for (int i = 0; i < 100; ++i) EXPECT_EQ((*doubled)[i], 2 * i);
  const auto check = [](int n) -> Task<absl::Status> {
    co_await Yield();
    if (n == 7) co_return absl::NotFoundError("seven");
    co_return absl::OkStatus();
  };
  const absl::Status status = BlockOn(executor(), ParallelMap(executor(), Numbers(100), check));
  EXPECT_EQ(status, absl::NotFoundError("seven"));
}

// --- errors ---

TEST_P(ParallelTest, TheErrorOfTheLowestIndexWinsAsInAPlainLoop) {
  for (const int round : ShareOf(100)) {
    Atomic<int> done_before{0};
    const auto fail_from = [&](int n) -> absl::StatusOr<int> {
      if (n >= 40) return absl::InternalError(absl::StrCat("at ", n));
      done_before.fetch_add(1, internal::kRelaxed);
      return n;
    };
    const absl::StatusOr<std::vector<int>> failed = BlockOn(
        executor(),
        ParallelMap(executor(), Numbers(100), fail_from, {.n_jobs = 4, .chunk = 1 + round % 9}));
    EXPECT_EQ(failed.status(), absl::InternalError("at 40"));
    EXPECT_EQ(done_before.load(internal::kRelaxed), 40);
  }
}

TEST_P(ParallelTest, AnErrorSkipsTheItemsBehindIt) {
  Atomic<int> ran{0};
  const absl::Status status =
      BlockOn(executor(), ParallelFor(executor(), 0, 1'000'000,
                                      [&](int64_t i) -> absl::Status {
                                        ran.fetch_add(1, internal::kRelaxed);
                                        if (i == 0) {
                                          return absl::DataLossError("0");
                                        }
                                        return absl::OkStatus();
                                      },
                                      {.n_jobs = 1, .chunk = 10}));
  EXPECT_EQ(status, absl::DataLossError("0"));
  EXPECT_EQ(ran.load(internal::kRelaxed), 1);
}

TEST_P(ParallelTest, AnErrorCancelsTheTasksBehindItAndNotThoseBeforeIt) {
  // Item 1 fails once item 2 waits; item 0 waits until item 2 was cancelled.
  Promise<void> two_waits;
  Future<void> two_is_waiting = two_waits.future();
  Promise<void> two_cancelled;
  Future<void> two_was_cancelled = two_cancelled.future();
  const auto item = [&](int64_t i) -> Task<absl::Status> {
    if (i == 0) co_return co_await two_was_cancelled;
    if (i == 1) {
      static_cast<void>(co_await two_is_waiting);
      co_return absl::DataLossError("one");
    }
    two_waits.Set();
    Promise<void> never;
    absl::Status cut = co_await never.future();
    two_cancelled.Set();
    co_return cut;
  };
  const absl::Status status =
      BlockOn(executor(), ParallelFor(executor(), 0, 3, item, {.n_jobs = 3, .chunk = 1}));
  EXPECT_EQ(status, absl::DataLossError("one"));
}

#if defined(__cpp_exceptions)
TEST_P(ParallelTest, TheExceptionOfTheLowestIndexIsRethrown) {
  for (const bool plain : {false, true}) {
    std::string caught;
    const auto throw_from = [](int64_t i) {
      if (i >= 30) throw std::runtime_error(absl::StrCat("at ", i));
    };
    const auto throw_from_with_value = [&](int64_t i) {
      throw_from(i);
      return 1;
    };
    const ParallelOptions options{.n_jobs = 4, .chunk = 7};
    try {
      static_cast<void>(
          plain ? BlockOn(executor(), ParallelFor(executor(), 0, 100, throw_from, options))
                : BlockOn(executor(),
                          ParallelFor(executor(), 0, 100, throw_from_with_value, options)));
    } catch (const std::runtime_error& error) {
      caught = error.what();
    }
    EXPECT_EQ(caught, "at 30");
  }
}
#endif

TEST_P(ParallelTest, AFoldMayFail) {
  const absl::StatusOr<int> failed =
      BlockOn(executor(), ParallelReduce(executor(), 0, 100, 0,
                                         [](int sum, int64_t i) -> absl::StatusOr<int> {
                                           if (i >= 33)
                                             return absl::OutOfRangeError(absl::StrCat(i));
                                           return sum + 1;
                                         },
                                         std::plus<int>(), {.n_jobs = 3, .chunk = 10}));
  EXPECT_EQ(failed.status(), absl::OutOfRangeError("33"));
}

TEST_P(ParallelTest, OptionsAndRangesThatMakeNoSenseAreInvalidArguments) {
  bool ran = false;
  const auto touch = [&](int64_t) { ran = true; };
  const auto run = [&](int64_t begin, int64_t end, ParallelOptions options) {
    return BlockOn(executor(), ParallelFor(executor(), begin, end, touch, options));
  };
  for (const int n_jobs : {0, -1, std::numeric_limits<int>::min(), kMostParallelJobs + 1}) {
    const absl::Status status = run(0, 10, {.n_jobs = n_jobs});
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), "ParallelFor: n_jobs is ")) << status;
  }
  const absl::Status chunk = run(0, 10, {.chunk = -1});
  EXPECT_TRUE(absl::StrContains(chunk.message(), "chunk is -1")) << chunk;
  const absl::Status backwards = run(1, 0, {});
  EXPECT_TRUE(absl::IsInvalidArgument(backwards)) << backwards;
  EXPECT_TRUE(absl::StrContains(backwards.message(), "ends before it begins")) << backwards;
  const absl::Status all =
      run(std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max(), {});
  EXPECT_TRUE(absl::IsInvalidArgument(all)) << all;
  const absl::StatusOr<std::vector<int>> map = BlockOn(
      executor(), ParallelMap(executor(), Numbers(3), [](int n) { return n; }, {.n_jobs = 0}));
  EXPECT_TRUE(absl::StrContains(map.status().message(), "ParallelMap: n_jobs is 0"))
      << map.status();
  const absl::StatusOr<int> reduce = BlockOn(
      executor(),
      ParallelReduce(executor(), 0, 3, 0, std::plus<int>(), std::plus<int>(), {.chunk = -5}));
  EXPECT_TRUE(absl::StrContains(reduce.status().message(), "ParallelReduce: chunk is -5"))
      << reduce.status();
  EXPECT_FALSE(ran);
}

// --- composition ---

TEST_P(ParallelTest, NestingNeedsNoThreadOfItsOwn) {
  Executor* const on = &executor();
  const auto row = [on](int n) -> Task<absl::StatusOr<int64_t>> {
    co_return co_await ParallelReduce(*on, 0, n, int64_t{0}, std::plus<int64_t>(),
                                      std::plus<int64_t>(), {.n_jobs = 3});
  };
  const absl::StatusOr<std::vector<int64_t>> sums =
      BlockOn(executor(), ParallelMap(executor(), Numbers(50), row, {.n_jobs = 8}));
  ASSERT_TRUE(sums.ok()) << sums.status();
  for (int n = 0; n < 50; ++n) EXPECT_EQ((*sums)[n], int64_t{n} * (n - 1) / 2);
}

TEST_P(ParallelTest, ATaskOfAnotherExecutorMayAwaitItAndGoesOnOnItsOwn) {
  plait::Run([](Executor* pool) -> Task<void> {
    const void* const before = ThisThread();
    if (dynamic_cast<EventLoop*>(pool) != nullptr) co_return;  // nobody runs that one
    const absl::StatusOr<std::vector<int>> values =
        co_await ParallelMap(*pool, Numbers(100), [](int n) { return n + 1; });
    EXPECT_TRUE(values.ok() && values->back() == 100);
    EXPECT_EQ(ThisThread(), before);
  }(&executor()));
}

TEST_P(ParallelTest, ACancelStopsItAndSaysSo) {
  auto for_ever = [](Executor* on, Promise<void>* begun) -> Task<absl::Status> {
    co_return co_await ParallelFor(*on, 0, std::numeric_limits<int64_t>::max(),
                                   [begun](int64_t i) {
                                     if (i == 0) begun->Set();
                                   },
                                   {.n_jobs = 2, .chunk = 1});
  };
  if (GetParam() == "Inline") return;  // there, it has to end before anybody could cancel it
  BlockOn(executor(), [](Executor* on, auto body) -> Task<void> {
    Promise<void> begun;
    Future<void> has_begun = begun.future();
    JoinHandle<absl::Status> handle = Spawn(body(on, &begun));
    static_cast<void>(co_await has_begun);
    handle.Cancel();
    const absl::Status status = co_await handle;
    EXPECT_TRUE(absl::IsCancelled(status)) << status;
  }(&executor(), for_ever));
}

TEST_P(ParallelTest, ACancelReachesTasksThatWait) {
  auto wait_all = [](Executor* on) -> Task<absl::Status> {
    auto wait = [](int64_t) -> Task<absl::Status> {
      Promise<void> never;
      co_return co_await never.future();
    };
    co_return co_await ParallelFor(*on, 0, 10, wait, {.n_jobs = 10, .chunk = 1});
  };
  BlockOn(executor(), [](Executor* on, auto body) -> Task<void> {
    for (const int i : ShareOf(100)) {
      JoinHandle<absl::Status> handle = Spawn(body(on));
      for (int n = 0; n < i % 5; ++n) co_await Yield();
      handle.Cancel();
      const absl::Status status = co_await handle;
      EXPECT_TRUE(absl::IsCancelled(status)) << status;
    }
  }(&executor(), wait_all));
}

TEST_P(ParallelTest, OtherTasksRunBetweenTwoChunks) {
  if (GetParam() == "Inline") return;
  bool other_ran = false;
  BlockOn(executor(), [](Executor* on, bool* flag) -> Task<void> {
    auto touch = [](bool* to_set) -> Task<void> {
      *to_set = true;
      co_return;
    };
    JoinHandle<void> other;
    const absl::Status status = co_await ParallelFor(*on, 0, 1000,
                                                     [&](int64_t i) {
                                                       if (i == 0)
                                                         other =
                                                             Spawn(touch(flag), {.executor = on});
                                                     },
                                                     {.n_jobs = 1, .chunk = 1});
    EXPECT_TRUE(status.ok());
    EXPECT_TRUE(other.done());  // long ago
  }(&executor(), &other_ran));
  EXPECT_TRUE(other_ran);
}

TEST(ParallelPoolTest, AsManyJobsRunAtOnceAsAreAskedFor) {
  constexpr int kJobs = 4;
  ThreadPool pool({.threads = kJobs});
  auto* const barrier = new absl::Barrier(kJobs);
  const absl::Status status = BlockOn(pool, ParallelFor(pool, 0, kJobs,
                                                        [barrier](int64_t) {
                                                          if (barrier->Block()) delete barrier;
                                                        },
                                                        {.n_jobs = kJobs, .chunk = 1}));
  EXPECT_TRUE(status.ok());  // or they wait for each other for ever
}

TEST(ParallelPoolTest, NoMoreJobsRunAtOnceThanAreAskedFor) {
  ThreadPool pool({.threads = 4});
  Atomic<int> inside{0};
  Atomic<int> most{0};
  const absl::Status status =
      BlockOn(pool, ParallelFor(pool, 0, 2000,
                                [&](int64_t) {
                                  const int now = inside.fetch_add(1, internal::kAcqRel) + 1;
                                  if (now > most.load(internal::kRelaxed))
                                    most.store(now, internal::kRelaxed);
                                  internal::SpinWait(0);
                                  inside.fetch_sub(1, internal::kAcqRel);
                                },
                                {.n_jobs = 2, .chunk = 1}));
  EXPECT_TRUE(status.ok());
  EXPECT_LE(most.load(internal::kRelaxed), 2);
}

}  // namespace
}  // namespace plait
