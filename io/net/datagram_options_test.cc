// DatagramOptions, broadcasts and groups: what reaches the system, and what is refused.
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "plait/io/net/datagram_fixture.h"
#include "plait/io/net/datagram_socket.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_executors.h"

namespace plait {
namespace {

using Family = SocketAddress::Family;

INSTANTIATE_TEST_SUITE_P(AllExecutors, DatagramSocketTest, testing::ValuesIn(AllExecutors()),
                         IoExecutor::Name);

TEST_P(DatagramSocketTest, BroadcastsAreRefusedUntilTheyAreAllowed) {
  const auto body = [&]() -> Task<void> {
    DatagramSocket server = Bound(SocketAddress::Any(0));
    const SocketAddress everybody =
        SocketAddress::Ipv4({127, 255, 255, 255}, server.local_address().port());
    DatagramSocket client = Udp();
    absl::Status sent = co_await SendTo(client, "all", everybody);
    EXPECT_EQ(sent.code(), absl::StatusCode::kPermissionDenied) << sent;
    const absl::Status allowed = client.SetBroadcast(true);
    EXPECT_TRUE(allowed.ok()) << allowed;
    sent = co_await SendTo(client, "all", everybody);
    EXPECT_TRUE(sent.ok()) << sent;
    const Arrived arrived = co_await ReceiveFrom(server);
    EXPECT_EQ(arrived.text, "all");
    DatagramSocket from_the_start = Bound(SocketAddress::Loopback(0), {.broadcast = true});
    sent = co_await SendTo(from_the_start, "all again", everybody);
    EXPECT_TRUE(sent.ok()) << sent;
    const Arrived again = co_await ReceiveFrom(server);
    EXPECT_EQ(again.text, "all again");
  };
  RunTask(body);
}

TEST_P(DatagramSocketTest, EveryMemberOfAGroupGetsWhatIsSentToItUntilItLeaves) {
  const auto body = [&]() -> Task<void> {
    DatagramSocket first = Bound(SocketAddress::Any(0), {.reuse_address = true});
    const uint16_t port = first.local_address().port();
    DatagramSocket second = Bound(SocketAddress::Any(port), {.reuse_address = true});
    const SocketAddress group = SocketAddress::Ipv4({239, 255, 77, 77}, port);
    for (DatagramSocket* member : {&first, &second}) {
      const absl::Status joined = member->JoinGroup(group, "lo");
      EXPECT_TRUE(joined.ok()) << joined;
    }
    DatagramSocket client = Bound(SocketAddress::Any(0));
    absl::Status status = client.SetGroupInterface("lo");
    EXPECT_TRUE(status.ok()) << status;
    status = co_await SendTo(client, "members", group);
    EXPECT_TRUE(status.ok()) << status;
    for (DatagramSocket* member : {&first, &second}) {
      const Arrived arrived = co_await ReceiveFrom(*member);
      EXPECT_EQ(arrived.text, "members") << arrived.status;
    }
    status = second.LeaveGroup(group, "lo");
    EXPECT_TRUE(status.ok()) << status;
    status = co_await SendTo(client, "fewer", group);
    EXPECT_TRUE(status.ok()) << status;
    const Arrived arrived = co_await ReceiveFrom(first);
    EXPECT_EQ(arrived.text, "fewer");
    // `second` got nothing of it: the next that comes is this one.
    status = co_await SendTo(client, "to you alone", SocketAddress::Loopback(port));
    EXPECT_TRUE(status.ok()) << status;
    const Arrived alone = co_await ReceiveFrom(second);
    EXPECT_EQ(alone.text, "to you alone");
  };
  RunTask(body);
}

// Where there is no route for groups of IPv6, as over loopback, nothing can be sent to them.
TEST_P(DatagramSocketTest, GroupsAreJoinedAndLeftOnceInEitherFamily) {
  std::array<uint8_t, 16> bytes{0xff, 0x01};
  bytes[15] = 0x77;
  const SocketAddress groups[] = {SocketAddress::Ipv4({239, 255, 77, 77}, 0),
                                  SocketAddress::Ipv6(bytes, 0)};
  for (const SocketAddress& group : groups) {
    DatagramSocket socket =
        Bound(group.family() == Family::kIpv4 ? SocketAddress::Any(0) : SocketAddress::AnyIpv6(0));
    for (int i = 0; i < 2; ++i) {
      EXPECT_EQ(socket.LeaveGroup(group, "lo").code(), absl::StatusCode::kNotFound);
      const absl::Status joined = socket.JoinGroup(group, "lo");
      EXPECT_TRUE(joined.ok()) << joined;
      EXPECT_EQ(socket.JoinGroup(group, "lo").code(), absl::StatusCode::kFailedPrecondition);
      const absl::Status left = socket.LeaveGroup(group, "lo");
      EXPECT_TRUE(left.ok()) << left;
    }
    const absl::Status status = socket.SetGroupInterface("lo");
    EXPECT_TRUE(status.ok()) << status;
  }
}

int OptionOf(const DatagramSocket& socket, int level, int name) {
  int value = -1;
  socklen_t size = sizeof(value);
  EXPECT_EQ(::getsockopt(socket.descriptor(), level, name, &value, &size), 0);
  return value;
}

TEST_P(DatagramSocketTest, OptionsReachTheSystem) {
  DatagramSocket v4 = Bound(SocketAddress::Loopback(0), {.reuse_port = true});
  DatagramSocket v6 = Bound(SocketAddress::LoopbackIpv6(0), {.ipv6_only = true});
  EXPECT_EQ(OptionOf(v4, SOL_SOCKET, SO_REUSEPORT), 1);
  EXPECT_EQ(OptionOf(v6, IPPROTO_IPV6, IPV6_V6ONLY), 1);
  EXPECT_EQ(OptionOf(Bound(SocketAddress::AnyIpv6(0)), IPPROTO_IPV6, IPV6_V6ONLY), 0);
  for (const absl::Status& status :
       {v4.SetHops(7), v6.SetHops(8), v4.SetGroupHops(9), v6.SetGroupHops(10),
        v4.SetGroupLoopback(false), v6.SetGroupLoopback(false), v4.SetReceiveBuffer(9000),
        v4.SetSendBuffer(10'000)}) {
    EXPECT_TRUE(status.ok()) << status;
  }
  EXPECT_EQ(OptionOf(v4, IPPROTO_IP, IP_TTL), 7);
  EXPECT_EQ(OptionOf(v6, IPPROTO_IPV6, IPV6_UNICAST_HOPS), 8);
  EXPECT_EQ(OptionOf(v4, IPPROTO_IP, IP_MULTICAST_TTL), 9);
  EXPECT_EQ(OptionOf(v6, IPPROTO_IPV6, IPV6_MULTICAST_HOPS), 10);
  EXPECT_EQ(OptionOf(v4, IPPROTO_IP, IP_MULTICAST_LOOP), 0);
  EXPECT_EQ(OptionOf(v6, IPPROTO_IPV6, IPV6_MULTICAST_LOOP), 0);
  EXPECT_EQ(OptionOf(v4, SOL_SOCKET, SO_RCVBUF), 18'000) << "Linux doubles it";
  EXPECT_EQ(OptionOf(v4, SOL_SOCKET, SO_SNDBUF), 20'000);
}

TEST_P(DatagramSocketTest, OptionsThatCannotBeSaySo) {
  DatagramSocket v4 = Udp();
  const std::string local = v4.local_address().ToString();
  EXPECT_EQ(v4.SetHops(0), absl::InvalidArgumentError(absl::StrCat("set the hops of ", local,
                                                                   ": Invalid argument (EINVAL)")));
  EXPECT_EQ(v4.JoinGroup(SocketAddress::Loopback(0)).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(v4.JoinGroup(*SocketAddress::UnixAbstract("group")).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(v4.JoinGroup(SocketAddress::Ipv4({239, 1, 1, 1}, 0), "none such"),
            absl::NotFoundError(absl::StrCat("join 239.1.1.1 at ", local,
                                             ": there is no network interface \"none such\"")));
  EXPECT_EQ(v4.SetGroupInterface("none such").code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(UnixSocket().SetHops(3).code(), absl::StatusCode::kUnimplemented);
}

}  // namespace
}  // namespace plait
