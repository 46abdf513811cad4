#include "plait/io/readiness/readiness_reactor.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <time.h>

#include <algorithm>
#include <utility>

#include "plait/io/system/system_calls.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/core/spin_lock.h"

namespace plait {
namespace {

int64_t TryOnce(const IoOperation& operation, bool socket) noexcept {
  sys::SystemCalls& calls = sys::Calls();
  const IoArgs& args = operation.args;
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
    case IoOpcode::kClose:
      break;  // not tried like this
  }
  return -EINVAL;
}

bool IsTransfer(const IoOperation& operation) noexcept {
  return operation.opcode == IoOpcode::kRead || operation.opcode == IoOpcode::kWrite;
}

// Goes on where the last one on the same file ended, and so has to wait for that.
bool UsesFilePosition(const IoOperation& operation) noexcept {
  return IsTransfer(operation) && operation.args.offset < 0;
}

// A system call that a signal interrupted is made again: nothing has happened yet.
int64_t TryUninterrupted(const IoOperation& operation, bool socket) noexcept {
  int64_t result = 0;
  do {
    result = TryOnce(operation, socket);
  } while (result == -EINTR);
  return result;
}

// As `size` bytes were asked for, at most 2^31 - 1 are ever moved, so that the result fits.
constexpr size_t kMaxTransfer = 0x7fff'f000;  // what Linux moves at most in one call

}  // namespace

// --- lists ---

