#include "plait/runtime/testing/explorer/sc_order.h"

namespace plait::explorer {

ScSet ScOrder::StronglyBefore(int thread, const Clock& before) const noexcept {
  ScSet result = 0;
  for (int i = 0; i < size_; ++i) {
    const Operation& operation = operations_[static_cast<size_t>(i)];
    const uint32_t known = before.at[static_cast<size_t>(operation.thread)];
    if (operation.thread == thread ? operation.index <= known : operation.index < known) {
      result |= Bit(i);
    }
  }
  return result;
}

ScSet ScOrder::WithLater(ScSet operations) const noexcept {
  ScSet result = operations;
  for (int i = 0; i < size_; ++i) {
    if ((operations & Bit(i)) != 0) result |= operations_[static_cast<size_t>(i)].later;
  }
  return result;
}

void ScOrder::Demand(ScSet first, ScSet second) noexcept {
  if (first == 0 || second == 0) return;
  const ScSet later = WithLater(second);
  for (int i = 0; i < size_; ++i) {
    Operation& operation = operations_[static_cast<size_t>(i)];
    if ((first & (Bit(i) | operation.later)) != 0) operation.later |= later;
  }
}

int ScOrder::Add(int thread, uint32_t index, ScSet first, ScSet second) noexcept {
  const int number = size_++;
  operations_[static_cast<size_t>(number)] = {
      .thread = thread, .index = index, .later = WithLater(second)};
  Demand(first, Bit(number));
  return number;
}

Fingerprint ScOrder::fingerprint() const noexcept {
  const auto number = [this](int i) {
    const Operation& operation = operations_[static_cast<size_t>(i)];
    return Chain(0, NumberOf(operation.thread, operation.index));
  };
  Fingerprint sum = 0;
  for (int i = 0; i < size_; ++i) {
    Fingerprint later = 0;
    for (int j = 0; j < size_; ++j) {
      if ((operations_[static_cast<size_t>(i)].later & Bit(j)) != 0) later += number(j);
    }
    sum += Chain(number(i), later);
  }
  return sum;
}

}  // namespace plait::explorer
