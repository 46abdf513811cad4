// Spares, which work in the place of blocked threads, in a pool with reactors: what becomes of what
// the blocked ones have in flight, and of what the spares have when they are not needed any more.
// Threads are blocked until the test lets them go on, so nothing here depends on how fast they are.
//
// Traps: a cancel that races completion (here it finds its thread blocked, and waits for it).
#include <cstdint>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "plait/io/ops/operations.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/worker.h"
#include "plait/runtime/core/worker_group.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_reactors.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/reactor_factory.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/runtime/testing/until.h"
#include "plait/schedulers/work_stealing/work_stealing_pool.h"

namespace plait {
namespace {

using internal::Atomic;

// What a task waits for, and whether it has gone on.
struct Waiting {
  FdPair pair = MakeSocketPair();
  Atomic<bool> begun{false};
  Atomic<bool> done{false};
  absl::Status status = absl::UnknownError("not yet");

  void SendOne() { WriteAll(pair.second.get(), "x"); }
};

Task<void> ReadOne(Waiting* waiting) {
  const GuardedBuffer byte(1);
  waiting->begun.store(true);
  const absl::StatusOr<size_t> size = co_await io::Read(waiting->pair.first.get(), byte.span());
  waiting->status = size.status();
  EXPECT_TRUE(!size.ok() || byte.text(1) == "x");
  waiting->done.store(true);
}

Task<void> SleepALittle(Waiting* waiting) {
  waiting->begun.store(true);
  waiting->status = co_await Sleep(absl::Milliseconds(1));
  waiting->done.store(true);
}

// Has a read and a timer in flight on its thread, and blocks it.
struct Blocking {
  Waiting read;
  Waiting sleep;
  Atomic<bool> blocks{false};
};

Task<void> Block(Blocking* blocking, absl::Notification* release) {
  JoinHandle<void> reader = Spawn(ReadOne(&blocking->read), {.eager = true});
  JoinHandle<void> sleeper = Spawn(SleepALittle(&blocking->sleep), {.eager = true});
  blocking->blocks.store(true);
  release->WaitForNotification();  // not how to do it
  co_await reader;
  co_await sleeper;
}

// A pool of which the test blocks the threads.
class Scene {
 public:
  Scene(const ReactorFactory& reactor, int threads)
      : pool_(std::make_unique<WorkStealingPool>(WorkStealingPoolOptions{
            .threads = threads,
            .reactor = [&reactor] { return reactor.make(nullptr); },
            .hooks = {.on_report = [](const Report&) {}}})) {}  // that they block is known

  JoinHandle<void> Start(Task<void> task) {
    return Spawn(std::move(task), {.executor = pool_.get()});
  }
  void Join(JoinHandle<void>& task) {
    BlockOn(*pool_, [](JoinHandle<void>* one) -> Task<void> { co_await *one; }(&task));
  }
  void BlockAll() {
    for (int i = 0; i < pool_->threads(); ++i) {
      blocking_.push_back(std::make_unique<Blocking>());
      blocked_.push_back(Start(Block(blocking_.back().get(), &release_)));
    }
    for (const auto& one : blocking_) Until([&] { return one->blocks.load(); });
  }
  // And joins what had blocked them.
  void Release() {
    release_.Notify();
    for (JoinHandle<void>& one : blocked_) Join(one);
  }
  // What the blocked threads have in flight.
  std::vector<std::unique_ptr<Blocking>>& blocking() { return blocking_; }
  // With a single thread: until it has nothing to do.
  void UntilIdle() {
    Until([&] { return pool_->idle_threads() == pool_->threads(); });
  }
  void EndPool() { pool_ = nullptr; }

