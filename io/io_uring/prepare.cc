#include "plait/io/io_uring/prepare.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>

#include "plait/io/io_uring/ring.h"

namespace plait::internal {
namespace {

// What the kernel moves at most in one transfer.
constexpr size_t kMaxTransfer = 0x7fff'f000;

unsigned SizeOf(const IoOperation& operation) noexcept {
  return static_cast<unsigned>(std::min(operation.args().size, kMaxTransfer));
}

unsigned PollEvents(uint32_t wanted) noexcept {
  unsigned events = 0;
  if ((wanted & kPollReadable) != 0) events |= POLLIN;
  if ((wanted & kPollWritable) != 0) events |= POLLOUT;
  return events;
}

}  // namespace

unsigned OpcodeOf(const IoOperation& operation, bool socket, bool zero_copy) noexcept {
  switch (operation.opcode) {
    case IoOpcode::kRead:
      return socket && operation.args().offset < 0 ? IORING_OP_RECV : IORING_OP_READ;
    case IoOpcode::kWrite:
      if (!socket || operation.args().offset >= 0) return IORING_OP_WRITE;
      return zero_copy ? IORING_OP_SEND_ZC : IORING_OP_SEND;
    case IoOpcode::kAccept:
      return IORING_OP_ACCEPT;
    case IoOpcode::kConnect:
      return IORING_OP_CONNECT;
    case IoOpcode::kPoll:
    case IoOpcode::kAwaitInput:
      return IORING_OP_POLL_ADD;
    case IoOpcode::kClose:
      return IORING_OP_CLOSE;
    case IoOpcode::kReceiveMessage:
      return IORING_OP_RECVMSG;
    case IoOpcode::kSendMessage:
      return IORING_OP_SENDMSG;
    case IoOpcode::kSync:
      return IORING_OP_FSYNC;
    case IoOpcode::kStatus:
      return IORING_OP_STATX;
    case IoOpcode::kOpen:
      return IORING_OP_OPENAT;
    case IoOpcode::kRename:
      return IORING_OP_RENAMEAT;
    case IoOpcode::kUnlink:
      return IORING_OP_UNLINKAT;
    case IoOpcode::kMakeDirectory:
      return IORING_OP_MKDIRAT;
  }
  return IORING_OP_NOP;
}

void Prepare(io_uring_sqe& entry, const IoOperation& operation, bool socket,
             bool zero_copy) noexcept {
  const int fd = operation.fd;
  if (operation.opcode == IoOpcode::kAwaitInput) {
    return io_uring_prep_poll_add(&entry, fd, POLLIN | POLLRDHUP);
  }
  const IoArgs& args = operation.args();
  switch (OpcodeOf(operation, socket, zero_copy)) {
    case IORING_OP_RECV:
      return io_uring_prep_recv(&entry, fd, args.data, SizeOf(operation), 0);
    case IORING_OP_READ:
      return io_uring_prep_read(&entry, fd, args.data, SizeOf(operation),
                                static_cast<uint64_t>(args.offset));
    case IORING_OP_SEND:
      return io_uring_prep_send(&entry, fd, args.const_data, SizeOf(operation), MSG_NOSIGNAL);
    case IORING_OP_SEND_ZC:
      return io_uring_prep_send_zc(&entry, fd, args.const_data, SizeOf(operation), MSG_NOSIGNAL,
                                   kSendZeroCopyReportUsage);
    case IORING_OP_WRITE:
      return io_uring_prep_write(&entry, fd, args.const_data, SizeOf(operation),
                                 static_cast<uint64_t>(args.offset));
    case IORING_OP_ACCEPT:
      return io_uring_prep_accept(&entry, fd, args.address, args.address_size_out,
                                  SOCK_NONBLOCK | SOCK_CLOEXEC);
    case IORING_OP_CONNECT:
      return io_uring_prep_connect(&entry, fd, args.const_address,
                                   static_cast<socklen_t>(args.size));
    case IORING_OP_POLL_ADD:
      return io_uring_prep_poll_add(&entry, fd, PollEvents(args.events));
    case IORING_OP_CLOSE:
      return io_uring_prep_close(&entry, fd);
    case IORING_OP_RECVMSG:
      return io_uring_prep_recvmsg(&entry, fd, args.message, args.flags | MSG_CMSG_CLOEXEC);
    case IORING_OP_SENDMSG:
      return io_uring_prep_sendmsg(&entry, fd, args.message, args.flags | MSG_NOSIGNAL);
    case IORING_OP_FSYNC:
      return io_uring_prep_fsync(&entry, fd,
                                 (args.flags & kSyncData) != 0 ? IORING_FSYNC_DATASYNC : 0);
    case IORING_OP_STATX: {
      const int empty = NamesAFile(operation) ? 0 : AT_EMPTY_PATH;
      return io_uring_prep_statx(&entry, fd, args.path, static_cast<int>(args.flags) | empty,
                                 STATX_BASIC_STATS | STATX_BTIME,
                                 static_cast<struct statx*>(args.status_out));
    }
    case IORING_OP_OPENAT:
      return io_uring_prep_openat(&entry, fd, args.path,
                                  static_cast<int>(args.open.flags) | O_CLOEXEC, args.open.mode);
    case IORING_OP_RENAMEAT:
      return io_uring_prep_renameat(&entry, fd, args.path, fd, args.new_path, 0);
    case IORING_OP_UNLINKAT:
      return io_uring_prep_unlinkat(&entry, fd, args.path, static_cast<int>(args.flags));
    case IORING_OP_MKDIRAT:
      return io_uring_prep_mkdirat(&entry, fd, args.path, args.open.mode);
    default:
      return io_uring_prep_nop(&entry);
  }
}

int32_t PollResult(int32_t events) noexcept {
  const auto found = static_cast<unsigned>(events);
  uint32_t result = 0;
  if ((found & POLLIN) != 0) result |= kPollReadable;
  if ((found & POLLOUT) != 0) result |= kPollWritable;
  if ((found & POLLERR) != 0) result |= kPollError;
  if ((found & POLLHUP) != 0) result |= kPollHangUp;
  return static_cast<int32_t>(result);
}

}  // namespace plait::internal
