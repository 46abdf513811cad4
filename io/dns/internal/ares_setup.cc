// How an AresChannel is made: c-ares's options, and its servers.
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "plait/io/dns/internal/ares_callbacks.h"
#include "plait/io/dns/internal/ares_channel.h"

namespace plait::internal {
namespace {

absl::Status AresError(int status, absl::string_view what) {
  const std::string message = absl::StrCat(what, ": ", ares_strerror(status));
  return status == ARES_ENOMEM ? absl::ResourceExhaustedError(message)
                               : absl::FailedPreconditionError(message);
}

}  // namespace

AresChannel::AresChannel(const AresOptions& options)
    : first_timeout_(options.timeout), timer_(&TimerFired) {
  timer_.channel = this;
}

absl::StatusOr<std::unique_ptr<AresChannel>> AresChannel::Create(const AresOptions& options) {
  std::unique_ptr<AresChannel> channel(new AresChannel(options));
  if (absl::Status status = channel->Init(options); !status.ok()) return status;
  return channel;
}

absl::Status AresChannel::Init(const AresOptions& given) {
  // Counted in there, and without a lock in 1.18.
  static const int library = ares_library_init(ARES_LIB_INIT_ALL);
  if (library != ARES_SUCCESS) return AresError(library, "initialize c-ares");

  ares_options options{};
  // No HOSTALIASES, which is a file that is read at every lookup.
  options.flags = ARES_FLAG_NOALIASES;
  const int64_t timeout_ms = absl::ToInt64Milliseconds(given.timeout);
  options.timeout = static_cast<int>(std::min<int64_t>(timeout_ms, 24 * 3600 * 1000));
  options.tries = given.tries;
  char dns_only[] = "b";
  options.lookups = dns_only;
  options.sock_state_cb = &Callbacks::OnSocketState;
  options.sock_state_cb_data = this;
  int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS |
             ARES_OPT_SOCK_STATE_CB;
  std::vector<char*> domains;
  if (given.search.has_value()) {
    // c-ares copies them.
    for (const std::string& domain : *given.search) {
      domains.push_back(const_cast<char*>(domain.c_str()));
    }
    options.domains = domains.data();
    options.ndomains = static_cast<int>(domains.size());
    mask |= ARES_OPT_DOMAINS;
  }
#ifdef ARES_OPT_QUERY_CACHE
  options.qcache_max_ttl = 0;  // the same everywhere: what is asked is asked
  mask |= ARES_OPT_QUERY_CACHE;
#endif
  const int status = ares_init_options(&channel_, &options, mask);
  if (status != ARES_SUCCESS) {
    channel_ = nullptr;
    return AresError(status, "read the system's DNS configuration (/etc/resolv.conf)");
  }
  ares_set_socket_functions(channel_, &Callbacks::kSystemCalls, this);
  if (!given.servers.empty()) {
    if (absl::Status set = SetServers(given.servers); !set.ok()) return set;
  }
  ReadServers();
  return absl::OkStatus();
}

absl::Status AresChannel::SetServers(const std::vector<SocketAddress>& servers) {
  std::vector<ares_addr_port_node> nodes(servers.size());
  for (size_t i = 0; i < servers.size(); ++i) {
    ares_addr_port_node& node = nodes[i];
    node.next = i + 1 < nodes.size() ? &nodes[i + 1] : nullptr;
    node.family = servers[i].system_family();
    node.udp_port = node.tcp_port = servers[i].port();
    if (node.family == AF_INET) {
      node.addr.addr4 = reinterpret_cast<const sockaddr_in*>(servers[i].data())->sin_addr;
    } else {
      std::memcpy(&node.addr.addr6,
                  &reinterpret_cast<const sockaddr_in6*>(servers[i].data())->sin6_addr,
                  sizeof(node.addr.addr6));
    }
  }
  const int status = ares_set_servers_ports(channel_, nodes.data());
  if (status != ARES_SUCCESS) return AresError(status, "set the DNS servers");
  return absl::OkStatus();
}

void AresChannel::ReadServers() {
  ares_addr_port_node* nodes = nullptr;
  if (ares_get_servers_ports(channel_, &nodes) != ARES_SUCCESS) return;
  for (const ares_addr_port_node* node = nodes; node != nullptr; node = node->next) {
    const auto port = static_cast<uint16_t>(node->udp_port == 0 ? 53 : node->udp_port);
    if (node->family == AF_INET) {
      std::array<uint8_t, 4> bytes;
      std::memcpy(bytes.data(), &node->addr.addr4, bytes.size());
      servers_.push_back(SocketAddress::Ipv4(bytes, port));
    } else {
      std::array<uint8_t, 16> bytes;
      std::memcpy(bytes.data(), &node->addr.addr6, bytes.size());
      servers_.push_back(SocketAddress::Ipv6(bytes, port));
    }
  }
  ares_free_data(nodes);
}

}  // namespace plait::internal
