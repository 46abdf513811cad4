// SocketAddress: where a socket is: an IPv4 or IPv6 address with a port, or a Unix socket's path or
// abstract name.
//
//   absl::StatusOr<SocketAddress> address = SocketAddress::Parse("[::1]:8080");
//
//   "127.0.0.1:80"          IPv4
//   "[::1]:80"              IPv6
//   "[fe80::1%eth0]:80"     IPv6 with a scope: the name of an interface, or its number
//   "unix:/run/service"     a Unix socket in the file system; the path may be relative
//   "unix:@service"         a Unix socket in Linux's abstract namespace
//
// A host name with a port ("example.com:443") is no address: it is an Endpoint (endpoint.h), which
// stands for none, one or several addresses until io/dns resolves it. Parse never looks names up.
//
// A plain value, no larger than sockaddr_storage, which nothing of it points out of: copy it as you
// like. Errors: text that is no address is InvalidArgument; the message names the text and what is
// wrong with it.
#ifndef PLAIT_IO_NET_ADDRESS_H_
#define PLAIT_IO_NET_ADDRESS_H_

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <ostream>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace plait {

class SocketAddress {
 public:
  // No address at all: family() is kNone. Also what a peer has that has no name: a socket pair's
  // end, or a Unix client that is bound to nothing, is kUnix with an empty path.
  SocketAddress() noexcept : storage_{} {}

  enum class Family : uint8_t { kNone, kIpv4, kIpv6, kUnix };

  static absl::StatusOr<SocketAddress> Parse(absl::string_view text);
  // An address without a port, as it stands in DNS and in configuration, without brackets.
  // `port` is from 0 to 65535; 0 lets the system choose, when listening.
  static absl::StatusOr<SocketAddress> ParseIp(absl::string_view ip, int port);

  // In network order, as on the wire.
  static SocketAddress Ipv4(std::array<uint8_t, 4> bytes, uint16_t port) noexcept;
  static SocketAddress Ipv6(std::array<uint8_t, 16> bytes, uint16_t port,
                            uint32_t scope = 0) noexcept;
  // 127.0.0.1 and ::1; every address of this machine.
  static SocketAddress Loopback(uint16_t port) noexcept { return Ipv4({127, 0, 0, 1}, port); }
  static SocketAddress LoopbackIpv6(uint16_t port) noexcept;
  static SocketAddress Any(uint16_t port) noexcept { return Ipv4({}, port); }
  static SocketAddress AnyIpv6(uint16_t port) noexcept { return Ipv6({}, port); }

  // InvalidArgument when it is empty, too long for the system (107 bytes) or has a NUL in it.
  static absl::StatusOr<SocketAddress> UnixPath(absl::string_view path);
  // Without the "@"; any bytes, at most 107.
  static absl::StatusOr<SocketAddress> UnixAbstract(absl::string_view name);

  // From the system's own form. InvalidArgument for families other than those above.
  static absl::StatusOr<SocketAddress> FromSystem(const ::sockaddr* address, size_t size);

  Family family() const noexcept;
  bool is_ip() const noexcept { return family() == Family::kIpv4 || family() == Family::kIpv6; }
  // An IP address; 0 for others.
  uint16_t port() const noexcept;
  // The same, with another port; Unix addresses have none and stay as they are.
  SocketAddress WithPort(uint16_t port) const noexcept;
  // IPv6; 0 for none.
  uint32_t scope() const noexcept;
  // Of the machine itself: 127.0.0.0/8, ::1, and every Unix address.
  bool is_loopback() const noexcept;

  // The IP alone, without brackets ("::1"); empty for Unix addresses.
  std::string ip() const;
  // Unix: the path; empty for others and for abstract names. Points into this.
  absl::string_view unix_path() const noexcept;
  // Unix: the abstract name without the "@"; empty for others. Points into this.
  absl::string_view unix_abstract() const noexcept;

  // As Parse takes it; bytes of a name that cannot be printed are written as in C. "(none)" for no
  // address, "unix:" for a Unix socket without a name.
  std::string ToString() const;

  // --- for system calls ---

  const ::sockaddr* data() const noexcept { return &storage_.base; }
  size_t size() const noexcept { return size_; }
  // AF_INET, AF_INET6, AF_UNIX, or AF_UNSPEC.
  int system_family() const noexcept { return storage_.base.sa_family; }
  // Room that a system call fills in, and its size, which the call sets: for accept and its like.
  // Both stay where they are as long as this does.
  ::sockaddr* room() noexcept {
    *this = SocketAddress();
    size_ = sizeof(storage_);
    return &storage_.base;
  }
  uint32_t* room_size() noexcept { return &size_; }

  friend bool operator==(const SocketAddress& a, const SocketAddress& b) noexcept;
  template <class H>
  friend H AbslHashValue(H state, const SocketAddress& address) {
    return H::combine(std::move(state), address.port(), address.scope(), address.Bytes());
  }
  friend std::ostream& operator<<(std::ostream& out, const SocketAddress& address) {
    return out << address.ToString();
  }

 private:
  union Storage {
    char bytes[112];
    ::sockaddr base;
    ::sockaddr_in ipv4;
    ::sockaddr_in6 ipv6;
    ::sockaddr_un path;
  };

  // What tells it from others of its family, but for port and scope.
  absl::string_view Bytes() const noexcept;
  // Unix: what stands in sun_path, as far as it counts.
  absl::string_view UnixBytes() const noexcept;
  static absl::StatusOr<SocketAddress> UnixBytes(absl::string_view name, bool abstract);

  Storage storage_;
  uint32_t size_ = sizeof(sa_family_t);
};

static_assert(sizeof(SocketAddress) <= sizeof(::sockaddr_storage));

}  // namespace plait

#endif  // PLAIT_IO_NET_ADDRESS_H_
