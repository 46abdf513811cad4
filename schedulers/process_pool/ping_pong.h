// What the round trips of worker processes are measured against: a bare futex in memory that two
// processes share. Test-only; part of the benchmarks.
#ifndef PLAIT_SCHEDULERS_PROCESS_POOL_PING_PONG_H_
#define PLAIT_SCHEDULERS_PROCESS_POOL_PING_PONG_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "plait/schedulers/process_pool/payload.h"

namespace plait::internal {

// Another process for as long as this lives: a fork that does `body`, which needs never return. The
// program has one thread.
class ForkedProcess {
 public:
  explicit ForkedProcess(absl::FunctionRef<void()> body);
  ForkedProcess(const ForkedProcess&) = delete;
  ForkedProcess& operator=(const ForkedProcess&) = delete;
  ~ForkedProcess();

 private:
  int pid_;
};

// How long each of many things took.
class Latencies {
 public:
  void Begin();
  void End();
  // In microseconds: `part` of them (0.5, 0.99) took no longer. Sorts them.
  double At(double part);

 private:
  int64_t begin_ = 0;
  std::vector<int64_t> nanos_;
};

// The floor of a round trip to another process.
class PingPong {
 public:
  enum class Waits : uint8_t {
    kParked,  // both sleep on the futex: two context switches a round
    kSpins,   // both look without ever sleeping: two trips of a cache line
  };

  explicit PingPong(Waits waits);
  void Round();

  // Of so many rounds, each after a pause, or of as many as there are in a second.
  static Latencies Measure(Waits waits, int rounds, absl::Duration pause = absl::ZeroDuration());

 private:
  struct Words;

  const Waits waits_;
  const std::shared_ptr<PayloadMemory> memory_;
  Words& words_;
  uint32_t round_ = 0;
  const ForkedProcess other_;
};

}  // namespace plait::internal

#endif  // PLAIT_SCHEDULERS_PROCESS_POOL_PING_PONG_H_
