#include "plait/runtime/task/as_completed.h"

namespace plait::internal {

void Completions::Add(size_t index) {
  std::unique_ptr<Promise<void>> waiter;
  {
    SpinLockHolder hold(lock_);
    ended_.push_back(index);
    waiter = std::move(waiter_);
  }
  if (waiter != nullptr) waiter->Set();
}

bool Completions::Take(size_t& index, Future<void>& wait) {
  auto waiter = std::make_unique<Promise<void>>();
  SpinLockHolder hold(lock_);
  if (ended_.empty()) {
    wait = waiter->future();
    waiter_ = std::move(waiter);
    return false;
  }
  index = ended_.front();
  ended_.pop_front();
  return true;
}

}  // namespace plait::internal
