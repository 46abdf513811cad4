// How an AsyncGenerator ends: by its being left, by Close, with an error or an exception. Traps
// faced here: a reference parameter of a lazy coroutine.
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/task/async_generator.h"
#include "plait/runtime/task/async_generator_fixture.h"
#include "plait/runtime/testing/task_programs.h"
#include "plait/runtime/testing/test_clock.h"
#include "plait/schedulers/run.h"

namespace plait {
namespace {

using namespace testing_programs;  // NOLINT: they are this file's own words
using ::testing::ElementsAre;
using ::testing::HasSubstr;

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

}  // namespace
}  // namespace plait
