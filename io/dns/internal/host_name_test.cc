#include "plait/io/dns/internal/host_name.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "plait/io/net/address.h"

namespace plait::internal {
namespace {

TEST(HostNameTest, GoodNamesAreGood) {
  const std::string label(63, 'a');
  for (const std::string& name :
       {std::string("a"), std::string("a."), std::string("www.Example-1.com"),
        std::string("_sip._tcp.example"), std::string("xn--bcher-kva.example"), label,
        absl::StrCat(label, ".", label, ".", label, ".", std::string(61, 'a')),
        absl::StrCat(label, ".", label, ".", label, ".", std::string(61, 'a'), ".")}) {
    EXPECT_TRUE(CheckHostName(name).ok()) << name << ": " << CheckHostName(name);
  }
}

TEST(HostNameTest, CanonicalNamesAreInLowerCaseWithoutADotAtTheEnd) {
  EXPECT_EQ(CanonicalName("WWW.Example."), "www.example");
  EXPECT_EQ(CanonicalName("www.example"), "www.example");
}

TEST(HostNameTest, LocalhostIsThatNameAndWhatIsBelowIt) {
  EXPECT_TRUE(IsLocalhost("localhost"));
  EXPECT_TRUE(IsLocalhost("a.b.localhost"));
  EXPECT_FALSE(IsLocalhost("mylocalhost"));
  EXPECT_FALSE(IsLocalhost("localhost.example"));
}

TEST(HostNameTest, NumbersAtTheEndAreSeen) {
  for (const char* name : {"1", "10.0.0.256", "example.1", "0x7f", "a.0x", "a.0xaf"}) {
    EXPECT_TRUE(EndsInANumber(name)) << name;
  }
  for (const char* name : {"a1", "1a", "1.a", "a.0xg", "0x7f.example", ""}) {
    EXPECT_FALSE(EndsInANumber(name)) << name;
  }
}

TEST(HostNameTest, NamesThatAreShownArePrintableAndShort) {
  EXPECT_EQ(Quoted(std::string("a\0\n\"b", 5)), "\"a\\000\\n\\\"b\"");
  EXPECT_LT(Quoted(std::string(10'000, 'a')).size(), 100u);
}

TEST(HostNameTest, AddressesHaveNamesOfTheirOwn) {
  EXPECT_EQ(ReverseName(*SocketAddress::ParseIp("10.1.2.255", 80)), "255.2.1.10.in-addr.arpa");
  EXPECT_EQ(ReverseName(*SocketAddress::ParseIp("fd00::a1", 80)),
            "1.a.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa");
}

TEST(HostNameTest, AnIpv4AddressThatIsWrittenAsIpv6IsTakenForWhatItIs) {
  EXPECT_EQ(Unmapped(*SocketAddress::ParseIp("::ffff:10.1.2.3", 80)),
            *SocketAddress::ParseIp("10.1.2.3", 80));
  for (const char* ip : {"10.1.2.3", "::1", "::10.1.2.3"}) {
    EXPECT_EQ(Unmapped(*SocketAddress::ParseIp(ip, 80)), *SocketAddress::ParseIp(ip, 80));
  }
}

}  // namespace
}  // namespace plait::internal
