#include "plait/runtime/testing/sync_suite.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <random>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/task_programs.h"

namespace plait {
namespace {

using namespace testing_programs;  // NOLINT: they are this file's own words
using internal::Atomic;

// --- two executors and a hammer ---

// What is tried again and again. It is called, and the task that it makes runs, while it lives.
using Attempt = std::function<Task<absl::Status>()>;

// Makes `rounds` attempts, each a task of its own, half of them cancelled at some moment; returns
// how many ended with OK. The others say that they were cancelled.
Task<int> Hammer(const Attempt* attempt, int rounds, uint32_t seed) {
  std::minstd_rand random_numbers(seed);
  int succeeded = 0;
  for (int i = 0; i < rounds; ++i) {
    JoinHandle<absl::Status> task = Spawn((*attempt)());
    if (random_numbers() % 2 == 0) {
      for (uint32_t turns = random_numbers() % 5; turns > 0; --turns) co_await Yield();
      task.Cancel();
    }
    const absl::Status status = co_await task;
    if (status.ok()) {
      ++succeeded;
    } else {
      EXPECT_TRUE(absl::IsCancelled(status)) << status;
    }
  }
  co_return succeeded;
}

// Several hammers on each of the executors, at the same time.
Task<int> HammerOn(std::vector<Executor*> executors, const Attempt* attempt) {
  constexpr int kHammers = 3;
  const int rounds = Repeats(200);
  std::vector<JoinHandle<int>> hammers;
  uint32_t seed = 1;
  for (int i = 0; i < kHammers; ++i) {
    for (Executor* executor : executors) {
      hammers.push_back(Spawn(Hammer(attempt, rounds, seed++), {.executor = executor}));
    }
  }
  int succeeded = 0;
  for (auto& hammer : hammers) succeeded += co_await hammer;
  co_return succeeded;
}

// --- Mutex ---

struct Guarded {
  Mutex mutex;
  bool inside = false;
  int count = 0;
};

// With the mutex held, across an await: nobody else is inside, and plain variables do.
Task<absl::Status> CountInside(Guarded* guarded) {
  const MutexGuard guard = co_await OrReturn(guarded->mutex.Lock());
  EXPECT_FALSE(guarded->inside);
  guarded->inside = true;
  co_await Yield();
  guarded->inside = false;
  ++guarded->count;
  co_return absl::OkStatus();
}

TEST_P(SyncSuite, AMutexLetsOneTaskInAtATimeAndTheFirstToComeFirst) {
  std::vector<int> order;
  Await([&]() -> Task<void> {
    auto enter = [](Mutex* mutex, int number, std::vector<int>* log) -> Task<void> {
      auto guard = co_await mutex->Lock();
      EXPECT_TRUE(guard.ok());
      log->push_back(number);
      co_await Turns(2);
      log->push_back(number);
    };
    Mutex mutex;
    std::vector<JoinHandle<void>> tasks;
    for (int i = 0; i < 20; ++i) tasks.push_back(Spawn(enter(&mutex, i, &order)));
    for (auto& task : tasks) co_await task;
    EXPECT_FALSE(mutex.locked());
  });
  for (size_t i = 0; i < order.size(); i += 2) {
    EXPECT_EQ(order[i], order[i + 1]);
    if (ordered()) {
      EXPECT_EQ(order[i], static_cast<int>(i / 2));
    }
  }
}

// Traps: the wake-up lost between check and park; the cancel that races the completion.
TEST_P(SyncSuite, AMutexBetweenThreadsExcludesThoughWaitsAreCancelled) {
  RunningExecutor a(MakeExecutor());
  RunningExecutor b(MakeExecutor());
  const std::vector<Executor*> both = {&a.executor(), &b.executor()};
  Guarded guarded;
  const Attempt attempt = [&] { return CountInside(&guarded); };
  const int succeeded = Await([&] { return HammerOn(both, &attempt); });
  EXPECT_EQ(guarded.count, succeeded);
  EXPECT_GT(succeeded, 0);
  EXPECT_FALSE(guarded.mutex.locked());
}

TEST_P(SyncSuite, AGuardMayBeMovedToAnotherExecutorAndUnlockThere) {
  RunningExecutor other(MakeExecutor());
  Await([&]() -> Task<void> {
    auto unlock = [](MutexGuard guard) -> Task<void> {
      EXPECT_TRUE(guard.ok());
      guard.Unlock();
      co_return;
    };
    Mutex mutex;
    for (int i = 0; i < Repeats(100); ++i) {
      MutexGuard guard = co_await mutex.Lock();
      EXPECT_TRUE(guard.ok());
      Spawn(unlock(std::move(guard)), {.executor = &other.executor()});
    }
    const MutexGuard last = co_await mutex.Lock();
    EXPECT_TRUE(last.ok());
  });
}

// --- Semaphore ---

struct Limited {
  BoundedSemaphore semaphore{5};
  Atomic<int64_t> in_use{0};
  Atomic<int64_t> most{0};
  Atomic<int> next{0};
};

Task<absl::Status> UsePermits(Limited* limited) {
  const int64_t permits = 1 + limited->next.fetch_add(1) % 5;
  const SemaphoreGuard guard = co_await OrReturn(limited->semaphore.Acquire(permits));
  EXPECT_EQ(guard.permits(), permits);
  const int64_t in_use = limited->in_use.fetch_add(permits) + permits;
  int64_t most = limited->most.load();
  while (most < in_use && !limited->most.compare_exchange_weak(most, in_use)) {
  }
  co_await Yield();
  limited->in_use.fetch_sub(permits);
  co_return absl::OkStatus();
}

TEST_P(SyncSuite, ASemaphoreBetweenThreadsConservesItsPermitsThoughWaitsAreCancelled) {
  RunningExecutor a(MakeExecutor());
  RunningExecutor b(MakeExecutor());
  const std::vector<Executor*> both = {&a.executor(), &b.executor()};
  Limited limited;
  const Attempt attempt = [&] { return UsePermits(&limited); };
  const int succeeded = Await([&] { return HammerOn(both, &attempt); });
  EXPECT_GT(succeeded, 0);
  EXPECT_LE(limited.most.load(), 5);
  EXPECT_EQ(limited.semaphore.available(), 5);
}

// --- Event, Latch, Barrier ---

TEST_P(SyncSuite, AnEventLetsWaitersOfEveryExecutorGo) {
  RunningExecutor a(MakeExecutor());
  RunningExecutor b(MakeExecutor());
  Await([&]() -> Task<void> {
    auto wait = [](Event* event, const int* written) -> Task<absl::Status> {
      absl::Status status = co_await event->Wait();
      EXPECT_TRUE(!status.ok() || *written == 7);  // what came before Set is visible
      co_return status;
    };
    for (const int round : ShareOf(100)) {
      Event event;
      int written = 0;
      std::vector<JoinHandle<absl::Status>> waiters;
      for (Executor* on : {&a.executor(), &b.executor(), &executor()}) {
        for (int i = 0; i < 3; ++i) {
          waiters.push_back(Spawn(wait(&event, &written), {.executor = on}));
        }
      }
      for (int turn = 0; turn < round % 4; ++turn) co_await Yield();
      waiters[static_cast<size_t>(round) % waiters.size()].Cancel();
      written = 7;
      event.Set();
      for (auto& waiter : waiters) {
        const absl::Status status = co_await waiter;
        EXPECT_TRUE(status.ok() || absl::IsCancelled(status)) << status;
      }
    }
  });
}

TEST_P(SyncSuite, ALatchGathersWhatHappensOnEveryExecutor) {
  RunningExecutor a(MakeExecutor());
  RunningExecutor b(MakeExecutor());
  Await([&]() -> Task<void> {
    auto arrive = [](Latch* latch, int* mine) -> Task<void> {
      *mine = 1;
      const absl::Status status = co_await latch->ArriveAndWait();
      EXPECT_TRUE(status.ok()) << status;
    };
    for (int round = 0; round < Repeats(100); ++round) {
      std::vector<int> written(6);
      Latch latch(6);
      std::vector<JoinHandle<void>> tasks;
      for (size_t i = 0; i < 6; ++i) {
        Executor& executor = i % 2 == 0 ? a.executor() : b.executor();
        tasks.push_back(Spawn(arrive(&latch, &written[i]), {.executor = &executor}));
      }
      const absl::Status status = co_await latch.Wait();
      EXPECT_TRUE(status.ok()) << status;
      EXPECT_EQ(std::count(written.begin(), written.end(), 1), 6);
      for (auto& task : tasks) co_await task;
    }
  });
}

struct Rounds {
  explicit Rounds(int parties) : barrier(parties), round(static_cast<size_t>(parties)) {}
  Barrier barrier;
  std::vector<Atomic<int>> round;
};

Task<void> WalkInStep(Rounds* rounds, size_t mine, int count) {
  for (int i = 1; i <= count; ++i) {
    rounds->round[mine].store(i);
    const absl::StatusOr<int> index = co_await rounds->barrier.Wait();
    EXPECT_TRUE(index.ok()) << index.status();
    // Everybody has come as far as this, and nobody is further than a step ahead.
    for (const Atomic<int>& other : rounds->round) {
      const int seen = other.load();
      EXPECT_TRUE(seen == i || seen == i + 1) << seen << " in round " << i;
    }
  }
}

TEST_P(SyncSuite, ABarrierKeepsTasksOfSeveralExecutorsInStep) {
  RunningExecutor a(MakeExecutor());
  RunningExecutor b(MakeExecutor());
  Await([&]() -> Task<void> {
    Rounds rounds(4);
    std::vector<JoinHandle<void>> tasks;
    for (size_t i = 0; i < 4; ++i) {
      Executor& executor = i % 2 == 0 ? a.executor() : b.executor();
      tasks.push_back(Spawn(WalkInStep(&rounds, i, Repeats(200)), {.executor = &executor}));
    }
    for (auto& task : tasks) co_await task;
    EXPECT_EQ(rounds.barrier.waiting(), 0);
  });
}

// Comes to each round until it is cancelled; how often it was let go.
Task<int> KeepCompany(Barrier* barrier, std::vector<Atomic<int>>* places) {
  for (int times = 0;; ++times) {
    const absl::StatusOr<int> index = co_await barrier->Wait();
    if (!index.ok()) {
      EXPECT_TRUE(absl::IsCancelled(index.status())) << index.status();
      co_return times;
    }
    (*places)[static_cast<size_t>(*index)].fetch_add(1);
  }
}

Task<absl::Status> ComeOnce(Barrier* barrier, std::vector<Atomic<int>>* places) {
  const int index = co_await OrReturn(barrier->Wait());
  (*places)[static_cast<size_t>(index)].fetch_add(1);
  co_return absl::OkStatus();
}

// Trap: the cancel that races the completion. Who was cancelled has not arrived, so as many come
// first as come second.
TEST_P(SyncSuite, ABarriersRoundsStayWholeThoughArrivalsAreCancelled) {
  RunningExecutor a(MakeExecutor());
  RunningExecutor b(MakeExecutor());
  const std::vector<Executor*> both = {&a.executor(), &b.executor()};
  Barrier barrier(2);
  std::vector<Atomic<int>> places(2);
  const Attempt attempt = [&] { return ComeOnce(&barrier, &places); };
  const int succeeded = Await([&]() -> Task<int> {
    JoinHandle<int> company = Spawn(KeepCompany(&barrier, &places));
    const int by_hammers = co_await HammerOn(both, &attempt);
    company.Cancel();
    const int by_company = co_await company;
    co_return by_hammers + by_company;
  });
  EXPECT_EQ(places[0].load(), places[1].load());
  EXPECT_EQ(places[0].load() + places[1].load(), succeeded);
  EXPECT_EQ(barrier.waiting(), 0);
}

// --- ConditionVariable ---

// A bounded buffer of two, from a mutex and two conditions.
struct Buffer {
  Mutex mutex;
  ConditionVariable not_empty;
  ConditionVariable not_full;
  std::vector<int> items;
  int next = 0;
  std::vector<int> taken;
};

Task<absl::Status> PutInto(Buffer* buffer) {
  MutexGuard guard = co_await OrReturn(buffer->mutex.Lock());
  co_await OrReturn(buffer->not_full.Wait(guard, [buffer] { return buffer->items.size() < 2; }));
  buffer->items.push_back(buffer->next++);
  buffer->not_empty.NotifyOne();
  co_return absl::OkStatus();
}

Task<absl::Status> TakeFrom(Buffer* buffer) {
  MutexGuard guard = co_await OrReturn(buffer->mutex.Lock());
  co_await OrReturn(buffer->not_empty.Wait(guard, [buffer] { return !buffer->items.empty(); }));
  buffer->taken.push_back(buffer->items.front());
  buffer->items.erase(buffer->items.begin());
  buffer->not_full.NotifyOne();
  co_return absl::OkStatus();
}

// Repeats until it is cancelled.
Task<void> Again(const Attempt* attempt) {
  for (;;) {
    const absl::Status status = co_await (*attempt)();
    if (!status.ok()) co_return;
  }
}

// Traps: the wake-up lost between check and park; the cancel that races the completion. A
// notification that went to a cancelled wait and no further would make this hang.
TEST_P(SyncSuite, ConditionsBetweenThreadsLoseNoNotificationThoughWaitsAreCancelled) {
  RunningExecutor a(MakeExecutor());
  RunningExecutor b(MakeExecutor());
  const std::vector<Executor*> both = {&a.executor(), &b.executor()};
  Buffer buffer;
  const Attempt put = [&] { return PutInto(&buffer); };
  const Attempt take = [&] { return TakeFrom(&buffer); };
  const int put_in = Await([&]() -> Task<int> {
    // On each side one that goes on for ever, so that the other side is never held up for good.
    JoinHandle<void> putter = Spawn(Again(&put), {.executor = &a.executor()});
    JoinHandle<void> taker = Spawn(Again(&take), {.executor = &b.executor()});
    JoinHandle<int> putters = Spawn(HammerOn(both, &put));
    JoinHandle<int> takers = Spawn(HammerOn(both, &take));
    const int succeeded = co_await putters;
    co_await takers;
    putter.Cancel();
    taker.Cancel();
    co_await putter;
    co_await taker;
    co_return succeeded;
  });
  EXPECT_GT(put_in, 0);
  // In order, each once.
  EXPECT_EQ(buffer.taken.size() + buffer.items.size(), static_cast<size_t>(buffer.next));
  for (size_t i = 0; i < buffer.taken.size(); ++i) {
    EXPECT_EQ(buffer.taken[i], static_cast<int>(i));
  }
}

// --- queues and channels ---

// Numbers that go in once and are ticked off as they come out.
struct Ledger {
  explicit Ledger(size_t numbers) : out(numbers) {}
  Atomic<int> next{0};
  std::vector<Atomic<int>> out;

