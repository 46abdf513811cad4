#include "plait/io/file/open_file.h"

#include <errno.h>
#include <fcntl.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "plait/io/file/path.h"
#include "plait/io/system/errno_status.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/task/offload.h"
#include "plait/runtime/task/or_return.h"

namespace plait {
namespace {

using internal::FileOperation;
using internal::FileRefusal;
using internal::Naming;

// A cancel is answered between two of these: the time that a disk takes for one.
constexpr size_t kPiece = 1 << 20;

absl::Status ContradictionIn(const OpenOptions& options) {
  const bool writes = options.write || options.append;
  if (options.truncate && !options.write) {
    return absl::InvalidArgumentError("truncate needs write");
  }
  if (options.truncate && options.append) {
    return absl::InvalidArgumentError("truncate and append contradict each other");
  }
  if ((options.create || options.exclusive) && !writes) {
    return absl::InvalidArgumentError("create and exclusive need write or append");
  }
  return absl::OkStatus();
}

int FlagsOf(const OpenOptions& options) {
  const bool writes = options.write || options.append;
  int flags = !writes ? O_RDONLY : options.read ? O_RDWR : O_WRONLY;
  if (options.append) flags |= O_APPEND;
  if (options.create || options.exclusive) flags |= O_CREAT;
  if (options.exclusive) flags |= O_EXCL;
  if (options.truncate) flags |= O_TRUNC;
  // So that a named pipe is not waited for, which no cancel could end everywhere; and a terminal
  // must not become the program's own.
  return flags | O_NONBLOCK | O_NOCTTY;
}

absl::Status Annotate(const absl::Status& status, absl::string_view how_far) {
  return absl::Status(status.code(), absl::StrCat(status.message(), ", ", how_far));
}

}  // namespace

namespace internal {

int DuplicateOf(const File& file) noexcept { return file.descriptor_.Duplicate(); }

absl::Status RefusalStatus(FileRefusal refusal, const char* what, const File& file) {
  const std::string naming = Naming(what, file.path());
  switch (refusal) {
    case FileRefusal::kNone:
      break;
    case FileRefusal::kClosed:
      return absl::FailedPreconditionError(absl::StrCat(naming, ": the file is closed"));
    case FileRefusal::kNegativeOffset:
      return absl::InvalidArgumentError(absl::StrCat(naming, ": the offset is negative"));
    case FileRefusal::kAppendsOnly:
      return absl::FailedPreconditionError(
          absl::StrCat(naming, ": a file that was opened to append is not written at a position"));
  }
  return absl::OkStatus();
}

}  // namespace internal

// --- one operation ---

FileOperation<absl::StatusOr<size_t>> File::Transfer(IoOpcode opcode, void* data, size_t size,
                                                     int64_t offset,
                                                     FileRefusal refusal) const noexcept {
  io::internal::Request request = Ask(opcode);
  request.args.data = data;
  request.args.size = size;
  request.args.offset = offset;
  return FileOperation<absl::StatusOr<size_t>>(request, *this, refusal,
                                               opcode == IoOpcode::kRead ? "read" : "write");
}

FileRefusal File::RefusalAt(int64_t offset) const noexcept {
  if (!is_open()) return FileRefusal::kClosed;
  return offset < 0 ? FileRefusal::kNegativeOffset : FileRefusal::kNone;
}

FileOperation<absl::StatusOr<size_t>> File::ReadAt(absl::Span<char> buffer,
                                                   int64_t offset) const noexcept {
  return Transfer(IoOpcode::kRead, buffer.data(), buffer.size(), offset, RefusalAt(offset));
}

FileOperation<absl::StatusOr<size_t>> File::WriteAt(absl::string_view data,
                                                    int64_t offset) const noexcept {
  FileRefusal refusal = RefusalAt(offset);
  if (refusal == FileRefusal::kNone && append_) refusal = FileRefusal::kAppendsOnly;
  // The kernel only reads what it writes to a file.
  return Transfer(IoOpcode::kWrite, const_cast<char*>(data.data()), data.size(), offset, refusal);
}

FileOperation<absl::StatusOr<size_t>> File::Read(absl::Span<char> buffer) const noexcept {
  return Transfer(IoOpcode::kRead, buffer.data(), buffer.size(), -1, Refusal());
}

FileOperation<absl::StatusOr<size_t>> File::Write(absl::string_view data) const noexcept {
  return Transfer(IoOpcode::kWrite, const_cast<char*>(data.data()), data.size(), -1, Refusal());
}

FileOperation<absl::Status> File::SyncWith(uint32_t flags) const noexcept {
  io::internal::Request request = Ask(IoOpcode::kSync);
  request.args.flags = flags;
  return FileOperation<absl::Status>(request, *this, Refusal(), "fsync");
}

FileOperation<absl::Status> File::Sync() const noexcept { return SyncWith(0); }
FileOperation<absl::Status> File::SyncData() const noexcept { return SyncWith(kSyncData); }

// --- as many as it takes ---

Task<absl::StatusOr<size_t>> File::ReadFullyAt(absl::Span<char> buffer, int64_t offset) const {
  size_t done = 0;
  // At least once, for what an operation refuses.
  do {
    const absl::Span<char> rest = buffer.subspan(done, kPiece);
    const size_t count =
        co_await OrReturn(ReadAt(rest, offset < 0 ? offset : offset + static_cast<int64_t>(done)));
    if (count == 0) break;
    done += count;
  } while (done < buffer.size());
  co_return done;
}

Task<absl::StatusOr<std::string>> File::ReadAll(size_t limit) const {
  constexpr size_t kFirst = 64 * 1024;
  const FileStatus status = co_await OrReturn(Status());
  // 0 where nothing is known: pipes, and what the system makes up when it is read.
  const size_t size = status.kind == FileKind::kRegular ? static_cast<size_t>(status.size) : 0;
  std::string content;
  if (size > 0) content.reserve(std::min(size, limit) + 1);
  size_t room = size > 0 && size < kPiece ? size + 1 : size > 0 ? kPiece : kFirst;
  size_t done = 0;
  for (;;) {
    // One byte more than may be, so that too much is found out.
    const size_t wanted = limit - done < room ? limit - done + 1 : room;
    content.resize(done + wanted);
    const size_t count = co_await OrReturn(Read(absl::MakeSpan(content.data() + done, wanted)));
    done += count;
    if (done > limit) {
      co_return absl::ResourceExhaustedError(
          absl::StrCat(Naming("read", path_), ": it holds more than ", limit, " bytes"));
    }
    if (count == 0 || (count < wanted && done == size)) break;
    if (count == wanted) room = std::min(room * 2, kPiece);
  }
  content.resize(done);
  co_return content;
}

Task<absl::Status> File::WritePieces(absl::string_view data, int64_t offset, size_t piece) const {
  size_t done = 0;
  do {
    const absl::string_view rest = data.substr(done, piece);
    const int64_t at = offset < 0 ? -1 : offset + static_cast<int64_t>(done);
    absl::StatusOr<size_t> count(size_t{0});
    if (offset < 0) {
      count = co_await Write(rest);
    } else {
      count = co_await WriteAt(rest, at);
    }
    if (!count.ok()) {
      co_return Annotate(count.status(),
                         absl::StrCat("after ", done, " of ", data.size(), " bytes"));
    }
    if (*count == 0 && !rest.empty()) {
      co_return absl::UnknownError(absl::StrCat(Naming("write", path_),
                                                ": the system writes nothing, after ", done, " of ",
                                                data.size(), " bytes"));
    }
    done += *count;
  } while (done < data.size());
  co_return absl::OkStatus();
}

Task<absl::Status> File::WriteAll(absl::string_view data) const {
  return WritePieces(data, -1, kPiece);
}

Task<absl::Status> File::WriteAllAt(absl::string_view data, int64_t offset) const {
  if (offset < 0) {
    co_return internal::RefusalStatus(
        is_open() ? FileRefusal::kNegativeOffset : FileRefusal::kClosed, "write", *this);
  }
  co_return co_await WritePieces(data, offset, kPiece);
}

Task<absl::Status> File::Append(absl::string_view data) const {
  if (is_open() && !append_) {
    co_return absl::FailedPreconditionError(
        absl::StrCat(Naming("append to", path_), ": the file was not opened to append"));
  }
  co_return co_await WritePieces(data, -1, absl::string_view::npos);
}

// --- the file itself ---

Task<absl::Status> File::OffloadCall(const char* what,
                                     int (*call)(int fd, int64_t argument) noexcept,
                                     int64_t argument) const {
  if (!is_open()) co_return internal::RefusalStatus(FileRefusal::kClosed, what, *this);
  const std::string naming = Naming(what, path_);
  const int duplicate = internal::DuplicateOf(*this);
  if (duplicate == -EBADF && !is_open()) {
    co_return internal::RefusalStatus(FileRefusal::kClosed, what, *this);
  }
  if (duplicate < 0) co_return ErrnoToStatus(duplicate, naming);
  const auto run = [call, argument, duplicate] {
    const int result = call(duplicate, argument);
    sys::Calls().Close(duplicate);
    return result;
  };
  const int result = co_await Offload(run);
  co_return ErrnoToStatus(result, naming);
}

Task<absl::Status> File::Truncate(int64_t size) const {
  if (size < 0) {
    co_return absl::InvalidArgumentError(
        absl::StrCat(Naming("truncate", path_), ": the size ", size, " is negative"));
  }
  const auto call = [](int fd, int64_t to) noexcept {
    int result = 0;
    do {
      result = sys::Calls().Truncate(fd, to);
    } while (result == -EINTR);
    return result;
  };
  co_return co_await OffloadCall("truncate", call, size);
}

Task<absl::Status> File::DropCache() const {
  const auto call = [](int fd, int64_t) noexcept { return sys::Calls().DropCache(fd); };
  return OffloadCall("drop the cache of", call, 0);
}

Task<absl::StatusOr<FileStatus>> File::Status() const {
  sys::RawFileStatus raw;
  io::internal::Request request = Ask(IoOpcode::kStatus);
  request.args.path = "";
  request.args.status_out = &raw;
  request.args.flags = 0;
  const FileOperation<absl::Status> asking(request, *this, Refusal(), "stat");
  co_await OrReturn(asking);
  co_return sys::Decode(raw);
}

Task<absl::Status> File::Close() {
  if (!is_open()) co_return absl::OkStatus();
  const absl::Status closed = co_await descriptor_.Close();
  if (closed.ok()) co_return closed;
  co_return absl::Status(closed.code(),
                         absl::StrCat(Naming("close", path_), ": ", closed.message()));
}

Task<absl::StatusOr<File>> OpenFile(std::string path, OpenOptions options) {
  co_await OrReturn(internal::CheckPath("open", path));
  if (const absl::Status contradiction = ContradictionIn(options); !contradiction.ok()) {
    co_return absl::InvalidArgumentError(
        absl::StrCat(Naming("open", path), ": ", contradiction.message()));
  }
  const int fd = co_await OrReturn(io::Open(path.c_str(), FlagsOf(options), options.permissions));
  // Reactors that want it so set it again; others wait for a descriptor that blocks.
  sys::Calls().SetBlocking(fd);
  co_return File::Adopt(fd, std::move(path), options.append);
}

}  // namespace plait
