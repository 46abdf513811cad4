// OperationList: operations that wait, in order; any can be taken out in O(1).
//
// Linked through IoOperation::next and reactor_slot[1], which is the one before, and of the first
// the last: a list is one word, as reactors have some for each descriptor. reactor_slot[0] is not
// null while in a list; its lowest three bits are free for the reactor's own use.
#ifndef PLAIT_IO_REACTOR_OPERATION_LIST_H_
#define PLAIT_IO_REACTOR_OPERATION_LIST_H_

#include "plait/runtime/core/io_operation.h"

namespace plait::internal {

struct alignas(8) OperationList {
  IoOperation* first = nullptr;

  bool empty() const noexcept { return first == nullptr; }

  void PushBack(IoOperation& operation) noexcept {
    operation.next = nullptr;
    operation.reactor_slot[0] = this;
    if (first == nullptr) {
      first = &operation;
    } else {
      Before(*first)->next = &operation;
      operation.reactor_slot[1] = first->reactor_slot[1];
    }
    first->reactor_slot[1] = &operation;
  }

  void PushFront(IoOperation& operation) noexcept {
    operation.next = first;
    operation.reactor_slot[0] = this;
    operation.reactor_slot[1] = &operation;
    if (first != nullptr) {
      operation.reactor_slot[1] = first->reactor_slot[1];
      first->reactor_slot[1] = &operation;
    }
    first = &operation;
  }

  void Remove(IoOperation& operation) noexcept {
    auto* const after = static_cast<IoOperation*>(operation.next);
    if (first == &operation) {
      first = after;
      if (after != nullptr) after->reactor_slot[1] = operation.reactor_slot[1];
    } else {
      Before(operation)->next = after;
      (after != nullptr ? after : first)->reactor_slot[1] = operation.reactor_slot[1];
    }
    operation.reactor_slot[0] = nullptr;
  }

 private:
  static IoOperation* Before(const IoOperation& operation) noexcept {
    return static_cast<IoOperation*>(operation.reactor_slot[1]);
  }
};

}  // namespace plait::internal

#endif  // PLAIT_IO_REACTOR_OPERATION_LIST_H_
