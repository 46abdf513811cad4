#include "plait/io/ops/operations.h"

#include <errno.h>
#include <fcntl.h>

#include <cstdint>
#include <string>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "plait/io/system/errno_status.h"
#include "plait/runtime/core/reactor.h"
#include "plait/runtime/core/worker.h"
#include "plait/runtime/core/worker_group.h"
#include "plait/runtime/task/budget.h"

namespace plait::io {
namespace internal {
namespace {

using plait::internal::Atomic;

absl::string_view NameOf(IoOpcode opcode) {
  switch (opcode) {
    case IoOpcode::kRead:
      return "read";
    case IoOpcode::kWrite:
      return "write";
    case IoOpcode::kAccept:
      return "accept";
    case IoOpcode::kConnect:
      return "connect";
    case IoOpcode::kPoll:
      return "poll";
    case IoOpcode::kAwaitInput:
      return "await input";
    case IoOpcode::kClose:
      return "close";
    case IoOpcode::kReceiveMessage:
      return "recvmsg";
    case IoOpcode::kSendMessage:
      return "sendmsg";
    case IoOpcode::kSync:
      return "fsync";
    case IoOpcode::kStatus:
      return "stat";
    case IoOpcode::kOpen:
      return "open";
    case IoOpcode::kRename:
      return "rename";
    case IoOpcode::kUnlink:
      return "unlink";
    case IoOpcode::kMakeDirectory:
      return "mkdir";
  }
  return "operation";
}

constexpr plait::internal::AwaitKind kIoKind{"the operating system"};
constexpr plait::internal::AwaitNote kIoNote{&kIoKind};

}  // namespace

OperationAwaiter::OperationAwaiter(const Request& request) noexcept
    : HomeWait(&OnStop<&CancelOperation>), IoCall(&Delivered) {
  opcode = request.opcode;
  fd = request.fd;
  args = request.args;
  // In the reactor's scratch, void*s that it does not use before it has the operation; only read.
  reactor_slot[0] = const_cast<Atomic<int>*>(request.owner);
}

bool OperationAwaiter::Suspend(plait::internal::PromiseBase& waiter) noexcept {
  Worker* const here = Worker::Current();
  if (here == nullptr || here->reactor() == nullptr) {
    return false;
  }
  const auto* const owner =
      static_cast<const Atomic<int>*>(std::exchange(reactor_slot[0], nullptr));
  WorkerGroup* const group = NamesAFile(*this) || fd < 0 ? nullptr : here->group();
  const uint32_t closes = group == nullptr ? 0 : group->ClosesOf(fd);
  // After that: who closes it takes it from its owner before it is counted.
  if (owner != nullptr && owner->load(plait::internal::kRelaxed) != fd) return EndAsClosed(waiter);
  if (group == nullptr) return Start(*this, waiter);
  Worker& home = group->HomeOf(fd, *here);
  if (&home != here) {
    reactor_slot[0] = reinterpret_cast<void*>(uintptr_t{closes});  // a count; scratch is void*s
    StartAt<&StartCarried, &CancelOperation>(waiter, home, kIoNote);
    return true;
  }
  // Closed meanwhile at a home that it had, and so has this one now.
  if (group->ClosesOf(fd) != closes) return EndAsClosed(waiter);
  return Start(*this, waiter);
}

bool OperationAwaiter::EndAsClosed(plait::internal::PromiseBase& waiter) noexcept {
  Worker& here = *Worker::Current();
  // As if it had been pending. By now the number may be another's, who closes that.
  result = opcode == IoOpcode::kClose ? -EBADF : -ECANCELED;
  BeginUncancellable(waiter, here, kIoNote);
  here.Post(static_cast<IoOperation&>(*this));
  return true;
}

bool OperationAwaiter::Start(HomeWait& wait, plait::internal::PromiseBase& waiter) noexcept {
  auto& self = static_cast<OperationAwaiter&>(wait);
  Worker& home = *Worker::Current();
  // Before Begin, which may have another thread go on with the coroutine if a stop came first.
  self.result = -ECANCELED;
  if (self.opcode == IoOpcode::kClose) {
    self.BeginUncancellable(waiter, home, kIoNote);
    if (home.group() != nullptr && self.fd >= 0) home.group()->Forget(self.fd);
  } else if (!self.Begin(waiter, home, kIoNote)) {
    return true;
  }
  if (!home.reactor()->SubmitOrComplete(self) || self.HappenedAtOnce()) return true;
  waiter.next = nullptr;  // it waits for nothing now
  return plait::internal::SpendOrYield(waiter);
}

bool OperationAwaiter::StartCarried(HomeWait& wait, plait::internal::PromiseBase& waiter) noexcept {
  auto& self = static_cast<OperationAwaiter&>(wait);
  Worker& home = *Worker::Current();
  const auto closes = reinterpret_cast<uintptr_t>(std::exchange(self.reactor_slot[0], nullptr));
  if (home.group()->ClosesOf(self.fd) == closes) return Start(wait, waiter);
  return self.EndAsClosed(waiter);  // it was closed while this was on its way
}

void OperationAwaiter::Delivered(WorkItem& item) noexcept {
  static_cast<OperationAwaiter&>(static_cast<IoCall&>(item)).Happened();
}

bool OperationAwaiter::CancelOperation(HomeWait& wait) noexcept {
  auto& self = static_cast<OperationAwaiter&>(wait);
  self.home()->reactor()->Cancel(self);
  return false;  // it is delivered all the same
}

absl::StatusOr<int32_t> OperationAwaiter::TakeResult(absl::string_view name) const {
  if (!await_failed()) return result;
  if (name.empty() && NamesAFile(*this)) name = args.path;
  const std::string what =
      name.empty() ? absl::StrCat(NameOf(opcode), " (fd ", fd, ")")
                   : absl::StrCat(NameOf(opcode), " \"", absl::Utf8SafeCHexEscape(name), "\"");
  if (HomeWait::home() == nullptr) {
    return absl::FailedPreconditionError(absl::StrCat(what, ": this executor has no reactor"));
  }
  return ErrnoToStatus(result, what);
}

}  // namespace internal

namespace {

internal::Request FileRequest(IoOpcode opcode, const char* path) {
  internal::Request request{.opcode = opcode, .fd = AT_FDCWD, .args = {}};
  request.args.path = path;
  return request;
}

}  // namespace

internal::OperationAwaitable<size_t> Read(int fd, absl::Span<char> buffer) {
  return ReadAt(fd, buffer, -1);
}

internal::OperationAwaitable<size_t> ReadAt(int fd, absl::Span<char> buffer, int64_t offset) {
  internal::Request request{.opcode = IoOpcode::kRead, .fd = fd, .args = {}};
  request.args.data = buffer.data();
  request.args.size = buffer.size();
  request.args.offset = offset;
  return internal::OperationAwaitable<size_t>(request);
}

internal::OperationAwaitable<size_t> Write(int fd, absl::Span<const char> data) {
  return WriteAt(fd, data, -1);
}

internal::OperationAwaitable<size_t> WriteAt(int fd, absl::Span<const char> data, int64_t offset) {
  internal::Request request{.opcode = IoOpcode::kWrite, .fd = fd, .args = {}};
  request.args.const_data = data.data();
  request.args.size = data.size();
  request.args.offset = offset;
  return internal::OperationAwaitable<size_t>(request);
}

internal::OperationAwaitable<int> Accept(int listener, ::sockaddr* address,
                                         uint32_t* address_size) {
  internal::Request request{.opcode = IoOpcode::kAccept, .fd = listener, .args = {}};
  request.args.address = address;
  request.args.address_size_out = address_size;
  return internal::OperationAwaitable<int>(request);
}

internal::OperationAwaitable<void> Connect(int fd, const ::sockaddr* address, size_t address_size) {
  internal::Request request{.opcode = IoOpcode::kConnect, .fd = fd, .args = {}};
  request.args.const_address = address;
  request.args.size = address_size;
  return internal::OperationAwaitable<void>(request);
}

internal::OperationAwaitable<uint32_t> Poll(int fd, uint32_t events) {
  internal::Request request{.opcode = IoOpcode::kPoll, .fd = fd, .args = {}};
  request.args.events = events;
  return internal::OperationAwaitable<uint32_t>(request);
}

internal::OperationAwaitable<size_t> ReceiveMessage(int socket, ::msghdr* message, int flags) {
  internal::Request request{.opcode = IoOpcode::kReceiveMessage, .fd = socket, .args = {}};
  request.args.message = message;
  request.args.flags = static_cast<uint32_t>(flags);
  return internal::OperationAwaitable<size_t>(request);
}

internal::OperationAwaitable<size_t> SendMessage(int socket, ::msghdr* message, int flags) {
  internal::Request request{.opcode = IoOpcode::kSendMessage, .fd = socket, .args = {}};
  request.args.message = message;
  request.args.flags = static_cast<uint32_t>(flags);
  return internal::OperationAwaitable<size_t>(request);
}

internal::OperationAwaitable<int> Open(const char* path, int flags, uint32_t mode) {
  internal::Request request = FileRequest(IoOpcode::kOpen, path);
  request.args.open = {.flags = static_cast<uint32_t>(flags), .mode = mode};
  return internal::OperationAwaitable<int>(request);
}

internal::OperationAwaitable<void> Sync(int fd, bool data_only) {
  internal::Request request{.opcode = IoOpcode::kSync, .fd = fd, .args = {}};
  request.args.flags = data_only ? kSyncData : 0;
  return internal::OperationAwaitable<void>(request);
}

internal::OperationAwaitable<void> Status(const char* path, sys::RawFileStatus* out, bool follow) {
  internal::Request request = FileRequest(IoOpcode::kStatus, path);
  request.args.status_out = out;
  request.args.flags = follow ? 0 : AT_SYMLINK_NOFOLLOW;
  return internal::OperationAwaitable<void>(request);
}

internal::OperationAwaitable<void> Status(int fd, sys::RawFileStatus* out) {
  internal::Request request = FileRequest(IoOpcode::kStatus, "");
  request.fd = fd;
  request.args.status_out = out;
  request.args.flags = 0;
  return internal::OperationAwaitable<void>(request);
}

internal::OperationAwaitable<void> Rename(const char* path, const char* new_path) {
  internal::Request request = FileRequest(IoOpcode::kRename, path);
  request.args.new_path = new_path;
  return internal::OperationAwaitable<void>(request);
}

internal::OperationAwaitable<void> Unlink(const char* path) {
  internal::Request request = FileRequest(IoOpcode::kUnlink, path);
  request.args.flags = 0;
  return internal::OperationAwaitable<void>(request);
}

internal::OperationAwaitable<void> RemoveDirectory(const char* path) {
  internal::Request request = FileRequest(IoOpcode::kUnlink, path);
  request.args.flags = AT_REMOVEDIR;
  return internal::OperationAwaitable<void>(request);
}

internal::OperationAwaitable<void> MakeDirectory(const char* path, uint32_t mode) {
  internal::Request request = FileRequest(IoOpcode::kMakeDirectory, path);
  request.args.open = {.flags = 0, .mode = mode};
  return internal::OperationAwaitable<void>(request);
}

internal::OperationAwaitable<void> Close(int fd) {
  return internal::OperationAwaitable<void>({.opcode = IoOpcode::kClose, .fd = fd, .args = {}});
}

}  // namespace plait::io
