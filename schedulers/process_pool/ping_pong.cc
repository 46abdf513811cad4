#include "plait/schedulers/process_pool/ping_pong.h"

#include <signal.h>

#include <algorithm>
#include <cstddef>
#include <new>

#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/schedulers/process_pool/pool_system.h"
#include "plait/schedulers/process_pool/process_system.h"

namespace plait::internal {

ForkedProcess::ForkedProcess(absl::FunctionRef<void()> body) {
  const int parent = pool_system::ProcessId();
  pid_ = pool_system::Fork();
  PLAIT_CHECK(pid_ >= 0, "a measurement needs another process");
  if (pid_ != 0) return;
  if (pool_system::DieWithParent(parent) == 0) body();
  pool_system::ExitAtOnce(0);
}

ForkedProcess::~ForkedProcess() {
  pool_system::SignalProcess(pid_, SIGKILL);
  pool_system::ProcessEnd end;
  pool_system::TakeEnd(pid_, true, &end);
}

void Latencies::Begin() { begin_ = Clock::Real().Now().nanos(); }

void Latencies::End() { nanos_.push_back(Clock::Real().Now().nanos() - begin_); }

double Latencies::At(double part) {
  if (nanos_.empty()) return 0;
  std::sort(nanos_.begin(), nanos_.end());
  const auto last = static_cast<double>(nanos_.size() - 1);
  return static_cast<double>(nanos_[static_cast<size_t>(last * part)]) / 1000;
}

struct PingPong::Words {
  static Words& In(const PayloadMemory& memory) {
    return *::new (static_cast<void*>(memory.to_worker().data)) Words();
  }

  static void WaitUntil(Atomic<uint32_t>& word, uint32_t value, Waits waits) {
    for (uint32_t seen = word.load(); seen != value; seen = word.load()) {
      if (waits == Waits::kParked) {
        pool_system::FutexWait(word, seen, -1);
      } else {
        SpinWait(0);
      }
    }
  }

  static void Post(Atomic<uint32_t>& word, uint32_t value, Waits waits) {
    word.store(value);
    if (waits == Waits::kParked) pool_system::FutexWake(word);
  }

  alignas(64) Atomic<uint32_t> ping{0};
  alignas(64) Atomic<uint32_t> pong{0};
};

PingPong::PingPong(Waits waits)
    : waits_(waits),
      memory_(*PayloadMemory::Create(sizeof(Words))),
      words_(Words::In(*memory_)),
      other_([this] {
        for (uint32_t round = 1;; ++round) {
          Words::WaitUntil(words_.ping, round, waits_);
          Words::Post(words_.pong, round, waits_);
        }
      }) {}

void PingPong::Round() {
  Words::Post(words_.ping, ++round_, waits_);
  Words::WaitUntil(words_.pong, round_, waits_);
}

Latencies PingPong::Measure(Waits waits, int rounds, absl::Duration pause) {
  PingPong floor(waits);
  Latencies latencies;
  Atomic<uint32_t> never{0};
  const Deadline end = Clock::Real().Now() + absl::Seconds(1);
  for (int i = 0; i < rounds && Clock::Real().Now() < end; ++i) {
    if (pause > absl::ZeroDuration()) {
      pool_system::FutexWait(never, 0, absl::ToInt64Nanoseconds(pause));
    }
    latencies.Begin();
    floor.Round();
    latencies.End();
  }
  return latencies;
}

}  // namespace plait::internal
