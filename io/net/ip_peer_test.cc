#include "plait/io/net/ip_peer.h"

#include <cstddef>

#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "plait/io/net/address.h"

namespace plait::internal {
namespace {

TEST(IpPeerTest, SaysWhatItWasMadeOf) {
  const SocketAddress ipv4 = SocketAddress::Ipv4({192, 0, 2, 7}, 65535);
  EXPECT_EQ(IpPeer(ipv4).address(), ipv4);
  const SocketAddress ipv6 = SocketAddress::Ipv6(
      {0xfe, 0x80, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14}, 443, /*scope=*/3);
  EXPECT_EQ(IpPeer(ipv6).address(), ipv6);
  EXPECT_EQ(IpPeer(ipv6).address().scope(), 3u);
}

TEST(IpPeerTest, OfAnotherFamilyThereIsNone) {
  EXPECT_EQ(IpPeer(SocketAddress()).address(), SocketAddress());
  const absl::StatusOr<SocketAddress> path = SocketAddress::UnixPath("/tmp/socket");
  ASSERT_TRUE(path.ok()) << path.status();
  EXPECT_EQ(IpPeer(*path).address().family(), SocketAddress::Family::kNone);
}

TEST(IpPeerTest, LeavesItsPaddingToWhatStandsBehindIt) {
  struct Flags {
    [[no_unique_address]] IpPeer peer{SocketAddress()};
    bool flags[5] = {};
  };
  EXPECT_EQ(sizeof(Flags), sizeof(IpPeer));
  EXPECT_EQ(sizeof(Flags), size_t{16});
}

}  // namespace
}  // namespace plait::internal
