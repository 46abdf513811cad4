// Traps: a cancel that races completion (descriptors that were taken are never lost, or leaked); a
// buffer freed while the kernel owns it (guarded buffers; the control data is the coroutine's).
#include "plait/io/net/descriptor_passing.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "plait/io/net/partial_bytes.h"
#include "plait/io/net/stream_fixture.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_reactors.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/leftovers.h"

namespace plait {
namespace {

class DescriptorPassingTest : public StreamLoopTest {
 protected:
  DescriptorPassingTest() {
    FdPair pair = MakeSocketPair();
    here_ = MakeStream(pair.first);
    there_ = MakeStream(pair.second);
  }
  Stream& here() { return here_; }
  Stream& there() { return there_; }
  // The streams are closed where they were used.
  Task<void> Close() {
    const absl::Status here = co_await here_.Close();
    EXPECT_TRUE(here.ok()) << here;
    there_.Abort();
    for (int i = 0; i < 5; ++i) co_await Yield();
  }

 private:
  Stream here_;
  Stream there_;
};

INSTANTIATE_TEST_SUITE_P(AllReactors, DescriptorPassingTest, testing::ValuesIn(AllReactors()),
                         ReactorFactory::Name);

struct Arrived {
  Arrived() = default;
  Arrived(Arrived&&) = default;
  Arrived& operator=(Arrived&&) = default;

