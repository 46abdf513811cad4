#include "plait/io/net/send_file.h"

#include <errno.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "plait/io/net/partial_bytes.h"
#include "plait/io/ops/operations.h"
#include "plait/io/system/errno_status.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/core/io_operation.h"
#include "plait/runtime/task/offload.h"
#include "plait/runtime/task/or_return.h"
#include "plait/runtime/task/task_context.h"

namespace plait {
namespace {

constexpr int64_t kPiece = 1 << 20;
constexpr int64_t kCopyPiece = 64 * 1024;

// The same open file under a number of its own, which nobody closes while another thread uses it.
// Neither is known to a reactor.
class Duplicate {
 public:
  explicit Duplicate(int fd) noexcept : fd_(fd) {}
  Duplicate(const Duplicate&) = delete;
  Duplicate& operator=(const Duplicate&) = delete;
  ~Duplicate() {
    if (fd_ >= 0) sys::Calls().Close(fd_);
  }

  int get() const noexcept { return fd_; }  // or -errno

 private:
  const int fd_;
};

// The system cannot do it between these two.
bool IsUnsupported(int64_t result) {
  return result == -EINVAL || result == -ENOSYS || result == -EOPNOTSUPP || result == -ESPIPE ||
         result == -ENOTSOCK || result == -EOVERFLOW;
}

// One SendFile under way.
class FileTransfer {
 public:
  FileTransfer(const internal::StreamRef& stream, const File& file, int64_t offset, int64_t count)
      : stream_(stream), file_(file), offset_(offset), left_(count) {}

  int64_t sent() const noexcept { return sent_; }

  // co_await: until all is sent.
  Task<absl::Status> Run() {
    const absl::Status sent_before = co_await Flush();
    co_await OrReturn(Interrupted());
    co_await OrReturn(sent_before);
    // This need not be the stream's home, and so it may be closed meanwhile.
    const Duplicate to(stream_->owned().Duplicate());
    if (to.get() == -EBADF && !stream_->owned().valid()) {
      co_return absl::CancelledError("the stream was closed");
    }
    // What is no socket may be shared with programs that do not expect it to stop blocking.
    if (to.get() >= 0 && sys::Calls().SocketProtocol(to.get()) < 0) co_return co_await Copy();
    const Duplicate from(internal::DuplicateOf(file_));
    for (const int fd : {to.get(), from.get()}) {
      if (fd < 0) co_return ErrnoToStatus(fd, "duplicate a descriptor");
    }
    if (const int set = sys::Calls().SetNonBlocking(to.get()); set < 0) {
      co_return ErrnoToStatus(set, "fcntl");
    }
    while (left_ > 0) {
      const auto size = static_cast<size_t>(std::min(left_, kPiece));
      const auto send = [&to, &from, size, offset = offset_] {
        int64_t result = 0;
        do {
          result = sys::Calls().SendFile(to.get(), from.get(), offset, size);
        } while (result == -EINTR);
        return result;
      };
      const int64_t result = co_await Offload(send);
      if (result > 0) Moved(result);
      if (result == 0) break;  // the file's end
      co_await OrReturn(Interrupted());
      if (IsUnsupported(result)) co_return co_await Copy();
      if (result == -EAGAIN) {
        const absl::Status at_home = co_await Flush();
        co_await OrReturn(Interrupted());
        co_await OrReturn(at_home);
        co_await OrReturn(io::Poll(stream_->fd(), kPollWritable).OwnedBy(stream_->owned().cell()));
      } else if (result < 0) {
        co_return ErrnoToStatus(static_cast<int>(result), "sendfile");
      }
    }
    co_return absl::OkStatus();
  }

 private:
  void Moved(int64_t size) noexcept {
    sent_ += size;
    offset_ += size;
    left_ -= size;
  }

  // What ends it, though the system would go on; also where the stream says that it is closed, as
  // one does that was dropped while a write was on its way home.
  absl::Status Interrupted() const {
    if (TaskContext::Current()->stop_requested()) return absl::CancelledError("cancelled");
    // Also a Stream that is there still, but that its server closes.
    if (stream_->closing() || stream_->closed()) {
      return absl::CancelledError("the stream was closed");
    }
    return absl::OkStatus();
  }

  Task<absl::Status> Copy() {
    std::vector<char> piece(static_cast<size_t>(std::min(left_, kCopyPiece)));
    while (left_ > 0) {
      const absl::Span<char> room =
          absl::MakeSpan(piece).subspan(0, static_cast<size_t>(std::min(left_, kCopyPiece)));
      const size_t size = co_await OrReturn(file_.ReadAt(room, offset_));
      co_await OrReturn(Interrupted());
      if (size == 0) break;
      const internal::StreamWriteAwaitable write(stream_, room.subspan(0, size));
      const absl::Status written = co_await write;
      if (!written.ok()) {
        Moved(static_cast<int64_t>(AcceptedBytes(written).value_or(0)));
        co_await OrReturn(Interrupted());
        co_return written;
      }
      Moved(static_cast<int64_t>(size));
    }
    co_await OrReturn(Interrupted());
    const absl::Status flushed = co_await Flush();
    if (!flushed.ok()) co_await OrReturn(Interrupted());
    co_return flushed;
  }

  internal::StreamFlushAwaitable Flush() const noexcept {
    return internal::StreamFlushAwaitable(stream_);
  }

  // And not the Stream, which another thread may close meanwhile.
  const internal::StreamRef stream_;
  const File& file_;
  int64_t offset_;
  int64_t left_;
  int64_t sent_ = 0;
};

std::string Naming(const internal::StreamRef& stream, const File& file) {
  const std::string path = absl::Utf8SafeCHexEscape(file.path());
  const absl::StatusOr<SocketAddress> peer =
      stream ? stream->PeerAddress() : absl::FailedPreconditionError("closed");
  return absl::StrCat("send \"", path, "\" to ", peer.ok() ? peer->ToString() : "a peer");
}

}  // namespace

Task<absl::StatusOr<int64_t>> internal::SendFileTo(StreamRef stream, const File& file,
                                                   int64_t offset, int64_t count) {
  // Before anything else: what is closed from now on was closed meanwhile.
  const bool is_open = stream && !stream->closed();
  const std::string naming = Naming(stream, file);
  if (offset < 0 || count < 0) {
    co_return absl::InvalidArgumentError(absl::StrCat(naming, ": the ",
                                                      offset < 0 ? "offset " : "count ",
                                                      offset < 0 ? offset : count, " is negative"));
  }
  if (!file.is_open() || !is_open) {
    co_return absl::FailedPreconditionError(
        absl::StrCat(naming, ": the ", file.is_open() ? "stream" : "file", " is closed"));
  }
  FileTransfer transfer(stream, file, offset, std::min(count, kToTheEnd - offset));
  const absl::Status ended = co_await transfer.Run();
  if (ended.ok()) co_return transfer.sent();
  absl::Status error(
      ended.code(), absl::StrCat(naming, ", after ", transfer.sent(), " bytes: ", ended.message()));
  internal::SetAcceptedBytes(error, static_cast<size_t>(transfer.sent()));
  co_return error;
}

}  // namespace plait
