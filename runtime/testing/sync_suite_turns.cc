// Of SyncSuite: what becomes of a task whose awaits never have to wait.
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/sync_suite.h"

namespace plait {
namespace {

using internal::Atomic;

// Each kind of await that need not wait here.
class Ready {
 public:
  struct Kind {
    const char* name;
    std::function<Task<absl::Status>()> await_once;
  };

  // They live no longer than this.
  std::vector<Kind> Kinds() {
    return {{"Channel", [this] { return OfChannel(); }},
            {"Queue", [this] { return OfQueue(); }},
            {"Semaphore", [this] { return OfSemaphore(); }},
            {"Mutex", [this] { return OfMutex(); }},
            {"Event", [this] { return OfEvent(); }},
            {"TokenBucket", [this] { return bucket_.Acquire(); }}};
  }

 private:
  Task<absl::Status> OfChannel() {
    co_await OrReturn(channel_.Send(1));
    const absl::StatusOr<int> received = co_await channel_.Receive();
    co_return received.status();
  }
  Task<absl::Status> OfQueue() {
    co_await OrReturn(queue_.Put(1));
    const absl::StatusOr<int> got = co_await queue_.Get();
    co_return got.status();
  }
  Task<absl::Status> OfSemaphore() {
    const SemaphoreGuard permit = co_await semaphore_.Acquire();
    co_return permit.status();
  }
  Task<absl::Status> OfMutex() {
    const MutexGuard guard = co_await mutex_.Lock();
    co_return guard.status();
  }
  Task<absl::Status> OfEvent() { co_return co_await event_.Wait(); }

  Channel<int> channel_{1};
  Queue<int> queue_;
  Semaphore semaphore_{1};
  Mutex mutex_;
  Event event_{/*set=*/true};
  TokenBucket bucket_{/*per_second=*/1e9, /*burst=*/1'000'000'000};
};

TEST_P(SyncSuite, ATaskWhoseAwaitsNeverHaveToWaitLetsOthersHaveTheirTurn) {
  Ready ready;
  Await([&]() -> Task<void> {
    const auto note = [](Atomic<bool>* ran) -> Task<void> {
      ran->store(true, internal::kRelaxed);
      co_return;
    };
    for (const Ready::Kind& kind : ready.Kinds()) {
      Atomic<bool> ran{false};
      JoinHandle<void> sibling = Spawn(note(&ran));
      while (!ran.load(internal::kRelaxed)) {  // or never
        const absl::Status status = co_await kind.await_once();
        EXPECT_TRUE(status.ok()) << kind.name << ": " << status;
      }
      co_await sibling;
    }
  });
}

// Also where it gives others their turn between: it drains a queue to the end.
TEST_P(SyncSuite, WhatNeedNotWaitSucceedsInACancelledTaskHoweverOften) {
  Ready ready;
  Await([&]() -> Task<void> {
    for (const Ready::Kind& kind : ready.Kinds()) {
      const auto cancelled = [](const Ready::Kind* what) -> Task<void> {
        Event never;
        const absl::Status waited = co_await never.Wait();
        EXPECT_TRUE(absl::IsCancelled(waited)) << waited;
        for (int i = 0; i < 500; ++i) {
          const absl::Status status = co_await what->await_once();
          EXPECT_TRUE(status.ok()) << what->name << ", " << i << ": " << status;
        }
      };
      JoinHandle<void> task = Spawn(cancelled(&kind));
      co_await Yield();
      task.Cancel();
      co_await task;
    }
  });
}

}  // namespace
}  // namespace plait
