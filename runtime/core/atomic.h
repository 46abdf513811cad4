// Atomic<T>: the only atomics that the runtime's own code uses.
//
// In production it is std::atomic and nothing else. It has a name of its own so that a model
// checker can put a type in its place whose every access is a point at which another thread may
// run. Fences are left out on purpose: neither ThreadSanitizer nor a model checker of this kind can
// reason about them, so orderings stand on the accesses.
#ifndef PLAIT_RUNTIME_CORE_ATOMIC_H_
#define PLAIT_RUNTIME_CORE_ATOMIC_H_

#include <atomic>

namespace plait::internal {

template <class T>
using Atomic = std::atomic<T>;

using MemoryOrder = std::memory_order;
inline constexpr MemoryOrder kRelaxed = std::memory_order_relaxed;
inline constexpr MemoryOrder kAcquire = std::memory_order_acquire;
inline constexpr MemoryOrder kRelease = std::memory_order_release;
inline constexpr MemoryOrder kAcqRel = std::memory_order_acq_rel;
inline constexpr MemoryOrder kSeqCst = std::memory_order_seq_cst;

}  // namespace plait::internal

#endif  // PLAIT_RUNTIME_CORE_ATOMIC_H_
