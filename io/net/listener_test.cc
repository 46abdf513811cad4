// Traps: a cancel that races completion (of an Accept), a wake-up lost between the look and the
// park (of an Accept behind a failure, whose connection has had its event).
#include "plait/io/net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/io/net/address.h"
#include "plait/io/net/net_fixture.h"
#include "plait/io/net/stream.h"
#include "plait/io/system/fault_injection.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_reactors.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/runtime/testing/test_folder.h"
#include "plait/runtime/testing/thread_executor.h"

namespace plait {
namespace {

using sys::FaultInjection;
using ::testing::HasSubstr;

using Accepted = absl::StatusOr<Stream>;

class ListenerTest : public NetTest {};

INSTANTIATE_TEST_SUITE_P(AllReactors, ListenerTest, testing::ValuesIn(AllReactors()),
                         ReactorFactory::Name);

// A folder in which the test works, so that the paths in it are short: a Unix socket's may have no
// more than 107 bytes.
class WorkFolder {
 public:
  WorkFolder() : before_(::open(".", O_PATH | O_CLOEXEC)) {
    PLAIT_CHECK(::chdir(folder_.path().c_str()) == 0, "chdir");
  }
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;
  ~WorkFolder() { PLAIT_CHECK(::fchdir(before_.get()) == 0, "fchdir"); }

  void Write(absl::string_view name, absl::string_view content) { folder_.Write(name, content); }

