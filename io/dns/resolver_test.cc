// What a Resolver answers, with a server of the test's own behind it, on every executor.
//
// Traps (cancellation and timing have tests of their own, resolver_cancel_test.cc): a lambda
// coroutine that outlives its captures (bodies live as long as RunTask); a buffer freed while the
// kernel owns it (the fixture finds nothing in flight in the end).
#include "plait/io/dns/resolver.h"

#include <errno.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/io/auto_reactor/auto_reactor.h"
#include "plait/io/dns/resolver_fixture.h"
#include "plait/io/dns/testing/dns_message.h"
#include "plait/io/system/fault_injection.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_executors.h"
#include "plait/runtime/testing/all_pools.h"
#include "plait/runtime/testing/dns_server.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/runtime/testing/thread_executor.h"
#include "plait/schedulers/event_loop/event_loop.h"

namespace plait {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr ResolveOptions kIpv4{.family = AddressFamily::kIpv4};
constexpr ResolveOptions kIpv6{.family = AddressFamily::kIpv6};

// A server that answers from a zone.
class ResolverTest : public ResolverFixture {
 protected:
  ResolverTest()
      : zone_(MakeZone()), server_([this](const DnsServer::Question& question) {
          return std::vector<std::string>{zone_.Answer(question)};
        }) {}

  static DnsZone MakeZone() {
    DnsZone zone;
    zone.AddAddress("both.example", "10.0.0.7");
    zone.AddAddress("both.example", "fd00::7");
    zone.AddAddress("four.example", "10.0.0.4");
    zone.AddAddress("six.example", "fd00::6");
    zone.AddAlias("alias.example", "second.example");
    zone.AddAlias("second.example", "both.example");
    zone.AddAlias("dangling.example", "nowhere.example");
    zone.AddAddress("build.corp.example", "10.0.0.9");
    zone.AddPointer("10.0.0.7", "both.example");
    zone.AddPointer("fd00::7", "both6.example");
    zone.AddPointer("10.0.0.66", "<script>.example");
    return zone;
  }

