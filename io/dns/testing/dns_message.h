// DNS packets from the server's side, for tests and demonstrations: reads questions, writes
// answers, and answers from a table.
//
//   DnsZone zone;
//   zone.AddAddress("www.example", "10.0.0.7");
//   zone.AddAlias("example", "www.example");
//   std::optional<DnsQuestion> question = ParseQuestion(packet);
//   if (question.has_value()) Send(zone.Answer(*question));
//
// As much of RFC 1035 as a stub resolver sees: one question, no compression, class IN.
#ifndef PLAIT_IO_DNS_TESTING_DNS_MESSAGE_H_
#define PLAIT_IO_DNS_TESTING_DNS_MESSAGE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "plait/io/net/address.h"

namespace plait {

enum class DnsType : uint16_t { kA = 1, kAlias = 5, kPointer = 12, kAaaa = 28 };
enum class DnsCode : uint8_t { kOk = 0, kServerFailed = 2, kNoSuchName = 3, kRefused = 5 };

struct DnsQuestion {
  uint16_t id = 0;
  std::string name;  // in lower case, without a dot at the end
  DnsType type = DnsType::kA;
};

// None for what is no question.
std::optional<DnsQuestion> ParseQuestion(absl::string_view packet);

// An answer in the making.
class DnsReply {
 public:
  explicit DnsReply(const DnsQuestion& question, DnsCode code = DnsCode::kOk);

  // An IP address: an A or AAAA record. Without a port.
  DnsReply& Address(absl::string_view name, const SocketAddress& address);
  DnsReply& Alias(absl::string_view name, absl::string_view canonical);
  DnsReply& Pointer(absl::string_view name, absl::string_view host);
  // Says that there is more than fits: ask again over TCP.
  DnsReply& Truncated();

  std::string Packet() const;

 private:
  DnsReply& Record(absl::string_view name, DnsType type, absl::string_view data);

  uint16_t id_;
  uint16_t flags_;
  uint16_t records_ = 0;
  std::string question_;
  std::string answers_;
};

// Names and what they stand for.
class DnsZone {
 public:
  // `ip` must be one (CHECK).
  void AddAddress(absl::string_view name, absl::string_view ip);
  void AddAlias(absl::string_view name, absl::string_view canonical);
  // `ip`'s own name is `host`.
  void AddPointer(absl::string_view ip, absl::string_view host);

  // Follows aliases. A name that is not here does not exist.
  DnsReply Reply(const DnsQuestion& question) const;
  std::string Answer(const DnsQuestion& question) const { return Reply(question).Packet(); }

 private:
  struct Entry {
    std::vector<SocketAddress> addresses;
    std::string alias;
    std::string pointer;
  };

  std::map<std::string, Entry> entries_;
};

}  // namespace plait

#endif  // PLAIT_IO_DNS_TESTING_DNS_MESSAGE_H_
