#include "plait/io/reactor/try_operation.h"

#include <errno.h>

#include "plait/io/system/system_calls.h"

namespace plait::internal {
namespace {

int64_t TryOnce(const IoOperation& operation, bool socket) noexcept {
  sys::SystemCalls& calls = sys::Calls();
  const IoArgs& args = operation.args();
  const int fd = operation.fd;
  switch (operation.opcode) {
    case IoOpcode::kRead:
      if (args.offset >= 0) return calls.ReadAt(fd, args.data, args.size, args.offset);
      if (socket) return calls.Receive(fd, args.data, args.size);
      return calls.Read(fd, args.data, args.size);
    case IoOpcode::kWrite:
      if (args.offset >= 0) return calls.WriteAt(fd, args.const_data, args.size, args.offset);
      if (socket) return calls.Send(fd, args.const_data, args.size);
      return calls.Write(fd, args.const_data, args.size);
    case IoOpcode::kAccept:
      return calls.Accept(fd, args.address, args.address_size_out);
    case IoOpcode::kReceiveMessage:
      return calls.ReceiveMessage(fd, args.message, static_cast<int>(args.flags));
    case IoOpcode::kSendMessage:
      return calls.SendMessage(fd, args.message, static_cast<int>(args.flags));
    case IoOpcode::kSync:
      return calls.Sync(fd, (args.flags & kSyncData) != 0);
    case IoOpcode::kStatus:
      return calls.Status(fd, args.path, static_cast<int>(args.flags),
                          static_cast<sys::RawFileStatus*>(args.status_out));
    case IoOpcode::kOpen:
      return calls.Open(fd, args.path, static_cast<int>(args.open.flags), args.open.mode);
    case IoOpcode::kRename:
      return calls.Rename(fd, args.path, args.new_path);
    case IoOpcode::kUnlink:
      return calls.Unlink(fd, args.path, static_cast<int>(args.flags));
    case IoOpcode::kMakeDirectory:
      return calls.MakeDirectory(fd, args.path, args.open.mode);
    case IoOpcode::kConnect:
    case IoOpcode::kPoll:
    case IoOpcode::kAwaitInput:
    case IoOpcode::kClose:
      break;  // not tried like this
  }
  return -EINVAL;
}

}  // namespace

int64_t TryOperation(const IoOperation& operation, bool socket) noexcept {
  int64_t result = 0;
  do {
    result = TryOnce(operation, socket);
  } while (result == -EINTR);  // nothing has happened yet
  return result;
}

}  // namespace plait::internal
