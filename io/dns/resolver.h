// Resolver: names of hosts to addresses, and back, without ever blocking the loop. (asyncio:
// getaddrinfo, getnameinfo; the protocol is c-ares's.)
//
//   absl::StatusOr<std::unique_ptr<plait::Resolver>> resolver = plait::Resolver::Create();
//   std::vector<plait::SocketAddress> addresses =
//       co_await plait::OrReturn((*resolver)->Resolve("example.com", 443));
//
// What is asked, in this order, until one knows: the name itself, if it is written as an IP
// address; the hosts file; for localhost and what is below it the machine's own two loopback
// addresses, whatever a server would say (RFC 6761); the DNS servers, for A and AAAA at once. Only
// the last sends packets. Addresses come in the order in which to try them (RFC 6724), each once.
// Who connects to one after the other mixes the families (RFC 8305), as the connecting functions of
// io/net do. Nothing is cached: what is asked is asked.
//
// Errors, all of which name the host:
//   InvalidArgument    it is no host's name: empty, longer than 253 characters, a label longer than
//                      63, spaces, NUL, letters outside ASCII (write those as "xn--..."), or it
//                      ends in a number but is no IP address
//   NotFound           there is no such name, or it has no address of the family that was asked for
//   DeadlineExceeded   no server answered in time
//   Unavailable        no server could be reached, or each refused or failed; ask again later
//   ResourceExhausted  this machine has no descriptor or no memory left; or 16,384 lookups that
//                      were given up wait for an answer still
//   FailedPrecondition the executor has no reactor, or the Resolver belongs to another executor
//   Cancelled          the task was cancelled
//
// Cancellation: a cancelled lookup ends at once. Its question stays with the server; an answer that
// still comes is dropped. Lifetime: the Resolver outlives its lookups (CHECK: cancel and join them
// first). When none is under way it holds no descriptor and no timer, and may be destroyed
// anywhere. Threads: all lookups come from tasks of one executor, that of the first, which may have
// several threads; elsewhere use On(executor, resolver.Resolve(...)). Waits: the first of many
// retries is timed by c-ares with the machine's clock; timeouts of whole lookups go by the loop's.
// Cost: a lookup that asks nobody is a hash lookup, and once a second a look at whether the hosts
// file has changed (off the loop). One that asks opens a socket or shares it with those under way;
// c-ares allocates a few hundred bytes.
#ifndef PLAIT_IO_DNS_RESOLVER_H_
#define PLAIT_IO_DNS_RESOLVER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "plait/io/net/address.h"
#include "plait/io/net/endpoint.h"
#include "plait/runtime/core/gate.h"
#include "plait/runtime/sync/semaphore.h"
#include "plait/runtime/task/task.h"

namespace plait {
namespace internal {
class AresChannel;
class HostsFile;
struct DnsAnswer;
}  // namespace internal

struct ResolverOptions {
  // Whom to ask, over UDP, and over TCP when an answer is too long. IP addresses, without a scope;
  // port 0 stands for 53. Empty: those of /etc/resolv.conf.
  std::vector<SocketAddress> servers;

  // How long the first try waits for an answer; each round of tries waits twice as long as the one
  // before. At least a millisecond. (A newer c-ares waits less for servers that it knows as quick.)
  absl::Duration timeout = absl::Seconds(2);

  // How often each server is asked; at least 1.
  int tries = 3;

  // Empty: none. One that is not the default must exist. It is read again when it has changed, a
  // second later at the most.
  std::string hosts_file = "/etc/hosts";

  // What is put behind names with few dots. Not set: the system's.
  std::optional<std::vector<std::string>> search;

  // So many lookups ask servers at once; others wait for their turn, so that a thousand questions
  // do not drown the answers in the socket's buffer. At least 1.
  int64_t max_in_flight = 128;
};

enum class AddressFamily : uint8_t { kAny, kIpv4, kIpv6 };

struct ResolveOptions {
  AddressFamily family = AddressFamily::kAny;

  // For the lookup as a whole. The servers' tries end it sooner or later in any case.
  absl::Duration timeout = absl::InfiniteDuration();
};

class Resolver {
 public:
  // Reads the system's configuration and the hosts file, and blocks meanwhile: at the start of a
  // program, or through Offload. Any thread. InvalidArgument for options that make no sense;
  // NotFound and the like for a hosts file that was asked for.
  static absl::StatusOr<std::unique_ptr<Resolver>> Create(ResolverOptions options = {});
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;
  ~Resolver();

  // At least one address, with `port`. A name that ends in a dot is looked up as it is, without
  // what the search list would add.
  Task<absl::StatusOr<std::vector<SocketAddress>>> Resolve(std::string host, uint16_t port,
                                                           ResolveOptions options = {});
  Task<absl::StatusOr<std::vector<SocketAddress>>> Resolve(Endpoint endpoint,
                                                           ResolveOptions options = {});

  // The name of an IP address, whose port does not matter: of the hosts file, else of the servers
  // (a PTR record). It is what the address's owner says, and proves nothing. NotFound when it has
  // none; InvalidArgument for addresses that are no IP addresses.
  Task<absl::StatusOr<std::string>> ReverseLookup(
      SocketAddress address, absl::Duration timeout = absl::InfiniteDuration());

  // Whom it asks, in this order.
  const std::vector<SocketAddress>& servers() const;

 private:
  using Addresses = std::vector<SocketAddress>;

  Resolver(ResolverOptions options, std::unique_ptr<internal::AresChannel> channel,
           std::unique_ptr<internal::HostsFile> hosts);

  // `host` is a well-formed name and no address. Without a port.
  Task<absl::StatusOr<Addresses>> Find(const std::string& host, AddressFamily family);
  Task<absl::StatusOr<std::string>> FindName(const SocketAddress& address);
  // Not kFound.
  absl::Status ErrorOf(const internal::DnsAnswer& answer, absl::string_view wanted) const;

  const ResolverOptions options_;
  const std::unique_ptr<internal::AresChannel> channel_;
  const std::unique_ptr<internal::HostsFile> hosts_;
  Semaphore slots_;
  internal::Gate lookups_;  // inside while under way
};

// Resolves with a Resolver of its own, made for this lookup with the system's configuration, which
// is read off the loop: right for a program that connects somewhere now and then. It costs a
// hand-over to a blocking thread and three small files each time; who resolves often keeps a
// Resolver. Any thread with a reactor.
Task<absl::StatusOr<std::vector<SocketAddress>>> Resolve(std::string host, uint16_t port,
                                                         ResolveOptions options = {});
Task<absl::StatusOr<std::vector<SocketAddress>>> Resolve(Endpoint endpoint,
                                                         ResolveOptions options = {});

}  // namespace plait

#endif  // PLAIT_IO_DNS_RESOLVER_H_
