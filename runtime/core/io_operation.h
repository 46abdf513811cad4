// IoOperation: one request to the operating system, as data.
//
// It lives in the awaiter, hence in the coroutine frame: submitting allocates nothing. Opcode and
// arguments are plain data and every reactor understands all of them: N operations and M reactors
// make N + M pieces of code, not N x M.
//
// From Submit until it is delivered, the operation and every buffer it points to belong to the
// reactor. It is delivered exactly once, by the reactor's Poll, after which `result` is what the
// system call of the same name would return, or -errno. Its `run` is then called by the executor.
#ifndef PLAIT_RUNTIME_CORE_IO_OPERATION_H_
#define PLAIT_RUNTIME_CORE_IO_OPERATION_H_

#include <cstddef>
#include <cstdint>

#include "plait/runtime/core/work_item.h"

struct sockaddr;

namespace plait {

enum class IoOpcode : uint8_t {
  kRead,     // data, size, offset: up to `size` bytes; 0 is the end. At `offset` if that is >= 0
             // (files), else in order
  kWrite,    // data, size, offset: one write, which may be short. Never raises SIGPIPE
  kAccept,   // address, address_size_out (may be null): a new descriptor, non-blocking and
             // close-on-exec
  kConnect,  // address, size: 0 once connected
  kPoll,     // events: the subset of them, plus kPollError and kPollHangUp, that holds
  kClose,    // 0; other operations on the descriptor are delivered as -ECANCELED, before this one
};

// Bits of IoArgs::events and of the result of kPoll.
inline constexpr uint32_t kPollReadable = 1;
inline constexpr uint32_t kPollWritable = 2;
inline constexpr uint32_t kPollError = 4;
inline constexpr uint32_t kPollHangUp = 8;

struct IoArgs {
  union {
    void* data = nullptr;             // kRead
    const void* const_data;           // kWrite
    ::sockaddr* address;              // kAccept
    const ::sockaddr* const_address;  // kConnect
  };
  union {
    size_t size = 0;             // kRead, kWrite, kConnect
    uint32_t* address_size_out;  // kAccept: in, the room at `address`; out, the address's size
    uint32_t events;             // kPoll
  };
  int64_t offset = -1;
};

struct IoOperation : WorkItem {
  using WorkItem::WorkItem;

  IoOpcode opcode = IoOpcode::kPoll;
  int fd = -1;
  IoArgs args;
  int32_t result = 0;  // >= 0: the value. < 0: -errno
  // The reactor's scratch, between Submit and delivery.
  void* reactor_slot[2] = {};
};

}  // namespace plait

#endif  // PLAIT_RUNTIME_CORE_IO_OPERATION_H_
