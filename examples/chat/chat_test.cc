#include <unistd.h>

#include <csignal>
#include <string>
#include <utility>

#include "absl/strings/match.h"
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

using ::testing::MatchesRegex;

constexpr char kProgram[] = "examples/chat/chat";

// Somebody at a terminal.
class Person {
 public:
  Person(const ServerProgram& server, const std::string& name) : Person(server) {
    EXPECT_EQ(Hears(), "* your name?");
    Says(name);
  }
  explicit Person(const ServerProgram& server) {
    const auto address = plait::SocketAddress::Loopback(static_cast<uint16_t>(server.port()));
    fd_ = plait::MakeConnection(address.data(), static_cast<socklen_t>(address.size()));
  }

  void Says(const std::string& line) { plait::WriteAll(fd_.get(), absl::StrCat(line, "\n")); }
  // The next line; "(end)" at the end.
  std::string Hears() {
    size_t end = 0;
    while ((end = heard_.find('\n', end)) == std::string::npos) {
      end = heard_.size();
      if (!HearsMore()) return "(end)";
    }
    std::string line = heard_.substr(0, end);
    heard_.erase(0, end + 1);
    return line;
  }
  std::string HearsBytes(size_t size) {
    while (heard_.size() < size && HearsMore()) continue;
    std::string bytes = heard_.substr(0, size);
    heard_.erase(0, size);
    return bytes;
  }
  void Goes() { fd_.Reset(); }

 private:
  // False at the end.
  bool HearsMore() {
    char part[16 * 1024];
    const ssize_t size = ::read(fd_.get(), part, sizeof(part));
    if (size > 0) heard_.append(part, static_cast<size_t>(size));
    return size > 0;
  }

  plait::OwnedFd fd_;
  std::string heard_;
};

class ChatTest : public testing::TestWithParam<std::string> {
 protected:
  ChatTest()
      : server_(kProgram, {"--port=0", "--patience=100", absl::StrCat("--reactor=", GetParam())}) {}

  ServerProgram& server() { return server_; }

 private:
  ServerProgram server_;
};

INSTANTIATE_TEST_SUITE_P(Reactors, ChatTest, testing::ValuesIn(plait::ReactorNames()));

TEST_P(ChatTest, WhatOneSaysAllOthersInTheRoomHear) {
  Person ada(server(), "ada");
  EXPECT_EQ(ada.Hears(), "* in lobby: ada");
  Person bob(server(), "bob\r");
  EXPECT_EQ(bob.Hears(), "* in lobby: ada bob");
  EXPECT_EQ(ada.Hears(), "* bob has come");
  Person cyd(server(), "cyd");
  EXPECT_EQ(cyd.Hears(), "* in lobby: ada bob cyd");
  EXPECT_EQ(ada.Hears(), "* cyd has come");
  EXPECT_EQ(bob.Hears(), "* cyd has come");
  ada.Says("hello");
  EXPECT_EQ(bob.Hears(), "ada: hello");
  EXPECT_EQ(cyd.Hears(), "ada: hello");
  bob.Says("/join kitchen");
  EXPECT_EQ(bob.Hears(), "* in kitchen: bob");
  EXPECT_EQ(ada.Hears(), "* bob has gone");
  EXPECT_EQ(cyd.Hears(), "* bob has gone");
  bob.Says("anybody here?");
  ada.Says("just us now\x1b[2J");
  EXPECT_EQ(cyd.Hears(), "ada: just us now?[2J") << "nobody else's terminal is meddled with";
  cyd.Says("/quit");
  EXPECT_EQ(cyd.Hears(), "* good bye");
  EXPECT_EQ(cyd.Hears(), "(end)");
  EXPECT_EQ(ada.Hears(), "* cyd has gone");
  ada.Says("/who");
  EXPECT_EQ(ada.Hears(), "* in lobby: ada");
  ada.Says("/dance");
  EXPECT_EQ(ada.Hears(), "* /join ROOM, /who or /quit");
  ada.Says("/join kitchen");
  EXPECT_EQ(ada.Hears(), "* in kitchen: ada bob");
  EXPECT_EQ(bob.Hears(), "* ada has come");
  ada.Goes();
  EXPECT_EQ(bob.Hears(), "* ada has gone");
  const ProgramRun run = server().Stop();
  EXPECT_EQ(run.exit_status, 0);
  EXPECT_EQ(run.lines().back(), "chat guests=3 lines=3");
  EXPECT_EQ(bob.Hears(), "(end)");
}

TEST_P(ChatTest, NamesAreAskedForUntilOneIsGood) {
  Person ada(server(), "ada");
  EXPECT_EQ(ada.Hears(), "* in lobby: ada");
  Person other(server(), "ada");
  EXPECT_EQ(other.Hears(), "* ada is here already");
  other.Says("no name");
  EXPECT_EQ(other.Hears(), "* a name has letters, digits, - and _, at most 24");
  other.Says("eve");
  EXPECT_EQ(other.Hears(), "* in lobby: ada eve");
  EXPECT_EQ(ada.Hears(), "* eve has come");
  // One that goes before it has a name was never here.
  Person nobody(server());
  nobody.Goes();
  other.Says(std::string(5000, 'x'));
  EXPECT_EQ(other.Hears(), "* that line is too long; good bye");
  EXPECT_EQ(ada.Hears(), "* eve has gone");
}

TEST_P(ChatTest, WhoReadsSlowlyMissesLinesAndKeepsNobodyWaiting) {
  Person slow(server(), "slow");
  EXPECT_EQ(slow.Hears(), "* in lobby: slow");
  Person reader(server(), "reader");
  EXPECT_EQ(reader.Hears(), "* in lobby: reader slow");
  Person writer(server(), "writer");
  EXPECT_EQ(writer.Hears(), "* in lobby: reader slow writer");
  EXPECT_EQ(reader.Hears(), "* writer has come");
  // More than the kernel keeps for the slow one.
  const std::string words(4000, 'w');
  const std::string heard = absl::StrCat("writer: ", words, "\n");
  constexpr int kRounds = 250;
  constexpr int kLines = 20;
  for (int round = 0; round < kRounds; ++round) {
    for (int i = 0; i < kLines; ++i) writer.Says(words);
    std::string expected;
    for (int i = 0; i < kLines; ++i) expected += heard;
    ASSERT_TRUE(reader.HearsBytes(expected.size()) == expected);
  }
  // In the end the slow one hears how much it has missed.
  EXPECT_EQ(slow.Hears(), "* reader has come");
  EXPECT_EQ(slow.Hears(), "* writer has come");
  int lines = 0;
  std::string line;
  do {
    line = slow.Hears();
    if (absl::StartsWith(line, "writer: ")) ++lines;
  } while (absl::StartsWith(line, "writer: "));
  EXPECT_THAT(line, MatchesRegex("\\* you missed [0-9]+ lines, as you read too slowly"));
  EXPECT_LT(lines, kRounds * kLines);
}

TEST(ChatProgramTest, ItHasManners) {
  ExpectHelp(kProgram,
             {"--port=N", "--host=TEXT", "--max_guests=N", "--patience=N", "--reactor=TEXT"});
  ExpectManners(kProgram);
  ExpectRefusal(kProgram, {"--port=65536"}, "--port");
  ExpectRefusal(kProgram, {"--patience=0"}, "--patience");
  ExpectRefusal(kProgram, {"--host=nowhere"}, "--host: ");
}

}  // namespace
}  // namespace examples
