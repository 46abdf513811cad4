#include "plait/io/net/connect.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "plait/io/net/connect_race.h"
#include "plait/io/system/system_calls.h"

namespace plait {
namespace {

using Addresses = absl::StatusOr<std::vector<SocketAddress>>;

Task<Addresses> Known(std::vector<SocketAddress> addresses) { co_return std::move(addresses); }

Task<Addresses> LookUp(Endpoint endpoint, ConnectOptions options) {
  ResolveOptions resolve;
  resolve.family = options.family;
  const std::string target = endpoint.ToString();
  Addresses found;
  if (options.resolver != nullptr) {
    found = co_await options.resolver->Resolve(std::move(endpoint), resolve);
  } else {
    found = co_await Resolve(std::move(endpoint), resolve);
  }
  if (!found.ok()) {
    const absl::Status& error = found.status();
    co_return absl::Status(error.code(),
                           absl::StrCat("connect to ", target, ": ", error.message()));
  }
  co_return internal::InterleaveFamilies(*std::move(found));
}

Task<absl::StatusOr<Stream>> ConnectTo(std::string target, Task<Addresses> addresses,
                                       ConnectOptions options) {
  internal::ConnectRace::Options race;
  race.attempt_delay = options.attempt_delay;
  race.local = options.local;
  absl::StatusOr<internal::ConnectedSocket> connected =
      co_await internal::RunWithin(options.timeout, std::move(target), race, std::move(addresses));
  if (!connected.ok()) co_return connected.status();
  if (options.no_delay && connected->peer.is_ip()) {
    const int on = 1;
    // A hint to the system; the connection works without.
    static_cast<void>(sys::Calls().SetSocketOption(connected->descriptor.get(), IPPROTO_TCP,
                                                   TCP_NODELAY, &on, sizeof(on)));
  }
  co_return Stream(std::move(connected->descriptor), connected->peer);
}

Task<absl::StatusOr<Stream>> Refused(absl::Status why) { co_return why; }

}  // namespace

Task<absl::StatusOr<Stream>> Connect(const SocketAddress& address, ConnectOptions options) {
  return ConnectTo(address.ToString(), Known({address}), options);
}

Task<absl::StatusOr<Stream>> Connect(std::vector<SocketAddress> addresses, ConnectOptions options) {
  std::string target =
      absl::StrJoin(addresses, ", ", [](std::string* out, const SocketAddress& address) {
        absl::StrAppend(out, address.ToString());
      });
  return ConnectTo(std::move(target), Known(internal::InterleaveFamilies(std::move(addresses))),
                   options);
}

Task<absl::StatusOr<Stream>> Connect(Endpoint endpoint, ConnectOptions options) {
  std::string target = endpoint.ToString();
  return ConnectTo(std::move(target), LookUp(std::move(endpoint), options), options);
}

Task<absl::StatusOr<Stream>> Connect(absl::string_view target, ConnectOptions options) {
  absl::StatusOr<SocketAddress> address = SocketAddress::Parse(target);
  if (address.ok()) return Connect(*address, options);
  absl::Status error = address.status();
  if (!absl::StartsWith(target, "unix:")) {
    absl::StatusOr<Endpoint> endpoint = Endpoint::Parse(target);
    if (endpoint.ok()) return Connect(*std::move(endpoint), options);
    error = endpoint.status();
  }
  return Refused(absl::Status(error.code(), absl::StrCat("connect: ", error.message())));
}

}  // namespace plait
