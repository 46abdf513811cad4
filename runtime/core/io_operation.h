// IoOperation: one request to the operating system, as data.
//
// It lives in the awaiter, hence in the coroutine frame: submitting allocates nothing. Opcode and
// arguments are plain data and every reactor understands all of them: N operations and M reactors
// make N + M pieces of code, not N x M. What waits for input has no arguments, as very many may
// wait so (IoAwaitInput); all others have (IoCall).
//
// From Submit until it is delivered, the operation and every buffer it points to belong to the
// reactor. It is delivered exactly once, by the reactor's Poll, after which `result` is what the
// system call of the same name would return, or -errno. Its `run` is then called by the executor.
// Only what was given to SubmitOrComplete, and completed in there, is not delivered.
#ifndef PLAIT_RUNTIME_CORE_IO_OPERATION_H_
#define PLAIT_RUNTIME_CORE_IO_OPERATION_H_

#include <cstddef>
#include <cstdint>

#include "plait/runtime/core/work_item.h"

struct msghdr;
struct sockaddr;

namespace plait {

enum class IoOpcode : uint8_t {
  kRead,        // data, size, offset: up to `size` bytes; 0 is the end. At `offset` if that is >= 0
                // (files), else in order
  kWrite,       // data, size, offset: one write, which may be short. Never raises SIGPIPE
  kAccept,      // address, address_size_out (may be null): a new descriptor, non-blocking and
                // close-on-exec
  kConnect,     // address, size: 0 once connected
  kPoll,        // events: the subset of them, plus kPollError and kPollHangUp, that holds
  kAwaitInput,  // found_nothing: for who reads by himself, and so needs no memory while he waits.
                // Delivered when a read may be worth a try; it may find nothing still. How many
                // bytes there are, or 0 where the system does not say; -EPERM for what there are
                // no events of, such as files
  kClose,  // 0; other operations on the descriptor are delivered as -ECANCELED, before this one
  // Sockets. One message, or what of a stream its parts hold; in order with kRead and kWrite.
  kReceiveMessage,  // message, flags: recvmsg; descriptors that come along are close-on-exec
  kSendMessage,     // message, flags: sendmsg. Never raises SIGPIPE
  // Files. These and transfers of regular files may take long; a cancel comes too late for one that
  // has begun.
  kSync,    // flags (kSyncData or 0): fsync
  kStatus,  // path, status_out, flags: of what `path` names; of `fd` itself where it is "" and `fd`
            // is one
  // `fd` is the directory that `path` is relative to, or AT_FDCWD; it stays open meanwhile.
  kOpen,           // path, open: a descriptor, close-on-exec
  kRename,         // path, new_path: both relative to `fd`
  kUnlink,         // path, flags (AT_REMOVEDIR or 0)
  kMakeDirectory,  // path, open.mode
};

// IoArgs::flags of kSync: the data, and of the file's properties only what reading it back needs.
inline constexpr uint32_t kSyncData = 1;

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
    ::msghdr* message;                // kReceiveMessage, kSendMessage
    const char* path;                 // kStatus and all that name a file
  };
  union {
    size_t size = 0;             // kRead, kWrite, kConnect
    uint32_t* address_size_out;  // kAccept: in, the room at `address`; out, the address's size
    uint32_t events;             // kPoll
    void* status_out;            // kStatus: a sys::RawFileStatus
    const char* new_path;        // kRename
    struct {
      uint32_t flags;
      uint32_t mode;
    } open;  // kOpen, kMakeDirectory
  };
  union {
    int64_t offset = -1;  // kRead, kWrite
    uint32_t flags;       // of the system call of that name, or of the opcode
  };
};

struct IoCall;

// An IoAwaitInput or an IoCall. Aligned so that reactors may note in three bits of its address what
// it is.
struct alignas(8) IoOperation : WorkItem {
  // Not of kAwaitInput.
  inline IoArgs& args() noexcept;
  inline const IoArgs& args() const noexcept;

  int fd = -1;
  int32_t result = 0;  // >= 0: the value. < 0: -errno
  // The reactor's scratch, between Submit and delivery.
  void* reactor_slot[2] = {};
  // Last: what derives from this goes on in its padding.
  IoOpcode opcode;
  // Of kAwaitInput: a read, since which the reactor was not polled, found nothing.
  bool found_nothing = false;

 private:
  friend struct IoAwaitInput;
  friend struct IoCall;
  IoOperation(RunFunction f, IoOpcode code) noexcept : WorkItem(f), opcode(code) {}
};

// Of kAwaitInput only.
struct IoAwaitInput : IoOperation {
  explicit IoAwaitInput(RunFunction f) noexcept : IoOperation(f, IoOpcode::kAwaitInput) {}
};

// Of any opcode.
struct IoCall : IoOperation {
  IoCall() noexcept : IoCall(nullptr) {}
  explicit IoCall(RunFunction f) noexcept : IoOperation(f, IoOpcode::kPoll) {}

  IoArgs args;
};

inline IoArgs& IoOperation::args() noexcept { return static_cast<IoCall&>(*this).args; }
inline const IoArgs& IoOperation::args() const noexcept {
  return static_cast<const IoCall&>(*this).args;
}

// Whether `operation` is about what a path names, and so belongs to no descriptor.
inline bool NamesAFile(const IoOperation& operation) noexcept {
  switch (operation.opcode) {
    case IoOpcode::kStatus:
      return operation.fd < 0 || *operation.args().path != '\0';
    case IoOpcode::kOpen:
    case IoOpcode::kRename:
    case IoOpcode::kUnlink:
    case IoOpcode::kMakeDirectory:
      return true;
    default:
      return false;
  }
}

}  // namespace plait

#endif  // PLAIT_RUNTIME_CORE_IO_OPERATION_H_
