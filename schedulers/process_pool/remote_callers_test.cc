// A caller that knows a RemoteExecutor and no more, over a process pool and over an executor of
// another kind: it cannot tell them apart, as it need not when another takes the pool's place.
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "plait/io/auto_reactor/auto_reactor.h"
#include "plait/runtime/runtime.h"
#include "plait/schedulers/event_loop/event_loop.h"
#include "plait/schedulers/process_pool/local_executor.h"
#include "plait/schedulers/process_pool/pool_functions.h"
#include "plait/schedulers/process_pool/process_function.h"
#include "plait/schedulers/process_pool/process_pool.h"
#include "plait/schedulers/process_pool/remote_executor.h"
#include "plait/schedulers/process_pool/remote_map.h"

namespace plait {
namespace {

constexpr ProcessFunction<int(int)> kSquare("square");
constexpr ProcessFunction<absl::StatusOr<int>(int)> kHalfOf("half_of");
constexpr ProcessFunction<std::string(const std::string&)> kEcho("echo");

enum class Kind { kProcessPool, kLocal };

class RemoteCallersTest : public ::testing::TestWithParam<Kind> {
 protected:
  RemoteCallersTest() {
    if (GetParam() == Kind::kLocal) {
      local_.emplace(internal::PoolFunctions());
    } else {
      pool_.emplace(*ProcessPool::Create(internal::PoolFunctions(), {.workers = 2}));
    }
  }

  RemoteExecutor& executor() {
    if (local_.has_value()) return *local_;
    return *pool_;
  }

  std::optional<LocalExecutor> local_;
  std::optional<ProcessPool> pool_;
  EventLoop loop_{MakeReactor()};
};

struct Answers {
  absl::StatusOr<int> called;
  absl::StatusOr<int> failed;
  absl::StatusOr<std::string> echoed;
  absl::StatusOr<int> submitted;
  absl::StatusOr<std::vector<int>> mapped;
  absl::Status map_failed;
};

Task<Answers> Ask(RemoteExecutor& executor) {
  Answers answers;
  answers.called = co_await CallRemote(executor, kSquare, {}, 7);
  answers.failed = co_await CallRemote(executor, kHalfOf, {}, 7);
  answers.echoed = co_await CallRemote(executor, kEcho, {}, std::string(100'000, 'x'));
  JoinHandle<absl::StatusOr<int>> running = SubmitRemote(executor, kSquare, {}, 8);
  answers.submitted = co_await running;
  std::vector<int> numbers;
  for (int i = 0; i < 1000; ++i) numbers.push_back(2 * i);
  answers.mapped = co_await MapRemote(executor, kHalfOf, numbers);
  numbers[500] = 1;
  answers.map_failed = (co_await MapRemote(executor, kHalfOf, numbers)).status();
  co_return answers;
}

TEST_P(RemoteCallersTest, GetTheSameAnswersWhicheverExecutorItIs) {
  const Answers answers = BlockOn(loop_, Ask(executor()));
  EXPECT_EQ(*answers.called, 49);
  EXPECT_EQ(answers.failed.status(), absl::InvalidArgumentError("7 is odd"));
  EXPECT_EQ(*answers.echoed, std::string(100'000, 'x'));
  EXPECT_EQ(*answers.submitted, 64);
  ASSERT_TRUE(answers.mapped.ok()) << answers.mapped.status();
  ASSERT_EQ(answers.mapped->size(), 1000u);
  for (int i = 0; i < 1000; ++i) ASSERT_EQ((*answers.mapped)[static_cast<size_t>(i)], i);
  EXPECT_EQ(answers.map_failed, absl::InvalidArgumentError("1 is odd"));
}

TEST_P(RemoteCallersTest, AMapThatIsCancelledEndsWithThat) {
  auto cancel = [](RemoteExecutor& on) -> Task<absl::Status> {
    JoinHandle<absl::StatusOr<std::vector<int>>> map =
        Spawn(MapRemote(on, kSquare, std::vector<int>(10, 3)));
    map.Cancel();
    co_return (co_await map).status();
  };
  EXPECT_EQ(BlockOn(loop_, cancel(executor())).code(), absl::StatusCode::kCancelled);
}

INSTANTIATE_TEST_SUITE_P(Executors, RemoteCallersTest,
                         ::testing::Values(Kind::kProcessPool, Kind::kLocal), [](const auto& info) {
                           return info.param == Kind::kLocal ? "Local" : "ProcessPool";
                         });

}  // namespace
}  // namespace plait
