// What does a round trip between two processes cost: over a link, and over nothing but a futex in
// shared memory, which is the floor? And a large value through shared memory, next to memcpy?
//
// On a machine with one free processor the first two measure the system's scheduler.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "benchmark/benchmark.h"
#include "plait/io/epoll/epoll_reactor.h"
#include "plait/io/ops/operations.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/runtime.h"
#include "plait/schedulers/event_loop/event_loop.h"
#include "plait/schedulers/process_pool/codec.h"
#include "plait/schedulers/process_pool/link.h"
#include "plait/schedulers/process_pool/ping_pong.h"

namespace plait::internal {
namespace {

void Report(Latencies latencies, benchmark::State& state) {
  state.counters["p50_us"] = latencies.At(0.5);
  state.counters["p99_us"] = latencies.At(0.99);
}

// Two context switches a round.
void BM_FloorFutexPingPong(benchmark::State& state) {
  PingPong floor(PingPong::Waits::kParked);
  Latencies latencies;
  for (auto _ : state) {
    latencies.Begin();
    floor.Round();
    latencies.End();
  }
  Report(std::move(latencies), state);
}
BENCHMARK(BM_FloorFutexPingPong)->UseRealTime();

void Send(LinkEnd& end, absl::Span<const char> bytes) {
  char* to = nullptr;
  while ((to = end.Reserve(bytes.size())) == nullptr)
    end.Wait(absl::InfiniteDuration(), {.record = false, .room = bytes.size()});
  if (!bytes.empty()) std::memcpy(to, bytes.data(), bytes.size());
  end.Commit(bytes.size(), 0);
}

// The other process: answers each record with one of 8 bytes.
void Answer(const std::shared_ptr<LinkMemory>& memory) {
  LinkEnd worker(memory, LinkEnd::kWorker);
  char answer[8] = {};
  for (;;) {
    while (!worker.Peek().has_value()) worker.Wait(absl::InfiniteDuration());
    worker.Pop();
    Send(worker, answer);
  }
}

// The parent looks without ever sleeping: what the rings and the worker's doorbell cost.
void BM_LinkRoundTripParentSpins(benchmark::State& state) {
  const std::shared_ptr<LinkMemory> memory = *LinkMemory::Create(1 << 20);
  const ForkedProcess child([&memory] { Answer(memory); });
  LinkEnd parent(memory, LinkEnd::kParent);
  Latencies latencies;
  const char call[32] = {};
  for (auto _ : state) {
    latencies.Begin();
    std::memcpy(parent.Reserve(sizeof call), call, sizeof call);
    parent.Commit(sizeof call, 0);
    for (int round = 0; !parent.Peek().has_value(); ++round) SpinWait(round);
    parent.Pop();
    latencies.End();
  }
  Report(std::move(latencies), state);
}
BENCHMARK(BM_LinkRoundTripParentSpins)->UseRealTime();

Task<void> RoundTrips(benchmark::State& state, LinkEnd& parent, int event, size_t in_flight) {
  Latencies latencies;
  const char call[32] = {};
  uint64_t count = 0;
  for (auto _ : state) {
    latencies.Begin();
    for (size_t i = 0; i < in_flight; ++i) {
      std::memcpy(parent.Reserve(sizeof call), call, sizeof call);
      parent.Commit(sizeof call, 0);
    }
    for (size_t left = in_flight; left > 0;) {
      while (parent.Peek().has_value()) {
        parent.Pop();
        --left;
      }
      if (left == 0 || !parent.PrepareToSleep()) continue;
      const absl::StatusOr<size_t> read =
          co_await io::Read(event, absl::MakeSpan(reinterpret_cast<char*>(&count), sizeof count));
      parent.WakeUp();
      if (!read.ok()) state.SkipWithError("the event cannot be read");
    }
    latencies.End();
  }
  Report(std::move(latencies), state);
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(in_flight));
}

// As a pool uses it: the parent's loop sleeps in its reactor. With many calls in flight hardly
// anybody sleeps.
void BM_LinkRoundTripsThroughALoop(benchmark::State& state) {
  const std::shared_ptr<LinkMemory> memory = *LinkMemory::Create(1 << 20);
  const ForkedProcess child([&memory] { Answer(memory); });
  EventLoop loop(MakeEpollReactor());
  LinkEnd parent(memory, LinkEnd::kParent);
  BlockOn(loop, RoundTrips(state, parent, memory->event_descriptor(),
                           static_cast<size_t>(state.range(0))));
}
BENCHMARK(BM_LinkRoundTripsThroughALoop)->Arg(1)->Arg(256)->UseRealTime();

// The floor of what follows: the same two copies in one process, the second one to new memory.
void BM_FloorMemcpyTwice(benchmark::State& state) {
  const auto size = static_cast<size_t>(state.range(0));
  const std::string from(size, 'x');
  std::vector<char> between(size);
  for (auto _ : state) {
    std::memcpy(between.data(), from.data(), size);
    benchmark::ClobberMemory();
    std::string to(between.data(), size);
    benchmark::DoNotOptimize(to);
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_FloorMemcpyTwice)->Arg(1 << 20)->Arg(64 << 20)->UseRealTime();

// A value encoded into the ring, and decoded from it by another process: two copies, no more.
void BM_LargeValueThroughTheLink(benchmark::State& state) {
  const auto size = static_cast<size_t>(state.range(0));
  const std::shared_ptr<LinkMemory> memory = *LinkMemory::Create(2 * size);
  const ForkedProcess child([&memory] {
    LinkEnd worker(memory, LinkEnd::kWorker);
    for (;;) {
      std::optional<RingRecord> record;
      while (!(record = worker.Peek()).has_value()) worker.Wait(absl::InfiniteDuration());
      const absl::StatusOr<std::string> value = Decode<std::string>(record->bytes);
      worker.Pop();
      const char answer[8] = {value.ok()};
      Send(worker, answer);
    }
  });
  LinkEnd parent(memory, LinkEnd::kParent);
  const std::string value(size, 'x');
  Encoder counting({});
  Codec<std::string>::Encode(value, counting);
  for (auto _ : state) {
    char* to = nullptr;
    for (int round = 0; (to = parent.Reserve(counting.needed())) == nullptr; ++round)
      SpinWait(round);
    Encoder out(absl::MakeSpan(to, counting.needed()));
    Codec<std::string>::Encode(value, out);
    parent.Commit(out.needed(), 0);
    for (int round = 0; !parent.Peek().has_value(); ++round) SpinWait(round);
    if (parent.Peek()->bytes[0] != 1) state.SkipWithError("the value did not arrive");
    parent.Pop();
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_LargeValueThroughTheLink)->Arg(1 << 20)->Arg(64 << 20)->UseRealTime();

}  // namespace
}  // namespace plait::internal
