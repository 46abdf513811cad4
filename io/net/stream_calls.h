// A StreamState's calls of the system, in line in what reads and writes: each request comes by
// here. Internal.
#ifndef PLAIT_IO_NET_STREAM_CALLS_H_
#define PLAIT_IO_NET_STREAM_CALLS_H_

#include <errno.h>

#include <cstdint>

#include "absl/types/span.h"
#include "plait/io/net/stream_state.h"
#include "plait/io/system/system_calls.h"

namespace plait::internal {

inline int64_t StreamState::ReceiveNow(absl::Span<char> into) noexcept {
  sys::SystemCalls& calls = sys::Calls();
  int64_t received = 0;
  do {
    received = is_socket() ? calls.Receive(fd(), into.data(), into.size())
                           : calls.Read(fd(), into.data(), into.size());
  } while (received == -EINTR);
  return received == -EWOULDBLOCK ? -EAGAIN : received;
}

inline int64_t StreamState::SendNow(absl::Span<const char> data) noexcept {
  if (kind_ == Kind::kFile) return 0;
  sys::SystemCalls& calls = sys::Calls();
  int64_t sent = 0;
  do {
    sent = is_socket() ? calls.Send(fd(), data.data(), data.size())
                       : calls.Write(fd(), data.data(), data.size());
  } while (sent == -EINTR);
  return sent == -EAGAIN || sent == -EWOULDBLOCK ? 0 : sent;
}

}  // namespace plait::internal

#endif  // PLAIT_IO_NET_STREAM_CALLS_H_
