// Names of hosts: which ones are well-formed, and those that never go to a DNS server.
#ifndef PLAIT_IO_DNS_INTERNAL_HOST_NAME_H_
#define PLAIT_IO_DNS_INTERNAL_HOST_NAME_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "plait/io/net/address.h"

namespace plait::internal {

// Labels of 1 to 63 letters, digits, "-" and "_", with dots between them and perhaps one at the
// end; 253 characters at most. InvalidArgument says what is wrong, without naming `name`.
absl::Status CheckHostName(absl::string_view name);

// As it is compared: in lower case, without a dot at the end.
std::string CanonicalName(absl::string_view name);

// "localhost" and what is below it (RFC 6761, section 6.3): the machine itself, whatever a server
// says. `name` is canonical.
bool IsLocalhost(absl::string_view name);

// Whether the last label is a number, as no name's in DNS is: "10.0.0.256" was meant to be an
// address. `name` is canonical.
bool EndsInANumber(absl::string_view name);

// For messages: printable, quoted, and cut when it is very long.
std::string Quoted(absl::string_view name);

// Under which an IP address's own name stands in DNS: "1.0.0.127.in-addr.arpa".
std::string ReverseName(const SocketAddress& address);

// An IPv4 address that is written as an IPv6 one ("::ffff:10.0.0.1"), as IPv4; others as they are.
SocketAddress Unmapped(const SocketAddress& address);

}  // namespace plait::internal

#endif  // PLAIT_IO_DNS_INTERNAL_HOST_NAME_H_
