// Ring: the queues that are shared with the kernel, and the system calls on them.
//
// liburing lays out the queues and writes the entries; the system calls are made through
// io/system, so that tests can make each fail.
#ifndef PLAIT_IO_IO_URING_RING_H_
#define PLAIT_IO_IO_URING_RING_H_

#include <liburing.h>

#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "plait/io/io_uring/io_uring_reactor.h"

namespace plait::internal {

// Newer than the header of liburing 2.3.
inline constexpr unsigned kSendZeroCopyReportUsage = 1U << 3;
inline constexpr unsigned kNotificationCopied = 1U << 31;

class Ring {
 public:
  Ring() = default;
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;
  ~Ring() { Close(); }

  // Whether the system allows one: makes it and has it do something.
  static absl::Status Try(const IoUringOptions& options);

  // Makes the queues, disabled: the thread that calls Enable owns them.
  absl::Status Open(const IoUringOptions& options);
  absl::Status Enable();
  // Saves looking up the descriptor at each Enter. The ring then lives until its thread has
  // unregistered it, or ends, and with it what it has armed: whoever closes it.
  void Register() noexcept;
  void Unregister() noexcept;
  void Close();
  bool is_open() const { return ring_.ring_fd >= 0; }

  // A cleared entry to fill in, or null when the queue is full: Enter makes room.
  io_uring_sqe* NextEntry() noexcept {
    io_uring_sqe* const entry = io_uring_get_sqe(&ring_);
    if (entry != nullptr) {
      entry->flags = 0;
      entry->ioprio = 0;
      entry->rw_flags = 0;
      entry->buf_index = 0;
      entry->personality = 0;
      entry->file_index = 0;
      entry->addr3 = 0;
      entry->__pad2[0] = 0;
    }
    return entry;
  }

  // Submits what is new. Waits for `wait_for` completions, up to `timeout` (null: for ever). 0 or
  // -errno.
  int Enter(unsigned wait_for, const timespec* timeout) noexcept;

  // The kernel has all that is new; it may take only some of it at a time.
  bool submitted_all() const noexcept { return ring_.sq.sqe_tail == *ring_.sq.khead; }
  // Calls `visit(entry)` for what the kernel does not have yet.
  template <class Visit>
  void ForEachUnsubmitted(Visit visit) noexcept {
    for (unsigned at = *ring_.sq.khead; at != ring_.sq.sqe_tail; ++at) {
      visit(ring_.sq.sqes[at & ring_.sq.ring_mask]);
    }
  }
  // What is new and `names(entry)` is true of ends with -EBADF, whoever has its descriptor's number
  // by then.
  template <class Names>
  void ForgetDescriptors(Names names) noexcept {
    ForEachUnsubmitted([&names](io_uring_sqe& entry) {
      if (names(std::as_const(entry))) entry.fd = -1;
    });
  }

  // Whether Enter has something to do without waiting.
  bool has_work() const noexcept {
    return !submitted_all() || overflowed() ||
           (IO_URING_READ_ONCE(*ring_.sq.kflags) & (1U << 2) /* IORING_SQ_TASKRUN */) != 0;
  }
  // Whether the kernel has completions that found no room: Enter fetches them, when there is some.
  bool overflowed() const noexcept {
    return (IO_URING_READ_ONCE(*ring_.sq.kflags) & IORING_SQ_CQ_OVERFLOW) != 0;
  }

  // Calls `handle(completion)` for those that have come; how many those were.
  template <class Handle>
  unsigned Reap(Handle handle) {
    unsigned head = *ring_.cq.khead;
    const unsigned tail = io_uring_smp_load_acquire(ring_.cq.ktail);
    const unsigned count = tail - head;
    for (; head != tail; ++head) {
      // Copied and given back first: handling it may enter the kernel, which wants the room.
      const io_uring_cqe completion = ring_.cq.cqes[head & ring_.cq.ring_mask];
      io_uring_smp_store_release(ring_.cq.khead, head + 1);
      handle(completion);
    }
    return count;
  }

  bool supports(unsigned opcode) const noexcept {
    return opcode < kOpcodes && (supported_ & (uint64_t{1} << opcode)) != 0;
  }
  // Whether the kernel goes on with operations in Enter alone.
  bool deferred() const noexcept { return (ring_.flags & IORING_SETUP_DEFER_TASKRUN) != 0; }
  int fd() const noexcept { return ring_.ring_fd; }

 private:
  static constexpr unsigned kOpcodes = 64;

  absl::Status Probe();

  io_uring ring_{.ring_fd = -1};
  uint64_t supported_ = 0;
  unsigned enter_flags_ = 0;
  int enter_fd_ = -1;
  bool may_register_ = true;
  uint64_t registered_by_ = 0;  // the thread
};

}  // namespace plait::internal

#endif  // PLAIT_IO_IO_URING_RING_H_
