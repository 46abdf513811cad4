#include "plait/io/dns/resolver.h"

#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "plait/io/dns/internal/ares_channel.h"
#include "plait/io/dns/internal/host_name.h"
#include "plait/io/dns/internal/hosts_file.h"
#include "plait/io/system/errno_status.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/worker.h"
#include "plait/runtime/task/offload.h"
#include "plait/runtime/time/timeout.h"

namespace plait {
namespace {

using internal::DnsAnswer;
using internal::Quoted;
using Addresses = std::vector<SocketAddress>;

Deadline Now() {
  Worker* const worker = Worker::Current();
  return (worker == nullptr ? Clock::Real() : worker->clock()).Now();
}

std::string What(absl::string_view host) { return absl::StrCat("resolve ", Quoted(host)); }
std::string What(const SocketAddress& address) {
  return absl::StrCat("look up the name of ", address.is_ip() ? address.ip() : address.ToString());
}

// Says what was attempted in front of what came of it.
absl::Status Prefixed(absl::string_view what, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat(what, ": ", status.message()));
}

int SystemFamily(AddressFamily family) {
  switch (family) {
    case AddressFamily::kIpv4:
      return AF_INET;
    case AddressFamily::kIpv6:
      return AF_INET6;
    case AddressFamily::kAny:
      break;
  }
  return AF_UNSPEC;
}

absl::string_view WantedOf(AddressFamily family) {
  switch (family) {
    case AddressFamily::kIpv4:
      return "IPv4 address";
    case AddressFamily::kIpv6:
      return "IPv6 address";
    case AddressFamily::kAny:
      break;
  }
  return "address";
}

// Those of `family`, each once.
Addresses Select(absl::Span<const SocketAddress> all, AddressFamily family) {
  Addresses selected;
  absl::flat_hash_set<SocketAddress> seen;
  for (const SocketAddress& address : all) {
    const bool fits =
        family == AddressFamily::kAny || address.system_family() == SystemFamily(family);
    if (fits && seen.insert(address).second) selected.push_back(address);
  }
  return selected;
}

absl::Status NoneOf(AddressFamily family) {
  return absl::NotFoundError(absl::StrCat("it has no ", WantedOf(family)));
}

absl::Status CheckOptions(const ResolverOptions& options) {
  for (const SocketAddress& server : options.servers) {
    if (!server.is_ip() || server.scope() != 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          "a DNS server must be an IP address without a scope, not ", server.ToString()));
    }
  }
  if (options.timeout < absl::Milliseconds(1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("a Resolver's timeout must be a millisecond at least, not ",
                     absl::FormatDuration(options.timeout)));
  }
  if (options.tries < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("a Resolver's tries must be 1 at least, not ", options.tries));
  }
  if (options.max_in_flight < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("a Resolver's max_in_flight must be 1 at least, not ", options.max_in_flight));
  }
  if (options.hosts_file.find('\0') != std::string::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("the hosts file's path has a NUL in it: ", Quoted(options.hosts_file)));
  }
  if (options.search.has_value()) {
    for (const std::string& domain : *options.search) {
      if (absl::Status valid = internal::CheckHostName(domain); !valid.ok()) {
        return Prefixed(absl::StrCat("search domain ", Quoted(domain)), valid);
      }
    }
  }
  return absl::OkStatus();
}

