#include "plait/runtime/testing/executor_fixture.h"

#include "plait/runtime/task/future.h"

namespace plait {

struct RunningExecutor::Shared {
  absl::Notification started;
  Promise<void> end;
};

namespace {

Task<void> RunUntilSet(Future<void> end, absl::Notification* started) {
  started->Notify();
  const absl::Status ended = co_await end;
  EXPECT_TRUE(ended.ok()) << ended;
}

}  // namespace

RunningExecutor::RunningExecutor(std::unique_ptr<Executor> executor)
    : executor_(std::move(executor)), shared_(std::make_unique<Shared>()) {
  thread_ = StartThread("test executor", [this] {
    BlockOn(*executor_, RunUntilSet(shared_->end.future(), &shared_->started));
  });
  shared_->started.WaitForNotification();
}

RunningExecutor::~RunningExecutor() {
  shared_->end.Set();
  thread_.join();
}

}  // namespace plait
