// Addresses are values: none of the five traps is in reach. What is tried is text.
#include "plait/io/net/address.h"

#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <string>

#include "absl/hash/hash.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"

namespace plait {
namespace {

using Family = SocketAddress::Family;

SocketAddress Parsed(absl::string_view text) {
  const absl::StatusOr<SocketAddress> address = SocketAddress::Parse(text);
  EXPECT_TRUE(address.ok()) << address.status();
  return address.value_or(SocketAddress());
}

void ExpectMalformed(absl::string_view text, absl::string_view why) {
  const absl::StatusOr<SocketAddress> address = SocketAddress::Parse(text);
  EXPECT_EQ(address.status().code(), absl::StatusCode::kInvalidArgument) << text;
  EXPECT_TRUE(absl::StrContains(address.status().message(), why)) << address.status();
}

TEST(SocketAddressTest, ParseAndToStringAreEachOthersInverse) {
  for (const absl::string_view text :
       {"127.0.0.1:80", "0.0.0.0:0", "255.255.255.255:65535", "[::1]:80", "[::]:0",
        "[fe80::1%7]:8080", "[2001:db8::8:800:200c:417a]:443", "unix:/run/x.sock", "unix:relative",
        "unix:@service", "unix:@/with/slashes"}) {
    EXPECT_EQ(Parsed(text).ToString(), text);
    EXPECT_EQ(Parsed(text), Parsed(Parsed(text).ToString()));
  }
  EXPECT_EQ(Parsed("[0:0:0:0:0:0:0:1]:080").ToString(), "[::1]:80");
  EXPECT_EQ(Parsed("[::ffff:1.2.3.4]:1").ToString(), "[::ffff:1.2.3.4]:1");
}

TEST(SocketAddressTest, ItsPartsAreThoseOfTheText) {
  const SocketAddress ipv4 = Parsed("10.1.2.3:456");
  EXPECT_EQ(ipv4.family(), Family::kIpv4);
  EXPECT_EQ(ipv4.port(), 456);
  EXPECT_EQ(ipv4.ip(), "10.1.2.3");
  EXPECT_EQ(ipv4.system_family(), AF_INET);
  EXPECT_EQ(ipv4.size(), sizeof(sockaddr_in));
  EXPECT_TRUE(ipv4.is_ip());
  EXPECT_FALSE(ipv4.is_loopback());

  const SocketAddress ipv6 = Parsed("[fe80::2%9]:1");
  EXPECT_EQ(ipv6.family(), Family::kIpv6);
  EXPECT_EQ(ipv6.scope(), 9u);
  EXPECT_EQ(ipv6.ip(), "fe80::2%9");
  EXPECT_EQ(ipv6.system_family(), AF_INET6);

  const SocketAddress path = Parsed("unix:/a/b");
  EXPECT_EQ(path.family(), Family::kUnix);
  EXPECT_EQ(path.unix_path(), "/a/b");
  EXPECT_EQ(path.unix_abstract(), "");
  EXPECT_EQ(path.port(), 0);
  EXPECT_EQ(path.ip(), "");
  EXPECT_FALSE(path.is_ip());

  const SocketAddress abstract = Parsed("unix:@ab");
  EXPECT_EQ(abstract.unix_path(), "");
  EXPECT_EQ(abstract.unix_abstract(), "ab");
  EXPECT_EQ(abstract.size(), offsetof(sockaddr_un, sun_path) + 3);
}

TEST(SocketAddressTest, AScopeIsTheNameOrTheNumberOfAnInterface) {
  const unsigned loopback = ::if_nametoindex("lo");
  ASSERT_NE(loopback, 0u);
  EXPECT_EQ(Parsed("[fe80::1%lo]:1").scope(), loopback);
  ExpectMalformed("[fe80::1%nosuchinterface]:1", "there is no interface \"nosuchinterface\"");
  ExpectMalformed("[fe80::1%]:1", "there is no interface \"\"");
  ExpectMalformed("[fe80::1%0]:1", "there is no interface \"0\"");
  ExpectMalformed("1.2.3.4%lo:1", "is not an IP address");
}

TEST(SocketAddressTest, MalformedTextIsAnErrorThatNamesIt) {
  ExpectMalformed("", "\"\" is not a socket address: it has no port");
  ExpectMalformed("127.0.0.1", "\"127.0.0.1\" is not a socket address: it has no port");
  for (const absl::string_view port :
       {"", "65536", "99999999999999999999", "-1", "+1", " 1", "1 ", "0x10", "http", "8O"}) {
    ExpectMalformed(absl::StrCat("127.0.0.1:", port),
                    absl::StrCat("\"127.0.0.1:", port,
                                 "\" is not a socket address: the port must be a number from 0 to "
                                 "65535"));
  }
  for (const absl::string_view host :
       {"", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", " 1.2.3.4", "1.2.3.4 ", "1..3.4"}) {
    ExpectMalformed(absl::StrCat(host, ":80"), absl::StrCat("\"", host, "\" is not an IP address"));
  }
  for (const absl::string_view host : {"[]", "[:::1]", "[g::1]", "[1:2:3:4:5:6:7:8:9]"}) {
    ExpectMalformed(absl::StrCat(host, ":80"), "is not an IP address");
  }
  ExpectMalformed("[::1:80", "\"]\" is missing");
  ExpectMalformed("[::1]x:80", "\"]\" is missing");
  ExpectMalformed("::1:80", "stands in brackets");
  ExpectMalformed("[127.0.0.1]:80", "stands without brackets");
  ExpectMalformed(absl::string_view("1.2.3.4\0x:80", 12), "1.2.3.4\\x00x");
  ExpectMalformed(absl::string_view("[::1\0]:80", 9), "is not an IP address");
}

TEST(SocketAddressTest, AHostNameIsToldFromAnAddress) {
  ExpectMalformed("localhost:80", "a host name with a port is an Endpoint");
  ExpectMalformed("example.com:443", "\"example.com\" is not an IP address");
}

TEST(SocketAddressTest, UnixNamesHaveTheSystemsLimits) {
  const std::string longest(107, 'x');
  EXPECT_EQ(Parsed(absl::StrCat("unix:", longest)).unix_path(), longest);
  EXPECT_EQ(Parsed(absl::StrCat("unix:@", longest)).unix_abstract(), longest);
  ExpectMalformed(absl::StrCat("unix:y", longest), "has 108 bytes; the system takes at most 107");
  ExpectMalformed(absl::StrCat("unix:@y", longest), "has 108 bytes; the system takes at most 107");
  ExpectMalformed("unix:", "the path is empty");
  ExpectMalformed("unix:@", "the abstract name is empty");
  ExpectMalformed(absl::string_view("unix:a\0b", 8), "the path has a NUL in it");
  const absl::StatusOr<SocketAddress> with_nul =
      SocketAddress::UnixAbstract(absl::string_view("a\0z", 3));
  ASSERT_TRUE(with_nul.ok());
  EXPECT_EQ(with_nul->unix_abstract().size(), 3u);
  EXPECT_EQ(with_nul->ToString(), "unix:@a\\x00z");
}

TEST(SocketAddressTest, ParseIpTakesAnAddressWithoutBrackets) {
  const absl::StatusOr<SocketAddress> ipv6 = SocketAddress::ParseIp("::1", 80);
  ASSERT_TRUE(ipv6.ok()) << ipv6.status();
  EXPECT_EQ(*ipv6, SocketAddress::LoopbackIpv6(80));
  EXPECT_EQ(SocketAddress::ParseIp("127.0.0.1", 65535).value(), SocketAddress::Loopback(65535));
  for (const int port : {-1, 65536}) {
    const absl::Status status = SocketAddress::ParseIp("127.0.0.1", port).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_TRUE(absl::StrContains(status.message(), absl::StrCat("not ", port))) << status;
  }
  EXPECT_FALSE(SocketAddress::ParseIp("localhost", 1).ok());
  EXPECT_FALSE(SocketAddress::ParseIp("[::1]", 1).ok());
}

TEST(SocketAddressTest, TheSystemsOwnFormIsCheckedAndKept) {
  for (const absl::string_view text : {"1.2.3.4:5", "[::1%3]:5", "unix:/p", "unix:@q"}) {
    const SocketAddress address = Parsed(text);
    const absl::StatusOr<SocketAddress> copy =
        SocketAddress::FromSystem(address.data(), address.size());
    ASSERT_TRUE(copy.ok()) << copy.status();
    EXPECT_EQ(*copy, address);
  }
  // A path of the greatest length, of which the system gives no NUL at the end.
  sockaddr_un full{};
  full.sun_family = AF_UNIX;
  memset(full.sun_path, 'z', sizeof(full.sun_path));
  EXPECT_EQ(SocketAddress::FromSystem(reinterpret_cast<const sockaddr*>(&full), sizeof(full))
                ->unix_path(),
            std::string(108, 'z'));
  const sockaddr_storage other{.ss_family = AF_NETLINK};
  const auto* const base = reinterpret_cast<const sockaddr*>(&other);
  EXPECT_EQ(SocketAddress::FromSystem(base, 12).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(SocketAddress::FromSystem(base, 0).ok());
  EXPECT_FALSE(SocketAddress::FromSystem(Parsed("1.2.3.4:5").data(), 8).ok());
  const SocketAddress unnamed =
      SocketAddress::FromSystem(Parsed("unix:x").data(), sizeof(sa_family_t))
          .value_or(SocketAddress());
  EXPECT_EQ(unnamed.ToString(), "unix:");
  EXPECT_EQ(unnamed.family(), Family::kUnix);
}

TEST(SocketAddressTest, TheSystemFillsItIn) {
  int fds[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
  SocketAddress address = Parsed("1.2.3.4:5");
  ASSERT_EQ(::getsockname(fds[0], address.room(), address.room_size()), 0);
  EXPECT_EQ(address.ToString(), "unix:");
  ::close(fds[0]);
  ::close(fds[1]);
}

TEST(SocketAddressTest, EqualAddressesHaveEqualHashes) {
  EXPECT_EQ(SocketAddress().ToString(), "(none)");
  EXPECT_EQ(SocketAddress().family(), Family::kNone);
  EXPECT_EQ(Parsed("1.2.3.4:5").WithPort(6), Parsed("1.2.3.4:6"));
  EXPECT_EQ(Parsed("unix:x").WithPort(6), Parsed("unix:x"));
  const SocketAddress all[] = {SocketAddress(),     Parsed("1.2.3.4:5"), Parsed("1.2.3.4:6"),
                               Parsed("1.2.3.5:5"), Parsed("[::1]:5"),   Parsed("[::1%1]:5"),
                               Parsed("unix:x"),    Parsed("unix:@x"),   Parsed("unix:xx"),
                               Parsed("[::1]:6"),   Parsed("[::2]:5")};
  for (const SocketAddress& a : all) {
    for (const SocketAddress& b : all) EXPECT_EQ(a == b, &a == &b) << a << " and " << b;
  }
  const absl::Hash<SocketAddress> hash;
  EXPECT_EQ(hash(Parsed("[::1]:5")), hash(SocketAddress::LoopbackIpv6(5)));
  EXPECT_NE(hash(Parsed("[::1]:5")), hash(Parsed("[::1]:6")));
}

TEST(SocketAddressTest, LoopbackIsThisMachine) {
  EXPECT_TRUE(SocketAddress::Loopback(1).is_loopback());
  EXPECT_TRUE(SocketAddress::LoopbackIpv6(1).is_loopback());
  EXPECT_TRUE(Parsed("127.9.9.9:1").is_loopback());
  EXPECT_TRUE(Parsed("unix:x").is_loopback());
  EXPECT_FALSE(SocketAddress::Any(1).is_loopback());
  EXPECT_FALSE(SocketAddress::AnyIpv6(1).is_loopback());
  EXPECT_FALSE(SocketAddress().is_loopback());
}

}  // namespace
}  // namespace plait
