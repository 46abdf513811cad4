// An EventLoop's timers. The numbers in the tests' names are those of the list "What any event loop
// must get right".
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "plait/io/ops/operations.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_reactors.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/reactor_factory.h"
#include "plait/runtime/testing/test_clock.h"
#include "plait/schedulers/event_loop/event_loop.h"
#include "plait/schedulers/event_loop/event_loop_fixture.h"

namespace plait {
namespace {

INSTANTIATE_TEST_SUITE_P(AllReactors, EventLoopTest, testing::ValuesIn(AllReactors()),
                         ReactorFactory::Name);

TEST_P(EventLoopTest, Line16ACallbackIsNeverEarly) {
  Clock& clock = real_loop_.clock();
  for (int i = 1; i <= 10; ++i) {
    const absl::Duration delay = absl::Microseconds(137) * i;
    Deadline fired;
    const Deadline before = clock.Now();
    ASSERT_TRUE(real_loop_.PostAfter(delay, [&] { fired = clock.Now(); }).ok());
    EXPECT_TRUE(real_loop_.Run().ok());
    EXPECT_GE(fired.Since(before), delay);
  }
}

TEST_P(EventLoopTest, Line16CallbacksFireInTheOrderOfTheirDeadlinesAndExactlyThen) {
  std::vector<absl::Duration> fired;
  for (const int hours : {9, 2, 7, 1, 3}) {
    ASSERT_TRUE(
        loop_.PostAfter(absl::Hours(hours), [&] { fired.push_back(clock_.elapsed()); }).ok());
  }
  EXPECT_TRUE(loop_.Run().ok());
  EXPECT_EQ(fired, (std::vector<absl::Duration>{absl::Hours(1), absl::Hours(2), absl::Hours(3),
                                                absl::Hours(7), absl::Hours(9)}));
}

TEST_P(EventLoopTest, Line17EqualDeadlinesAreFifo) {
  std::vector<int> fired;
  std::vector<int> expected;
  for (int i = 0; i < 300; ++i) {
    expected.push_back(i);
    ASSERT_TRUE(loop_.PostAfter(absl::Hours(1), [&fired, i] { fired.push_back(i); }).ok());
  }
  EXPECT_TRUE(loop_.Run().ok());
  EXPECT_EQ(fired, expected);
}

TEST_P(EventLoopTest, Line18AZeroDelayFiresOnTheNextTurn) {
  std::vector<std::string> ran;
  loop_.Post([&] {
    ASSERT_TRUE(loop_.PostAfter(absl::ZeroDuration(), [&] { ran.push_back("zero delay"); }).ok());
    ran.push_back("this turn");
  });
  loop_.Post([&] { ran.push_back("this turn too"); });
  EXPECT_TRUE(loop_.Run().ok());
  EXPECT_EQ(ran, (std::vector<std::string>{"this turn", "this turn too", "zero delay"}));
  EXPECT_EQ(clock_.elapsed(), absl::ZeroDuration());
}

TEST_P(EventLoopTest, ACallbackForAPointOnTheCalendarRunsThenAndForThePastOnTheNextTurn) {
  std::vector<std::string> ran;
  const absl::Time now = clock_.WallTime();
  const absl::Time never = absl::InfiniteFuture();
  absl::StatusOr<EventLoop::Handle> endless = loop_.PostAt(never, [&] { ran.push_back("never"); });
  ASSERT_TRUE(endless.ok()) << endless.status();
  ASSERT_TRUE(loop_
                  .PostAt(now + absl::Hours(2),
                          [&] {
                            ran.push_back("later");
                            EXPECT_TRUE(endless->Cancel());
                          })
                  .ok());
  for (const absl::Time past : {now, now - absl::Hours(1), absl::InfinitePast()}) {
    ASSERT_TRUE(loop_.PostAt(past, [&] { ran.push_back("past"); }).ok());
  }
  EXPECT_TRUE(loop_.Run().ok());
  EXPECT_EQ(ran, (std::vector<std::string>{"past", "past", "past", "later"}));
  EXPECT_EQ(clock_.elapsed(), absl::Hours(2));
}

TEST_P(EventLoopTest, Line19AHugeDelayDoesNotWrapAndCancellingItLeavesNothing) {
  const int64_t most = std::numeric_limits<int64_t>::max();
  for (const absl::Duration huge :
       {absl::InfiniteDuration(), absl::Seconds(most), absl::Nanoseconds(most),
        absl::Nanoseconds(most - 2), absl::Hours(24 * 365 * 250)}) {
    bool fired = false;
    absl::StatusOr<EventLoop::Handle> handle = loop_.PostAfter(huge, [&] { fired = true; });
    ASSERT_TRUE(handle.ok()) << handle.status();
    ASSERT_TRUE(loop_.PostAfter(absl::Hours(1), [&] { EXPECT_TRUE(handle->Cancel()); }).ok());
    EXPECT_TRUE(loop_.Run().ok());  // returns: the huge one was all that was left
    EXPECT_FALSE(fired) << huge;
    EXPECT_FALSE(loop_.live()) << huge;
  }
  EXPECT_EQ(clock_.elapsed(), absl::Hours(5));
}

TEST_P(EventLoopTest, ANegativeDelayIsAnInvalidArgument) {
  for (const absl::Duration negative : {absl::Nanoseconds(-1), -absl::InfiniteDuration()}) {
    const absl::StatusOr<EventLoop::Handle> handle = loop_.PostAfter(negative, [] {});
    EXPECT_TRUE(absl::IsInvalidArgument(handle.status())) << handle.status();
  }
  EXPECT_FALSE(loop_.live());
}

TEST_P(EventLoopTest, Line21ACancelledTimerNeverFiresAndKeepsNothingAlive) {
  auto captured = std::make_shared<int>(1);
  bool fired = false;
  absl::StatusOr<EventLoop::Handle> handle =
      loop_.PostAfter(absl::Hours(1), [&fired, captured] { fired = true; });
  ASSERT_TRUE(handle.ok());
  EXPECT_TRUE(handle->Cancel());
  EXPECT_EQ(captured.use_count(), 1);
  EXPECT_FALSE(handle->Cancel());
  EXPECT_FALSE(loop_.live());
  EXPECT_TRUE(loop_.Run().ok());
  EXPECT_FALSE(fired);
  EXPECT_EQ(clock_.elapsed(), absl::ZeroDuration());
}

TEST_P(EventLoopTest, Line22ATimerMayBeCancelledByAnotherOfTheSameTick) {
  std::vector<int> fired;
  std::vector<EventLoop::Handle> handles(3);
  for (int i = 0; i < 3; ++i) {
    absl::StatusOr<EventLoop::Handle> handle = loop_.PostAfter(absl::Hours(1), [&, i] {
      fired.push_back(i);
      for (int other = 0; other < 3; ++other) {
        EXPECT_EQ(handles[static_cast<size_t>(other)].Cancel(), i == 0 && other != 0);
      }
    });
    ASSERT_TRUE(handle.ok());
    handles[static_cast<size_t>(i)] = *std::move(handle);
  }
  EXPECT_TRUE(loop_.Run().ok());
  EXPECT_EQ(fired, (std::vector<int>{0}));
  EXPECT_FALSE(loop_.live());
}

Task<absl::Status> ShoveBytes(int from, int to, bool* stop) {
  const GuardedBuffer buffer(16);
  while (!*stop) {
    const size_t size = co_await OrReturn(io::Read(from, buffer.span()));
    co_await OrReturn(io::Write(to, absl::MakeConstSpan(buffer.data(), size)));
  }
  co_return absl::OkStatus();
}

TEST_P(EventLoopTest, Line25TimersFireWhileIoIsSaturated) {
  Pipe pipe;
  pipe.Write();
  Pipe other;
  other.Write();
  bool stop = false;
  int fired = 0;
  // Each finds its byte ready, always.
  JoinHandle<absl::Status> first =
      Spawn(ShoveBytes(pipe.reading(), pipe.writing(), &stop), {.executor = &real_loop_});
  JoinHandle<absl::Status> second =
      Spawn(ShoveBytes(other.reading(), other.writing(), &stop), {.executor = &real_loop_});
  for (int i = 1; i <= 5; ++i) {
    ASSERT_TRUE(
        real_loop_.PostAfter(absl::Microseconds(200) * i, [&] { stop = ++fired == 5; }).ok());
  }
  EXPECT_TRUE(real_loop_.Run().ok());
  EXPECT_EQ(fired, 5);
  EXPECT_TRUE(first.result().ok()) << first.result();
  EXPECT_TRUE(second.result().ok()) << second.result();
}

Task<int> HoursOfWork(Queue<int>* queue, int days) {
  int ticks = 0;
  for (int hour = 0; hour < 24 * days; ++hour) {
    static_cast<void>(co_await Sleep(absl::Hours(1)));
    ++ticks;
    static_cast<void>(queue->TryPut(hour));
  }
  queue->Close();
  co_return ticks;
}

TEST_P(EventLoopTest, AProgramOfMonthsRunsAtOnceOnATestClock) {
  Queue<int> queue;
  EXPECT_EQ(BlockOn(loop_, HoursOfWork(&queue, 90)), 24 * 90);
  EXPECT_EQ(clock_.elapsed(), absl::Hours(24 * 90));
  EXPECT_EQ(queue.size(), size_t{24 * 90});
}

}  // namespace
}  // namespace plait
