// What a TlsStream promises, on every executor that waits for I/O: programs in which neither the
// order nor the thread of a task matters. Peers that do what they should not are in
// tls_bad_peers_test.cc.
//
// Traps: a wake-up lost between check and park (reads that meet each byte by itself); a buffer
// freed while the kernel owns it (a Write that is cancelled, whose records are sent all the same);
// a cancel that races completion (of reads and writes side by side).
#include "plait/io/tls/tls_stream.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/io/net/listener.h"
#include "plait/io/net/net_fixture.h"
#include "plait/io/net/partial_bytes.h"
#include "plait/io/net/server.h"
#include "plait/io/net/stream.h"
#include "plait/io/net/stream_fixture.h"
#include "plait/io/net/stream_talk.h"
#include "plait/io/tls/start_tls.h"
#include "plait/io/tls/tls_context.h"
#include "plait/io/tls/tls_fixture.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_executors.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/runtime/testing/sockets.h"

namespace plait {
namespace {

// Of what the kernel takes of a small connection, and the stream, this is more.
constexpr size_t kALot = size_t{2} << 20;

struct TlsPair {
  TlsStream client;
  TlsStream server;
};

class TlsStreamTest : public IoTest {
 protected:
  TlsStreamTest() : IoTest(/*blocking_threads=*/2) {
    executor();  // what it has open is there before a test counts
  }

  // Both ends of a connection between `client` and `server`.
  Task<absl::StatusOr<TlsPair>> Shake(FdPair pair, TlsContext client, TlsContext server) {
    JoinHandle<absl::StatusOr<TlsStream>> accepting =
        Spawn(StartTls(MakeStream(pair.second), std::move(server)));
    TlsStream first =
        co_await OrReturn(StartTls(MakeStream(pair.first), std::move(client), "localhost"));
    TlsStream second = co_await OrReturn(accepting);
    TlsPair made;
    made.client = std::move(first);
    made.server = std::move(second);
    co_return made;
  }
  Task<absl::StatusOr<TlsPair>> Shake(FdPair pair) {
    return Shake(std::move(pair), tls_.client, tls_.server);
  }
  // Expects what it gives to be OK.
  template <class Body>
  void RunWell(Body body) {
    const absl::Status ran = RunTask(std::move(body));
    EXPECT_TRUE(ran.ok()) << ran;
  }

