// The operating system's operations on descriptors, to be awaited: the layer under streams, files
// and servers.
//
//   absl::StatusOr<size_t> n = co_await plait::io::Read(fd, absl::MakeSpan(buffer));
//
// Each runs on the reactor of the thread that awaits it and resumes on the task's own executor.
// Where that has several such threads, a descriptor is at home with the one that used it first, and
// its operations go there, whichever thread its tasks are on: see runtime/core/worker_group.h. Two
// executors do not share a descriptor. An operation does what one call of the same name does: a
// read or a write may be short, 0 bytes read is the end. Order: operations of one kind on a
// descriptor are served in the order of their co_awaits. What the system does at once takes no turn
// of the loop over epoll and kqueue, as often as the budget of awaits allows (budget.h); so who was
// served second may go on first. Lifetime: the buffer is the kernel's until
// the co_await has returned; it lives in the caller's frame or above it. Descriptors: any that the
// reactor can wait for (sockets, pipes, terminals, eventfds), and regular files: those by the
// reactor, or on the executor for blocking work. One that was used here is closed with io::Close,
// which ends what began before, also what is still on its way to the descriptor's home: that never
// meets the file that has the number next. What begins later, or meanwhile, is for whoever has the
// number then; streams, sockets and files know that they were closed, up to the last moment.
// Cancellation: a cancelled operation gives absl::CancelledError; one that was done first gives its
// result, so bytes that moved are never lost. Errors: a Status that names the operation and the
// descriptor; a closed descriptor, or one that can't do this, is FailedPrecondition,
// InvalidArgument or PermissionDenied. No SIGPIPE is raised.
#ifndef PLAIT_IO_OPS_OPERATIONS_H_
#define PLAIT_IO_OPS_OPERATIONS_H_

#include <sys/socket.h>

#include <coroutine>
#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/io_operation.h"
#include "plait/runtime/task/home_wait.h"
#include "plait/runtime/task/promise.h"

namespace plait::sys {
struct RawFileStatus;
}

namespace plait::io {
namespace internal {

// What an operation is before it is awaited; a copy may be made freely.
struct Request {
  IoOpcode opcode;
  int fd;
  IoArgs args;
  // Where `fd` stands until it is closed, if that may happen at any time: the operation does not
  // begin then. Null: the caller sees to it. Read when it is awaited, and not afterwards.
  const plait::internal::Atomic<int>* owner = nullptr;
};

class OperationAwaiter : private plait::internal::HomeWait, private IoCall {
 public:
  explicit OperationAwaiter(const Request& request) noexcept;

  bool await_ready() const noexcept { return false; }
  template <plait::internal::PlaitPromise P>
  bool await_suspend(std::coroutine_handle<P> waiter) noexcept {
    return Suspend(waiter.promise());
  }
  // For OrReturn.
  bool await_failed() const noexcept { return home() == nullptr || result < 0; }

 protected:
  ~OperationAwaiter() = default;
  // `name`, where it is not empty, is what an error calls the file that the descriptor is of.
  absl::StatusOr<int32_t> TakeResult(absl::string_view name = {}) const;
  // 0 where there is none.
  int ErrorNumber() const noexcept { return home() != nullptr && result < 0 ? -result : 0; }

 private:
  bool Suspend(plait::internal::PromiseBase& waiter) noexcept;
  // In place of Start, where it was closed before.
  bool EndAsClosed(plait::internal::PromiseBase& waiter) noexcept;
  static bool Start(HomeWait& wait, plait::internal::PromiseBase& waiter) noexcept;
  static bool StartCarried(HomeWait& wait, plait::internal::PromiseBase& waiter) noexcept;
  static void Delivered(WorkItem& item) noexcept;
  static bool CancelOperation(HomeWait& wait) noexcept;
};

// R is what the operation's non-negative result is given as: size_t, int, uint32_t, or void for a
// Status.
template <class R>
class [[nodiscard]] ResultAwaiter final : public OperationAwaiter {
 public:
  using OperationAwaiter::OperationAwaiter;
  absl::StatusOr<R> await_resume() const {
    absl::StatusOr<int32_t> result = TakeResult();
    if (!result.ok()) return result.status();
    return static_cast<R>(*result);
  }
};
template <>
class [[nodiscard]] ResultAwaiter<void> final : public OperationAwaiter {
 public:
  using OperationAwaiter::OperationAwaiter;
  absl::Status await_resume() const { return TakeResult().status(); }
};

// With the number of the error, for who must tell apart what has one Status code.
template <class R>
struct Outcome {
  absl::StatusOr<R> result;
  int error = 0;  // an errno; 0: none, or there was no reactor
};
template <class R>
class [[nodiscard]] ResultAwaiter<Outcome<R>> final : public OperationAwaiter {
 public:
  using OperationAwaiter::OperationAwaiter;
  Outcome<R> await_resume() const { return {TakeResult(), ErrorNumber()}; }
};

template <class R>
class [[nodiscard]] OperationAwaitable {
 public:
  explicit OperationAwaitable(const Request& request) : request_(request) {}
  ResultAwaiter<R> operator co_await() const { return ResultAwaiter<R>(request_); }
  // Cancelled, and not begun, where `owner` (OwnedDescriptor::cell) has given the descriptor away
  // by the time when it would begin. `owner` lives until then.
  OperationAwaitable OwnedBy(const plait::internal::Atomic<int>& owner) && {
    request_.owner = &owner;
    return *this;
  }
  OperationAwaitable<Outcome<R>> WithErrorNumber() && {
    return OperationAwaitable<Outcome<R>>(request_);
  }

