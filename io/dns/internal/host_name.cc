#include "plait/io/dns/internal/host_name.h"

#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace plait::internal {
namespace {

constexpr size_t kLongestName = 253;
constexpr size_t kLongestLabel = 63;

bool IsNameCharacter(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_';
}

absl::Status CheckLabel(absl::string_view label) {
  if (label.empty()) return absl::InvalidArgumentError("a part between two dots is empty");
  if (label.size() > kLongestLabel) {
    return absl::InvalidArgumentError(
        absl::StrCat("a part between two dots is longer than ", kLongestLabel, " characters"));
  }
  for (const char c : label) {
    if (IsNameCharacter(c)) continue;
    if (!absl::ascii_isascii(static_cast<unsigned char>(c))) {
      return absl::InvalidArgumentError(
          "it has letters that DNS does not know; such names have a form that begins with "
          "\"xn--\"");
    }
    return absl::InvalidArgumentError(absl::StrCat("no host's name has the character \"",
                                                   absl::CEscape(absl::string_view(&c, 1)), "\""));
  }
  return absl::OkStatus();
}

bool IsAll(absl::string_view text, bool (*test)(unsigned char)) {
  return std::all_of(text.begin(), text.end(),
                     [test](char c) { return test(static_cast<unsigned char>(c)); });
}

constexpr char kHex[] = "0123456789abcdef";

}  // namespace

absl::Status CheckHostName(absl::string_view name) {
  absl::string_view rest = absl::StripSuffix(name, ".");
  if (rest.empty()) return absl::InvalidArgumentError("it is empty");
  if (rest.size() > kLongestName) {
    return absl::InvalidArgumentError(
        absl::StrCat("it is longer than ", kLongestName, " characters"));
  }
  while (true) {
    const size_t dot = rest.find('.');
    if (absl::Status label = CheckLabel(rest.substr(0, dot)); !label.ok()) return label;
    if (dot == absl::string_view::npos) return absl::OkStatus();
    rest.remove_prefix(dot + 1);
  }
}

std::string CanonicalName(absl::string_view name) {
  return absl::AsciiStrToLower(absl::StripSuffix(name, "."));
}

bool IsLocalhost(absl::string_view name) {
  return name == "localhost" || absl::EndsWith(name, ".localhost");
}

bool EndsInANumber(absl::string_view name) {
  absl::string_view label = name.substr(name.rfind('.') + 1);
  if (label.empty()) return false;
  if (IsAll(label, &absl::ascii_isdigit)) return true;
  return absl::ConsumePrefix(&label, "0x") && IsAll(label, &absl::ascii_isxdigit);
}

std::string Quoted(absl::string_view name) {
  constexpr size_t kShown = 80;
  if (name.size() <= kShown) return absl::StrCat("\"", absl::CEscape(name), "\"");
  return absl::StrCat("\"", absl::CEscape(name.substr(0, kShown)), "...\"");
}

std::string ReverseName(const SocketAddress& address) {
  std::string name;
  if (address.family() == SocketAddress::Family::kIpv4) {
    const uint32_t ip =
        ntohl(reinterpret_cast<const sockaddr_in*>(address.data())->sin_addr.s_addr);
    return absl::StrCat(ip & 255, ".", (ip >> 8) & 255, ".", (ip >> 16) & 255, ".", ip >> 24,
                        ".in-addr.arpa");
  }
  const auto& bytes = reinterpret_cast<const sockaddr_in6*>(address.data())->sin6_addr.s6_addr;
  for (int i = 15; i >= 0; --i) {
    const char digits[] = {kHex[bytes[i] & 15], '.', kHex[bytes[i] >> 4], '.'};
    name.append(digits, sizeof(digits));
  }
  return name + "ip6.arpa";
}

SocketAddress Unmapped(const SocketAddress& address) {
  if (address.family() != SocketAddress::Family::kIpv6) return address;
  const in6_addr& ip = reinterpret_cast<const sockaddr_in6*>(address.data())->sin6_addr;
  if (!IN6_IS_ADDR_V4MAPPED(&ip)) return address;
  std::array<uint8_t, 4> bytes;
  std::memcpy(bytes.data(), &ip.s6_addr[12], bytes.size());
  return SocketAddress::Ipv4(bytes, address.port());
}

}  // namespace plait::internal
