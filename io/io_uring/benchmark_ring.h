// BenchmarkRing: the reactor's ring without the reactor, for benchmarks of what the kernel does.
#ifndef PLAIT_IO_IO_URING_BENCHMARK_RING_H_
#define PLAIT_IO_IO_URING_BENCHMARK_RING_H_

#include <liburing.h>

#include <string>

#include "absl/status/status.h"
#include "benchmark/benchmark.h"
#include "plait/io/io_uring/io_uring_reactor.h"
#include "plait/io/io_uring/ring.h"
#include "plait/runtime/core/check.h"

namespace plait::internal {

class BenchmarkRing {
 public:
  // Where the system gives none the benchmark is skipped, and says so.
  explicit BenchmarkRing(benchmark::State& state) {
    absl::Status made = ring_.Open(IoUringOptions());
    if (made.ok()) made = ring_.Enable();
    if (!made.ok()) {
      state.SkipWithError(made.ToString().c_str());
      return;
    }
    ring_.Register();
    works_ = true;
  }

  bool works() const { return works_; }
  bool supports(unsigned opcode) const { return ring_.supports(opcode); }
  // At most 128 before they are submitted.
  io_uring_sqe& Next() {
    io_uring_sqe* const entry = ring_.NextEntry();
    PLAIT_CHECK(entry != nullptr, "more requests than the queue has room for");
    return *entry;
  }
  void Submit() { PLAIT_CHECK(ring_.Enter(0, nullptr) == 0, "io_uring_enter failed"); }
  // Submits, and calls `handle(completion)` for each that comes, until it was called `least` times.
  template <class Handle>
  void SubmitAndWait(unsigned least, Handle handle) {
    for (unsigned done = 0; done < least;) {
      PLAIT_CHECK(ring_.Enter(least - done, nullptr) == 0, "io_uring_enter failed");
      done += ring_.Reap(handle);
    }
  }

 private:
  Ring ring_;
  bool works_ = false;
};

}  // namespace plait::internal

#endif  // PLAIT_IO_IO_URING_BENCHMARK_RING_H_