 private:
  Request request_;
};

}  // namespace internal

// Up to buffer.size() bytes; 0 is the end of the stream.
internal::OperationAwaitable<size_t> Read(int fd, absl::Span<char> buffer);
internal::OperationAwaitable<size_t> ReadAt(int fd, absl::Span<char> buffer, int64_t offset);

// How many bytes were written, which may be fewer than given.
internal::OperationAwaitable<size_t> Write(int fd, absl::Span<const char> data);
internal::OperationAwaitable<size_t> WriteAt(int fd, absl::Span<const char> data, int64_t offset);

// A connection's descriptor, non-blocking and close-on-exec. `address` may be null; it is filled in
// with the peer's, and
// `*address_size`, which holds the room there is, with its size.
internal::OperationAwaitable<int> Accept(int listener, ::sockaddr* address = nullptr,
                                         uint32_t* address_size = nullptr);

// `address` lives until the co_await has returned. A refusal comes by the co_await, as Unavailable.
// So does, on every reactor, that a Unix listener's queue is full (EAGAIN; on BSDs a refusal), also
// of a socket that was made to block: the system has no way to wait for room there, so try again
// after a while. A TCP listener is waited for.
internal::OperationAwaitable<void> Connect(int fd, const ::sockaddr* address, size_t address_size);

// Waits until one of `events` (kPollReadable, kPollWritable) holds; gives those that do, and
// kPollError or kPollHangUp. As poll(2) warns, what held need not hold any more: somebody else may
// have read it, a packet turned out to be damaged, or, on io_uring, the system was late to tell of
// what this very task has read since. So read or write without blocking, and poll again where there
// was nothing.
internal::OperationAwaitable<uint32_t> Poll(int fd, uint32_t events);

// One message of a datagram socket, or a part of a stream, with what comes along (addresses,
// descriptors): recvmsg and sendmsg, with their flags. `message` and all it points to live until
// the co_await has returned. How many bytes.
internal::OperationAwaitable<size_t> ReceiveMessage(int socket, ::msghdr* message, int flags = 0);
internal::OperationAwaitable<size_t> SendMessage(int socket, ::msghdr* message, int flags = 0);

// --- files: the strings live until the co_await has returned; relative paths begin at the working
// directory. Once begun they are not cancelled. ---

// open(2): `flags` are O_RDONLY and so on. A descriptor, close-on-exec.
internal::OperationAwaitable<int> Open(const char* path, int flags, uint32_t mode = 0666);
internal::OperationAwaitable<void> Sync(int fd, bool data_only = false);
// Of the file itself where `path` is a symbolic link and `follow` is false.
internal::OperationAwaitable<void> Status(const char* path, sys::RawFileStatus* out,
                                          bool follow = true);
internal::OperationAwaitable<void> Status(int fd, sys::RawFileStatus* out);
internal::OperationAwaitable<void> Rename(const char* path, const char* new_path);
internal::OperationAwaitable<void> Unlink(const char* path);
internal::OperationAwaitable<void> RemoveDirectory(const char* path);
internal::OperationAwaitable<void> MakeDirectory(const char* path, uint32_t mode = 0777);

// Ends what is pending on `fd` with absl::CancelledError, and closes it. Not cancelled itself: the
// descriptor is closed whatever becomes of the task.
internal::OperationAwaitable<void> Close(int fd);

}  // namespace plait::io

#endif  // PLAIT_IO_OPS_OPERATIONS_H_