  absl::Status status;
  std::string text;
  std::vector<io::OwnedDescriptor> descriptors;
};

// Into pages that are gone afterwards.
template <class From>
Task<Arrived> Receive(From& from, size_t room = 100, size_t most = kMaxDescriptors) {
  const GuardedBuffer buffer(room);
  absl::StatusOr<ReceivedDescriptors> got = co_await ReceiveDescriptors(from, buffer.span(), most);
  Arrived arrived;
  arrived.status = got.status();
  if (got.ok()) {
    arrived.text = std::string(buffer.text(got->size));
    arrived.descriptors = std::move(got->descriptors);
  }
  co_return arrived;
}

// As g++ 12 takes no braces inside a co_await.
template <class... Fd>
std::vector<int> Fds(Fd... fds) {
  return {fds...};
}

template <class To>
Task<absl::Status> Send(To& to, std::string text, std::vector<int> descriptors) {
  const GuardedBuffer buffer(text);
  co_return co_await SendDescriptors(to, buffer.text(buffer.size()), std::move(descriptors));
}

TEST_P(DescriptorPassingTest, AnOpenFileArrivesAsADescriptorOfItsOwn) {
  const OwnedFd file = MakeFile("in the file");
  const auto body = [&]() -> Task<void> {
    absl::Status sent = co_await SendDescriptor(here(), "take", file.get());
    EXPECT_TRUE(sent.ok()) << sent;
    const Arrived arrived = co_await Receive(there());
    EXPECT_EQ(arrived.text, "take") << arrived.status;
    EXPECT_EQ(arrived.descriptors.size(), 1u);
    const int fd = arrived.descriptors.at(0).get();
    EXPECT_NE(fd, file.get());
    EXPECT_EQ(::fcntl(fd, F_GETFD), FD_CLOEXEC);
    EXPECT_EQ(FileContent(fd), "in the file");
    co_await Close();
  };
  RunTask(body);
  EXPECT_EQ(FileContent(file.get()), "in the file") << "the sender's is its own";
}

TEST_P(DescriptorPassingTest, AReceiveWaitsAndManyArriveInTheirOrder) {
  std::vector<OwnedFd> files;
  std::vector<int> numbers;
  for (size_t i = 0; i < kMaxDescriptors; ++i) {
    files.push_back(MakeFile(absl::StrCat(i)));
    numbers.push_back(files.back().get());
  }
  const int before = OpenDescriptors();
  const auto body = [&]() -> Task<void> {
    JoinHandle<Arrived> receiving = Spawn(Receive(there()));
    for (int i = 0; i < 3; ++i) co_await Yield();
    EXPECT_FALSE(receiving.done());
    absl::Status sent = co_await Send(here(), "many", numbers);
    EXPECT_TRUE(sent.ok()) << sent;
    const Arrived arrived = co_await receiving;
    EXPECT_EQ(arrived.descriptors.size(), kMaxDescriptors) << arrived.status;
    for (size_t i = 0; i < arrived.descriptors.size(); ++i) {
      EXPECT_EQ(FileContent(arrived.descriptors[i].get()), absl::StrCat(i));
    }
    numbers.push_back(numbers.front());
    sent = co_await Send(here(), "too many", numbers);
    EXPECT_EQ(sent, absl::InvalidArgumentError(
                        absl::StrCat("send 254 descriptors (fd ", here().descriptor(),
                                     "): no more than 253 travel together")));
    co_await Close();
  };
  RunTask(body);
  EXPECT_EQ(OpenDescriptors(), before - 2) << "the streams' own two are closed";
}

TEST_P(DescriptorPassingTest, TheyKeepTheirPlaceAmongWhatIsWrittenAndRead) {
  const OwnedFd first = MakeFile("first");
  const OwnedFd second = MakeFile("second");
  const auto body = [&]() -> Task<void> {
    absl::Status sent = co_await here().Write("before ");
    EXPECT_TRUE(sent.ok()) << sent;
    sent = co_await Send(here(), "one ", Fds(first.get()));
    EXPECT_TRUE(sent.ok()) << sent;
    sent = co_await Send(here(), "two ", Fds(second.get()));
    EXPECT_TRUE(sent.ok()) << sent;
    sent = co_await here().Write("after");
    EXPECT_TRUE(sent.ok()) << sent;
    std::string text;
    std::vector<std::string> contents;
    while (text.size() < 20) {
      const Arrived arrived = co_await Receive(there());
      EXPECT_TRUE(arrived.status.ok()) << arrived.status;
      if (!arrived.status.ok()) break;
      text += arrived.text;
      EXPECT_LE(arrived.descriptors.size(), 1u) << "they are not put together";
      for (const io::OwnedDescriptor& descriptor : arrived.descriptors) {
        contents.push_back(FileContent(descriptor.get()));
        EXPECT_EQ(text, contents.size() == 1 ? "before one " : "before one two ");
      }
    }
    EXPECT_EQ(text, "before one two after");
    EXPECT_EQ(contents, std::vector<std::string>({"first", "second"}));
    co_await Close();
  };
  RunTask(body);
}

TEST_P(DescriptorPassingTest, MoreBytesThanFitAtOnceAllArriveAndTheDescriptorsOnce) {
  const OwnedFd file = MakeFile("x");
  const std::string data = Pattern(3'000'000);
  const auto body = [&]() -> Task<void> {
    JoinHandle<absl::Status> sending = Spawn(Send(here(), data, Fds(file.get())));
    std::string text;
    size_t descriptors = 0;
    while (text.size() < data.size()) {
      const Arrived arrived = co_await Receive(there(), /*room=*/100'000);
      EXPECT_TRUE(arrived.status.ok()) << arrived.status;
      if (!arrived.status.ok()) break;
      EXPECT_EQ(arrived.descriptors.size(), text.empty() ? 1u : 0u);
      text += arrived.text;
      descriptors += arrived.descriptors.size();
    }
    const absl::Status sent = co_await sending;
    EXPECT_TRUE(sent.ok()) << sent;
    EXPECT_TRUE(text == data);
    EXPECT_EQ(descriptors, 1u);
    co_await Close();
  };
  RunTask(body);
}

// At each point where it can come.
TEST_P(DescriptorPassingTest, AStreamThatIsClosedBetweenTwoPiecesIsNotTakenForWhoHasItsNumberThen) {
  // The kernel takes it in three pieces, and the third would fit.
  const std::string data = Pattern(500'000);
  const auto body = [&]() -> Task<void> {
    for (int turns = 0; turns < 8; ++turns) {
      FdPair pair = MakeSocketPair();
      Stream stream = MakeStream(pair.first);
      JoinHandle<absl::Status> sending = Spawn(Send(stream, data, Fds()));
      for (int i = 0; i < 10; ++i) co_await Yield();
      EXPECT_FALSE(sending.done());
      std::vector<char> room(data.size());
      while (::recv(pair.second.get(), room.data(), room.size(), MSG_DONTWAIT) > 0) continue;
      for (int i = 0; i < turns; ++i) co_await Yield();
      stream.Abort();
      const FdPair others = MakeSocketPair();
      const absl::Status sent = co_await sending;
      EXPECT_TRUE(absl::IsCancelled(sent)) << sent;
      const size_t accepted = AcceptedBytes(sent).value_or(0);
      EXPECT_TRUE(accepted > 0 && accepted < data.size()) << accepted;
      EXPECT_EQ(::recv(others.second.get(), room.data(), room.size(), MSG_DONTWAIT), -1)
          << "after " << turns << " turns";
    }
    co_await Close();
  };
  RunTask(body);
}

TEST_P(DescriptorPassingTest, NoneAndTheEndArriveAsWell) {
  const auto body = [&]() -> Task<void> {
    const absl::Status sent = co_await Send(here(), "only text", Fds());
    EXPECT_TRUE(sent.ok()) << sent;
    Arrived arrived = co_await Receive(there());
    EXPECT_EQ(arrived.text, "only text");
    EXPECT_TRUE(arrived.descriptors.empty());
    const absl::Status ended = co_await here().ShutdownWrite();
    EXPECT_TRUE(ended.ok()) << ended;
    arrived = co_await Receive(there());
    EXPECT_TRUE(arrived.status.ok()) << arrived.status;
    EXPECT_EQ(arrived.text, "");
    co_await Close();
  };
  RunTask(body);
}

TEST_P(DescriptorPassingTest, WhatTheStreamHasReadAheadComesFirst) {
  const OwnedFd file = MakeFile("x");
  const auto body = [&]() -> Task<void> {
    absl::Status sent = co_await here().Write("a line\nread ahead");
    EXPECT_TRUE(sent.ok()) << sent;
    const absl::StatusOr<std::string> line = co_await there().ReadLine();
    EXPECT_EQ(line.value_or("?"), "a line");
    sent = co_await Send(here(), "taken", Fds(file.get()));
    EXPECT_TRUE(sent.ok()) << sent;
    for (const absl::string_view part : {"read ", "ahead"}) {
      const Arrived ahead = co_await Receive(there(), /*room=*/5);
      EXPECT_EQ(ahead.text, part);
      EXPECT_TRUE(ahead.descriptors.empty());
    }
    const Arrived taken = co_await Receive(there());
    EXPECT_EQ(taken.text, "taken");
    EXPECT_EQ(taken.descriptors.size(), 1u);
    co_await Close();
  };
  RunTask(body);
}

TEST_P(DescriptorPassingTest, SocketsThatKeepMessagesApartPassThemToo) {
  for (const int type : {SOCK_SEQPACKET, SOCK_DGRAM}) {
    const OwnedFd file = MakeFile("x");
    FdPair pair = MakeSocketPair(type);
    io::OwnedDescriptor here(pair.first.Release());
    io::OwnedDescriptor there(pair.second.Release());
    const auto body = [&]() -> Task<void> {
      const int from = here.get();
      const int to = there.get();
      const absl::Status sent = co_await Send(from, "message", Fds(file.get()));
      EXPECT_TRUE(sent.ok()) << sent;
      const Arrived arrived = co_await Receive(to);
      EXPECT_EQ(arrived.text, "message") << arrived.status;
      EXPECT_EQ(arrived.descriptors.size(), 1u);
      static_cast<void>(co_await here.Close());
      static_cast<void>(co_await there.Close());
      for (int i = 0; i < 5; ++i) co_await Yield();
    };
    RunTask(body);
  }
}

// --- too many, and other errors ---

TEST_P(DescriptorPassingTest, MoreThanAskedForAreAllClosedAndTheBytesAreNotLost) {
  const OwnedFd file = MakeFile("x");
  const auto body = [&]() -> Task<void> {
    for (const size_t most : {0, 1, 2, 3}) {
      const int before = OpenDescriptors();
      const int fd = file.get();
      const absl::Status sent = co_await Send(here(), "text", Fds(fd, fd, fd, fd));
      EXPECT_TRUE(sent.ok()) << sent;
      const Arrived arrived = co_await Receive(there(), /*room=*/100, most);
      EXPECT_EQ(arrived.status.code(), absl::StatusCode::kResourceExhausted) << arrived.status;
      EXPECT_EQ(PartialBytes(arrived.status), "text");
      EXPECT_TRUE(absl::StrContains(arrived.status.message(),
                                    absl::StrCat("more came than the ", most, " asked for")))
          << arrived.status;
      for (int i = 0; i < 5; ++i) co_await Yield();
      EXPECT_EQ(OpenDescriptors(), before);
    }
    co_await Close();
  };
  RunTask(body);
}

// As many numbers as are in use now, and `more`.
class ScopedDescriptorLimit {
 public:
  explicit ScopedDescriptorLimit(rlim_t more) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    int highest = 0;
    DIR* const folder = ::opendir("/proc/self/fd");
    while (const dirent* const entry = ::readdir(folder)) {
      const int number = ::atoi(entry->d_name);
      if (number != ::dirfd(folder)) highest = std::max(highest, number);
    }
    ::closedir(folder);
    // All below the highest, so that none is free there.
    for (;;) {
      OwnedFd filler(::dup(0));
      if (filler.get() > highest) break;
      fillers_.push_back(std::move(filler));
    }
    rlimit limit = before_;
    limit.rlim_cur = static_cast<rlim_t>(highest) + 1 + more;
    ::setrlimit(RLIMIT_NOFILE, &limit);
  }
  ~ScopedDescriptorLimit() { ::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
  std::vector<OwnedFd> fillers_;
};

TEST_P(DescriptorPassingTest, MoreThanThisProcessMayOpenAreAllClosedToo) {
  const OwnedFd file = MakeFile("x");
  const auto body = [&]() -> Task<void> {
    const int fd = file.get();
    absl::Status sent = co_await Send(here(), "text", Fds(fd, fd, fd));
    EXPECT_TRUE(sent.ok()) << sent;
    const int before = OpenDescriptors();
    std::optional<ScopedDescriptorLimit> limit(1);
    Arrived arrived = co_await Receive(there());
    limit.reset();
    EXPECT_EQ(arrived.status.code(), absl::StatusCode::kResourceExhausted) << arrived.status;
    EXPECT_EQ(PartialBytes(arrived.status), "text");
    for (int i = 0; i < 5; ++i) co_await Yield();
    EXPECT_EQ(OpenDescriptors(), before);
    sent = co_await Send(here(), "again", Fds(fd, fd, fd));
    EXPECT_TRUE(sent.ok()) << sent;
    arrived = co_await Receive(there());
    EXPECT_EQ(arrived.descriptors.size(), 3u) << arrived.status;
    arrived.descriptors.clear();
    co_await Close();
  };
  RunTask(body);
}

TEST_P(DescriptorPassingTest, WhatCannotBeSentIsRefusedAndSendsNothing) {
  const OwnedFd file = MakeFile("x");
  OwnedFd closed = MakeFile("y");
  const int closed_number = closed.get();
  closed.Reset();
  FdPair tcp_pair = MakeTcpPair();
  Stream tcp = MakeStream(tcp_pair.first);
  const auto body = [&]() -> Task<void> {
    const std::string socket = absl::StrCat(" (fd ", here().descriptor(), "): ");
    absl::Status sent = co_await Send(here(), "", Fds(file.get()));
    EXPECT_EQ(sent, absl::InvalidArgumentError(
                        absl::StrCat("send 1 descriptors", socket,
                                     "descriptors need at least one byte to travel with")));
    sent = co_await Send(here(), "x", Fds(file.get(), closed_number));
    EXPECT_EQ(sent.code(), absl::StatusCode::kFailedPrecondition) << sent;
    EXPECT_EQ(sent.message(),
              absl::StrCat("send 2 descriptors", socket, "Bad file descriptor (EBADF)"));
    EXPECT_EQ(AcceptedBytes(sent), 0u);
    sent = co_await Send(tcp, "x", Fds(file.get()));
    EXPECT_EQ(sent.code(), absl::StatusCode::kInvalidArgument) << sent;
    EXPECT_TRUE(absl::StrContains(sent.message(), "descriptors need a Unix socket")) << sent;
    Arrived arrived = co_await Receive(tcp);
    EXPECT_EQ(arrived.status.code(), absl::StatusCode::kInvalidArgument) << arrived.status;
    sent = co_await Send(here(), "the first", Fds());
    EXPECT_TRUE(sent.ok()) << sent;
    arrived = co_await Receive(there());
    EXPECT_EQ(arrived.text, "the first");
    Stream closed_stream;
    sent = co_await Send(closed_stream, "x", Fds());
    EXPECT_EQ(sent.code(), absl::StatusCode::kFailedPrecondition) << sent;
    arrived = co_await Receive(closed_stream);
    EXPECT_EQ(arrived.status.code(), absl::StatusCode::kFailedPrecondition) << arrived.status;
    there().Abort();
    sent = co_await Send(here(), "x", Fds(file.get()));
    EXPECT_EQ(sent.code(), absl::StatusCode::kFailedPrecondition) << "nobody reads: " << sent;
    tcp.Abort();
    co_await Close();
  };
  RunTask(body);
}

// --- cancellation ---

TEST_P(DescriptorPassingTest, ACancelThatRacesTheirArrivalNeitherLosesNorLeaksThem) {
  const OwnedFd file = MakeFile("x");
  const auto body = [&]() -> Task<void> {
    const int before = OpenDescriptors();
    for (int i = 0; i < 200; ++i) {
      JoinHandle<Arrived> receiving = Spawn(Receive(there()));
      if (i % 3 != 0) co_await Yield();
      const absl::Status sent = co_await Send(here(), "x", Fds(file.get(), file.get()));
      EXPECT_TRUE(sent.ok()) << sent;
      if (i % 4 == 0) co_await Yield();
      receiving.Cancel();
      Arrived arrived = co_await receiving;
      if (!arrived.status.ok()) {
        EXPECT_TRUE(absl::IsCancelled(arrived.status)) << arrived.status;
        arrived = co_await Receive(there());
      }
      EXPECT_EQ(arrived.text, "x");
      EXPECT_EQ(arrived.descriptors.size(), 2u);
    }
    for (int i = 0; i < 5; ++i) co_await Yield();
    EXPECT_EQ(OpenDescriptors(), before);
    co_await Close();
  };
  RunTask(body);
}

TEST_P(DescriptorPassingTest, ACancelledSendSaysHowMuchWasSent) {
  const OwnedFd file = MakeFile("x");
  const std::string data = Pattern(3'000'000);
  const auto body = [&]() -> Task<void> {
    JoinHandle<absl::Status> sending = Spawn(Send(here(), data, Fds(file.get())));
    for (int i = 0; i < 10; ++i) co_await Yield();
    EXPECT_FALSE(sending.done());
    sending.Cancel();
    const absl::Status sent = co_await sending;
    EXPECT_TRUE(absl::IsCancelled(sent)) << sent;
    const size_t accepted = AcceptedBytes(sent).value_or(0);
    EXPECT_GT(accepted, 0u);
    size_t received = 0;
    size_t descriptors = 0;
    while (received < accepted) {
      const Arrived arrived = co_await Receive(there(), /*room=*/100'000);
      EXPECT_TRUE(arrived.status.ok()) << arrived.status;
      if (!arrived.status.ok()) break;
      EXPECT_EQ(arrived.text, data.substr(received, arrived.text.size()));
      received += arrived.text.size();
      descriptors += arrived.descriptors.size();
    }
    EXPECT_EQ(received, accepted);
    EXPECT_EQ(descriptors, 1u);
    co_await Close();
  };
  RunTask(body);
}

}  // namespace
}  // namespace plait
