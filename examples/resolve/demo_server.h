// A DNS server in a screenful, for those who have no network: it knows a few names below
// "example", is slow about one of them and silent about another.
//
//   www.example      192.0.2.10 and 2001:db8::10
//   alias.example    another name (CNAME) of www.example
//   six.example      2001:db8::6 only
//   slow.example     192.0.2.20, but only after a while
//   silent.example   never an answer
//
// Any other name does not exist. The addresses are the ones that documentation uses.
#ifndef PLAIT_EXAMPLES_RESOLVE_DEMO_SERVER_H_
#define PLAIT_EXAMPLES_RESOLVE_DEMO_SERVER_H_

#include <cstddef>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "plait/io/dns/testing/dns_message.h"
#include "plait/io/net/address.h"
#include "plait/io/ops/owned_descriptor.h"
#include "plait/runtime/runtime.h"

namespace examples {

// What to ask it for.
inline constexpr absl::string_view kDemoNames =
    "www.example,alias.example,six.example,slow.example,silent.example,missing.example";

class DemoServer {
 public:
  // On a free UDP port of 127.0.0.1.
  static absl::StatusOr<DemoServer> Open(absl::Duration slow);

  const plait::SocketAddress& address() const { return address_; }

  // Answers until it is cancelled, in tasks on the loop that the program's own run on too.
  plait::Task<absl::Status> Serve();

 private:
  DemoServer(int socket, const plait::SocketAddress& address, absl::Duration slow);

  plait::Task<absl::Status> Listen(plait::TaskGroup& group);
  plait::Task<absl::Status> Answer(plait::DnsQuestion question, plait::SocketAddress asker);

  plait::io::OwnedDescriptor socket_;
  plait::SocketAddress address_;
  absl::Duration slow_;
  plait::DnsZone zone_;
};

}  // namespace examples

#endif  // PLAIT_EXAMPLES_RESOLVE_DEMO_SERVER_H_
