#include "plait/runtime/task/gather.h"

#include "absl/strings/str_cat.h"

namespace plait::internal {
namespace {

// Of an array whose elements, of `size` bytes, begin with a GatherSlot.
// (They are GatherChild<T>s, whose T is not known here.)
const GatherSlot& SlotAt(const GatherSlot* slots, size_t size, size_t index) {
  return *reinterpret_cast<const GatherSlot*>(reinterpret_cast<const char*>(slots) + size * index);
}
GatherSlot& SlotAt(GatherSlot* slots, size_t size, size_t index) {
  return *reinterpret_cast<GatherSlot*>(reinterpret_cast<char*>(slots) + size * index);
}

}  // namespace

void GatherScope::Fail(absl::Status error, std::exception_ptr exception) noexcept {
  {
    SpinLockHolder hold(lock_);
    if (failed_) return;
    failed_ = true;
  }
  // Only this child writes these, and the join comes after its end.
  error_ = std::move(error);
  exception_ = std::move(exception);
  stop().RequestStop();
}

absl::Status GatherScope::TakeError() {
  if (exception_ != nullptr) std::rethrow_exception(exception_);
  return std::move(error_);
}

void GatherScope::StartFirst(GatherSlot* slots, size_t size, size_t count, size_t limit,
                             bool may_drop) noexcept {
  if (count > limit) {
    slots_ = slots;
    slot_size_ = size;
    slot_count_ = count;
    may_drop_ = may_drop;
    // Before any child can end and start another.
    next_slot_.store(limit, kRelaxed);
  }
  for (size_t i = 0; i < count && i < limit; ++i) SlotAt(slots, size, i).coroutine()->Schedule();
}

void GatherScope::StartNext() noexcept {
  // The count below covers every child that has not ended, so the slots are there.
  for (;;) {
    const size_t index = next_slot_.fetch_add(1, kRelaxed);
    if (index >= slot_count_) return;
    GatherSlot& slot = SlotAt(slots_, slot_size_, index);
    PromiseBase* coroutine = slot.coroutine();
    if (!may_drop_ || !stop().stop_requested()) {
      coroutine->Schedule();
      return;
    }
    slot.next = nullptr;
    coroutine->handle().destroy();
    Fail(absl::CancelledError("the task was cancelled before it started"), nullptr);
    counter_.Done();  // not the last: the child that has just ended is still counted
  }
}

void ShowSlot(const GatherSlot& slot, AwaitVisitor& visitor) {
  if (slot.next != nullptr) visitor.OnCoroutine(*slot.coroutine());
}

const AwaitKind GatherArrayNote::kKind{"Gather", &GatherArrayNote::Visit};

void GatherArrayNote::Visit(const AwaitNote& note, AwaitVisitor& visitor) {
  const auto& self = static_cast<const GatherArrayNote&>(note);
  for (size_t i = 0; i < self.count; ++i) {
    ShowSlot(SlotAt(self.slots, self.slot_size, i), visitor);
  }
}

absl::Status CheckLimit(int limit) {
  if (limit >= 1) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("GatherLimit: the limit must be at least 1, not ", limit));
}

}  // namespace plait::internal
