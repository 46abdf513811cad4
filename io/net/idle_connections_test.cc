// What a connection costs while nothing happens on it. There may be very many of them.
#include <malloc.h>

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "plait/io/net/net_fixture.h"
#include "plait/io/net/server.h"
#include "plait/io/net/stream.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_reactors.h"
#include "plait/runtime/testing/allocations.h"
#include "plait/runtime/testing/sockets.h"

namespace plait {
namespace {

class IdleConnectionsTest : public NetTest {};

INSTANTIATE_TEST_SUITE_P(AllReactors, IdleConnectionsTest, testing::ValuesIn(AllReactors()),
                         ReactorFactory::Name);

// Sends back what comes, out of the stream's own memory.
Task<absl::Status> Echo(Stream stream) {
  for (;;) {
    const size_t size = co_await OrReturn(stream.ReadMore());
    if (size == 0) co_return absl::OkStatus();
    co_await OrReturn(stream.Write(stream.buffered()));
    stream.Consume(size);
  }
}

size_t BytesInUse() {
  const struct mallinfo2 info = ::mallinfo2();
  return info.uordblks + info.hblkhd;
}

// Opens `count` more, each of which has had its answers.
Task<void> Connect(const Server& server, size_t count, std::vector<OwnedFd>& connections) {
  for (size_t i = 0; i < count; ++i) {
    connections.push_back(Dial(server.local_address()));
    const OwnedFd& connection = connections.back();
    // Twice, as a connection may wait otherwise when it does so again.
    for (int k = 0; k < 2; ++k) {
      WriteAll(connection.get(), "ping");
      std::string answer;
      co_await YieldUntil([&] { return (answer += Drain(connection.get())) == "ping"; });
    }
  }
}

TEST_P(IdleConnectionsTest, AnIdleConnectionCostsLittleMemory) {
  // They add to each block what is not the program's.
  if (!FramesArePooled()) GTEST_SKIP() << "sanitizers have their own memory";
  constexpr size_t kFirst = 64;
  constexpr size_t kMore = 128;
  // Counted by the allocator, with its eight bytes for each block, of which there are three.
  constexpr size_t kHandler = 320;  // its frame, without optimisation; no buffer is in it
  constexpr size_t kTask = 144;     // and all that the server knows of it
  constexpr size_t kStream = 96;
  constexpr size_t kTwoDescriptors = 64;  // of epoll's table: both ends are this program's
  constexpr size_t kMultishot = 48;       // more, of the ring, whose descriptors are smaller
  constexpr size_t kNoise = 16;           // what there is once is not a connection's
  constexpr size_t kMost = kHandler + kTask + kStream + kTwoDescriptors + kNoise;
  const auto body = [&]() -> Task<void> {
    Server server(ListenLocally(), &Echo);
    JoinHandle<absl::Status> serving = Spawn(server.Serve());
    std::vector<OwnedFd> connections;
    connections.reserve(kFirst + kMore);
    co_await Connect(server, kFirst, connections);
    const size_t before = BytesInUse();
    co_await Connect(server, kMore, connections);
    const size_t each = (BytesInUse() - before) / kMore;
    const absl::string_view reactor = loop().io().name();
    // An emulated kqueue has something for each descriptor too.
    EXPECT_LE(each, reactor == "kqueue"     ? 2 * kMost
                    : reactor == "io_uring" ? kMost + kMultishot
                                            : kMost);
    RecordProperty("bytes_each", static_cast<int>(each));
    EXPECT_EQ(server.connections(), kFirst + kMore);
    connections.clear();
    server.Stop();
    const absl::Status served = co_await serving;
    EXPECT_TRUE(served.ok()) << served;
  };
  // On a thread of its own: this one may have memory for frames left over.
  StartThread("fresh", [&] { RunTask(body); }).join();
}

}  // namespace
}  // namespace plait
