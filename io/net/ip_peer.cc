#include "plait/io/net/ip_peer.h"

#include <netinet/in.h>

#include <cstring>

namespace plait::internal {

IpPeer::IpPeer(const SocketAddress& peer) {
  if (!peer.is_ip()) return;
  family_ = peer.family();
  port_ = peer.port();
  if (family_ == SocketAddress::Family::kIpv4) {
    // The system's address is of the type that its family says; likewise below.
    const auto* const system = reinterpret_cast<const ::sockaddr_in*>(peer.data());
    std::memcpy(ipv4_.data(), &system->sin_addr, ipv4_.size());
    return;
  }
  const auto* const system = reinterpret_cast<const ::sockaddr_in6*>(peer.data());
  auto* const ipv6 = new Ipv6{.bytes = {}, .scope = peer.scope()};
  std::memcpy(ipv6->bytes.data(), &system->sin6_addr, ipv6->bytes.size());
  ipv6_ = ipv6;
}

SocketAddress IpPeer::address() const noexcept {
  switch (family_) {
    case SocketAddress::Family::kIpv4:
      return SocketAddress::Ipv4(ipv4_, port_);
    case SocketAddress::Family::kIpv6:
      return SocketAddress::Ipv6(ipv6_->bytes, port_, ipv6_->scope);
    default:
      return SocketAddress();
  }
}

}  // namespace plait::internal