 private:
  absl::Notification release_;
  std::vector<std::unique_ptr<Blocking>> blocking_;
  std::vector<JoinHandle<void>> blocked_;
  std::unique_ptr<WorkStealingPool> pool_;
};

class SparesTest : public testing::TestWithParam<ReactorFactory> {};

TEST_P(SparesTest, WhatABlockedThreadHasInFlightWaitsForItAndIsNotLost) {
  for (const int threads : {1, 2}) {
    SCOPED_TRACE(threads);
    Scene scene(GetParam(), threads);
    scene.BlockAll();
    // On a spare, with a reactor and timers of its own.
    Waiting read;
    Waiting sleep;
    read.SendOne();
    JoinHandle<void> reader = scene.Start(ReadOne(&read));
    JoinHandle<void> sleeper = scene.Start(SleepALittle(&sleep));
    Until([&] { return read.done.load() && sleep.done.load(); });
    EXPECT_TRUE(read.status.ok()) << read.status;
    EXPECT_TRUE(sleep.status.ok()) << sleep.status;
    // Ready, and due; but nobody else may run these.
    for (const auto& one : scene.blocking()) {
      one->read.SendOne();
      EXPECT_FALSE(one->read.done.load());
      EXPECT_FALSE(one->sleep.done.load());
    }
    scene.Release();
    for (const auto& one : scene.blocking()) {
      EXPECT_TRUE(one->read.status.ok()) << one->read.status;
      EXPECT_TRUE(one->sleep.status.ok()) << one->sleep.status;
    }
    scene.Join(reader);
    scene.Join(sleeper);
  }
}

TEST_P(SparesTest, WhatIsCarriedToABlockedThreadAndItsCancelWaitForItToo) {
  Scene scene(GetParam(), 1);
  Waiting cancelled;  // in flight before the thread is blocked
  JoinHandle<void> reader = scene.Start(ReadOne(&cancelled));
  Until([&] { return cancelled.begun.load(); });
  scene.UntilIdle();
  scene.BlockAll();
  // The descriptor is at home with the blocked thread.
  const int fd = cancelled.pair.first.get();
  Atomic<int> carried{0};
  const auto write = [&]() -> Task<void> {
    carried.fetch_add(1);
    const absl::StatusOr<size_t> size = co_await io::Write(fd, absl::MakeConstSpan("y", 1));
    EXPECT_TRUE(size.ok()) << size.status();
    carried.fetch_add(1);
  };
  const auto poll = [&]() -> Task<void> {
    carried.fetch_add(1);
    const absl::StatusOr<uint32_t> events = co_await io::Poll(fd, kPollReadable);
    EXPECT_TRUE(absl::IsCancelled(events.status())) << events.status();
    carried.fetch_add(1);
  };
  JoinHandle<void> writer = scene.Start(write());
  JoinHandle<void> poller = scene.Start(poll());
  Until([&] { return carried.load() == 2; });
  reader.Cancel();
  poller.Cancel();
  EXPECT_EQ(carried.load(), 2);
  EXPECT_FALSE(cancelled.done.load());
  scene.blocking()[0]->read.SendOne();
  scene.Release();
  scene.Join(reader);
  EXPECT_TRUE(absl::IsCancelled(cancelled.status)) << cancelled.status;
  scene.Join(poller);
  scene.Join(writer);
  EXPECT_EQ(carried.load(), 4);
}

TEST_P(SparesTest, WhatASpareHasInFlightItEndsWhenItIsNotNeededAnyMore) {
  Scene scene(GetParam(), 1);
  scene.BlockAll();
  Waiting read;
  Waiting left;  // to the end of the pool
  JoinHandle<void> reader = scene.Start(ReadOne(&read));
  JoinHandle<void> left_reader = scene.Start(ReadOne(&left));
  Until([&] { return read.begun.load() && left.begun.load(); });
  scene.blocking()[0]->read.SendOne();
  scene.Release();
  // Its descriptors are at home there: so is what is asked of them from now on.
  read.SendOne();
  scene.Join(reader);
  EXPECT_TRUE(read.status.ok()) << read.status;
  for (int i = 0; i < 3; ++i) {
    read.done.store(false);
    JoinHandle<void> again = scene.Start(ReadOne(&read));
    read.SendOne();
    scene.Join(again);
    EXPECT_TRUE(read.status.ok()) << read.status;
  }
  EXPECT_FALSE(left.done.load());
  scene.EndPool();
  EXPECT_TRUE(left.done.load());
  EXPECT_TRUE(absl::IsCancelled(left.status)) << left.status;
}

// How many workers a group gives in turn.
size_t InTurn(WorkerGroup& group) {
  std::set<Worker*> workers;
  for (int i = 0; i < 16; ++i) workers.insert(&group.Next());
  return workers.size();
}

TEST_P(SparesTest, ASpareIsInTurnForDescriptorsOnlyWhileItIsNeeded) {
  Scene scene(GetParam(), 1);
  WorkerGroup* group = nullptr;
  const auto look = [&](size_t expected) -> Task<void> {
    group = Worker::Current()->group();
    EXPECT_EQ(InTurn(*group), expected);
    co_return;
  };
  JoinHandle<void> before = scene.Start(look(1));
  scene.Join(before);
  scene.UntilIdle();
  scene.BlockAll();
  JoinHandle<void> on_spare = scene.Start(look(2));
  Until([&] { return on_spare.done(); });
  scene.blocking()[0]->read.SendOne();
  scene.Release();
  // Once the monitor has seen that its thread works again.
  Until([&] { return InTurn(*group) == 1; });
}

INSTANTIATE_TEST_SUITE_P(AllReactors, SparesTest, testing::ValuesIn(AllReactors()),
                         ReactorFactory::Name);

}  // namespace
}  // namespace plait
