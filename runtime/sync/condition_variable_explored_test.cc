// ConditionVariable under the explorer: a notification of all against a cancel.
//
// Traps: cancel racing completion.
#include <utility>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "plait/runtime/core/executor.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/sync/condition_variable.h"
#include "plait/runtime/sync/mutex.h"
#include "plait/runtime/task/spawn.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/testing/explorer/expect.h"
#include "plait/runtime/testing/explorer/explorer.h"

namespace plait {
namespace {

using explorer::ExpectAllExecutionsPass;
using explorer::Parallel;
using explorer::Require;

// An executor whose only thread is an explored one.
class Loop final : public Executor {
 public:
  void Schedule(WorkItem& item) noexcept override {
    {
      const internal::SpinLockHolder hold(lock_);
      ready_.Push(item);
    }
    scheduled_.Set();
  }
  // Runs what is there, and no more.
  void RunReady() {
    while (WorkItem* const item = Pop()) item->run(*item);
  }
  void RunUntilNoTaskIsLeft() {
    while (tasks().size() > 0) {
      scheduled_.Wait();
      RunReady();
    }
  }

 private:
  WorkItem* Pop() {
    const internal::SpinLockHolder hold(lock_);
    return ready_.Pop();
  }

  internal::SpinLock lock_;
  WorkQueue ready_;
  explorer::Event scheduled_;
};

void AllAreNotifiedAndOneIsCancelled() {
  Loop loop;
  Mutex mutex;
  ConditionVariable changed;
  absl::Status ended = absl::UnknownError("it has not ended");
  const auto wait = [&]() -> Task<void> {
    MutexGuard guard = co_await mutex.Lock();
    ended = co_await changed.Wait(guard);
    Require(guard.ok(), "it holds the mutex again, whatever comes of it");
  };
  JoinHandle<void> handle = Spawn(wait(), {.executor = &loop});
  loop.RunReady();  // it waits
  Parallel({[&] { loop.RunUntilNoTaskIsLeft(); }, [&] { changed.NotifyAll(); },
            [&] { handle.Cancel(); }});
  Require(ended.ok() || absl::IsCancelled(ended), "it was notified or cancelled");
  Require(!mutex.locked(), "it is free in the end");
}

TEST(ConditionVariableExploredTest, ANotificationAndACancelDoNotMeetInAList) {
  ExpectAllExecutionsPass({{"all are notified and one is cancelled",
                            AllAreNotifiedAndOneIsCancelled,
                            {.preemptions = 2}}});
}

}  // namespace
}  // namespace plait
