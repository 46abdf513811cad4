// Of the five traps this faces three: reference parameters of a lazy task (arguments are kept by
// value), a cancel that races with the end (made to in AStopThatRacesWithTheEnd), and a lambda
// coroutine that outlives its captures (there is none: functions are plain).
#include "plait/schedulers/process_pool/remote_executor.h"

#include <cstddef>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "plait/io/auto_reactor/auto_reactor.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/schedulers/event_loop/event_loop.h"
#include "plait/schedulers/process_pool/function_table.h"
#include "plait/schedulers/process_pool/local_executor.h"
#include "plait/schedulers/process_pool/process_function.h"
#include "plait/schedulers/process_pool/remote_map.h"

namespace plait {
namespace {

constexpr ProcessFunction<int(int)> kTwice("twice");
constexpr ProcessFunction<int(int)> kHalf("half");
constexpr ProcessFunction<int(absl::string_view)> kLength("length");
constexpr ProcessFunction<int(absl::Span<const int>)> kSum("sum");
constexpr ProcessFunction<absl::Status()> kFail("fail");
constexpr ProcessFunction<absl::Status(int)> kCheck("check");
constexpr ProcessFunction<int(int)> kNobody("nobody");

FunctionTable Functions() {
  FunctionTable table;
  table.Add(kTwice, [](int n) { return 2 * n; });
  table.Add(kHalf, [](int n) -> absl::StatusOr<int> {
    if (n % 2 != 0) return absl::InvalidArgumentError(absl::StrCat(n, " is odd"));
    return n / 2;
  });
  table.Add(kLength, [](absl::string_view text) { return static_cast<int>(text.size()); });
  table.Add(kSum, [](absl::Span<const int> all) {
    int sum = 0;
    for (const int n : all) sum += n;
    return sum;
  });
  table.Add(kFail, [] { return absl::NotFoundError("as asked"); });
  table.Add(kCheck, [](int n) {
    return n >= 0 ? absl::OkStatus() : absl::OutOfRangeError("it is negative");
  });
  return table;
}

class RemoteExecutorTest : public ::testing::Test {
 protected:
  LocalExecutor executor_{Functions()};
  EventLoop loop_{MakeReactor()};
};

TEST_F(RemoteExecutorTest, ACallGivesItsFunctionsResult) {
  EXPECT_EQ(*BlockOn(loop_, CallRemote(executor_, kTwice, {}, 21)), 42);
  EXPECT_EQ(BlockOn(loop_, CallRemote(executor_, kFail, {})), absl::NotFoundError("as asked"));
}

TEST_F(RemoteExecutorTest, AnExecutorIsToldHowTheCallIsToBeMade) {
  std::string key = "order 17";
  auto call = CallRemote(
      executor_, kTwice,
      {.timeout = absl::Seconds(3), .attempts = 5, .idempotency_key = absl::string_view(key)}, 1);
  key = "order 18";  // it has a copy
  EXPECT_EQ(*BlockOn(loop_, std::move(call)), 2);
  EXPECT_EQ(executor_.options.timeout, absl::Seconds(3));
  EXPECT_EQ(executor_.options.attempts, 5);
  EXPECT_EQ(executor_.key, "order 17");
}

TEST_F(RemoteExecutorTest, AnExecutorsErrorIsTheCalls) {
  EXPECT_EQ(BlockOn(loop_, CallRemote(executor_, kNobody, {}, 1)).status().code(),
            absl::StatusCode::kNotFound);
}

TEST_F(RemoteExecutorTest, ArgumentsAreKeptUntilTheCall) {
  std::string changed = "abc";
  char c_string[] = "abcd";
  auto copied = CallRemote(executor_, kLength, {}, changed);
  auto moved = CallRemote(executor_, kLength, {}, std::string(100, 'x'));
  auto pointed_to = CallRemote(executor_, kLength, {}, static_cast<const char*>(c_string));
  auto vector = CallRemote(executor_, kSum, {}, std::vector<int>{1, 2, 3});
  changed += "def";
  c_string[0] = '\0';
  EXPECT_EQ(*BlockOn(loop_, std::move(copied)), 3);
  EXPECT_EQ(*BlockOn(loop_, std::move(moved)), 100);
  EXPECT_EQ(*BlockOn(loop_, std::move(pointed_to)), 4);
  EXPECT_EQ(*BlockOn(loop_, std::move(vector)), 6);
}

TEST_F(RemoteExecutorTest, ATaskThatWasCancelledBeforeStartsNoCall) {
  executor_.at_once = false;
  EXPECT_EQ(BlockOn(loop_,
                    [](LocalExecutor& executor) -> Task<absl::Status> {
                      JoinHandle<absl::Status> handle =
                          Spawn([](LocalExecutor& on) -> Task<absl::Status> {
                            co_await Yield();
                            co_return (co_await CallRemote(on, kTwice, {}, 1)).status();
                          }(executor));
                      co_await Yield();
                      handle.Cancel();
                      co_return co_await handle;
                    }(executor_))
                .code(),
            absl::StatusCode::kCancelled);
  EXPECT_EQ(executor_.started, 0);
  EXPECT_EQ(executor_.cancelled.load(), 0);
}

TEST_F(RemoteExecutorTest, ACancelReachesTheExecutorOnce) {
  executor_.at_once = false;
  EXPECT_EQ(BlockOn(loop_,
                    [](LocalExecutor& executor) -> Task<absl::Status> {
                      JoinHandle<absl::StatusOr<int>> handle =
                          Spawn(CallRemote(executor, kTwice, {}, 1));
                      while (executor.waiting == nullptr) co_await Yield();
                      handle.Cancel();
                      handle.Cancel();
                      co_return (co_await handle).status();
                    }(executor_)),
            absl::CancelledError("stopped"));
  EXPECT_EQ(executor_.cancelled.load(), 1);
}

TEST_F(RemoteExecutorTest, AResultThatComesInSpiteOfACancelIsTheOutcome) {
  executor_.at_once = false;
  executor_.finish_cancelled = false;
  EXPECT_EQ(*BlockOn(loop_,
                     [](LocalExecutor& executor) -> Task<absl::StatusOr<int>> {
                       JoinHandle<absl::StatusOr<int>> handle =
                           Spawn(CallRemote(executor, kTwice, {}, 4));
                       while (executor.waiting == nullptr) co_await Yield();
                       handle.Cancel();
                       executor.Finish(*executor.waiting);
                       co_return co_await handle;
                     }(executor_)),
            8);
}

TEST_F(RemoteExecutorTest, AStopThatRacesWithTheEndLeavesOneOutcome) {
  executor_.at_once = false;
  executor_.finish_cancelled = false;
  for (int i = 0; i < Repeats(300); ++i) {
    executor_.waiting = nullptr;
    const absl::StatusOr<int> result =
        BlockOn(loop_, [](LocalExecutor& executor) -> Task<absl::StatusOr<int>> {
          JoinHandle<absl::StatusOr<int>> handle = Spawn(CallRemote(executor, kTwice, {}, 4));
          while (executor.waiting == nullptr) co_await Yield();
          Thread finisher = StartThread("finisher", [&] { executor.Finish(*executor.waiting); });
          Thread canceller = StartThread("canceller", [&] { handle.Cancel(); });
          absl::StatusOr<int> outcome = co_await handle;
          finisher.join();
          canceller.join();
          co_return outcome;
        }(executor_));
    ASSERT_TRUE(result.ok()) << result.status();
    ASSERT_EQ(*result, 8);
  }
}

TEST_F(RemoteExecutorTest, ASubmittedCallRunsAsATaskOfItsOwn) {
  executor_.at_once = false;
  EXPECT_EQ(*BlockOn(loop_,
                     [](LocalExecutor& executor) -> Task<absl::StatusOr<int>> {
                       JoinHandle<absl::StatusOr<int>> call = SubmitRemote(executor, kTwice, {}, 4);
                       while (executor.waiting == nullptr) co_await Yield();
                       executor.Finish(*executor.waiting);
                       co_return co_await call;
                     }(executor_)),
            8);
}

std::vector<int> Numbers(int count) {
  std::vector<int> numbers(static_cast<size_t>(count));
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

TEST_F(RemoteExecutorTest, AMapGivesTheResultsInTheItemsOrderWhateverTheChunks) {
  for (const int count : {0, 1, 7, 1000}) {
    for (const size_t chunk : {0, 1, 3, 5000}) {
      MapOptions options;
      options.chunk = chunk;
      const absl::StatusOr<std::vector<int>> all =
          BlockOn(loop_, MapRemote(executor_, kTwice, Numbers(count), std::move(options)));
      ASSERT_TRUE(all.ok()) << all.status();
      ASSERT_EQ(all->size(), static_cast<size_t>(count));
      for (int i = 0; i < count; ++i) ASSERT_EQ((*all)[static_cast<size_t>(i)], 2 * i);
    }
  }
}

TEST_F(RemoteExecutorTest, AMapTellsItsProgressAndHowItsChunksAreToBeCalled) {
  std::vector<size_t> told;
  std::string key = "order 17";
  MapOptions options;
  options.chunk = 4;
  options.call.attempts = 3;
  options.call.idempotency_key = key;
  options.progress = [&told](size_t done, size_t of) {
    EXPECT_EQ(of, 10u);
    told.push_back(done);
  };
  auto map = MapRemote(executor_, kTwice, Numbers(10), std::move(options));
  key = "order 18";  // it has a copy
  EXPECT_TRUE(BlockOn(loop_, std::move(map)).ok());
  EXPECT_EQ(told, (std::vector<size_t>{4, 8, 10}));
  EXPECT_EQ(executor_.started, 3);
  EXPECT_EQ(executor_.options.attempts, 3);
  EXPECT_EQ(executor_.key, "order 17");
}

TEST_F(RemoteExecutorTest, AMapsFirstErrorIsItsOwnAndNothingIsCalledAfterIt) {
  executor_.lanes = {.workers = 1, .ahead = 1};
  MapOptions options;
  options.chunk = 1;
  EXPECT_EQ(BlockOn(loop_, MapRemote(executor_, kHalf, Numbers(100), std::move(options))).status(),
            absl::InvalidArgumentError("1 is odd"));
  EXPECT_EQ(executor_.started, 2);
  EXPECT_EQ(BlockOn(loop_, MapRemote(executor_, kCheck, std::vector<int>{1, -1})),
            absl::OutOfRangeError("it is negative"));
  EXPECT_TRUE(BlockOn(loop_, MapRemote(executor_, kCheck, Numbers(10))).ok());
  EXPECT_EQ(BlockOn(loop_, MapRemote(executor_, kNobody, Numbers(3))).status().code(),
            absl::StatusCode::kNotFound);
}

TEST_F(RemoteExecutorTest, AMapCallsNoMoreAtOnceThanTheExecutorsCapacity) {
  executor_.at_once = false;
  executor_.lanes = {.workers = 1, .ahead = 1};
  const absl::StatusOr<int> started =
      BlockOn(loop_, [](LocalExecutor& executor) -> Task<absl::StatusOr<int>> {
        MapOptions options;
        options.chunk = 1;
        JoinHandle<absl::StatusOr<std::vector<int>>> map =
            Spawn(MapRemote(executor, kTwice, Numbers(100), std::move(options)));
        while (executor.waiting == nullptr) co_await Yield();
        for (int turn = 0; turn < 100; ++turn) co_await Yield();
        const int begun = executor.started;
        map.Cancel();
        const absl::StatusOr<std::vector<int>> all = co_await map;
        if (all.ok()) co_return absl::InternalError("it was not cancelled");
        if (!absl::IsCancelled(all.status())) co_return all.status();
        co_return begun;
      }(executor_));
  ASSERT_TRUE(started.ok()) << started.status();
  EXPECT_EQ(*started, 1);
  EXPECT_EQ(executor_.started, 1);
  EXPECT_EQ(executor_.cancelled.load(), 1);
}

}  // namespace
}  // namespace plait
