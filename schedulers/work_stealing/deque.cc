#include "plait/schedulers/work_stealing/deque.h"

#include <bit>
#include <utility>

#include "plait/runtime/core/check.h"

namespace plait::internal {

WorkStealingDeque::WorkStealingDeque(size_t capacity) : ring_(nullptr) {
  PLAIT_CHECK(std::has_single_bit(capacity),
              "the capacity of a WorkStealingDeque must be a power of two");
  rings_.push_back(std::make_unique<Ring>(static_cast<int64_t>(capacity)));
  ring_.store(rings_.back().get(), kRelaxed);
}

WorkStealingDeque::~WorkStealingDeque() = default;

WorkStealingDeque::Ring* WorkStealingDeque::Grow(const Ring& full, int64_t top, int64_t bottom) {
  auto larger = std::make_unique<Ring>(full.capacity() * 2);
  for (int64_t i = top; i < bottom; ++i) larger->Put(i, full.Get(i));
  Ring* const ring = larger.get();
  rings_.push_back(std::move(larger));
  ring_.store(ring, kRelease);
  return ring;
}

}  // namespace plait::internal
