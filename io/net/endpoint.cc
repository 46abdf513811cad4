#include "plait/io/net/endpoint.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "plait/io/net/address.h"

namespace plait {
namespace {

absl::Status Malformed(absl::string_view text, absl::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("\"", absl::Utf8SafeCHexEscape(text), "\" is not host:port: ", why));
}

// Letters, digits, "-", "_" and ".", and bytes of UTF-8: whatever a resolver may be asked for.
bool MayStandInHostName(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return absl::ascii_isalnum(byte) || c == '-' || c == '_' || c == '.' || byte >= 0x80;
}

}  // namespace

absl::StatusOr<Endpoint> Endpoint::Parse(absl::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == absl::string_view::npos) return Malformed(text, "it has no port");
  const absl::string_view digits = text.substr(colon + 1);
  uint32_t port = 0;
  if (digits.empty() || !std::all_of(digits.begin(), digits.end(), absl::ascii_isdigit) ||
      !absl::SimpleAtoi(digits, &port) || port > 65535) {
    return Malformed(text, "the port must be a number from 0 to 65535");
  }
  absl::string_view host = text.substr(0, colon);
  if (absl::ConsumePrefix(&host, "[")) {
    if (!absl::ConsumeSuffix(&host, "]")) return Malformed(text, "\"]\" is missing");
    const absl::StatusOr<SocketAddress> ip = SocketAddress::ParseIp(host, 0);
    if (!ip.ok() || ip->family() != SocketAddress::Family::kIpv6) {
      return Malformed(text, "in brackets stands an IPv6 address");
    }
  } else if (host.empty()) {
    return Malformed(text, "the host is empty");
  } else if (absl::StrContains(host, ":")) {
    return Malformed(text, "an IPv6 address stands in brackets, as in \"[::1]:80\"");
  } else if (!std::all_of(host.begin(), host.end(), MayStandInHostName)) {
    return Malformed(text, "the host has characters that no host name has");
  }
  return Endpoint{.host = std::string(host), .port = static_cast<uint16_t>(port)};
}

std::string Endpoint::ToString() const {
  return absl::StrContains(host, ":") ? absl::StrCat("[", host, "]:", port)
                                      : absl::StrCat(host, ":", port);
}

}  // namespace plait
