// Handshakes that must not succeed.
//
// Traps: a cancel that races completion (of a handshake); a buffer freed while the kernel owns it
// (a handshake that is cut short).
#include <openssl/ssl.h>

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/io/net/net_fixture.h"
#include "plait/io/net/stream.h"
#include "plait/io/net/stream_fixture.h"
#include "plait/io/tls/start_tls.h"
#include "plait/io/tls/tls_context.h"
#include "plait/io/tls/tls_fixture.h"
#include "plait/io/tls/tls_stream.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_reactors.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/runtime/testing/sockets.h"

namespace plait {
namespace {

using ::testing::HasSubstr;

// How a handshake ended for both.
struct Ended {
  absl::Status client;
  absl::Status server;
};

class TlsRefusalsTest : public NetTest {
 protected:
  // Of the two, a TLS 1.3 client learns of a refusal only by its first read, which is done too.
  Ended Shake(TlsContext client, TlsContext server, std::string server_name = "localhost") {
    FdPair pair = MakeTcpPair();
    const auto connect = [&]() -> Task<absl::Status> {
      TlsStream stream = co_await OrReturn(StartTls(MakeStream(pair.first), client, server_name));
      const std::string end = co_await OrReturn(stream.ReadAll(100));
      co_return co_await stream.Close();
    };
    const auto accept = [&]() -> Task<absl::Status> {
      TlsStream stream = co_await OrReturn(StartTls(MakeStream(pair.second), server));
      co_return co_await stream.Close();
    };
    Ended ended;
    const auto body = [&]() -> Task<void> {
      JoinHandle<absl::Status> accepting = Spawn(accept());
      ended.client = co_await connect();
      ended.server = co_await accepting;
    };
    RunTask(body);
    return ended;
  }
  TlsContext ServerWith(const CertificateFiles& files) {
    return Must(TlsContext::Server(
        {.certificate_chain_file = files.certificate, .private_key_file = files.key}));
  }
  void ExpectRefused(const Ended& ended, absl::string_view why) {
    EXPECT_TRUE(absl::IsUnauthenticated(ended.client)) << ended.client;
    EXPECT_THAT(std::string(ended.client.message()), HasSubstr(std::string(why)));
    EXPECT_THAT(std::string(ended.client.message()), HasSubstr("TLS handshake with"));
    EXPECT_FALSE(ended.server.ok()) << "it is told";
  }
  TestTls tls_;
};

INSTANTIATE_TEST_SUITE_P(AllReactors, TlsRefusalsTest, testing::ValuesIn(AllReactors()),
                         ReactorFactory::Name);

TEST_P(TlsRefusalsTest, AGoodOneIsTaken) {
  for (const char* name : {"localhost", "localhost.", "127.0.0.1"}) {
    const Ended ended = Shake(tls_.client, tls_.server, name);
    EXPECT_TRUE(ended.client.ok()) << name << ": " << ended.client;
    EXPECT_TRUE(ended.server.ok()) << name << ": " << ended.server;
  }
}

TEST_P(TlsRefusalsTest, ACertificateForAnotherHostIsRefused) {
  ExpectRefused(Shake(tls_.client, tls_.server, "example.com"), "ostname mismatch");
  ExpectRefused(Shake(tls_.client, tls_.server, "127.0.0.2"), "IP address mismatch");
  // What counts is the alternative names, if there are none, too.
  const CertificateFiles files =
      tls_.authority.Issue("common", {.subject = "example.com", .names = ""});
  ExpectRefused(Shake(tls_.client, ServerWith(files), "example.com"), "ostname mismatch");
  const CertificateFiles wild =
      tls_.authority.Issue("wild", {.names = "DNS:*.example.com,DNS:f*.example.org"});
  EXPECT_TRUE(Shake(tls_.client, ServerWith(wild), "www.example.com").client.ok());
  ExpectRefused(Shake(tls_.client, ServerWith(wild), "a.b.example.com"), "ostname mismatch");
  ExpectRefused(Shake(tls_.client, ServerWith(wild), "foo.example.org"), "ostname mismatch");
}

TEST_P(TlsRefusalsTest, ACertificateOutsideItsTimeIsRefused) {
  const CertificateFiles expired = tls_.authority.Issue(
      "expired", {.valid_from = -absl::Hours(2), .valid_until = -absl::Hours(1)});
  ExpectRefused(Shake(tls_.client, ServerWith(expired)), "has expired");
  const CertificateFiles early =
      tls_.authority.Issue("early", {.valid_from = absl::Hours(1), .valid_until = absl::Hours(2)});
  ExpectRefused(Shake(tls_.client, ServerWith(early)), "not yet valid");
}

TEST_P(TlsRefusalsTest, ACertificateForWhichNobodyKnownVouchesIsRefused) {
  const TlsContext self_signed = ServerWith(IssueSelfSigned(tls_.folder, "self"));
  ExpectRefused(Shake(tls_.client, self_signed), "self");
  TestAuthority stranger(tls_.folder, "stranger");
  ExpectRefused(Shake(tls_.client, ServerWith(stranger.Issue("strange"))), "issuer certificate");
  // As nobody here is known to the system.
  ExpectRefused(Shake(Must(TlsContext::Client()), tls_.server), "issuer certificate");
  // One that does not verify takes it, and need not know whom it wants.
  const TlsContext careless = Must(TlsContext::Client({.verify = false}));
  EXPECT_TRUE(Shake(careless, self_signed, "").client.ok());
}

TEST_P(TlsRefusalsTest, AClientHasToSayWhomItWants) {
  for (const char* name : {"", "."}) {
    const Ended ended = Shake(tls_.client, tls_.server, name);
    EXPECT_TRUE(absl::IsInvalidArgument(ended.client)) << ended.client;
    EXPECT_TRUE(absl::IsUnavailable(ended.server)) << ended.server;
  }
  const Ended ended = Shake(tls_.client, tls_.server, std::string("local\0host", 10));
  EXPECT_TRUE(absl::IsInvalidArgument(ended.client)) << ended.client;
}

// The library takes such a one for any host below.
TEST_P(TlsRefusalsTest, ANameThatBeginsWithADotIsNone) {
  const CertificateFiles files = tls_.authority.Issue("below", {.names = "DNS:www.example.com"});
  const TlsContext careless = Must(TlsContext::Client({.verify = false}));
  for (const TlsContext& client : {tls_.client, careless}) {
    for (const char* name : {".example.com", ".com", ".."}) {
      const Ended ended = Shake(client, ServerWith(files), name);
      EXPECT_TRUE(absl::IsInvalidArgument(ended.client)) << name << ": " << ended.client;
    }
  }
}

TEST_P(TlsRefusalsTest, AClientThatHasToShowACertificateLearnsThatItsOwnIsRefused) {
  TlsServerOptions options{.certificate_chain_file = tls_.files.certificate,
                           .private_key_file = tls_.files.key,
                           .verify_clients = true,
                           .ca_file = tls_.authority.file()};
  const TlsContext server = Must(TlsContext::Server(options));
  Ended ended = Shake(tls_.client, server);
  EXPECT_TRUE(absl::IsUnauthenticated(ended.server)) << ended.server;
  EXPECT_TRUE(absl::IsUnauthenticated(ended.client)) << ended.client;
  const CertificateFiles files = IssueSelfSigned(tls_.folder, "somebody");
  const TlsContext client = Must(TlsContext::Client({.ca_file = tls_.authority.file(),
                                                     .certificate_chain_file = files.certificate,
                                                     .private_key_file = files.key}));
  ended = Shake(client, server);
  EXPECT_TRUE(absl::IsUnauthenticated(ended.server)) << ended.server;
  EXPECT_TRUE(absl::IsUnauthenticated(ended.client)) << ended.client;
}

TEST_P(TlsRefusalsTest, PeersWithoutACommonProtocolPart) {
  TlsServerOptions serves{.certificate_chain_file = tls_.files.certificate,
                          .private_key_file = tls_.files.key,
                          .alpn = {"h2"}};
  TlsClientOptions asks{.ca_file = tls_.authority.file(), .alpn = {"http/1.1"}};
  Ended ended = Shake(Must(TlsContext::Client(asks)), Must(TlsContext::Server(serves)));
  EXPECT_TRUE(absl::IsFailedPrecondition(ended.client)) << ended.client;
  EXPECT_TRUE(absl::IsFailedPrecondition(ended.server)) << ended.server;
  EXPECT_THAT(std::string(ended.client.message()), HasSubstr("application protocol"));
  // Who names none is served, and so is who asks one that knows of none.
  EXPECT_TRUE(Shake(tls_.client, Must(TlsContext::Server(serves))).client.ok());
  EXPECT_TRUE(Shake(Must(TlsContext::Client(asks)), tls_.server).client.ok());
}

TEST_P(TlsRefusalsTest, OldVersionsAreRefused) {
  const auto shake = [&](int most_version, TlsVersion least) {
    const TlsContext client =
        Must(TlsContext::Client({.ca_file = tls_.authority.file(), .least_version = least}));
    const auto body = [&]() -> Task<absl::Status> {
      FdPair pair = MakeTcpPair();
      RawTlsPeer peer(MakeStream(pair.second), &tls_.files, most_version);
      JoinHandle<absl::Status> shaking = Spawn(peer.Handshake());
      absl::StatusOr<TlsStream> stream =
          co_await StartTls(MakeStream(pair.first), client, "localhost");
      const absl::Status shaken = co_await shaking;
      EXPECT_EQ(shaken.ok(), stream.ok()) << shaken;
      if (stream.ok()) {
        EXPECT_EQ(stream->version(), "TLSv1.2");
      }
      co_return stream.status();
    };
    return RunTask(body);
  };
  absl::Status shaken = shake(TLS1_1_VERSION, TlsVersion::k12);
  EXPECT_TRUE(absl::IsFailedPrecondition(shaken)) << shaken;
  shaken = shake(TLS1_2_VERSION, TlsVersion::k13);
  EXPECT_TRUE(absl::IsFailedPrecondition(shaken)) << shaken;
  shaken = shake(TLS1_2_VERSION, TlsVersion::k12);
  EXPECT_TRUE(shaken.ok()) << shaken;
}

// What the test's own end does to a handshake that has begun; how it ends at the other side.
class TlsRudePeersTest : public TlsRefusalsTest {
 protected:
  template <class Rude>
  absl::Status ShakeWith(bool serves, Rude rude) {
    const int before = OpenSockets();
    const auto body = [&]() -> Task<absl::Status> {
      FdPair pair = MakeTcpPair();
      const auto shake = [&]() -> Task<absl::Status> {
        const absl::StatusOr<TlsStream> stream = co_await StartTls(
            MakeStream(pair.first), serves ? tls_.server : tls_.client, "localhost");
        co_return stream.status();
      };
      JoinHandle<absl::Status> shaking = Spawn(shake(), {.eager = true});
      co_await Yield();
      rude(pair.second, shaking);
      co_return co_await shaking;
    };
    absl::Status status = RunTask(body);
    EXPECT_EQ(OpenSockets(), before);
    return status;
  }
};

INSTANTIATE_TEST_SUITE_P(AllReactors, TlsRudePeersTest, testing::ValuesIn(AllReactors()),
                         ReactorFactory::Name);

using Handle = JoinHandle<absl::Status>;

TEST_P(TlsRudePeersTest, GarbageIsNoHandshake) {
  for (const bool serves : {true, false}) {
    const absl::Status status = ShakeWith(
        serves, [](OwnedFd& end, Handle&) { WriteAll(end.get(), "GET / HTTP/1.1\r\n\r\n"); });
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("127.0.0.1:"));
  }
}

TEST_P(TlsRudePeersTest, APeerThatGoesAwayIsUnavailable) {
  for (const bool serves : {true, false}) {
    absl::Status status = ShakeWith(serves, [](OwnedFd& end, Handle&) { end.Reset(); });
    EXPECT_TRUE(absl::IsUnavailable(status)) << status;
    status = ShakeWith(serves, [](OwnedFd& end, Handle&) { CloseWithReset(std::move(end)); });
    EXPECT_TRUE(absl::IsUnavailable(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("TLS handshake with"));
  }
}

TEST_P(TlsRudePeersTest, APeerThatNeverAnswersIsWaitedForSoLongAndNoLonger) {
  for (const bool serves : {true, false}) {
    const absl::Duration before = clock().elapsed();
    const absl::Status status = ShakeWith(serves, [](OwnedFd&, Handle&) {});
    EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
    EXPECT_EQ(clock().elapsed() - before, absl::Seconds(60));
  }
}

TEST_P(TlsRudePeersTest, ACancelEndsAHandshake) {
  for (const bool serves : {true, false}) {
    const absl::Status status =
        ShakeWith(serves, [](OwnedFd&, Handle& shaking) { shaking.Cancel(); });
    EXPECT_TRUE(absl::IsCancelled(status)) << status;
  }
}

}  // namespace
}  // namespace plait
