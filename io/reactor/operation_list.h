// OperationList: operations that wait, in order; any can be taken out in O(1).
//
// Linked through IoOperation::next and reactor_slot[1]. reactor_slot[0] is not null while in a
// list; its lowest three bits are free for the reactor's own use.
#ifndef PLAIT_IO_REACTOR_OPERATION_LIST_H_
#define PLAIT_IO_REACTOR_OPERATION_LIST_H_

#include "plait/runtime/core/io_operation.h"

namespace plait::internal {

struct alignas(8) OperationList {
  IoOperation* first = nullptr;
  IoOperation* last = nullptr;

  bool empty() const noexcept { return first == nullptr; }

  void PushBack(IoOperation& operation) noexcept {
    operation.next = nullptr;
    operation.reactor_slot[0] = this;
    operation.reactor_slot[1] = last;
    if (last == nullptr) {
      first = &operation;
    } else {
      last->next = &operation;
    }
    last = &operation;
  }

  void PushFront(IoOperation& operation) noexcept {
    operation.next = first;
    operation.reactor_slot[0] = this;
    operation.reactor_slot[1] = nullptr;
    if (first == nullptr) {
      last = &operation;
    } else {
      first->reactor_slot[1] = &operation;
    }
    first = &operation;
  }

  void Remove(IoOperation& operation) noexcept {
    auto* const before = static_cast<IoOperation*>(operation.reactor_slot[1]);
    auto* const after = static_cast<IoOperation*>(operation.next);
    if (before == nullptr) {
      first = after;
    } else {
      before->next = after;
    }
    if (after == nullptr) {
      last = before;
    } else {
      after->reactor_slot[1] = before;
    }
    operation.reactor_slot[0] = nullptr;
  }
};

}  // namespace plait::internal

#endif  // PLAIT_IO_REACTOR_OPERATION_LIST_H_
