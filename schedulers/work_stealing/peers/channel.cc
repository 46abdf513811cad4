// The channel workload on Plait: tasks of a WorkStealingPool, and one Channel.
#include "plait/runtime/sync/channel.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "plait/runtime/runtime.h"
#include "plait/schedulers/work_stealing/peers/peer.h"
#include "plait/schedulers/work_stealing/work_stealing_pool.h"

namespace peers {
namespace {

using plait::Task;

Task<absl::Status> Produce(plait::Channel<int64_t>& channel, int64_t begin, int64_t end) {
  for (int64_t item = begin; item < end; ++item) {
    co_await plait::OrReturn(channel.Send(item));
  }
  co_return absl::OkStatus();
}

// Until the channel is closed and empty.
Task<int64_t> Consume(plait::Channel<int64_t>& channel) {
  int64_t sum = 0;
  for (;;) {
    const absl::StatusOr<int64_t> item = co_await channel.Receive();
    if (!item.ok()) co_return sum;
    sum += *item;
  }
}

Task<int64_t> Exchange(int n, int sides) {
  plait::Channel<int64_t> channel(kChannelCapacity);
  std::vector<plait::JoinHandle<int64_t>> consumers;
  std::vector<Task<absl::Status>> producers;
  for (int i = 0; i < sides; ++i) {
    consumers.push_back(plait::Spawn(Consume(channel)));
    producers.push_back(Produce(channel, ChannelBegin(n, sides, i), ChannelBegin(n, sides, i + 1)));
  }
  const absl::Status sent = co_await plait::Gather(std::move(producers));
  channel.Close();
  int64_t sum = 0;
  for (plait::JoinHandle<int64_t>& consumer : consumers) sum += co_await std::move(consumer);
  co_return sent.ok() ? sum : -1;
}

plait::WorkStealingPool* pool = nullptr;

int64_t RunChannel(int n, int threads) {
  return plait::BlockOn(*pool, Exchange(n, ChannelSides(threads)));
}

void RunOnPool(int threads, const std::function<void()>& body) {
  plait::WorkStealingPool own({.threads = threads});
  pool = &own;
  body();
}

}  // namespace
}  // namespace peers

int main(int argc, char** argv) {
  // What is forked is examples/fork_join.
  return peers::PeerMain({.name = "plait",
                          .fib = nullptr,
                          .skynet = nullptr,
                          .nqueens = nullptr,
                          .matmul = nullptr,
                          .channel = peers::RunChannel,
                          .run_on = peers::RunOnPool},
                         argc, argv);
}
