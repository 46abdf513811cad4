// The multishots of an io_uring reactor, and the buffers that they receive into.
//
// A multishot's life, seen from the kernel:
//
//            Start                        a last completion
//   (free) --------> armed  <----------------------------------------+
//                      |  |-- end of stream, error --> ended         |
//                      |  |-- no buffer is left --> ended, with -ENOBUFS
//                      |  +-- too many untaken --> (cancelled) --> enough were returned meanwhile:
//                      |                                           armed; else as without a buffer
//                      +-- Stop --> stopped; freed when neither the kernel nor a queue has it
//
// Buffers are given to the kernel through a ring of their own. Few are in use at first, as those
// stay in the cache; more are added when the kernel finds none.
#ifndef PLAIT_IO_IO_URING_MULTISHOTS_H_
#define PLAIT_IO_IO_URING_MULTISHOTS_H_

#include <liburing.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "plait/io/io_uring/io_uring_reactor.h"
#include "plait/io/io_uring/ring.h"
#include "plait/runtime/core/multishot.h"

namespace plait::internal {

class Multishots;

class UringMultishot final : public Multishot {
 public:
  UringMultishot() = default;
  int fd() const noexcept { return fd_; }
  bool accepts() const noexcept { return opcode_ == IoOpcode::kAccept; }
  bool descriptor_gone() const noexcept { return descriptor_gone_; }

 private:
  friend class Multishots;
  enum class State : uint8_t { kFree, kArmed, kEnded };

  // While it is free, `next` is the next that is.
  UringMultishot* next_free() const noexcept { return static_cast<UringMultishot*>(next); }

  IoOpcode opcode_ = IoOpcode::kRead;
  State state_ = State::kFree;
  bool cancelling_ = false;  // armed, and the kernel was asked to end it
  bool polls_ = false;       // armed, and the kernel has a poll in its place (Multishots::Move)
  int fd_ = -1;
  uint32_t lent_ = 0;  // shots that were not returned
};
static_assert(sizeof(UringMultishot) <= 64, "there may be one for each connection");

// How the reactor does what it does for its multishots.
class MultishotHost {
 public:
  // Asks the kernel for `shots`, or to end it; later, if there is no room now.
  virtual void Arm(UringMultishot& shots) noexcept = 0;
  virtual void Disarm(UringMultishot& shots) noexcept = 0;
  // Has Poll deliver it.
  virtual void Deliver(UringMultishot& shots) noexcept = 0;

 protected:
  ~MultishotHost() = default;
};

class Multishots final : private MultishotOwner {
 public:
  Multishots(MultishotHost& host, const IoUringOptions& options);
  ~Multishots();

  // Whether the kernel can do it, once the ring is open.
  void Probe(const Ring& ring, const IoUringWithout& without) noexcept;
  bool accepts() const noexcept { return accepts_; }
  bool receives() const noexcept { return receives_; }

  // Null when there is no memory for buffers.
  UringMultishot* Start(Ring& ring, IoOpcode opcode, int fd, MultishotOwner& owner) noexcept;
  void Stop(UringMultishot& shots) noexcept;
  void Return(UringMultishot& shots, Shot& shot) noexcept;
  // Those that accept on `fd`, which is about to be closed, end with -ECANCELED. The kernel keeps
  // the socket until it has been entered.
  void EndAccepting(int fd) noexcept;

  // Fills in the entry that Arm was asked for.
  void Prepare(io_uring_sqe& entry, const UringMultishot& shots) noexcept;
  void Completed(UringMultishot& shots, const io_uring_cqe& completion) noexcept;

  // Whether there are some that were not stopped, or that the kernel still has.
  bool any() const noexcept { return in_use_ > 0; }
  // What the kernel still has.
  size_t armed() const noexcept { return armed_; }
  // BeginMove; what has come with the old ring is completed, and that is closed; Move to the next.
  void BeginMove() noexcept { moving_ = true; }
  void Move(Ring& ring) noexcept;
  // Tells the owners that the reactor goes, and stops what they had.
  void Abandon() noexcept;
  // For tests: buffers that the kernel has, of those that there are.
  size_t buffers_with_kernel() const noexcept { return provided_ - lent_buffers_; }
  size_t buffers() const noexcept { return provided_; }

 private:
  // MultishotOwner, of those that were stopped while they were queued.
  void OnShots(Multishot& shots) noexcept override;
  void OnReactorGone(Multishot&) noexcept override {}

  bool MakeBuffers(Ring& ring) noexcept;
  bool Register(Ring& ring) noexcept;
  template <class Do>
  void ForEachInUse(Do what) noexcept;
  void Provide(unsigned first, unsigned count) noexcept;
  void GiveBack(const UringMultishot& shots, Shot& shot) noexcept;
  Shot* NewAcceptShot() noexcept;
  void Armed(UringMultishot& shots) noexcept;
  void Append(UringMultishot& shots, Shot& shot) noexcept;
  void End(UringMultishot& shots, int32_t end) noexcept;
  // Ends it whatever the kernel still does with it, unless it has ended or was stopped.
  void EndNow(UringMultishot& shots, int32_t end) noexcept;
  static int32_t FaultOf(const UringMultishot& shots) noexcept;
  void FreeIfDone(UringMultishot& shots) noexcept;

  MultishotHost& host_;
  const IoUringOptions options_;
  bool accepts_ = false;
  bool receives_ = false;

  std::vector<std::unique_ptr<UringMultishot[]>> blocks_;
  UringMultishot* free_ = nullptr;
  size_t in_use_ = 0;
  size_t armed_ = 0;
  bool moving_ = false;
  std::vector<UringMultishot*> accepting_;  // of those in use; few

  std::vector<std::unique_ptr<Shot[]>> accept_blocks_;
  Shot* free_shots_ = nullptr;

  struct FreeMemory {
    void operator()(void* memory) const noexcept;
  };
  std::unique_ptr<io_uring_buf_ring, FreeMemory> buffer_ring_;
  std::unique_ptr<char, FreeMemory> buffer_memory_;
  std::unique_ptr<Shot[]> buffer_shots_;
  std::unique_ptr<bool[]> lent_;  // by number: of those that are provided, not with the kernel
  unsigned provided_ = 0;
  unsigned lent_buffers_ = 0;
};

}  // namespace plait::internal

#endif  // PLAIT_IO_IO_URING_MULTISHOTS_H_
