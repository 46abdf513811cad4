// File: a file that is open, and OpenFile, which opens one.
//
//   plait::File file = co_await plait::OrReturn(plait::OpenFile("notes", {.read = true}));
//   absl::StatusOr<size_t> n = co_await file.ReadAt(absl::MakeSpan(buffer), 4096);
//   absl::Status closed = co_await file.Close();   // or leave it to the destructor
//
// The system's files under tasks: io_uring reads and writes them by its ring, the other reactors on
// the executor for blocking work, so a slow disk holds up nobody; the bytes are the same. Anything
// that has a path may be opened. Files and devices have positions; a pipe or a terminal has none,
// and is waited for as a socket is. A named pipe is opened without waiting for its other end: to
// write to one that nobody reads is NotFound.
//
// Threads: a File is used by the tasks of one executor; of several threads it is at home with one,
// where its operations are done (io/ops/operations.h). Several tasks may use it at once: operations
// at a position run side by side; of those that go on where the last one ended, reads run in order,
// and so do writes. Lifetime: the File and the buffer stay where they are until the co_await has
// returned. Cancellation: an operation that has not begun ends with absl::CancelledError; one on a
// file that has begun is short and gives its result. Errors: a Status that names the operation and
// the path; a File that was closed, or that was not opened for this, is FailedPrecondition, a
// negative position InvalidArgument. Cost: Read, Write, ReadAt, WriteAt and Sync allocate nothing;
// on reactors other than io_uring each goes to another thread and back.
#ifndef PLAIT_IO_FILE_OPEN_FILE_H_
#define PLAIT_IO_FILE_OPEN_FILE_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "plait/io/ops/operations.h"
#include "plait/io/ops/owned_descriptor.h"
#include "plait/io/system/file_status.h"
#include "plait/runtime/task/task.h"

namespace plait {

class File;

namespace internal {

// Why an operation is not even begun.
enum class FileRefusal : uint8_t { kNone, kClosed, kNegativeOffset, kAppendsOnly };

// See io::OwnedDescriptor::Duplicate.
int DuplicateOf(const File& file) noexcept;

// The Status for it, of an operation called `what` on `file`.
absl::Status RefusalStatus(FileRefusal refusal, const char* what, const File& file);

template <class R>
class [[nodiscard]] FileAwaiter final : public io::internal::OperationAwaiter {
 public:
  FileAwaiter(const io::internal::Request& request, const File& file, FileRefusal refusal,
              const char* what) noexcept
      : OperationAwaiter(request), file_(file), refusal_(refusal), what_(what) {}

  bool await_ready() const noexcept { return refusal_ != FileRefusal::kNone; }
  R await_resume() const;

 private:
  const File& file_;
  const FileRefusal refusal_;
  const char* const what_;
};

// One operation on a File, to be awaited. R: absl::Status, or absl::StatusOr<size_t> for how many
// bytes were moved.
template <class R>
class [[nodiscard]] FileOperation {
 public:
  FileOperation(const io::internal::Request& request, const File& file, FileRefusal refusal,
                const char* what) noexcept
      : request_(request), file_(file), refusal_(refusal), what_(what) {}
  FileAwaiter<R> operator co_await() const noexcept {
    return FileAwaiter<R>(request_, file_, refusal_, what_);
  }

 private:
  const io::internal::Request request_;
  const File& file_;
  const FileRefusal refusal_;
  const char* const what_;
};

}  // namespace internal

// How a file is opened. With none of `read`, `write` and `append` it is read.
struct OpenOptions {
  bool read = false;
  bool write = false;
  bool append = false;     // writes go to the end, wherever that is by then
  bool create = false;     // makes the file where there is none
  bool truncate = false;   // empties it
  bool exclusive = false;  // makes it, and fails with AlreadyExists where there is one
  // Of a file that is made, less what the process's umask takes away.
  uint32_t permissions = 0666;
};

class File {
 public:
  // Closed.
  File() = default;
  // Takes over `fd`, which nobody else closes; errors call it `name`. `append`: it was opened with
  // O_APPEND.
  static File Adopt(int fd, std::string name, bool append = false) noexcept {
    return File(fd, std::move(name), append);
  }
  File(File&& other) noexcept = default;
  File& operator=(File&& other) noexcept {
    File taken(std::move(other));
    std::swap(descriptor_, taken.descriptor_);
    std::swap(path_, taken.path_);
    std::swap(append_, taken.append_);
    return *this;
  }
  // Without Close the file is closed by a task that nobody waits for, but Run or EventLoop::Close;
  // an error of closing goes unheard. See io::OwnedDescriptor. To have errors, Close; to have the
  // data on the disk, Sync.
  ~File() = default;

  bool is_open() const noexcept { return descriptor_.valid(); }
  int fd() const noexcept { return descriptor_.get(); }  // -1 when it is closed
  // As it was opened; also after Close.
  const std::string& path() const noexcept { return path_; }

  // --- one operation, which may move fewer bytes than asked for: how many. 0 read is the end. ---

