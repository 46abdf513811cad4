#include "plait/io/readiness/readiness_reactor.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "plait/io/reactor/failed_wait.h"
#include "plait/io/reactor/try_operation.h"
#include "plait/io/reactor/wait_time.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/core/check.h"

namespace plait {

using internal::IsInput;
using internal::IsTransfer;
using internal::TryOperation;

namespace {

// Goes on where the last one on the same file ended, and so has to wait for that.
bool UsesFilePosition(const IoOperation& operation) noexcept {
  return IsTransfer(operation) && operation.args().offset < 0;
}

// As `size` bytes were asked for, at most 2^31 - 1 are ever moved, so that the result fits.
constexpr size_t kMaxTransfer = 0x7fff'f000;  // what Linux moves at most in one call

int32_t Announced(const ReadinessEvent& event) noexcept {
  return static_cast<int32_t>(std::min<int64_t>(event.readable_bytes, INT32_MAX));
}

}  // namespace

// --- descriptors ---

void ReadinessReactor::Retire() noexcept {
  PLAIT_CHECK(in_flight_ == 0, "a reactor was destroyed with operations in flight");
  blocking_.Retire();
}

ReadinessReactor::~ReadinessReactor() = default;

// In line: each event and each operation comes by here.
inline ReadinessReactor::Descriptor* ReadinessReactor::Find(int fd) noexcept {
  const auto number = static_cast<size_t>(fd);
  if (number / kPerBlock >= descriptors_.size()) return nullptr;
  const auto& block = descriptors_[number / kPerBlock];
  if (block == nullptr) return nullptr;
  Descriptor& descriptor = block[number % kPerBlock];
  return descriptor.kind == Kind::kUnknown ? nullptr : &descriptor;
}

int ReadinessReactor::SetUp(int fd) {
  sys::SystemCalls& calls = sys::Calls();
  // First of all, as it tells whether there is such a descriptor: a number out of nowhere costs no
  // memory.
  const int protocol = calls.SocketProtocol(fd);
  if (protocol < 0 && protocol != -ENOTSOCK) return protocol;
  const auto number = static_cast<size_t>(fd);
  if (number / kPerBlock >= descriptors_.size()) descriptors_.resize(number / kPerBlock + 1);
  auto& block = descriptors_[number / kPerBlock];
  if (block == nullptr) block = std::make_unique<Descriptor[]>(kPerBlock);
  Descriptor& descriptor = block[number % kPerBlock];
  const int watched = Watch(fd, protocol >= 0, descriptor.generation);
  // What a system says of files. (Of a socket it says nothing of the kind, and a read of one would
  // block for ever.)
  if (watched == -EPERM && protocol < 0) {
    descriptor.kind = Kind::kFile;
    descriptor.stale = false;
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
  descriptor.maybe_ready = kInput | kOutput;
  descriptor.stale = false;
  return 0;
}

void ReadinessReactor::Flush() noexcept {
  for (const auto& block : descriptors_) {
    for (size_t i = 0; block != nullptr && i < kPerBlock; ++i) block[i].stale = true;
  }
}

void ReadinessReactor::LookAgain(int fd, Descriptor& descriptor) noexcept {
  descriptor.stale = false;
  if (!descriptor.InUse() && !StillWatched(fd, descriptor.generation)) Forget(fd, descriptor);
}

void ReadinessReactor::Forget(int fd, Descriptor& descriptor) noexcept {
  // Also for descriptors that live on elsewhere as a duplicate, whose registration the system would
  // keep.
  if (descriptor.kind != Kind::kFile) Unwatch(fd);
  const auto generation = static_cast<uint16_t>(descriptor.generation + 1);
  descriptor = Descriptor();
  // Events that were fetched already carry the old one.
  descriptor.generation = generation;
}

ReadinessReactor::Side ReadinessReactor::SideOf(const IoOperation& operation) noexcept {
  return IsInput(operation) ? kInput : kOutput;
}

ReadinessReactor::OperationList& ReadinessReactor::ListOf(Descriptor& descriptor,
                                                          const IoOperation& operation) noexcept {
  if (operation.opcode == IoOpcode::kPoll) return descriptor.MakeRare().polls;
  return descriptor.Parked(SideOf(operation));
}

inline void ReadinessReactor::Complete(IoOperation& operation, int64_t result) noexcept {
  operation.result = static_cast<int32_t>(result);
  operation.reactor_slot[0] = nullptr;
  if (&operation == at_once_) {
    at_once_ = nullptr;
    --in_flight_;
    return;
  }
  completed_.Push(operation);
  ++undelivered_;
}

// --- operations ---

inline void ReadinessReactor::DeliverInput(Descriptor& descriptor,
                                           IoOperation& operation) noexcept {
  // He takes it all, or asks again; but for others who wait.
  if (descriptor.input.empty()) {
    descriptor.SetNotReady(kInput);
  } else {
    descriptor.SetReady(kInput);
  }
  descriptor.told = true;
  Complete(operation, std::exchange(descriptor.announced, 0));
}

// A read that took less than was asked for may have stopped at urgent data; and what ends a
// connection has no event after its own.
inline void ReadinessReactor::SubmitAwaitInput(Descriptor& descriptor,
                                               IoOperation& operation) noexcept {
  if (descriptor.kind == Kind::kFile) return Complete(operation, -EPERM);
  if (operation.found_nothing) {
    descriptor.SetNotReady(kInput);
    descriptor.told = false;
    descriptor.announced = 0;
  } else if (descriptor.MayBeReady(kInput) || descriptor.broken || descriptor.urgent) {
    return DeliverInput(descriptor, operation);
  }
  descriptor.input.PushBack(operation);
}

void ReadinessReactor::Submit(IoOperation& operation) noexcept {
  ++in_flight_;
  operation.reactor_slot[0] = operation.reactor_slot[1] = nullptr;
  // Each request of a stream's comes by here, the other kinds of operations seldom.
  if (operation.opcode == IoOpcode::kAwaitInput) {
    Descriptor* const known = Find(operation.fd);
    if (known != nullptr && !known->stale && !known->closing()) {
      return SubmitAwaitInput(*known, operation);
    }
  }
  SubmitOther(operation);
}

bool ReadinessReactor::SubmitOrComplete(IoOperation& operation) noexcept {
  // What a close ends is delivered before it.
  const bool closes = operation.opcode == IoOpcode::kClose;
  if (!closes) at_once_ = &operation;
  Submit(operation);
  return std::exchange(at_once_, nullptr) == nullptr && !closes;
}

void ReadinessReactor::SubmitOther(IoOperation& operation) noexcept {
  if (NamesAFile(operation)) {
    if (!blocking_.Start(operation)) Complete(operation, -EPERM);
    return;
  }
  if (operation.fd < 0) return Complete(operation, -EBADF);
  if (operation.opcode == IoOpcode::kClose) return SubmitClose(operation);
  const bool transfer = IsTransfer(operation);
  if (transfer) operation.args().size = std::min(operation.args().size, kMaxTransfer);
  Descriptor* found = Find(operation.fd);
  if (found != nullptr && found->stale) [[unlikely]] {
    LookAgain(operation.fd, *found);
    found = Find(operation.fd);
  }
  if (found == nullptr) {
    const int set_up = SetUp(operation.fd);
    if (set_up < 0) return Complete(operation, set_up);
    found = Find(operation.fd);
  }
  Descriptor& descriptor = *found;
  if (descriptor.closing()) return Complete(operation, -EBADF);
  if (operation.opcode == IoOpcode::kAwaitInput) return SubmitAwaitInput(descriptor, operation);
  if (operation.opcode == IoOpcode::kPoll) return SubmitPoll(descriptor, operation);
  const bool blocks = operation.opcode == IoOpcode::kSync || operation.opcode == IoOpcode::kStatus;
  if (blocks || descriptor.kind == Kind::kFile) return SubmitBlocking(descriptor, operation);
  if (operation.opcode == IoOpcode::kConnect) return SubmitConnect(descriptor, operation);
  const Side side = SideOf(operation);
  OperationList& parked = descriptor.Parked(side);
  if (side == kInput && parked.empty() && descriptor.told) {
    descriptor.told = false;
    descriptor.SetReady(kInput);  // no event tells of what he left
  }
  if (parked.empty() && descriptor.MayBeReady(side) && Try(descriptor, operation)) return;
  // What has no positions says so at once; no event would come.
  const bool positioned = transfer && operation.args().offset >= 0;
  if (positioned && Try(descriptor, operation)) return;
  parked.PushBack(operation);
}

bool ReadinessReactor::Try(Descriptor& descriptor, IoOperation& operation) noexcept {
  const Side side = SideOf(operation);
  if (operation.opcode == IoOpcode::kConnect) return TryConnect(descriptor, operation);
  const bool tcp = descriptor.kind == Kind::kTcpSocket;
  const int64_t result = TryOperation(operation, tcp || descriptor.kind == Kind::kOtherSocket);
  if (result == -EAGAIN || result == -EWOULDBLOCK) {
    descriptor.SetNotReady(side);
    if (side == kInput) descriptor.announced = 0;
    return false;
  }
  const bool transferred = result > 0 && IsTransfer(operation);
  if (transferred && side == kInput) {
    descriptor.announced =
        static_cast<int32_t>(std::max<int64_t>(descriptor.announced - result, 0));
  }
  // A TCP socket that moved less than it was asked to has no more now, and will say when it has.
  // Not once it is broken: the end of the stream, or the error, comes without another event. Not
  // where there was urgent data, at which a read stops, so that more was announced than came. Not
  // other kinds: a short read from a terminal or a datagram socket, or from a Unix socket that
  // passes descriptors along, says nothing about what is behind it.
  if (tcp && transferred && !descriptor.broken && !descriptor.urgent &&
      (side == kOutput || descriptor.announced == 0) &&
      static_cast<size_t>(result) < operation.args().size) {
    descriptor.SetNotReady(side);
  }
  Complete(operation, result);
  return true;
}

bool ReadinessReactor::TryConnect(Descriptor& descriptor, IoOperation& operation) noexcept {
  int events = 0;
  do {
    events = sys::Calls().PollNow(operation.fd, POLLOUT);
  } while (events == -EINTR);
  if (events == 0) {
    descriptor.SetNotReady(kOutput);
    return false;
  }
  Complete(operation, events < 0 ? events : sys::Calls().SocketError(operation.fd));
  return true;
}

bool ReadinessReactor::TryPoll(IoOperation& operation) noexcept {
  short wanted = 0;
  if ((operation.args().events & kPollReadable) != 0) wanted |= POLLIN;
  if ((operation.args().events & kPollWritable) != 0) wanted |= POLLOUT;
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
  if (TryPoll(operation)) return;
  // No event will ever come.
  if (descriptor.kind == Kind::kFile) return Complete(operation, -EPERM);
  descriptor.MakeRare().polls.PushBack(operation);
}

void ReadinessReactor::SubmitConnect(Descriptor& descriptor, IoOperation& operation) noexcept {
  // What was said of the socket before it had a peer holds no more.
  descriptor.broken = false;
  int result = 0;
  bool interrupted = false;
  for (;;) {
    result = sys::Calls().Connect(operation.fd, operation.args().const_address,
                                  static_cast<socklen_t>(operation.args().size));
    if (result != -EINTR) break;
    interrupted = true;
  }
  // An interrupted call need not be undone: the connection may be on its way already, or made.
  if (interrupted && result == -EALREADY) result = -EINPROGRESS;
  if (interrupted && result == -EISCONN) result = 0;
  if (result != -EINPROGRESS) return Complete(operation, result);
  descriptor.SetNotReady(kOutput);
  descriptor.output.PushBack(operation);
}

void ReadinessReactor::SubmitClose(IoOperation& operation) noexcept {
  Descriptor* const known = Find(operation.fd);
  if (known == nullptr) return FinishClose(operation);
  Descriptor& descriptor = *known;
  Rare* const rare = descriptor.rare.get();
  if (descriptor.closing()) return Complete(operation, -EBADF);
  CancelParked(descriptor);
  if (rare != nullptr && rare->blocking_operations > 0) {
    rare->close = &operation;  // the number must not be used again while they run
    return;
  }
  FinishClose(operation);
}

void ReadinessReactor::CancelParked(Descriptor& descriptor) noexcept {
  Rare* const rare = descriptor.rare.get();
  for (OperationList* list :
       {&descriptor.input, &descriptor.output, rare == nullptr ? nullptr : &rare->polls}) {
    while (list != nullptr && !list->empty()) {
      IoOperation* const parked = list->first;
      list->Remove(*parked);
      Complete(*parked, -ECANCELED);
    }
  }
}

void ReadinessReactor::FinishClose(IoOperation& operation) noexcept {
  if (Descriptor* const descriptor = Find(operation.fd); descriptor != nullptr) {
    Forget(operation.fd, *descriptor);
  }
  const int result = sys::Calls().Close(operation.fd);
  // Linux has closed it when close is interrupted; to try again would hit another's descriptor.
  Complete(operation, result == -EINTR ? 0 : result);
}

void ReadinessReactor::Cancel(IoOperation& operation) noexcept {
  if (operation.reactor_slot[0] == nullptr || internal::BlockingOperations::Runs(operation)) return;
  ListOf(*Find(operation.fd), operation).Remove(operation);
  Complete(operation, -ECANCELED);
}

void ReadinessReactor::CancelAll() noexcept {
  for (const auto& block : descriptors_) {
    for (size_t i = 0; block != nullptr && i < kPerBlock; ++i) CancelParked(block[i]);
  }
}

// --- regular files ---

void ReadinessReactor::SubmitBlocking(Descriptor& descriptor, IoOperation& operation) noexcept {
  const bool socket_operation =
      operation.opcode == IoOpcode::kAccept || operation.opcode == IoOpcode::kConnect ||
      operation.opcode == IoOpcode::kReceiveMessage || operation.opcode == IoOpcode::kSendMessage;
  if (socket_operation) return Complete(operation, -ENOTSOCK);
  const Side side = SideOf(operation);
  const bool busy = descriptor.rare != nullptr && (descriptor.rare->file_busy & side) != 0;
  if (UsesFilePosition(operation) && busy) {
    descriptor.Parked(side).PushBack(operation);
  } else {
    StartBlocking(descriptor, operation);
  }
}

void ReadinessReactor::StartBlocking(Descriptor& descriptor, IoOperation& operation) noexcept {
  if (!blocking_.Start(operation)) return Complete(operation, -EPERM);
  Rare& rare = descriptor.MakeRare();
  if (UsesFilePosition(operation)) rare.file_busy |= SideOf(operation);
  ++rare.blocking_operations;
}

void ReadinessReactor::ServeBlocking() noexcept {
  blocking_.Drain([this](IoOperation& operation) {
    Complete(operation, operation.result);
    if (NamesAFile(operation)) return;
    Descriptor& descriptor = *Find(operation.fd);
    Rare& rare = *descriptor.rare;
    if (UsesFilePosition(operation)) {
      const Side side = SideOf(operation);
      rare.file_busy &= static_cast<uint8_t>(~side);
      OperationList& waiting = descriptor.Parked(side);
      if (IoOperation* const parked = waiting.first; parked != nullptr) {
        waiting.Remove(*parked);
        StartBlocking(descriptor, *parked);
      }
    }
    if (--rare.blocking_operations == 0 && rare.close != nullptr) {
      FinishClose(*std::exchange(rare.close, nullptr));
    }
  });
}

// --- polling ---

void ReadinessReactor::Serve(Descriptor& descriptor, Side side) noexcept {
  OperationList& parked = descriptor.Parked(side);
  while (!parked.empty() && descriptor.MayBeReady(side)) {
    IoOperation& operation = *parked.first;
    // Out of the list first: completing it uses its links.
    parked.Remove(operation);
    if (operation.opcode == IoOpcode::kAwaitInput) {
      DeliverInput(descriptor, operation);
      continue;
    }
    if (Try(descriptor, operation)) continue;
    parked.PushFront(operation);
    return;
  }
}

void ReadinessReactor::Handle(const ReadinessEvent& event) noexcept {
  Descriptor* const found = Find(event.fd);
  if (found == nullptr || found->generation != event.generation) return;  // closed meanwhile
  Descriptor& descriptor = *found;
  // As mostly: one waits for input, and nobody for anything else.
  IoOperation* const first = descriptor.input.first;
  if (first != nullptr && first->next == nullptr && first->opcode == IoOpcode::kAwaitInput &&
      event.readable && !event.broken && !event.urgent && descriptor.output.empty() &&
      descriptor.rare == nullptr) [[likely]] {
    if (event.writable) descriptor.SetReady(kOutput);
    descriptor.announced = Announced(event);
    descriptor.input.Remove(*first);
    return DeliverInput(descriptor, *first);
  }
  HandleOther(descriptor, event);
}

void ReadinessReactor::HandleOther(Descriptor& descriptor, const ReadinessEvent& event) noexcept {
  if (event.broken) descriptor.broken = true;
  if (event.urgent) descriptor.urgent = true;
  if (event.readable || event.broken) {
    descriptor.SetReady(kInput);
    descriptor.announced = Announced(event);
    Serve(descriptor, kInput);
  }
  if (event.writable || event.broken) {
    descriptor.SetReady(kOutput);
    Serve(descriptor, kOutput);
  }
  if (descriptor.rare == nullptr) return;
  Rare& rare = *descriptor.rare;
  OperationList polls = std::exchange(rare.polls, OperationList());
  while (IoOperation* poll = polls.first) {
    polls.Remove(*poll);
    if (!TryPoll(*poll)) rare.polls.PushBack(*poll);
  }
}

void ReadinessReactor::Poll(Deadline deadline, Clock& clock, WorkQueue& ready) noexcept {
  // While operations complete without waiting, a look at the system every few turns is enough for
  // the others.
  constexpr int kMaxPollsWithoutWait = 8;
  ServeBlocking();
  const bool must_not_block =
      !completed_.empty() || deadline == Deadline::Immediate() || !blocking_.PrepareToSleep();
  if (completed_.empty() || ++polls_without_wait_ >= kMaxPollsWithoutWait) {
    polls_without_wait_ = 0;
    const internal::WaitTime wait =
        must_not_block ? internal::WaitTime() : internal::WaitTime(deadline, clock);
    const int waited = WaitForEvents(wait.get());
    ServeBlocking();
    // Nothing is lost: what is ready is told of by the next wait.
    if (waited < 0) [[unlikely]] {
      internal::AfterFailedWait(absl::StrCat(name(), " reactor: waiting for events"), waited,
                                /*idle=*/!must_not_block && completed_.empty());
    }
  }
  ready.Append(completed_);
  in_flight_ -= std::exchange(undelivered_, size_t{0});
}

}  // namespace plait
