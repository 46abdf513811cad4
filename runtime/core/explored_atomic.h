// Atomic<T> of programs that run under the explorer (PLAIT_EXPLORE; see atomic.h): it has the
// functions of std::atomic, and each of them asks the explorer what happens.
//
// The functions below are defined in runtime/testing/explorer, which such a program links. Outside
// of an exploration, in a test's set-up say, they do what std::atomic does.
#ifndef PLAIT_RUNTIME_CORE_EXPLORED_ATOMIC_H_
#define PLAIT_RUNTIME_CORE_EXPLORED_ATOMIC_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <source_location>
#include <type_traits>

#include "plait/runtime/core/atomic.h"

namespace plait::internal {
namespace explored {

using Site = std::source_location;

enum class Change : uint8_t { kExchange, kAdd, kSubtract, kAnd, kOr, kXor };

void Create(const void* at, size_t size) noexcept;
void Destroy(const void* at) noexcept;
uint64_t Load(const void* at, size_t size, MemoryOrder order, const Site& site) noexcept;
void Store(void* at, size_t size, uint64_t value, MemoryOrder order, const Site& site) noexcept;
// Gives the value that was there.
uint64_t Modify(void* at, size_t size, Change change, uint64_t operand, MemoryOrder order,
                const Site& site) noexcept;
bool CompareExchange(void* at, size_t size, uint64_t& expected, uint64_t desired, bool weak,
                     MemoryOrder success, MemoryOrder failure, const Site& site) noexcept;
// std::atomic_thread_fence. The runtime does without; the explorer's own tests do not.
void Fence(MemoryOrder order, const Site& site = Site::current()) noexcept;

// runtime/core/heavy_barrier.h's. Each counts as a fence, which a mutant leaves out; without the
// light one the compiler may move the accesses around it, and the heavy one orders nothing there.
void HeavyBarrier(const Site& site = Site::current()) noexcept;
void LightBarrier(const Site& site = Site::current()) noexcept;

// A step of a loop that waits for another thread's store: others run, until there is one.
void Spin(const Site& site = Site::current()) noexcept;

// runtime/core/futex.h's.
void FutexWait(const void* at, uint32_t value, bool times_out,
               const Site& site = Site::current()) noexcept;
void FutexWake(const void* at, const Site& site = Site::current()) noexcept;

constexpr MemoryOrder OnFailure(MemoryOrder success) noexcept {
  if (success == kAcqRel) return kAcquire;
  return success == kRelease ? kRelaxed : success;
}

}  // namespace explored

#if defined(PLAIT_EXPLORE)
template <class T>
class Atomic {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8,
                "the explorer knows atomics of at most eight bytes");
  using Site = explored::Site;
  using Difference = std::conditional_t<std::is_pointer_v<T>, ptrdiff_t, T>;

 public:
  constexpr Atomic() noexcept : Atomic(T()) {}
  constexpr Atomic(T value) noexcept : value_(value) {  // NOLINT: implicit, as std::atomic's
    if (!std::is_constant_evaluated()) explored::Create(this, sizeof(T));
  }
  Atomic(const Atomic&) = delete;
  Atomic& operator=(const Atomic&) = delete;
  constexpr ~Atomic() {
    if (!std::is_constant_evaluated()) explored::Destroy(this);
  }

  T load(MemoryOrder order = kSeqCst, Site site = Site::current()) const noexcept {
    return Value(explored::Load(this, sizeof(T), order, site));
  }
  void store(T value, MemoryOrder order = kSeqCst, Site site = Site::current()) noexcept {
    explored::Store(this, sizeof(T), Bits(value), order, site);
  }
  T exchange(T value, MemoryOrder order = kSeqCst, Site site = Site::current()) noexcept {
    return Modify(explored::Change::kExchange, Bits(value), order, site);
  }
  bool compare_exchange_strong(T& expected, T desired, MemoryOrder success, MemoryOrder failure,
                               Site site = Site::current()) noexcept {
    return Compare(expected, desired, false, success, failure, site);
  }
  bool compare_exchange_strong(T& expected, T desired, MemoryOrder order = kSeqCst,
                               Site site = Site::current()) noexcept {
    return Compare(expected, desired, false, order, explored::OnFailure(order), site);
  }
  bool compare_exchange_weak(T& expected, T desired, MemoryOrder success, MemoryOrder failure,
                             Site site = Site::current()) noexcept {
    return Compare(expected, desired, true, success, failure, site);
  }
  bool compare_exchange_weak(T& expected, T desired, MemoryOrder order = kSeqCst,
                             Site site = Site::current()) noexcept {
    return Compare(expected, desired, true, order, explored::OnFailure(order), site);
  }
  T fetch_add(Difference n, MemoryOrder order = kSeqCst, Site site = Site::current()) noexcept {
    return Modify(explored::Change::kAdd, Steps(n), order, site);
  }
  T fetch_sub(Difference n, MemoryOrder order = kSeqCst, Site site = Site::current()) noexcept {
    return Modify(explored::Change::kSubtract, Steps(n), order, site);
  }
  T fetch_and(T mask, MemoryOrder order = kSeqCst, Site site = Site::current()) noexcept {
    return Modify(explored::Change::kAnd, Bits(mask), order, site);
  }
  T fetch_or(T mask, MemoryOrder order = kSeqCst, Site site = Site::current()) noexcept {
    return Modify(explored::Change::kOr, Bits(mask), order, site);
  }
  T fetch_xor(T mask, MemoryOrder order = kSeqCst, Site site = Site::current()) noexcept {
    return Modify(explored::Change::kXor, Bits(mask), order, site);
  }

  // Sequentially consistent, as std::atomic's.
  operator T() const noexcept { return load(); }  // NOLINT: implicit, as std::atomic's
  T operator=(T value) noexcept {
    store(value);
    return value;
  }
  T operator++() noexcept { return fetch_add(1) + 1; }
  T operator++(int) noexcept { return fetch_add(1); }
  T operator--() noexcept { return fetch_sub(1) - 1; }
  T operator--(int) noexcept { return fetch_sub(1); }
  T operator+=(Difference n) noexcept { return fetch_add(n) + n; }
  T operator-=(Difference n) noexcept { return fetch_sub(n) - n; }

 private:
  static uint64_t Bits(T value) noexcept {
    uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof(value));
    return bits;
  }
  static T Value(uint64_t bits) noexcept {
    T value;
    std::memcpy(static_cast<void*>(&value), &bits, sizeof(value));
    return value;
  }
  static uint64_t Steps(Difference n) noexcept {
    if constexpr (std::is_pointer_v<T>) {
      return static_cast<uint64_t>(n) * sizeof(std::remove_pointer_t<T>);
    } else {
      return Bits(n);
    }
  }
  T Modify(explored::Change change, uint64_t operand, MemoryOrder order,
           const Site& site) noexcept {
    return Value(explored::Modify(this, sizeof(T), change, operand, order, site));
  }
  bool Compare(T& expected, T desired, bool weak, MemoryOrder success, MemoryOrder failure,
               const Site& site) noexcept {
    uint64_t bits = Bits(expected);
    if (explored::CompareExchange(this, sizeof(T), bits, Bits(desired), weak, success, failure,
                                  site)) {
      return true;
    }
    expected = Value(bits);
    return false;
  }

  T value_;  // what it was made with, during an exploration: the explorer knows the rest
};
#endif

}  // namespace plait::internal

#endif  // PLAIT_RUNTIME_CORE_EXPLORED_ATOMIC_H_
