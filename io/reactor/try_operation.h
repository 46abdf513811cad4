// An operation as the plain system call that it stands for.
#ifndef PLAIT_IO_REACTOR_TRY_OPERATION_H_
#define PLAIT_IO_REACTOR_TRY_OPERATION_H_

#include <cstdint>

#include "plait/runtime/core/io_operation.h"

namespace plait::internal {

// Makes the call, again where a signal interrupted it: what it returns, or -errno; -EAGAIN where it
// would have to wait for a descriptor that does not block. Not for kConnect, kPoll, kAwaitInput and
// kClose.
int64_t TryOperation(const IoOperation& operation, bool socket) noexcept;

// kRead and kWrite.
inline bool IsTransfer(const IoOperation& operation) noexcept {
  return operation.opcode == IoOpcode::kRead || operation.opcode == IoOpcode::kWrite;
}

// Whether it takes from the descriptor and not gives to it.
inline bool IsInput(const IoOperation& operation) noexcept {
  return operation.opcode == IoOpcode::kRead || operation.opcode == IoOpcode::kAccept ||
         operation.opcode == IoOpcode::kReceiveMessage || operation.opcode == IoOpcode::kAwaitInput;
}

}  // namespace plait::internal

#endif  // PLAIT_IO_REACTOR_TRY_OPERATION_H_
