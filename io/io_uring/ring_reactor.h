// RingReactor: what MakeIoUringReactor makes. Internal; see io_uring_reactor.h for what it
// promises.
//
// It has four parts, each a file: the ring, which submits and polls (ring_reactor.cc); an
// operation's way through it (ring_operations.cc); what happens when another thread polls it
// (ring_takeover.cc); and multishots (multishots.h), which are a class of their own.
//
// An operation's life:
//
//   Submit --others of its kind are there--> queued --its turn--> with the kernel <--> a poll is,
//      |                                       |                    ^     |            in its place
//      |                                       | cancel, close      |     |
//      +-------- it is the only one ---------- | -------------------+     v
//                                              +--------------------> (delivered)
//
// A request is an operation's address, with a tag in its lowest bits: user_data. What there is to
// know of it besides is in its scratch: the list that it is in, and flags in the lowest bits.
#ifndef PLAIT_IO_IO_URING_RING_REACTOR_H_
#define PLAIT_IO_IO_URING_RING_REACTOR_H_

#include <liburing.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "plait/io/io_uring/io_uring_reactor.h"
#include "plait/io/io_uring/multishots.h"
#include "plait/io/io_uring/ring.h"
#include "plait/io/reactor/blocking_operations.h"
#include "plait/io/reactor/failed_wait.h"
#include "plait/io/reactor/operation_list.h"
#include "plait/io/reactor/try_operation.h"
#include "plait/runtime/core/multishot.h"
#include "plait/runtime/core/reactor.h"
#include "plait/runtime/core/thread_state.h"
#include "plait/runtime/core/work_item.h"

namespace plait::internal {

class RingReactor final : public Reactor, private MultishotHost {
 public:
  RingReactor(const IoUringOptions& options, int wake)
      : options_(options),
        wake_(wake),
        blocking_(options.blocking, *this),
        multishots_(*this, options) {}
  ~RingReactor() override;

  absl::Status Open() { return ring_.Open(options_); }

  absl::string_view name() const override { return "io_uring"; }
  void Submit(IoOperation& operation) noexcept override;
  void Cancel(IoOperation& operation) noexcept override;
  void CancelAll() noexcept override;
  void Poll(Deadline deadline, Clock& clock, WorkQueue& ready) noexcept override;
  void Flush() noexcept override;
  void Wake() noexcept override { SignalWake(wake_); }
  bool sends_without_copy(int fd, size_t bytes) const noexcept override;
  size_t in_flight() const noexcept override { return in_flight_; }
  bool expects_results() const noexcept override { return in_flight_ > 0 || multishots_.any(); }
  const Multishots& multishots() const noexcept { return multishots_; }

  Multishot* StartMultishot(IoOpcode opcode, int fd, MultishotOwner& owner) noexcept override;
  void StopMultishot(Multishot& shots) noexcept override {
    multishots_.Stop(static_cast<UringMultishot&>(shots));
  }
  void ReturnShot(Multishot& shots, Shot& shot) noexcept override {
    multishots_.Return(static_cast<UringMultishot&>(shots), shot);
  }

 private:
  // What a completion's user_data tells besides a pointer, in its lowest bits.
  enum Tag : uintptr_t {
    kOperation = 0,
    kMultishot = 1,
    kWake = 2,
    kIgnored = 3,  // a cancel's own result
    kTags = 7,
  };
  enum Side : uint8_t { kInput = 1, kOutput = 2 };  // bits of Descriptor::busy
  // What few descriptors have.
  struct Rare {
    OperationList queued_input;  // behind the ordered one that the kernel has
    OperationList queued_output;
    int64_t input_position = 0;  // where a file was when that began
    int64_t output_position = 0;
    IoOperation* close = nullptr;  // waits for what is in the kernel

    OperationList& Queued(Side side) noexcept {
      return side == kInput ? queued_input : queued_output;
    }
    int64_t& Position(Side side) noexcept {
      return side == kInput ? input_position : output_position;
    }
  };
  enum class Kind : uint8_t { kUnknown, kSocket, kFile, kStream };
  // There may be very many.
  struct Descriptor {
    OperationList in_kernel;
    std::unique_ptr<Rare> rare;  // made when first needed
    Kind kind = Kind::kUnknown;
    uint8_t busy = 0;     // Sides: the kernel has an ordered operation
    bool copies = false;  // zero-copy sending was found to copy all the same
    bool is_unix = false;
    bool unix_datagrams = false;
    bool stale = false;  // not used since the last Flush: the number may be another's

    bool IsBusy(Side side) const noexcept { return (busy & side) != 0; }
    bool closing() const noexcept { return rare != nullptr && rare->close != nullptr; }
    // By operations, which hold their descriptors.
    bool InUse() const noexcept {
      return !in_kernel.empty() || closing() ||
             (rare != nullptr && (!rare->queued_input.empty() || !rare->queued_output.empty()));
    }
    Rare& MakeRare() {
      if (rare == nullptr) rare = std::make_unique<Rare>();
      return *rare;
    }
  };
  static_assert(sizeof(Descriptor) == 24);