 private:
  TestFolder folder_;
  OwnedFd before_;
};

bool HasIpv6() { return Listen("[::1]:0").ok(); }

TEST_P(ListenerTest, TakesConnectionsOfEveryFamily) {
  WorkFolder folder;
  std::vector<std::string> addresses = {"127.0.0.1:0", "unix:socket",
                                        absl::StrCat("unix:@plait-", ::getpid())};
  if (HasIpv6()) addresses.push_back("[::1]:0");
  for (const std::string& address : addresses) {
    const auto body = [&]() -> Task<absl::Status> {
      Listener listener = co_await OrReturn(Listen(address));
      EXPECT_TRUE(listener.is_open());
      const SocketAddress local = listener.local_address();
      EXPECT_EQ(local.is_ip(), local.port() != 0) << "the one that the system chose";
      const OwnedFd client = Dial(local);
      Stream stream = co_await OrReturn(listener.Accept());
      WriteAll(client.get(), "hello");
      const std::string text = co_await OrReturn(ReadText(stream));
      EXPECT_EQ(text, "hello");
      EXPECT_EQ(stream.peer_address()->family(), local.family());
      EXPECT_EQ(stream.local_address()->ToString(), local.ToString());
      co_return co_await listener.Close();
    };
    const absl::Status status = RunTask(body);
    EXPECT_TRUE(status.ok()) << address << ": " << status;
  }
}

TEST_P(ListenerTest, ConnectionsThatComeLaterWakeAnAcceptAndKeepTheirOrder) {
  const auto body = [&]() -> Task<absl::Status> {
    Listener listener = ListenLocally();
    JoinHandle<Accepted> first = Spawn(listener.Accept());
    JoinHandle<Accepted> second = Spawn(listener.Accept());
    co_await Yield();
    const OwnedFd one = Dial(listener.local_address());
    const OwnedFd two = Dial(listener.local_address());
    Stream from_one = co_await OrReturn(first);
    Stream from_two = co_await OrReturn(second);
    WriteAll(one.get(), "1");
    WriteAll(two.get(), "2");
    const std::string text_one = co_await OrReturn(ReadText(from_one));
    const std::string text_two = co_await OrReturn(ReadText(from_two));
    EXPECT_EQ(text_one, "1");
    EXPECT_EQ(text_two, "2");
    co_return absl::OkStatus();
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
}

TEST(ListenTest, Line40AnAddressThatSomebodyHasIsRefused) {
  const Listener first = ListenLocally();
  const absl::Status second = Listen(first.local_address()).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(second)) << second;
  EXPECT_EQ(second.message(), absl::StrCat("listen on ", first.local_address().ToString(),
                                           ": Address already in use (EADDRINUSE)"));
}

TEST(ListenTest, WithReusePortSeveralShareAnAddress) {
  ListenOptions shared;
  shared.reuse_port = true;
  const Listener first = ListenLocally(shared);
  const absl::StatusOr<Listener> second = Listen(first.local_address(), shared);
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(second->local_address(), first.local_address());
  EXPECT_NE(second->descriptor(), first.descriptor());
}

TEST(ListenTest, WhatIsNoAddressOfThisMachineIsRefusedByName) {
  for (const char* wrong : {"", "nonsense", "127.0.0.1", "127.0.0.1:70000", "127.0.0.1:-1",
                            "localhost:80", "[::1", "unix:", ":80"}) {
    const absl::Status status = Listen(wrong).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << wrong << ": " << status;
    EXPECT_THAT(status.message(), HasSubstr("listen: "));
  }
  const absl::Status none = Listen(SocketAddress()).status();
  EXPECT_TRUE(absl::IsInvalidArgument(none)) << none;
  const absl::Status elsewhere = Listen("192.0.2.1:0").status();
  EXPECT_TRUE(absl::IsUnavailable(elsewhere)) << elsewhere;
  EXPECT_THAT(elsewhere.message(), HasSubstr("listen on 192.0.2.1:0: "));
  ListenOptions options;
  options.backlog = 0;
  const absl::Status backlog = Listen("127.0.0.1:0", options).status();
  EXPECT_TRUE(absl::IsInvalidArgument(backlog)) << backlog;
  const absl::Status folder = Listen("unix:/there/is/no/such/folder/socket").status();
  EXPECT_TRUE(absl::IsNotFound(folder)) << folder;
}

TEST(ListenTest, AFailureLeavesNothingOpen) {
  const int before = OpenDescriptors();
  for (const FaultInjection::Call call :
       {FaultInjection::kSocket, FaultInjection::kSetSocketOption, FaultInjection::kBind,
        FaultInjection::kListen, FaultInjection::kSocketName}) {
    FaultInjection faults;
    const sys::ScopedSystemCalls scope(faults);
    faults.FailNext(call, ENOMEM);
    const absl::Status status = Listen("127.0.0.1:0").status();
    EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
    EXPECT_EQ(OpenDescriptors(), before);
  }
}

TEST(ListenTest, AnIpv6AddressTakesIpv4AsWellUnlessToldOtherwise) {
  if (!HasIpv6()) return;  // there is nothing to be told apart
  const Listener both = Must(Listen("[::]:0"));
  const OwnedFd client = Dial(SocketAddress::Loopback(both.local_address().port()));
  ListenOptions options;
  options.ipv6_only = true;
  const Listener one = Must(Listen("[::]:0", options));
  int value = 0;
  socklen_t size = sizeof(value);
  ASSERT_EQ(::getsockopt(one.descriptor(), IPPROTO_IPV6, IPV6_V6ONLY, &value, &size), 0);
  EXPECT_EQ(value, 1);
}

// --- closing ---

TEST_P(ListenerTest, ClosingEndsWhatWaitsWithCancelled) {
  const auto body = [&]() -> Task<absl::Status> {
    Listener listener = ListenLocally();
    JoinHandle<Accepted> waits = Spawn(listener.Accept());
    co_await Yield();
    co_await OrReturn(listener.Close());
    EXPECT_TRUE(waits.done()) << "line 36: nothing runs after the close completed";
    const Accepted ended = co_await waits;
    EXPECT_TRUE(absl::IsCancelled(ended.status())) << ended.status();
    EXPECT_FALSE(listener.is_open());
    EXPECT_EQ(listener.descriptor(), -1);
    const Accepted closed = co_await listener.Accept();
    EXPECT_TRUE(absl::IsFailedPrecondition(closed.status())) << closed.status();
    co_await OrReturn(listener.Close());
    Listener never;
    const Accepted nothing = co_await never.Accept();
    EXPECT_TRUE(absl::IsFailedPrecondition(nothing.status())) << nothing.status();
    co_return co_await never.Close();
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(ListenerTest, DroppingItEndsWhatWaitsAndMovingItDoesNot) {
  const auto body = [&]() -> Task<absl::Status> {
    std::optional<Listener> listener = ListenLocally();
    const SocketAddress address = listener->local_address();
    JoinHandle<Accepted> waits = Spawn(listener->Accept());
    co_await Yield();
    std::optional<Listener> moved = std::move(listener);
    listener.reset();
    const OwnedFd client = Dial(address);
    const Accepted accepted = co_await waits;
    EXPECT_TRUE(accepted.ok()) << accepted.status();
    JoinHandle<Accepted> again = Spawn(moved->Accept());
    co_await Yield();
    moved.reset();
    const Accepted ended = co_await again;
    EXPECT_TRUE(absl::IsCancelled(ended.status())) << ended.status();
    co_return absl::OkStatus();
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
}

// --- cancelling ---

TEST_P(ListenerTest, ACancelledAcceptTakesNoConnectionAway) {
  const auto body = [&]() -> Task<absl::Status> {
    Listener listener = ListenLocally();
    JoinHandle<Accepted> waits = Spawn(listener.Accept());
    co_await Yield();
    waits.Cancel();
    const Accepted cancelled = co_await waits;
    EXPECT_TRUE(absl::IsCancelled(cancelled.status())) << cancelled.status();
    const OwnedFd client = Dial(listener.local_address());
    const Accepted accepted = co_await listener.Accept();
    co_return accepted.status();
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
}

// At each point where it can come.
TEST_P(ListenerTest, ACancelThatRacesAConnectionLosesNeither) {
  const auto body = [&]() -> Task<void> {
    for (int turns = 0; turns < 300; turns += 10) {
      Listener listener = ListenLocally();
      JoinHandle<Accepted> waits = Spawn(listener.Accept());
      co_await Yield();
      const OwnedFd client = Dial(listener.local_address());
      for (int i = 0; i < turns; ++i) co_await Yield();
      waits.Cancel();
      Accepted accepted = co_await waits;
      if (!accepted.ok()) {
        EXPECT_TRUE(absl::IsCancelled(accepted.status())) << accepted.status();
        accepted = co_await listener.Accept();
      }
      EXPECT_TRUE(accepted.ok()) << accepted.status();
      if (!accepted.ok()) co_return;
      WriteAll(client.get(), "x");
      const absl::StatusOr<std::string> text = co_await ReadText(*accepted);
      EXPECT_TRUE(text.ok() && *text == "x") << text.status();
    }
  };
  RunTask(body);
}

// --- what goes wrong ---

TEST_P(ListenerTest, Line33APeerThatResetsBeforeItIsAcceptedShowsWhenItIsReadFrom) {
  const auto body = [&]() -> Task<absl::Status> {
    Listener listener = ListenLocally();
    CloseWithReset(Dial(listener.local_address()));
    Stream stream = co_await OrReturn(listener.Accept());
    const absl::StatusOr<std::string> text = co_await ReadText(stream);
    EXPECT_TRUE(absl::IsUnavailable(text.status())) << text.status();
    EXPECT_THAT(text.status().message(), HasSubstr("ECONNRESET"));
    co_return absl::OkStatus();
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(ListenerTest, Line42ConnectionsThatAreBrokenArePassedOver) {
  FaultInjection faults;
  const sys::ScopedSystemCalls scope(faults);
  const auto body = [&]() -> Task<absl::Status> {
    Listener listener = ListenLocally();
    const OwnedFd client = Dial(listener.local_address());
    for (const int error : {ECONNABORTED, EPROTO, EHOSTUNREACH, ENETDOWN, EPERM, ETIMEDOUT,
                            ENOPROTOOPT, EHOSTDOWN, ENONET, EOPNOTSUPP, ENETUNREACH}) {
      faults.Fail(FaultInjection::kAccept, error, {.times = 3});
      const OwnedFd one = Dial(listener.local_address());
      Stream stream = co_await OrReturn(listener.Accept());
      EXPECT_TRUE(stream.is_open());
    }
    co_return absl::OkStatus();
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(clock().elapsed(), absl::ZeroDuration()) << "without a pause";
}

TEST_P(ListenerTest, AnErrorThatDoesNotPassEndsAnAccept) {
  FaultInjection faults;
  const sys::ScopedSystemCalls scope(faults);
  for (const int error : {EINVAL, ENOTSOCK, EBADF}) {
    const auto body = [&]() -> Task<absl::Status> {
      Listener listener = ListenLocally();
      const OwnedFd client = Dial(listener.local_address());
      faults.FailNext(FaultInjection::kAccept, error);
      co_return (co_await listener.Accept()).status();
    };
    const absl::Status status = RunTask(body);
    EXPECT_THAT(status.message(), HasSubstr(::strerrorname_np(error)));
  }
}

TEST_P(ListenerTest, Line41WithoutDescriptorsItTriesTenTimesASecondAndRecovers) {
  for (const int error : {EMFILE, ENFILE, ENOBUFS, ENOMEM}) {
    FaultInjection faults;
    const sys::ScopedSystemCalls scope(faults);
    const auto body = [&]() -> Task<absl::Status> {
      Listener listener = ListenLocally();
      const OwnedFd client = Dial(listener.local_address());
      faults.FailAll(FaultInjection::kAccept, error);
      const int64_t before = faults.count(FaultInjection::kAccept);
      // Several that wait share the tries.
      JoinHandle<Accepted> accepting = Spawn(listener.Accept());
      JoinHandle<Accepted> beside = Spawn(listener.Accept());
      co_await OrReturn(Sleep(absl::Seconds(10) - absl::Milliseconds(1)));
      const int64_t tries = faults.count(FaultInjection::kAccept) - before;
      EXPECT_LE(tries, 101);
      EXPECT_GE(tries, 90) << "it goes on trying";
      EXPECT_FALSE(accepting.done());
      faults.Clear(FaultInjection::kAccept);
      const OwnedFd other = Dial(listener.local_address());
      Stream stream = co_await OrReturn(accepting);
      Stream second = co_await OrReturn(beside);
      EXPECT_TRUE(stream.is_open() && second.is_open());
      co_return absl::OkStatus();
    };
    const absl::Status status = RunTask(body);
    EXPECT_TRUE(status.ok()) << status;
  }
}

TEST_P(ListenerTest, AcceptsThatAreGivenUpAndBegunAgainDoNotTryMoreOften) {
  FaultInjection faults;
  const sys::ScopedSystemCalls scope(faults);
  const auto body = [&]() -> Task<absl::Status> {
    Listener listener = ListenLocally();
    const OwnedFd client = Dial(listener.local_address());
    faults.FailAll(FaultInjection::kAccept, EMFILE);
    const int64_t before = faults.count(FaultInjection::kAccept);
    for (int i = 0; i < 100; ++i) {
      const Accepted none = co_await Timeout(absl::Milliseconds(10), listener.Accept());
      EXPECT_TRUE(absl::IsDeadlineExceeded(none.status())) << none.status();
    }
    const int64_t tries = faults.count(FaultInjection::kAccept) - before;
    EXPECT_LE(tries, 11);
    EXPECT_GE(tries, 9) << "those that were given up take no turns of the others";
    faults.Clear(FaultInjection::kAccept);
    const absl::Duration waited = clock().elapsed();
    const Accepted accepted = co_await listener.Accept();
    EXPECT_LE(clock().elapsed() - waited, absl::Milliseconds(100));
    co_return accepted.status();
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(ListenerTest, ConnectionsThatAreAllBrokenDoNotMakeItSpin) {
  FaultInjection faults;
  const sys::ScopedSystemCalls scope(faults);
  const auto body = [&]() -> Task<absl::Status> {
    Listener listener = ListenLocally();
    const OwnedFd client = Dial(listener.local_address());
    faults.FailAll(FaultInjection::kAccept, ECONNABORTED);
    JoinHandle<Accepted> accepting = Spawn(listener.Accept());
    co_await OrReturn(Sleep(absl::Seconds(1)));
    EXPECT_LE(faults.count(FaultInjection::kAccept), 30);
    faults.Clear(FaultInjection::kAccept);
    const Accepted accepted = co_await accepting;
    co_return accepted.status();
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(ListenerTest, AnAcceptThatWaitsForDescriptorsEndsPromptly) {
  FaultInjection faults;
  const sys::ScopedSystemCalls scope(faults);
  const auto body = [&]() -> Task<absl::Status> {
    Listener listener = ListenLocally();
    const OwnedFd client = Dial(listener.local_address());
    faults.FailAll(FaultInjection::kAccept, EMFILE);
    for (const bool by_closing : {false, true}) {
      JoinHandle<Accepted> accepting = Spawn(listener.Accept());
      co_await YieldUntil([&] { return faults.hits(FaultInjection::kAccept) > 0; });
      for (int i = 0; i < 10; ++i) co_await Yield();
      const absl::Duration before = clock().elapsed();
      if (by_closing) {
        co_await OrReturn(listener.Close());
      } else {
        accepting.Cancel();
      }
      const Accepted ended = co_await accepting;
      EXPECT_TRUE(absl::IsCancelled(ended.status())) << ended.status();
      EXPECT_EQ(clock().elapsed(), before);
    }
    co_return absl::OkStatus();
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
}

// No descriptor can be made while it lives.
class NoDescriptorsLeft {
 public:
  NoDescriptorsLeft() {
    PLAIT_CHECK(::getrlimit(RLIMIT_NOFILE, &limit_) == 0, "getrlimit");
    const OwnedFd next(::dup(0));
    PLAIT_CHECK(next.get() >= 0, "dup");
    const rlimit none_left{.rlim_cur = static_cast<rlim_t>(next.get()),
                           .rlim_max = limit_.rlim_max};
    PLAIT_CHECK(::setrlimit(RLIMIT_NOFILE, &none_left) == 0, "setrlimit");
  }
  NoDescriptorsLeft(const NoDescriptorsLeft&) = delete;
  NoDescriptorsLeft& operator=(const NoDescriptorsLeft&) = delete;
  ~NoDescriptorsLeft() { PLAIT_CHECK(::setrlimit(RLIMIT_NOFILE, &limit_) == 0, "setrlimit"); }

 private:
  rlimit limit_{};
};

TEST_P(ListenerTest, Line41TheSystemsOwnLimitIsWaitedForToo) {
  const auto body = [&]() -> Task<absl::Status> {
    Listener listener = ListenLocally();
    // Once with room: what is loaded or made on first use needs descriptors as well.
    const OwnedFd first = Dial(listener.local_address());
    Stream taken = co_await OrReturn(listener.Accept());
    const OwnedFd client = Dial(listener.local_address());
    std::optional<NoDescriptorsLeft> none(std::in_place);
    JoinHandle<Accepted> accepting = Spawn(listener.Accept());
    co_await OrReturn(Sleep(absl::Seconds(2)));
    EXPECT_FALSE(accepting.done());
    none.reset();
    Stream stream = co_await OrReturn(accepting);
    WriteAll(client.get(), "still here");
    const std::string text = co_await OrReturn(ReadText(stream));
    EXPECT_EQ(text, "still here");
    co_return absl::OkStatus();
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
}

TEST(ListenerOutsideTest, AnExecutorWithoutAReactorIsAFailedPrecondition) {
  ThreadExecutor executor;
  Listener listener = ListenLocally();
  const absl::Status status = BlockOn(executor, listener.Accept()).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(status.message(), HasSubstr("no reactor"));
}

// --- the files of Unix sockets ---

TEST(ListenPathTest, TheFileIsRemovedWhenItCloses) {
  WorkFolder folder;
  {
    const Listener listener = Must(Listen("unix:socket"));
    EXPECT_TRUE(PathExists("socket"));
  }
  EXPECT_FALSE(PathExists("socket"));
  ListenOptions keep;
  keep.remove_path = false;
  {
    const Listener listener = Must(Listen("unix:socket", keep));
  }
  EXPECT_TRUE(PathExists("socket"));
}

TEST(ListenPathTest, WhatAServerThatWasKilledLeftBehindIsReplaced) {
  WorkFolder folder;
  ListenOptions options;
  options.remove_path = false;
  {
    const Listener left_behind = Must(Listen("unix:socket", options));
  }
  ListenOptions strict;
  strict.replace_stale_path = false;
  const absl::Status refused = Listen("unix:socket", strict).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  const Listener listener = Must(Listen("unix:socket"));
  const OwnedFd client = Dial(listener.local_address());
}

TEST(ListenPathTest, OneOnWhichSomebodyListensAndWhatIsNoSocketAreLeftAlone) {
  WorkFolder folder;
  const Listener listener = Must(Listen("unix:socket"));
  const absl::Status taken = Listen("unix:socket").status();
  EXPECT_TRUE(absl::IsFailedPrecondition(taken)) << taken;
  const OwnedFd client = Dial(listener.local_address());
  folder.Write("file", "content");
  const absl::Status no_socket = Listen("unix:file").status();
  EXPECT_TRUE(absl::IsFailedPrecondition(no_socket)) << no_socket;
  EXPECT_TRUE(PathExists("file"));
}

TEST(ListenPathTest, AFileThatIsAnothersByNowIsNotRemoved) {
  WorkFolder folder;
  std::optional<Listener> first = Must(Listen("unix:socket"));
  ASSERT_EQ(::unlink("socket"), 0);
  const Listener second = Must(Listen("unix:socket"));
  first.reset();
  EXPECT_TRUE(PathExists("socket"));
  const OwnedFd client = Dial(second.local_address());
}

}  // namespace
}  // namespace plait