void ReadinessReactor::OperationList::PushBack(IoOperation& operation) noexcept {
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

void ReadinessReactor::OperationList::PushFront(IoOperation& operation) noexcept {
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

void ReadinessReactor::OperationList::Remove(IoOperation& operation) noexcept {
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

// --- descriptors ---

void ReadinessReactor::Retire() noexcept {
  PLAIT_CHECK(in_flight_ == 0, "a reactor was destroyed with operations in flight");
  for (int round = 0; posters_.load(internal::kAcquire) != 0; ++round) internal::SpinWait(round);
}

ReadinessReactor::~ReadinessReactor() = default;

ReadinessReactor::Descriptor* ReadinessReactor::Find(int fd) noexcept {
  const auto index = static_cast<size_t>(fd);
  if (index >= descriptors_.size()) return nullptr;
  Descriptor& descriptor = descriptors_[index];
  return descriptor.kind == Kind::kUnknown ? nullptr : &descriptor;
}

int ReadinessReactor::SetUp(int fd) {
  sys::SystemCalls& calls = sys::Calls();
  // First of all, as it tells whether there is such a descriptor: a number out of nowhere costs no
  // memory.
  const int protocol = calls.SocketProtocol(fd);
  if (protocol < 0 && protocol != -ENOTSOCK) return protocol;
  const auto index = static_cast<size_t>(fd);
  if (index >= descriptors_.size()) {
    descriptors_.resize(std::max(index + 1, descriptors_.size() * 2));
  }
  Descriptor& descriptor = descriptors_[index];
  const int watched = Watch(fd, descriptor.generation);
  if (watched == -EPERM) {
    descriptor.kind = Kind::kFile;
    return 0;
  }
  if (watched < 0) return watched;
  if (const int set = calls.SetNonBlocking(fd); set < 0) {
    Unwatch(fd);
    return set;
  }
  descriptor.kind = protocol == IPPROTO_TCP ? Kind::kTcpSocket
                    : protocol < 0          ? Kind::kOther
                                            : Kind::kOtherSocket;
  // The first operation is tried at once also where nothing is likely to be read: what cannot be
  // read from at all (the writing end of a pipe, a listener) says so only then, and no event would
  // come.
  descriptor.read.maybe_ready = true;
  descriptor.write.maybe_ready = true;
  return 0;
}

ReadinessReactor::Direction& ReadinessReactor::DirectionOf(Descriptor& descriptor,
                                                           const IoOperation& operation) noexcept {
  const bool reads = operation.opcode == IoOpcode::kRead || operation.opcode == IoOpcode::kAccept ||
                     operation.opcode == IoOpcode::kReceiveMessage;
  return reads ? descriptor.read : descriptor.write;
}

ReadinessReactor::OperationList& ReadinessReactor::ListOf(Descriptor& descriptor,
                                                          const IoOperation& operation) noexcept {
  if (operation.opcode == IoOpcode::kPoll) return descriptor.polls;
  return DirectionOf(descriptor, operation).parked;
}

void ReadinessReactor::Complete(IoOperation& operation, int64_t result) noexcept {
  operation.result = static_cast<int32_t>(result);
  operation.reactor_slot[0] = nullptr;
  completed_.Push(operation);
  ++undelivered_;
}

// --- operations ---

void ReadinessReactor::Submit(IoOperation& operation) noexcept {
  ++in_flight_;
  operation.reactor_slot[0] = operation.reactor_slot[1] = nullptr;
  if (NamesAFile(operation)) return StartBlocking(operation);
  if (operation.fd < 0) return Complete(operation, -EBADF);
  if (operation.opcode == IoOpcode::kClose) return SubmitClose(operation);
  const bool transfer = IsTransfer(operation);
  if (transfer) operation.args.size = std::min(operation.args.size, kMaxTransfer);
  if (Find(operation.fd) == nullptr) {
    const int set_up = SetUp(operation.fd);
    if (set_up < 0) return Complete(operation, set_up);
  }
  Descriptor& descriptor = *Find(operation.fd);
  if (descriptor.close != nullptr) return Complete(operation, -EBADF);
  if (operation.opcode == IoOpcode::kPoll) return SubmitPoll(descriptor, operation);
  const bool blocks = operation.opcode == IoOpcode::kSync || operation.opcode == IoOpcode::kStatus;
  if (blocks || descriptor.kind == Kind::kFile) return SubmitBlocking(descriptor, operation);
  if (operation.opcode == IoOpcode::kConnect) return SubmitConnect(descriptor, operation);
  Direction& direction = DirectionOf(descriptor, operation);
  if (direction.parked.first == nullptr && direction.maybe_ready && Try(descriptor, operation)) {
    return;
  }
  // What has no positions says so at once; no event would come.
  const bool positioned = transfer && operation.args.offset >= 0;
  if (positioned && Try(descriptor, operation)) return;
  direction.parked.PushBack(operation);
}

bool ReadinessReactor::Try(Descriptor& descriptor, IoOperation& operation) noexcept {
  Direction& direction = DirectionOf(descriptor, operation);
  if (operation.opcode == IoOpcode::kConnect) return TryConnect(direction, operation);
  const bool tcp = descriptor.kind == Kind::kTcpSocket;
  const int64_t result = TryUninterrupted(operation, tcp || descriptor.kind == Kind::kOtherSocket);
  if (result == -EAGAIN || result == -EWOULDBLOCK) {
    direction.maybe_ready = false;
    return false;
  }
  // A TCP socket that moved less than it was asked to has no more now, and will say when it has.
  // Not once it is broken: the end of the stream, or the error, comes without another event. Not
  // where there was urgent data, at which a read stops. Not other kinds: a short read from a
  // terminal or a datagram socket, or from a Unix socket that passes descriptors along, says
  // nothing about what is behind it.
  if (tcp && result > 0 && IsTransfer(operation) && !descriptor.broken && !descriptor.urgent &&
      static_cast<size_t>(result) < operation.args.size) {
    direction.maybe_ready = false;
  }
  Complete(operation, result);
  return true;
}

bool ReadinessReactor::TryConnect(Direction& direction, IoOperation& operation) noexcept {
  int events = 0;
  do {
    events = sys::Calls().PollNow(operation.fd, POLLOUT);
  } while (events == -EINTR);
  if (events == 0) {
    direction.maybe_ready = false;
    return false;
  }
  Complete(operation, events < 0 ? events : sys::Calls().SocketError(operation.fd));
  return true;
}

bool ReadinessReactor::TryPoll(IoOperation& operation) noexcept {
  short wanted = 0;
  if ((operation.args.events & kPollReadable) != 0) wanted |= POLLIN;
  if ((operation.args.events & kPollWritable) != 0) wanted |= POLLOUT;
  int found = 0;
  do {
    found = sys::Calls().PollNow(operation.fd, wanted);
  } while (found == -EINTR);
  if (found == 0) return false;
  if (found < 0 || (found & POLLNVAL) != 0) {
    Complete(operation, found < 0 ? found : -EBADF);
    return true;
  }
  uint32_t events = 0;
  if ((found & POLLIN) != 0) events |= kPollReadable;
  if ((found & POLLOUT) != 0) events |= kPollWritable;
  if ((found & POLLERR) != 0) events |= kPollError;
  if ((found & POLLHUP) != 0) events |= kPollHangUp;
  Complete(operation, events);
  return true;
}

void ReadinessReactor::SubmitPoll(Descriptor& descriptor, IoOperation& operation) noexcept {
  if (!TryPoll(operation)) descriptor.polls.PushBack(operation);
}

void ReadinessReactor::SubmitConnect(Descriptor& descriptor, IoOperation& operation) noexcept {
  // What was said of the socket before it had a peer holds no more.
  descriptor.broken = false;
  int result = 0;
  bool interrupted = false;
  for (;;) {
    result = sys::Calls().Connect(operation.fd, operation.args.const_address,
                                  static_cast<socklen_t>(operation.args.size));
    if (result != -EINTR) break;
    interrupted = true;
  }
  // An interrupted call need not be undone: the connection may be on its way already, or made.
  if (interrupted && result == -EALREADY) result = -EINPROGRESS;
  if (interrupted && result == -EISCONN) result = 0;
  if (result != -EINPROGRESS) return Complete(operation, result);
  descriptor.write.maybe_ready = false;
  descriptor.write.parked.PushBack(operation);
}

void ReadinessReactor::SubmitClose(IoOperation& operation) noexcept {
  Descriptor* const known = Find(operation.fd);
  if (known == nullptr) return FinishClose(operation);
  Descriptor& descriptor = *known;
  if (descriptor.close != nullptr) return Complete(operation, -EBADF);
  for (OperationList* list :
       {&descriptor.read.parked, &descriptor.write.parked, &descriptor.polls}) {
    while (IoOperation* parked = list->first) {
      list->Remove(*parked);
      Complete(*parked, -ECANCELED);
    }
  }
  if (descriptor.blocking_operations > 0) {
    descriptor.close = &operation;  // the number must not be used again while they run
    return;
  }
  FinishClose(operation);
}

void ReadinessReactor::FinishClose(IoOperation& operation) noexcept {
  if (Descriptor* const descriptor = Find(operation.fd); descriptor != nullptr) {
    // Also for descriptors that live on elsewhere as a duplicate, whose registration the system
    // would keep.
    if (descriptor->kind != Kind::kFile) Unwatch(operation.fd);
    const uint32_t generation = descriptor->generation + 1;
    *descriptor = Descriptor();
    // Events that were fetched already carry the old one.
    descriptor->generation = generation;
  }
  const int result = sys::Calls().Close(operation.fd);
  // Linux has closed it when close is interrupted; to try again would hit another's descriptor.
  Complete(operation, result == -EINTR ? 0 : result);
}

void ReadinessReactor::Cancel(IoOperation& operation) noexcept {
  if (operation.reactor_slot[0] == nullptr || operation.run == &RunBlocking) return;
  ListOf(*Find(operation.fd), operation).Remove(operation);
  Complete(operation, -ECANCELED);
}

// --- regular files ---

void ReadinessReactor::SubmitBlocking(Descriptor& descriptor, IoOperation& operation) noexcept {
  const bool socket_operation =
      operation.opcode == IoOpcode::kAccept || operation.opcode == IoOpcode::kConnect ||
      operation.opcode == IoOpcode::kReceiveMessage || operation.opcode == IoOpcode::kSendMessage;
  if (socket_operation) return Complete(operation, -ENOTSOCK);
  if (blocking_ == nullptr) return Complete(operation, -EPERM);
  Direction& direction = DirectionOf(descriptor, operation);
  if (UsesFilePosition(operation) && direction.file_busy) {
    direction.parked.PushBack(operation);
  } else {
    StartBlockingOn(descriptor, operation);
  }
}

void ReadinessReactor::StartBlockingOn(Descriptor& descriptor, IoOperation& operation) noexcept {
  if (UsesFilePosition(operation)) DirectionOf(descriptor, operation).file_busy = true;
  ++descriptor.blocking_operations;
  StartBlocking(operation);
}

void ReadinessReactor::StartBlocking(IoOperation& operation) noexcept {
  if (blocking_ == nullptr) return Complete(operation, -EPERM);
  // The operation itself is what the executor runs; its own run function waits in the scratch
  // meanwhile.
  operation.reactor_slot[0] = reinterpret_cast<void*>(operation.run);
  operation.reactor_slot[1] = this;
  operation.run = &RunBlocking;
  blocking_->Schedule(operation);
}

void ReadinessReactor::RunBlocking(WorkItem& item) noexcept {
  auto& operation = static_cast<IoOperation&>(item);
  auto& self = *static_cast<ReadinessReactor*>(operation.reactor_slot[1]);
  operation.result = static_cast<int32_t>(TryUninterrupted(operation, /*socket=*/false));
  // Counted, so that the reactor is not destroyed before Wake has returned. See
  // EventLoop::PostFromOutside.
  self.posters_.fetch_add(1, internal::kAcquire);
  if (self.blocking_done_.Push(operation)) self.Wake();
  self.posters_.fetch_sub(1, internal::kRelease);
}

void ReadinessReactor::ServeBlocking() noexcept {
  WorkQueue done;
  blocking_done_.Drain(done);
  while (WorkItem* item = done.Pop()) {
    auto& operation = static_cast<IoOperation&>(*item);
    operation.run = reinterpret_cast<WorkItem::RunFunction>(operation.reactor_slot[0]);
    Complete(operation, operation.result);
    if (NamesAFile(operation)) continue;
    Descriptor& descriptor = *Find(operation.fd);
    if (UsesFilePosition(operation)) {
      Direction& direction = DirectionOf(descriptor, operation);
      direction.file_busy = false;
      if (IoOperation* const parked = direction.parked.first; parked != nullptr) {
        direction.parked.Remove(*parked);
        StartBlockingOn(descriptor, *parked);
      }
    }
    if (--descriptor.blocking_operations == 0 && descriptor.close != nullptr) {
      FinishClose(*std::exchange(descriptor.close, nullptr));
    }
  }
}

// --- polling ---

void ReadinessReactor::Serve(Descriptor& descriptor, Direction& direction) noexcept {
  while (direction.parked.first != nullptr && direction.maybe_ready) {
    IoOperation& operation = *direction.parked.first;
    // Out of the list first: completing it uses its links.
    direction.parked.Remove(operation);
    if (Try(descriptor, operation)) continue;
    direction.parked.PushFront(operation);
    return;
  }
}

void ReadinessReactor::Handle(const ReadinessEvent& event) noexcept {
  Descriptor* const found = Find(event.fd);
  if (found == nullptr || found->generation != event.generation) return;  // closed meanwhile
  Descriptor& descriptor = *found;
  if (event.broken) descriptor.broken = true;
  if (event.urgent) descriptor.urgent = true;
  if (event.readable || event.broken) {
    descriptor.read.maybe_ready = true;
    Serve(descriptor, descriptor.read);
  }
  if (event.writable || event.broken) {
    descriptor.write.maybe_ready = true;
    Serve(descriptor, descriptor.write);
  }
  OperationList polls = std::exchange(descriptor.polls, OperationList());
  while (IoOperation* poll = polls.first) {
    polls.Remove(*poll);
    if (!TryPoll(*poll)) descriptor.polls.PushBack(*poll);
  }
}

void ReadinessReactor::Poll(Deadline deadline, Clock& clock, WorkQueue& ready) noexcept {
  // While operations complete without waiting, a look at the system every few turns is enough for
  // the others.
  constexpr int kMaxPollsWithoutWait = 8;
  ServeBlocking();
  const bool must_not_block =
      !completed_.empty() || deadline == Deadline::Immediate() || !blocking_done_.PrepareToSleep();
  if (completed_.empty() || ++polls_without_wait_ >= kMaxPollsWithoutWait) {
    polls_without_wait_ = 0;
    timespec timeout{};
    const timespec* timeout_or_never = &timeout;
    if (!must_not_block) {
      if (deadline.is_infinite()) {
        timeout_or_never = nullptr;
      } else {
        const Deadline now = clock.Now();
        if (deadline > now) {
          const int64_t wait = deadline.nanos() - now.nanos();
          timeout = {.tv_sec = wait / 1'000'000'000, .tv_nsec = wait % 1'000'000'000};
        }
      }
    }
    ReadinessEvent events[kEventsPerWait];
    // Interrupted, or failed for a reason that the next call will meet again: nothing is lost,
    // return early.
    const int count = WaitForEvents(timeout_or_never, events);
    for (int i = 0; i < count; ++i) Handle(events[i]);
    ServeBlocking();
  }
  ready.Append(completed_);
  in_flight_ -= std::exchange(undelivered_, size_t{0});
}

}  // namespace plait
