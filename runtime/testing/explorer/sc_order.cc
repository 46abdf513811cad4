#include "plait/runtime/testing/explorer/sc_order.h"

#include <cstddef>

namespace plait::explorer {

ScSet ScOrder::StronglyBefore(int thread, const Clock& before) const noexcept {
  ScSet result;
  for (int i = 0; i < size_; ++i) {
    const Operation& operation = operations_[static_cast<size_t>(i)];
    const uint32_t known = before.at[static_cast<size_t>(operation.thread)];
    if (operation.thread == thread ? operation.index <= known : operation.index < known) {
      result |= ScSet::Of(i);
    }
  }
  return result;
}

ScSet ScOrder::WithLater(const ScSet& operations) const noexcept {
  ScSet result = operations;
  operations.ForEach([&](size_t i) { result |= operations_[i].later; });
  return result;
}

void ScOrder::Demand(const ScSet& first, const ScSet& second) noexcept {
  if (first.empty() || second.empty()) return;
  const ScSet later = WithLater(second);
  for (int i = 0; i < size_; ++i) {
    Operation& operation = operations_[static_cast<size_t>(i)];
    if (first.Meets(ScSet::Of(i) | operation.later)) AddLater(operation, later);
  }
}

void ScOrder::AddLater(Operation& operation, const ScSet& later) noexcept {
  const ScSet added = later - operation.later;
  if (added.empty()) return;
  operation.later |= added;
  fingerprint_ -= Chain(operation.name, operation.names_later);
  added.ForEach([&](size_t i) { operation.names_later += operations_[i].name; });
  fingerprint_ += Chain(operation.name, operation.names_later);
}

int ScOrder::Add(int thread, uint32_t index, const ScSet& first, const ScSet& second) noexcept {
  const int number = size_++;
  Operation& operation = operations_[static_cast<size_t>(number)];
  operation = {.thread = thread, .index = index, .name = Chain(0, NumberOf(thread, index))};
  fingerprint_ += Chain(operation.name, 0);
  AddLater(operation, WithLater(second));
  Demand(first, ScSet::Of(number));
  return number;
}

}  // namespace plait::explorer
