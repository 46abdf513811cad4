#include "plait/runtime/core/idle_frames.h"

#if __has_include(<malloc.h>)
#include <malloc.h>
#endif

#include <algorithm>
#include <cstddef>

#include "absl/time/time.h"
#include "plait/runtime/core/atomic.h"

namespace plait::internal {
namespace {

// Relaxed, as an estimate.
constinit Atomic<size_t> bytes_until_trim{kBytesUntilTrim};

// All that is free in the allocator, to the system.
void Trim() noexcept {
#if defined(__GLIBC__)
  ::malloc_trim(0);
#endif
}

}  // namespace

void GiveBackIdleFrames(Clock& clock) noexcept {
  GiveBackFrames();
  if (!FramesWereFreed(bytes_until_trim.load(kRelaxed))) return;
  const Deadline begin = clock.Now();
  Trim();
  const absl::Duration took = clock.Now().Since(begin);
  const auto paid = static_cast<size_t>(absl::ToInt64Milliseconds(took)) << 20;
  bytes_until_trim.store(std::max(kBytesUntilTrim, paid), kRelaxed);
}

}  // namespace plait::internal