  // Filled before the server has a thread.
  const DnsZone zone_;
  DnsServer server_;
};

// A server that always says the same.
DnsServer::Handler Always(DnsCode code) {
  return [code](const DnsServer::Question& question) {
    return std::vector<std::string>{DnsReply(question, code).Packet()};
  };
}

TEST_P(ResolverTest, AnAddressOfEitherFamilyHasThePort) {
  const auto resolver = Make(Asking(server_));
  const auto both = Resolve(*resolver, "both.example", {}, 8080);
  ASSERT_TRUE(both.ok()) << both.status();
  EXPECT_THAT(*both, UnorderedElementsAre(Ip("10.0.0.7", 8080), Ip("fd00::7", 8080)));
  EXPECT_EQ(server_.questions(), 2) << "A and AAAA";
}

TEST_P(ResolverTest, OnlyTheFamilyThatIsWantedIsAskedFor) {
  const auto resolver = Make(Asking(server_));
  const auto four = Resolve(*resolver, "both.example", kIpv4);
  ASSERT_TRUE(four.ok()) << four.status();
  EXPECT_THAT(*four, ElementsAre(Ip("10.0.0.7")));
  const auto six = Resolve(*resolver, "both.example", kIpv6);
  ASSERT_TRUE(six.ok()) << six.status();
  EXPECT_THAT(*six, ElementsAre(Ip("fd00::7")));
  EXPECT_EQ(server_.questions(), 2);
}

TEST_P(ResolverTest, AnEndpointIsResolvedWithItsPort) {
  const auto resolver = Make(Asking(server_));
  const Endpoint endpoint{.host = "four.example", .port = 443};
  const auto found = BlockOn(executor(), resolver->Resolve(endpoint));
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_THAT(*found, ElementsAre(Ip("10.0.0.4", 443)));
}

TEST_P(ResolverTest, AChainOfAliasesIsFollowed) {
  const auto resolver = Make(Asking(server_));
  const auto found = Resolve(*resolver, "alias.example");
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_THAT(*found, UnorderedElementsAre(Ip("10.0.0.7"), Ip("fd00::7")));
}

TEST_P(ResolverTest, NamesAreTheSameInEitherCaseAndWithADotAtTheEnd) {
  const auto resolver = Make(Asking(server_));
  for (const char* name : {"FOUR.Example", "four.example.", "FOUR.EXAMPLE."}) {
    const auto found = Resolve(*resolver, name);
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_THAT(*found, ElementsAre(Ip("10.0.0.4")));
  }
}

TEST_P(ResolverTest, ANameThatDoesNotExistIsNotFoundAndTheMessageNamesHostAndServer) {
  const auto resolver = Make(Asking(server_));
  const auto found = Resolve(*resolver, "missing.example");
  EXPECT_EQ(found.status(),
            absl::NotFoundError(absl::StrCat("resolve \"missing.example\": there is no such name "
                                             "(asked ",
                                             server_.address().ToString(), ")")));
}

TEST_P(ResolverTest, ANameWithoutAnAddressOfTheFamilyIsNotFound) {
  const auto resolver = Make(Asking(server_));
  const auto six = Resolve(*resolver, "four.example", kIpv6);
  EXPECT_EQ(six.status().code(), absl::StatusCode::kNotFound) << six.status();
  EXPECT_THAT(six.status().ToString(), HasSubstr("\"four.example\": it has no IPv6 address"));
  const auto four = Resolve(*resolver, "six.example", kIpv4);
  EXPECT_THAT(four.status().ToString(), HasSubstr("\"six.example\": it has no IPv4 address"));
  const auto dangling = Resolve(*resolver, "dangling.example");
  EXPECT_EQ(dangling.status().code(), absl::StatusCode::kNotFound) << dangling.status();
  EXPECT_THAT(dangling.status().ToString(), HasSubstr("it has no address"));
}

TEST_P(ResolverTest, WhatTheMachineKnowsItselfSendsNoPacket) {
  const auto resolver = Make(Asking(server_));
  for (const char* name : {"localhost", "LOCALHOST.", "web.localhost"}) {
    const auto found = Resolve(*resolver, name, {}, 80);
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_THAT(*found, ElementsAre(Ip("::1", 80), Ip("127.0.0.1", 80))) << name;
  }
  const auto four = Resolve(*resolver, "10.1.2.3", {}, 80);
  ASSERT_TRUE(four.ok()) << four.status();
  EXPECT_THAT(*four, ElementsAre(Ip("10.1.2.3", 80)));
  const auto six = Resolve(*resolver, "fe80::1%lo", kIpv6, 80);
  ASSERT_TRUE(six.ok()) << six.status();
  EXPECT_THAT(*six, ElementsAre(Ip("fe80::1%lo", 80)));
  EXPECT_EQ(server_.questions(), 0);
}

TEST_P(ResolverTest, ANumericAddressOfTheOtherFamilyIsNotFound) {
  const auto resolver = Make(Asking(server_));
  EXPECT_EQ(Resolve(*resolver, "10.1.2.3", kIpv6).status(),
            absl::NotFoundError("resolve \"10.1.2.3\": it has no IPv6 address"));
  EXPECT_EQ(Resolve(*resolver, "::1", kIpv4).status(),
            absl::NotFoundError("resolve \"::1\": it has no IPv4 address"));
}

TEST_P(ResolverTest, WhatIsNoHostNameIsInvalidAndSendsNoPacket) {
  const auto resolver = Make(Asking(server_));
  const std::string label(63, 'a');
  const struct {
    std::string host;
    std::string why;
  } cases[] = {
      {"", "it is empty"},
      {".", "it is empty"},
      {"a..example", "a part between two dots is empty"},
      {".example", "a part between two dots is empty"},
      {label + "a.example", "longer than 63"},
      {absl::StrCat(label, ".", label, ".", label, ".", label), "longer than 253"},
      {std::string("www\0.example", 12), "character \"\\000\""},
      {"www example", "character \" \""},
      {"www.example/path", "character \"/\""},
      {"b\xc3\xbc"
       "cher.example",
       "xn--"},
      {"10.0.0.256", "it ends in a number, and is no IP address"},
      {"10.0.0.1.", "it ends in a number"},
      {"example.0x7f", "it ends in a number"},
      {"12::34::56", "is not an IP address"},
      {"fe80::1%nowhere", "there is no interface"},
      {"[::1]", "is not an IP address"},
  };
  for (const auto& bad : cases) {
    const auto found = Resolve(*resolver, bad.host);
    EXPECT_EQ(found.status().code(), absl::StatusCode::kInvalidArgument) << found.status();
    EXPECT_THAT(found.status().ToString(), AllOf(HasSubstr("resolve \""), HasSubstr(bad.why)));
  }
  EXPECT_EQ(server_.questions(), 0);
}

TEST_P(ResolverTest, TheLongestNameThatDnsKnowsIsAskedFor) {
  const auto resolver = Make(Asking(server_));
  const std::string label(63, 'a');
  const std::string longest =
      absl::StrCat(label, ".", label, ".", label, ".", std::string(61, 'a'));
  ASSERT_EQ(longest.size(), 253u);
  const auto found = Resolve(*resolver, longest);
  EXPECT_EQ(found.status().code(), absl::StatusCode::kNotFound) << found.status();
  EXPECT_EQ(server_.questions(), 2);
}

TEST_P(ResolverTest, TheSearchListIsPutBehindShortNames) {
  ResolverOptions options = Asking(server_);
  options.search = {"nothing.example", "corp.example"};
  const auto resolver = Make(options);
  const auto found = Resolve(*resolver, "build");
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_THAT(*found, ElementsAre(Ip("10.0.0.9")));
  EXPECT_EQ(Resolve(*resolver, "build.").status().code(), absl::StatusCode::kNotFound);
}

TEST_P(ResolverTest, AServerThatFailsOrRefusesIsUnavailable) {
  for (const DnsCode code : {DnsCode::kServerFailed, DnsCode::kRefused}) {
    DnsServer server(Always(code));
    const auto resolver = Make(Asking(server));
    const auto found = Resolve(*resolver, "www.example");
    EXPECT_EQ(found.status().code(), absl::StatusCode::kUnavailable) << found.status();
    EXPECT_THAT(found.status().ToString(),
                AllOf(HasSubstr("\"www.example\""), HasSubstr(server.address().ToString())));
    EXPECT_EQ(server.questions(), 6) << "A and AAAA, three times";
    const auto name = Reverse(*resolver, Ip("10.0.0.7"));
    EXPECT_EQ(name.status().code(), absl::StatusCode::kUnavailable) << name.status();
  }
}

TEST_P(ResolverTest, APortThatNobodyListensToIsUnavailable) {
  // Bound, for TCP, so that nobody else is given it.
  const TcpListener nobody = MakeRefusingPort();
  ResolverOptions options = Asking(server_);
  options.servers = {*SocketAddress::FromSystem(nobody.name(), sizeof(nobody.address))};
  const auto resolver = Make(options);
  const auto found = Resolve(*resolver, "www.example");
  EXPECT_EQ(found.status().code(), absl::StatusCode::kUnavailable) << found.status();
  EXPECT_THAT(found.status().ToString(),
              AllOf(HasSubstr("\"www.example\""), HasSubstr("Connection refused")));
}

TEST_P(ResolverTest, TheNextServerIsAskedWhenOneIsDead) {
  const TcpListener nobody = MakeRefusingPort();
  ResolverOptions options = Asking(server_);
  options.servers.insert(options.servers.begin(),
                         *SocketAddress::FromSystem(nobody.name(), sizeof(nobody.address)));
  const auto resolver = Make(options);
  EXPECT_EQ(resolver->servers(), options.servers);
  const auto found = Resolve(*resolver, "four.example");
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_THAT(*found, ElementsAre(Ip("10.0.0.4")));
}

TEST_P(ResolverTest, ATruncatedAnswerIsAskedForAgainOverTcp) {
  constexpr int kAddresses = 1000;
  DnsServer server([](const DnsServer::Question& question) {
    DnsReply reply(question);
    if (!question.tcp) return std::vector<std::string>{reply.Truncated().Packet()};
    for (int i = 0; question.type == DnsType::kA && i < kAddresses; ++i) {
      reply.Address(question.name, Ip(absl::StrCat("10.7.", i / 250, ".", i % 250)));
    }
    return std::vector<std::string>{reply.Packet()};
  });
  const auto resolver = Make(Asking(server));
  const auto found = Resolve(*resolver, "big.example");
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->size(), size_t{kAddresses});
  EXPECT_EQ(server.tcp_questions(), 2);
}

