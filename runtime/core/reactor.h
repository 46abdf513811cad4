// Reactor: turns requests to the operating system into work that is ready.
//
// (Strictly a proactor: it tells of operations that have completed, not of descriptors that are
// ready. Readiness systems such as epoll can be made to look like completion ones; the reverse
// wastes io_uring and leaves open who owns a buffer.)
//
// A reactor belongs to one thread, the one that polls it; only Wake may be called from others. It
// decides nothing about order or threads, runs nothing, and keeps no timers.
#ifndef PLAIT_RUNTIME_CORE_REACTOR_H_
#define PLAIT_RUNTIME_CORE_REACTOR_H_

#include <cstddef>

#include "absl/strings/string_view.h"
#include "plait/runtime/core/deadline.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/io_operation.h"
#include "plait/runtime/core/multishot.h"
#include "plait/runtime/core/work_item.h"

namespace plait {

class Executor;

class Reactor {
 public:
  Reactor() = default;
  Reactor(const Reactor&) = delete;
  Reactor& operator=(const Reactor&) = delete;

  // No operation may be in flight (CHECK): its buffers would be left with the kernel.
  virtual ~Reactor() = default;

  // Once, before it is used, by the executor whose thread polls it, which outlives it. What would
  // block that thread runs on executor.blocking(), where the reactor was not made with an executor
  // for that, and fails where there is neither.
  void set_executor(Executor& executor) noexcept { executor_ = &executor; }

  // "epoll", "io_uring", ...: what RunOptions and flags call it.
  virtual absl::string_view name() const = 0;

  // Owner thread. Starts `operation`. It is delivered exactly once, through Poll, also when it
  // fails or completes at once; never inside this call. Operations of one kind on one descriptor
  // are served in the order of submission.
  virtual void Submit(IoOperation& operation) noexcept = 0;

  // Owner thread. As Submit, for who can go on at once: true when `operation`, no kClose, has ended
  // inside this call. Its result is there; it is not delivered. For how often see budget.h.
  virtual bool SubmitOrComplete(IoOperation& operation) noexcept {
    Submit(operation);
    return false;
  }

  // Owner thread. Asks for `operation`, which is in flight, to end. It still arrives once: with
  // -ECANCELED, or with its true result if that was first. Never delivers inside this call. One
  // that has been delivered and has not run yet is left alone: a task may be cancelled between the
  // two.
  virtual void Cancel(IoOperation& operation) noexcept = 0;
  // Owner thread. The same for all that are in flight: of an executor that is closed, for those
  // that no task waits for. O(the highest number of a descriptor that was used).
  virtual void CancelAll() noexcept = 0;

  // Owner thread. Waits until an operation has completed, Wake was called or `deadline` has come,
  // whichever is first, and appends the completed operations to `ready` in the order of completion.
  // May return early with nothing; with Deadline::Immediate() it never blocks. `clock` is what the
  // deadline is measured by.
  virtual void Poll(Deadline deadline, Clock& clock, WorkQueue& ready) noexcept = 0;

  // Owner thread. It may not be polled for a while, in which descriptors are closed without it:
  // what is begun meets the descriptor that has its number now, and not the next that gets it.
  virtual void Flush() noexcept {}

  // Any thread. Makes the Poll that is under way, or else the next one, return soon. Calls may
  // coalesce.
  virtual void Wake() noexcept = 0;

  // Whether to wait by kAwaitInput and then to read is at least as good as kRead.
  virtual bool prefers_await_input() const noexcept { return false; }

  // Owner thread. Whether a write of so many bytes to the socket `fd` had better be submitted than
  // tried by the caller first, as the reactor would have them sent without a copy.
  virtual bool sends_without_copy(int fd, size_t bytes) const noexcept {
    static_cast<void>(fd), static_cast<void>(bytes);
    return false;
  }

  // Owner thread. Begins to accept connections on `fd`, or to receive from it (kAccept, kRead),
  // over and over; see multishot.h. Null where operations one after another are as good. `owner`
  // lives until it is stopped. No operations of the same kind on `fd` meanwhile.
  virtual Multishot* StartMultishot(IoOpcode opcode, int fd, MultishotOwner& owner) noexcept {
    static_cast<void>(opcode), static_cast<void>(fd), static_cast<void>(owner);
    return nullptr;
  }
  // Owner thread. The owner hears no more of it. Results that wait are given back: connections are
  // closed, data is dropped. Before `fd` is closed.
  virtual void StopMultishot(Multishot& shots) noexcept { static_cast<void>(shots); }
  // Owner thread. Gives a result that was taken back to the reactor.
  virtual void ReturnShot(Multishot& shots, Shot& shot) noexcept {
    static_cast<void>(shots), static_cast<void>(shot);
  }

  // Owner thread. Operations submitted and not yet delivered; multishots are not counted.
  virtual size_t in_flight() const noexcept = 0;
  // Owner thread. Whether a Poll may bring something without anything being done before.
  virtual bool expects_results() const noexcept { return in_flight() > 0; }

  // For its own parts: see set_executor; may be null.
  Executor* executor() const noexcept { return executor_; }

 private:
  Executor* executor_ = nullptr;
};

}  // namespace plait

#endif  // PLAIT_RUNTIME_CORE_REACTOR_H_
