// Every system call that a reactor and its operations make, failing at every place and in every way
// that its manual page lists, on every executor: see io/system/fault_matrix.h.
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "plait/io/ops/operations.h"
#include "plait/io/system/fault_injection.h"
#include "plait/io/system/fault_matrix.h"
#include "plait/io/system/file_status.h"
#include "plait/runtime/core/executor.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_executors.h"
#include "plait/runtime/testing/executor_under_faults.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/reactor_factory.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/runtime/testing/test_folder.h"
#include "plait/runtime/testing/thread_executor.h"

namespace plait {
namespace {

using sys::ArmFaults;
using sys::FaultInjection;
using sys::RunFaultMatrix;

// --- parts of conversations ---

Task<absl::Status> Write(int fd, std::string data) {
  const GuardedBuffer buffer(data);
  absl::string_view rest = buffer.text(data.size());
  while (!rest.empty()) {
    const size_t count = co_await OrReturn(io::Write(fd, absl::MakeConstSpan(rest)));
    rest.remove_prefix(count);
  }
  co_return absl::OkStatus();
}

// Reads exactly what is expected to come.
Task<absl::Status> Read(int fd, std::string expected) {
  std::string all;
  while (all.size() < expected.size()) {
    GuardedBuffer buffer(expected.size() - all.size());
    const size_t count = co_await OrReturn(io::Read(fd, buffer.span()));
    if (count == 0) co_return absl::OutOfRangeError("the end came too early");
    all += std::string(buffer.text(count));
  }
  EXPECT_EQ(all, expected);
  co_return absl::OkStatus();
}

Task<absl::Status> PeerWrites(int fd, std::string data) {
  co_await Yield();
  WriteAll(fd, data);
  co_return absl::OkStatus();
}

Task<absl::Status> Close(OwnedFd& fd) { co_return co_await io::Close(fd.Release()); }

// What each reactor is made of, and waits with.
std::vector<FaultInjection::Call> CallsOf(const ReactorFactory& factory) {
  if (factory.name == "IoUring") {
    return {FaultInjection::kEventFd,       FaultInjection::kIoUringSetup,
            FaultInjection::kIoUringEnter,  FaultInjection::kIoUringRegister,
            FaultInjection::kIoUringEnable, FaultInjection::kClose};
  }
  if (factory.name == "Kqueue") {
    return {FaultInjection::kKqueue, FaultInjection::kKqueueEvents, FaultInjection::kClose};
  }
  return {FaultInjection::kEventFd, FaultInjection::kEpollCreate, FaultInjection::kEpollControl,
          FaultInjection::kEpollWait, FaultInjection::kClose};
}

using OperationFaultsTest = testing::TestWithParam<IoExecutor>;

INSTANTIATE_TEST_SUITE_P(AllExecutors, OperationFaultsTest,
                         testing::ValuesIn(ExecutorsUnderFaults()), IoExecutor::Name);

TEST_P(OperationFaultsTest, MakingAReactorWaitingAndWakingIt) {
  ThreadExecutor elsewhere;
  const auto scenario = [&](const ArmFaults& arm) -> absl::Status {
    const FdPair pair = MakeSocketPair();
    arm();
    const absl::StatusOr<std::unique_ptr<Executor>> executor = GetParam().TryMake();
    if (!executor.ok()) return executor.status();
    const auto woken = [&]() -> Task<absl::Status> {
      co_await OrReturn(Sleep(absl::Microseconds(10)));
      // Wakes a thread of the executor's from another one.
      const absl::StatusOr<int> there = co_await RunIn(elsewhere, [] { return 7; });
      EXPECT_TRUE(there.ok() && *there == 7);
      co_return there.status();
    };
    // Nothing comes to read; but so a pool's thread waits in its reactor, too.
    const auto body = [&]() -> Task<absl::Status> {
      auto selected = co_await Select(Read(pair.first.get(), "x"), woken());
      co_return selected.index() == 0 ? selected.get<0>() : selected.get<1>();
    };
    return BlockOn(**executor, body());
  };
  constexpr int64_t kPlaces = 8;
  std::vector<sys::LeftOut> left_out = LeftOutOf(GetParam());
  // The first ring that is enabled is only tried.
  std::erase_if(left_out,
                [](const sys::LeftOut& one) { return one.call == FaultInjection::kIoUringEnable; });
  for (int64_t place = 1; place < kPlaces; ++place) {
    left_out.push_back({.call = FaultInjection::kIoUringEnable, .place = place});
  }
  RunFaultMatrix(
      {.places = kPlaces, .reaches = CallsOf(GetParam().reactor), .left_out = std::move(left_out)},
      scenario);
}

TEST_P(OperationFaultsTest, AConversationOverAUnixSocket) {
  const auto scenario = [&](const ArmFaults& arm) -> absl::Status {
    FdPair pair = MakeSocketPair();
    const int fd = pair.first.get();
    const int peer = pair.second.get();
    const auto body = [&]() -> Task<absl::Status> {
      WriteAll(peer, "hello");
      co_await OrReturn(Read(fd, "hello"));
      co_await OrReturn(Gather(Read(fd, "later"), PeerWrites(peer, "later")));
      co_await OrReturn(Write(fd, "answer"));
      EXPECT_EQ(ReadExactly(peer, 6), "answer");
      WriteAll(peer, "x");
      const uint32_t events = co_await OrReturn(io::Poll(fd, kPollReadable));
      EXPECT_EQ(events, kPollReadable);
      co_return co_await Close(pair.first);
    };
    return RunUnderFaults(GetParam(), arm, body);
  };
  RunFaultMatrix(
      {.reaches = {FaultInjection::kReceive, FaultInjection::kSend, FaultInjection::kPollNow,
                   FaultInjection::kClose, FaultInjection::kSocketProtocol},
       .left_out = LeftOutOf(GetParam())},
      scenario);
}

TEST_P(OperationFaultsTest, BytesThroughAPipe) {
  const auto scenario = [&](const ArmFaults& arm) -> absl::Status {
    FdPair pipe = MakePipe();
    const auto body = [&]() -> Task<absl::Status> {
      co_await OrReturn(Gather(Read(pipe.first.get(), "hello"), Write(pipe.second.get(), "hello")));
      co_await OrReturn(Close(pipe.first));
      co_return co_await Close(pipe.second);
    };
    return RunUnderFaults(GetParam(), arm, body);
  };
  std::vector<FaultInjection::Call> reaches = {FaultInjection::kRead, FaultInjection::kWrite,
                                               FaultInjection::kClose};
  if (GetParam().reactor.name == "Kqueue") reaches.push_back(FaultInjection::kAlwaysReady);
  RunFaultMatrix({.reaches = std::move(reaches), .left_out = LeftOutOf(GetParam())}, scenario);
}

TEST_P(OperationFaultsTest, AConnectionOverTcp) {
  const auto scenario = [&](const ArmFaults& arm) -> absl::Status {
    TcpListener listener = MakeTcpListener();
    OwnedFd client = MakeTcpSocket();
    const auto serve = [&]() -> Task<absl::Status> {
      OwnedFd connection(co_await OrReturn(io::Accept(listener.fd.get())));
      co_await OrReturn(Write(connection.get(), "welcome"));
      co_return co_await Close(connection);
    };
    const auto ask = [&]() -> Task<absl::Status> {
      co_await OrReturn(io::Connect(client.get(), listener.name(), sizeof(sockaddr_in)));
      co_await OrReturn(Read(client.get(), "welcome"));
      co_return co_await Close(client);
    };
    const auto body = [&]() -> Task<absl::Status> {
      co_return co_await SideBySide(serve(), ask());
    };
    return RunUnderFaults(GetParam(), arm, body);
  };
  RunFaultMatrix({.short_transfers = false,
                  .reaches = {FaultInjection::kAccept, FaultInjection::kConnect,
                              FaultInjection::kReceive, FaultInjection::kSend},
                  .left_out = LeftOutOf(GetParam())},
                 scenario);
}

Task<absl::Status> MoveMessage(bool send, int fd) {
  GuardedBuffer buffer(absl::string_view("datagram"));
  iovec part{.iov_base = buffer.data(), .iov_len = buffer.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  absl::StatusOr<size_t> size;
  if (send) {
    size = co_await io::SendMessage(fd, &message);
  } else {
    size = co_await io::ReceiveMessage(fd, &message);
  }
  EXPECT_TRUE(!size.ok() || *size == buffer.size());
  co_return size.status();
}

TEST_P(OperationFaultsTest, MessagesBetweenDatagramSockets) {
  const auto scenario = [&](const ArmFaults& arm) -> absl::Status {
    FdPair pair = MakeSocketPair(SOCK_DGRAM);
    const auto body = [&]() -> Task<absl::Status> {
      co_return co_await Gather(MoveMessage(false, pair.first.get()),
                                MoveMessage(true, pair.second.get()));
    };
    return RunUnderFaults(GetParam(), arm, body);
  };
  RunFaultMatrix({.reaches = {FaultInjection::kReceiveMessage, FaultInjection::kSendMessage},
                  .left_out = LeftOutOf(GetParam())},
                 scenario);
}

TEST_P(OperationFaultsTest, FilesByNameAndByDescriptor) {
  const auto scenario = [&](const ArmFaults& arm) -> absl::Status {
    const TestFolder folder;
    const std::string path = folder / "file";
    const std::string other = folder / "other";
    const std::string below = folder / "below";
    const auto body = [&]() -> Task<absl::Status> {
      OwnedFd file(co_await OrReturn(io::Open(path.c_str(), O_RDWR | O_CREAT)));
      co_await OrReturn(Write(file.get(), "hello"));
      GuardedBuffer buffer(5);
      const size_t count = co_await OrReturn(io::ReadAt(file.get(), buffer.span(), 0));
      EXPECT_EQ(buffer.text(count), absl::string_view("hello").substr(0, count));
      co_await OrReturn(io::WriteAt(file.get(), absl::MakeConstSpan(buffer.text(count)), 5));
      co_await OrReturn(io::Sync(file.get()));
      sys::RawFileStatus status;
      co_await OrReturn(io::Status(file.get(), &status));
      co_await OrReturn(Close(file));
      co_await OrReturn(io::Status(path.c_str(), &status));
      co_await OrReturn(io::Rename(path.c_str(), other.c_str()));
      co_await OrReturn(io::Unlink(other.c_str()));
      co_await OrReturn(io::MakeDirectory(below.c_str()));
      co_return co_await io::RemoveDirectory(below.c_str());
    };
    return RunUnderFaults(GetParam(), arm, body);
  };
  RunFaultMatrix(
      {.reaches = {FaultInjection::kOpen, FaultInjection::kReadAt, FaultInjection::kWriteAt,
                   FaultInjection::kWrite, FaultInjection::kSync, FaultInjection::kStatus,
                   FaultInjection::kRename, FaultInjection::kUnlink,
                   FaultInjection::kMakeDirectory},
       .left_out = LeftOutOf(GetParam())},
      scenario);
}

}  // namespace
}  // namespace plait
