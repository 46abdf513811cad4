// IpPeer: which address the peer of a connection has, where it is an IP address, in as little room
// as there can be very many of: a SocketAddress has room for a path.
//
// What stands behind it in a class may be [[no_unique_address]] with it: it ends with padding.
// Threads: constant. Cost: an IPv6 address, which does not fit, has a block of memory of its own.
#ifndef PLAIT_IO_NET_IP_PEER_H_
#define PLAIT_IO_NET_IP_PEER_H_

#include <array>
#include <cstdint>

#include "plait/io/net/address.h"

namespace plait::internal {

class IpPeer {
 public:
  // None where `peer` is no IP address.
  explicit IpPeer(const SocketAddress& peer);
  IpPeer(const IpPeer&) = delete;
  IpPeer& operator=(const IpPeer&) = delete;
  ~IpPeer() {
    if (family_ == SocketAddress::Family::kIpv6) delete ipv6_;
  }

  // Of the family kNone where there is none.
  SocketAddress address() const noexcept;

 private:
  struct Ipv6 {
    std::array<uint8_t, 16> bytes;
    uint32_t scope;
  };

  union {
    std::array<uint8_t, 4> ipv4_{};
    const Ipv6* ipv6_;
  };
  uint16_t port_ = 0;
  SocketAddress::Family family_ = SocketAddress::Family::kNone;
};

}  // namespace plait::internal

#endif  // PLAIT_IO_NET_IP_PEER_H_
