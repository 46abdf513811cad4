#include "plait/io/net/address.h"

#include <arpa/inet.h>
#include <errno.h>

#include <algorithm>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "plait/io/system/errno_status.h"
#include "plait/io/system/system_calls.h"

namespace plait {
namespace {

constexpr absl::string_view kUnixPrefix = "unix:";
constexpr size_t kPathOffset = offsetof(::sockaddr_un, sun_path);
// The path ends with a NUL, and an abstract name begins with one.
constexpr size_t kLongestName = sizeof(::sockaddr_un::sun_path) - 1;

absl::Status Malformed(absl::string_view text, absl::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("\"", absl::Utf8SafeCHexEscape(text), "\" is not a socket address: ", why));
}

// Digits only, and at most `max`.
bool ParseNumber(absl::string_view text, uint32_t max, uint32_t* number) {
  return !text.empty() && std::all_of(text.begin(), text.end(), absl::ascii_isdigit) &&
         absl::SimpleAtoi(text, number) && *number <= max;
}

// The system's number for the scope of an IPv6 address, or -errno: -ENODEV when there is no such
// interface.
int64_t ParseScope(absl::string_view scope) {
  uint32_t number = 0;
  if (ParseNumber(scope, UINT32_MAX, &number)) return number == 0 ? -ENODEV : int64_t{number};
  return scope.empty() ? -ENODEV : sys::Calls().InterfaceIndex(std::string(scope).c_str());
}

// An address in `text`, which may have a scope; port 0. `whole` is what the message names.
absl::StatusOr<SocketAddress> ParseIpAlone(absl::string_view text, absl::string_view whole) {
  const size_t percent = text.find('%');
  const std::string ip(text.substr(0, percent));
  // inet_pton reads up to a NUL.
  const bool has_nul = ip.find('\0') != std::string::npos;
  std::array<uint8_t, 4> ipv4;
  if (percent == absl::string_view::npos && !has_nul &&
      ::inet_pton(AF_INET, ip.c_str(), ipv4.data()) == 1) {
    return SocketAddress::Ipv4(ipv4, 0);
  }
  std::array<uint8_t, 16> ipv6;
  if (has_nul || ::inet_pton(AF_INET6, ip.c_str(), ipv6.data()) != 1) {
    return Malformed(whole,
                     absl::StrCat("\"", absl::Utf8SafeCHexEscape(text), "\" is not an IP address"));
  }
  uint32_t scope = 0;
  if (percent != absl::string_view::npos) {
    const absl::string_view name = text.substr(percent + 1);
    const std::string what = absl::StrCat("interface \"", absl::Utf8SafeCHexEscape(name), "\"");
    const int64_t number = ParseScope(name);
    if (number == -ENODEV) return Malformed(whole, absl::StrCat("there is no ", what));
    if (number < 0) return ErrnoToStatus(static_cast<int>(number), absl::StrCat("find ", what));
    scope = static_cast<uint32_t>(number);
  }
  return SocketAddress::Ipv6(ipv6, 0, scope);
}

}  // namespace

absl::StatusOr<SocketAddress> SocketAddress::Parse(absl::string_view text) {
  absl::string_view rest = text;
  if (absl::ConsumePrefix(&rest, kUnixPrefix)) {
    if (absl::ConsumePrefix(&rest, "@")) return UnixAbstract(rest);
    return UnixPath(rest);
  }
  const size_t colon = text.rfind(':');
  if (colon == absl::string_view::npos) return Malformed(text, "it has no port");
  uint32_t port = 0;
  if (!ParseNumber(text.substr(colon + 1), 65535, &port)) {
    return Malformed(text, "the port must be a number from 0 to 65535");
  }
  absl::string_view host = text.substr(0, colon);
  const bool in_brackets = absl::ConsumePrefix(&host, "[");
  if (in_brackets && !absl::ConsumeSuffix(&host, "]")) return Malformed(text, "\"]\" is missing");
  if (!in_brackets && absl::StrContains(host, ":")) {
    return Malformed(text, "an IPv6 address stands in brackets, as in \"[::1]:80\"");
  }
  absl::StatusOr<SocketAddress> address = ParseIpAlone(host, text);
  if (!address.ok()) {
    if (!in_brackets && !host.empty() && absl::ascii_isalpha(static_cast<unsigned char>(host[0]))) {
      return Malformed(text, absl::StrCat("\"", absl::Utf8SafeCHexEscape(host),
                                          "\" is not an IP address; a host name with a port is an "
                                          "Endpoint, to be resolved"));
    }
    return address;
  }
  if (in_brackets && address->family() == Family::kIpv4) {
    return Malformed(text, "an IPv4 address stands without brackets");
  }
  return address->WithPort(static_cast<uint16_t>(port));
}

