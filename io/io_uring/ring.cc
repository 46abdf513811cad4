#include "plait/io/io_uring/ring.h"

#include <errno.h>

#include <iterator>

#include "absl/strings/str_cat.h"
#include "plait/io/system/errno_status.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/thread_state.h"

#if defined(__SANITIZE_THREAD__)
#define PLAIT_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define PLAIT_TSAN 1
#endif
#endif

#if defined(PLAIT_TSAN)
extern "C" void __tsan_acquire(void* address);
extern "C" void __tsan_release(void* address);
#endif

namespace plait::internal {
namespace {

// What one thread writes before it submits, another sees that has the completion of the other end;
// and memory that one unmaps, another may map. The kernel takes care of that, unseen by
// ThreadSanitizer.
#if defined(PLAIT_TSAN)
char order_of_submissions;
void Submitted() { __tsan_release(&order_of_submissions); }
void Completed() { __tsan_acquire(&order_of_submissions); }
#else
void Submitted() {}
void Completed() {}
#endif

// Sets of flags from the best to what every kernel since 5.15 takes.
constexpr int kAttempts = 4;
unsigned FlagsOf(int attempt, const IoUringWithout& without) {
  constexpr unsigned kAlways = IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE | IORING_SETUP_R_DISABLED;
  // Submits all: a request that is turned down at the first look does not keep those behind it.
  constexpr unsigned kCooperative =
      IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL;
  if (attempt == kAttempts - 1) return kAlways;
  const bool single_issuer = attempt <= 1 && !without.single_issuer;                   // 6.0
  const bool deferred = attempt == 0 && single_issuer && !without.deferred_task_work;  // 6.1
  unsigned flags = kAlways | kCooperative;
  if (single_issuer) flags |= IORING_SETUP_SINGLE_ISSUER;
  if (deferred) flags = (flags & ~IORING_SETUP_COOP_TASKRUN) | IORING_SETUP_DEFER_TASKRUN;
  return flags;
}

// A user may lock only so much memory (RLIMIT_MEMLOCK), and the kernel gives back that of rings
// which were closed a while later, on a busy machine much later. So who gets none waits, for up to
// two seconds; but once nothing came of that, others wait no longer than for what is normal.
int SetUpPatiently(unsigned entries, const io_uring_params& wanted, io_uring_params& params) {
  static constinit Atomic<bool> in_vain{false};
  const int longest_ms = in_vain.load(kRelaxed) ? 32 : 1024;
  int fd = -ENOMEM;
  for (int wait_ms = 1;; wait_ms *= 2) {
    params = wanted;
    fd = sys::Calls().IoUringSetup(entries, &params);
    if (fd != -ENOMEM || wait_ms > longest_ms) break;
    if (sys::Calls().WaitReadable(-1, wait_ms) < 0) break;
  }
  if (fd == -ENOMEM || fd >= 0) in_vain.store(fd < 0, kRelaxed);
  return fd;
}

}  // namespace

absl::Status Ring::Open(const IoUringOptions& options) {
  io_uring_params params{};
  int fd = -EINVAL;
  for (int attempt = 0; attempt < kAttempts && fd == -EINVAL; ++attempt) {
    io_uring_params wanted{};
    wanted.flags = FlagsOf(attempt, options.without);
    // A turn may complete many times what it submits, as multishots do.
    wanted.cq_entries = options.entries * 8;
    fd = SetUpPatiently(options.entries, wanted, params);
  }
  if (fd < 0) return ErrnoToStatus(fd, "io_uring reactor: io_uring_setup");
  // Waiting with a timeout, completions that are never dropped, reads at a file's own position.
  constexpr unsigned kNeeded = IORING_FEAT_EXT_ARG | IORING_FEAT_NODROP | IORING_FEAT_RW_CUR_POS;
  if ((params.features & kNeeded) != kNeeded) {
    sys::Calls().Close(fd);
    return absl::UnimplementedError("io_uring reactor: this kernel's io_uring is too old");
  }
  const int mapped = io_uring_queue_mmap(fd, &params, &ring_);
  if (mapped < 0) {
    ring_.ring_fd = -1;
    sys::Calls().Close(fd);
    return ErrnoToStatus(mapped, "io_uring reactor: mmap of the queues");
  }
  ring_.ring_fd = enter_fd_ = fd;
  ring_.flags = params.flags;
  ring_.features = params.features;
  Completed();  // the memory may have been another ring's
  // Entry i is always slot i, so that submitting is moving the tail.
  for (unsigned i = 0; i < ring_.sq.ring_entries; ++i) ring_.sq.array[i] = i;
  enter_flags_ = 0;
  may_register_ = !options.without.registered_ring;
  absl::Status probed = Probe();
  if (!probed.ok()) Close();
  return probed;
}

absl::Status Ring::Try(const IoUringOptions& options) {
  // A process that could once can make rings still, or is told so when it makes the next.
  static constinit Atomic<bool> tried{false};
  if (tried.load(kRelaxed) && sys::Installed() == nullptr) return absl::OkStatus();
  IoUringOptions small = options;
  small.entries = 1;
  small.without.registered_ring = true;
  Ring ring;
  if (absl::Status opened = ring.Open(small); !opened.ok()) return opened;
  if (absl::Status enabled = ring.Enable(); !enabled.ok()) return enabled;
  io_uring_prep_nop(ring.NextEntry());
  const int entered = ring.Enter(1, nullptr);
  if (entered < 0) return ErrnoToStatus(entered, "io_uring reactor: io_uring_enter");
  int result = -EIO;
  ring.Reap([&](const io_uring_cqe& completion) { result = completion.res; });
  if (result == 0) tried.store(true, kRelaxed);
  return ErrnoToStatus(result, "io_uring reactor: a first operation");
}

absl::Status Ring::Probe() {
  alignas(
      io_uring_probe) char memory[sizeof(io_uring_probe) + 256 * sizeof(io_uring_probe_op)] = {};
  auto* const probe = reinterpret_cast<io_uring_probe*>(memory);
  const int result = sys::Calls().IoUringRegister(fd(), IORING_REGISTER_PROBE, probe, 256);
  if (result < 0) return ErrnoToStatus(result, "io_uring reactor: io_uring_register");
  supported_ = 0;
  for (unsigned i = 0; i < probe->ops_len && i < kOpcodes; ++i) {
    if ((probe->ops[i].flags & IO_URING_OP_SUPPORTED) != 0) supported_ |= uint64_t{1} << i;
  }
  for (const unsigned needed :
       {IORING_OP_READ, IORING_OP_WRITE, IORING_OP_RECV, IORING_OP_SEND, IORING_OP_SENDMSG,
        IORING_OP_RECVMSG, IORING_OP_ACCEPT, IORING_OP_CONNECT, IORING_OP_POLL_ADD,
        IORING_OP_ASYNC_CANCEL, IORING_OP_FSYNC, IORING_OP_NOP}) {
    if (!supports(needed)) {
      return absl::UnimplementedError(
          absl::StrCat("io_uring reactor: this kernel's io_uring lacks operation ", needed));
    }
  }
  return absl::OkStatus();
}

absl::Status Ring::Enable() {
  const int enabled = sys::Calls().IoUringRegister(fd(), IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
  return ErrnoToStatus(enabled, "io_uring reactor: io_uring_register");
}

void Ring::Register() noexcept {
  if (!may_register_ || (enter_flags_ & IORING_ENTER_REGISTERED_RING) != 0) return;
  io_uring_rsrc_update update{};
  update.offset = ~0U;
  update.data = static_cast<uint64_t>(fd());
  if (sys::Calls().IoUringRegister(fd(), IORING_REGISTER_RING_FDS, &update, 1) == 1) {
    enter_fd_ = static_cast<int>(update.offset);
    enter_flags_ |= IORING_ENTER_REGISTERED_RING;
    registered_by_ = ThreadSerial();
  }
}

void Ring::Unregister() noexcept {
  if ((enter_flags_ & IORING_ENTER_REGISTERED_RING) == 0) return;
  // Another thread's table has another ring under this number; the system clears that of its own
  // thread when it ends.
  if (registered_by_ == ThreadSerial()) {
    io_uring_rsrc_update update{};
    update.offset = static_cast<unsigned>(enter_fd_);
    sys::Calls().IoUringRegister(fd(), IORING_UNREGISTER_RING_FDS, &update, 1);
  }
  enter_fd_ = fd();
  enter_flags_ = 0;
}

void Ring::Close() {
  if (!is_open()) return;
  Unregister();
  Submitted();
  io_uring_queue_exit(&ring_);
  ring_.ring_fd = -1;
}

int Ring::Enter(unsigned wait_for, const timespec* timeout) noexcept {
  io_uring_sq& queue = ring_.sq;
  // Release: the kernel sees the entries that it is told of.
  io_uring_smp_store_release(queue.ktail, queue.sqe_tail);
  queue.sqe_head = queue.sqe_tail;
  const unsigned count = queue.sqe_tail - *queue.khead;
  Submitted();
  unsigned flags = enter_flags_ | IORING_ENTER_GETEVENTS;
  __kernel_timespec limit{};
  io_uring_getevents_arg argument{};
  const void* pointer = nullptr;
  size_t size = 0;
  if (wait_for > 0 && timeout != nullptr) {
    limit = {.tv_sec = timeout->tv_sec, .tv_nsec = timeout->tv_nsec};
    argument.ts = reinterpret_cast<uint64_t>(&limit);
    pointer = &argument;
    size = sizeof(argument);
    flags |= IORING_ENTER_EXT_ARG;
  }
  const int result = sys::Calls().IoUringEnter(enter_fd_, count, wait_for, flags, pointer, size);
  Completed();
  return result < 0 ? result : 0;
}

}  // namespace plait::internal
