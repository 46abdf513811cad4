// Clock: what happens before a point of an explored execution. Internal.
#ifndef PLAIT_RUNTIME_TESTING_EXPLORER_CLOCK_H_
#define PLAIT_RUNTIME_TESTING_EXPLORER_CLOCK_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>

#include "plait/runtime/testing/explorer/sc_set.h"

namespace plait::explorer {

// The thread that Explore's body begins on, and those that it starts.
inline constexpr int kMaxThreads = 6;

// In place of a bound on stale values: there is none.
inline constexpr int kAllValues = std::numeric_limits<int>::max();

// A vector clock. Each thread numbers its operations from 1.
struct Clock {
  std::array<uint32_t, kMaxThreads> at{};
  ScSet fences;  // the sequentially consistent fences that happen before

  void Join(const Clock& other) noexcept {
    for (size_t i = 0; i < at.size(); ++i) at[i] = std::max(at[i], other.at[i]);
    fences |= other.fences;
  }
  // Whether that operation happens before.
  bool Knows(int thread, uint32_t index) const noexcept {
    return index <= at[static_cast<size_t>(thread)];
  }
};

}  // namespace plait::explorer

#endif  // PLAIT_RUNTIME_TESTING_EXPLORER_CLOCK_H_
