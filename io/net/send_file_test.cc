// Traps: a cancel that races completion (between two pieces, and while the peer is slow), a
// descriptor that goes while another thread uses it.
#include "plait/io/net/send_file.h"

#include <errno.h>
#include <poll.h>

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/io/file/open_file.h"
#include "plait/io/net/net_fixture.h"
#include "plait/io/net/partial_bytes.h"
#include "plait/io/net/server.h"
#include "plait/io/net/stream.h"
#include "plait/io/net/stream_fixture.h"
#include "plait/io/ops/owned_descriptor.h"
#include "plait/io/system/fault_injection.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_executors.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/runtime/testing/test_folder.h"

namespace plait {
namespace {

using sys::FaultInjection;
using ::testing::HasSubstr;

using Sent = absl::StatusOr<int64_t>;

// More than the kernel takes from a connection whose peer reads nothing. Made once, as that takes
// longer than all that is done with it.
const std::string& Much() {
  static const std::string* const much = new std::string(Pattern(30'000'000));
  return *much;
}

class SendFileTest : public IoTest {
 protected:
  SendFileTest() : IoTest(/*blocking_threads=*/1), pair_(MakeTcpPair()) {}

  Stream MakeOwn() { return MakeStream(pair_.first); }
  OwnedFd& peer() { return pair_.second; }
  // The peer reads nothing: until the kernel's buffers are full, and the transfer waits.
  static Task<void> UntilFull(const Stream& stream) {
    const auto full = [&stream] {
      pollfd writable{.fd = stream.descriptor(), .events = POLLOUT, .revents = 0};
      return ::poll(&writable, 1, 0) == 0;
    };
    co_await YieldUntil(full);
    for (int i = 0; i < 100; ++i) co_await Yield();
  }
  // All that comes until the end.
  static Task<absl::StatusOr<std::string>> ReadToEnd(Stream& stream) {
    std::string all;
    for (;;) {
      const std::string some = co_await OrReturn(ReadText(stream, 1 << 16));
      if (some.empty()) co_return all;
      all += some;
    }
  }
  const TestFolder& folder() const { return folder_; }

