// What does a fork cost where nobody steals: beside the same recursion without coroutines, with
// coroutines that only await, and with coroutine frames made and awaited by hand?
//
// items_per_second counts calls (fib), leaves (skynet) and placements (nqueens); instructions:
//   valgrind --tool=callgrind fork_benchmark --benchmark_filter=ForkFib --benchmark_min_time=0.01
#include <array>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "benchmark/benchmark.h"
#include "plait/runtime/core/frame_allocator.h"
#include "plait/runtime/task/fork.h"
#include "plait/runtime/task/task.h"
#include "plait/schedulers/run.h"

namespace plait {
namespace {

constexpr int kFib = 24;
constexpr int64_t kFibCalls = 150'049;

[[gnu::noinline]] int64_t SerialFib(int n) {
  if (n < 2) return n;
  return SerialFib(n - 1) + SerialFib(n - 2);
}

Task<int64_t> AwaitFib(int n) {
  if (n < 2) co_return n;
  const int64_t a = co_await AwaitFib(n - 1);
  co_return a + co_await AwaitFib(n - 2);
}

Task<int64_t> ForkFib(int n) {
  if (n < 2) co_return n;
  auto [a, b] = co_await Fork(ForkFib(n - 1), ForkFib(n - 2));
  co_return a + b;
}

// The floor: a frame from the pool, a call, the result in the caller, and nothing else: no
// executor, no context, no way to suspend.
struct Bare {
  struct promise_type {
    static void* operator new(size_t size) { return internal::AllocateFrame(size); }
    static void operator delete(void* frame, size_t size) noexcept {
      internal::FreeFrame(frame, size);
    }
    Bare get_return_object() noexcept {
      return {std::coroutine_handle<promise_type>::from_promise(*this)};
    }
    std::suspend_always initial_suspend() const noexcept { return {}; }
    std::suspend_never final_suspend() const noexcept { return {}; }
    void return_value(int64_t value) noexcept { *result = value; }
    void unhandled_exception() const noexcept { std::terminate(); }
    int64_t* result = nullptr;
  };

  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<>) noexcept {
    child.promise().result = &result;
    child.resume();
    return false;
  }
  int64_t await_resume() const noexcept { return result; }

  std::coroutine_handle<promise_type> child;
  int64_t result = 0;
};

Bare BareFib(int n) {
  if (n < 2) co_return n;
  const int64_t a = co_await BareFib(n - 1);
  co_return a + co_await BareFib(n - 2);
}

void Serial(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(SerialFib(kFib));
  state.SetItemsProcessed(state.iterations() * kFibCalls);
}
BENCHMARK(Serial);

void Floor(benchmark::State& state) {
  for (auto _ : state) {
    Bare fib = BareFib(kFib);
    fib.await_suspend(std::noop_coroutine());
    benchmark::DoNotOptimize(fib.result);
  }
  state.SetItemsProcessed(state.iterations() * kFibCalls);
}
BENCHMARK(Floor);

// All iterations of `state` inside one Run.
template <class Make>
void InATask(benchmark::State& state, int64_t items, Make make) {
  Run([](benchmark::State& s, Make program) -> Task<void> {
    for (auto _ : s) benchmark::DoNotOptimize(co_await program());
  }(state, std::move(make)));
  state.SetItemsProcessed(state.iterations() * items);
}

void Await(benchmark::State& state) {
  InATask(state, kFibCalls, [] { return AwaitFib(kFib); });
}
BENCHMARK(Await);

void ForkFib(benchmark::State& state) {
  InATask(state, kFibCalls, [] { return ForkFib(kFib); });
}
BENCHMARK(ForkFib);

int64_t SerialSkynet(int64_t base, int64_t size) {
  if (size == 1) return base;
  const int64_t each = size / 10;
  int64_t sum = 0;
  for (int64_t i = 0; i < 10; ++i) sum += SerialSkynet(base + i * each, each);
  return sum;
}

Task<int64_t> Skynet(int64_t base, int64_t size) {
  if (size == 1) co_return base;
  const int64_t each = size / 10;
  const std::array<int64_t, 10> sums = co_await ForkEach<10>(
      [&](size_t i) { return Skynet(base + static_cast<int64_t>(i) * each, each); });
  int64_t sum = 0;
  for (const int64_t part : sums) sum += part;
  co_return sum;
}

constexpr int64_t kLeaves = 100'000;

void SerialSkynet(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(SerialSkynet(0, kLeaves));
  state.SetItemsProcessed(state.iterations() * kLeaves);
}
BENCHMARK(SerialSkynet);

void ForkSkynet(benchmark::State& state) {
  InATask(state, kLeaves, [] { return Skynet(0, kLeaves); });
}
BENCHMARK(ForkSkynet);

constexpr size_t kQueens = 9;
constexpr int64_t kPlacements = 10'450;
using Board = std::array<char, kQueens>;

// The columns in which a queen may stand in `row`.
size_t Places(const Board& board, size_t row, Board& places) {
  size_t count = 0;
  for (size_t y = 0; y < kQueens; ++y) {
    bool free = true;
    for (size_t x = 0; x < row && free; ++x) {
      const size_t other = static_cast<size_t>(board[x]);
      free = y != other && y + (row - x) != other && y != other + (row - x);
    }
    if (free) places[count++] = static_cast<char>(y);
  }
  return count;
}

int SerialQueens(size_t row, Board board) {
  if (row == kQueens) return 1;
  Board places;
  const size_t count = Places(board, row, places);
  int sum = 0;
  for (size_t i = 0; i < count; ++i) {
    board[row] = places[i];
    sum += SerialQueens(row + 1, board);
  }
  return sum;
}

Task<int> Queens(size_t row, Board board) {
  if (row == kQueens) co_return 1;
  Board places;
  const size_t count = Places(board, row, places);
  int sum = 0;
  co_await ForkEach<kQueens>(
      count,
      [&](size_t i) {
        board[row] = places[i];
        return Queens(row + 1, board);
      },
      [&](size_t, int found) { sum += found; });
  co_return sum;
}

void SerialQueens(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(SerialQueens(0, {}));
  state.SetItemsProcessed(state.iterations() * kPlacements);
}
BENCHMARK(SerialQueens);

void ForkQueens(benchmark::State& state) {
  InATask(state, kPlacements, [] { return Queens(0, {}); });
}
BENCHMARK(ForkQueens);

}  // namespace
}  // namespace plait
