// Peers that do not behave once they are connected, and the library's own messages in the midst of
// ours.
//
// Traps: a cancel that races completion (of a read that has half of a message).
#include <openssl/ssl.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
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
#include "plait/runtime/testing/sockets.h"
#include "plait/schedulers/event_loop/event_loop.h"

namespace plait {
namespace {

using ::testing::HasSubstr;

class TlsBadPeersTest : public NetTest {
 protected:
  // A connection of which the other end is a raw peer, that serves.
  Task<absl::StatusOr<TlsStream>> ShakeWith(RawTlsPeer& peer, OwnedFd& end) {
    JoinHandle<absl::Status> shaking = Spawn(peer.Handshake());
    TlsStream stream = co_await OrReturn(StartTls(MakeStream(end), tls_.client, "localhost"));
    co_await OrReturn(shaking);
    co_return std::move(stream);
  }

  TestTls tls_;
};

INSTANTIATE_TEST_SUITE_P(AllReactors, TlsBadPeersTest, testing::ValuesIn(AllReactors()),
                         ReactorFactory::Name);

TEST_P(TlsBadPeersTest, AConnectionThatIsCutIsNoEnd) {
  const auto body = [&]() -> Task<absl::Status> {
    FdPair pair = MakeTcpPair();
    RawTlsPeer peer(MakeStream(pair.second), &tls_.files);
    TlsStream stream = co_await OrReturn(ShakeWith(peer, pair.first));
    co_await OrReturn(peer.Write("half a li"));
    co_await OrReturn(peer.stream().ShutdownWrite());
    const std::string half = co_await OrReturn(stream.Read(100));
    EXPECT_EQ(half, "half a li") << "what has come is given";
    for (int i = 0; i < 2; ++i) {
      const absl::StatusOr<std::string> end = co_await stream.Read(100);
      EXPECT_TRUE(absl::IsDataLoss(end.status())) << end.status();
      const absl::StatusOr<std::string> line = co_await stream.ReadLine();
      EXPECT_TRUE(absl::IsDataLoss(line.status())) << line.status();
    }
    co_await OrReturn(stream.Write("still here"));
    const std::string answer = co_await OrReturn(peer.Read());
    EXPECT_EQ(answer, "still here");
    co_return co_await stream.Close();
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(TlsBadPeersTest, WhatWasChangedOnItsWayIsDataLossAndThePeerIsTold) {
  const auto body = [&]() -> Task<absl::Status> {
    FdPair pair = MakeTcpPair();
    RawTlsPeer peer(MakeStream(pair.second), &tls_.files);
    TlsStream stream = co_await OrReturn(ShakeWith(peer, pair.first));
    co_await OrReturn(peer.Write("good"));
    SSL_write(peer.ssl(), "bad", 3);
    std::string record = peer.TakeOutput();
    record.back() = static_cast<char>(record.back() ^ 1);
    co_await OrReturn(peer.stream().Write(record));
    const std::string good = co_await OrReturn(stream.ReadExactly(4));
    EXPECT_EQ(good, "good");
    for (int i = 0; i < 2; ++i) {
      const absl::StatusOr<std::string> bad = co_await stream.Read(100);
      EXPECT_TRUE(absl::IsDataLoss(bad.status())) << bad.status();
    }
    const absl::Status written = co_await stream.Write("x");
    EXPECT_FALSE(written.ok());
    const absl::StatusOr<std::string> told = co_await peer.Read();
    EXPECT_THAT(told.status().ToString(), HasSubstr("bad record mac"));
    const absl::Status closed = co_await stream.Close();
    EXPECT_FALSE(closed.ok()) << "not all that was to be said was";
    co_return absl::OkStatus();
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(TlsBadPeersTest, RenegotiationIsRefusedAndTheConnectionGoesOn) {
  const auto body = [&]() -> Task<absl::Status> {
    FdPair pair = MakeTcpPair();
    RawTlsPeer peer(MakeStream(pair.second), nullptr, TLS1_2_VERSION);
    JoinHandle<absl::Status> shaking = Spawn(peer.Handshake());
    TlsStream stream = co_await OrReturn(StartTls(MakeStream(pair.first), tls_.server));
    co_await OrReturn(shaking);
    EXPECT_EQ(SSL_renegotiate(peer.ssl()), 1);
    static_cast<void>(SSL_do_handshake(peer.ssl()));
    co_await OrReturn(peer.Send());
    JoinHandle<absl::StatusOr<std::string>> reading = Spawn(stream.ReadLine(), {.eager = true});
    // It is told at once, though nobody writes.
    const absl::StatusOr<std::string> told = co_await peer.Read();
    EXPECT_THAT(told.status().ToString(), HasSubstr("no renegotiation"));
    co_return absl::OkStatus();
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
}

// To the TlsStream's end, or to its error, which it gives.
Task<absl::Status> ReadToTheEnd(TlsStream& stream) {
  for (;;) {
    const std::string some = co_await OrReturn(stream.Read(100));
    if (some.empty()) co_return absl::OkStatus();
  }
}

void AskToRenegotiate(RawTlsPeer& peer) {
  EXPECT_EQ(SSL_renegotiate(peer.ssl()), 1);
  EXPECT_EQ(SSL_do_handshake(peer.ssl()), 1);
}

TEST_P(TlsBadPeersTest, APeerThatWantsAnswersWithoutEndAndTakesNoneIsGivenUp) {
  const auto body = [&](bool with_data, bool with_writer) -> Task<absl::Status> {
    FdPair pair = MakeSmallTcpPair();
    RawTlsPeer peer(MakeStream(pair.second), &tls_.files, TLS1_2_VERSION);
    TlsStream stream = co_await OrReturn(ShakeWith(peer, pair.first));
    JoinHandle<absl::Status> writing;
    if (with_writer) writing = Spawn(stream.Write(Pattern(1'000'000)), {.eager = true});
    JoinHandle<absl::Status> reading = Spawn(ReadToTheEnd(stream), {.eager = true});
    size_t most_unsent = 0;
    for (int i = 0; i < 5'000 && !reading.done(); ++i) {
      for (int k = 0; k < 10; ++k) AskToRenegotiate(peer);
      if (with_data) {
        EXPECT_EQ(SSL_write(peer.ssl(), "x", 1), 1);
      }
      // Who has given it up reads no more, so what it sends last may find no room.
      JoinHandle<absl::Status> sending = Spawn(peer.Send(), {.eager = true});
      while (!sending.done() && !reading.done()) co_await Yield();
      if (reading.done()) sending.Cancel();
      const absl::Status sent = co_await sending;
      EXPECT_TRUE(sent.ok() || reading.done()) << sent;
      most_unsent = std::max(most_unsent, stream.unsent());
    }
    EXPECT_TRUE(reading.done());
    reading.Cancel();
    const absl::Status read = co_await reading;
    EXPECT_TRUE(absl::IsResourceExhausted(read)) << read;
    const absl::StatusOr<std::string> again = co_await stream.Read(100);
    EXPECT_TRUE(absl::IsResourceExhausted(again.status())) << again.status();
    EXPECT_LT(most_unsent, size_t{200} << 10);
    if (!with_writer) co_return absl::OkStatus();
    writing.Cancel();
    const absl::Status written = co_await writing;
    EXPECT_TRUE(absl::IsCancelled(written)) << written;
    co_return absl::OkStatus();
  };
  for (const bool with_data : {false, true}) {
    for (const bool with_writer : {false, true}) {
      const absl::Status status = RunTask([&] { return body(with_data, with_writer); });
      EXPECT_TRUE(status.ok()) << with_data << with_writer << ": " << status;
    }
  }
}

TEST_P(TlsBadPeersTest, APeerThatTakesItsAnswersMayWantAnyNumber) {
  const auto body = [&]() -> Task<absl::Status> {
    FdPair pair = MakeSmallTcpPair();
    RawTlsPeer peer(MakeStream(pair.second), &tls_.files, TLS1_2_VERSION);
    TlsStream stream = co_await OrReturn(ShakeWith(peer, pair.first));
    JoinHandle<absl::Status> reading = Spawn(ReadToTheEnd(stream), {.eager = true});
    for (int i = 0; i < 2'000 && !reading.done(); ++i) {
      AskToRenegotiate(peer);
      co_await OrReturn(peer.Send());
      const size_t answer = co_await OrReturn(peer.stream().ReadMore());
      EXPECT_GT(answer, 0u);
      peer.stream().Consume(peer.stream().buffered().size());
    }
    EXPECT_FALSE(reading.done());
    reading.Cancel();
    const absl::Status read = co_await reading;
    EXPECT_FALSE(read.ok());
    co_return absl::OkStatus();
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(TlsBadPeersTest, NewKeysWithoutEndTakeNoMemory) {
  const auto body = [&]() -> Task<absl::Status> {
    FdPair pair = MakeSmallTcpPair();
    RawTlsPeer peer(MakeStream(pair.second), &tls_.files);
    TlsStream stream = co_await OrReturn(ShakeWith(peer, pair.first));
    JoinHandle<absl::Status> reading = Spawn(ReadToTheEnd(stream), {.eager = true});
    for (int i = 0; i < 3'000 && !reading.done(); ++i) {
      EXPECT_EQ(SSL_key_update(peer.ssl(), SSL_KEY_UPDATE_REQUESTED), 1);
      EXPECT_EQ(SSL_do_handshake(peer.ssl()), 1);
      if (i % 2 == 0) {
        EXPECT_EQ(SSL_write(peer.ssl(), "x", 1), 1);
      }
      co_await OrReturn(peer.Send());
      EXPECT_LT(stream.unsent(), size_t{64} << 10);
    }
    reading.Cancel();
    const absl::Status read = co_await reading;
    EXPECT_FALSE(read.ok());
    co_return absl::OkStatus();
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(TlsBadPeersTest, WhatAReadHasToSayGoesOutWhenAWriterIsDone) {
  const std::string text = Pattern(size_t{64} << 10);  // one piece
  const auto body = [&](bool flushes) -> Task<absl::Status> {
    FdPair pair = MakeSmallTcpPair();
    RawTlsPeer peer(MakeStream(pair.second), &tls_.files, TLS1_2_VERSION);
    TlsStream stream = co_await OrReturn(ShakeWith(peer, pair.first));
    JoinHandle<absl::Status> writing;
    if (flushes) {
      stream.set_high_water_mark(text.size() * 2);
      co_await OrReturn(stream.Write(text));
      writing = Spawn(stream.Flush(), {.eager = true});
    } else {
      stream.set_high_water_mark(0);
      writing = Spawn(stream.Write(text), {.eager = true});
    }
    JoinHandle<absl::Status> reading = Spawn(ReadToTheEnd(stream), {.eager = true});
    AskToRenegotiate(peer);
    co_await OrReturn(peer.Send());
    co_await OrReturn(Sleep(absl::Milliseconds(1)));  // until there is nothing else to do
    EXPECT_FALSE(writing.done()) << "this tests something";
    size_t size = 0;
    absl::Status told;
    while (told.ok()) {
      const absl::StatusOr<std::string> some = co_await peer.Read(100'000);
      told = some.status();
      if (some.ok()) size += some->size();
    }
    EXPECT_EQ(size, text.size());
    EXPECT_THAT(told.ToString(), HasSubstr("no renegotiation"));
    co_await OrReturn(writing);
    reading.Cancel();
    const absl::Status read = co_await reading;
    EXPECT_FALSE(read.ok());
    co_return absl::OkStatus();
  };
  for (const bool flushes : {false, true}) {
    const absl::Status status = RunTask([&] { return body(flushes); });
    EXPECT_TRUE(status.ok()) << flushes << ": " << status;
  }
}

// A write on another thread than the connection's own, which gets no further than the kernel lets
// it: what would follow is no good without the rest.
TEST_P(TlsBadPeersTest, NothingIsWrittenBehindARecordOfWhichAPartIsMissing) {
  FdPair pair = MakeSmallTcpPair();
  TlsStream stream;
  const auto shake = [&](RawTlsPeer*& peer) -> Task<absl::Status> {
    peer = new RawTlsPeer(MakeStream(pair.second), &tls_.files);
    stream = co_await OrReturn(ShakeWith(*peer, pair.first));
    co_return absl::OkStatus();
  };
  RawTlsPeer* raw = nullptr;
  absl::Status status = RunTask([&] { return shake(raw); });
  const std::unique_ptr<RawTlsPeer> peer(raw);
  ASSERT_TRUE(status.ok()) << status;
  EventLoop other(GetParam().make(nullptr));
  status = BlockOn(other, stream.Write(Pattern(1'000'000)));
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  const auto body = [&]() -> Task<absl::Status> {
    const std::string begun = co_await OrReturn(peer->Read(1'000'000));
    EXPECT_FALSE(begun.empty());
    for (int i = 0; i < 2; ++i) {
      const absl::Status written = co_await stream.Write("x");
      EXPECT_TRUE(absl::IsFailedPrecondition(written)) << written;
    }
    const absl::Status ended = co_await stream.ShutdownWrite();
    EXPECT_FALSE(ended.ok());
    co_await OrReturn(peer->Write("still here"));
    const std::string text = co_await OrReturn(stream.Read(100));
    EXPECT_EQ(text, "still here");
    const absl::Status closed = co_await stream.Close();
    EXPECT_FALSE(closed.ok());
    co_return absl::OkStatus();
  };
  status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
  status = other.Close();
  EXPECT_TRUE(status.ok()) << status;
}

// A client that only writes has the server's tickets lying unread when it closes: a system that
// sees that resets the connection, and drops what is on its way.
TEST_P(TlsBadPeersTest, WhatWasWrittenBeforeACloseArrivesThoughNothingWasRead) {
  const std::string text = Pattern(1'000'000);
  const auto body = [&]() -> Task<absl::Status> {
    FdPair pair = MakeTcpPair();
    RawTlsPeer peer(MakeStream(pair.second), &tls_.files);
    TlsStream stream = co_await OrReturn(ShakeWith(peer, pair.first));
    JoinHandle<absl::Status> writing = Spawn(stream.Write(text), {.eager = true});
    std::string all;
    while (all.size() < 500'000) all += co_await OrReturn(peer.Read(100'000));
    while (!writing.done()) all += co_await OrReturn(peer.Read(100'000));
    co_await OrReturn(writing);
    JoinHandle<absl::Status> closing = Spawn(stream.Close(), {.eager = true});
    for (;;) {
      const std::string some = co_await OrReturn(peer.Read(100'000));
      if (some.empty()) break;
      all += some;
    }
    EXPECT_TRUE(all == text) << all.size() << " bytes";
    co_return co_await closing;
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
}

// The library does not write while it is in the middle of a message of its own.
class TlsHalfMessagesTest : public TlsBadPeersTest {
 protected:
  // A connection that has half of a message, which a read has begun: calls `test` with the read,
  // which waits, and the other half.
  template <class Test>
  void Run(Test test) {
    const auto body = [&]() -> Task<absl::Status> {
      FdPair pair = MakeTcpPair();
      RawTlsPeer peer(MakeStream(pair.second), &tls_.files);
      // So that a ticket, in which the client's certificate is, has several records.
      SSL_set_verify(peer.ssl(), SSL_VERIFY_PEER, [](int, X509_STORE_CTX*) { return 1; });
      SSL_set_max_send_fragment(peer.ssl(), 512);
      JoinHandle<absl::StatusOr<TlsStream>> starting =
          Spawn(StartTls(MakeStream(pair.first), client_, "localhost"), {.eager = true});
      // By hand: what it says last, the tickets, is kept.
      std::string tickets;
      for (;;) {
        const int result = SSL_do_handshake(peer.ssl());
        if (result > 0) tickets = peer.TakeOutput();
        if (result > 0) break;
        co_await OrReturn(peer.Send());
        const size_t more = co_await OrReturn(peer.stream().ReadMore());
        EXPECT_GT(more, 0u);
        if (more == 0) break;
        BIO_write(SSL_get_rbio(peer.ssl()), peer.stream().buffered().data(),
                  static_cast<int>(peer.stream().buffered().size()));
        peer.stream().Consume(peer.stream().buffered().size());
      }
      TlsStream stream = co_await OrReturn(starting);
      EXPECT_GT(tickets.size(), 1500u);
      JoinHandle<absl::StatusOr<std::string>> reading = Spawn(stream.ReadLine(), {.eager = true});
      co_await OrReturn(peer.stream().Write(tickets.substr(0, 700)));
      co_await OrReturn(Sleep(absl::Milliseconds(1)));  // until there is nothing else to do
      co_return co_await test(peer, stream, reading, tickets.substr(700));
    };
    const absl::Status status = RunTask(body);
    EXPECT_TRUE(status.ok()) << status;
  }
  static Task<void> Cancel(JoinHandle<absl::StatusOr<std::string>>& reading) {
    reading.Cancel();
    const absl::StatusOr<std::string> read = co_await reading;
    EXPECT_TRUE(absl::IsCancelled(read.status())) << read.status();
  }

 private:
  TlsContext MakeClient() {
    std::string names = "DNS:localhost";
    for (int i = 0; i < 60; ++i) absl::StrAppend(&names, ",DNS:host", i, ".example.com");
    const CertificateFiles large = tls_.authority.Issue("large", {.names = names});
    return Must(TlsContext::Client({.ca_file = tls_.authority.file(),
                                    .certificate_chain_file = large.certificate,
                                    .private_key_file = large.key}));
  }

  const TlsContext client_ = MakeClient();
};

INSTANTIATE_TEST_SUITE_P(AllReactors, TlsHalfMessagesTest, testing::ValuesIn(AllReactors()),
                         ReactorFactory::Name);

using Reading = JoinHandle<absl::StatusOr<std::string>>;

TEST_P(TlsHalfMessagesTest, AWriteGetsTheRestByItselfWhereTheReadWasCancelled) {
  Run([&](RawTlsPeer& peer, TlsStream& stream, Reading& reading,
          std::string rest) -> Task<absl::Status> {
    co_await Cancel(reading);
    JoinHandle<absl::Status> writing = Spawn(stream.Write("hello"), {.eager = true});
    co_await OrReturn(Sleep(absl::Milliseconds(1)));
    EXPECT_FALSE(writing.done()) << "this tests something";
    co_await OrReturn(peer.stream().Write(rest));
    co_await OrReturn(writing);
    const std::string hello = co_await OrReturn(peer.Read());
    EXPECT_EQ(hello, "hello");
    co_return co_await stream.Close();
  });
}

TEST_P(TlsHalfMessagesTest, AWriteGoesOnWhenAReadThatGoesOnWaitingHasGotTheRest) {
  for (const bool ends : {false, true}) {
    Run([&](RawTlsPeer& peer, TlsStream& stream, Reading& reading,
            std::string rest) -> Task<absl::Status> {
      const auto write = [&] { return ends ? stream.ShutdownWrite() : stream.Write("hello"); };
      JoinHandle<absl::Status> writing = Spawn(write(), {.eager = true});
      co_await OrReturn(Sleep(absl::Milliseconds(1)));
      EXPECT_FALSE(writing.done()) << "this tests something";
      co_await OrReturn(peer.stream().Write(rest));
      co_await OrReturn(writing);
      EXPECT_FALSE(reading.done());
      const std::string hello = co_await OrReturn(peer.Read());
      EXPECT_EQ(hello, ends ? "" : "hello");
      co_await OrReturn(peer.Write("a line\n"));
      const std::string line = co_await OrReturn(reading);
      EXPECT_EQ(line, "a line");
      co_return co_await stream.Close();
    });
  }
}

TEST_P(TlsHalfMessagesTest, AWriteGetsTheRestWhenTheReadIsCancelledAfterIt) {
  Run([&](RawTlsPeer& peer, TlsStream& stream, Reading& reading,
          std::string rest) -> Task<absl::Status> {
    JoinHandle<absl::Status> writing = Spawn(stream.Write("hello"), {.eager = true});
    co_await OrReturn(Sleep(absl::Milliseconds(1)));
    EXPECT_FALSE(writing.done()) << "this tests something";
    co_await Cancel(reading);
    co_await OrReturn(peer.stream().Write(rest));
    co_await OrReturn(writing);
    const std::string hello = co_await OrReturn(peer.Read());
    EXPECT_EQ(hello, "hello");
    co_return co_await stream.Close();
  });
}

TEST_P(TlsHalfMessagesTest, ACloseThatCannotSayTheEndSaysSo) {
  Run([&](RawTlsPeer& peer, TlsStream& stream, Reading& reading,
          std::string) -> Task<absl::Status> {
    co_await Cancel(reading);
    const absl::Status closed = co_await stream.Close();
    EXPECT_TRUE(absl::IsUnavailable(closed)) << closed;
    const absl::StatusOr<std::string> end = co_await peer.Read();
    EXPECT_FALSE(end.ok()) << "it was not told either";
    co_return absl::OkStatus();
  });
}

}  // namespace
}  // namespace plait
