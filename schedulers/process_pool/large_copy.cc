#include "plait/schedulers/process_pool/large_copy.h"

#include <algorithm>
#include <utility>

#include "plait/schedulers/process_pool/pool_system.h"

namespace plait::internal {
namespace {

// What a step costs on small pages at least, should those that were measured have been memory that
// was used before.
constexpr absl::Duration kSmallPages = absl::Milliseconds(1);
// So much of what a step costs may be lost for each in the hope of large pages.
constexpr double kHope = 0.25;

}  // namespace

LargePages::LargePages(void* memory, size_t size, Clock& clock) noexcept
    : memory_(static_cast<char*>(memory)),
      size_(size),
      clock_(clock),
      step_began_(clock.Now()),
      small_(absl::InfiniteDuration()) {}

void LargePages::Wrote(size_t written) noexcept {
  if (gave_up_) return;
  const Deadline now = clock_.Now();
  const absl::Duration took = now.Since(std::exchange(step_began_, now));
  if (to_measure_ > 0) {
    // The shorter one, as a thread may lose its processor in one of them.
    small_ = std::min(small_, took);
    if (--to_measure_ > 0) return;
    small_ = std::max(small_, kSmallPages);
    patience_ = small_ * kHope * static_cast<double>(size_ / kStep);
    pool_system::AdviseLargePages(memory_ + written, size_ - written, true);
    return;
  }
  patience_ += small_ - took;
  if (patience_ >= absl::ZeroDuration()) return;
  gave_up_ = true;
  pool_system::AdviseLargePages(memory_ + written, size_ - written, false);
}

}  // namespace plait::internal
