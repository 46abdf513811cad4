#include "plait/io/dns/testing/dns_message.h"

#include <netinet/in.h>

#include <cstddef>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "plait/io/dns/internal/host_name.h"
#include "plait/runtime/core/check.h"

namespace plait {
namespace {

constexpr size_t kHeaderSize = 12;
constexpr uint16_t kIsReply = 0x8000;
constexpr uint16_t kTruncated = 0x0200;
constexpr uint16_t kRecursion = 0x0180;  // desired, available
constexpr uint16_t kInternet = 1;
constexpr int kMostAliases = 8;

uint16_t ReadNumber(absl::string_view bytes, size_t at) {
  return static_cast<uint16_t>(static_cast<uint8_t>(bytes[at]) << 8 |
                               static_cast<uint8_t>(bytes[at + 1]));
}

void AppendNumber(std::string& out, unsigned number) {
  out += static_cast<char>(number >> 8 & 255);
  out += static_cast<char>(number & 255);
}

std::string Encoded(absl::string_view name) {
  std::string out;
  for (const absl::string_view label : absl::StrSplit(name, '.', absl::SkipEmpty())) {
    out += static_cast<char>(label.size());
    absl::StrAppend(&out, label);
  }
  return out + '\0';
}

}  // namespace

std::optional<DnsQuestion> ParseQuestion(absl::string_view packet) {
  if (packet.size() < kHeaderSize) return std::nullopt;
  const bool is_question = (ReadNumber(packet, 2) & kIsReply) == 0 && ReadNumber(packet, 4) == 1;
  if (!is_question) return std::nullopt;
  DnsQuestion question;
  question.id = ReadNumber(packet, 0);
  size_t at = kHeaderSize;
  for (;;) {
    if (at >= packet.size()) return std::nullopt;
    const size_t length = static_cast<uint8_t>(packet[at++]);
    if (length == 0) break;
    if (length > 63 || at + length > packet.size()) return std::nullopt;
    if (!question.name.empty()) question.name += '.';
    absl::StrAppend(&question.name, absl::AsciiStrToLower(packet.substr(at, length)));
    at += length;
  }
  if (at + 4 > packet.size()) return std::nullopt;
  question.type = static_cast<DnsType>(ReadNumber(packet, at));
  return question;
}

DnsReply::DnsReply(const DnsQuestion& question, DnsCode code)
    : id_(question.id),
      flags_(static_cast<uint16_t>(kIsReply | kRecursion | static_cast<uint16_t>(code))),
      question_(Encoded(question.name)) {
  AppendNumber(question_, static_cast<unsigned>(question.type));
  AppendNumber(question_, kInternet);
}

DnsReply& DnsReply::Record(absl::string_view name, DnsType type, absl::string_view data) {
  answers_ += Encoded(name);
  AppendNumber(answers_, static_cast<unsigned>(type));
  AppendNumber(answers_, kInternet);
  AppendNumber(answers_, 0);
  AppendNumber(answers_, 60);  // seconds to live
  AppendNumber(answers_, static_cast<unsigned>(data.size()));
  absl::StrAppend(&answers_, data);
  ++records_;
  return *this;
}

DnsReply& DnsReply::Address(absl::string_view name, const SocketAddress& address) {
  if (address.family() == SocketAddress::Family::kIpv4) {
    const auto& ip = reinterpret_cast<const sockaddr_in*>(address.data())->sin_addr;
    return Record(name, DnsType::kA,
                  absl::string_view(reinterpret_cast<const char*>(&ip), sizeof(ip)));
  }
  const auto& ip = reinterpret_cast<const sockaddr_in6*>(address.data())->sin6_addr;
  return Record(name, DnsType::kAaaa,
                absl::string_view(reinterpret_cast<const char*>(&ip), sizeof(ip)));
}

DnsReply& DnsReply::Alias(absl::string_view name, absl::string_view canonical) {
  return Record(name, DnsType::kAlias, Encoded(canonical));
}

DnsReply& DnsReply::Pointer(absl::string_view name, absl::string_view host) {
  return Record(name, DnsType::kPointer, Encoded(host));
}

DnsReply& DnsReply::Truncated() {
  flags_ |= kTruncated;
  return *this;
}

std::string DnsReply::Packet() const {
  std::string packet;
  AppendNumber(packet, id_);
  AppendNumber(packet, flags_);
  AppendNumber(packet, 1);
  AppendNumber(packet, records_);
  AppendNumber(packet, 0);
  AppendNumber(packet, 0);
  return absl::StrCat(packet, question_, answers_);
}

void DnsZone::AddAddress(absl::string_view name, absl::string_view ip) {
  const absl::StatusOr<SocketAddress> address = SocketAddress::ParseIp(ip, 0);
  PLAIT_CHECK(address.ok(), address.status().ToString());
  entries_[internal::CanonicalName(name)].addresses.push_back(*address);
}

void DnsZone::AddAlias(absl::string_view name, absl::string_view canonical) {
  entries_[internal::CanonicalName(name)].alias = internal::CanonicalName(canonical);
}

void DnsZone::AddPointer(absl::string_view ip, absl::string_view host) {
  const absl::StatusOr<SocketAddress> address = SocketAddress::ParseIp(ip, 0);
  PLAIT_CHECK(address.ok(), address.status().ToString());
  entries_[internal::ReverseName(*address)].pointer = std::string(host);
}

DnsReply DnsZone::Reply(const DnsQuestion& question) const {
  auto entry = entries_.find(question.name);
  if (entry == entries_.end()) return DnsReply(question, DnsCode::kNoSuchName);
  DnsReply reply(question);
  for (int i = 0; i < kMostAliases && !entry->second.alias.empty(); ++i) {
    reply.Alias(entry->first, entry->second.alias);
    entry = entries_.find(entry->second.alias);
    if (entry == entries_.end()) return reply;
  }
  const bool pointer = question.type == DnsType::kPointer && !entry->second.pointer.empty();
  if (pointer) reply.Pointer(entry->first, entry->second.pointer);
  for (const SocketAddress& address : entry->second.addresses) {
    const bool ipv4 = address.family() == SocketAddress::Family::kIpv4;
    if (question.type == (ipv4 ? DnsType::kA : DnsType::kAaaa)) {
      reply.Address(entry->first, address);
    }
  }
  return reply;
}

}  // namespace plait
