#include "plait/io/net/socket_options.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdint>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "plait/io/system/errno_status.h"
#include "plait/io/system/system_calls.h"

namespace plait {
namespace {

#if defined(TCP_KEEPIDLE)
constexpr int kKeepIdle = TCP_KEEPIDLE;
#else
constexpr int kKeepIdle = TCP_KEEPALIVE;
#endif

struct Option {
  const char* name;
  int level;
  int number;
};

constexpr Option kNoDelay{"TCP_NODELAY", IPPROTO_TCP, TCP_NODELAY};
constexpr Option kKeepAlive{"SO_KEEPALIVE", SOL_SOCKET, SO_KEEPALIVE};
constexpr Option kKeepAliveIdle{"TCP_KEEPIDLE", IPPROTO_TCP, kKeepIdle};
constexpr Option kKeepAliveInterval{"TCP_KEEPINTVL", IPPROTO_TCP, TCP_KEEPINTVL};
constexpr Option kKeepAliveProbes{"TCP_KEEPCNT", IPPROTO_TCP, TCP_KEEPCNT};
constexpr Option kReuseAddress{"SO_REUSEADDR", SOL_SOCKET, SO_REUSEADDR};
constexpr Option kReusePort{"SO_REUSEPORT", SOL_SOCKET, SO_REUSEPORT};
constexpr Option kSendBuffer{"SO_SNDBUF", SOL_SOCKET, SO_SNDBUF};
constexpr Option kReceiveBuffer{"SO_RCVBUF", SOL_SOCKET, SO_RCVBUF};
constexpr Option kLinger{"SO_LINGER", SOL_SOCKET, SO_LINGER};

template <class T>
absl::Status Set(int fd, const Option& option, const T& value) {
  const int result =
      sys::Calls().SetSocketOption(fd, option.level, option.number, &value, sizeof(value));
  if (result >= 0) return absl::OkStatus();
  return ErrnoToStatus(result, absl::StrCat("set ", option.name, " (fd ", fd, ")"));
}

template <class T>
absl::StatusOr<T> Get(int fd, const Option& option) {
  T value{};
  socklen_t size = sizeof(value);
  const int result = sys::Calls().SocketOption(fd, option.level, option.number, &value, &size);
  if (result >= 0) return value;
  return ErrnoToStatus(result, absl::StrCat("get ", option.name, " (fd ", fd, ")"));
}

absl::Status SetFlag(int fd, const Option& option, bool on) { return Set<int>(fd, option, on); }

absl::StatusOr<bool> GetFlag(int fd, const Option& option) {
  const absl::StatusOr<int> value = Get<int>(fd, option);
  if (!value.ok()) return value.status();
  return *value != 0;
}

absl::Status Senseless(int fd, const Option& option, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("set ", option.name, " (fd ", fd, "): ", what));
}

absl::Status SetBuffer(int fd, const Option& option, int bytes) {
  if (bytes < 1) return Senseless(fd, option, absl::StrCat(bytes, " bytes"));
  return Set(fd, option, bytes);
}

// Whole seconds; the system takes no more than an int, and nobody lives that long.
int Seconds(absl::Duration time) {
  constexpr int64_t kMost = std::numeric_limits<int16_t>::max();
  return static_cast<int>(
      std::min<int64_t>(absl::ToInt64Seconds(absl::Ceil(time, absl::Seconds(1))), kMost));
}

}  // namespace

absl::Status SocketOptions::set_no_delay(bool on) const { return SetFlag(fd_, kNoDelay, on); }
absl::StatusOr<bool> SocketOptions::no_delay() const { return GetFlag(fd_, kNoDelay); }

absl::Status SocketOptions::set_keep_alive(const KeepAlive& keep_alive) const {
  if (keep_alive.on) {
    if (keep_alive.probes < 1) {
      return Senseless(fd_, kKeepAliveProbes, absl::StrCat(keep_alive.probes, " probes"));
    }
    // The times first, so that it never runs with others.
    const int idle = std::max(Seconds(keep_alive.idle), 1);
    const int interval = std::max(Seconds(keep_alive.interval), 1);
    absl::Status set = Set(fd_, kKeepAliveIdle, idle);
    if (set.ok()) set = Set(fd_, kKeepAliveInterval, interval);
    if (set.ok()) set = Set(fd_, kKeepAliveProbes, keep_alive.probes);
    if (!set.ok()) return set;
  }
  return SetFlag(fd_, kKeepAlive, keep_alive.on);
}

absl::StatusOr<KeepAlive> SocketOptions::keep_alive() const {
  const absl::StatusOr<bool> on = GetFlag(fd_, kKeepAlive);
  if (!on.ok()) return on.status();
  const absl::StatusOr<int> idle = Get<int>(fd_, kKeepAliveIdle);
  if (!idle.ok()) return idle.status();
  const absl::StatusOr<int> interval = Get<int>(fd_, kKeepAliveInterval);
  if (!interval.ok()) return interval.status();
  const absl::StatusOr<int> probes = Get<int>(fd_, kKeepAliveProbes);
  if (!probes.ok()) return probes.status();
  return KeepAlive{.on = *on,
                   .idle = absl::Seconds(*idle),
                   .interval = absl::Seconds(*interval),
                   .probes = *probes};
}

absl::Status SocketOptions::set_reuse_address(bool on) const {
  return SetFlag(fd_, kReuseAddress, on);
}
absl::StatusOr<bool> SocketOptions::reuse_address() const { return GetFlag(fd_, kReuseAddress); }
absl::Status SocketOptions::set_reuse_port(bool on) const { return SetFlag(fd_, kReusePort, on); }
absl::StatusOr<bool> SocketOptions::reuse_port() const { return GetFlag(fd_, kReusePort); }

absl::Status SocketOptions::set_send_buffer(int bytes) const {
  return SetBuffer(fd_, kSendBuffer, bytes);
}
absl::StatusOr<int> SocketOptions::send_buffer() const { return Get<int>(fd_, kSendBuffer); }
absl::Status SocketOptions::set_receive_buffer(int bytes) const {
  return SetBuffer(fd_, kReceiveBuffer, bytes);
}
absl::StatusOr<int> SocketOptions::receive_buffer() const { return Get<int>(fd_, kReceiveBuffer); }

absl::Status SocketOptions::set_linger(std::optional<absl::Duration> time) const {
  if (time.has_value() && *time < absl::ZeroDuration()) {
    return Senseless(fd_, kLinger, absl::FormatDuration(*time));
  }
  ::linger value{};
  value.l_onoff = time.has_value() ? 1 : 0;
  value.l_linger = time.has_value() ? Seconds(*time) : 0;
  return Set(fd_, kLinger, value);
}

absl::StatusOr<std::optional<absl::Duration>> SocketOptions::linger() const {
  const absl::StatusOr<::linger> value = Get<::linger>(fd_, kLinger);
  if (!value.ok()) return value.status();
  if (value->l_onoff == 0) return std::nullopt;
  return absl::Seconds(value->l_linger);
}

}  // namespace plait