  void TickOff(int number) { out[static_cast<size_t>(number)].fetch_add(1); }
};

Task<absl::Status> In(Queue<int>* queue, int number) { co_return co_await queue->Put(number); }
Task<absl::Status> In(LifoQueue<int>* queue, int number) { co_return co_await queue->Put(number); }
Task<absl::Status> In(PriorityQueue<int>* queue, int number) {
  co_return co_await queue->Put(number);
}
Task<absl::Status> In(Channel<int>* channel, int number) {
  co_return co_await channel->Send(number);
}
Task<absl::StatusOr<int>> Out(Queue<int>* queue) { co_return co_await queue->Get(); }
Task<absl::StatusOr<int>> Out(LifoQueue<int>* queue) { co_return co_await queue->Get(); }
Task<absl::StatusOr<int>> Out(PriorityQueue<int>* queue) { co_return co_await queue->Get(); }
Task<absl::StatusOr<int>> Out(Channel<int>* channel) { co_return co_await channel->Receive(); }

// Puts `count` numbers of the ledger in, each in as many attempts as it takes.
template <class Q>
Task<void> PutNumbers(Q* queue, Ledger* ledger, int count, uint32_t seed) {
  std::minstd_rand random_numbers(seed);
  for (int i = 0; i < count; ++i) {
    const int number = ledger->next.fetch_add(1);
    for (bool in = false; !in;) {
      JoinHandle<absl::Status> task = Spawn(In(queue, number));
      for (uint32_t turns = random_numbers() % 4; turns > 0; --turns) co_await Yield();
      if (random_numbers() % 2 == 0) task.Cancel();
      const absl::Status status = co_await task;
      in = status.ok();
      EXPECT_TRUE(in || absl::IsCancelled(status)) << status;
    }
  }
}

// Takes numbers out until the queue is closed.
template <class Q>
Task<void> TakeNumbers(Q* queue, Ledger* ledger, uint32_t seed) {
  std::minstd_rand random_numbers(seed);
  for (;;) {
    JoinHandle<absl::StatusOr<int>> task = Spawn(Out(queue));
    for (uint32_t turns = random_numbers() % 4; turns > 0; --turns) co_await Yield();
    if (random_numbers() % 2 == 0) task.Cancel();
    const absl::StatusOr<int> number = co_await task;
    if (number.ok()) {
      ledger->TickOff(*number);
    } else if (absl::IsFailedPrecondition(number.status())) {
      co_return;
    } else {
      EXPECT_TRUE(absl::IsCancelled(number.status())) << number.status();
    }
  }
}

template <class Q>
Task<void> PassNumbers(Q* queue, Ledger* ledger, std::vector<Executor*> executors) {
  const int each = static_cast<int>(ledger->out.size()) / 4;
  std::vector<JoinHandle<void>> putters;
  std::vector<JoinHandle<void>> takers;
  for (uint32_t i = 0; i < 4; ++i) {
    Executor* on = executors[i % executors.size()];
    putters.push_back(Spawn(PutNumbers(queue, ledger, each, 1 + i), {.executor = on}));
    takers.push_back(Spawn(TakeNumbers(queue, ledger, 11 + i), {.executor = on}));
  }
  for (auto& putter : putters) co_await putter;
  queue->Close();
  for (auto& taker : takers) co_await taker;
}

#define PLAIT_QUEUE_BETWEEN_THREADS(Kind)                                                     \
  TEST_P(SyncSuite, Kind##BetweenThreadsLosesAndDoublesNothingThoughWaitsAreCancelled) {      \
    RunningExecutor a(MakeExecutor());                                                        \
    RunningExecutor b(MakeExecutor());                                                        \
    const std::vector<Executor*> both = {&a.executor(), &b.executor()};                       \
    for (const size_t capacity : {1, 3}) {                                                    \
      Kind<int> queue(capacity);                                                              \
      Ledger ledger(800);                                                                     \
      Await([&] { return PassNumbers(&queue, &ledger, both); });                              \
      for (size_t i = 0; i < ledger.out.size(); ++i) EXPECT_EQ(ledger.out[i].load(), 1) << i; \
      EXPECT_TRUE(queue.empty());                                                             \
    }                                                                                         \
  }
PLAIT_QUEUE_BETWEEN_THREADS(Queue)
PLAIT_QUEUE_BETWEEN_THREADS(LifoQueue)
PLAIT_QUEUE_BETWEEN_THREADS(PriorityQueue)
PLAIT_QUEUE_BETWEEN_THREADS(Channel)
#undef PLAIT_QUEUE_BETWEEN_THREADS

TEST_P(SyncSuite, JoinWaitsForWorkThatIsDoneOnOtherExecutors) {
  RunningExecutor a(MakeExecutor());
  RunningExecutor b(MakeExecutor());
  Await([&]() -> Task<void> {
    auto work = [](Queue<int>* queue, Atomic<int>* done) -> Task<void> {
      for (;;) {
        const absl::StatusOr<int> item = co_await queue->Get();
        if (!item.ok()) co_return;
        co_await Yield();
        done->fetch_add(1);
        const absl::Status status = queue->TaskDone();
        EXPECT_TRUE(status.ok()) << status;
      }
    };
    Queue<int> queue(3);
    Atomic<int> done{0};
    JoinHandle<void> first = Spawn(work(&queue, &done), {.executor = &a.executor()});
    JoinHandle<void> second = Spawn(work(&queue, &done), {.executor = &b.executor()});
    for (int batch = 1; batch <= Repeats(50); ++batch) {
      for (int i = 0; i < 7; ++i) {
        const absl::Status put = co_await queue.Put(i);
        EXPECT_TRUE(put.ok()) << put;
      }
      const absl::Status joined = co_await queue.Join();
      EXPECT_TRUE(joined.ok()) << joined;
      EXPECT_EQ(done.load(), 7 * batch);
    }
    queue.Close();
    co_await first;
    co_await second;
  });
}

// --- Strand ---

TEST_P(SyncSuite, AStrandOverTheExecutorRunsOneThingAtATimeAndResumesOnItself) {
  Await([&]() -> Task<void> {
    struct State {
      bool inside = false;
      int count = 0;
    };
    auto add = [](Strand* strand, State* state) -> Task<void> {
      for (int i = 0; i < 50; ++i) {
        EXPECT_TRUE(strand->running_here());
        EXPECT_FALSE(state->inside);
        state->inside = true;
        ++state->count;
        state->inside = false;
        co_await Yield();
      }
    };
    Strand strand(executor());
    State state;
    std::vector<JoinHandle<void>> tasks;
    for (int i = 0; i < 20; ++i) {
      tasks.push_back(Spawn(add(&strand, &state), {.executor = &strand}));
    }
    for (auto& task : tasks) co_await task;
    EXPECT_EQ(state.count, 20 * 50);
  });
}

TEST_P(SyncSuite, AStrandIsPostedToFromOtherExecutors) {
  RunningExecutor a(MakeExecutor());
  RunningExecutor b(MakeExecutor());
  Await([&]() -> Task<void> {
    auto add = [](int* count) -> Task<void> {
      ++*count;
      co_return;
    };
    const int times = Repeats(200);
    auto post = [times](Strand* strand, auto* make, int* count) -> Task<void> {
      for (int i = 0; i < times; ++i) co_await Spawn((*make)(count), {.executor = strand});
    };
    Strand strand(executor());
    int count = 0;
    JoinHandle<void> first = Spawn(post(&strand, &add, &count), {.executor = &a.executor()});
    JoinHandle<void> second = Spawn(post(&strand, &add, &count), {.executor = &b.executor()});
    co_await first;
    co_await second;
    EXPECT_EQ(count, 2 * times);
  });
}

// --- time ---

TEST_P(SyncTimerSuite, ATokenBucketKeepsItsRateForAllWhoWait) {
  const absl::Duration start = absl::Nanoseconds(clock().Now().nanos());
  Await([&]() -> Task<void> {
    auto take = [](TokenBucket* bucket, int times) -> Task<void> {
      for (int i = 0; i < times; ++i) {
        const absl::Status status = co_await bucket->Acquire();
        EXPECT_TRUE(status.ok()) << status;
      }
    };
    TokenBucket bucket(1 / absl::ToDoubleSeconds(unit()), 2);
    std::vector<JoinHandle<void>> tasks;
    for (int i = 0; i < 4; ++i) tasks.push_back(Spawn(take(&bucket, 3)));
    for (auto& task : tasks) co_await task;
  });
  const absl::Duration took = absl::Nanoseconds(clock().Now().nanos()) - start;
  // Twelve tokens, two of which were there.
  EXPECT_GE(took, 10 * unit());
  if (virtual_time()) {
    EXPECT_LE(took, 10 * unit() + absl::Nanoseconds(1));
  }
}

TEST_P(SyncTimerSuite, WhatTimesOutWhileItWaitsHasTakenNothing) {
  Await([&]() -> Task<void> {
    Mutex mutex;
    Semaphore semaphore(1);
    Channel<int> channel(1);
    const MutexGuard held = mutex.TryLock();
    const absl::StatusOr<MutexGuard> lock = co_await Timeout(unit(), mutex.Lock());
    EXPECT_TRUE(absl::IsDeadlineExceeded(lock.status())) << lock.status();
    const absl::StatusOr<SemaphoreGuard> permits = co_await Timeout(unit(), semaphore.Acquire(2));
    EXPECT_TRUE(absl::IsDeadlineExceeded(permits.status())) << permits.status();
    EXPECT_EQ(semaphore.available(), 1);
    const absl::StatusOr<int> item = co_await Timeout(unit(), channel.Receive());
    EXPECT_TRUE(absl::IsDeadlineExceeded(item.status())) << item.status();
    EXPECT_TRUE(channel.TrySend(1).ok());
    const absl::Status sent = co_await Timeout(unit(), channel.Send(2));
    EXPECT_TRUE(absl::IsDeadlineExceeded(sent)) << sent;
    EXPECT_EQ(channel.size(), 1u);
  });
}

TEST_P(SyncTimerSuite, ATaskOfAStrandSleepsAndWakesOnTheStrand) {
  Await([&]() -> Task<void> {
    auto nap = [](Strand* strand, absl::Duration length) -> Task<absl::Status> {
      for (int i = 0; i < 3; ++i) {
        co_await OrReturn(Sleep(length));
        EXPECT_TRUE(strand->running_here());
      }
      co_return absl::OkStatus();
    };
    Strand strand(executor());
    std::vector<JoinHandle<absl::Status>> tasks;
    for (int i = 0; i < 10; ++i) {
      tasks.push_back(Spawn(nap(&strand, unit()), {.executor = &strand}));
    }
    for (auto& task : tasks) {
      const absl::Status status = co_await task;
      EXPECT_TRUE(status.ok()) << status;
    }
  });
}

}  // namespace

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(SyncTimerSuite);

}  // namespace plait
