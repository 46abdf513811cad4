#include "plait/io/io_uring/io_uring_reactor.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "plait/io/io_uring/multishots.h"
#include "plait/io/io_uring/prepare.h"
#include "plait/io/io_uring/ring.h"
#include "plait/io/reactor/blocking_operations.h"
#include "plait/io/reactor/failed_wait.h"
#include "plait/io/reactor/operation_list.h"
#include "plait/io/reactor/try_operation.h"
#include "plait/io/reactor/wait_time.h"
#include "plait/io/system/errno_status.h"
#include "plait/io/system/sigpipe.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/core/thread_state.h"

namespace plait {
namespace {

using internal::IsInput;
using internal::IsTransfer;
using internal::OperationList;
using internal::UringMultishot;

// What a completion's user_data tells besides a pointer, in its lowest bits.
enum Tag : uintptr_t {
  kOperation = 0,
  kMultishot = 1,
  kWake = 2,
  kIgnored = 3,  // a cancel's own result
  kTags = 7,
};

// What an operation's scratch tells besides the list that it is in.
enum Flag : uintptr_t {
  kCancelled = 1,  // the kernel was asked to end it
  kWaiting = 2,    // the kernel has a poll in its place, as the descriptor was not ready
  kZeroCopy = 4,   // sent, or being sent, without a copy
  kFlags = 7,
};

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

class IoUringReactor final : public Reactor, private internal::MultishotHost {
 public:
  IoUringReactor(const IoUringOptions& options, int wake)
      : options_(options),
        wake_(wake),
        blocking_(options.blocking, *this),
        multishots_(*this, options) {}
  ~IoUringReactor() override;

  absl::Status Open() { return ring_.Open(options_); }

  absl::string_view name() const override { return "io_uring"; }
  void Submit(IoOperation& operation) noexcept override;
  void Cancel(IoOperation& operation) noexcept override;
  void Poll(Deadline deadline, Clock& clock, WorkQueue& ready) noexcept override;
  void Wake() noexcept override { internal::SignalWake(wake_); }
  size_t in_flight() const noexcept override { return in_flight_; }
  bool expects_results() const noexcept override { return in_flight_ > 0 || multishots_.any(); }
  const internal::Multishots& multishots() const noexcept { return multishots_; }

  Multishot* StartMultishot(IoOpcode opcode, int fd, MultishotOwner& owner) noexcept override;
  void StopMultishot(Multishot& shots) noexcept override {
    multishots_.Stop(static_cast<UringMultishot&>(shots));
  }
  void ReturnShot(Multishot& shots, Shot& shot) noexcept override {
    multishots_.Return(static_cast<UringMultishot&>(shots), shot);
  }

 private:
  struct Direction {
    IoOperation* active = nullptr;  // with the kernel
    OperationList queued;           // behind it
    int64_t position = 0;           // where a file was when it began
  };
  enum class Kind : uint8_t { kUnknown, kSocket, kFile, kStream };
  struct Descriptor {
    Direction input;
    Direction output;
    OperationList in_kernel;
    IoOperation* close = nullptr;  // waits for those
    Kind kind = Kind::kUnknown;
    bool copies = false;  // zero-copy sending was found to copy all the same
    bool unix_datagrams = false;
  };

  // --- the ring ---
  void Own() noexcept {
    if (owner_ != internal::ThreadSerial()) [[unlikely]]
      TakeOver();
  }
  void TakeOver() noexcept;
  io_uring_sqe* NextEntry() noexcept;
  void ArmWake() noexcept;
  int Enter(unsigned wait_for, const timespec* timeout) noexcept;
  void Reap() noexcept;
  void Handle(const io_uring_cqe& completion) noexcept;

