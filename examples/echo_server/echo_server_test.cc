#include <netinet/in.h>
#include <sys/socket.h>

#include <csignal>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/examples/support/manners.h"
#include "plait/examples/support/run_program.h"
#include "plait/examples/support/server_program.h"
#include "plait/io/auto_reactor/auto_reactor.h"
#include "plait/io/net/address.h"
#include "plait/runtime/testing/sockets.h"

namespace examples {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kProgram[] = "examples/echo_server/echo_server";

plait::OwnedFd Dial(const ServerProgram& server) {
  const auto address = plait::SocketAddress::Loopback(static_cast<uint16_t>(server.port()));
  return plait::MakeConnection(address.data(), static_cast<socklen_t>(address.size()));
}

class EchoServerTest : public testing::TestWithParam<std::tuple<std::string, std::string>> {};

INSTANTIATE_TEST_SUITE_P(ReactorsAndSchedulers, EchoServerTest,
                         testing::Combine(testing::ValuesIn(plait::ReactorNames()),
                                          testing::Values("event_loop", "work_stealing")));

TEST_P(EchoServerTest, SendsBackWhatEachIsSentAndEndsWhenItIsTold) {
  const auto& [reactor, scheduler] = GetParam();
  ServerProgram server(kProgram, {"--port=0", absl::StrCat("--reactor=", reactor),
                                  absl::StrCat("--scheduler=", scheduler)});
  ASSERT_NE(server.port(), 0);
  std::vector<plait::OwnedFd> clients;
  for (int i = 0; i < 10; ++i) clients.push_back(Dial(server));
  for (size_t i = 0; i < clients.size(); ++i) {
    plait::WriteAll(clients[i].get(), absl::StrCat("client ", i));
  }
  for (size_t i = 0; i < clients.size(); ++i) {
    EXPECT_EQ(plait::ReadExactly(clients[i].get(), 8), absl::StrCat("client ", i));
  }
  // What one sends before it ends is all sent back, and then the end.
  const std::string much = plait::Pattern(300'000);
  plait::WriteAll(clients[0].get(), much);
  ASSERT_EQ(::shutdown(clients[0].get(), SHUT_WR), 0);
  EXPECT_TRUE(plait::ReadExactly(clients[0].get(), much.size() + 1) == much);
  const ProgramRun run = server.Stop(SIGTERM);
  EXPECT_EQ(run.exit_status, 0) << "signal " << run.signal;
  EXPECT_THAT(run.lines().back(),
              StartsWith("echo_server connections=10 failed=0 bytes=300080 reactor="));
  EXPECT_EQ(plait::ReadExactly(clients[1].get(), 1), "") << "its connections are closed";
}

TEST(EchoServerProgramTest, KeepsToItsLimit) {
  ServerProgram server(kProgram, {"--port=0", "--max_connections=1"});
  plait::OwnedFd first = Dial(server);
  const plait::OwnedFd second = Dial(server);
  plait::WriteAll(second.get(), "2");
  plait::WriteAll(first.get(), "1");
  EXPECT_EQ(plait::ReadExactly(first.get(), 1), "1");
  EXPECT_EQ(plait::Drain(second.get()), "");
  first.Reset();
  EXPECT_EQ(plait::ReadExactly(second.get(), 1), "2");
  EXPECT_EQ(server.Stop(SIGINT).exit_status, 0);
}

TEST(EchoServerProgramTest, APortThatIsTakenIsAnErrorInOneSentence) {
  const ServerProgram server(kProgram, {"--port=0"});
  const ProgramRun run = RunProgram(kProgram, {server.port_flag()});
  EXPECT_EQ(run.exit_status, 1);
  EXPECT_EQ(run.output, "");
  EXPECT_THAT(run.error, HasSubstr("Address already in use"));
}

TEST(EchoServerProgramTest, ACertificateThatIsNotThereIsAnErrorInOneSentence) {
  const ProgramRun run =
      RunProgram(kProgram, {"--port=0", "--certificate=missing", "--key=missing"});
  EXPECT_EQ(run.exit_status, 1);
  EXPECT_EQ(run.output, "");
  EXPECT_THAT(run.error, HasSubstr("\"missing\": No such file or directory"));
}

TEST(EchoServerProgramTest, ItHasManners) {
  ExpectHelp(kProgram, {"--port=N", "--host=TEXT", "--max_connections=N", "--certificate=TEXT",
                        "--key=TEXT", "--reactor=TEXT", "--scheduler=TEXT"});
  ExpectManners(kProgram);
  ExpectRefusal(kProgram, {"--port=65536"}, "--port");
  ExpectRefusal(kProgram, {"--port=-1"}, "--port");
  ExpectRefusal(kProgram, {"--host=localhost"}, "--host: ");
  ExpectRefusal(kProgram, {"--key=file"}, "--certificate and --key");
}

}  // namespace
}  // namespace examples
