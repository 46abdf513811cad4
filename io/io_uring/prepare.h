// How an IoOperation is put to the kernel.
#ifndef PLAIT_IO_IO_URING_PREPARE_H_
#define PLAIT_IO_IO_URING_PREPARE_H_

#include <liburing.h>

#include "plait/runtime/core/io_operation.h"

namespace plait::internal {

// The kernel's opcode for `operation`; sockets have reads and writes of their own.
unsigned OpcodeOf(const IoOperation& operation, bool socket, bool zero_copy) noexcept;

// Fills in `entry`, whose flags are clear, but for its user_data.
void Prepare(io_uring_sqe& entry, const IoOperation& operation, bool socket,
             bool zero_copy) noexcept;

// The result of a poll operation for the kernel's events.
int32_t PollResult(int32_t events) noexcept;

}  // namespace plait::internal

#endif  // PLAIT_IO_IO_URING_PREPARE_H_
