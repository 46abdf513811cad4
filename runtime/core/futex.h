// Futex: a thread sleeps for as long as a word has a value. Part of the environment seam.
//
// What locks and parkers are made of (runtime/core/parker.h); code that only wants to wait uses
// those. On Linux it is the system call of that name; elsewhere FutexTable below; under the
// explorer, a wait that the explorer knows, so that a wake-up that is lost is found.
//
// Threads: any; FutexWake may be called from a signal handler, also one that interrupts a thread
// inside of these. Lifetime: a wake-up may come after the word has died, and does no harm then; a
// wait must be over before. Cost: a system call each; 29 µs until the sleeper runs, on a virtual
// machine.
#ifndef PLAIT_RUNTIME_CORE_FUTEX_H_
#define PLAIT_RUNTIME_CORE_FUTEX_H_

#include <array>
#include <cstddef>
#include <cstdint>

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

// What one thread sleeps on, and others wake it from: a pipe, as to write is one of the few things
// that a signal handler may do on every system. (Not a lock and a condition: who is interrupted may
// hold the lock. Not a semaphore: macOS has none without a name.)
class Bell {
 public:
  constexpr Bell() = default;
  Bell(const Bell&) = delete;
  Bell& operator=(const Bell&) = delete;
  ~Bell();

  // Before Await, by its thread. Ring may be called once it has returned.
  void Prepare() noexcept;
  // Until it is rung, or was since the last Await, or `timeout` has passed. May return early.
  void Await(absl::Duration timeout) noexcept;
  // Any thread; a signal handler.
  void Ring() noexcept;

 private:
  bool made_ = false;
#if defined(PLAIT_EXPLORE)
  Atomic<uint32_t> rung_{0};
#else
  bool tried_ = false;
  uint64_t tried_in_ = 0;   // which process; a forked child makes its own, and rings no other
  int ends_[2] = {-1, -1};  // to read and to write
#endif
};

// The same as the functions above where the system has nothing of the kind.
//
// Who waits takes a place, says there for which word, and looks at the word once more; who has
// changed the word looks at all places.
//
//   free --Wait--> taken --its bell is there--> asleep for a word --Wait returns--> free
//
// No lock, as a signal handler may interrupt anybody anywhere: what is looked at is modified, with
// the value that it has. So of a waiter's announcement and a waker's look at the same place one
// comes first: either the waker finds the waiter, or the waiter, which has read what the waker's
// look wrote, finds the word changed. A place's bell may be rung late, for a sleeper that is gone:
// then the next one there wakes up for no reason, once. Places are never given back. In a forked
// child those on which its parent's threads slept stay taken, and nobody is woken there. Constant
// to begin with, so that a signal handler finds it made.
// parker_explored_test weakens each memory order.
class FutexTable {
 public:
  constexpr FutexTable() = default;
  FutexTable(const FutexTable&) = delete;
  FutexTable& operator=(const FutexTable&) = delete;
  ~FutexTable();

  void Wait(const Atomic<uint32_t>& word, uint32_t value, absl::Duration timeout) noexcept;
  void Wake(const Atomic<uint32_t>& word) noexcept;

 private:
#if defined(PLAIT_EXPLORE)
  // As few as let two words meet, and more sleep than there are places.
  static constexpr size_t kBuckets = 1;
  static constexpr size_t kPlaces = 1;
#else
  static constexpr size_t kBuckets = 64;
  static constexpr size_t kPlaces = 4;
#endif

  struct Place {
    // The address of the word that somebody sleeps for here, or one of these.
    static constexpr uintptr_t kFree = 0;
    static constexpr uintptr_t kTaken = 1;

    Atomic<uintptr_t> word{kFree};
    Bell bell;
  };
  // Those of the words whose addresses fall together.
  struct Bucket {
    std::array<Place, kPlaces> places;
    Atomic<Bucket*> more{nullptr};
  };

  Bucket& BucketOf(const Atomic<uint32_t>& word) noexcept;
  static Place& TakePlace(Bucket& first) noexcept;
  static Bucket& MoreOf(Bucket& bucket) noexcept;

  std::array<Bucket, kBuckets> buckets_;
};

}  // namespace plait::internal

#endif  // PLAIT_RUNTIME_CORE_FUTEX_H_