// A lookup, and what of its errors is ours to say: the awaitable that was cut short names nothing.
template <class T>
Task<absl::StatusOr<T>> Bounded(std::string what, absl::Duration timeout,
                                Task<absl::StatusOr<T>> lookup) {
  if (timeout == absl::InfiniteDuration()) {
    absl::StatusOr<T> found = co_await std::move(lookup);
    if (!found.ok()) co_return Prefixed(what, found.status());
    co_return found;
  }
  absl::StatusOr<T> found = co_await Timeout(timeout, std::move(lookup));
  if (!found.ok()) co_return Prefixed(what, found.status());
  co_return found;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Resolver>> Resolver::Create(ResolverOptions options) {
  if (absl::Status valid = CheckOptions(options); !valid.ok()) return valid;
  const bool must_exist = options.hosts_file != ResolverOptions().hosts_file;
  absl::StatusOr<internal::HostsFile> hosts =
      internal::HostsFile::Open(options.hosts_file, must_exist);
  if (!hosts.ok()) return hosts.status();
  auto channel = internal::AresChannel::Create({.servers = options.servers,
                                                .search = options.search,
                                                .timeout = options.timeout,
                                                .tries = options.tries});
  if (!channel.ok()) return channel.status();
  return std::unique_ptr<Resolver>(
      new Resolver(std::move(options), *std::move(channel),
                   std::make_unique<internal::HostsFile>(*std::move(hosts))));
}

Resolver::Resolver(ResolverOptions options, std::unique_ptr<internal::AresChannel> channel,
                   std::unique_ptr<internal::HostsFile> hosts)
    : options_(std::move(options)),
      channel_(std::move(channel)),
      hosts_(std::move(hosts)),
      slots_(options_.max_in_flight) {}

Resolver::~Resolver() {
  PLAIT_CHECK(lookups_.empty(),
              "a Resolver was destroyed with lookups under way: cancel and join them first");
}

const std::vector<SocketAddress>& Resolver::servers() const { return channel_->servers(); }

Task<absl::StatusOr<Addresses>> Resolver::Resolve(Endpoint endpoint, ResolveOptions options) {
  return Resolve(std::move(endpoint.host), endpoint.port, options);
}

Task<absl::StatusOr<Addresses>> Resolver::Resolve(std::string host, uint16_t port,
                                                  ResolveOptions options) {
  const internal::GateVisit under_way(lookups_);
  const absl::StatusOr<SocketAddress> numeric = SocketAddress::ParseIp(host, port);
  if (numeric.ok()) {
    Addresses selected = Select(absl::MakeConstSpan(&*numeric, 1), options.family);
    if (selected.empty()) co_return Prefixed(What(host), NoneOf(options.family));
    co_return selected;
  }
  if (absl::StrContains(host, ':')) co_return Prefixed(What(host), numeric.status());
  if (absl::Status valid = internal::CheckHostName(host); !valid.ok()) {
    co_return Prefixed(What(host), valid);
  }
  Task<absl::StatusOr<Addresses>> find = Find(host, options.family);
  absl::StatusOr<Addresses> found =
      co_await Bounded<Addresses>(What(host), options.timeout, std::move(find));
  if (!found.ok()) co_return found.status();
  for (SocketAddress& address : *found) address = address.WithPort(port);
  co_return found;
}

Task<absl::StatusOr<Addresses>> Resolver::Find(const std::string& host, AddressFamily family) {
  absl::Status refreshed = co_await hosts_->Refresh(Now());
  if (!refreshed.ok()) co_return refreshed;
  const std::string name = internal::CanonicalName(host);
  const auto hosts = hosts_->table();
  if (const auto known = hosts->AddressesOf(name); !known.empty()) {
    Addresses selected = Select(known, family);
    // A name that has only the other family there is asked for like any other.
    if (!selected.empty()) co_return selected;
  }
  if (internal::IsLocalhost(name)) {
    const SocketAddress own[] = {SocketAddress::LoopbackIpv6(0), SocketAddress::Loopback(0)};
    co_return Select(own, family);
  }
  if (internal::EndsInANumber(name)) {
    co_return absl::InvalidArgumentError("it ends in a number, and is no IP address");
  }
  SemaphoreGuard slot = co_await slots_.Acquire();
  if (!slot.ok()) co_return slot.status();
  DnsAnswer answer = co_await channel_->AddressesOf(host, SystemFamily(family));
  if (answer.outcome != DnsAnswer::kFound) co_return ErrorOf(answer, WantedOf(family));
  Addresses selected = Select(answer.addresses, family);
  if (selected.empty()) co_return NoneOf(family);
  co_return selected;
}

Task<absl::StatusOr<std::string>> Resolver::ReverseLookup(SocketAddress address,
                                                          absl::Duration timeout) {
  const internal::GateVisit under_way(lookups_);
  if (!address.is_ip()) {
    co_return absl::InvalidArgumentError(
        absl::StrCat(What(address), ": only IP addresses have names"));
  }
  const SocketAddress ip = internal::Unmapped(address);
  Task<absl::StatusOr<std::string>> find = FindName(ip);
  co_return co_await Bounded<std::string>(What(address), timeout, std::move(find));
}

Task<absl::StatusOr<std::string>> Resolver::FindName(const SocketAddress& address) {
  absl::Status refreshed = co_await hosts_->Refresh(Now());
  if (!refreshed.ok()) co_return refreshed;
  const auto hosts = hosts_->table();
  if (const absl::string_view known = hosts->NameOf(address); !known.empty()) {
    co_return std::string(known);
  }
  SemaphoreGuard slot = co_await slots_.Acquire();
  if (!slot.ok()) co_return slot.status();
  DnsAnswer answer = co_await channel_->NameOf(address);
  if (answer.outcome != DnsAnswer::kFound) co_return ErrorOf(answer, "name");
  co_return std::move(answer.name);
}

absl::Status Resolver::ErrorOf(const DnsAnswer& answer, absl::string_view wanted) const {
  const std::string asked =
      absl::StrCat(" (asked ", absl::StrJoin(servers(), ", ", absl::StreamFormatter()), ")");
  switch (answer.outcome) {
    case DnsAnswer::kNoSuchName:
      return absl::NotFoundError(absl::StrCat("there is no such name", asked));
    case DnsAnswer::kNoData:
      return absl::NotFoundError(absl::StrCat("it has no ", wanted, asked));
    case DnsAnswer::kNoReply:
      return absl::DeadlineExceededError(absl::StrCat("no server answered in time", asked));
    case DnsAnswer::kNoServer: {
      const std::string message = absl::StrCat("no server could give an answer", asked);
      const absl::Status cause = ErrnoToStatus(answer.error, message);
      if (absl::IsResourceExhausted(cause)) return cause;
      return absl::UnavailableError(cause.ok() ? message : std::string(cause.message()));
    }
    case DnsAnswer::kRefused:
      return absl::UnavailableError(absl::StrCat("every server refused or failed", asked));
    case DnsAnswer::kBadReply:
      return absl::UnavailableError(absl::StrCat("the answer makes no sense", asked));
    case DnsAnswer::kBadName:
      return absl::InvalidArgumentError("DNS has no room for such a name");
    case DnsAnswer::kNoMemory:
      return absl::ResourceExhaustedError("c-ares is out of memory");
    case DnsAnswer::kSystemError:
      return ErrnoToStatus(answer.error, "wait for a DNS server");
    case DnsAnswer::kTooMany:
      return absl::ResourceExhaustedError(
          absl::StrCat(internal::AresChannel::kMaxAbandoned,
                       " lookups that were given up wait for an answer still", asked));
    case DnsAnswer::kNoReactor:
      return absl::FailedPreconditionError("this executor has no reactor");
    case DnsAnswer::kWrongThread:
      return absl::FailedPreconditionError("the Resolver belongs to another executor");
    case DnsAnswer::kFound:
    case DnsAnswer::kCancelled:
      break;
  }
  return absl::CancelledError("cancelled");
}

Task<absl::StatusOr<Addresses>> Resolve(Endpoint endpoint, ResolveOptions options) {
  return Resolve(std::move(endpoint.host), endpoint.port, options);
}

Task<absl::StatusOr<Addresses>> Resolve(std::string host, uint16_t port, ResolveOptions options) {
  absl::StatusOr<std::unique_ptr<Resolver>> resolver =
      co_await Offload([] { return Resolver::Create(); });
  if (!resolver.ok()) co_return Prefixed(What(host), resolver.status());
  co_return co_await (*resolver)->Resolve(std::move(host), port, options);
}

}  // namespace plait