absl::StatusOr<SocketAddress> SocketAddress::ParseIp(absl::string_view ip, int port) {
  if (port < 0 || port > 65535) {
    return Malformed(ip, absl::StrCat("the port must be from 0 to 65535, not ", port));
  }
  absl::StatusOr<SocketAddress> address = ParseIpAlone(ip, ip);
  if (!address.ok()) return address;
  return address->WithPort(static_cast<uint16_t>(port));
}

SocketAddress SocketAddress::Ipv4(std::array<uint8_t, 4> bytes, uint16_t port) noexcept {
  SocketAddress address;
  ::sockaddr_in& ipv4 = address.storage_.ipv4;
  ipv4.sin_family = AF_INET;
  ipv4.sin_port = htons(port);
  std::memcpy(&ipv4.sin_addr, bytes.data(), bytes.size());
  address.size_ = sizeof(ipv4);
  return address;
}

SocketAddress SocketAddress::Ipv6(std::array<uint8_t, 16> bytes, uint16_t port,
                                  uint32_t scope) noexcept {
  SocketAddress address;
  ::sockaddr_in6& ipv6 = address.storage_.ipv6;
  ipv6.sin6_family = AF_INET6;
  ipv6.sin6_port = htons(port);
  std::memcpy(&ipv6.sin6_addr, bytes.data(), bytes.size());
  ipv6.sin6_scope_id = scope;
  address.size_ = sizeof(ipv6);
  return address;
}

SocketAddress SocketAddress::LoopbackIpv6(uint16_t port) noexcept {
  std::array<uint8_t, 16> bytes{};
  bytes[15] = 1;
  return Ipv6(bytes, port);
}

absl::StatusOr<SocketAddress> SocketAddress::UnixPath(absl::string_view path) {
  if (path.empty()) return Malformed(kUnixPrefix, "the path is empty");
  if (absl::StrContains(path, '\0')) {
    return Malformed(absl::StrCat(kUnixPrefix, path), "the path has a NUL in it");
  }
  return UnixBytes(path, /*abstract=*/false);
}

absl::StatusOr<SocketAddress> SocketAddress::UnixAbstract(absl::string_view name) {
  if (name.empty()) return Malformed("unix:@", "the abstract name is empty");
  return UnixBytes(name, /*abstract=*/true);
}

absl::StatusOr<SocketAddress> SocketAddress::UnixBytes(absl::string_view name, bool abstract) {
  if (name.size() > kLongestName) {
    return Malformed(absl::StrCat(kUnixPrefix, abstract ? "@" : "", name),
                     absl::StrCat(abstract ? "the abstract name" : "the path", " has ", name.size(),
                                  " bytes; the system takes at most ", kLongestName));
  }
  SocketAddress address;
  ::sockaddr_un& path = address.storage_.path;
  path.sun_family = AF_UNIX;
  std::memcpy(path.sun_path + (abstract ? 1 : 0), name.data(), name.size());
  address.size_ = static_cast<uint32_t>(kPathOffset + name.size() + 1);
  return address;
}

absl::StatusOr<SocketAddress> SocketAddress::FromSystem(const ::sockaddr* address, size_t size) {
  const size_t least = size < sizeof(sa_family_t)       ? SIZE_MAX
                       : address->sa_family == AF_INET  ? sizeof(::sockaddr_in)
                       : address->sa_family == AF_INET6 ? sizeof(::sockaddr_in6)
                       : address->sa_family == AF_UNIX  ? sizeof(sa_family_t)
                                                        : SIZE_MAX;
  if (size < least || size > sizeof(Storage)) {
    return absl::InvalidArgumentError(
        size < sizeof(sa_family_t)
            ? absl::StrCat("a system's address of ", size, " bytes has no family")
            : absl::StrCat("not a socket address: family ", address->sa_family, ", ", size,
                           " bytes"));
  }
  SocketAddress copy;
  std::memcpy(copy.storage_.bytes, address, size);
  copy.size_ = static_cast<uint32_t>(size);
  return copy;
}

