#include "plait/runtime/core/worker_group.h"

#include <vector>

#include "gtest/gtest.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/executor.h"
#include "plait/runtime/core/worker.h"
#include "plait/runtime/testing/repeats.h"

namespace plait {
namespace {

class NoExecutor final : public Executor {
 public:
  void Schedule(WorkItem&) noexcept override {}
};

class SomeWorker final : public Worker {
 public:
  explicit SomeWorker(WorkerGroup* group) : Worker(group) {}
  void Post(WorkItem&) noexcept override {}
  void AddTimer(Timer&) noexcept override {}
  bool CancelTimer(Timer&) noexcept override { return false; }
  Clock& clock() noexcept override { return Clock::Real(); }
  Reactor* reactor() noexcept override { return nullptr; }
};

class WorkerGroupTest : public testing::Test {
 protected:
  WorkerGroupTest() {
    group_.Add(first_);
    group_.Add(second_);
  }

  NoExecutor executor_;
  WorkerGroup group_{executor_};
  SomeWorker first_{&group_};
  SomeWorker second_{&group_};
};

TEST_F(WorkerGroupTest, KnowsItsOwn) {
  SomeWorker stranger(nullptr);
  EXPECT_EQ(&group_.executor(), &executor_);
  EXPECT_EQ(first_.group(), &group_);
  EXPECT_TRUE(group_.Has(&second_));
  EXPECT_FALSE(group_.Has(&stranger));
  EXPECT_FALSE(group_.Has(nullptr));
}

TEST_F(WorkerGroupTest, SpreadsEvenly) {
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(&group_.Next(), &first_);
    EXPECT_EQ(&group_.Next(), &second_);
  }
}

TEST_F(WorkerGroupTest, SpreadsOverThoseThatAreInTurn) {
  group_.SetInTurn(1);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(&group_.Next(), &first_);
  group_.SetInTurn(2);
  EXPECT_NE(&group_.Next(), &group_.Next());
}

TEST_F(WorkerGroupTest, ADescriptorIsAtHomeWhereItWasUsedFirstUntilItIsForgotten) {
  for (const int fd : {0, 3, 1023, 1024, 500'000}) {
    EXPECT_EQ(&group_.HomeOf(fd, second_), &second_);
    EXPECT_EQ(&group_.HomeOf(fd, first_), &second_);
    group_.Forget(fd);
    EXPECT_EQ(&group_.HomeOf(fd, first_), &first_);
  }
}

TEST_F(WorkerGroupTest, ANumberLargerThanAnySystemsHasAHomeToo) {
  constexpr int kHuge = 2'000'000'001;
  Worker& home = group_.HomeOf(kHuge, first_);
  EXPECT_TRUE(group_.Has(&home));
  group_.Forget(kHuge);
  EXPECT_EQ(&group_.HomeOf(kHuge, second_), &home);
}

TEST_F(WorkerGroupTest, ForgettingWhatWasNeverUsedIsNothing) {
  group_.Forget(700'000);
  EXPECT_EQ(&group_.HomeOf(700'000, first_), &first_);
}

TEST_F(WorkerGroupTest, ThoseWhoUseADescriptorFirstAtTheSameTimeAgree) {
  const int rounds = Repeats(2000);
  std::vector<Worker*> found[2];
  internal::Atomic<int> ready{0};
  const auto use = [&](int which, Worker& here) {
    ready.fetch_add(1, internal::kAcqRel);
    while (ready.load(internal::kAcquire) < 2) {
    }
    // Some of them the first of a block.
    for (int i = 0; i < rounds; ++i) found[which].push_back(&group_.HomeOf(i * 37, here));
  };
  Thread other = StartThread("second", [&] { use(1, second_); });
  use(0, first_);
  other.join();
  EXPECT_EQ(found[0], found[1]);
}

}  // namespace
}  // namespace plait