  internal::FileOperation<absl::StatusOr<size_t>> ReadAt(absl::Span<char> buffer,
                                                         int64_t offset) const noexcept;
  internal::FileOperation<absl::StatusOr<size_t>> WriteAt(absl::string_view data,
                                                          int64_t offset) const noexcept;
  // Where the last one, of reads and of writes, has ended.
  internal::FileOperation<absl::StatusOr<size_t>> Read(absl::Span<char> buffer) const noexcept;
  internal::FileOperation<absl::StatusOr<size_t>> Write(absl::string_view data) const noexcept;

  // --- as many operations as it takes, in pieces of at most a mebibyte ---

  // Fills `buffer` unless the end comes first; how many bytes.
  Task<absl::StatusOr<size_t>> ReadFullyAt(absl::Span<char> buffer, int64_t offset) const;
  // From where the last operation has ended to the end of the file; ResourceExhausted beyond
  // `limit` bytes.
  Task<absl::StatusOr<std::string>> ReadAll(
      size_t limit = std::numeric_limits<size_t>::max()) const;
  // All of `data`, or an error that says how far it came. Also when it was cancelled on the way.
  Task<absl::Status> WriteAll(absl::string_view data) const;
  Task<absl::Status> WriteAllAt(absl::string_view data, int64_t offset) const;
  // All of `data` at the end of a file that was opened to append. What fits into one write, which
  // on a local file is everything, is not mixed with what others append.
  Task<absl::Status> Append(absl::string_view data) const;

  // --- the file itself ---

  // What was written is on the disk: all of it, or less of the file's properties than its size.
  internal::FileOperation<absl::Status> Sync() const noexcept;
  internal::FileOperation<absl::Status> SyncData() const noexcept;
  // Cuts it off at `size` bytes, or adds zeros. Once it has begun it is not cancelled. As DropCache
  // does, it runs on the executor for blocking work under every reactor.
  Task<absl::Status> Truncate(int64_t size) const;
  Task<absl::StatusOr<FileStatus>> Status() const;
  // Asks the system to forget what it keeps of the file in memory, so that it is read from the disk
  // next. A hint: what was not synced stays.
  Task<absl::Status> DropCache() const;

  // Ends what is pending on the file and closes it: from then on is_open() is false. Closing a file
  // that is closed does nothing. Not cancelled.
  Task<absl::Status> Close();

 private:
  File(int fd, std::string path, bool append) noexcept
      : descriptor_(fd), path_(std::move(path)), append_(append) {}

  friend int internal::DuplicateOf(const File& file) noexcept;
  // Another task may close it up to the moment when the operation begins.
  io::internal::Request Ask(IoOpcode opcode) const noexcept {
    return {.opcode = opcode, .fd = fd(), .args = {}, .owner = &descriptor_.cell()};
  }
  internal::FileOperation<absl::StatusOr<size_t>> Transfer(
      IoOpcode opcode, void* data, size_t size, int64_t offset,
      internal::FileRefusal refusal) const noexcept;
  internal::FileOperation<absl::Status> SyncWith(uint32_t flags) const noexcept;
  internal::FileRefusal Refusal() const noexcept {
    return is_open() ? internal::FileRefusal::kNone : internal::FileRefusal::kClosed;
  }
  internal::FileRefusal RefusalAt(int64_t offset) const noexcept;
  // Writes until all is written; at `offset`, or in order where that is negative.
  Task<absl::Status> WritePieces(absl::string_view data, int64_t offset, size_t piece) const;
  // Runs `call`, which gives 0 or -errno, on a duplicate of the descriptor where it may block: the
  // File may be closed meanwhile.
  Task<absl::Status> OffloadCall(const char* what, int (*call)(int fd, int64_t argument) noexcept,
                                 int64_t argument) const;

  io::OwnedDescriptor descriptor_;
  std::string path_;
  bool append_ = false;
};

// Opens `path`, relative to the working directory. NotFound, AlreadyExists, FailedPrecondition (a
// directory that is to be written), PermissionDenied, ResourceExhausted (no descriptor is left) and
// so on, as the system says; InvalidArgument for a path that is empty or holds a NUL byte, and for
// options that contradict each other. A directory may be opened to read, for Sync and Status: to
// read from it is FailedPrecondition.
Task<absl::StatusOr<File>> OpenFile(std::string path, OpenOptions options = {});

namespace internal {

template <class R>
R FileAwaiter<R>::await_resume() const {
  if (refusal_ != FileRefusal::kNone) return RefusalStatus(refusal_, what_, file_);
  absl::StatusOr<int32_t> result = TakeResult(file_.path());
  if (!result.ok()) return result.status();
  if constexpr (std::is_same_v<R, absl::Status>) {
    return absl::OkStatus();
  } else {
    return static_cast<size_t>(*result);
  }
}

}  // namespace internal
}  // namespace plait

#endif  // PLAIT_IO_FILE_OPEN_FILE_H_