SocketAddress::Family SocketAddress::family() const noexcept {
  switch (storage_.base.sa_family) {
    case AF_INET:
      return Family::kIpv4;
    case AF_INET6:
      return Family::kIpv6;
    case AF_UNIX:
      return Family::kUnix;
    default:
      return Family::kNone;
  }
}

uint16_t SocketAddress::port() const noexcept {
  if (family() == Family::kIpv4) return ntohs(storage_.ipv4.sin_port);
  if (family() == Family::kIpv6) return ntohs(storage_.ipv6.sin6_port);
  return 0;
}

SocketAddress SocketAddress::WithPort(uint16_t port) const noexcept {
  SocketAddress copy = *this;
  if (family() == Family::kIpv4) copy.storage_.ipv4.sin_port = htons(port);
  if (family() == Family::kIpv6) copy.storage_.ipv6.sin6_port = htons(port);
  return copy;
}

uint32_t SocketAddress::scope() const noexcept {
  return family() == Family::kIpv6 ? storage_.ipv6.sin6_scope_id : 0;
}

bool SocketAddress::is_loopback() const noexcept {
  if (family() == Family::kIpv4) return Bytes()[0] == 127;
  if (family() == Family::kIpv6) return IN6_IS_ADDR_LOOPBACK(&storage_.ipv6.sin6_addr);
  return family() == Family::kUnix;
}

std::string SocketAddress::ip() const {
  if (!is_ip()) return "";
  char text[INET6_ADDRSTRLEN];
  ::inet_ntop(system_family(), Bytes().data(), text, sizeof(text));
  return scope() == 0 ? std::string(text) : absl::StrCat(text, "%", scope());
}

absl::string_view SocketAddress::UnixBytes() const noexcept {
  if (family() != Family::kUnix || size_ <= kPathOffset) return "";
  const size_t room = std::min<size_t>(size_ - kPathOffset, sizeof(storage_.path.sun_path));
  const char* const path = storage_.path.sun_path;
  // A path counts up to its NUL; in an abstract name every byte counts.
  return absl::string_view(path, path[0] == '\0' ? room : ::strnlen(path, room));
}

absl::string_view SocketAddress::unix_path() const noexcept {
  const absl::string_view bytes = UnixBytes();
  return !bytes.empty() && bytes[0] != '\0' ? bytes : "";
}

absl::string_view SocketAddress::unix_abstract() const noexcept {
  const absl::string_view bytes = UnixBytes();
  return !bytes.empty() && bytes[0] == '\0' ? bytes.substr(1) : "";
}

std::string SocketAddress::ToString() const {
  switch (family()) {
    case Family::kNone:
      return "(none)";
    case Family::kIpv4:
      return absl::StrCat(ip(), ":", port());
    case Family::kIpv6:
      return absl::StrCat("[", ip(), "]:", port());
    case Family::kUnix:
      break;
  }
  const absl::string_view abstract = unix_abstract();
  return abstract.empty() ? absl::StrCat(kUnixPrefix, absl::Utf8SafeCHexEscape(unix_path()))
                          : absl::StrCat(kUnixPrefix, "@", absl::Utf8SafeCHexEscape(abstract));
}

absl::string_view SocketAddress::Bytes() const noexcept {
  switch (family()) {
    case Family::kIpv4:
      return absl::string_view(reinterpret_cast<const char*>(&storage_.ipv4.sin_addr), 4);
    case Family::kIpv6:
      return absl::string_view(reinterpret_cast<const char*>(&storage_.ipv6.sin6_addr), 16);
    case Family::kUnix:
      return UnixBytes();
    case Family::kNone:
      break;
  }
  return "";
}

bool operator==(const SocketAddress& a, const SocketAddress& b) noexcept {
  return a.family() == b.family() && a.port() == b.port() && a.scope() == b.scope() &&
         a.Bytes() == b.Bytes();
}

}  // namespace plait
