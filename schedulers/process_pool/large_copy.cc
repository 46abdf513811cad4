#include "plait/schedulers/process_pool/large_copy.h"

#include "plait/schedulers/process_pool/pool_system.h"

namespace plait::internal {
namespace {

// What a step costs on small pages, about, and what may be lost for each in the hope of large ones.
constexpr absl::Duration kSmallPages = absl::Milliseconds(1);
constexpr absl::Duration kHope = absl::Microseconds(250);

}  // namespace

LargePages::LargePages(void* memory, size_t size, Clock& clock) noexcept
    : memory_(static_cast<char*>(memory)),
      size_(size),
      clock_(clock),
      step_began_(clock.Now()),
      patience_(kHope * static_cast<double>(size / kStep)) {
  pool_system::AdviseLargePages(memory_, size_, true);
}

void LargePages::Wrote(size_t written) noexcept {
  if (gave_up_) return;
  const Deadline now = clock_.Now();
  patience_ += kSmallPages - now.Since(step_began_);
  step_began_ = now;
  if (patience_ >= absl::ZeroDuration()) return;
  gave_up_ = true;
  pool_system::AdviseLargePages(memory_ + written, size_ - written, false);
}

}  // namespace plait::internal
