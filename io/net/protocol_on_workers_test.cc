// Protocols on executors with several threads: callbacks come one at a time, and what was written
// is sent. Traps: a cancel that races completion (the server's end of a connection against its
// writes).
#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "plait/io/net/net_fixture.h"
#include "plait/io/net/protocol.h"
#include "plait/io/net/protocol_fixture.h"
#include "plait/io/net/server.h"
#include "plait/io/net/stream.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_pools.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/sockets.h"

namespace plait {
namespace {

class ProtocolOnWorkersTest : public testing::TestWithParam<PoolFactory> {};

INSTANTIATE_TEST_SUITE_P(AllPools, ProtocolOnWorkersTest, testing::ValuesIn(AllPools()),
                         PoolFactory::Name);

// Sends back what comes, and minds that nobody else is in a callback, without a lock of its own.
class CarefulEcho : public Protocol {
 public:
  void OnConnected(Transport& transport) override { transport_ = &transport; }
  void OnData(absl::string_view data) override {
    EXPECT_EQ(inside_++, 0);
    transport_->Write(data);
    --inside_;
  }
  void OnPauseWriting() override { transport_->PauseReading(); }
  void OnResumeWriting() override {
    EXPECT_EQ(inside_++, 0);
    transport_->ResumeReading();
    --inside_;
  }

 private:
  Transport* transport_ = nullptr;
  int inside_ = 0;
};

TEST_P(ProtocolOnWorkersTest, CallbacksComeOneAtATimeWhicheverThreadsTheLoopsAreOn) {
  const std::unique_ptr<Executor> pool = GetParam().make(3);
  const std::string text = Pattern(static_cast<size_t>(std::max(512 << 10, Repeats(4 << 20))));
  const auto handle = [&](Stream stream) -> Task<absl::Status> {
    CarefulEcho echo;
    co_return co_await RunProtocol(std::move(stream), echo);
  };
  const auto send = [&](Stream& stream) -> Task<absl::Status> {
    co_await OrReturn(stream.Write(text));
    co_return co_await stream.ShutdownWrite();
  };
  const auto converse = [&](SocketAddress address) -> Task<absl::Status> {
    OwnedFd fd = Dial(address);
    Stream stream = MakeStream(fd);
    JoinHandle<absl::Status> sending = Spawn(send(stream));
    const std::string answer = co_await OrReturn(stream.ReadAll(size_t{1} << 30));
    EXPECT_TRUE(answer == text);
    co_await OrReturn(sending);
    co_return co_await stream.Close();
  };
  const auto body = [&]() -> Task<absl::Status> {
    Server server(ListenLocally(), handle);
    JoinHandle<absl::Status> serving = Spawn(server.Serve());
    const auto all = [&](TaskGroup& group) -> Task<absl::Status> {
      for (int i = 0; i < 6; ++i) group.Spawn(converse(server.local_address()));
      co_return absl::OkStatus();
    };
    co_await OrReturn(WithTaskGroup(all));
    server.Stop();
    co_return co_await serving;
  };
  const absl::Status ran = BlockOn(*pool, body());
  EXPECT_TRUE(ran.ok()) << ran;
}

// However far each of them has come, on whichever worker.
TEST_P(ProtocolOnWorkersTest, WhatWasWrittenIsSentAlsoWhereTheServerClosesTheConnection) {
  constexpr int kClients = 8;
  const std::unique_ptr<Executor> pool = GetParam().make(3);
  const std::string text = Pattern(512 << 10);
  // Every other one on a strand of its own.
  internal::Atomic<int> handled{0};
  const auto handle = [&](Stream stream) -> Task<absl::Status> {
    Lecturer lecturer(text);
    Strand strand(*pool);
    const int number = handled.fetch_add(1, internal::kRelaxed);
    // Two of four writes wait for the peer, two are between their pieces.
    if (number % 4 < 2) co_await OrReturn(stream.options().set_send_buffer(16 << 10));
    co_return co_await Spawn(RunProtocol(std::move(stream), lecturer),
                             {.executor = number % 2 != 0 ? &strand : nullptr});
  };
  const auto listen = [&](SocketAddress address, Latch& began,
                          Event& closed) -> Task<absl::Status> {
    OwnedFd fd = Dial(address);
    Stream client = MakeStream(fd);
    const std::string first = co_await OrReturn(client.ReadExactly(1000));
    began.CountDown();
    // In every other round it reads on at once, so that the server's writes go on.
    co_await OrReturn(closed.Wait());
    const std::string rest = co_await OrReturn(client.ReadAll(size_t{1} << 30));
    EXPECT_EQ(first.size() + rest.size(), text.size());
    EXPECT_TRUE(first + rest == text);
    co_return co_await client.Close();
  };
  const auto body = [&]() -> Task<absl::Status> {
    Server server(ListenLocally(), handle);
    JoinHandle<absl::Status> serving = Spawn(server.Serve());
    for (int round = 0; round < Repeats(10); ++round) {
      Latch began(kClients);
      Event closed(round % 2 != 0);
      const auto all = [&](TaskGroup& group) -> Task<absl::Status> {
        for (int i = 0; i < kClients; ++i) {
          group.Spawn(listen(server.local_address(), began, closed));
        }
        co_await OrReturn(began.Wait());
        server.CloseClients();
        closed.Set();
        co_return absl::OkStatus();
      };
      co_await OrReturn(WithTaskGroup(all));
    }
    server.Stop();
    co_return co_await serving;
  };
  const absl::Status ran = BlockOn(*pool, body());
  EXPECT_TRUE(ran.ok()) << ran;
}

}  // namespace
}  // namespace plait
