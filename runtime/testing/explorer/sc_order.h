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

namespace plait::explorer {

class ScOrder {
 public:
  void Reset() noexcept { size_ = 0; }
  bool empty() const noexcept { return size_ == 0; }
  bool full() const noexcept { return size_ == kMaxSequentiallyConsistent; }

  static ScSet Bit(int operation) noexcept { return ScSet{1} << operation; }

  // Those that strongly happen before an operation that `thread` is about to do, given what happens
  // before it: its own, and another thread's when that thread did something after it which is known
  // here. (The latter is not so where the operation itself was the release; then S is free.)
  ScSet StronglyBefore(int thread, const Clock& before) const noexcept;

  // Whether all of `first` may come before all of `second`.
  bool Allows(ScSet first, ScSet second) const noexcept {
    return second == 0 || (WithLater(second) & first) == 0;
  }
  // From now on they do.
  void Demand(ScSet first, ScSet second) noexcept;
  // A new operation, after all of `first` and before all of `second`; gives its number.
  int Add(int thread, uint32_t index, ScSet first, ScSet second) noexcept;

  // Of the partial order, whatever order its operations were added in.
  Fingerprint fingerprint() const noexcept;

 private:
  struct Operation {
    int thread = 0;
    uint32_t index = 0;
    ScSet later = 0;
  };

  // `operations`, and all that come after one of them.
  ScSet WithLater(ScSet operations) const noexcept;

  std::array<Operation, kMaxSequentiallyConsistent> operations_;
  int size_ = 0;
};

}  // namespace plait::explorer

#endif  // PLAIT_RUNTIME_TESTING_EXPLORER_SC_ORDER_H_