  // --- operations ---
  Descriptor* Find(int fd) noexcept;
  int SetUp(int fd) noexcept;
  static bool IsStreamSocket(int fd) noexcept;
  // Serialised with those of its kind on its descriptor.
  static bool IsOrdered(const IoOperation& operation) noexcept;
  static Direction& DirectionOf(Descriptor& descriptor, const IoOperation& operation) noexcept {
    return IsInput(operation) ? descriptor.input : descriptor.output;
  }
  void SubmitNamed(IoOperation& operation) noexcept;
  void SubmitClose(IoOperation& operation) noexcept;
  void FinishClose(IoOperation& operation) noexcept;
  // False when it has ended already.
  bool Start(Descriptor& descriptor, IoOperation& operation) noexcept;
  static void MovePosition(const Direction& direction, const IoOperation& operation) noexcept;
  void Put(Descriptor* descriptor, IoOperation& operation) noexcept;
  void PutAgain(IoOperation& operation, uintptr_t flags) noexcept;
  void Ended(IoOperation& operation, const io_uring_cqe& completion) noexcept;
  void Finish(IoOperation& operation, int32_t result) noexcept;
  bool SendsWithoutCopy(const Descriptor& descriptor, const IoOperation& operation) const noexcept;
  static bool MayWaitInOpen(const IoOperation& operation) noexcept;
  static bool RaisesSigpipe(Kind kind, const IoOperation& operation) noexcept;
  void Complete(IoOperation& operation, int64_t result) noexcept;
  void AskToEnd(IoOperation& operation) noexcept;
  void AskToCancel(uintptr_t user_data) noexcept;
  void ServeBlocking() noexcept;
  void PutStalled() noexcept;

  // MultishotHost.
  void Arm(UringMultishot& shots) noexcept override;
  void Disarm(UringMultishot& shots) noexcept override;
  void Deliver(UringMultishot& shots) noexcept override { completed_.Push(shots); }

  const IoUringOptions options_;
  const int wake_;
  internal::Ring ring_;
  uint64_t owner_ = 0;  // the thread, once there is one
  internal::BlockingOperations blocking_;
  internal::Multishots multishots_;

  // By number. In blocks, as operations know the lists that they are in.
  static constexpr size_t kPerBlock = 256;
  std::vector<std::unique_ptr<Descriptor[]>> descriptors_;
  OperationList named_;  // with the kernel, of no descriptor
  WorkQueue completed_;
  size_t in_flight_ = 0;
  size_t undelivered_ = 0;  // in completed_
  size_t with_kernel_ = 0;  // completions that will come: operations and cancels
  size_t pipe_writes_ = 0;  // with the kernel, and might raise SIGPIPE
  bool wake_armed_ = false;

