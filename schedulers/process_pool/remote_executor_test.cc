// Of the five traps this faces three: reference parameters of a lazy task (arguments are kept by
// value), a cancel that races with the end (made to in AStopThatRacesWithTheEnd), and a lambda
// coroutine that outlives its captures (there is none: functions are plain).
#include "plait/schedulers/process_pool/remote_executor.h"

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "plait/io/auto_reactor/auto_reactor.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/runtime.h"
#include "plait/schedulers/event_loop/event_loop.h"
#include "plait/schedulers/process_pool/codec.h"
#include "plait/schedulers/process_pool/function_table.h"
#include "plait/schedulers/process_pool/process_function.h"

namespace plait {
namespace {

constexpr ProcessFunction<int(int)> kTwice("twice");
constexpr ProcessFunction<int(absl::string_view)> kLength("length");
constexpr ProcessFunction<int(absl::Span<const int>)> kSum("sum");
constexpr ProcessFunction<absl::Status()> kFail("fail");
constexpr ProcessFunction<int(int)> kNobody("nobody");

// Runs functions where it is: at once, or when Finish says so, on the thread that does.
class LocalExecutor final : public RemoteExecutor {
 public:
  LocalExecutor() {
    table_.Add(kTwice, [](int n) { return 2 * n; });
    table_.Add(kLength, [](absl::string_view text) { return static_cast<int>(text.size()); });
    table_.Add(kSum, [](absl::Span<const int> all) {
      int sum = 0;
      for (const int n : all) sum += n;
      return sum;
    });
    table_.Add(kFail, [] { return absl::NotFoundError("as asked"); });
  }

  void Start(RemoteCall& call) noexcept override {
    ++started;
    options = call.options;
    key = std::string(call.options.idempotency_key);
    if (at_once) return Finish(call);
    waiting = &call;
  }
  void Cancel(RemoteCall& call) noexcept override {
    ++cancelled;
    if (!finish_cancelled || waiting != &call) return;
    call.status = absl::CancelledError("stopped");
    std::exchange(waiting, nullptr)->run(call);
  }

  void Finish(RemoteCall& call) noexcept {
    Encoder counting({});
    call.encode(call, counting);
    std::string arguments(counting.needed(), '\0');
    Encoder out(absl::MakeSpan(arguments));
    call.encode(call, out);
    call.status = Invoke(call, arguments);
    call.run(call);
  }

  bool at_once = true;
  bool finish_cancelled = true;
  int started = 0;
  CallOptions options;  // of the last call; its key is kept
  std::string key;
  internal::Atomic<int> cancelled{0};
  RemoteCall* waiting = nullptr;

 private:
  absl::Status Invoke(RemoteCall& call, absl::string_view arguments) {
    const absl::StatusOr<size_t> index = table_.IndexOf(call.function);
    if (!index.ok()) return index.status();
    WorkerContext context;
    Decoder in(arguments);
    return table_.Invoke(*index, context, in, [&](absl::FunctionRef<void(Encoder&)> encode) {
      Encoder counting({});
      encode(counting);
      std::string bytes(counting.needed(), '\0');
      Encoder out(absl::MakeSpan(bytes));
      encode(out);
      call.decode(call, bytes);
    });
  }

  FunctionTable table_;
};

class RemoteExecutorTest : public ::testing::Test {
 protected:
  LocalExecutor executor_;
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
  for (int i = 0; i < 300; ++i) {
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

}  // namespace
}  // namespace plait
