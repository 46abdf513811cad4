// Channel between threads.
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "plait/io/auto_reactor/auto_reactor.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/awaitable.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/core/thread_state.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/sync/channel.h"
#include "plait/runtime/task/promise.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/schedulers/event_loop/event_loop.h"
#include "plait/schedulers/work_stealing/work_stealing_pool.h"

namespace plait {
namespace {

using internal::Atomic;

Task<absl::Status> SendTask(Channel<int>* channel, int value) {
  co_return co_await channel->Send(value);
}

Task<absl::StatusOr<int>> ReceiveTask(Channel<int>* channel) {
  co_return co_await channel->Receive();
}

const int64_t kPerProducer = Repeats(3000);

Task<absl::Status> Produce(Channel<int64_t>* channel, int64_t first) {
  for (int64_t i = 0; i < kPerProducer; ++i) co_await OrReturn(channel->Send(first + i));
  co_return absl::OkStatus();
}

// What came out, in order, until the channel was closed.
Task<std::vector<int64_t>> Consume(Channel<int64_t>* channel) {
  std::vector<int64_t> items;
  for (;;) {
    const absl::StatusOr<int64_t> item = co_await channel->Receive();
    if (!item.ok()) {
      EXPECT_TRUE(absl::IsFailedPrecondition(item.status())) << item.status();
      co_return items;
    }
    items.push_back(*item);
  }
}

// Each item once, and each producer's in order for each consumer.
void ExpectAllOnce(const std::vector<std::vector<int64_t>>& consumed, int producers) {
  std::vector<int> seen(static_cast<size_t>(producers * kPerProducer));
  for (const auto& items : consumed) {
    std::vector<int64_t> last(static_cast<size_t>(producers), -1);
    for (const int64_t item : items) {
      ++seen[static_cast<size_t>(item)];
      int64_t& before = last[static_cast<size_t>(item / kPerProducer)];
      EXPECT_LT(before, item);
      before = item;
    }
  }
  for (size_t i = 0; i < seen.size(); ++i) EXPECT_EQ(seen[i], 1) << i;
}

// Trap: the wake-up lost between check and park. If one were, this would not end.
TEST(ChannelStressTest, BetweenLoopsOnSeveralThreadsNothingIsLostOrDoubledAndEverythingEnds) {
  constexpr int kProducers = 2;
  constexpr int kConsumers = 2;
  for (const size_t capacity : {1, 2, 3, 64}) {
    Channel<int64_t> channel(capacity);
    std::vector<Thread> producers;
    std::vector<Thread> consumers;
    std::vector<std::vector<int64_t>> consumed(kConsumers);
    for (int c = 0; c < kConsumers; ++c) {
      consumers.push_back(StartThread("consumer", [&, c] {
        EventLoop loop(MakeReactor());
        consumed[static_cast<size_t>(c)] = BlockOn(loop, Consume(&channel));
      }));
    }
    for (int p = 0; p < kProducers; ++p) {
      producers.push_back(StartThread("producer", [&, p] {
        EventLoop loop(MakeReactor());
        const absl::Status status = BlockOn(loop, Produce(&channel, p * kPerProducer));
        EXPECT_TRUE(status.ok()) << status;
      }));
    }
    for (Thread& thread : producers) thread.join();
    channel.Close();
    for (Thread& thread : consumers) thread.join();
    ExpectAllOnce(consumed, kProducers);
  }
}

// Sends each number until it was sent, though most attempts are cancelled at some moment.
Task<void> ProduceWithCancels(Channel<int64_t>* channel, int64_t first, uint64_t seed) {
  auto send = [](Channel<int64_t>* c, int64_t item) -> Task<absl::Status> {
    co_return co_await c->Send(item);
  };
  std::minstd_rand numbers(seed);
  for (int64_t i = 0; i < kPerProducer;) {
    JoinHandle<absl::Status> attempt = Spawn(send(channel, first + i));
    for (uint64_t turns = numbers() % 4; turns > 0; --turns) co_await Yield();
    attempt.Cancel();
    const absl::Status status = co_await attempt;
    if (status.ok()) {
      ++i;
    } else {
      EXPECT_TRUE(absl::IsCancelled(status)) << status;
    }
  }
}

Task<std::vector<int64_t>> ConsumeWithCancels(Channel<int64_t>* channel, uint64_t seed) {
  auto receive = [](Channel<int64_t>* c) -> Task<absl::StatusOr<int64_t>> {
    co_return co_await c->Receive();
  };
  std::minstd_rand numbers(seed);
  std::vector<int64_t> items;
  for (;;) {
    JoinHandle<absl::StatusOr<int64_t>> attempt = Spawn(receive(channel));
    for (uint64_t turns = numbers() % 4; turns > 0; --turns) co_await Yield();
    attempt.Cancel();
    const absl::StatusOr<int64_t> item = co_await attempt;
    if (item.ok()) {
      items.push_back(*item);
    } else if (absl::IsFailedPrecondition(item.status())) {
      co_return items;
    } else {
      EXPECT_TRUE(absl::IsCancelled(item.status())) << item.status();
    }
  }
}

// Trap: a cancel that races the completion, here on every side and from several threads.
TEST(ChannelStressTest, CancelsOnBothSidesLoseAndDoubleNothing) {
  constexpr int kProducers = 2;
  for (const size_t capacity : {1, 3}) {
    Channel<int64_t> channel(capacity);
    std::vector<Thread> producers;
    std::vector<Thread> consumers;
    std::vector<std::vector<int64_t>> consumed(2);
    for (uint64_t c = 0; c < 2; ++c) {
      consumers.push_back(StartThread("consumer", [&, c] {
        EventLoop loop(MakeReactor());
        consumed[c] = BlockOn(loop, ConsumeWithCancels(&channel, 11 + c));
      }));
    }
    for (int p = 0; p < kProducers; ++p) {
      producers.push_back(StartThread("producer", [&, p] {
        EventLoop loop(MakeReactor());
        BlockOn(loop, ProduceWithCancels(&channel, p * kPerProducer, 7 + static_cast<uint64_t>(p)));
      }));
    }
    for (Thread& thread : producers) thread.join();
    channel.Close();
    for (Thread& thread : consumers) thread.join();
    ExpectAllOnce(consumed, kProducers);
  }
}

// Trap: a cancel that races the wait. Once it has ended, nothing of the wait may touch the channel,
// though the thread on which it began may still be about to let go of its locks.
TEST(ChannelStressTest, WhoCancelsAndJoinsTheLastOneThatWaitsMayDestroyTheChannel) {
  WorkStealingPool pool({.threads = 3});
  BlockOn(pool, []() -> Task<void> {
    for (const int round : ShareOf(3000)) {
      auto channel = std::make_unique<Channel<int>>(1);
      if (round % 2 == 0) {
        JoinHandle<absl::StatusOr<int>> receiver = Spawn(ReceiveTask(channel.get()));
        for (int turns = round % 5; turns > 0; --turns) co_await Yield();
        receiver.Cancel();
        const absl::StatusOr<int> none = co_await receiver;
        EXPECT_TRUE(absl::IsCancelled(none.status())) << none.status();
      } else {
        EXPECT_TRUE(channel->TrySend(1).ok());
        JoinHandle<absl::Status> sender = Spawn(SendTask(channel.get(), 2));
        for (int turns = round % 5; turns > 0; --turns) co_await Yield();
        sender.Cancel();
        const absl::Status status = co_await sender;
        EXPECT_TRUE(absl::IsCancelled(status)) << status;
      }
    }
  }());
}

// A task that waits again and again on its executor's only thread registers for a stop there as at
// home (StopState), which a stop request from another thread takes away, in the middle of that.
TEST(ChannelStressTest, WhoWaitsOnAnExecutorsOnlyThreadIsCancelledFromAnotherAndNoItemIsLost) {
  auto send = [](Channel<int>* channel) -> Task<int> {
    for (int sent = 0;; ++sent) {
      const absl::Status status = co_await channel->Send(sent);
      if (!status.ok()) co_return sent;
    }
  };
  auto receive = [](Channel<int>* channel, Atomic<int>* received) -> Task<int> {
    for (;;) {
      const absl::StatusOr<int> item = co_await channel->Receive();
      if (!item.ok()) co_return received->load(internal::kRelaxed);
      received->fetch_add(1, internal::kRelaxed);
    }
  };
  EventLoop loop(MakeReactor());
  WorkStealingPool pool({.threads = 1});
  for (const int round : ShareOf(100)) {
    Executor& executor = round % 2 == 0 ? static_cast<Executor&>(loop) : pool;
    Channel<int> channel(1);
    Atomic<int> received{0};
    JoinHandle<int> receiver = Spawn(receive(&channel, &received), {.executor = &executor});
    JoinHandle<int> sender = Spawn(send(&channel), {.executor = &executor});
    Thread canceller = StartThread("canceller", [&] {
      while (received.load(internal::kRelaxed) < round) internal::SpinWait(1000);
      receiver.Cancel();
      sender.Cancel();
    });
    const auto both = [](JoinHandle<int>* r, JoinHandle<int>* s) -> Task<std::pair<int, int>> {
      const int taken = co_await *r;
      const int sent = co_await *s;
      co_return std::pair(taken, sent);
    };
    const auto [taken, sent] = BlockOn(executor, both(&receiver, &sender));
    canceller.join();
    EXPECT_EQ(sent, taken + static_cast<int>(channel.size()));
  }
}

// co_await: a Receive for which the budget has one ready await left, and which finds nothing before
// it has called `suspends`.
struct ReceiveWithTheLastOfTheBudget {
  bool await_ready() {
    internal::thread_state.budget = 1;
    return receive.await_ready();
  }
  template <internal::PlaitPromise P>
  bool await_suspend(std::coroutine_handle<P> waiter) {
    suspends->store(true);
    const bool stays = receive.await_suspend(waiter);
    // The loop has one thread, which is this: nothing has gone on yet.
    EXPECT_GE(internal::thread_state.budget, 0);
    *looked += stays ? 0 : 1;
    return stays;
  }
  absl::StatusOr<int> await_resume() { return receive.await_resume(); }

