// OwnedDescriptor: a descriptor that is closed in the end, through the reactor that knows it.
//
//   plait::io::OwnedDescriptor pipe(fd);
//   absl::StatusOr<size_t> n = co_await plait::io::Read(pipe.get(), absl::MakeSpan(buffer));
//   absl::Status closed = co_await pipe.Close();   // or leave it to the destructor
//
// A reactor remembers the descriptors that it was given, so one that was used on it must not be
// closed behind its back: the next descriptor with that number would be taken for the old one.
// Threads: one at a time; but get, valid, Duplicate, Close and Reset may be called while another
// looks or closes: one of those who close does. Lifetime: drop it on a thread of the executor that
// used it, or when that executor is gone; there the close is a task of the executor, which Run and
// EventLoop::Close wait for. On a thread without a reactor it is closed at once.
#ifndef PLAIT_IO_OPS_OWNED_DESCRIPTOR_H_
#define PLAIT_IO_OPS_OWNED_DESCRIPTOR_H_

#include <utility>

#include "absl/status/status.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/task/task.h"

namespace plait::io {

class OwnedDescriptor {
 public:
  OwnedDescriptor() = default;
  // Takes `fd`, or nothing where it is negative.
  explicit OwnedDescriptor(int fd) noexcept : fd_(fd) {}
  OwnedDescriptor(OwnedDescriptor&& other) noexcept : fd_(other.Release()) {}
  OwnedDescriptor& operator=(OwnedDescriptor&& other) noexcept {
    const int taken = other.Release();
    other.fd_.store(Release(), plait::internal::kRelaxed);
    fd_.store(taken, plait::internal::kRelaxed);
    return *this;
  }
  ~OwnedDescriptor() {
    if (valid()) Reset();
  }

  bool valid() const noexcept { return get() >= 0; }
  // -1 when there is none.
  int get() const noexcept { return fd_.load(plait::internal::kRelaxed); }
  // Where it stands: what get() gives, for as long as this lives.
  const plait::internal::Atomic<int>& cell() const noexcept { return fd_; }
  // The same open file under a number of its own, which is the caller's to close and nobody else's;
  // or -errno. -EBADF where there is none, also as it is closed at this moment: never the file that
  // has the number next.
  int Duplicate() const noexcept;
  // The caller's from now on.
  [[nodiscard]] int Release() noexcept {
    return valid() ? fd_.exchange(-1, plait::internal::kRelaxed) : -1;
  }

  // co_await: ends what is pending on it with absl::CancelledError, and closes it; not cancelled
  // itself. FailedPrecondition where there is none.
  Task<absl::Status> Close() { return CloseOwned(std::move(*this)); }
  // Closes it without anybody waiting.
  void Reset() noexcept;

 private:
  static Task<absl::Status> CloseOwned(OwnedDescriptor descriptor);

  // Relaxed: it says nothing about anything else. (Who asks whether it is closed yet, and goes on
  // with the number, has an order from WorkerGroup.)
  plait::internal::Atomic<int> fd_{-1};
};

}  // namespace plait::io

#endif  // PLAIT_IO_OPS_OWNED_DESCRIPTOR_H_
