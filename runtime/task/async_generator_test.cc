// Traps faced here: a lambda coroutine that outlives its captures, a reference parameter of a lazy
// coroutine, a cancel that races completion.
#include "plait/runtime/task/async_generator.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/allocations.h"
#include "plait/runtime/testing/task_programs.h"
#include "plait/runtime/testing/test_clock.h"
#include "plait/schedulers/run.h"

namespace plait {
namespace {

using namespace testing_programs;  // NOLINT: they are this file's own words
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Log = std::vector<std::string>;

AsyncGenerator<int> Count(int from, int to) {
  for (int n = from; n < to; ++n) {
    co_await Yield();
    co_yield n;
  }
}

AsyncGenerator<int> CountWithoutWaiting(int to) {
  for (int n = 0; n < to; ++n) co_yield n;
}

// Notes when its frame is destroyed.
AsyncGenerator<int> CountForever(Log* log) {
  Leaving leaving(*log, "the generator's local");
  for (int n = 0;; ++n) {
    co_await Yield();
    co_yield n;
  }
}

template <class T>
Task<std::vector<T>> Collect(AsyncGenerator<T> generator) {
  std::vector<T> items;
  while (auto item = co_await generator.Next()) items.push_back(*std::move(item));
  co_return items;
}

// Runs the coroutine that `body` makes; `body` lives until it has ended.
template <class Body>
auto RunBody(Body body) {
  return plait::Run(body());
}

// --- items ---

TEST(AsyncGenerator, ItGivesItsItemsInOrderAndThenNothing) {
  EXPECT_THAT(plait::Run(Collect(Count(3, 7))), ElementsAre(3, 4, 5, 6));
  EXPECT_THAT(plait::Run(Collect(Count(0, 0))), IsEmpty());
}

TEST(AsyncGenerator, AfterTheEndEveryNextGivesNothing) {
  RunBody([]() -> Task<void> {
    AsyncGenerator<int> generator = Count(0, 1);
    const std::optional<int> item = co_await generator.Next();
    EXPECT_EQ(item, 0);
    EXPECT_TRUE(generator.valid());
    for (int i = 0; i < 3; ++i) {
      const std::optional<int> nothing = co_await generator.Next();
      EXPECT_EQ(nothing, std::nullopt);
      EXPECT_FALSE(generator.valid());
    }
  });
}

AsyncGenerator<int> SetFlagThenYield(bool* ran) {
  *ran = true;
  co_yield 1;
}

TEST(AsyncGenerator, NothingRunsBeforeTheFirstNext) {
  RunBody([]() -> Task<void> {
    bool ran = false;
    AsyncGenerator<int> generator = SetFlagThenYield(&ran);
    co_await Turns(3);
    EXPECT_FALSE(ran);
    static_cast<void>(co_await generator.Next());
    EXPECT_TRUE(ran);
  });
}

AsyncGenerator<std::unique_ptr<int>> GiveMoveOnly() {
  for (int n = 0; n < 3; ++n) co_yield std::make_unique<int>(n);
}

TEST(AsyncGenerator, ItemsMayBeMoveOnly) {
  RunBody([]() -> Task<void> {
    AsyncGenerator<std::unique_ptr<int>> generator = GiveMoveOnly();
    int expected = 0;
    while (auto item = co_await generator.Next()) {
      const std::unique_ptr<int> owned = *std::move(item);
      EXPECT_EQ(*owned, expected++);
    }
    EXPECT_EQ(expected, 3);
  });
}

AsyncGenerator<int&> Each(std::vector<int>* numbers) {
  for (int& number : *numbers) co_yield number;
}

TEST(AsyncGenerator, ReferencesAreToTheObjectsThemselves) {
  std::vector<int> numbers = {1, 2, 3};
  RunBody([&]() -> Task<void> {
    AsyncGenerator<int&> generator = Each(&numbers);
    while (int* item = co_await generator.Next()) *item *= 10;
  });
  EXPECT_THAT(numbers, ElementsAre(10, 20, 30));
}

AsyncGenerator<std::string> Words() {
  co_yield "a literal";
  const std::string kept = "a copy of a local";
  co_yield kept;
  EXPECT_EQ(kept, "a copy of a local");
  co_yield std::string(3, 'x');
}

TEST(AsyncGenerator, WhatIsYieldedIsConvertedAndALocalIsCopied) {
  EXPECT_THAT(plait::Run(Collect(Words())), ElementsAre("a literal", "a copy of a local", "xxx"));
}

AsyncGenerator<std::optional<int>> GiveOptionals() {
  co_yield std::nullopt;
  co_yield 1;
}

TEST(AsyncGenerator, AnItemThatIsAnEmptyOptionalIsNotTheEnd) {
  EXPECT_THAT(plait::Run(Collect(GiveOptionals())), ElementsAre(std::nullopt, 1));
}

// Trap: a reference parameter of a lazy coroutine. One that is taken by value is the generator's.
AsyncGenerator<char> Letters(std::string text) {
  for (const char letter : text) {
    co_await Yield();
    co_yield letter;
  }
}

TEST(AsyncGenerator, AnArgumentTakenByValueLivesUntilTheGeneratorEnds) {
  RunBody([]() -> Task<void> {
    std::unique_ptr<AsyncGenerator<char>> letters;
    {
      std::string text(100, 'x');  // gone before the generator starts
      letters = std::make_unique<AsyncGenerator<char>>(Letters(text));
    }
    int count = 0;
    while (auto letter = co_await letters->Next()) {
      EXPECT_EQ(*letter, 'x');
      ++count;
    }
    EXPECT_EQ(count, 100);
  });
}

TEST(AsyncGenerator, AMovedGeneratorGoesOnAndWhatItWasMovedFromGivesNothing) {
  RunBody([]() -> Task<void> {
    AsyncGenerator<int> first = Count(0, 3);
    static_cast<void>(co_await first.Next());
    AsyncGenerator<int> second = std::move(first);
    const std::optional<int> one = co_await second.Next();
    EXPECT_EQ(one, 1);
    const std::optional<int> nothing =
        co_await first.Next();  // NOLINT: moved from, it gives nothing
    EXPECT_EQ(nothing, std::nullopt);
    first = std::move(second);
    const std::optional<int> two = co_await first.Next();
    EXPECT_EQ(two, 2);
  });
}

TEST(AsyncGenerator, AssigningToAGeneratorDestroysWhatItWas) {
  Log log;
  RunBody([&]() -> Task<void> {
    AsyncGenerator<int> generator = CountForever(&log);
    static_cast<void>(co_await generator.Next());
    generator = Count(7, 8);
    EXPECT_THAT(log, ElementsAre("the generator's local"));
    const std::optional<int> seven = co_await generator.Next();
    EXPECT_EQ(seven, 7);
  });
}

// --- leaving early ---

TEST(AsyncGenerator, LeavingTheLoopEarlyDestroysTheFrameWithTheGenerator) {
  Log log;
  RunBody([&]() -> Task<void> {
    {
      AsyncGenerator<int> generator = CountForever(&log);
      while (auto item = co_await generator.Next()) {
        if (*item == 2) break;
      }
      log.push_back("left the loop");
    }
    log.push_back("after");
  });
  EXPECT_THAT(log, ElementsAre("left the loop", "the generator's local", "after"));
}

TEST(AsyncGenerator, AGeneratorThatIsNeverStartedFreesItsArguments) {
  auto argument = std::make_shared<int>(1);
  auto hold = [](std::shared_ptr<int> held) -> AsyncGenerator<int> { co_yield *held; };
  {
    AsyncGenerator<int> generator = hold(argument);
    EXPECT_EQ(argument.use_count(), 2);
  }
  EXPECT_EQ(argument.use_count(), 1);
}

TEST(AsyncGenerator, TheLocalsOfAGeneratorThatEndsAreGoneBeforeItsAwaiterGoesOn) {
  Log log;
  auto once = [&log]() -> AsyncGenerator<int> {
    Leaving leaving(log, "the generator's local");
    co_yield 1;
  };
  RunBody([&]() -> Task<void> {
    AsyncGenerator<int> generator = once();
    static_cast<void>(co_await generator.Next());
    log.push_back("one item");
    static_cast<void>(co_await generator.Next());
    log.push_back("the end");
  });
  EXPECT_THAT(log, ElementsAre("one item", "the generator's local", "the end"));
}

// --- Close ---

// Looks at what co_yield gives, and has cleanup that waits.
AsyncGenerator<int> CountWithCleanup(Log* log) {
  for (int n = 0;; ++n) {
    if (!(co_yield n)) break;
  }
  const absl::Status cancelled = co_await Sleep(absl::Hours(1));
  log->push_back(cancelled.ToString());
  const absl::Status slept = co_await Uncancellable(Sleep(absl::Hours(1)));
  log->push_back("cleaned up: " + slept.ToString());
}

TEST(AsyncGenerator, CloseWaitsForTheCleanupOfAGeneratorThatLooksAtItsYield) {
  Log log;
  TestClock clock;
  auto body = [&]() -> Task<void> {
    AsyncGenerator<int> generator = CountWithCleanup(&log);
    while (auto item = co_await generator.Next()) {
      if (*item == 2) break;
    }
    const absl::Status closed = co_await generator.Close();
    EXPECT_TRUE(closed.ok()) << closed;
    log.push_back("closed");
    EXPECT_FALSE(generator.valid());
    const std::optional<int> nothing = co_await generator.Next();
    EXPECT_EQ(nothing, std::nullopt);
    const absl::Status again = co_await generator.Close();
    EXPECT_TRUE(again.ok()) << again;
  };
  plait::Run(body(), {.clock = &clock});
  EXPECT_THAT(log, ElementsAre(HasSubstr("CANCELLED"), "cleaned up: OK", "closed"));
  EXPECT_EQ(clock.elapsed(), absl::Hours(1));
}

AsyncGenerator<int> CountStubbornly(Log* log) {
  Leaving leaving(*log, "the generator's local");
  for (int n = 0;; ++n) {
    log->push_back("makes " + std::to_string(n));
    co_yield n;
  }
}

TEST(AsyncGenerator, AGeneratorThatYieldsAgainWhenItIsClosedIsDestroyedThere) {
  Log log;
  RunBody([&]() -> Task<void> {
    AsyncGenerator<int> generator = CountStubbornly(&log);
    static_cast<void>(co_await generator.Next());
    const absl::Status closed = co_await generator.Close();
    EXPECT_TRUE(closed.ok()) << closed;
    log.push_back("closed");
  });
  EXPECT_THAT(log, ElementsAre("makes 0", "makes 1", "the generator's local", "closed"));
}

TEST(AsyncGenerator, ClosingAGeneratorThatHasNotBegunNeverRunsIt) {
  bool ran = false;
  RunBody([&]() -> Task<void> {
    AsyncGenerator<int> generator = SetFlagThenYield(&ran);
    const absl::Status closed = co_await generator.Close();
    EXPECT_TRUE(closed.ok()) << closed;
    EXPECT_FALSE(generator.valid());
  });
  EXPECT_FALSE(ran);
}

AsyncGenerator<absl::StatusOr<int>> FailWhenClosed(absl::Status error) {
  for (bool more = true; more;) more = co_yield 1;
  co_await OrReturn(error);
}

TEST(AsyncGenerator, CloseGivesTheErrorThatTheGeneratorEndsWithUnlessItIsTheCancelItself) {
  RunBody([]() -> Task<void> {
    AsyncGenerator<absl::StatusOr<int>> failing = FailWhenClosed(absl::DataLossError("torn"));
    static_cast<void>(co_await failing.Next());
    const absl::Status lost = co_await failing.Close();
    EXPECT_EQ(lost, absl::DataLossError("torn"));
    AsyncGenerator<absl::StatusOr<int>> cancelled =
        FailWhenClosed(absl::CancelledError("as asked"));
    static_cast<void>(co_await cancelled.Next());
    const absl::Status fine = co_await cancelled.Close();
    EXPECT_TRUE(fine.ok()) << fine;
  });
}

TEST(AsyncGenerator, CloseWaitsForTheCleanupInACancelledTaskToo) {
  Log log;
  TestClock clock;
  auto use = [](Log* into) -> Task<absl::Status> {
    AsyncGenerator<int> generator = CountWithCleanup(into);
    static_cast<void>(co_await generator.Next());
    const absl::Status waited = co_await Forever();
    const absl::Status closed = co_await generator.Close();
    EXPECT_TRUE(closed.ok()) << closed;
    co_return waited;
  };
  auto body = [&]() -> Task<void> {
    JoinHandle<absl::Status> handle = Spawn(use(&log));
    co_await Turns(3);
    handle.Cancel();
    const absl::Status status = co_await handle;
    EXPECT_TRUE(absl::IsCancelled(status)) << status;
  };
  plait::Run(body(), {.clock = &clock});
  EXPECT_THAT(log, ElementsAre(HasSubstr("CANCELLED"), "cleaned up: OK"));
}

// --- errors ---

absl::StatusOr<int> BelowTwo(int n) {
  if (n < 2) return n;
  return absl::DataLossError("torn");
}

AsyncGenerator<absl::StatusOr<int>> FailAfterTwo(Log* log) {
  Leaving leaving(*log, "the generator's local");
  for (int n = 0;; ++n) co_yield co_await OrReturn(BelowTwo(n));
}

TEST(AsyncGenerator, OrReturnGivesItsErrorAsTheLastItem) {
  Log log;
  RunBody([&]() -> Task<void> {
    AsyncGenerator<absl::StatusOr<int>> generator = FailAfterTwo(&log);
    std::vector<absl::StatusOr<int>> items;
    while (auto item = co_await generator.Next()) items.push_back(*item);
    EXPECT_EQ(items.size(), 3u);
    EXPECT_TRUE(items.at(1).ok());
    EXPECT_EQ(items.at(2).status(), absl::DataLossError("torn"));
    EXPECT_FALSE(generator.valid());
    // Its locals went before the Next that gave the error went on, so before the next Next.
    EXPECT_THAT(log, ElementsAre("the generator's local"));
  });
}

AsyncGenerator<absl::StatusOr<int>> Drain(Queue<int>& queue) {
  for (;;) co_yield co_await OrReturn(queue.Get());
}

TEST(AsyncGenerator, AnAwaitInsideOrReturnMayWait) {
  Queue<int> queue;
  std::vector<int> got;
  const absl::Status status = RunBody([&]() -> Task<absl::Status> {
    auto fill = [](Queue<int>* target) -> Task<void> {
      for (int n = 0; n < 3; ++n) {
        co_await Turns(2);
        static_cast<void>(co_await target->Put(n));
      }
      target->Close();
    };
    JoinHandle<void> filler = Spawn(fill(&queue));
    AsyncGenerator<absl::StatusOr<int>> items = Drain(queue);
    while (auto item = co_await items.Next()) {
      const int value = co_await OrReturn(*std::move(item));
      got.push_back(value);
    }
    co_return absl::OkStatus();
  });
  EXPECT_THAT(got, ElementsAre(0, 1, 2));
  EXPECT_EQ(status, absl::FailedPreconditionError("the queue is closed"));
}

#if defined(__cpp_exceptions)

AsyncGenerator<int> ThrowAfterOne(Log* log) {
  Leaving leaving(*log, "the generator's local");
  co_yield 1;
  co_await Yield();
  throw std::runtime_error("oh");
}

TEST(AsyncGenerator, AnExceptionComesOutOfTheNextThatMeetsItAndEndsTheGenerator) {
  Log log;
  RunBody([&]() -> Task<void> {
    AsyncGenerator<int> generator = ThrowAfterOne(&log);
    static_cast<void>(co_await generator.Next());
    std::string caught;
    try {
      static_cast<void>(co_await generator.Next());
    } catch (const std::runtime_error& error) {
      caught = error.what();
      EXPECT_THAT(log, ElementsAre("the generator's local"));
    }
    EXPECT_EQ(caught, "oh");
    const std::optional<int> nothing = co_await generator.Next();
    EXPECT_EQ(nothing, std::nullopt);
  });
}

AsyncGenerator<int> ThrowWhenClosed() {
  for (bool more = true; more;) more = co_yield 1;
  throw std::runtime_error("at the end");
}

TEST(AsyncGenerator, AnExceptionDuringCloseComesOutOfClose) {
  RunBody([]() -> Task<void> {
    AsyncGenerator<int> generator = ThrowWhenClosed();
    static_cast<void>(co_await generator.Next());
    std::string caught;
    try {
      static_cast<void>(co_await generator.Close());
    } catch (const std::runtime_error& error) {
      caught = error.what();
    }
    EXPECT_EQ(caught, "at the end");
    EXPECT_FALSE(generator.valid());
  });
}

struct ThrowsWhenCopied {
  ThrowsWhenCopied() = default;
  ThrowsWhenCopied(const ThrowsWhenCopied&) { throw std::runtime_error("no copies"); }
};

AsyncGenerator<ThrowsWhenCopied> YieldACopy(bool* caught) {
  const ThrowsWhenCopied item;
  try {
    co_yield item;
  } catch (const std::runtime_error&) {
    *caught = true;
  }
}

TEST(AsyncGenerator, AnItemThatThrowsWhenItIsCopiedThrowsAtTheYield) {
  bool caught = false;
  RunBody([&]() -> Task<void> {
    AsyncGenerator<ThrowsWhenCopied> generator = YieldACopy(&caught);
    const bool has_item = (co_await generator.Next()).has_value();
    EXPECT_FALSE(has_item);
  });
  EXPECT_TRUE(caught);
}

#endif

// --- where it runs, and cancellation ---

AsyncGenerator<const TaskContext*> Contexts() {
  for (;;) {
    co_yield TaskContext::Current();
    co_await Yield();
  }
}

TEST(AsyncGenerator, EachNextRunsInTheContextOfTheTaskThatAwaitsIt) {
  RunBody([]() -> Task<void> {
    AsyncGenerator<const TaskContext*> contexts = Contexts();
    auto next = [](AsyncGenerator<const TaskContext*>* from) -> Task<bool> {
      const auto seen = co_await from->Next();
      co_return seen.has_value() && *seen == TaskContext::Current();
    };
    for (int i = 0; i < 3; ++i) {
      const bool here = co_await next(&contexts);
      EXPECT_TRUE(here);
      const bool there = co_await Spawn(next(&contexts));
      EXPECT_TRUE(there);
    }
  });
}

// Sleeps between items and tells how each sleep ended.
AsyncGenerator<absl::Status> Slumbers() {
  for (;;) {
    const absl::Status slept = co_await Sleep(absl::Hours(1));
    co_yield slept;
  }
}

TEST(AsyncGenerator, ACancelOfTheAwaitingTaskEndsTheGeneratorsWait) {
  TestClock clock;
  auto use = [](AsyncGenerator<absl::Status>* generator) -> Task<absl::Status> {
    co_return *co_await generator->Next();
  };
  auto body = [&]() -> Task<void> {
    AsyncGenerator<absl::Status> generator = Slumbers();
    JoinHandle<absl::Status> handle = Spawn(use(&generator));
    co_await Turns(3);
    handle.Cancel();
    const absl::Status status = co_await handle;
    EXPECT_TRUE(absl::IsCancelled(status)) << status;
    EXPECT_EQ(clock.elapsed(), absl::ZeroDuration());
    // The generator itself is as good as before: this task is not cancelled.
    const auto slept = co_await generator.Next();
    EXPECT_TRUE(slept.has_value() && slept->ok());
    EXPECT_EQ(clock.elapsed(), absl::Hours(1));
  };
  plait::Run(body(), {.clock = &clock});
}

TEST(AsyncGenerator, ATimeoutBoundsOneNext) {
  TestClock clock;
  auto body = [&]() -> Task<void> {
    AsyncGenerator<absl::Status> generator = Slumbers();
    const auto late = co_await Timeout(absl::Minutes(1), generator.Next());
    EXPECT_TRUE(absl::IsDeadlineExceeded(late.status())) << late.status();
    EXPECT_EQ(clock.elapsed(), absl::Minutes(1));
    const auto in_time = co_await Timeout(absl::Hours(2), generator.Next());
    EXPECT_TRUE(in_time.ok() && in_time->has_value() && (*in_time)->ok()) << in_time.status();
    EXPECT_EQ(clock.elapsed(), absl::Minutes(61));
  };
  plait::Run(body(), {.clock = &clock});
}

// Trap: a cancel that races completion. Whatever the turn in which the cancel comes, an item that
// was made is either given or still there: none is lost, none comes twice.
TEST(AsyncGenerator, ACancelThatRacesAnItemLosesNone) {
  RunBody([]() -> Task<void> {
    auto use = [](Queue<int>* queue, std::vector<int>* got) -> Task<void> {
      AsyncGenerator<absl::StatusOr<int>> items = Drain(*queue);
      while (auto item = co_await items.Next()) {
        if (item->ok()) got->push_back(**item);
      }
    };
    for (int cancel_turn = 0; cancel_turn < 12; ++cancel_turn) {
      Queue<int> queue(1);
      std::vector<int> got;
      JoinHandle<void> user = Spawn(use(&queue, &got));
      int put = 0;
      for (int turn = 0; turn < 12; ++turn) {
        if (turn == cancel_turn) user.Cancel();
        if (queue.TryPut(put).ok()) ++put;
        co_await Yield();
      }
      queue.Close();
      co_await user;
      while (true) {
        const absl::StatusOr<int> left = queue.TryGet();
        if (!left.ok()) break;
        got.push_back(*left);
      }
      EXPECT_EQ(got.size(), static_cast<size_t>(put)) << "cancelled in turn " << cancel_turn;
      for (size_t i = 0; i < got.size(); ++i) EXPECT_EQ(got[i], static_cast<int>(i));
    }
  });
}

// --- misuse ---

AsyncGenerator<int> WaitForever() {
  static_cast<void>(co_await Forever());
  co_yield 1;
}

Task<void> AwaitNext(AsyncGenerator<int>* generator) {
  static_cast<void>(co_await generator->Next());
}

TEST(AsyncGeneratorDeathTest, TwoNextsAtOnceAreAProgrammingError) {
  EXPECT_DEATH(RunBody([]() -> Task<void> {
                 AsyncGenerator<int> generator = WaitForever();
                 co_await Gather(AwaitNext(&generator), AwaitNext(&generator));
               }),
               "an AsyncGenerator was resumed while another Next or Close of it is in flight");
}

TEST(AsyncGeneratorDeathTest, DestroyingAGeneratorWhoseNextIsInFlightIsAProgrammingError) {
  EXPECT_DEATH(RunBody([]() -> Task<void> {
                 auto generator = std::make_unique<AsyncGenerator<int>>(WaitForever());
                 JoinHandle<void> user = Spawn(AwaitNext(generator.get()));
                 co_await Turns(3);
                 generator = nullptr;
               }),
               "an AsyncGenerator was destroyed while a Next of it is in flight");
}

TEST(AsyncGeneratorDeathTest, MovingAGeneratorWhoseNextIsInFlightIsAProgrammingError) {
  EXPECT_DEATH(RunBody([]() -> Task<void> {
                 AsyncGenerator<int> generator = WaitForever();
                 JoinHandle<void> user = Spawn(AwaitNext(&generator));
                 co_await Turns(3);
                 AsyncGenerator<int> moved = std::move(generator);
               }),
               "an AsyncGenerator was moved while a Next of it is in flight");
}

// --- ForEach ---

TEST(AsyncGenerator, ForEachCallsTheFunctionWithEveryItem) {
  std::vector<int> seen;
  const absl::Status status = RunBody([&]() -> Task<absl::Status> {
    co_await OrReturn(ForEach(Count(0, 3), [&](int n) { seen.push_back(n); }));
    co_await OrReturn(ForEach(GiveMoveOnly(), [&](std::unique_ptr<int> n) {
      seen.push_back(*n);
      return absl::OkStatus();
    }));
    co_return co_await ForEach(Count(5, 7), [&](int n) -> Task<void> {
      co_await Yield();
      seen.push_back(n);
    });
  });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_THAT(seen, ElementsAre(0, 1, 2, 0, 1, 2, 5, 6));
}

TEST(AsyncGenerator, ForEachUnwrapsItemsAndEndsWithTheFirstErrorAmongThem) {
  Log log;
  std::vector<int> seen;
  const absl::Status status =
      plait::Run(ForEach(FailAfterTwo(&log), [&](int n) { seen.push_back(n); }));
  EXPECT_EQ(status, absl::DataLossError("torn"));
  EXPECT_THAT(seen, ElementsAre(0, 1));
}

TEST(AsyncGenerator, ForEachEndsAndClosesTheGeneratorWhenTheFunctionFails) {
  Log log;
  TestClock clock;
  const absl::Status status = plait::Run(ForEach(CountWithCleanup(&log),
                                                 [](int n) -> Task<absl::Status> {
                                                   co_await Yield();
                                                   if (n < 2) co_return absl::OkStatus();
                                                   co_return absl::OutOfRangeError("enough");
                                                 }),
                                         {.clock = &clock});
  EXPECT_EQ(status, absl::OutOfRangeError("enough"));
  EXPECT_THAT(log, ElementsAre(HasSubstr("CANCELLED"), "cleaned up: OK"));
}

TEST(AsyncGenerator, ForEachGivesReferencesAsTheyAre) {
  std::vector<int> numbers = {1, 2};
  const absl::Status status = plait::Run(ForEach(Each(&numbers), [](int& n) { n += 5; }));
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_THAT(numbers, ElementsAre(6, 7));
}

#if defined(__cpp_exceptions)
TEST(AsyncGenerator, ForEachClosesTheGeneratorBeforeItRethrows) {
  for (const bool waits : {false, true}) {
    Log log;
    TestClock clock;
    auto body = [&]() -> Task<absl::Status> {
      if (!waits) {
        co_return co_await ForEach(CountWithCleanup(&log),
                                   [](int) { throw std::runtime_error("oh"); });
      }
      co_return co_await ForEach(CountWithCleanup(&log), [](int) -> Task<void> {
        co_await Yield();
        throw std::runtime_error("oh");
      });
    };
    EXPECT_THROW(plait::Run(body(), {.clock = &clock}).IgnoreError(), std::runtime_error);
    EXPECT_THAT(log, ElementsAre(HasSubstr("CANCELLED"), "cleaned up: OK"));
  }
}
#endif

// Trap: a lambda coroutine that outlives its captures. ForEach keeps its function, captures and
// all, until the end.
TEST(AsyncGenerator, ForEachKeepsItsFunctionAliveUntilTheEnd) {
  auto sum = std::make_shared<int>(0);
  Task<absl::Status> loop = [&] {
    auto captured = sum;
    return ForEach(Count(0, 5), [captured](int n) -> Task<void> {
      co_await Turns(2);
      *captured += n;
    });
  }();
  const absl::Status status = plait::Run(std::move(loop));
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(*sum, 10);
  EXPECT_EQ(sum.use_count(), 1);
}

// --- cost ---

TEST(AsyncGenerator, AnItemAllocatesNothing) {
  const int64_t allocations = RunBody([]() -> Task<int64_t> {
    AsyncGenerator<int> generator = Count(0, 1'000);
    static_cast<void>(co_await generator.Next());
    const int64_t before = AllocationCount();
    while (auto item = co_await generator.Next()) continue;
    co_return AllocationCount() - before;
  });
  EXPECT_EQ(allocations, 0);
}

TEST(AsyncGenerator, AMillionItemsThatNeedNoWaitDoNotGrowTheStack) {
  const int64_t sum = RunBody([]() -> Task<int64_t> {
    AsyncGenerator<int> generator = CountWithoutWaiting(1'000'000);
    int64_t total = 0;
    while (auto item = co_await generator.Next()) total += *item;
    co_return total;
  });
  EXPECT_EQ(sum, int64_t{1'000'000} * 999'999 / 2);
}

AsyncGenerator<int> Nested(int depth) {
  if (depth == 0) {
    for (int n = 0; n < 10; ++n) co_yield n;
    co_return;
  }
  AsyncGenerator<int> inner = Nested(depth - 1);
  while (auto item = co_await inner.Next()) co_yield *item;
}

TEST(AsyncGenerator, GeneratorsNestThousandsDeepWithoutOverflow) {
  const std::vector<int> items = plait::Run(Collect(Nested(10'000)));
  EXPECT_THAT(items, ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9));
}

}  // namespace
}  // namespace plait
