// What runtime/sync's channel benchmarks do, with Asio's experimental channels: the peer to compare
// with. Prints an operation and the nanoseconds that one takes, a line each. See compare.
// (It is no part of Plait, so it goes to the machine's clock and threads directly.)
#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/experimental/channel.hpp>
#include <asio/experimental/concurrent_channel.hpp>
#include <asio/io_context.hpp>
#include <asio/use_awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <thread>

namespace {

constexpr int64_t kItems = 1'000'000;
constexpr int64_t kTrips = 100'000;
constexpr size_t kCapacity = 1024;

using Signature = void(asio::error_code, int64_t);
using LocalChannel = asio::experimental::channel<Signature>;
using SharedChannel = asio::experimental::concurrent_channel<Signature>;

int64_t sink = 0;

template <class C>
asio::awaitable<void> Produce(C& channel, int64_t items) {
  for (int64_t i = 0; i < items; ++i) {
    co_await channel.async_send(asio::error_code(), i, asio::use_awaitable);
  }
}

template <class C>
asio::awaitable<void> Consume(C& channel, int64_t items) {
  int64_t sum = 0;
  for (int64_t i = 0; i < items; ++i) sum += co_await channel.async_receive(asio::use_awaitable);
  sink += sum;
}

asio::awaitable<void> Bounce(LocalChannel& in, LocalChannel& out) {
  for (int64_t i = 0; i < kTrips; ++i) {
    const int64_t item = co_await in.async_receive(asio::use_awaitable);
    co_await out.async_send(asio::error_code(), item, asio::use_awaitable);
  }
}

template <class Body>
void Measure(const char* name, int64_t operations, Body body) {
  body();  // warm
  const auto start = std::chrono::steady_clock::now();
  body();
  const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
  std::printf("%s %.2f\n", name, took.count() / static_cast<double>(operations));
}

void OneThread(int64_t producers, int64_t consumers) {
  asio::io_context context(1);
  LocalChannel channel(context, kCapacity);
  for (int64_t i = 0; i < producers; ++i) {
    asio::co_spawn(context, Produce(channel, kItems / producers), asio::detached);
  }
  for (int64_t i = 0; i < consumers; ++i) {
    asio::co_spawn(context, Consume(channel, kItems / consumers), asio::detached);
  }
  context.run();
}

void TwoThreads(int64_t producers, int64_t consumers) {
  asio::io_context here(1);
  asio::io_context there(1);
  SharedChannel channel(here, kCapacity);
  for (int64_t i = 0; i < producers; ++i) {
    asio::co_spawn(here, Produce(channel, kItems / producers), asio::detached);
  }
  for (int64_t i = 0; i < consumers; ++i) {
    asio::co_spawn(there, Consume(channel, kItems / consumers), asio::detached);
  }
  std::thread thread([&] { there.run(); });
  here.run();
  thread.join();
}

void RoundTrips() {
  asio::io_context context(1);
  LocalChannel ping(context, 1);
  LocalChannel pong(context, 2);
  ping.try_send(asio::error_code(), 1);
  asio::co_spawn(context, Bounce(ping, pong), asio::detached);
  asio::co_spawn(context, Bounce(pong, ping), asio::detached);
  context.run();
}

}  // namespace

int main() {
  Measure("round_trip_one_thread", kTrips, RoundTrips);
  Measure("channel_1_1_one_thread", kItems, [] { OneThread(1, 1); });
  Measure("channel_8_8_one_thread", kItems, [] { OneThread(8, 8); });
  Measure("channel_1_1_two_threads", kItems, [] { TwoThreads(1, 1); });
  Measure("channel_8_1_two_threads", kItems, [] { TwoThreads(8, 1); });
  Measure("channel_8_8_two_threads", kItems, [] { TwoThreads(8, 8); });
  return sink == 0 ? 1 : 0;
}
