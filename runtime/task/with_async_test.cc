// Traps faced here: a lambda coroutine that outlives its captures, a reference parameter of a lazy
// task, a cancel that races completion.
#include "plait/runtime/task/with_async.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/task_programs.h"
#include "plait/runtime/testing/test_clock.h"
#include "plait/schedulers/run.h"

namespace plait {
namespace {

using namespace testing_programs;  // NOLINT: they are this file's own words
using ::testing::ElementsAre;

using Log = std::vector<std::string>;

// Its Close waits, and would notice a cancel.
class Session {
 public:
  explicit Session(Log& log, absl::Status closing = absl::OkStatus())
      : log_(&log), closing_(std::move(closing)) {}
  Session(Session&&) = default;
  Session& operator=(Session&&) = default;

  void Use() { log_->push_back("used"); }
  Task<absl::Status> Close() {
    const absl::Status slept = co_await Sleep(absl::Seconds(1));
    log_->push_back(absl::StrCat("closed: ", slept.ToString()));
    co_return slept.ok() ? closing_ : slept;
  }

 private:
  Log* log_;
  absl::Status closing_;
};

template <class T>
T OnTestClock(Task<T> task) {
  TestClock clock;
  return plait::Run(std::move(task), {.clock = &clock});
}

TEST(WithAsync, TheResourceIsUsedAndThenClosed) {
  Log log;
  const absl::Status status =
      OnTestClock(WithAsync(Session(log), [](Session& session) -> Task<absl::Status> {
        co_await Yield();
        session.Use();
        co_return absl::OkStatus();
      }));
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_THAT(log, ElementsAre("used", "closed: OK"));
}

TEST(WithAsync, ItGivesWhatTheFunctionGives) {
  Log log;
  const absl::StatusOr<int> or_int =
      OnTestClock(WithAsync(Session(log), [](Session&) { return GiveOr(3); }));
  EXPECT_TRUE(or_int.ok() && *or_int == 3) << or_int.status();
  const absl::StatusOr<int> plain =
      OnTestClock(WithAsync(Session(log), [](Session&) { return Give(4); }));
  EXPECT_TRUE(plain.ok() && *plain == 4) << plain.status();
  const absl::Status nothing =
      OnTestClock(WithAsync(Session(log), [](Session&) { return Nothing(); }));
  EXPECT_TRUE(nothing.ok()) << nothing;
  const absl::StatusOr<std::unique_ptr<int>> moved =
      OnTestClock(WithAsync(Session(log), [](Session&) { return GiveMoveOnly(5); }));
  EXPECT_TRUE(moved.ok() && **moved == 5) << moved.status();
  EXPECT_EQ(log.size(), 4u);
}

TEST(WithAsync, AnErrorOfTheFunctionClosesTheResourceAndWinsOverAnErrorOfClosing) {
  Log log;
  const absl::Status status =
      OnTestClock(WithAsync(Session(log, absl::DataLossError("torn")),
                            [](Session&) { return TurnsThenFail(2, "broken"); }));
  EXPECT_EQ(status, absl::InternalError("broken"));
  EXPECT_THAT(log, ElementsAre("closed: OK"));
}

TEST(WithAsync, AnErrorOfClosingIsReportedWhenNothingElseFailed) {
  Log log;
  const absl::StatusOr<int> result = OnTestClock(
      WithAsync(Session(log, absl::DataLossError("torn")), [](Session&) { return GiveOr(3); }));
  EXPECT_EQ(result.status(), absl::DataLossError("torn"));
}

TEST(WithAsync, ACancelledTaskClosesItsResourceWithoutBeingDisturbed) {
  Log log;
  auto body = [&]() -> Task<void> {
    JoinHandle<absl::Status> handle =
        Spawn(WithAsync(Session(log), [](Session&) { return Forever(); }));
    co_await Turns(3);
    handle.Cancel();
    const absl::Status status = co_await handle;
    EXPECT_TRUE(absl::IsCancelled(status)) << status;
  };
  OnTestClock(body());
  EXPECT_THAT(log, ElementsAre("closed: OK"));
}

// Trap: a cancel that races completion. In whatever turn it comes, the resource is closed once.
TEST(WithAsync, InWhateverTurnTheCancelComesTheResourceIsClosedOnce) {
  for (int cancel_turn = 0; cancel_turn < 12; ++cancel_turn) {
    Log log;
    bool ran = false;
    auto body = [&]() -> Task<void> {
      JoinHandle<absl::StatusOr<int>> handle = Spawn(WithAsync(Session(log), [&](Session&) {
        ran = true;
        return TurnsThenGive(5, 1);
      }));
      co_await Turns(cancel_turn);
      handle.Cancel();
      static_cast<void>(co_await handle);
    };
    OnTestClock(body());
    EXPECT_EQ(log, ran ? Log{"closed: OK"} : Log{}) << "cancelled in turn " << cancel_turn;
  }
}

#if defined(__cpp_exceptions)
TEST(WithAsync, AnExceptionClosesTheResourceBeforeItGoesOn) {
  Log log;
  EXPECT_THROW(OnTestClock(WithAsync(Session(log), [](Session&) { return ThrowInStatus("oh"); }))
                   .IgnoreError(),
               std::runtime_error);
  EXPECT_THAT(log, ElementsAre("closed: OK"));
  auto throw_at_once = [](Session&) -> Task<absl::Status> {
    auto inner = []() -> Task<absl::Status> { throw std::runtime_error("at once"); };
    if (inner().valid()) throw std::runtime_error("outside of a coroutine");
    return inner();
  };
  EXPECT_THROW(OnTestClock(WithAsync(Session(log), throw_at_once)).IgnoreError(),
               std::runtime_error);
  EXPECT_THAT(log, ElementsAre("closed: OK", "closed: OK"));
}

TEST(WithAsync, AnExceptionOfClosingComesOutUnlessTheFunctionFailed) {
  auto close = [](int&) -> Task<void> {
    co_await Yield();
    throw std::runtime_error("torn");
  };
  EXPECT_THROW(OnTestClock(WithAsync(
                               1, [](int&) { return Ok(); }, close))
                   .IgnoreError(),
               std::runtime_error);
  const absl::Status status =
      OnTestClock(WithAsync(1, [](int&) { return FailWith("broken"); }, close));
  EXPECT_EQ(status, absl::InternalError("broken"));
}
#endif

TEST(WithAsync, AnLvalueIsUsedWhereItIs) {
  Log log;
  auto body = [&]() -> Task<void> {
    Session session(log);
    const Session* const here = &session;
    const absl::StatusOr<bool> same =
        co_await WithAsync(session, [here](Session& used) { return Give(&used == here); });
    EXPECT_TRUE(same.ok() && *same);
  };
  OnTestClock(body());
  EXPECT_THAT(log, ElementsAre("closed: OK"));
}

Task<absl::StatusOr<Session>> Open(Log* log, absl::Status how) {
  co_await Yield();
  if (!how.ok()) co_return how;
  co_return Session(*log);
}

TEST(WithAsync, AnAwaitableIsAwaitedAndAStatusOrUnwrapped) {
  Log log;
  auto use = [](Session& session) -> Task<absl::Status> {
    session.Use();
    co_return absl::OkStatus();
  };
  const absl::Status awaited = OnTestClock(WithAsync(Open(&log, absl::OkStatus()), use));
  EXPECT_TRUE(awaited.ok()) << awaited;
  const absl::Status refused =
      OnTestClock(WithAsync(Open(&log, absl::NotFoundError("nobody")), use));
  EXPECT_EQ(refused, absl::NotFoundError("nobody"));
  const absl::Status plain = OnTestClock(WithAsync(absl::StatusOr<Session>(Session(log)), use));
  EXPECT_TRUE(plain.ok()) << plain;
  EXPECT_THAT(log, ElementsAre("used", "closed: OK", "used", "closed: OK"));
}

TEST(WithAsync, ACloserMayBeGivenAndNeedNotWait) {
  Log log;
  auto use = [](std::string& text) -> Task<absl::Status> {
    text += "!";
    co_return absl::OkStatus();
  };
  const absl::Status nothing = OnTestClock(
      WithAsync(std::string("a"), use, [&](std::string& text) { log.push_back(text); }));
  EXPECT_TRUE(nothing.ok()) << nothing;
  const absl::Status failed = OnTestClock(WithAsync(std::string("b"), use, [&](std::string& text) {
    log.push_back(text);
    return absl::DataLossError("torn");
  }));
  EXPECT_EQ(failed, absl::DataLossError("torn"));
  EXPECT_THAT(log, ElementsAre("a!", "b!"));
}

AsyncGenerator<int> CountWithCleanup(Log* log) {
  for (int n = 0;; ++n) {
    if (!(co_yield n)) break;
  }
  const absl::Status slept = co_await Uncancellable(Sleep(absl::Seconds(1)));
  log->push_back(absl::StrCat("cleaned up: ", slept.ToString()));
}

TEST(WithAsync, AnAsyncGeneratorIsClosedWhenItsLoopIsLeft) {
  Log log;
  const absl::StatusOr<int> third =
      OnTestClock(WithAsync(CountWithCleanup(&log), [](AsyncGenerator<int>& numbers) -> Task<int> {
        while (auto n = co_await numbers.Next()) {
          if (*n == 2) co_return *n;
        }
        co_return -1;
      }));
  EXPECT_TRUE(third.ok() && *third == 2) << third.status();
  EXPECT_THAT(log, ElementsAre("cleaned up: OK"));
}

// Traps: a lambda coroutine that outlives its captures, and a reference parameter of a lazy task.
// The functions and the resource live in the task until it has ended.
TEST(WithAsync, TheFunctionsAndTheResourceLiveUntilTheEnd) {
  auto captured = std::make_shared<int>(7);
  auto make = [&] {
    auto also = captured;
    return WithAsync(
        std::make_unique<int>(1),
        [also](std::unique_ptr<int>& resource) -> Task<int> {
          co_await Turns(3);
          co_return *also + *resource;
        },
        [also](std::unique_ptr<int>&) -> Task<void> {
          co_await Turns(3);
          ++*also;
        });
  };
  Task<absl::StatusOr<int>> task = make();
  const absl::StatusOr<int> sum = OnTestClock(std::move(task));
  EXPECT_TRUE(sum.ok() && *sum == 8) << sum.status();
  EXPECT_EQ(*captured, 8);
  EXPECT_EQ(captured.use_count(), 1);
}

// --- AsyncExitStack ---

TEST(AsyncExitStack, ItCleansUpInReverseOrderWhateverTheOutcome) {
  Log log;
  const absl::Status status =
      OnTestClock(WithAsync(AsyncExitStack(), [&](AsyncExitStack& stack) -> Task<absl::Status> {
        stack.Enter(Session(log)).Use();
        stack.Push([&] { log.push_back("pushed"); });
        stack.Push([&]() -> Task<absl::Status> {
          co_await Turns(2);
          log.push_back("pushed and awaited");
          co_return absl::OkStatus();
        });
        EXPECT_EQ(stack.size(), 3u);
        co_return absl::InternalError("broken");
      }));
  EXPECT_EQ(status, absl::InternalError("broken"));
  EXPECT_THAT(log, ElementsAre("used", "pushed and awaited", "pushed", "closed: OK"));
}

TEST(AsyncExitStack, EveryCleanupRunsAndTheFirstErrorIsTheResult) {
  Log log;
  const absl::Status status =
      OnTestClock(WithAsync(AsyncExitStack(), [&](AsyncExitStack& stack) -> Task<absl::Status> {
        stack.Push([&] { log.push_back("first in"); });
        stack.Push([&] { return absl::InternalError("second error"); });
        stack.Enter(Session(log, absl::DataLossError("first error")));
        co_return absl::OkStatus();
      }));
  EXPECT_EQ(status, absl::DataLossError("first error"));
  EXPECT_THAT(log, ElementsAre("closed: OK", "first in"));
}

#if defined(__cpp_exceptions)
TEST(AsyncExitStack, AnExceptionOfACleanupComesOutAfterTheOthersHaveRun) {
  Log log;
  EXPECT_THROW(OnTestClock(WithAsync(AsyncExitStack(),
                                     [&](AsyncExitStack& stack) -> Task<absl::Status> {
                                       stack.Push([&] { log.push_back("first in"); });
                                       stack.Push([] { return ThrowInStatus("oh"); });
                                       co_return absl::OkStatus();
                                     }))
                   .IgnoreError(),
               std::runtime_error);
  EXPECT_THAT(log, ElementsAre("first in"));
}
#endif

TEST(AsyncExitStackDeathTest, OneThatIsNotClosedIsAProgrammingError) {
  EXPECT_DEATH(
      {
        AsyncExitStack stack;
        stack.Push([] {});
      },
      "an AsyncExitStack was destroyed with cleanups left");
}

}  // namespace
}  // namespace plait
