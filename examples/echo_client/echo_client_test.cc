#include <csignal>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/examples/support/manners.h"
#include "plait/examples/support/run_program.h"
#include "plait/examples/support/server_program.h"
#include "plait/io/auto_reactor/auto_reactor.h"
#include "plait/io/tls/tls_fixture.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/runtime/testing/test_folder.h"

namespace examples {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

constexpr char kProgram[] = "examples/echo_client/echo_client";
constexpr char kServer[] = "examples/echo_server/echo_server";

class EchoClientTest : public testing::TestWithParam<std::string> {
 protected:
  std::string reactor() const { return absl::StrCat("--reactor=", GetParam()); }
};

INSTANTIATE_TEST_SUITE_P(Reactors, EchoClientTest, testing::ValuesIn(plait::ReactorNames()));

TEST_P(EchoClientTest, PrintsWhatComesBack) {
  const ServerProgram server(kServer, {"--port=0", reactor()});
  const ProgramRun run =
      RunProgram(kProgram, {server.port_flag(), "--message=good morning", reactor()});
  EXPECT_EQ(run.exit_status, 0) << run.error;
  EXPECT_EQ(run.output, "good morning\n");
  const ProgramRun by_name =
      RunProgram(kProgram, {server.port_flag(), "--host=localhost", "--message=", reactor()});
  EXPECT_EQ(by_name.exit_status, 0) << by_name.error;
  EXPECT_EQ(by_name.output, "\n");
}

TEST_P(EchoClientTest, MeasuresAServer) {
  ServerProgram server(kServer, {"--port=0", reactor()});
  for (const char* size : {"--size=64", "--size=100000"}) {
    const ProgramRun run = RunProgram(kProgram, {server.port_flag(), "--load", "--connections=10",
                                                 "--in_flight=7", size, "--seconds=1", reactor()});
    EXPECT_EQ(run.exit_status, 0) << run.error;
    EXPECT_THAT(run.output,
                MatchesRegex("echo_client connections=10 in_flight=7 size=[0-9]+ seconds=[0-9.]+ "
                             "requests=[1-9][0-9]* requests_per_second=[1-9][0-9]* p50_us=[0-9.]+ "
                             "p99_us=[0-9.]+\n"));
  }
  const ProgramRun ended = server.Stop();
  EXPECT_THAT(ended.output, HasSubstr("connections=20 failed=0 "));
}

TEST(EchoClientProgramTest, WhereNobodyListensItSaysSoInOneSentence) {
  const plait::TcpListener refusing = plait::MakeRefusingPort();
  const std::string port = absl::StrCat("--port=", ntohs(refusing.address.sin_port));
  for (const char* mode : {"--load", "--message=x"}) {
    const ProgramRun run = RunProgram(kProgram, {port, mode});
    EXPECT_EQ(run.exit_status, 1);
    EXPECT_EQ(run.output, "");
    EXPECT_THAT(run.error, MatchesRegex("echo_client: connect to [^\n]*ECONNREFUSED[^\n]*\\.\n"));
  }
}

TEST(EchoClientProgramTest, AServerThatSaysNothingIsGivenUpOn) {
  const plait::TcpListener silent = plait::MakeTcpListener();
  const std::string port = absl::StrCat("--port=", ntohs(silent.address.sin_port));
  const ProgramRun run = RunProgram(kProgram, {port, "--timeout=50ms"});
  EXPECT_EQ(run.exit_status, 1);
  EXPECT_THAT(run.error, HasSubstr("50ms"));
}

TEST_P(EchoClientTest, SpeaksTlsToAServerWithACertificate) {
  const plait::TestFolder folder;
  plait::TestAuthority authority(folder);
  plait::TestAuthority stranger(folder, "stranger");
  const plait::CertificateFiles files = authority.Issue("server");
  ServerProgram server(kServer, {"--port=0", absl::StrCat("--certificate=", files.certificate),
                                 absl::StrCat("--key=", files.key), reactor()});
  for (const char* host : {"--host=127.0.0.1", "--host=localhost"}) {
    const ProgramRun run =
        RunProgram(kProgram, {server.port_flag(), host, "--message=a secret",
                              absl::StrCat("--ca=", authority.file()), reactor()});
    EXPECT_EQ(run.exit_status, 0) << run.error;
    EXPECT_EQ(run.output, "a secret\n");
  }
  const ProgramRun run =
      RunProgram(kProgram, {server.port_flag(), absl::StrCat("--ca=", stranger.file()), reactor()});
  EXPECT_EQ(run.exit_status, 1);
  EXPECT_THAT(run.error, HasSubstr("the peer's certificate is refused"));
  EXPECT_THAT(server.Stop().output, HasSubstr("connections=2 failed=1 bytes=16 "));
}

TEST(EchoClientProgramTest, ItHasManners) {
  ExpectHelp(kProgram,
             {"--port=N", "--host=TEXT", "--message=TEXT", "--ca=TEXT", "--timeout=TIME", "--load",
              "--connections=N", "--in_flight=N", "--size=N", "--seconds=N", "--reactor=TEXT"});
  ExpectManners(kProgram);
  ExpectRefusal(kProgram, {"--port=0"}, "--port");
  ExpectRefusal(kProgram, {"--connections=0"}, "--connections");
  ExpectRefusal(kProgram, {"--size=0"}, "--size");
  ExpectRefusal(kProgram, {"--connections=20000", "--size=1000000"}, "more than a gibibyte");
  ExpectRefusal(kProgram, {"--load", "--ca=file"}, "--load does not go over TLS");
}

}  // namespace
}  // namespace examples
