// Every system call that connections, listeners and datagrams make, failing at every place and in
// every way that its manual page lists, on every executor: see io/system/fault_matrix.h.
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "plait/io/file/file.h"
#include "plait/io/net/address.h"
#include "plait/io/net/connect.h"
#include "plait/io/net/datagram_socket.h"
#include "plait/io/net/descriptor_passing.h"
#include "plait/io/net/listener.h"
#include "plait/io/net/pipe.h"
#include "plait/io/net/send_file.h"
#include "plait/io/net/server.h"
#include "plait/io/net/socket_options.h"
#include "plait/io/net/socket_pair.h"
#include "plait/io/net/stream.h"
#include "plait/io/ops/owned_descriptor.h"
#include "plait/io/system/fault_injection.h"
#include "plait/io/system/fault_matrix.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_executors.h"
#include "plait/runtime/testing/executor_under_faults.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/runtime/testing/test_folder.h"

namespace plait {
namespace {

using sys::ArmFaults;
using sys::FaultInjection;
using sys::RunFaultMatrix;

using NetFaultsTest = testing::TestWithParam<IoExecutor>;

INSTANTIATE_TEST_SUITE_P(AllExecutors, NetFaultsTest, testing::ValuesIn(ExecutorsUnderFaults()),
                         IoExecutor::Name);

Task<absl::Status> Answer(Stream stream) {
  const std::string question = co_await OrReturn(stream.ReadExactly(8));
  EXPECT_EQ(question, "question");
  co_await OrReturn(stream.Write("answer"));
  co_return co_await stream.Close();
}

Task<absl::Status> Ask(Stream stream) {
  co_await OrReturn(stream.Write("question"));
  const std::string answer = co_await OrReturn(stream.ReadExactly(6));
  EXPECT_EQ(answer, "answer");
  co_return co_await stream.Close();
}

Task<absl::Status> AnswerOne(Listener& listener) {
  Stream stream = co_await OrReturn(listener.Accept());
  co_return co_await Answer(std::move(stream));
}

Task<absl::Status> AskAt(SocketAddress address) {
  Stream stream = co_await OrReturn(Connect(address));
  co_return co_await Ask(std::move(stream));
}

Task<absl::Status> ListenAndTalk(SocketAddress address) {
  Listener listener = co_await OrReturn(Listen(address));
  co_await OrReturn(SideBySide(AnswerOne(listener), AskAt(listener.local_address())));
  co_return co_await listener.Close();
}

// A TestFolder's path may be longer than a socket's may be.
struct ShortFolder {
  ShortFolder() { PLAIT_CHECK(::mkdtemp(path.data()) != nullptr, "there is no folder to be had"); }
  ~ShortFolder() {
    ::unlink((path + "/socket").c_str());
    ::rmdir(path.c_str());
  }
  std::string path = "/tmp/plait-XXXXXX";
};

TEST_P(NetFaultsTest, AServerAndItsClientOverTcp) {
  const auto scenario = [&](const ArmFaults& arm) -> absl::Status {
    const auto body = [] { return ListenAndTalk(SocketAddress::Loopback(0)); };
    return RunUnderFaults(GetParam(), arm, body);
  };
  RunFaultMatrix(
      {.short_transfers = false,
       .reaches = {FaultInjection::kSocket, FaultInjection::kBind, FaultInjection::kListen,
                   FaultInjection::kAccept, FaultInjection::kConnect, FaultInjection::kSocketName,
                   FaultInjection::kSetSocketOption},
       .left_out = LeftOutOf(GetParam())},
      scenario);
}

constexpr int kRounds = 3;

Task<absl::Status> AnswerAllOf(Stream stream) {
  for (int i = 0; i < kRounds; ++i) {
    const std::string question = co_await OrReturn(stream.ReadExactly(8));
    EXPECT_EQ(question, "question");
    co_await OrReturn(stream.Write("answer"));
  }
  co_return co_await stream.Close();
}

Task<absl::Status> AskAgainAndAgain(SocketAddress address) {
  Stream stream = co_await OrReturn(Connect(address));
  for (int i = 0; i < kRounds; ++i) {
    co_await OrReturn(stream.Write("question"));
    const std::string answer = co_await OrReturn(stream.ReadExactly(6));
    EXPECT_EQ(answer, "answer");
  }
  co_return co_await stream.Close();
}

// Connections come one after another, and wait more than once for what the other says: so a reactor
// that has multishots takes and reads them by those from the second time on.
TEST_P(NetFaultsTest, AServerWhoseClientsComeAgainAndStay) {
  const auto scenario = [&](const ArmFaults& arm) -> absl::Status {
    const auto body = [&]() -> Task<absl::Status> {
      absl::Status error;  // the server's first
      ServerOptions options;
      options.on_error = [&](const absl::Status& status, const SocketAddress&) {
        error.Update(status);
      };
      Server server(co_await OrReturn(Listen(SocketAddress::Loopback(0))), AnswerAllOf, options);
      JoinHandle<absl::Status> serving = Spawn(server.Serve());
      absl::Status asked;
      for (int i = 0; i < 3; ++i) asked.Update(co_await AskAgainAndAgain(server.local_address()));
      server.Stop();
      error.Update(co_await serving);
      error.Update(asked);
      // Where one side was told why, the other may have seen no more than an end.
      co_return absl::StrContains(asked.message(), "(E") ? asked : error;
    };
    return RunUnderFaults(GetParam(), arm, body);
  };
  std::vector<FaultInjection::Call> reaches = {FaultInjection::kAccept, FaultInjection::kReceive,
                                               FaultInjection::kSend};
  if (GetParam().reactor.name == "IoUring") {
    reaches.push_back(FaultInjection::kPeerName);  // of what a multishot took
  } else {
    reaches.push_back(FaultInjection::kSocketError);
  }
  std::vector<sys::LeftOut> left_out = LeftOutOf(GetParam());
  // Such a connection counts as reset: it is passed over, and its client sees no more than an end.
  left_out.push_back({.call = FaultInjection::kPeerName, .error = ENOTCONN});
  RunFaultMatrix(
      {.short_transfers = false, .reaches = std::move(reaches), .left_out = std::move(left_out)},
      scenario);
}

TEST_P(NetFaultsTest, AServerAndItsClientOverAUnixSocket) {
  const auto scenario = [&](const ArmFaults& arm) -> absl::Status {
    const ShortFolder folder;
    const SocketAddress address = *SocketAddress::UnixPath(folder.path + "/socket");
    const auto body = [&] { return ListenAndTalk(address); };
    return RunUnderFaults(GetParam(), arm, body);
  };
  RunFaultMatrix(
      {.reaches = {FaultInjection::kSocket, FaultInjection::kBind, FaultInjection::kListen,
                   FaultInjection::kAccept, FaultInjection::kConnect},
       .left_out = LeftOutOf(GetParam())},
      scenario);
}

TEST_P(NetFaultsTest, StreamsThatAreConnectedWithEachOther) {
  const auto scenario = [&](const ArmFaults& arm) -> absl::Status {
    const auto body = [&]() -> Task<absl::Status> {
      auto pair = co_await OrReturn(SocketPair());
      co_await OrReturn(SideBySide(Answer(std::move(pair.first)), Ask(std::move(pair.second))));
      PipeEnds pipe = co_await OrReturn(Pipe());
      co_await OrReturn(pipe.writer.Write("hello"));
      co_await OrReturn(pipe.writer.Close());
      const std::string text = co_await OrReturn(pipe.reader.ReadAll(100));
      EXPECT_EQ(text, "hello");
      co_return co_await pipe.reader.Close();
    };
    return RunUnderFaults(GetParam(), arm, body);
  };
  RunFaultMatrix({.reaches = {FaultInjection::kSocketPair, FaultInjection::kPipe},
                  .left_out = LeftOutOf(GetParam())},
                 scenario);
}

Task<absl::Status> SendIt(Stream stream, std::string path) {
  File file = co_await OrReturn(OpenFile(path));
  const int64_t count = co_await OrReturn(SendFile(stream, file));
  EXPECT_EQ(count, 10'000);
  co_await OrReturn(stream.ShutdownWrite());
  co_await OrReturn(file.Close());
  co_return co_await stream.Close();
}

Task<absl::Status> ReceiveIt(Stream stream, std::string expected) {
  const std::string all = co_await OrReturn(stream.ReadAll(20'000));
  EXPECT_TRUE(all == expected || absl::string_view(expected).substr(0, all.size()) == all);
  co_return co_await stream.Close();
}

TEST_P(NetFaultsTest, AFileThatIsSent) {
  const TestFolder folder;
  const std::string content = Pattern(10'000);
  const std::string path = folder.Write("file", content);
  const auto scenario = [&](const ArmFaults& arm) -> absl::Status {
    const auto body = [&]() -> Task<absl::Status> {
      auto pair = co_await OrReturn(SocketPair());
      co_return co_await SideBySide(SendIt(std::move(pair.first), path),
                                    ReceiveIt(std::move(pair.second), content));
    };
    return RunUnderFaults(GetParam(), arm, body);
  };
  RunFaultMatrix({.reaches = {FaultInjection::kSendFile, FaultInjection::kShutdown},
                  .left_out = LeftOutOf(GetParam())},
                 scenario);
}

Task<absl::Status> PassTwo(Stream stream, int file) {
  std::vector<int> descriptors(2, file);
  co_await OrReturn(SendDescriptors(stream, "take these", std::move(descriptors)));
  const std::string answer = co_await OrReturn(stream.ReadExactly(6));
  EXPECT_EQ(answer, "thanks");
  co_return co_await stream.Close();
}

Task<absl::Status> TakeTwo(Stream stream) {
  std::string text;
  std::vector<io::OwnedDescriptor> descriptors;
  while (text.size() < 10) {
    const GuardedBuffer buffer(100);
    ReceivedDescriptors got = co_await OrReturn(ReceiveDescriptors(stream, buffer.span()));
    if (got.size == 0) co_return absl::OutOfRangeError("take two: the end came too early");
    EXPECT_EQ(got.descriptors.size(), text.empty() ? 2u : 0u) << "they go with the first byte";
    text += std::string(buffer.text(got.size));
    for (io::OwnedDescriptor& each : got.descriptors) descriptors.push_back(std::move(each));
  }
  EXPECT_EQ(text, "take these");
  for (const io::OwnedDescriptor& each : descriptors) EXPECT_EQ(FileContent(each.get()), "content");
  co_await OrReturn(stream.Write("thanks"));
  // One is closed by the task, the other by its destructor.
  io::OwnedDescriptor one = std::move(descriptors.back());
  descriptors.pop_back();
  co_await OrReturn(one.Close());
  co_return co_await stream.Close();
}

TEST_P(NetFaultsTest, DescriptorsThatArePassedOn) {
  const OwnedFd file = MakeFile("content");
  const auto scenario = [&](const ArmFaults& arm) -> absl::Status {
    const auto body = [&]() -> Task<absl::Status> {
      auto pair = co_await OrReturn(SocketPair());
      co_return co_await SideBySide(PassTwo(std::move(pair.first), file.get()),
                                    TakeTwo(std::move(pair.second)));
    };
    return RunUnderFaults(GetParam(), arm, body);
  };
  RunFaultMatrix({.reaches = {FaultInjection::kSendMessage, FaultInjection::kReceiveMessage,
                              FaultInjection::kSocketName},
                  .left_out = LeftOutOf(GetParam())},
                 scenario);
}

TEST_P(NetFaultsTest, DatagramsThereAndBack) {
  const auto scenario = [&](const ArmFaults& arm) -> absl::Status {
    const auto body = [&]() -> Task<absl::Status> {
      DatagramSocket server = co_await OrReturn(DatagramSocket::Bind(SocketAddress::Loopback(0)));
      DatagramSocket client = co_await OrReturn(DatagramSocket::Connect(server.local_address()));
      co_await OrReturn(client.Send("question"));
      GuardedBuffer buffer(100);
      const ReceivedDatagram question = co_await OrReturn(server.ReceiveFrom(buffer.span()));
      EXPECT_EQ(buffer.text(question.size), "question");
      co_await OrReturn(server.SendTo("answer", question.from));
      const ReceivedDatagram answer = co_await OrReturn(client.Receive(buffer.span()));
      EXPECT_EQ(buffer.text(answer.size), "answer");
      co_await OrReturn(client.Close());
      co_return co_await server.Close();
    };
    return RunUnderFaults(GetParam(), arm, body);
  };
  RunFaultMatrix(
      {.reaches = {FaultInjection::kSocket, FaultInjection::kBind, FaultInjection::kConnect},
       .left_out = LeftOutOf(GetParam())},
      scenario);
}

TEST_P(NetFaultsTest, OptionsAndInterfaces) {
  const auto scenario = [&](const ArmFaults& arm) -> absl::Status {
    const auto body = []() -> Task<absl::Status> {
      const SocketAddress group = SocketAddress::Ipv4({239, 255, 77, 77}, 0);
      DatagramSocket socket = co_await OrReturn(DatagramSocket::Bind(SocketAddress::Any(0)));
      co_await OrReturn(socket.JoinGroup(group, "lo"));
      co_await OrReturn(socket.LeaveGroup(group, "lo"));
      const SocketAddress local = co_await OrReturn(SocketAddress::Parse("[fe80::1%lo]:80"));
      EXPECT_NE(local.scope(), 0u);
      const SocketOptions options(socket.descriptor());
      co_await OrReturn(options.set_send_buffer(10'000));
      const int room = co_await OrReturn(options.send_buffer());
      EXPECT_GE(room, 10'000);
      co_return co_await socket.Close();
    };
    return RunUnderFaults(GetParam(), arm, body);
  };
  std::vector<sys::LeftOut> left_out = LeftOutOf(GetParam());
  // There being no such interface is told in words of ours.
  left_out.push_back({.call = FaultInjection::kInterfaceIndex, .error = ENODEV});
  RunFaultMatrix({.reaches = {FaultInjection::kInterfaceIndex, FaultInjection::kSocketOption,
                              FaultInjection::kSetSocketOption},
                  .left_out = std::move(left_out)},
                 scenario);
}

TEST_P(NetFaultsTest, AStandardStream) {
  const auto scenario = [&](const ArmFaults& arm) -> absl::Status {
    FdPair pair = MakeSocketPair();
    const auto body = [&]() -> Task<absl::Status> {
      const int fd = pair.first.get();
      Stream input = co_await OrReturn(internal::OpenStandardStream(fd, /*input=*/true));
      WriteAll(pair.second.get(), "line\n");
      const std::string line = co_await OrReturn(input.ReadLine());
      EXPECT_EQ(line, "line");
      co_return co_await input.Close();
    };
    return RunUnderFaults(GetParam(), arm, body);
  };
  std::vector<FaultInjection::Call> reaches = {FaultInjection::kIsBlocking, FaultInjection::kSeek,
                                               FaultInjection::kOpen, FaultInjection::kDuplicate,
                                               FaultInjection::kSetBlocking};
  if (GetParam().reactor.name != "IoUring") reaches.push_back(FaultInjection::kSetNonBlocking);
  RunFaultMatrix({.reaches = std::move(reaches), .left_out = LeftOutOf(GetParam())}, scenario);
}

}  // namespace
}  // namespace plait
