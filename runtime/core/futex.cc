#include "plait/runtime/core/futex.h"

#include <chrono>

#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <climits>
#endif

namespace plait::internal {

#if defined(PLAIT_EXPLORE)

void FutexWait(const Atomic<uint32_t>& word, uint32_t value, absl::Duration timeout) noexcept {
  explored::FutexWait(&word, value, timeout != absl::InfiniteDuration());
}

void FutexWake(const Atomic<uint32_t>& word) noexcept { explored::FutexWake(&word); }

#elif defined(__linux__)

static_assert(sizeof(Atomic<uint32_t>) == sizeof(uint32_t), "the kernel reads the word itself");

void FutexWait(const Atomic<uint32_t>& word, uint32_t value, absl::Duration timeout) noexcept {
  const bool forever = timeout == absl::InfiniteDuration();
  const timespec relative = forever ? timespec{} : absl::ToTimespec(timeout);
  // Woken, interrupted, timed out or too late: the caller looks at the word in any case.
  syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, value, forever ? nullptr : &relative, nullptr, 0);
}

void FutexWake(const Atomic<uint32_t>& word) noexcept {
  syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
}

#else

namespace {

FutexTable& Table() {
  static FutexTable* table = new FutexTable;  // never destroyed: threads may outlive main
  return *table;
}

}  // namespace

void FutexWait(const Atomic<uint32_t>& word, uint32_t value, absl::Duration timeout) noexcept {
  Table().Wait(word, value, timeout);
}

void FutexWake(const Atomic<uint32_t>& word) noexcept { Table().Wake(word); }

#endif

FutexTable::Bucket& FutexTable::BucketOf(const Atomic<uint32_t>& word) noexcept {
  // Only a number to spread the words by.
  const auto address = reinterpret_cast<uintptr_t>(&word);
  return buckets_[static_cast<size_t>((address >> 2) * 0x9E3779B97F4A7C15u >> 58)];
}

void FutexTable::Wait(const Atomic<uint32_t>& word, uint32_t value,
                      absl::Duration timeout) noexcept {
  Bucket& bucket = BucketOf(word);
  std::unique_lock<std::mutex> lock(bucket.mutex);
  // Under the lock: who changes the word later comes by here, and finds us waiting.
  if (word.load(kRelaxed) != value) return;
  if (timeout == absl::InfiniteDuration()) {
    bucket.changed.wait(lock);
  } else {
    bucket.changed.wait_for(lock, absl::ToChronoNanoseconds(timeout));
  }
}

void FutexTable::Wake(const Atomic<uint32_t>& word) noexcept {
  Bucket& bucket = BucketOf(word);
  // Whoever has seen the old word is waiting once we have had the lock.
  {
    const std::lock_guard<std::mutex> lock(bucket.mutex);
  }
  bucket.changed.notify_all();
}

}  // namespace plait::internal
