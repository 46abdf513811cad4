// Traps: a reference parameter of a lazy task (what Connect is given may be gone when it is
// awaited). The race itself is tested in connect_race_test.cc.
#include "plait/io/net/connect.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/io/dns/resolver.h"
#include "plait/io/dns/testing/dns_message.h"
#include "plait/io/net/address.h"
#include "plait/io/net/endpoint.h"
#include "plait/io/net/listener.h"
#include "plait/io/net/net_fixture.h"
#include "plait/io/net/stream.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_reactors.h"
#include "plait/runtime/testing/dns_server.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/runtime/testing/sockets.h"

namespace plait {
namespace {

using ::testing::HasSubstr;

class ConnectTest : public NetTest {};

INSTANTIATE_TEST_SUITE_P(AllReactors, ConnectTest, testing::ValuesIn(AllReactors()),
                         ReactorFactory::Name);

bool HasNoDelay(const Stream& stream) {
  int value = 0;
  socklen_t size = sizeof(value);
  EXPECT_EQ(::getsockopt(stream.descriptor(), IPPROTO_TCP, TCP_NODELAY, &value, &size), 0);
  return value != 0;
}

TEST_P(ConnectTest, AnAddressAHostATextAndAListAllLeadThere) {
  const auto body = [&]() -> Task<absl::Status> {
    Listener listener = ListenLocally();
    const SocketAddress there = listener.local_address();
    std::vector<Task<absl::StatusOr<Stream>>> ways;
    ways.push_back(Connect(there));
    ways.push_back(Connect(there.ToString()));
    Endpoint endpoint;
    endpoint.host = "127.0.0.1";
    endpoint.port = there.port();
    ways.push_back(Connect(endpoint));
    ways.push_back(Connect(absl::StrCat("localhost:", there.port())));
    ways.push_back(Connect(std::vector<SocketAddress>{there, there}));
    for (Task<absl::StatusOr<Stream>>& way : ways) {
      Stream client = co_await OrReturn(std::move(way));
      Stream server = co_await OrReturn(listener.Accept());
      co_await OrReturn(client.Write("hello"));
      const std::string text = co_await OrReturn(ReadText(server));
      EXPECT_EQ(text, "hello");
      EXPECT_EQ(*client.peer_address(), there);
      EXPECT_EQ(*server.peer_address(), *client.local_address());
      EXPECT_TRUE(HasNoDelay(client));
      EXPECT_TRUE(HasNoDelay(server));
    }
    ConnectOptions patient;
    patient.no_delay = false;
    const Stream client = co_await OrReturn(Connect(there, patient));
    EXPECT_FALSE(HasNoDelay(client));
    co_return absl::OkStatus();
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(ConnectTest, UnixSocketsAreReachedByTheirNames) {
  const auto body = [&]() -> Task<absl::Status> {
    Listener listener = co_await OrReturn(
        Listen(absl::StrCat("unix:@plait-connect-", GetParam().name, "-", ::getpid())));
    Stream client = co_await OrReturn(Connect(listener.local_address().ToString()));
    Stream server = co_await OrReturn(listener.Accept());
    co_await OrReturn(server.Write("hello"));
    const std::string text = co_await OrReturn(ReadText(client));
    EXPECT_EQ(text, "hello");
    co_return absl::OkStatus();
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(ConnectTest, OfAHostWhoseFirstAddressesDoNotAnswerTheNextOneDoes) {
  const auto body = [&]() -> Task<absl::Status> {
    Listener listener = ListenLocally();
    const uint16_t port = listener.local_address().port();
    // Of other addresses of this machine the port refuses.
    DnsZone zone;
    zone.AddAddress("many.example", "127.0.0.3");
    zone.AddAddress("many.example", "127.0.0.2");
    zone.AddAddress("many.example", "127.0.0.1");
    zone.AddAddress("none.example", "127.0.0.3");
    DnsServer server([&](const DnsServer::Question& question) {
      return std::vector<std::string>{zone.Answer(question)};
    });
    ResolverOptions asking;
    asking.servers = {server.address()};
    asking.timeout = absl::Minutes(10);
    asking.search.emplace();
    const std::unique_ptr<Resolver> resolver = Must(Resolver::Create(asking));
    ConnectOptions options;
    options.resolver = resolver.get();
    Stream stream = co_await OrReturn(Connect(absl::StrCat("many.example:", port), options));
    EXPECT_EQ(*stream.peer_address(), listener.local_address());
    const absl::StatusOr<Stream> none =
        co_await Connect(absl::StrCat("none.example:", port), options);
    EXPECT_TRUE(absl::IsUnavailable(none.status())) << none.status();
    EXPECT_THAT(none.status().message(),
                HasSubstr(absl::StrCat("connect to none.example:", port, ": ")));
    EXPECT_THAT(none.status().message(),
                HasSubstr(absl::StrCat("connect to 127.0.0.3:", port, ": Connection refused")));
    const absl::StatusOr<Stream> unknown =
        co_await Connect(absl::StrCat("unknown.example:", port), options);
    EXPECT_TRUE(absl::IsNotFound(unknown.status())) << unknown.status();
    EXPECT_THAT(unknown.status().message(), HasSubstr("unknown.example"));
    co_return absl::OkStatus();
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(ConnectTest, TheTimeoutBoundsTheLookupToo) {
  const auto body = [&]() -> Task<absl::Status> {
    DnsServer silent([](const DnsServer::Question&) { return std::vector<std::string>(); });
    ResolverOptions asking;
    asking.servers = {silent.address()};
    asking.timeout = absl::Hours(1);
    asking.search.emplace();
    const std::unique_ptr<Resolver> resolver = Must(Resolver::Create(asking));
    ConnectOptions options;
    options.resolver = resolver.get();
    options.timeout = absl::Seconds(3);
    const absl::StatusOr<Stream> stream = co_await Connect("silent.example:80", options);
    co_return stream.status();
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
  EXPECT_EQ(status.message(), "connect to silent.example:80: no connection within 3s");
}

TEST_P(ConnectTest, WhatIsNoAddressIsRefusedWithItsText) {
  for (const char* wrong :
       {"", "nonsense", "127.0.0.1", "127.0.0.1:", "127.0.0.1:70000", "127.0.0.1:-1",
        "1.2.3.4.5:80", "[::1:80", "a b:80", "unix:", "host:http", ":80"}) {
    const auto body = [&]() { return Connect(wrong); };
    const absl::Status status = RunTask(body).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << wrong << ": " << status;
    EXPECT_THAT(status.message(), HasSubstr("connect")) << wrong;
  }
  const auto no_port = [] { return Connect("127.0.0.1:0"); };
  const absl::Status status = RunTask(no_port).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
}

TEST_P(ConnectTest, ArgumentsMayBeGoneWhenItIsAwaited) {
  Listener listener = ListenLocally();
  const auto make = [&]() -> Task<absl::StatusOr<Stream>> {
    const std::string text = listener.local_address().ToString();
    return Connect(text);
  };
  const absl::StatusOr<Stream> stream = RunTask(make);
  EXPECT_TRUE(stream.ok()) << stream.status();
}

TEST_P(ConnectTest, OneThatIsNeverAwaitedOpensNothing) {
  const int before = OpenDescriptors();
  {
    const Task<absl::StatusOr<Stream>> never = Connect("127.0.0.1:80");
  }
  EXPECT_EQ(OpenDescriptors(), before);
}

}  // namespace
}  // namespace plait
