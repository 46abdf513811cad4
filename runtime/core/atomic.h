// Atomic<T>: the only atomics that the runtime's own code uses.
//
// In production it is std::atomic and nothing else. It has a name of its own so that the explorer
// (runtime/testing/explorer) can put a type in its place whose every access is a point at which
// another thread may run. That is decided for a whole test program at once, by the macro
// PLAIT_EXPLORE, which the rule plait_explored_test defines for the test and for all that it is
// made of: the code under test is the same text, no class takes its atomics as a template
// parameter, and production code is not touched by as much as an include. Fences are left out on
// purpose: ThreadSanitizer cannot reason about them, so orderings stand on the accesses.
#ifndef PLAIT_RUNTIME_CORE_ATOMIC_H_
#define PLAIT_RUNTIME_CORE_ATOMIC_H_

#include <atomic>

namespace plait::internal {

using MemoryOrder = std::memory_order;
inline constexpr MemoryOrder kRelaxed = std::memory_order_relaxed;
inline constexpr MemoryOrder kAcquire = std::memory_order_acquire;
inline constexpr MemoryOrder kRelease = std::memory_order_release;
inline constexpr MemoryOrder kAcqRel = std::memory_order_acq_rel;
inline constexpr MemoryOrder kSeqCst = std::memory_order_seq_cst;

#if !defined(PLAIT_EXPLORE)
template <class T>
using Atomic = std::atomic<T>;
#endif

}  // namespace plait::internal

#if defined(PLAIT_EXPLORE)
#include "plait/runtime/core/explored_atomic.h"
#endif

#endif  // PLAIT_RUNTIME_CORE_ATOMIC_H_