 private:
  FdPair pair_;
  TestFolder folder_;
};

INSTANTIATE_TEST_SUITE_P(AllExecutors, SendFileTest, testing::ValuesIn(AllExecutors()),
                         IoExecutor::Name);

TEST_P(SendFileTest, SendsAWholeFileToASlowPeerBehindWhatWasWrittenBefore) {
  // More than the kernel takes at once.
  const std::string content = Much().substr(0, 12'000'000);
  const std::string path = folder().Write("file", content);
  for (const bool copies : {false, true}) {
    FaultInjection faults;
    const CallsInForce scope(*this, faults);
    if (copies) faults.FailAll(FaultInjection::kSendFile, EINVAL);
    FdPair pair = MakeTcpPair();
    const auto body = [&]() -> Task<absl::Status> {
      Stream client = MakeStream(pair.second);
      const auto send = [&]() -> Task<absl::Status> {
        Stream server = MakeStream(pair.first);
        const File file = co_await OrReturn(OpenFile(path));
        co_await OrReturn(server.Write("header;"));
        const int64_t sent = co_await OrReturn(SendFile(server, file));
        EXPECT_EQ(sent, static_cast<int64_t>(content.size()));
        co_await OrReturn(server.Write(";trailer"));
        co_return co_await server.Close();
      };
      JoinHandle<absl::Status> sending = Spawn(send());
      const std::string received = co_await OrReturn(ReadToEnd(client));
      EXPECT_TRUE(received == "header;" + content + ";trailer");
      co_return co_await sending;
    };
    const absl::Status status = RunTask(body);
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_GT(faults.count(FaultInjection::kSendFile), 0);
  }
}

TEST_P(SendFileTest, SendsAPartAndStopsAtTheEnd) {
  const std::string path = folder().Write("file", "0123456789");
  const auto body = [&]() -> Task<absl::Status> {
    Stream stream = MakeOwn();
    const File file = co_await OrReturn(OpenFile(path));
    struct Part {
      int64_t offset, count;
      absl::string_view text;
    };
    for (const Part& part : {Part{3, 4, "3456"}, Part{8, 100, "89"}, Part{10, 5, ""},
                             Part{100, kToTheEnd, ""}, Part{0, 0, ""}, Part{9, kToTheEnd, "9"}}) {
      const int64_t sent = co_await OrReturn(SendFile(stream, file, part.offset, part.count));
      EXPECT_EQ(sent, static_cast<int64_t>(part.text.size()));
      EXPECT_EQ(ReadExactly(peer().get(), part.text.size()), part.text);
    }
    // Its own position has not moved.
    GuardedBuffer buffer(4);
    const size_t read = co_await OrReturn(file.Read(buffer.span()));
    EXPECT_EQ(buffer.text(read), "0123");
    co_return absl::OkStatus();
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(SendFileTest, WhatIsNoSocketIsWrittenTo) {
  const std::string path = folder().Write("file", "content");
  FdPair pipe = MakePipe();
  const auto body = [&]() -> Task<absl::Status> {
    Stream stream = MakeStream(pipe.second);
    const File file = co_await OrReturn(OpenFile(path));
    const int64_t sent = co_await OrReturn(SendFile(stream, file, 3));
    EXPECT_EQ(sent, 4);
    co_return absl::OkStatus();
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(ReadExactly(pipe.first.get(), 4), "tent");
}

TEST_P(SendFileTest, InterruptedCallsAreMadeAgain) {
  const std::string path = folder().Write("file", "content");
  FaultInjection faults;
  const CallsInForce scope(*this, faults);
  faults.Fail(FaultInjection::kSendFile, EINTR, {.times = 2});
  const auto body = [&]() -> Task<absl::Status> {
    Stream stream = MakeOwn();
    const File file = co_await OrReturn(OpenFile(path));
    const int64_t sent = co_await OrReturn(SendFile(stream, file));
    EXPECT_EQ(sent, 7);
    co_return absl::OkStatus();
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(ReadExactly(peer().get(), 7), "content");
}

TEST_P(SendFileTest, ACancelWhileThePeerIsSlowTellsWhatIsOnItsWay) {
  const std::string& content = Much();
  const std::string path = folder().Write("file", content);
  executor();  // it has descriptors, too
  const int before = OpenDescriptors();
  const auto body = [&]() -> Task<absl::Status> {
    Stream stream = MakeOwn();
    const File file = co_await OrReturn(OpenFile(path));
    JoinHandle<Sent> sending = Spawn(SendFile(stream, file));
    co_await UntilFull(stream);
    sending.Cancel();
    const Sent sent = co_await sending;
    EXPECT_TRUE(absl::IsCancelled(sent.status())) << sent.status();
    const size_t moved = AcceptedBytes(sent.status()).value_or(0);
    // Fewer, where a thread that started had a file open for a moment.
    EXPECT_LE(OpenDescriptors(), before + 1) << "the file; the stream's was there before";
    co_await OrReturn(stream.Close());
    std::string received = ReadExactly(peer().get(), content.size());
    EXPECT_GT(moved, 0u);
    EXPECT_TRUE(received == content.substr(0, moved));
    co_return absl::OkStatus();
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(SendFileTest, AStreamThatIsClosedMeanwhileEndsIt) {
  const std::string path = folder().Write("file", Much());
  const auto body = [&]() -> Task<absl::Status> {
    Stream stream = MakeOwn();
    const File file = co_await OrReturn(OpenFile(path));
    JoinHandle<Sent> sending = Spawn(SendFile(stream, file));
    co_await UntilFull(stream);
    stream.Abort();
    const Sent sent = co_await sending;
    co_return sent.status();
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(absl::IsCancelled(status)) << status;
}

TEST_P(SendFileTest, AServerThatClosesOrAbortsItsClientsEndsItAtOnce) {
  const std::string path = folder().Write("file", Much());
  for (const bool copies : {false, true}) {
    for (const bool aborts : {false, true}) {
      FaultInjection faults;
      const CallsInForce scope(*this, faults);
      if (copies) faults.FailAll(FaultInjection::kSendFile, EINVAL);
      const auto body = [&]() -> Task<absl::Status> {
        absl::Status ended;
        Event handled;
        const auto handler = [&](Stream stream) -> Task<absl::Status> {
          const File file = co_await OrReturn(OpenFile(path));
          const Sent sent = co_await SendFile(stream, file);
          ended = sent.status();
          handled.Set();
          co_return sent.status();
        };
        Server server(ListenLocally(), handler);
        JoinHandle<absl::Status> serving = Spawn(server.Serve());
        Stream client(io::OwnedDescriptor(Dial(server.local_address()).Release()));
        // In the midst of it: on a loop the peer has not kept it waiting yet.
        co_await YieldUntil([&] { return faults.count(FaultInjection::kSendFile) > 0; });
        aborts ? server.AbortClients() : server.CloseClients();
        co_await OrReturn(handled.Wait());
        EXPECT_TRUE(absl::IsCancelled(ended)) << ended;
        // It may have kept the transfer waiting by now: then what the stream had accepted waits for
        // it, too.
        const absl::StatusOr<std::string> received = co_await ReadToEnd(client);
        co_await YieldUntil([&] { return server.connections() == 0; });
        EXPECT_EQ(received.status().code(),
                  aborts ? absl::StatusCode::kUnavailable : absl::StatusCode::kOk)
            << received.status();
        server.Stop();
        co_return co_await serving;
      };
      const absl::Status status = RunTask(body);
      EXPECT_TRUE(status.ok()) << status;
    }
  }
}

TEST_P(SendFileTest, APeerThatResetsIsUnavailable) {
  const std::string path = folder().Write("file", Much());
  const auto body = [&]() -> Task<absl::Status> {
    Stream stream = MakeOwn();
    const File file = co_await OrReturn(OpenFile(path));
    JoinHandle<Sent> sending = Spawn(SendFile(stream, file));
    co_await UntilFull(stream);
    CloseWithReset(std::move(peer()));
    const Sent sent = co_await sending;
    co_return sent.status();
  };
  const absl::Status status = RunTask(body);
  // The first to notice has ECONNRESET, whoever comes later EPIPE.
  EXPECT_TRUE(absl::IsUnavailable(status) || absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(status.message(), HasSubstr("file\" to 127.0.0.1:"));
  EXPECT_THAT(status.message(), HasSubstr(" bytes: "));
}

TEST_P(SendFileTest, BadArgumentsAndClosedHandlesAreRefused) {
  const std::string path = folder().Write("file", "content");
  const auto body = [&]() -> Task<absl::Status> {
    Stream stream = MakeOwn();
    File file = co_await OrReturn(OpenFile(path));
    const Sent offset = co_await SendFile(stream, file, -1);
    EXPECT_TRUE(absl::IsInvalidArgument(offset.status())) << offset.status();
    EXPECT_THAT(offset.status().message(), HasSubstr("the offset -1 is negative"));
    const Sent count = co_await SendFile(stream, file, 0, -2);
    EXPECT_TRUE(absl::IsInvalidArgument(count.status())) << count.status();
    co_await OrReturn(file.Close());
    const Sent closed = co_await SendFile(stream, file);
    EXPECT_TRUE(absl::IsFailedPrecondition(closed.status())) << closed.status();
    EXPECT_THAT(closed.status().message(), HasSubstr("the file is closed"));
    file = co_await OrReturn(OpenFile(path));
    stream.Abort();
    const Sent nowhere = co_await SendFile(stream, file);
    EXPECT_TRUE(absl::IsFailedPrecondition(nowhere.status())) << nowhere.status();
    EXPECT_THAT(nowhere.status().message(), HasSubstr("the stream is closed"));
    co_return absl::OkStatus();
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(SendFileTest, WithoutDescriptorsItSaysSo) {
  const std::string path = folder().Write("file", "content");
  FaultInjection faults;
  const CallsInForce scope(*this, faults);
  const auto body = [&]() -> Task<absl::Status> {
    Stream stream = MakeOwn();
    const File file = co_await OrReturn(OpenFile(path));
    faults.FailAll(FaultInjection::kDuplicate, EMFILE);
    const Sent sent = co_await SendFile(stream, file);
    co_return sent.status();
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
}

}  // namespace
}  // namespace plait
