// Futex: a thread sleeps for as long as a word has a value. Part of the environment seam.
//
// What locks and parkers are made of (runtime/core/parker.h); code that only wants to wait uses
// those. On Linux it is the system call of that name; elsewhere a table of condition variables, as
// in FutexTable below; under the explorer, a wait that the explorer knows, so that a wake-up that
// is lost is found.
//
// Threads: any. Lifetime: a wake-up may come after the word has died, and does no harm then; a wait
// must be over before. Cost: a system call each; 29 µs until the sleeper runs, on a virtual
// machine.
#ifndef PLAIT_RUNTIME_CORE_FUTEX_H_
#define PLAIT_RUNTIME_CORE_FUTEX_H_

#include <array>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>

#include "absl/time/time.h"
#include "plait/runtime/core/atomic.h"

namespace plait::internal {

// Sleeps until FutexWake is called for `word`, or `timeout` has passed. Returns at once when it is
// not `value`, and may do so for no reason: look at the word again. Whoever changes the word and
// then calls FutexWake wakes all that slept, or were about to, for what it was before. Orders
// nothing.
void FutexWait(const Atomic<uint32_t>& word, uint32_t value, absl::Duration timeout) noexcept;

// Wakes all that sleep on `word`.
void FutexWake(const Atomic<uint32_t>& word) noexcept;

// The same where the system has nothing of the kind.
class FutexTable {
 public:
  FutexTable() = default;
  FutexTable(const FutexTable&) = delete;
  FutexTable& operator=(const FutexTable&) = delete;

  void Wait(const Atomic<uint32_t>& word, uint32_t value, absl::Duration timeout) noexcept;
  void Wake(const Atomic<uint32_t>& word) noexcept;

 private:
  // Words that fall into the same bucket wake each other's sleepers for no reason.
  struct Bucket {
    std::mutex mutex;
    std::condition_variable changed;
  };
  Bucket& BucketOf(const Atomic<uint32_t>& word) noexcept;

  std::array<Bucket, 64> buckets_;
};

}  // namespace plait::internal

#endif  // PLAIT_RUNTIME_CORE_FUTEX_H_
