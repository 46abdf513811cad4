// What does an item cost through a Channel, and through a Queue of the same capacity: between tasks
// on one thread, and between threads?
//
// The time of each is the wall clock's, an item's share. On more threads than the machine has
// cores, what is measured is the system's scheduler.
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "benchmark/benchmark.h"
#include "plait/io/epoll/epoll_reactor.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/runtime.h"
#include "plait/schedulers/event_loop/event_loop.h"
#include "plait/schedulers/work_stealing/work_stealing_pool.h"

namespace plait {
namespace {

constexpr int64_t kItems = 200'000;
constexpr size_t kCapacity = 1024;

Task<void> Produce(Channel<int64_t>& channel, int64_t items) {
  for (int64_t i = 0; i < items; ++i) {
    const absl::Status status = co_await channel.Send(i);
    benchmark::DoNotOptimize(status.ok());
  }
}
Task<void> Consume(Channel<int64_t>& channel, int64_t items) {
  int64_t sum = 0;
  for (int64_t i = 0; i < items; ++i) {
    const absl::StatusOr<int64_t> item = co_await channel.Receive();
    sum += *item;
  }
  benchmark::DoNotOptimize(sum);
}
Task<void> Produce(Queue<int64_t>& queue, int64_t items) {
  for (int64_t i = 0; i < items; ++i) {
    const absl::Status status = co_await queue.Put(i);
    benchmark::DoNotOptimize(status.ok());
  }
}
Task<void> Consume(Queue<int64_t>& queue, int64_t items) {
  int64_t sum = 0;
  for (int64_t i = 0; i < items; ++i) {
    const absl::StatusOr<int64_t> item = co_await queue.Get();
    sum += *item;
  }
  benchmark::DoNotOptimize(sum);
}

template <class Q>
std::vector<Task<void>> Producers(Q& queue, int64_t count) {
  std::vector<Task<void>> tasks;
  for (int64_t i = 0; i < count; ++i) tasks.push_back(Produce(queue, kItems / count));
  return tasks;
}
template <class Q>
std::vector<Task<void>> Consumers(Q& queue, int64_t count) {
  std::vector<Task<void>> tasks;
  for (int64_t i = 0; i < count; ++i) tasks.push_back(Consume(queue, kItems / count));
  return tasks;
}

// range(0) producers and range(1) consumers, all on one thread.
template <class Q>
void BM_OneThread(benchmark::State& state) {
  EventLoop loop(MakeEpollReactor());
  for (auto _ : state) {
    Q queue(kCapacity);
    BlockOn(loop, Gather(Gather(Producers(queue, state.range(0))),
                         Gather(Consumers(queue, state.range(1)))));
  }
  state.SetItemsProcessed(state.iterations() * kItems);
}

// The producers on one thread, the consumers on another.
template <class Q>
void BM_TwoThreads(benchmark::State& state) {
  EventLoop here(MakeEpollReactor());
  EventLoop there(MakeEpollReactor());
  Thread thread = StartThread("consumers", [&] { there.RunForever().IgnoreError(); });
  for (auto _ : state) {
    Q queue(kCapacity);
    auto consume = [](Q* from, int64_t count) -> Task<void> {
      co_await Gather(Consumers(*from, count));
    };
    auto both = [](Q* through, EventLoop* other, auto* consumers, int64_t producers,
                   int64_t count) -> Task<void> {
      JoinHandle<void> consumed = Spawn((*consumers)(through, count), {.executor = other});
      co_await Gather(Producers(*through, producers));
      co_await consumed;
    };
    BlockOn(here, both(&queue, &there, &consume, state.range(0), state.range(1)));
  }
  state.SetItemsProcessed(state.iterations() * kItems);
  there.Stop();
  thread.join();
}

// On a pool of range(0) threads, which share the work as they like: 1:1, as the public comparison
// of runtimes has it (10,000,000 items: 50 iterations).
template <class Q>
void BM_Pool(benchmark::State& state) {
  WorkStealingPool pool({.threads = static_cast<int>(state.range(0))});
  for (auto _ : state) {
    Q queue(kCapacity);
    BlockOn(pool, Gather(Gather(Producers(queue, 1)), Gather(Consumers(queue, 1))));
  }
  state.SetItemsProcessed(state.iterations() * kItems);
}
BENCHMARK_TEMPLATE(BM_Pool, Channel<int64_t>)
    ->Arg(1)
    ->Arg(2)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

void Shapes(benchmark::internal::Benchmark* benchmark) {
  benchmark->UseRealTime()->Unit(benchmark::kMillisecond);
  benchmark->Args({1, 1})->Args({8, 1})->Args({8, 8});
}

BENCHMARK_TEMPLATE(BM_OneThread, Channel<int64_t>)->Apply(Shapes);
BENCHMARK_TEMPLATE(BM_OneThread, Queue<int64_t>)->Apply(Shapes);
BENCHMARK_TEMPLATE(BM_TwoThreads, Channel<int64_t>)->Apply(Shapes);
BENCHMARK_TEMPLATE(BM_TwoThreads, Queue<int64_t>)->Apply(Shapes);

Task<void> Bounce(Channel<int64_t>& in, Channel<int64_t>& out, int64_t times) {
  for (int64_t i = 0; i < times; ++i) {
    const absl::StatusOr<int64_t> item = co_await in.Receive();
    const absl::Status status = co_await out.Send(*item);
    benchmark::DoNotOptimize(status.ok());
  }
}

// Two tasks on one thread that send one item back and forth: a round trip is two waits.
void BM_RoundTripOneThread(benchmark::State& state) {
  EventLoop loop(MakeEpollReactor());
  constexpr int64_t kTrips = 100'000;
  for (auto _ : state) {
    Channel<int64_t> ping(1);
    Channel<int64_t> pong(2);
    if (!ping.TrySend(1).ok()) state.SkipWithError("no room");
    BlockOn(loop, Gather(Bounce(ping, pong, kTrips), Bounce(pong, ping, kTrips)));
  }
  state.SetItemsProcessed(state.iterations() * kTrips);
}
BENCHMARK(BM_RoundTripOneThread);

// The same on a pool of range(0) threads, which keeps the two together.
void BM_RoundTripPool(benchmark::State& state) {
  WorkStealingPool pool({.threads = static_cast<int>(state.range(0))});
  constexpr int64_t kTrips = 100'000;
  for (auto _ : state) {
    Channel<int64_t> ping(1);
    Channel<int64_t> pong(2);
    if (!ping.TrySend(1).ok()) state.SkipWithError("no room");
    BlockOn(pool, Gather(Bounce(ping, pong, kTrips), Bounce(pong, ping, kTrips)));
  }
  state.SetItemsProcessed(state.iterations() * kTrips);
}
BENCHMARK(BM_RoundTripPool)->Arg(1)->Arg(2)->UseRealTime();

void BM_TrySendTryReceive(benchmark::State& state) {
  Channel<int64_t> channel(kCapacity);
  for (auto _ : state) {
    benchmark::DoNotOptimize(channel.TrySend(1).ok());
    benchmark::DoNotOptimize(*channel.TryReceive());
  }
}
BENCHMARK(BM_TrySendTryReceive);

}  // namespace
}  // namespace plait