TEST_P(ResolverTest, AddressesThatComeTwiceAreGivenOnce) {
  DnsServer server([](const DnsServer::Question& question) {
    DnsReply reply(question);
    for (int i = 0; question.type == DnsType::kA && i < 5; ++i) {
      reply.Address(question.name, Ip(i % 2 == 0 ? "10.0.0.1" : "10.0.0.2"));
    }
    return std::vector<std::string>{reply.Packet()};
  });
  const auto resolver = Make(Asking(server));
  const auto found = Resolve(*resolver, "twice.example");
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_THAT(*found, UnorderedElementsAre(Ip("10.0.0.1"), Ip("10.0.0.2")));
}

TEST_P(ResolverTest, TheNameOfAnAddressIsFound) {
  const auto resolver = Make(Asking(server_));
  const auto four = Reverse(*resolver, Ip("10.0.0.7", 443));
  ASSERT_TRUE(four.ok()) << four.status();
  EXPECT_EQ(*four, "both.example");
  const auto mapped = Reverse(*resolver, Ip("::ffff:10.0.0.7"));
  ASSERT_TRUE(mapped.ok()) << mapped.status();
  EXPECT_EQ(*mapped, "both.example");
  const auto six = Reverse(*resolver, Ip("fd00::7"));
  ASSERT_TRUE(six.ok()) << six.status();
  EXPECT_EQ(*six, "both6.example");
}