  internal::AwaiterOf<decltype(std::declval<Channel<int>&>().Receive())> receive;
  Atomic<bool>* suspends;
  int* looked;
};

// A Receive that finds something when it looks again has not waited, and gives others their turn at
// the next await: who took it for one that waits (Select) would begin what need not be begun.
TEST(ChannelStressTest, WhoFindsSomethingWhenItLooksAgainGoesOnAtOnce) {
  // ChangesSoon does not look there: nobody else could change anything meanwhile.
  if (HardwareThreads() == 1) GTEST_SKIP() << "nobody looks again on one processor";
  Channel<int> channel(4);
  Atomic<bool> wanted{true};
  Atomic<bool> ended{false};
  Thread sender = StartThread("sender", [&] {
    while (!ended.load()) {
      if (!wanted.exchange(false)) continue;
      const absl::Status sent = channel.TrySend(1);
      EXPECT_TRUE(sent.ok()) << sent;
    }
  });
  const auto receive = [](Channel<int>* items, Atomic<bool>* suspends) -> Task<void> {
    // The first comes through the ring, and tells whose the other end is.
    while (items->size() == 0) co_await Yield();
    absl::StatusOr<int> item = co_await items->Receive();
    EXPECT_TRUE(item.ok()) << item.status();
    for (int looked = 0; looked < 1;) {
      item = co_await ReceiveWithTheLastOfTheBudget{internal::GetAwaiter(items->Receive()),
                                                    suspends, &looked};
      EXPECT_TRUE(item.ok()) << item.status();
    }
  };
  EventLoop loop(MakeReactor());
  BlockOn(loop, receive(&channel, &wanted));
  ended.store(true);
  sender.join();
}

// A Close that races Sends: each Send that says OK is received, and no other.
TEST(ChannelStressTest, WhatWasSentBeforeACloseIsReceivedAndNothingElse) {
  auto send_until_closed = [](Channel<int64_t>* channel) -> Task<int64_t> {
    int64_t sent = 0;
    for (;;) {
      const absl::Status status = co_await channel->Send(sent);
      if (!status.ok()) {
        EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
        co_return sent;
      }
      ++sent;
    }
  };
  for (const int round : ShareOf(30)) {
    Channel<int64_t> channel(static_cast<size_t>(1 + round % 4));
    int64_t sent = 0;
    std::vector<int64_t> received;
    Thread producer = StartThread("producer", [&] {
      EventLoop loop(MakeReactor());
      sent = BlockOn(loop, send_until_closed(&channel));
    });
    Thread consumer = StartThread("consumer", [&] {
      EventLoop loop(MakeReactor());
      received = BlockOn(loop, Consume(&channel));
    });
    while (channel.size() == 0) internal::SpinWait(1000);
    for (int i = 0; i < round; ++i) internal::SpinWait(1000);
    channel.Close();
    producer.join();
    consumer.join();
    EXPECT_EQ(static_cast<int64_t>(received.size()), sent);
    for (size_t i = 0; i < received.size(); ++i) EXPECT_EQ(received[i], static_cast<int64_t>(i));
  }
}

}  // namespace
}  // namespace plait
