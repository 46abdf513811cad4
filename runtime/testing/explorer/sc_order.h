// ScOrder: what is known of the total order S of an execution's sequentially consistent operations.
// Internal.
//
// S need not be the order in which the explorer runs them: C++20 only asks that some total order
// agrees with what [atomics.order] demands. So this keeps a partial order, the demands up to now,
// and tells whether one more would close a cycle.
#ifndef PLAIT_RUNTIME_TESTING_EXPLORER_SC_ORDER_H_
#define PLAIT_RUNTIME_TESTING_EXPLORER_SC_ORDER_H_

#include <array>
#include <cstdint>

#include "plait/runtime/testing/explorer/clock.h"
#include "plait/runtime/testing/explorer/fingerprint.h"
#include "plait/runtime/testing/explorer/sc_set.h"

namespace plait::explorer {

class ScOrder {
 public:
  void Reset() noexcept {
    size_ = 0;
    fingerprint_ = 0;
  }
  bool empty() const noexcept { return size_ == 0; }
  bool full() const noexcept { return size_ == ScSet::kMost; }

  // Those that strongly happen before an operation that `thread` is about to do, given what happens
  // before it: its own, and another thread's when that thread did something after it which is known
  // here. (The latter is not so where the operation itself was the release; then S is free.)
  ScSet StronglyBefore(int thread, const Clock& before) const noexcept;

  // Whether all of `first` may come before all of `second`.
  bool Allows(const ScSet& first, const ScSet& second) const noexcept {
    return second.empty() || !WithLater(second).Meets(first);
  }
  // From now on they do.
  void Demand(const ScSet& first, const ScSet& second) noexcept;
  // A new operation, after all of `first` and before all of `second`; gives its number.
  int Add(int thread, uint32_t index, const ScSet& first, const ScSet& second) noexcept;

  // Of the partial order, whatever order its operations were added in.
  Fingerprint fingerprint() const noexcept { return fingerprint_; }

 private:
  struct Operation {
    int thread = 0;
    uint32_t index = 0;
    ScSet later;
    Fingerprint name = 0;
    Fingerprint names_later = 0;  // the sum of those that come later
  };

  // `operations`, and all that come after one of them.
  ScSet WithLater(const ScSet& operations) const noexcept;
  void AddLater(Operation& operation, const ScSet& later) noexcept;

  std::array<Operation, ScSet::kMost> operations_;
  int size_ = 0;
  Fingerprint fingerprint_ = 0;  // the sum over all operations
};

}  // namespace plait::explorer

#endif  // PLAIT_RUNTIME_TESTING_EXPLORER_SC_ORDER_H_
