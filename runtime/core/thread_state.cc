#include "plait/runtime/core/thread_state.h"

#include <atomic>
#include <cstdint>

#include "plait/runtime/core/atomic.h"

namespace plait::internal {

constinit thread_local ThreadState thread_state;
constinit thread_local uint64_t thread_serial = 0;

uint64_t NewThreadSerial() noexcept {
  static constinit Atomic<uint64_t> last{0};
  // Relaxed: the numbers differ, and order nothing.
  return thread_serial = last.fetch_add(1, std::memory_order_relaxed) + 1;
}

}  // namespace plait::internal
