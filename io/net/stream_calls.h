// A StreamState's calls of the system, in line in what reads and writes: each request comes by
// here. Internal.
#ifndef PLAIT_IO_NET_STREAM_CALLS_H_
#define PLAIT_IO_NET_STREAM_CALLS_H_

#include <errno.h>

#include <cstdint>

#include "absl/types/span.h"
#include "plait/io/net/stream_state.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/task/task_context.h"

namespace plait::internal {

// The system itself is called directly: after each return from the kernel processors foresee
// indirect calls badly.
inline int64_t ReceiveFrom(int fd, void* data, size_t size) noexcept {
  sys::SystemCalls* const installed = sys::Installed();
  if (installed != nullptr) [[unlikely]]
    return installed->Receive(fd, data, size);
  return sys::RealSystemCalls().SystemCalls::Receive(fd, data, size);
}

inline int64_t SendTo(int fd, const void* data, size_t size) noexcept {
  sys::SystemCalls* const installed = sys::Installed();
  if (installed != nullptr) [[unlikely]]
    return installed->Send(fd, data, size);
  return sys::RealSystemCalls().SystemCalls::Send(fd, data, size);
}

// Whether the current task is stopped. (CurrentStopToken gives its token away, which a task that
// was called by its join pays for.)
inline bool StopRequested() noexcept {
  const TaskContext* const context = TaskContext::Current();
  return context != nullptr && context->stop_requested();
}

inline int64_t StreamState::ReceiveNow(absl::Span<char> into) noexcept {
  int64_t received = 0;
  do {
    received = is_socket() ? ReceiveFrom(fd(), into.data(), into.size())
                           : sys::Calls().Read(fd(), into.data(), into.size());
  } while (received == -EINTR);
  return received == -EWOULDBLOCK ? -EAGAIN : received;
}

inline int64_t StreamState::SendNow(absl::Span<const char> data) noexcept {
  if (kind_ == Kind::kFile) return 0;
  int64_t sent = 0;
  do {
    sent = is_socket() ? SendTo(fd(), data.data(), data.size())
                       : sys::Calls().Write(fd(), data.data(), data.size());
  } while (sent == -EINTR);
  return sent == -EAGAIN || sent == -EWOULDBLOCK ? 0 : sent;
}

}  // namespace plait::internal

#endif  // PLAIT_IO_NET_STREAM_CALLS_H_
