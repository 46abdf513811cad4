// Endpoint: a host, by name or by address, and a port: what people write and what is resolved.
//
//   absl::StatusOr<Endpoint> endpoint = Endpoint::Parse("example.com:443");
//
// A host name is no address: it stands for none, one or several, and which these are is found out
// when it is needed, by io/dns (Resolver::Resolve). What is written as an IP address is an Endpoint
// too.
#ifndef PLAIT_IO_NET_ENDPOINT_H_
#define PLAIT_IO_NET_ENDPOINT_H_

#include <cstdint>
#include <ostream>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace plait {

struct Endpoint {
  std::string host;  // "example.com", "127.0.0.1", "::1": no brackets
  uint16_t port = 0;

  // "host:port"; an IPv6 address stands in brackets. InvalidArgument, naming the text, when the
  // host is empty or has characters that no host has, or the port is not from 0 to 65535.
  static absl::StatusOr<Endpoint> Parse(absl::string_view text);

  std::string ToString() const;

  friend bool operator==(const Endpoint&, const Endpoint&) = default;
  friend std::ostream& operator<<(std::ostream& out, const Endpoint& endpoint) {
    return out << endpoint.ToString();
  }
};

}  // namespace plait

#endif  // PLAIT_IO_NET_ENDPOINT_H_