  TestTls tls_;
};

INSTANTIATE_TEST_SUITE_P(AllExecutors, TlsStreamTest, testing::ValuesIn(AllExecutors()),
                         IoExecutor::Name);

TEST_P(TlsStreamTest, EveryKindOfReadGetsItsPartOfWhatComesByteByByteAndThenTheEnd) {
  for (const bool tcp : {true, false}) {
    const auto body = [&]() -> Task<absl::Status> {
      FdPair ends = tcp ? MakeTcpPair() : MakeSocketPair();
      TlsPair pair = co_await OrReturn(Shake(std::move(ends)));
      co_return co_await Gather(SendByteByByte(pair.client), ReadInAllWays(pair.server));
    };
    RunWell(body);
  }
}

Task<absl::Status> WriteAndEnd(TlsStream& stream, const std::string& text) {
  for (size_t sent = 0, size = 1; sent < text.size(); size = size * 7 % 200'009) {
    const std::string part = text.substr(sent, size);
    co_await OrReturn(WriteText(stream, part));
    EXPECT_LE(stream.unsent(), TlsStream::kDefaultHighWaterMark);
    sent += part.size();
  }
  co_return co_await stream.ShutdownWrite();
}

Task<absl::Status> ReadToTheEnd(TlsStream& stream, const std::string& text) {
  std::string all;
  for (;;) {
    GuardedBuffer buffer(50'000);
    const size_t count = co_await OrReturn(stream.Read(buffer.span()));
    if (count == 0) break;
    all += std::string(buffer.text(count));
  }
  EXPECT_TRUE(all == text) << all.size() << " bytes";
  co_return absl::OkStatus();
}

TEST_P(TlsStreamTest, BothDirectionsCarryALotAtOnceThroughSmallBuffers) {
  const std::string text = Pattern(1'000'000);
  const auto body = [&]() -> Task<absl::Status> {
    TlsPair pair = co_await OrReturn(Shake(MakeSmallTcpPair()));
    const auto spawn = [&](TaskGroup& group) -> Task<absl::Status> {
      for (TlsStream* const stream : {&pair.client, &pair.server}) {
        group.Spawn(WriteAndEnd(*stream, text));
        group.Spawn(ReadToTheEnd(*stream, text));
      }
      co_return absl::OkStatus();
    };
    co_await OrReturn(WithTaskGroup(spawn));
    co_await OrReturn(pair.client.Close());
    co_return co_await pair.server.Close();
  };
  RunWell(body);
}

TEST_P(TlsStreamTest, ACancelledWriteToAPeerThatDoesNotReadSaysHowMuchOfItArrives) {
  const std::string text = Pattern(kALot);
  const auto body = [&]() -> Task<absl::Status> {
    TlsPair pair = co_await OrReturn(Shake(MakeSmallTcpPair()));
    JoinHandle<absl::Status> writing = Spawn(WriteText(pair.client, text), {.eager = true});
    for (int i = 0; i < 5; ++i) co_await Yield();
    EXPECT_FALSE(writing.done());
    const absl::Status second = co_await pair.client.Write("x");
    EXPECT_TRUE(absl::IsFailedPrecondition(second)) << second;
    EXPECT_EQ(AcceptedBytes(second), size_t{0});
    writing.Cancel();
    const absl::Status written = co_await writing;
    EXPECT_TRUE(absl::IsCancelled(written)) << written;
    const size_t accepted = AcceptedBytes(written).value_or(kALot);
    EXPECT_LT(accepted, kALot);
    EXPECT_GT(accepted, 0u);
    JoinHandle<absl::Status> closing = Spawn(pair.client.Close());
    co_await OrReturn(ReadToTheEnd(pair.server, text.substr(0, accepted)));
    co_return co_await closing;
  };
  RunWell(body);
}

TEST_P(TlsStreamTest, ACancelledReadLosesNothing) {
  const auto body = [&]() -> Task<absl::Status> {
    TlsPair pair = co_await OrReturn(Shake(MakeTcpPair()));
    JoinHandle<absl::StatusOr<std::string>> reading =
        Spawn(pair.server.ReadExactly(6), {.eager = true});
    co_await OrReturn(pair.client.Write("abc"));
    for (int i = 0; i < 20; ++i) co_await Yield();
    const absl::StatusOr<std::string> second = co_await pair.server.ReadLine();
    EXPECT_TRUE(absl::IsFailedPrecondition(second.status())) << second.status();
    reading.Cancel();
    const absl::StatusOr<std::string> read = co_await reading;
    EXPECT_TRUE(absl::IsCancelled(read.status())) << read.status();
    co_await OrReturn(pair.client.Write("def"));
    const std::string all = co_await OrReturn(pair.server.ReadExactly(6));
    EXPECT_EQ(all, "abcdef");
    GuardedBuffer buffer(6);
    const auto read_exactly = [&]() -> Task<absl::Status> {
      co_return co_await pair.server.ReadExactly(buffer.span());
    };
    JoinHandle<absl::Status> again = Spawn(read_exactly(), {.eager = true});
    co_await OrReturn(pair.client.Write("ghi"));
    again.Cancel();
    const absl::Status cut = co_await again;
    EXPECT_TRUE(absl::IsCancelled(cut)) << cut;
    buffer.Release();
    co_await OrReturn(pair.client.Close());
    const std::string rest = co_await OrReturn(pair.server.ReadAll(100));
    EXPECT_EQ(rest, "ghi");
    co_return co_await pair.server.Close();
  };
  RunWell(body);
}

TEST_P(TlsStreamTest, DroppingOneThatOthersWaitOnEndsThemAndIsNoEndToThePeer) {
  for (const bool close : {false, true}) {
    const auto body = [&]() -> Task<absl::Status> {
      TlsPair pair = co_await OrReturn(Shake(MakeTcpPair()));
      JoinHandle<absl::StatusOr<std::string>> reading =
          Spawn(pair.client.ReadLine(), {.eager = true});
      if (close) {
        co_await OrReturn(pair.client.Close());
      } else {
        pair.client.Abort();
      }
      EXPECT_FALSE(pair.client.is_open());
      EXPECT_EQ(pair.client.version(), "");
      const absl::StatusOr<std::string> read = co_await reading;
      EXPECT_TRUE(absl::IsCancelled(read.status())) << read.status();
      const absl::StatusOr<std::string> end = co_await pair.server.Read(10);
      if (close) {
        EXPECT_TRUE(end.ok() && end->empty()) << end.status();
      } else {
        // A reset where the client had not read the server's tickets yet.
        EXPECT_TRUE(absl::IsDataLoss(end.status()) || absl::IsUnavailable(end.status()))
            << end.status();
        const absl::StatusOr<std::string> again = co_await pair.server.ReadAll(10);
        EXPECT_EQ(again.status().code(), end.status().code()) << again.status();
      }
      const absl::StatusOr<std::string> closed = co_await pair.client.Read(1);
      EXPECT_TRUE(absl::IsFailedPrecondition(closed.status())) << closed.status();
      const absl::Status written = co_await pair.client.Write("x");
      EXPECT_TRUE(absl::IsFailedPrecondition(written)) << written;
      co_return absl::OkStatus();
    };
    RunWell(body);
  }
}

// Cancels `task` after a few turns.
template <class T>
Task<T> CutShort(Task<T> task, int turns) {
  JoinHandle<T> running = Spawn(std::move(task), {.eager = true});
  for (int i = 0; i < turns; ++i) co_await Yield();
  running.Cancel();
  co_return co_await running;
}

Task<absl::Status> ReadCutShort(TlsStream& stream, const std::string& text) {
  std::string all;
  for (int turns = 0; all.size() < text.size(); turns = (turns + 1) % 7) {
    absl::StatusOr<std::string> some = co_await CutShort(stream.Read(7'777), turns);
    if (absl::IsCancelled(some.status())) continue;
    if (!some.ok()) co_return some.status();
    if (some->empty()) break;
    all += *some;
  }
  EXPECT_TRUE(all == text) << all.size() << " bytes";
  co_return absl::OkStatus();
}

Task<absl::Status> WriteCutShort(TlsStream& stream, const std::string& text) {
  size_t sent = 0;
  for (int turns = 0; sent < text.size(); turns = (turns + 1) % 5) {
    const std::string part = text.substr(sent, 90'011);
    const absl::Status written = co_await CutShort(stream.Write(part), turns);
    if (!written.ok() && !absl::IsCancelled(written)) co_return written;
    sent += written.ok() ? part.size() : AcceptedBytes(written).value_or(0);
  }
  co_return co_await stream.Flush();
}

TEST_P(TlsStreamTest, CancelsAtAnyMomentLoseAndTearNothing) {
  const std::string text = Pattern(500'000);
  const auto body = [&]() -> Task<absl::Status> {
    TlsPair pair = co_await OrReturn(Shake(MakeSmallTcpPair()));
    const auto spawn = [&](TaskGroup& group) -> Task<absl::Status> {
      for (TlsStream* const stream : {&pair.client, &pair.server}) {
        group.Spawn(WriteCutShort(*stream, text));
        group.Spawn(ReadCutShort(*stream, text));
      }
      co_return absl::OkStatus();
    };
    co_await OrReturn(WithTaskGroup(spawn));
    co_await OrReturn(pair.client.Close());
    const std::string end = co_await OrReturn(pair.server.ReadAll(10));
    EXPECT_EQ(end, "");
    co_return co_await pair.server.Close();
  };
  RunWell(body);
}

TEST_P(TlsStreamTest, AMarkOfZeroMeansThatTheKernelHasItAll) {
  const auto body = [&]() -> Task<absl::Status> {
    TlsPair pair = co_await OrReturn(Shake(MakeSmallTcpPair()));
    pair.client.set_high_water_mark(0);
    const std::string text = Pattern(300'000);
    JoinHandle<absl::Status> writing = Spawn(WriteText(pair.client, text));
    const std::string read = co_await OrReturn(pair.server.ReadExactly(text.size()));
    EXPECT_TRUE(read == text);
    co_await OrReturn(writing);
    EXPECT_EQ(pair.client.unsent(), 0u);
    co_return absl::OkStatus();
  };
  RunWell(body);
}

Task<absl::Status> Echo(TlsStream stream) {
  for (;;) {
    const size_t size = co_await OrReturn(stream.ReadMore());
    if (size == 0) break;
    co_await OrReturn(stream.Write(stream.buffered()));
    stream.Consume(size);
  }
  co_return co_await stream.Close();
}

Task<absl::Status> Ask(std::string target, TlsContext context, std::string text) {
  TlsStream stream = co_await OrReturn(ConnectTls(std::move(target), std::move(context)));
  JoinHandle<absl::Status> writing = Spawn(WriteText(stream, text));
  const std::string answer = co_await OrReturn(stream.ReadExactly(text.size()));
  EXPECT_TRUE(answer == text);
  co_await OrReturn(writing);
  co_await OrReturn(stream.ShutdownWrite());
  const std::string end = co_await OrReturn(stream.ReadAll(10));
  EXPECT_EQ(end, "");
  co_return co_await stream.Close();
}

TEST_P(TlsStreamTest, AServerAnswersManyClientsAtOnceByNameAndByAddress) {
  const int before = OpenSockets();
  const auto body = [&]() -> Task<absl::Status> {
    Listener listener = ListenLocally();
    const uint16_t port = listener.local_address().port();
    absl::Status error;
    ServerOptions options;
    options.on_error = [&](const absl::Status& status, const SocketAddress&) {
      error.Update(status);
    };
    Server server(std::move(listener), OverTls(tls_.server, Echo), options);
    JoinHandle<absl::Status> serving = Spawn(server.Serve());
    const auto spawn = [&](TaskGroup& group) -> Task<absl::Status> {
      for (int i = 0; i < 10; ++i) {
        const char* const host = i % 2 == 0 ? "localhost" : "127.0.0.1";
        group.Spawn(Ask(absl::StrCat(host, ":", port), tls_.client,
                        Pattern(static_cast<size_t>(i) * 20'000 + 1)));
      }
      co_return absl::OkStatus();
    };
    co_await OrReturn(WithTaskGroup(spawn));
    server.Stop();
    co_await OrReturn(serving);
    co_return error;
  };
  RunWell(body);
  EXPECT_EQ(OpenSockets(), before);
}

// --- with a peer that is the library itself ---

TEST_P(TlsStreamTest, NewKeysComeAndGoUnseen) {
  const auto body = [&]() -> Task<absl::Status> {
    FdPair pair = MakeTcpPair();
    RawTlsPeer peer(MakeStream(pair.second), &tls_.files);
    JoinHandle<absl::Status> shaking = Spawn(peer.Handshake());
    TlsStream stream =
        co_await OrReturn(StartTls(MakeStream(pair.first), tls_.client, "localhost"));
    co_await OrReturn(shaking);
    EXPECT_EQ(stream.version(), "TLSv1.3");
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(SSL_key_update(peer.ssl(), SSL_KEY_UPDATE_REQUESTED), 1);
      co_await OrReturn(peer.Write(absl::StrCat("with key ", i, "\n")));
      const std::string line = co_await OrReturn(stream.ReadLine());
      EXPECT_EQ(line, absl::StrCat("with key ", i));
      co_await OrReturn(stream.Write(absl::StrCat("and back ", i)));
      const std::string answer = co_await OrReturn(peer.Read());
      EXPECT_EQ(answer, absl::StrCat("and back ", i));
    }
    co_return co_await stream.Close();
  };
  RunWell(body);
}

TEST_P(TlsStreamTest, AHandshakeAndRecordsThatComeByteByByteAreAsGoodAsAnyAtBothSides) {
  for (const bool peer_serves : {true, false}) {
    const auto body = [&]() -> Task<absl::Status> {
      FdPair pair = MakeTcpPair();
      RawTlsPeer peer(MakeStream(pair.second), peer_serves ? &tls_.files : nullptr);
      peer.set_piece(1);
      JoinHandle<absl::Status> shaking = Spawn(peer.Handshake());
      TlsStream stream = co_await OrReturn(
          StartTls(MakeStream(pair.first), peer_serves ? tls_.client : tls_.server, "localhost"));
      co_await OrReturn(shaking);
      JoinHandle<absl::Status> writing = Spawn(peer.Write("some words\n"));
      const std::string line = co_await OrReturn(stream.ReadLine());
      EXPECT_EQ(line, "some words");
      co_await OrReturn(writing);
      co_await OrReturn(stream.Write("an answer"));
      const std::string answer = co_await OrReturn(peer.Read());
      EXPECT_EQ(answer, "an answer");
      co_await OrReturn(stream.Close());
      const std::string end = co_await OrReturn(peer.Read());
      EXPECT_EQ(end, "");
      co_return absl::OkStatus();
    };
    RunWell(body);
  }
}

// --- what is agreed on ---

TEST_P(TlsStreamTest, TheTwoAgreeOnAProtocolAndKnowWhoTheOtherIs) {
  const CertificateFiles files =
      tls_.authority.Issue("customer", {.subject = "customer", .names = ""});
  const TlsContext client = Must(TlsContext::Client({.ca_file = tls_.authority.file(),
                                                     .certificate_chain_file = files.certificate,
                                                     .private_key_file = files.key,
                                                     .alpn = {"h2", "http/1.1"}}));
  const TlsContext server =
      Must(TlsContext::Server({.certificate_chain_file = tls_.files.certificate,
                               .private_key_file = tls_.files.key,
                               .verify_clients = true,
                               .ca_file = tls_.authority.file(),
                               .alpn = {"http/1.1", "h2"}}));
  const auto body = [&]() -> Task<absl::Status> {
    TlsPair pair = co_await OrReturn(Shake(MakeTcpPair(), client, server));
    EXPECT_EQ(pair.client.alpn(), "http/1.1") << "the server decides";
    EXPECT_EQ(pair.server.alpn(), "http/1.1");
    EXPECT_EQ(pair.server.server_name(), "localhost");
    EXPECT_EQ(pair.client.server_name(), "localhost");
    EXPECT_EQ(pair.server.peer_subject(), "CN=customer");
    EXPECT_EQ(pair.client.peer_subject(), "CN=localhost");
    EXPECT_TRUE(absl::StrContains(pair.client.peer_certificate(), "BEGIN CERTIFICATE"));
    EXPECT_EQ(pair.client.version(), "TLSv1.3");
    EXPECT_EQ(pair.client.cipher(), pair.server.cipher());
    EXPECT_FALSE(pair.client.cipher().empty());
    EXPECT_EQ(*pair.client.peer_address(), *pair.server.local_address());
    EXPECT_GE(pair.client.descriptor(), 0);
    // Tickets of such a client name it, and are not taken for another's.
    co_await OrReturn(pair.server.Write("hello\n"));
    const std::string line = co_await OrReturn(pair.client.ReadLine());
    EXPECT_EQ(line, "hello");
    co_return absl::OkStatus();
  };
  RunWell(body);
}

// --- STARTTLS ---

TEST_P(TlsStreamTest, AStreamThatHasSpokenPlainlyGoesOnEncrypted) {
  const auto body = [&]() -> Task<absl::Status> {
    FdPair pair = MakeTcpPair();
    Stream client = MakeStream(pair.first);
    const auto serve = [&]() -> Task<absl::Status> {
      Stream server = MakeStream(pair.second);
      const std::string asked = co_await OrReturn(server.ReadLine());
      EXPECT_EQ(asked, "STARTTLS");
      co_await OrReturn(server.Write("go ahead\n"));
      TlsStream secure = co_await OrReturn(StartTls(std::move(server), tls_.server));
      const std::string line = co_await OrReturn(secure.ReadLine());
      EXPECT_EQ(line, "a secret");
      co_return co_await secure.Close();
    };
    JoinHandle<absl::Status> serving = Spawn(serve());
    co_await OrReturn(client.Write("STARTTLS\n"));
    const std::string answer = co_await OrReturn(client.ReadLine());
    EXPECT_EQ(answer, "go ahead");
    TlsStream secure = co_await OrReturn(StartTls(std::move(client), tls_.client, "localhost"));
    co_await OrReturn(secure.Write("a secret\n"));
    const std::string end = co_await OrReturn(secure.ReadAll(10));
    EXPECT_EQ(end, "");
    co_await OrReturn(secure.Close());
    co_return co_await serving;
  };
  RunWell(body);
}

TEST_P(TlsStreamTest, WhatWasReadAheadIsTheBeginningOfTheHandshakeAndNeverText) {
  for (const bool injected : {false, true}) {
    const auto body = [&]() -> Task<absl::Status> {
      FdPair pair = MakeTcpPair();
      Stream client_below = MakeStream(pair.first);
      Stream server_below = MakeStream(pair.second);
      RawTlsPeer peer(std::move(client_below), nullptr);
      SSL_do_handshake(peer.ssl());
      // A line and, in the same breath, the handshake, or what somebody has slipped in before it.
      co_await OrReturn(peer.stream().Write(
          absl::StrCat("PROXY\n", injected ? "DELETE everything\n" : "", peer.TakeOutput())));
      const std::string line = co_await OrReturn(server_below.ReadLine());
      EXPECT_EQ(line, "PROXY");
      EXPECT_FALSE(server_below.buffered().empty());
      JoinHandle<absl::Status> shaking = Spawn(peer.Handshake());
      absl::StatusOr<TlsStream> secure = co_await StartTls(std::move(server_below), tls_.server);
      EXPECT_EQ(secure.ok(), !injected);
      if (injected) {
        EXPECT_TRUE(absl::IsFailedPrecondition(secure.status())) << secure.status();
        const absl::Status shaken = co_await shaking;
        EXPECT_FALSE(shaken.ok());
        co_return absl::OkStatus();
      }
      co_await OrReturn(shaking);
      co_await OrReturn(peer.Write("hello\n"));
      const std::string first = co_await OrReturn(secure->ReadLine());
      EXPECT_EQ(first, "hello");
      co_return co_await secure->Close();
    };
    RunWell(body);
  }
}

}  // namespace
}  // namespace plait