  // --- the ring ---
  void Own() noexcept {
    if (owner_ != ThreadSerial()) [[unlikely]]
      TakeOver();
  }
  void TakeOver() noexcept;
  // What the old thread has with the kernel goes again, or has ended.
  void MoveOperations() noexcept;
  void MoveOperation(IoOperation& operation) noexcept;
  io_uring_sqe* NextEntry() noexcept;
  void ArmWake() noexcept;
  int Enter(unsigned wait_for, const timespec* timeout) noexcept;
  void ForgetWhatIsGone() noexcept;
  // For a while, and once for each.
  void AwaitNamed() noexcept;
  void Reap() noexcept;
  void Handle(const io_uring_cqe& completion) noexcept;

  // --- operations ---
  Descriptor* Find(int fd) const noexcept;
  int SetUp(int fd) noexcept;
  static bool IsStreamSocket(int fd) noexcept;
  // Serialised with those of its kind on its descriptor.
  static bool IsOrdered(const IoOperation& operation) noexcept;
  static Side SideOf(const IoOperation& operation) noexcept {
    return IsInput(operation) ? kInput : kOutput;
  }
  void SubmitNamed(IoOperation& operation) noexcept;
  void SubmitClose(IoOperation& operation) noexcept;
  void FinishClose(IoOperation& operation) noexcept;
  // False when it has ended already.
  bool Start(Descriptor& descriptor, IoOperation& operation) noexcept;
  static void MovePosition(int64_t began_at, const IoOperation& operation) noexcept;
  void Put(Descriptor* descriptor, IoOperation& operation) noexcept;
  void PutAgain(IoOperation& operation, uintptr_t flags) noexcept;
  void Ended(IoOperation& operation, const io_uring_cqe& completion) noexcept;
  void Finish(IoOperation& operation, int32_t result) noexcept;
  // Where the socket is not known to be one whose bytes are copied all the same.
  bool SendsWithoutCopy(size_t bytes) const noexcept {
    return bytes >= options_.zero_copy_bytes && !options_.without.zero_copy_send &&
           ring_.supports(IORING_OP_SEND_ZC);
  }
  static bool MayWaitInOpen(const IoOperation& operation) noexcept;
  static bool RaisesSigpipe(Kind kind, const IoOperation& operation) noexcept;
  void Complete(IoOperation& operation, int64_t result) noexcept;
  void AskToEnd(IoOperation& operation) noexcept;
  void AskAllToEnd(const OperationList& in_kernel) noexcept;
  // What the kernel has not, and asks it to end what it has.
  void CancelAllOf(Descriptor& descriptor) noexcept;
  void AskToCancel(uintptr_t user_data) noexcept;
  void ServeBlocking() noexcept;
  void PutStalled() noexcept;

  // MultishotHost.
  void Arm(UringMultishot& shots) noexcept override;
  void Disarm(UringMultishot& shots) noexcept override;
  void EndUnarmed(UringMultishot& shots) noexcept;
  void Deliver(UringMultishot& shots) noexcept override { completed_.Push(shots); }

  const IoUringOptions options_;
  const int wake_;
  Ring ring_;
  uint64_t owner_ = 0;  // the thread, once there is one
  int64_t owner_number_ = 0;
  BlockingOperations blocking_;
  Multishots multishots_;

  // By number. In blocks, as operations know the lists that they are in.
  static constexpr size_t kPerBlock = 256;
  std::vector<std::unique_ptr<Descriptor[]>> descriptors_;
  OperationList named_;        // with the kernel, of no descriptor
  bool named_is_new_ = false;  // there are some that AwaitNamed has not waited for
  WorkQueue completed_;
  size_t in_flight_ = 0;
  size_t undelivered_ = 0;  // in completed_
  size_t with_kernel_ = 0;  // completions that will come: operations and cancels
  size_t pipe_writes_ = 0;  // with the kernel, and might raise SIGPIPE
  bool moving_ = false;     // to another thread: nothing new is for this ring
  bool wake_armed_ = false;
  // A wake has come that no Poll has returned for: where the kernel completes outside of Enter too,
  // before the wait.
  bool woken_ = false;
  // Some descriptors of multishots that the kernel does not know yet may have been closed.
  bool some_may_be_gone_ = false;
  // The ring is registered with its thread when that has polled it so many times without a pause:
  // for a few turns it would not pay.
  static constexpr int kTurnsBeforeRegistered = 64;
  int turns_before_registered_ = kTurnsBeforeRegistered;

  // What found the queue full and the kernel unwilling to empty it: goes again with the next Poll.
  std::vector<IoOperation*> stalled_operations_;
  std::vector<UringMultishot*> stalled_multishots_;
  std::vector<uintptr_t> stalled_cancels_;
  // Of the multishots that were begun since the kernel was last told of all, which it does not know
  // yet, and of those that accepted and were ended since, whose sockets it keeps until then.
  std::vector<int> changed_descriptors_;
  // How often it is told of them when it refuses: without memory it may do so for a while.
  static constexpr int kPatience = 10;
};

}  // namespace plait::internal

#endif  // PLAIT_IO_IO_URING_RING_REACTOR_H_
