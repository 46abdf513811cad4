// What does it cost to bound an operation's time by a linked timeout of the kernel's, and what by a
// timer of ours? Both are set for a minute and not needed: the operation ends first.
//
// By the kernel it is a second request and a second completion for each operation; by us a look at
// the clock, Add and Cancel. One that ends at once (a NOP) shows what the requests cost; one that
// waits (a read of a pipe) also what the kernel's timer does. One operation and 32 at a time, as a
// turn of the loop submits what there is.
//
// What it showed (Linux 6.18 on a virtual machine of 2.1 GHz, g++ 12; ns of an operation without a
// limit, and what the limit adds):
//
//                            no limit   timer of ours   linked timeout
//   ends at once, 1 a turn      1,289             +99             +542
//   ends at once, 32 a turn        81             +46             +226
//   waits, 1 a turn             4,360            +120             +530
//   waits, 32 a turn            1,746             +39             +340
#include <liburing.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "benchmark/benchmark.h"
#include "plait/io/io_uring/benchmark_ring.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/core/deadline.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/timer.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/runtime/time/timer_queue.h"

namespace plait {
namespace {

using internal::BenchmarkRing;

enum class By { kNothing, kTimer, kLinkedTimeout };

constexpr absl::Duration kLimit = absl::Minutes(1);
// What a linked timeout's own completion carries; the operations carry their numbers.
constexpr uint64_t kTimeout = ~uint64_t{0};

// The limits of a batch of operations.
class Limits {
 public:
  Limits(By by, size_t operations) : by_(by), timers_(operations) {}

  // Behind the request of operation `number`, which is `entry`.
  void Bound(BenchmarkRing& ring, io_uring_sqe& entry, size_t number) {
    if (by_ == By::kTimer) {
      timers_[number].deadline = Clock::Real().Now() + kLimit;
      queue_.Add(timers_[number]);
    } else if (by_ == By::kLinkedTimeout) {
      entry.flags |= IOSQE_IO_LINK;
      io_uring_sqe& timeout = ring.Next();
      io_uring_prep_link_timeout(&timeout, &minute_, 0);
      timeout.user_data = kTimeout;
    }
  }
  void Ended(const io_uring_cqe& completion) {
    if (completion.user_data == kTimeout) return;
    PLAIT_CHECK(completion.res >= 0, "an operation failed");
    if (by_ == By::kTimer) queue_.Cancel(timers_[completion.user_data]);
  }
  // Of so many operations.
  unsigned completions() const {
    return static_cast<unsigned>(timers_.size()) * (by_ == By::kLinkedTimeout ? 2 : 1);
  }

 private:
  const By by_;
  __kernel_timespec minute_{.tv_sec = absl::ToInt64Seconds(kLimit), .tv_nsec = 0};
  std::vector<Timer> timers_;
  TimerQueue queue_;
};

void BM_OperationThatEndsAtOnce(benchmark::State& state, By by) {
  BenchmarkRing ring(state);
  if (!ring.works()) return;
  const auto operations = static_cast<size_t>(state.range(0));
  Limits limits(by, operations);
  for (auto _ : state) {
    for (size_t i = 0; i < operations; ++i) {
      io_uring_sqe& entry = ring.Next();
      io_uring_prep_nop(&entry);
      entry.user_data = i;
      limits.Bound(ring, entry, i);
    }
    ring.SubmitAndWait(limits.completions(),
                       [&](const io_uring_cqe& completion) { limits.Ended(completion); });
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

void BM_OperationThatWaits(benchmark::State& state, By by) {
  BenchmarkRing ring(state);
  if (!ring.works()) return;
  const auto operations = static_cast<size_t>(state.range(0));
  std::vector<FdPair> pipes;
  for (size_t i = 0; i < operations; ++i) pipes.push_back(MakePipe());
  Limits limits(by, operations);
  char byte = 0;
  for (auto _ : state) {
    for (size_t i = 0; i < operations; ++i) {
      io_uring_sqe& entry = ring.Next();
      io_uring_prep_read(&entry, pipes[i].first.get(), &byte, 1, ~uint64_t{0});
      entry.user_data = i;
      limits.Bound(ring, entry, i);
    }
    ring.Submit();
    for (const FdPair& pipe : pipes) WriteAll(pipe.second.get(), "x");
    ring.SubmitAndWait(limits.completions(),
                       [&](const io_uring_cqe& completion) { limits.Ended(completion); });
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

#define PLAIT_BENCHMARK_BY_EACH(function)                                      \
  BENCHMARK_CAPTURE(function, without_a_limit, By::kNothing)->Arg(1)->Arg(32); \
  BENCHMARK_CAPTURE(function, timer_of_ours, By::kTimer)->Arg(1)->Arg(32);     \
  BENCHMARK_CAPTURE(function, linked_timeout, By::kLinkedTimeout)->Arg(1)->Arg(32)

PLAIT_BENCHMARK_BY_EACH(BM_OperationThatEndsAtOnce);
PLAIT_BENCHMARK_BY_EACH(BM_OperationThatWaits);

}  // namespace
}  // namespace plait
