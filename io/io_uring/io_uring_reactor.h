// The reactor for Linux's io_uring(7), over liburing.
//
// Operations are written into a queue that the kernel shares, and go to it together: a turn of the
// loop is one system call, which submits what is new, waits, and brings what has completed. Regular
// files are read and written by the kernel, without threads of ours. Connections can be accepted,
// and data received, over and over by one request into buffers that the reactor lends (see
// runtime/core/multishot.h).
//
// Kernel: 5.15 or later. What a later one does better is used where it is there: deferred task
// work (6.1), a ring that one thread submits to (6.0), provided buffer rings (5.19), multishot
// accept (5.19) and receive (6.0), zero-copy send (6.0).
//
// A kPoll takes the kernel's word, which may come after what it is about was read; see
// io/ops/operations.h.
//
// Threads: the thread that first submits or polls is the ring's, until another does, or destroys
// it. Operations that are in flight then go on there, or end with -ECANCELED where nobody knows how
// much of them was done (of files, of sends without a copy); their thread must have ended by then
// (CHECK), and its last word have been Flush. Multishots go on, whether it has ended or not. (A
// thread does not end while an open of a pipe waits for its other end.) What the first thread
// leaves behind the kernel ends, soon if Flush was its last word, and else when that thread ends:
// until then sockets that it received from stay open. Operations of one kind on one descriptor are
// with the kernel one at a time, so that they are served in order. A descriptor that was used here
// is closed through kClose. There are no linked timeouts: each is a second request in the kernel,
// several times as dear as a timer of ours (linked_timeout_benchmark has the figures).
#ifndef PLAIT_IO_IO_URING_IO_URING_REACTOR_H_
#define PLAIT_IO_IO_URING_IO_URING_REACTOR_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "plait/runtime/core/executor.h"
#include "plait/runtime/core/reactor.h"

namespace plait {

// What to do without, as on a kernel that lacks it.
struct IoUringWithout {
  bool deferred_task_work = false;
  bool single_issuer = false;
  bool registered_ring = false;
  bool multishot = false;        // accept, receive, poll
  bool file_operations = false;  // open, status, rename, unlink, mkdir
  bool zero_copy_send = false;
};

struct IoUringOptions {
  // Where what this kernel's io_uring cannot do to files runs; outlives the reactor. Null: on
  // blocking() of the executor that the reactor is given to.
  Executor* blocking = nullptr;
  // Operations that are submitted together; a power of two up to 32,768. More go in several calls.
  unsigned entries = 128;
  // What multishots receive into: so many bytes each; so many at first, and at most.
  unsigned buffer_size = 4096;
  unsigned first_buffers = 128;
  unsigned max_buffers = 1024;  // a power of two up to 32,768
  // Sockets send at least so many bytes without a copy. A write is then delivered only when the
  // kernel needs its memory no more, which takes until the peer has acknowledged it; a cancel and a
  // close wait for that too, for ever where the peer never reads. So: never, if not asked for.
  //
  // Where the kernel says that it copied all the same (over loopback, and to any receiver on this
  // machine), or that it cannot, that connection's next writes are ordinary ones. A Stream's write
  // of so many bytes (4 KiB at the least) goes to the kernel as it is, and not by its buffer.
  // zero_copy_benchmark has the figures: as dear as a copy up to 32 KiB, a sixth cheaper from 40
  // KiB on, up to twice as dear where the kernel copies. So ask for it with 64 KiB at the least,
  // and where a measurement of the service itself shows a gain.
  size_t zero_copy_bytes = std::numeric_limits<size_t>::max();
  IoUringWithout without;
};

// An error when the system refuses (a sandbox, no memory, an old kernel), with the call that it
// refused. A real operation has been tried. Blocks for up to two seconds where the system has no
// memory for a ring yet, as that of rings that were destroyed comes back late.
absl::StatusOr<std::unique_ptr<Reactor>> MakeIoUringReactor(IoUringOptions options = {});
// Makes one whenever it is called, for executors that have several.
std::function<absl::StatusOr<std::unique_ptr<Reactor>>()> IoUringReactorFactory(
    IoUringOptions options = {});

// For tests: what multishots have, of a reactor that MakeIoUringReactor made.
struct IoUringMultishotUse {
  size_t buffers = 0;              // that are in use at all
  size_t buffers_with_kernel = 0;  // to receive into; the others hold data, and are lent
  size_t armed = 0;  // multishots that the kernel has, those that were stopped included
};
IoUringMultishotUse MultishotUseOf(const Reactor& reactor);

}  // namespace plait

#endif  // PLAIT_IO_IO_URING_IO_URING_REACTOR_H_