TEST_P(ResolverTest, AnAddressWithoutANameIsNotFoundAndWhatIsNoAddressIsInvalid) {
  const auto resolver = Make(Asking(server_));
  const auto none = Reverse(*resolver, Ip("10.0.0.8", 99));
  EXPECT_EQ(none.status().code(), absl::StatusCode::kNotFound) << none.status();
  EXPECT_THAT(none.status().ToString(), HasSubstr("look up the name of 10.0.0.8: "));
  const auto unix = Reverse(*resolver, *SocketAddress::UnixPath("/run/x"));
  EXPECT_EQ(unix.status().code(), absl::StatusCode::kInvalidArgument) << unix.status();
  EXPECT_EQ(Reverse(*resolver, SocketAddress()).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_P(ResolverTest, ANameThatIsNoHostsNameIsNoAnswer) {
  const auto resolver = Make(Asking(server_));
  const auto name = Reverse(*resolver, Ip("10.0.0.66"));
  EXPECT_EQ(name.status().code(), absl::StatusCode::kUnavailable) << name.status();
}

TEST_P(ResolverTest, AThousandLookupsAtOnceEachGetTheirOwnAnswer) {
  DnsServer server([](const DnsServer::Question& question) {
    DnsReply reply(question);
    int number = 0;
    std::sscanf(question.name.c_str(), "host%d.example", &number);
    if (question.type == DnsType::kA) {
      reply.Address(question.name, Ip(absl::StrCat("10.0.", number / 250, ".", number % 250)));
    }
    return std::vector<std::string>{reply.Packet()};
  });
  ResolverOptions options = Asking(server);
  // The system may drop a packet all the same.
  options.timeout = absl::Seconds(1);
  const auto resolver = Make(options);
  const auto found = RunTask([&]() -> Task<std::vector<absl::StatusOr<Addresses>>> {
    std::vector<Task<absl::StatusOr<Addresses>>> lookups;
    for (int i = 0; i < 1000; ++i) {
      lookups.push_back(resolver->Resolve(absl::StrCat("host", i, ".example"), 0));
    }
    co_return co_await GatherAll(std::move(lookups));
  });
  ASSERT_EQ(found.size(), 1000u);
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(found[i].ok()) << found[i].status();
    EXPECT_THAT(*found[i], ElementsAre(Ip(absl::StrCat("10.0.", i / 250, ".", i % 250))));
  }
}

// --- servers that lie ---

std::string Junk(uint32_t& random, size_t size) {
  std::string junk(size, '\0');
  for (char& c : junk) {
    random = random * 1664525 + 1013904223;
    c = static_cast<char>(random >> 24);
  }
  return junk;
}

// What comes before the answer, each time it is asked for.
DnsServer::Handler AnswerAfter(std::vector<std::string> (*first)(const DnsServer::Question&)) {
  return [first](const DnsServer::Question& question) {
    std::vector<std::string> packets = first(question);
    DnsReply right(question);
    if (question.type == DnsType::kA) {
      right.Address(question.name, *SocketAddress::ParseIp("10.0.0.1", 0));
    }
    packets.push_back(right.Packet());
    return packets;
  };
}

TEST_P(ResolverTest, AnswersToOtherQuestionsAreIgnored) {
  DnsServer server(AnswerAfter([](const DnsServer::Question& question) {
    DnsQuestion other = question;
    other.name = "other.example";
    DnsQuestion late = question;
    ++late.id;
    return std::vector<std::string>{
        DnsReply(other).Address(other.name, Ip("6.6.6.6")).Packet(),
        DnsReply(late).Address(late.name, Ip("6.6.6.6")).Packet(),
    };
  }));
  const auto resolver = Make(Asking(server));
  const auto found = Resolve(*resolver, "www.example");
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_THAT(*found, ElementsAre(Ip("10.0.0.1")));
}

TEST_P(ResolverTest, GarbageIsNoAnswer) {
  DnsServer server(AnswerAfter([](const DnsServer::Question& question) {
    uint32_t random = question.id;
    return std::vector<std::string>{Junk(random, 1), Junk(random, 11), Junk(random, 12),
                                    Junk(random, 500)};
  }));
  const auto resolver = Make(Asking(server));
  const auto found = Resolve(*resolver, "www.example");
  // c-ares 1.18 waits for something better; 1.34 gives a server up that sends such things.
  if (found.ok()) {
    EXPECT_THAT(*found, ElementsAre(Ip("10.0.0.1")));
  } else {
    EXPECT_EQ(found.status().code(), absl::StatusCode::kUnavailable) << found.status();
  }
}

// Answers that begin well and end in noise, cut anywhere or with bytes changed: each lookup ends,
// one way or the other. What is dropped is followed by an honest refusal.
TEST_P(ResolverTest, AnswersThatAreBrokenInAnyWayEndTheLookup) {
  uint32_t random = 7;
  const auto broken = [&](const DnsServer::Question& question) {
    DnsReply good(question);
    good.Alias(question.name, "c.example").Address("c.example", Ip("10.0.0.1"));
    good.Address("c.example", Ip("fd00::1")).Pointer(question.name, "p.example");
    std::string packet = good.Packet();
    switch (Junk(random, 1)[0] & 3) {
      case 0:
        packet.resize(12 + static_cast<uint8_t>(Junk(random, 1)[0]) % (packet.size() - 12));
        break;
      case 1:
        packet = packet.substr(0, 12 + question.name.size() + 6) + Junk(random, 100);
        break;
      default:
        for (int i = 0; i < 4; ++i) {
          const std::string at = Junk(random, 2);
          packet[2 + static_cast<uint8_t>(at[0]) % (packet.size() - 2)] = at[1];
        }
        break;
    }
    return std::vector<std::string>{packet, DnsReply(question, DnsCode::kNoSuchName).Packet()};
  };
  DnsServer server(broken);
  const auto resolver = Make(Asking(server));
  int found = 0;
  const int tries = Repeats(300);
  for (int i = 0; i < tries; ++i) {
    const std::string name = absl::StrCat("host", i, ".example");
    const auto addresses = Resolve(*resolver, name);
    found += addresses.ok() ? 1 : 0;
    if (!addresses.ok()) {
      EXPECT_THAT(addresses.status().ToString(), HasSubstr(name));
    }
    const auto host = Reverse(*resolver, Ip(absl::StrCat("10.0.0.", i % 250)));
    if (!host.ok()) {
      EXPECT_THAT(host.status().ToString(), HasSubstr("10.0.0."));
    }
  }
  // Of a few it may have been all, or none.
  if (tries >= 300) {
    EXPECT_GT(found, 0) << "some damage is harmless";
    EXPECT_LT(found, tries);
  }
}

INSTANTIATE_TEST_SUITE_P(AllExecutors, ResolverTest, testing::ValuesIn(AllExecutors()),
                         IoExecutor::Name);

// --- where it runs, and what the system refuses ---

TEST(ResolverPlaceTest, AnExecutorWithoutAReactorResolvesOnlyWhatTheMachineKnows) {
  DnsServer server(Always(DnsCode::kNoSuchName));
  ResolverOptions options;
  options.servers = {server.address()};
  options.hosts_file = "";
  const auto resolver = Resolver::Create(options);
  ASSERT_TRUE(resolver.ok()) << resolver.status();
  ThreadExecutor executor;
  const auto own = BlockOn(executor, (*resolver)->Resolve("localhost", 80));
  EXPECT_TRUE(own.ok()) << own.status();
  const auto other = BlockOn(executor, (*resolver)->Resolve("www.example", 80));
  EXPECT_EQ(other.status(),
            absl::FailedPreconditionError("resolve \"www.example\": this executor has no reactor"));
}

TEST(ResolverPlaceTest, ItBelongsToTheLoopOfItsFirstLookup) {
  DnsServer server(Always(DnsCode::kNoSuchName));
  ResolverOptions options;
  options.servers = {server.address()};
  options.hosts_file = "";
  const auto resolver = Resolver::Create(options);
  ASSERT_TRUE(resolver.ok()) << resolver.status();
  EventLoop first(MakeReactor());
  EXPECT_EQ(BlockOn(first, (*resolver)->Resolve("www.example", 80)).status().code(),
            absl::StatusCode::kNotFound);
  EventLoop second(MakeReactor());
  EXPECT_EQ(BlockOn(second, (*resolver)->Resolve("www.example", 80)).status(),
            absl::FailedPreconditionError(
                "resolve \"www.example\": the Resolver belongs to another executor"));
}

class ResolverOnWorkersTest : public testing::TestWithParam<PoolFactory> {};

INSTANTIATE_TEST_SUITE_P(AllPools, ResolverOnWorkersTest, testing::ValuesIn(AllPools()),
                         PoolFactory::Name);

TEST_P(ResolverOnWorkersTest, LookupsOfTasksOnAllThreadsOfAPoolAreAnsweredOrCutShort) {
  DnsZone zone;
  for (int i = 0; i < 20; ++i) zone.AddAddress(absl::StrCat("n", i, ".example"), "10.0.0.1");
  DnsServer server([&zone](const DnsServer::Question& question) {
    return std::vector<std::string>{zone.Answer(question)};
  });
  ResolverOptions options;
  options.servers = {server.address()};
  options.search.emplace();
  const auto resolver = Resolver::Create(options);
  ASSERT_TRUE(resolver.ok()) << resolver.status();
  const std::unique_ptr<Executor> pool = GetParam().make(3);
  const auto look_up = [&](int number) -> Task<absl::Status> {
    for (int i = 0; i < 20; ++i) {
      const absl::Duration patience = i % 4 == 3 ? absl::Microseconds(20) : absl::Minutes(1);
      const auto found = co_await Timeout(
          patience, (*resolver)->Resolve(absl::StrCat("n", number, ".example"), 80));
      const bool cut_short = i % 4 == 3 && absl::IsDeadlineExceeded(found.status());
      if (!found.ok() && !cut_short) co_return found.status();
      co_await Yield();
    }
    co_return absl::OkStatus();
  };
  const auto body = [&](TaskGroup& group) -> Task<absl::Status> {
    for (int i = 0; i < 20; ++i) group.Spawn(look_up(i));
    co_return absl::OkStatus();
  };
  const auto all = [&]() -> Task<absl::Status> { return WithTaskGroup(body); };
  const absl::Status ran = BlockOn(*pool, all());
  EXPECT_TRUE(ran.ok()) << ran;
}

TEST(ResolverPlaceTest, TheFreeFunctionMakesAResolverForOneLookup) {
  EventLoop loop(MakeReactor());
  const auto found = BlockOn(loop, Resolve("localhost", 80));
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_THAT(*found, ::testing::Contains(SocketAddress::Loopback(80)));
  const auto endpoint = BlockOn(loop, Resolve(Endpoint{.host = "127.0.0.1", .port = 443}));
  ASSERT_TRUE(endpoint.ok()) << endpoint.status();
  EXPECT_THAT(*endpoint, ElementsAre(SocketAddress::Loopback(443)));
  EXPECT_EQ(BlockOn(loop, Resolve("not a name", 80)).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(ResolverPlaceTest, OptionsThatMakeNoSenseAreRefused) {
  const auto refused = [](auto change) {
    ResolverOptions options;
    change(options);
    const absl::Status status = Resolver::Create(std::move(options)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    return status.ToString();
  };
  EXPECT_THAT(refused([](ResolverOptions& o) { o.servers = {*SocketAddress::UnixPath("/x")}; }),
              HasSubstr("unix:/x"));
  EXPECT_THAT(refused([](ResolverOptions& o) { o.servers = {SocketAddress::Ipv6({}, 53, 1)}; }),
              HasSubstr("without a scope"));
  EXPECT_THAT(refused([](ResolverOptions& o) { o.timeout = absl::Microseconds(999); }),
              HasSubstr("999us"));
  EXPECT_THAT(refused([](ResolverOptions& o) { o.tries = 0; }), HasSubstr("not 0"));
  EXPECT_THAT(refused([](ResolverOptions& o) { o.max_in_flight = 0; }), HasSubstr("not 0"));
  EXPECT_THAT(refused([](ResolverOptions& o) { o.search = {"a b"}; }), HasSubstr("\"a b\""));
  EXPECT_THAT(refused([](ResolverOptions& o) { o.hosts_file = std::string("a\0b", 3); }),
              HasSubstr("a\\000b"));
  ResolverOptions missing;
  missing.hosts_file = "/no/such/hosts";
  const absl::Status status = Resolver::Create(missing).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << status;
  EXPECT_THAT(status.ToString(), HasSubstr("/no/such/hosts"));
}

// A loop under faults; the server is not.
class ResolverFaultTest : public testing::Test {
 protected:
  explicit ResolverFaultTest(absl::string_view reactor = "")
      : server_(Always(DnsCode::kNoSuchName)), scope_(faults_), loop_(MakeReactor(reactor)) {
    ResolverOptions options;
    options.servers = {server_.address()};
    options.hosts_file = "";
    options.search.emplace();
    resolver_ = *Resolver::Create(std::move(options));
  }

  absl::Status Ask() { return BlockOn(loop_, resolver_->Resolve("www.example", 0)).status(); }

  DnsServer server_;
  sys::FaultInjection faults_;
  sys::ScopedSystemCalls scope_;
  EventLoop loop_;
  std::unique_ptr<Resolver> resolver_;
};

TEST_F(ResolverFaultTest, EverySocketIsClosedWhenNoLookupIsUnderWay) {
  const int64_t closed = faults_.count(sys::FaultInjection::kClose);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(Ask().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(faults_.count(sys::FaultInjection::kSocket), 10);
  EXPECT_EQ(faults_.count(sys::FaultInjection::kClose) - closed, 10);
}

TEST_F(ResolverFaultTest, NoDescriptorLeftIsResourceExhausted) {
  faults_.FailAll(sys::FaultInjection::kSocket, EMFILE);
  const absl::Status status = Ask();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_THAT(status.ToString(), AllOf(HasSubstr("www.example"), HasSubstr("EMFILE")));
  faults_.Clear(sys::FaultInjection::kSocket);
  EXPECT_EQ(Ask().code(), absl::StatusCode::kNotFound) << "it works again";
}

TEST_F(ResolverFaultTest, NoRouteIsUnavailable) {
  faults_.FailAll(sys::FaultInjection::kConnect, ENETUNREACH);
  const absl::Status status = Ask();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_THAT(status.ToString(), HasSubstr("ENETUNREACH"));
}

// A call that only epoll makes fails.
class ResolverEpollFaultTest : public ResolverFaultTest {
 protected:
  ResolverEpollFaultTest() : ResolverFaultTest("epoll") {}
};

TEST_F(ResolverEpollFaultTest, ASocketThatTheReactorCannotWatchFailsTheLookupAtOnce) {
  faults_.FailNext(sys::FaultInjection::kEpollControl, ENOSPC);
  const absl::Status status = Ask();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_THAT(status.ToString(), AllOf(HasSubstr("www.example"), HasSubstr("ENOSPC")));
  EXPECT_EQ(Ask().code(), absl::StatusCode::kNotFound) << "it works again";
}

TEST_F(ResolverFaultTest, AnInterruptedCallIsMadeAgain) {
  faults_.Fail(sys::FaultInjection::kReceiveMessage, EINTR, {.times = 3});
  faults_.Fail(sys::FaultInjection::kSendMessage, EINTR, {.times = 3});
  EXPECT_EQ(Ask().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(faults_.hits(sys::FaultInjection::kReceiveMessage), 3);
  EXPECT_EQ(faults_.hits(sys::FaultInjection::kSendMessage), 3);
}

}  // namespace
}  // namespace plait