  // What found the queue full and the kernel unwilling to empty it: goes again with the next Poll.
  std::vector<IoOperation*> stalled_operations_;
  std::vector<UringMultishot*> stalled_multishots_;
  std::vector<uintptr_t> stalled_cancels_;
  // Of the multishots that were begun since the last Enter: the kernel does not know them yet.
  std::vector<int> armed_descriptors_;
};

// --- the ring ---

IoUringReactor::~IoUringReactor() {
  PLAIT_CHECK(in_flight() == 0, "a reactor was destroyed with operations in flight");
  blocking_.Retire();
  multishots_.Abandon();
  // Multishots that were stopped, and cancels: nobody waits for them, but their buffers are ours.
  // On another thread than the ring's the kernel is left to end them.
  constexpr int kPatience = 1000;
  const bool owned = owner_ == internal::ThreadSerial();
  for (int i = 0; owned && i < kPatience && (multishots_.armed() > 0 || with_kernel_ > 0); ++i) {
    const timespec moment{.tv_sec = 0, .tv_nsec = 10'000'000};
    Enter(1, &moment);
    Reap();
  }
  ring_.Close();
  sys::Calls().Close(wake_);
}

void IoUringReactor::TakeOver() noexcept {
  if (owner_ != 0) {
    PLAIT_CHECK(
        in_flight_ == undelivered_,
        "a loop over io_uring was run on by another thread while operations were in flight");
    // The kernel knows the old thread; it ends what that left behind. What came is kept.
    multishots_.BeginMove();
    Reap();
    ring_.Close();
    stalled_multishots_.clear();
    stalled_cancels_.clear();
    with_kernel_ = 0;
    wake_armed_ = false;
    const absl::Status opened = ring_.Open(options_);
    PLAIT_CHECK(opened.ok(), opened.ToString());
  }
  const bool again = std::exchange(owner_, internal::ThreadSerial()) != 0;
  const absl::Status enabled = ring_.Enable();
  PLAIT_CHECK(enabled.ok(), enabled.ToString());
  multishots_.Probe(ring_, options_.without);
  if (again) multishots_.Move(ring_);
  ArmWake();
}

io_uring_sqe* IoUringReactor::NextEntry() noexcept {
  io_uring_sqe* entry = ring_.NextEntry();
  if (entry == nullptr) [[unlikely]] {
    Enter(0, nullptr);
    entry = ring_.NextEntry();
  }
  return entry;
}

void IoUringReactor::ArmWake() noexcept {
  io_uring_sqe* const entry = NextEntry();
  if (entry == nullptr) return;  // with the next Poll
  io_uring_prep_poll_add(entry, wake_, POLLIN);
  if (!options_.without.multishot) entry->len = IORING_POLL_ADD_MULTI;
  entry->user_data = kWake;
  wake_armed_ = true;
}

int IoUringReactor::Enter(unsigned wait_for, const timespec* timeout) noexcept {
  armed_descriptors_.clear();
  if (pipe_writes_ == 0) [[likely]]
    return ring_.Enter(wait_for, timeout);
  // The kernel raises SIGPIPE in this thread for a pipe that nobody reads.
  return sys::WithoutSigpipe([&]() noexcept { return ring_.Enter(wait_for, timeout); });
}

void IoUringReactor::Reap() noexcept {
  ring_.Reap([this](const io_uring_cqe& completion) { Handle(completion); });
}

void IoUringReactor::Handle(const io_uring_cqe& completion) noexcept {
  const auto data = static_cast<uintptr_t>(completion.user_data);
  void* const pointer = reinterpret_cast<void*>(data & ~uintptr_t{kTags});
  switch (data & kTags) {
    case kOperation:
      return Ended(*static_cast<IoOperation*>(pointer), completion);
    case kMultishot:
      if (!stalled_cancels_.empty() && (completion.flags & IORING_CQE_F_MORE) == 0) [[unlikely]] {
        std::erase(stalled_cancels_, data);
      }
      return multishots_.Completed(*static_cast<UringMultishot*>(pointer), completion);
    case kWake:
      if ((completion.flags & IORING_CQE_F_MORE) == 0) {
        uint64_t wakes = 0;
        sys::Calls().Read(wake_, &wakes, sizeof(wakes));
        wake_armed_ = false;
      }
      return;
    default:
      --with_kernel_;
  }
}

void IoUringReactor::Poll(Deadline deadline, Clock& clock, WorkQueue& ready) noexcept {
  Own();
  ServeBlocking();
  if (!wake_armed_) ArmWake();
  PutStalled();
  Reap();
  const bool must_not_block = !completed_.empty() || deadline == Deadline::Immediate() ||
                              !wake_armed_ || !blocking_.PrepareToSleep();
  const internal::WaitTime wait =
      must_not_block ? internal::WaitTime() : internal::WaitTime(deadline, clock);
  if (!wait.none() || ring_.has_work()) {
    const int entered = Enter(wait.none() ? 0 : 1, wait.get());
    Reap();
    ServeBlocking();
    // Nothing is lost: what was not submitted goes with the next Poll.
    if (entered < 0) [[unlikely]] {
      internal::AfterFailedWait("io_uring reactor: io_uring_enter", entered,
                                /*idle=*/completed_.empty() && deadline != Deadline::Immediate());
    }
  }
  ready.Append(completed_);
  in_flight_ -= std::exchange(undelivered_, size_t{0});
}

void IoUringReactor::PutStalled() noexcept {
  if (stalled_operations_.empty() && stalled_multishots_.empty() && stalled_cancels_.empty()) {
    return;
  }
  for (IoOperation* const operation : std::exchange(stalled_operations_, {})) {
    PutAgain(*operation, FlagsOf(*operation));
  }
  for (UringMultishot* const shots : std::exchange(stalled_multishots_, {})) Arm(*shots);
  for (const uintptr_t user_data : std::exchange(stalled_cancels_, {})) AskToCancel(user_data);
}

// --- descriptors ---

IoUringReactor::Descriptor* IoUringReactor::Find(int fd) noexcept {
  const auto number = static_cast<size_t>(fd);
  if (number / kPerBlock >= descriptors_.size()) return nullptr;
  const auto& block = descriptors_[number / kPerBlock];
  if (block == nullptr) return nullptr;
  Descriptor& descriptor = block[number % kPerBlock];
  return descriptor.kind == Kind::kUnknown ? nullptr : &descriptor;
}

int IoUringReactor::SetUp(int fd) noexcept {
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
  descriptor.unix_datagrams = protocol == 0 && !IsStreamSocket(fd);
  return 0;
}

bool IoUringReactor::IsStreamSocket(int fd) noexcept {
  int type = 0;
  socklen_t size = sizeof(type);
  return sys::Calls().SocketOption(fd, SOL_SOCKET, SO_TYPE, &type, &size) >= 0 &&
         type == SOCK_STREAM;
}

bool IoUringReactor::IsOrdered(const IoOperation& operation) noexcept {
  switch (operation.opcode) {
    case IoOpcode::kRead:
    case IoOpcode::kWrite:
      return operation.args.offset < 0;
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

void IoUringReactor::Complete(IoOperation& operation, int64_t result) noexcept {
  operation.result = static_cast<int32_t>(result);
  operation.reactor_slot[0] = nullptr;
  completed_.Push(operation);
  ++undelivered_;
}

void IoUringReactor::Submit(IoOperation& operation) noexcept {
  Own();
  ++in_flight_;
  operation.reactor_slot[0] = operation.reactor_slot[1] = nullptr;
  if (NamesAFile(operation)) return SubmitNamed(operation);
  if (operation.fd < 0) return Complete(operation, -EBADF);
  if (operation.opcode == IoOpcode::kClose) return SubmitClose(operation);
  Descriptor* descriptor = Find(operation.fd);
  if (descriptor == nullptr) {
    const int set_up = SetUp(operation.fd);
    if (set_up < 0) return Complete(operation, set_up);
    descriptor = Find(operation.fd);
  }
  if (descriptor->close != nullptr) return Complete(operation, -EBADF);
  if (IsOrdered(operation)) {
    Direction& direction = DirectionOf(*descriptor, operation);
    if (direction.active != nullptr) return direction.queued.PushBack(operation);
  } else if (IsTransfer(operation) && descriptor->kind != Kind::kFile) {
    return Complete(operation, -ESPIPE);  // the kernel would not mind the position
  }
  Start(*descriptor, operation);
}

void IoUringReactor::SubmitNamed(IoOperation& operation) noexcept {
  const bool by_ring = !options_.without.file_operations &&
                       ring_.supports(internal::OpcodeOf(operation, false, false));
  if (!by_ring) {
    if (!blocking_.Start(operation)) Complete(operation, -EPERM);
    return;
  }
  if (sys::SystemCalls* const calls = sys::Installed(); calls != nullptr) [[unlikely]] {
    const int fault = calls->BeforeOperation(operation, false, nullptr);
    if (fault < 0) return Complete(operation, fault);
  }
  named_.PushBack(operation);
  Put(nullptr, operation);
}

bool IoUringReactor::Start(Descriptor& descriptor, IoOperation& operation) noexcept {
  if (sys::SystemCalls* const calls = sys::Installed(); calls != nullptr) [[unlikely]] {
    size_t* const size = IsTransfer(operation) ? &operation.args.size : nullptr;
    const int fault = calls->BeforeOperation(operation, descriptor.kind == Kind::kSocket, size);
    if (fault < 0) {
      Complete(operation, fault);
      return false;
    }
  }
  if (IsOrdered(operation)) {
    Direction& direction = DirectionOf(descriptor, operation);
    direction.active = &operation;
    if (descriptor.kind == Kind::kFile) {
      direction.position = sys::Calls().Seek(operation.fd, 0, SEEK_CUR);
    }
  }
  descriptor.in_kernel.PushBack(operation);
  if (SendsWithoutCopy(descriptor, operation)) SetFlags(operation, kZeroCopy);
  Put(&descriptor, operation);
  return true;
}

bool IoUringReactor::SendsWithoutCopy(const Descriptor& descriptor,
                                      const IoOperation& operation) const noexcept {
  return operation.opcode == IoOpcode::kWrite && operation.args.size >= options_.zero_copy_bytes &&
         descriptor.kind == Kind::kSocket && !descriptor.copies &&
         !options_.without.zero_copy_send && ring_.supports(IORING_OP_SEND_ZC);
}

// Of a transfer that met an error on its way (a full disk, a limit, a cancel) the kernel tells how
// many bytes were moved, but leaves the file's position where it was: the next one would go over
// the same bytes.
void IoUringReactor::MovePosition(const Direction& direction,
                                  const IoOperation& operation) noexcept {
  const bool is_short = IsTransfer(operation) && operation.result > 0 &&
                        static_cast<size_t>(operation.result) < operation.args.size;
  if (!is_short) return;
  if (sys::Calls().Seek(operation.fd, 0, SEEK_CUR) != direction.position) return;
  sys::Calls().Seek(operation.fd, direction.position + operation.result, SEEK_SET);
}

// Puts it to the kernel, or a poll in its place where it is waiting.
void IoUringReactor::Put(Descriptor* descriptor, IoOperation& operation) noexcept {
  io_uring_sqe* const entry = NextEntry();
  if (entry == nullptr) {
    stalled_operations_.push_back(&operation);
    return;
  }
  const uintptr_t flags = FlagsOf(operation);
  const Kind kind = descriptor == nullptr ? Kind::kFile : descriptor->kind;
  if ((flags & kWaiting) != 0) {
    io_uring_prep_poll_add(entry, operation.fd, IsInput(operation) ? POLLIN : POLLOUT);
  } else {
    internal::Prepare(*entry, operation, kind == Kind::kSocket, (flags & kZeroCopy) != 0);
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
  entry->user_data = reinterpret_cast<uintptr_t>(&operation) | kOperation;
  ++with_kernel_;
}

// The kernel first opens without waiting, and a pipe that has a name then has no other end.
bool IoUringReactor::MayWaitInOpen(const IoOperation& operation) noexcept {
  return operation.opcode == IoOpcode::kOpen &&
         (operation.args.open.flags & (O_NONBLOCK | O_EXCL | O_DIRECTORY)) == 0;
}

bool IoUringReactor::RaisesSigpipe(Kind kind, const IoOperation& operation) noexcept {
  return kind == Kind::kStream && operation.opcode == IoOpcode::kWrite;
}

void IoUringReactor::PutAgain(IoOperation& operation, uintptr_t flags) noexcept {
  if ((flags & kCancelled) != 0) return Finish(operation, -ECANCELED);
  SetFlags(operation, flags);
  Put(NamesAFile(operation) ? nullptr : Find(operation.fd), operation);
}

void IoUringReactor::Ended(IoOperation& operation, const io_uring_cqe& completion) noexcept {
  const uintptr_t flags = FlagsOf(operation);
  const bool more = (completion.flags & IORING_CQE_F_MORE) != 0;
  Descriptor* const descriptor = NamesAFile(operation) ? nullptr : Find(operation.fd);
  if (!more) --with_kernel_;
  int32_t result = completion.res;
  if ((flags & kWaiting) != 0) {
    if (result < 0 && (flags & kCancelled) == 0) return Finish(operation, result);
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
      if ((usage & internal::kNotificationCopied) != 0) descriptor->copies = true;
      result = operation.result;
    }
    // Not for this kind of socket, or the user may not lock more memory.
    if (result == -EOPNOTSUPP || result == -ENOMEM || result == -ENOBUFS) {
      descriptor->copies = true;
      return PutAgain(operation, flags & ~uintptr_t{kZeroCopy});
    }
  }
  if (result == -EINTR) return PutAgain(operation, flags);
  const bool can_wait = descriptor != nullptr && descriptor->kind != Kind::kFile &&
                        operation.opcode != IoOpcode::kConnect;
  if (result == -EAGAIN && can_wait) return PutAgain(operation, flags | kWaiting);
  if (operation.opcode == IoOpcode::kPoll && result >= 0) result = internal::PollResult(result);
  if (operation.opcode == IoOpcode::kAwaitInput && result >= 0) result = 0;
  Finish(operation, result);
}

void IoUringReactor::Finish(IoOperation& operation, int32_t result) noexcept {
  // Another operation may be in its memory when the queue has room again.
  if (!stalled_cancels_.empty()) [[unlikely]] {
    std::erase(stalled_cancels_, reinterpret_cast<uintptr_t>(&operation) | kOperation);
  }
  ListOf(operation)->Remove(operation);
  Complete(operation, result);
  if (NamesAFile(operation)) return;
  Descriptor& descriptor = *Find(operation.fd);
  if (IsOrdered(operation)) {
    Direction& direction = DirectionOf(descriptor, operation);
    if (descriptor.kind == Kind::kFile) MovePosition(direction, operation);
    direction.active = nullptr;
    while (direction.active == nullptr && !direction.queued.empty()) {
      IoOperation& next = *direction.queued.first;
      direction.queued.Remove(next);
      Start(descriptor, next);
    }
  }
  if (descriptor.close != nullptr && descriptor.in_kernel.empty()) {
    FinishClose(*std::exchange(descriptor.close, nullptr));
  }
}

// --- ending ---

void IoUringReactor::Cancel(IoOperation& operation) noexcept {
  if (operation.reactor_slot[0] == nullptr || internal::BlockingOperations::Runs(operation)) {
    return;
  }
  Own();
  if (!NamesAFile(operation)) {
    OperationList& queued = DirectionOf(*Find(operation.fd), operation).queued;
    if (ListOf(operation) == &queued) {
      queued.Remove(operation);
      return Complete(operation, -ECANCELED);
    }
  }
  AskToEnd(operation);
}

void IoUringReactor::AskToEnd(IoOperation& operation) noexcept {
  const uintptr_t flags = FlagsOf(operation);
  if ((flags & kCancelled) != 0) return;
  SetFlags(operation, flags | kCancelled);
  AskToCancel(reinterpret_cast<uintptr_t>(&operation) | kOperation);
}

void IoUringReactor::AskToCancel(uintptr_t user_data) noexcept {
  io_uring_sqe* const entry = NextEntry();
  if (entry == nullptr) {
    stalled_cancels_.push_back(user_data);
    return;
  }
  io_uring_prep_cancel64(entry, user_data, 0);
  entry->user_data = kIgnored;
  ++with_kernel_;
}

void IoUringReactor::SubmitClose(IoOperation& operation) noexcept {
  Descriptor* const descriptor = Find(operation.fd);
  if (descriptor == nullptr) return FinishClose(operation);
  if (descriptor->close != nullptr) return Complete(operation, -EBADF);
  for (OperationList* const queued : {&descriptor->input.queued, &descriptor->output.queued}) {
    while (IoOperation* const waiting = queued->first) {
      queued->Remove(*waiting);
      Complete(*waiting, -ECANCELED);
    }
  }
  if (descriptor->in_kernel.empty()) return FinishClose(operation);
  descriptor->close = &operation;
  for (IoOperation* each = descriptor->in_kernel.first; each != nullptr;
       each = static_cast<IoOperation*>(each->next)) {
    AskToEnd(*each);
  }
}

void IoUringReactor::FinishClose(IoOperation& operation) noexcept {
  if (Descriptor* const descriptor = Find(operation.fd); descriptor != nullptr) {
    *descriptor = Descriptor();
  }
  // The kernel looks the number up when it gets the request, and that is to be this descriptor.
  const auto& armed = armed_descriptors_;
  if (std::find(armed.begin(), armed.end(), operation.fd) != armed.end()) Enter(0, nullptr);
  const int result = sys::Calls().Close(operation.fd);
  // Linux has closed it when close is interrupted; to try again would hit another's descriptor.
  Complete(operation, result == -EINTR ? 0 : result);
}

void IoUringReactor::ServeBlocking() noexcept {
  blocking_.Drain([this](IoOperation& operation) { Complete(operation, operation.result); });
}

// --- multishots ---

Multishot* IoUringReactor::StartMultishot(IoOpcode opcode, int fd, MultishotOwner& owner) noexcept {
  Own();
  const bool can = opcode == IoOpcode::kAccept
                       ? multishots_.accepts()
                       : opcode == IoOpcode::kRead && multishots_.receives();
  return can ? multishots_.Start(ring_, opcode, fd, owner) : nullptr;
}

void IoUringReactor::Arm(UringMultishot& shots) noexcept {
  io_uring_sqe* const entry = NextEntry();
  if (entry == nullptr) {
    stalled_multishots_.push_back(&shots);
    return;
  }
  multishots_.Prepare(*entry, shots);
  entry->user_data = reinterpret_cast<uintptr_t>(&shots) | kMultishot;
  armed_descriptors_.push_back(shots.fd());
}

void IoUringReactor::Disarm(UringMultishot& shots) noexcept {
  const auto stalled = std::find(stalled_multishots_.begin(), stalled_multishots_.end(), &shots);
  if (stalled == stalled_multishots_.end()) {
    return AskToCancel(reinterpret_cast<uintptr_t>(&shots) | kMultishot);
  }
  stalled_multishots_.erase(stalled);
  io_uring_cqe cancelled{};
  cancelled.res = -ECANCELED;
  multishots_.Completed(shots, cancelled);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Reactor>> MakeIoUringReactor(IoUringOptions options) {
  const auto is_power_of_two = [](unsigned n) { return n > 0 && n <= 32768 && (n & (n - 1)) == 0; };
  if (!is_power_of_two(options.entries) || !is_power_of_two(options.max_buffers)) {
    return absl::InvalidArgumentError(absl::StrCat("io_uring reactor: entries (", options.entries,
                                                   ") and max_buffers (", options.max_buffers,
                                                   ") must be powers of two, at most 32768"));
  }
  if (options.buffer_size == 0 || options.first_buffers == 0) {
    return absl::InvalidArgumentError(
        "io_uring reactor: buffer_size and first_buffers must be positive");
  }
  if (absl::Status tried = internal::Ring::Try(options); !tried.ok()) return tried;
  const int wake = sys::Calls().EventFd();
  if (wake < 0) return ErrnoToStatus(wake, "io_uring reactor: eventfd");
  auto reactor = std::make_unique<IoUringReactor>(options, wake);
  if (absl::Status opened = reactor->Open(); !opened.ok()) return opened;
  return reactor;
}

IoUringMultishotUse MultishotUseOf(const Reactor& reactor) {
  const internal::Multishots& multishots = static_cast<const IoUringReactor&>(reactor).multishots();
  return {.buffers = multishots.buffers(),
          .buffers_with_kernel = multishots.buffers_with_kernel(),
          .armed = multishots.armed()};
}

}  // namespace plait
