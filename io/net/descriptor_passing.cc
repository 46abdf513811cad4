#include "plait/io/net/descriptor_passing.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "plait/io/net/address.h"
#include "plait/io/net/partial_bytes.h"
#include "plait/io/net/socket_error.h"
#include "plait/io/ops/operations.h"
#include "plait/io/system/errno_status.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/task/or_return.h"

namespace plait {
namespace {

// A message's control data, aligned as the system wants it.
class ControlRoom {
 public:
  // Exactly for so many descriptors: the system takes what is left over for room as well.
  explicit ControlRoom(size_t descriptors)
      : memory_(new Header[CMSG_SPACE(descriptors * sizeof(int)) / sizeof(Header) + 1]()),
        size_(descriptors == 0 ? 0 : CMSG_LEN(descriptors * sizeof(int))) {}

  void AttachTo(::msghdr& message) const {
    message.msg_control = size_ == 0 ? nullptr : memory_.get();
    message.msg_controllen = size_;
  }

 private:
  using Header = ::cmsghdr;
  std::unique_ptr<Header[]> memory_;
  size_t size_;
};

void PutDescriptors(::msghdr& message, absl::Span<const int> descriptors) {
  ::cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(descriptors.size() * sizeof(int));
  std::memcpy(CMSG_DATA(header), descriptors.data(), descriptors.size() * sizeof(int));
}

std::vector<io::OwnedDescriptor> TakeDescriptors(::msghdr& message) {
  std::vector<io::OwnedDescriptor> taken;
  for (::cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
      taken.emplace_back(fd);
    }
  }
  return taken;
}

// Other sockets take descriptors and drop them without a word.
absl::Status CheckUnix(int socket, const std::string& what) {
  SocketAddress own;
  ::sockaddr* const room = own.room();
  const int asked = sys::Calls().SocketName(socket, room, own.room_size());
  if (asked < 0) return ErrnoToStatus(asked, what);
  if (own.family() == SocketAddress::Family::kUnix) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(what, ": descriptors need a Unix socket"));
}

absl::Status CheckSend(int socket, size_t bytes, size_t descriptors, const std::string& what) {
  if (bytes == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, ": descriptors need at least one byte to travel with"));
  }
  if (descriptors > kMaxDescriptors) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, ": no more than ", kMaxDescriptors, " travel together"));
  }
  return CheckUnix(socket, what);
}

// `owner`, where there is one, may close the socket at any time, and its number be somebody else's.
Task<absl::Status> SendAll(int socket, internal::StreamRef owner, absl::string_view data,
                           std::vector<int> descriptors) {
  const std::string what =
      absl::StrCat("send ", descriptors.size(), " descriptors (fd ", socket, ")");
  co_await OrReturn(CheckSend(socket, data.size(), descriptors.size(), what));
  const ControlRoom control(descriptors.size());
  size_t sent = 0;
  while (sent < data.size()) {
    // sendmsg only reads it.
    ::iovec part{.iov_base = const_cast<char*>(data.data() + sent), .iov_len = data.size() - sent};
    ::msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (sent == 0 && !descriptors.empty()) {
      control.AttachTo(message);
      PutDescriptors(message, descriptors);
    }
    auto sending = io::SendMessage(socket, &message);
    if (owner) sending = std::move(sending).OwnedBy(owner->owned().cell());
    const absl::StatusOr<size_t> count = co_await sending;
    if (!count.ok()) {
      absl::Status failure = internal::NameError(count.status(), what);
      internal::SetAcceptedBytes(failure, sent);
      co_return failure;
    }
    sent += *count;
  }
  co_return absl::OkStatus();
}

Task<absl::StatusOr<ReceivedDescriptors>> ReceiveFrom(int socket, internal::StreamRef owner,
                                                      absl::Span<char> into, size_t most) {
  const std::string what = absl::StrCat("receive descriptors (fd ", socket, ")");
  co_await OrReturn(CheckUnix(socket, what));
  const ControlRoom control(std::min(most, kMaxDescriptors));
  ::iovec part{.iov_base = into.data(), .iov_len = into.size()};
  ::msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  control.AttachTo(message);
  auto receiving = io::ReceiveMessage(socket, &message);
  if (owner) receiving = std::move(receiving).OwnedBy(owner->owned().cell());
  const absl::StatusOr<size_t> count = co_await receiving;
  if (!count.ok()) co_return internal::NameError(count.status(), what);
  ReceivedDescriptors received;
  received.size = *count;
  received.descriptors = TakeDescriptors(message);
  if ((message.msg_flags & MSG_CTRUNC) == 0) co_return received;
  absl::Status failure = absl::ResourceExhaustedError(absl::StrCat(
      what, ": more came than the ", most, " asked for, or than this process may open; the ",
      received.descriptors.size(), " that could be had were closed"));
  internal::SetPartialBytes(failure, absl::string_view(into.data(), received.size));
  co_return failure;
}

}  // namespace

Task<absl::Status> SendDescriptors(int socket, absl::string_view data,
                                   std::vector<int> descriptors) {
  return SendAll(socket, internal::StreamRef(), data, std::move(descriptors));
}

Task<absl::StatusOr<ReceivedDescriptors>> ReceiveDescriptors(int socket, absl::Span<char> into,
                                                             size_t most) {
  return ReceiveFrom(socket, internal::StreamRef(), into, most);
}

Task<absl::Status> SendDescriptors(Stream& stream, absl::string_view data,
                                   std::vector<int> descriptors) {
  const absl::Status flushed = co_await stream.Flush();
  if (!flushed.ok()) {
    co_return absl::Status(flushed.code(), absl::StrCat("send ", descriptors.size(),
                                                        " descriptors: ", flushed.message()));
  }
  co_return co_await SendAll(stream.descriptor(), internal::StateOf(stream), data,
                             std::move(descriptors));
}

Task<absl::StatusOr<ReceivedDescriptors>> ReceiveDescriptors(Stream& stream, absl::Span<char> into,
                                                             size_t most) {
  if (!stream.is_open()) {
    co_return absl::FailedPreconditionError("receive descriptors: the stream is closed");
  }
  const absl::string_view ahead = stream.buffered().substr(0, into.size());
  if (!ahead.empty()) {
    ReceivedDescriptors received;
    received.size = ahead.copy(into.data(), ahead.size());
    stream.Consume(received.size);
    co_return received;
  }
  co_return co_await ReceiveFrom(stream.descriptor(), internal::StateOf(stream), into, most);
}

}  // namespace plait
