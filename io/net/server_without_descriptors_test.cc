// A Server for whose connections the system has no descriptor, on every executor: it neither stops
// nor spins. Traps: a wake-up lost between check and park (of the connection that waits until there
// is one again).
#include <errno.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/io/net/address.h"
#include "plait/io/net/connect.h"
#include "plait/io/net/net_fixture.h"
#include "plait/io/net/server.h"
#include "plait/io/net/server_fixture.h"
#include "plait/io/net/stream.h"
#include "plait/io/system/fault_injection.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_executors.h"

namespace plait {
namespace {

using sys::FaultInjection;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ServerWithoutDescriptorsTest : public IoTest {
 protected:
  ServerWithoutDescriptorsTest() : IoTest(/*blocking_threads=*/0, /*virtual_time=*/true) {}
};

INSTANTIATE_TEST_SUITE_P(AllExecutors, ServerWithoutDescriptorsTest,
                         testing::ValuesIn(AllExecutors()), IoExecutor::Name);

// Where it takes whatever comes, and where it has a limit.
TEST_P(ServerWithoutDescriptorsTest, Line41ItSaysSoOnceTriesTenTimesASecondAndRecovers) {
  FaultInjection faults;
  const CallsInForce scope(*this, faults);
  for (const size_t most : {0, 3}) {
    const auto body = [&]() -> Task<absl::Status> {
      std::vector<std::string> errors;
      ServerOptions options;
      options.max_connections = most;
      options.on_error = [&](const absl::Status& error, const SocketAddress& peer) {
        EXPECT_EQ(peer, SocketAddress());
        errors.push_back(error.ToString());
      };
      Server server(ListenLocally(), Echo, options);
      const int64_t before = faults.hits(FaultInjection::kAccept);
      faults.FailAll(FaultInjection::kAccept, EMFILE);
      JoinHandle<absl::Status> serving = Spawn(server.Serve());
      Stream client = co_await OrReturn(Connect(server.local_address()));
      co_await OrReturn(client.Write("x"));
      co_await OrReturn(Sleep(absl::Minutes(1)));
      const int64_t tries = faults.hits(FaultInjection::kAccept) - before;
      EXPECT_GE(tries, 590);
      EXPECT_LE(tries, 601);
      faults.Clear(FaultInjection::kAccept);
      const std::string text = co_await OrReturn(ReadText(client));
      EXPECT_EQ(text, "x");
      co_await OrReturn(client.Close());
      server.Stop();
      const absl::Status served = co_await serving;
      EXPECT_THAT(errors, ElementsAre(HasSubstr("EMFILE")));
      co_return served;
    };
    const absl::Status status = RunTask(body);
    EXPECT_TRUE(status.ok()) << status;
  }
}

TEST_P(ServerWithoutDescriptorsTest, AStopEndsItThoughThereIsNone) {
  FaultInjection faults;
  const CallsInForce scope(*this, faults);
  const auto body = [&]() -> Task<absl::Status> {
    ServerOptions options;
    options.on_error = [](const absl::Status& error, const SocketAddress&) {
      EXPECT_THAT(error.message(), HasSubstr("EMFILE"));
    };
    Server server(ListenLocally(), Echo, options);
    faults.FailAll(FaultInjection::kAccept, EMFILE);
    JoinHandle<absl::Status> serving = Spawn(server.Serve());
    const Stream client = co_await OrReturn(Connect(server.local_address()));
    co_await OrReturn(Sleep(absl::Seconds(1)));
    server.Stop();
    co_return co_await serving;
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(clock().elapsed(), absl::Seconds(1)) << "it did not wait for its next try";
}

}  // namespace
}  // namespace plait
