// RingReactor: an operation's way through it, from Submit and Cancel to its delivery.
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "plait/io/io_uring/prepare.h"
#include "plait/io/io_uring/ring_reactor.h"
#include "plait/io/system/system_calls.h"

namespace plait::internal {
namespace {

// What an operation's scratch tells besides the list that it is in.
enum Flag : uintptr_t {
  kCancelled = 1,  // the kernel was asked to end it
  kWaiting = 2,    // the kernel has a poll in its place, as the descriptor was not ready
  kZeroCopy = 4,   // sent, or being sent, without a copy
  kFlags = 7,
};

// The reactor's word in an operation is a pointer: to its list, whose alignment leaves the lowest
// bits to the flags. What goes in as a number comes out as one.
uintptr_t FlagsOf(const IoOperation& operation) noexcept {
  return reinterpret_cast<uintptr_t>(operation.reactor_slot[0]) & kFlags;
}
void SetFlags(IoOperation& operation, uintptr_t flags) noexcept {
  const auto slot = reinterpret_cast<uintptr_t>(operation.reactor_slot[0]) & ~uintptr_t{kFlags};
  operation.reactor_slot[0] = reinterpret_cast<void*>(slot | flags);
}
OperationList* ListOf(const IoOperation& operation) noexcept {
  const auto slot = reinterpret_cast<uintptr_t>(operation.reactor_slot[0]) & ~uintptr_t{kFlags};
  return reinterpret_cast<OperationList*>(slot);
}

}  // namespace

// --- descriptors ---

RingReactor::Descriptor* RingReactor::Find(int fd) const noexcept {
  const auto number = static_cast<size_t>(fd);
  if (number / kPerBlock >= descriptors_.size()) return nullptr;
  const auto& block = descriptors_[number / kPerBlock];
  if (block == nullptr) return nullptr;
  Descriptor& descriptor = block[number % kPerBlock];
  return descriptor.kind == Kind::kUnknown ? nullptr : &descriptor;
}

int RingReactor::SetUp(int fd) noexcept {
  // Also tells whether there is such a descriptor: a number out of nowhere costs no memory.
  const int protocol = sys::Calls().SocketProtocol(fd);
  if (protocol < 0 && protocol != -ENOTSOCK) return protocol;
  const auto number = static_cast<size_t>(fd);
  if (number / kPerBlock >= descriptors_.size()) descriptors_.resize(number / kPerBlock + 1);
  auto& block = descriptors_[number / kPerBlock];
  if (block == nullptr) block = std::make_unique<Descriptor[]>(kPerBlock);
  const bool has_position = protocol < 0 && sys::Calls().Seek(fd, 0, SEEK_CUR) >= 0;
  Descriptor& descriptor = block[number % kPerBlock];
  descriptor.kind = protocol >= 0 ? Kind::kSocket : has_position ? Kind::kFile : Kind::kStream;
  descriptor.is_unix = protocol == 0;
  descriptor.unix_datagrams = descriptor.is_unix && !IsStreamSocket(fd);
  descriptor.stale = false;
  return 0;
}

bool RingReactor::IsStreamSocket(int fd) noexcept {
  int type = 0;
  socklen_t size = sizeof(type);
  return sys::Calls().SocketOption(fd, SOL_SOCKET, SO_TYPE, &type, &size) >= 0 &&
         type == SOCK_STREAM;
}

bool RingReactor::IsOrdered(const IoOperation& operation) noexcept {
  switch (operation.opcode) {
    case IoOpcode::kRead:
    case IoOpcode::kWrite:
      return operation.args().offset < 0;
    case IoOpcode::kAccept:
    case IoOpcode::kConnect:
    case IoOpcode::kReceiveMessage:
    case IoOpcode::kSendMessage:
      return true;
    default:
      return false;
  }
}

// --- operations ---

void RingReactor::Complete(IoOperation& operation, int64_t result) noexcept {
  operation.result = static_cast<int32_t>(result);
  operation.reactor_slot[0] = nullptr;
  completed_.Push(operation);
  ++undelivered_;
}

void RingReactor::Submit(IoOperation& operation) noexcept {
  Own();
  ++in_flight_;
  operation.reactor_slot[0] = operation.reactor_slot[1] = nullptr;
  if (NamesAFile(operation)) return SubmitNamed(operation);
  if (operation.fd < 0) return Complete(operation, -EBADF);
  if (operation.opcode == IoOpcode::kClose) return SubmitClose(operation);
  Descriptor* descriptor = Find(operation.fd);
  if (descriptor != nullptr && descriptor->stale) [[unlikely]] {
    descriptor->stale = false;
    if (!descriptor->InUse()) *descriptor = Descriptor();
    descriptor = Find(operation.fd);
  }
  if (descriptor == nullptr) {
    const int set_up = SetUp(operation.fd);
    if (set_up < 0) return Complete(operation, set_up);
    descriptor = Find(operation.fd);
  }
  if (descriptor->closing()) return Complete(operation, -EBADF);
  if (IsOrdered(operation)) {
    const Side side = SideOf(operation);
    if (descriptor->IsBusy(side)) return descriptor->MakeRare().Queued(side).PushBack(operation);
  } else if (IsTransfer(operation) && descriptor->kind != Kind::kFile) {
    return Complete(operation, -ESPIPE);  // the kernel would not mind the position
  }
  Start(*descriptor, operation);
}

void RingReactor::SubmitNamed(IoOperation& operation) noexcept {
  const bool by_ring =
      !options_.without.file_operations && ring_.supports(OpcodeOf(operation, false, false));
  if (!by_ring) {
    if (!blocking_.Start(operation)) Complete(operation, -EPERM);
    return;
  }
  if (sys::SystemCalls* const calls = sys::Installed(); calls != nullptr) [[unlikely]] {
    const int fault = calls->BeforeOperation(operation, false, nullptr);
    if (fault < 0) return Complete(operation, fault);
  }
  named_.PushBack(operation);
  named_is_new_ = true;
  Put(nullptr, operation);
}

bool RingReactor::Start(Descriptor& descriptor, IoOperation& operation) noexcept {
  if (sys::SystemCalls* const calls = sys::Installed(); calls != nullptr) [[unlikely]] {
    size_t* const size = IsTransfer(operation) ? &operation.args().size : nullptr;
    const int fault = calls->BeforeOperation(operation, descriptor.kind == Kind::kSocket, size);
    if (fault < 0) {
      Complete(operation, fault);
      return false;
    }
  }
  // Whether a Unix listener has room is nothing that other reactors can wait for. Here a thread of
  // the kernel's would, if the socket blocks, and a program would hang on one reactor only.
  if (operation.opcode == IoOpcode::kConnect && descriptor.is_unix) {
    const int set = sys::Calls().SetNonBlocking(operation.fd);
    if (set < 0) {
      Complete(operation, set);
      return false;
    }
  }
  if (IsOrdered(operation)) {
    const Side side = SideOf(operation);
    descriptor.busy |= side;
    if (descriptor.kind == Kind::kFile) {
      descriptor.MakeRare().Position(side) = sys::Calls().Seek(operation.fd, 0, SEEK_CUR);
    }
  }
  descriptor.in_kernel.PushBack(operation);
  if (operation.opcode == IoOpcode::kWrite && descriptor.kind == Kind::kSocket &&
      !descriptor.copies && SendsWithoutCopy(operation.args().size)) {
    SetFlags(operation, kZeroCopy);
  }
  Put(&descriptor, operation);
  return true;
}

bool RingReactor::sends_without_copy(int fd, size_t bytes) const noexcept {
  if (!SendsWithoutCopy(bytes)) return false;
  const Descriptor* const descriptor = Find(fd);
  return descriptor == nullptr || !descriptor->copies;
}

// Of a transfer that met an error on its way (a full disk, a limit, a cancel) the kernel tells how
// many bytes were moved, but leaves the file's position where it was: the next one would go over
// the same bytes.
void RingReactor::MovePosition(int64_t began_at, const IoOperation& operation) noexcept {
  const bool is_short = IsTransfer(operation) && operation.result > 0 &&
                        static_cast<size_t>(operation.result) < operation.args().size;
  if (!is_short) return;
  if (sys::Calls().Seek(operation.fd, 0, SEEK_CUR) != began_at) return;
  sys::Calls().Seek(operation.fd, began_at + operation.result, SEEK_SET);
}

// Puts it to the kernel, or a poll in its place where it is waiting.
void RingReactor::Put(Descriptor* descriptor, IoOperation& operation) noexcept {
  io_uring_sqe* const entry = moving_ ? nullptr : NextEntry();
  if (entry == nullptr) {
    stalled_operations_.push_back(&operation);
    return;
  }
  const uintptr_t flags = FlagsOf(operation);
  const Kind kind = descriptor == nullptr ? Kind::kFile : descriptor->kind;
  if ((flags & kWaiting) != 0) {
    io_uring_prep_poll_add(entry, operation.fd, IsInput(operation) ? POLLIN : POLLOUT);
  } else {
    Prepare(*entry, operation, kind == Kind::kSocket, (flags & kZeroCopy) != 0);
    if (MayWaitInOpen(operation)) entry->flags |= IOSQE_ASYNC;
    // Where the receiver is full the kernel has read the data before it finds out, and would later
    // send what is left of it: an empty message. So it is not to wait; we do.
    if (descriptor != nullptr && descriptor->unix_datagrams &&
        (operation.opcode == IoOpcode::kWrite || operation.opcode == IoOpcode::kSendMessage)) {
      entry->msg_flags |= MSG_DONTWAIT;
    }
    if (RaisesSigpipe(kind, operation)) {
      ++pipe_writes_;
      // Where the kernel may go on with it at any time and not in Enter alone: on a thread of its
      // own, which takes no signals.
      if (!ring_.deferred()) entry->flags |= IOSQE_ASYNC;
    }
  }
  // The kernel's word for us is a number, of which the tag is the lowest bits.
  entry->user_data = reinterpret_cast<uintptr_t>(&operation) | kOperation;
  ++with_kernel_;
}

// The kernel first opens without waiting, and a pipe that has a name then has no other end.
bool RingReactor::MayWaitInOpen(const IoOperation& operation) noexcept {
  return operation.opcode == IoOpcode::kOpen &&
         (operation.args().open.flags & (O_NONBLOCK | O_EXCL | O_DIRECTORY)) == 0;
}

bool RingReactor::RaisesSigpipe(Kind kind, const IoOperation& operation) noexcept {
  return kind == Kind::kStream && operation.opcode == IoOpcode::kWrite;
}

void RingReactor::PutAgain(IoOperation& operation, uintptr_t flags) noexcept {
  if ((flags & kCancelled) != 0) return Finish(operation, -ECANCELED);
  SetFlags(operation, flags);
  Put(NamesAFile(operation) ? nullptr : Find(operation.fd), operation);
}

// Of sockets and pipes: it has done nothing but wait. How much was done of others (files, what is
// sent without a copy, what the kernel has threads for) nobody knows.
void RingReactor::MoveOperation(IoOperation& operation) noexcept {
  const uintptr_t flags = FlagsOf(operation);
  const Kind kind = NamesAFile(operation) ? Kind::kFile : Find(operation.fd)->kind;
  const bool only_waits = kind != Kind::kFile && (flags & kZeroCopy) == 0 &&
                          operation.opcode != IoOpcode::kSync &&
                          operation.opcode != IoOpcode::kStatus &&
                          (ring_.deferred() || !RaisesSigpipe(kind, operation));
  if (!only_waits) return Finish(operation, -ECANCELED);
  // A connect that has begun cannot begin again, but be waited for. And an accept waits in a queue
  // of which the next connection wakes one alone: that may be the old one still, which is not
  // accepted with any more.
  const bool waits_first =
      operation.opcode == IoOpcode::kConnect || operation.opcode == IoOpcode::kAccept;
  PutAgain(operation, waits_first ? flags | kWaiting : flags);
}

void RingReactor::PutStalled() noexcept {
  if (stalled_operations_.empty() && stalled_multishots_.empty() && stalled_cancels_.empty()) {
    return;
  }
  for (IoOperation* const operation : std::exchange(stalled_operations_, {})) {
    PutAgain(*operation, FlagsOf(*operation));
  }
  for (UringMultishot* const shots : std::exchange(stalled_multishots_, {})) {
    if (shots->descriptor_gone()) {
      EndUnarmed(*shots);
    } else {
      Arm(*shots);
    }
  }
  for (const uintptr_t user_data : std::exchange(stalled_cancels_, {})) AskToCancel(user_data);
}

void RingReactor::Ended(IoOperation& operation, const io_uring_cqe& completion) noexcept {
  const uintptr_t flags = FlagsOf(operation);
  const bool more = (completion.flags & IORING_CQE_F_MORE) != 0;
  Descriptor* const descriptor = NamesAFile(operation) ? nullptr : Find(operation.fd);
  if (!more) --with_kernel_;
  int32_t result = completion.res;
  // The thread's end has cancelled it.
  const bool moves = moving_ && result == -ECANCELED && (flags & kCancelled) == 0;
  if ((flags & kWaiting) != 0) {
    if (moves) return MoveOperation(operation);
    if (result < 0 && (flags & kCancelled) == 0) return Finish(operation, result);
    // Begun by another thread, see MoveOperation. (Without an error it may not be connected yet.)
    if (operation.opcode == IoOpcode::kConnect && result >= 0) {
      return Finish(operation, sys::Calls().SocketError(operation.fd));
    }
    return PutAgain(operation, flags & ~uintptr_t{kWaiting});
  }
  if (descriptor != nullptr && RaisesSigpipe(descriptor->kind, operation)) --pipe_writes_;
  if ((flags & kZeroCopy) != 0) {
    if (more) {
      operation.result = result;  // its memory is still the kernel's
      return;
    }
    if ((completion.flags & IORING_CQE_F_NOTIF) != 0) {
      const auto usage = static_cast<unsigned>(result);
      if ((usage & kNotificationCopied) != 0) descriptor->copies = true;
      result = operation.result;
    }
    // Not for this kind of socket; or the user may not lock more memory; or the kernel (before 6.2)
    // cannot tell whether it copied.
    if (result == -EOPNOTSUPP || result == -ENOMEM || result == -ENOBUFS || result == -EINVAL) {
      descriptor->copies = true;
      return PutAgain(operation, flags & ~uintptr_t{kZeroCopy});
    }
  }
  if (moves && result == -ECANCELED) return MoveOperation(operation);
  if (result == -EINTR) return PutAgain(operation, flags);
  const bool can_wait = descriptor != nullptr && descriptor->kind != Kind::kFile &&
                        operation.opcode != IoOpcode::kConnect;
  if (result == -EAGAIN && can_wait) return PutAgain(operation, flags | kWaiting);
  if (operation.opcode == IoOpcode::kPoll && result >= 0) result = PollResult(result);
  if (operation.opcode == IoOpcode::kAwaitInput && result >= 0) result = 0;
  Finish(operation, result);
}

void RingReactor::Finish(IoOperation& operation, int32_t result) noexcept {
  // Another operation may be in its memory when the queue has room again.
  if (!stalled_cancels_.empty()) [[unlikely]] {
    // Known there by the kernel's word for it.
    std::erase(stalled_cancels_, reinterpret_cast<uintptr_t>(&operation) | kOperation);
  }
  ListOf(operation)->Remove(operation);
  Complete(operation, result);
  if (NamesAFile(operation)) return;
  Descriptor& descriptor = *Find(operation.fd);
  if (IsOrdered(operation)) {
    const Side side = SideOf(operation);
    if (descriptor.kind == Kind::kFile) MovePosition(descriptor.rare->Position(side), operation);
    descriptor.busy &= static_cast<uint8_t>(~side);
    while (descriptor.rare != nullptr && !descriptor.IsBusy(side)) {
      OperationList& queued = descriptor.rare->Queued(side);
      if (queued.empty()) break;
      IoOperation& next = *queued.first;
      queued.Remove(next);
      Start(descriptor, next);
    }
  }
  if (descriptor.closing() && descriptor.in_kernel.empty()) {
    FinishClose(*std::exchange(descriptor.rare->close, nullptr));
  }
}

// --- ending ---

void RingReactor::Cancel(IoOperation& operation) noexcept {
  if (operation.reactor_slot[0] == nullptr || BlockingOperations::Runs(operation)) {
    return;
  }
  Own();
  if (operation.reactor_slot[0] == nullptr) return;  // that has ended it
  Rare* const rare = NamesAFile(operation) ? nullptr : Find(operation.fd)->rare.get();
  if (rare != nullptr && ListOf(operation) == &rare->Queued(SideOf(operation))) {
    ListOf(operation)->Remove(operation);
    return Complete(operation, -ECANCELED);
  }
  AskToEnd(operation);
}

void RingReactor::AskToEnd(IoOperation& operation) noexcept {
  const uintptr_t flags = FlagsOf(operation);
  if ((flags & kCancelled) != 0) return;
  SetFlags(operation, flags | kCancelled);
  AskToCancel(reinterpret_cast<uintptr_t>(&operation) | kOperation);  // the kernel's word for it
}

void RingReactor::AskToCancel(uintptr_t user_data) noexcept {
  io_uring_sqe* const entry = NextEntry();
  if (entry == nullptr) {
    stalled_cancels_.push_back(user_data);
    return;
  }
  io_uring_prep_cancel64(entry, user_data, 0);
  entry->user_data = kIgnored;
  ++with_kernel_;
}

void RingReactor::AskAllToEnd(const OperationList& in_kernel) noexcept {
  for (IoOperation* each = in_kernel.first; each != nullptr;
       each = static_cast<IoOperation*>(each->next)) {
    AskToEnd(*each);
  }
}

void RingReactor::CancelAllOf(Descriptor& descriptor) noexcept {
  for (const Side side : {kInput, kOutput}) {
    while (descriptor.rare != nullptr && !descriptor.rare->Queued(side).empty()) {
      OperationList& queued = descriptor.rare->Queued(side);
      IoOperation& waiting = *queued.first;
      queued.Remove(waiting);
      Complete(waiting, -ECANCELED);
    }
  }
  AskAllToEnd(descriptor.in_kernel);
}

void RingReactor::CancelAll() noexcept {
  Own();
  for (const auto& block : descriptors_) {
    for (size_t i = 0; block != nullptr && i < kPerBlock; ++i) CancelAllOf(block[i]);
  }
  AskAllToEnd(named_);
}

void RingReactor::SubmitClose(IoOperation& operation) noexcept {
  Descriptor* const descriptor = Find(operation.fd);
  if (descriptor == nullptr) return FinishClose(operation);
  if (descriptor->closing()) return Complete(operation, -EBADF);
  CancelAllOf(*descriptor);
  if (descriptor->in_kernel.empty()) return FinishClose(operation);
  descriptor->MakeRare().close = &operation;
}

void RingReactor::FinishClose(IoOperation& operation) noexcept {
  if (Descriptor* const descriptor = Find(operation.fd); descriptor != nullptr) {
    *descriptor = Descriptor();
  }
  multishots_.EndAccepting(operation.fd);
  // The kernel looks the number up when it gets the request, and that is to be this descriptor. And
  // who listened here is to find the address free.
  const auto& changed = changed_descriptors_;
  const auto is_known = [&] {
    return std::find(changed.begin(), changed.end(), operation.fd) == changed.end();
  };
  for (int i = 0; i < kPatience && !is_known(); ++i) Enter(0, nullptr);
  if (!is_known()) {
    ring_.ForgetDescriptors(
        [&operation](const io_uring_sqe& entry) { return entry.fd == operation.fd; });
  }
  const int result = sys::Calls().Close(operation.fd);
  // Linux has closed it when close is interrupted; to try again would hit another's descriptor.
  Complete(operation, result == -EINTR ? 0 : result);
}

void RingReactor::ServeBlocking() noexcept {
  blocking_.Drain([this](IoOperation& operation) { Complete(operation, operation.result); });
}

}  // namespace plait::internal
