#include "plait/io/system/system_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

#include <cstring>
#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "plait/io/system/fault_injection.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/testing/sockets.h"

namespace plait::sys {
namespace {

TEST(SystemCallsTest, ErrorsComeBackAsNegativeErrno) {
  SystemCalls& calls = Calls();
  char byte = 'x';
  EXPECT_EQ(calls.Read(-1, &byte, 1), -EBADF);
  EXPECT_EQ(calls.Write(-1, &byte, 1), -EBADF);
  EXPECT_EQ(calls.ReadAt(-1, &byte, 1, 0), -EBADF);
  EXPECT_EQ(calls.WriteAt(-1, &byte, 1, 0), -EBADF);
  EXPECT_EQ(calls.Receive(-1, &byte, 1), -EBADF);
  EXPECT_EQ(calls.Send(-1, &byte, 1), -EBADF);
  EXPECT_EQ(calls.Accept(-1, nullptr, nullptr), -EBADF);
  EXPECT_EQ(calls.Connect(-1, nullptr, 0), -EBADF);
  EXPECT_EQ(calls.Close(-1), -EBADF);
  EXPECT_EQ(calls.Socket(-1, 0, 0), -EAFNOSUPPORT);
  EXPECT_EQ(calls.Bind(-1, nullptr, 0), -EBADF);
  EXPECT_EQ(calls.Listen(-1, 1), -EBADF);
  EXPECT_EQ(calls.SocketError(-1), -EBADF);
  EXPECT_EQ(calls.SocketProtocol(-1), -EBADF);
  EXPECT_EQ(calls.SetNonBlocking(-1), -EBADF);
  EXPECT_EQ(calls.SignalEventFd(-1), -EBADF);
  EXPECT_EQ(calls.EpollControl(-1, EPOLL_CTL_ADD, -1, nullptr), -EFAULT);
  epoll_event event;
  EXPECT_EQ(calls.EpollWait(-1, &event, 1, nullptr), -EBADF);
}

TEST(SystemCallsTest, WhatASocketIsTellsItsProtocol) {
  FdPair unix = MakeSocketPair();
  FdPair pipe = MakePipe();
  OwnedFd tcp = MakeTcpSocket();
  EXPECT_EQ(Calls().SocketProtocol(tcp.get()), IPPROTO_TCP);
  EXPECT_NE(Calls().SocketProtocol(unix.first.get()), IPPROTO_TCP);
  EXPECT_GE(Calls().SocketProtocol(unix.first.get()), 0);
  EXPECT_EQ(Calls().SocketProtocol(pipe.first.get()), -ENOTSOCK);
}

TEST(SystemCallsTest, TransfersOfASocketNeverBlockHoweverItIsSet) {
  FdPair pair = MakeSocketPair();  // blocking
  char byte = 'x';
  EXPECT_EQ(Calls().Receive(pair.first.get(), &byte, 1), -EAGAIN);
  FillUp(pair.first.get());
  EXPECT_EQ(Calls().Send(pair.first.get(), &byte, 1), -EAGAIN);
}

TEST(SystemCallsTest, NewDescriptorsDoNotBlockAndAreNotInherited) {
  const auto expect = [](int fd) {
    ASSERT_GE(fd, 0);
    const OwnedFd owned(fd);
    EXPECT_NE(::fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
    EXPECT_NE(::fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
  };
  expect(Calls().Socket(AF_INET, SOCK_STREAM, 0));
  expect(Calls().EventFd());
  TcpListener listener = MakeTcpListener();
  OwnedFd client = MakeTcpSocket();
  ASSERT_EQ(::connect(client.get(), listener.name(), sizeof(sockaddr_in)), 0);
  expect(Calls().Accept(listener.fd.get(), nullptr, nullptr));
}

TEST(SystemCallsTest, Line40AnAddressInUseIsReported) {
  TcpListener taken = MakeTcpListener();
  OwnedFd other = MakeTcpSocket();
  EXPECT_EQ(Calls().Bind(other.get(), taken.name(), sizeof(sockaddr_in)), -EADDRINUSE);
}

// --- SIGPIPE. Line 32 ---

bool Pending(int signal) {
  sigset_t pending;
  ::sigpending(&pending);
  return ::sigismember(&pending, signal) == 1;
}

bool Blocked(int signal) {
  sigset_t mask;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  return ::sigismember(&mask, signal) == 1;
}

TEST(SystemCallsTest, Line32AWriteToAPipeNobodyReadsRaisesNothingAndLeavesTheMaskAlone) {
  ASSERT_NE(::signal(SIGPIPE, SIG_DFL), SIG_ERR);  // fatal
  FdPair pipe = MakePipe();
  pipe.first.Reset();
  EXPECT_EQ(Calls().Write(pipe.second.get(), "x", 1), -EPIPE);
  EXPECT_FALSE(Pending(SIGPIPE));
  EXPECT_FALSE(Blocked(SIGPIPE));
}

TEST(SystemCallsTest, ASigpipeThatIsSomebodyElsesStaysPending) {
  sigset_t pipe_signal;
  ::sigemptyset(&pipe_signal);
  ::sigaddset(&pipe_signal, SIGPIPE);
  ASSERT_EQ(::pthread_sigmask(SIG_BLOCK, &pipe_signal, nullptr), 0);
  ASSERT_EQ(::pthread_kill(::pthread_self(), SIGPIPE), 0);
  FdPair pipe = MakePipe();
  pipe.first.Reset();
  EXPECT_EQ(Calls().Write(pipe.second.get(), "x", 1), -EPIPE);
  EXPECT_TRUE(Pending(SIGPIPE));
  EXPECT_TRUE(Blocked(SIGPIPE));
  const timespec no_wait{};
  EXPECT_EQ(::sigtimedwait(&pipe_signal, nullptr, &no_wait), SIGPIPE);
  ASSERT_EQ(::pthread_sigmask(SIG_UNBLOCK, &pipe_signal, nullptr), 0);
}

TEST(SystemCallsTest, EpollWaitTakesTimeoutsOfEveryLength) {
  const OwnedFd epoll(Calls().EpollCreate());
  const OwnedFd wake(Calls().EventFd());
  epoll_event event{.events = EPOLLIN | EPOLLET, .data = {.fd = wake.get()}};
  ASSERT_EQ(Calls().EpollControl(epoll.get(), EPOLL_CTL_ADD, wake.get(), &event), 0);
  epoll_event found;
  const timespec none{};
  EXPECT_EQ(Calls().EpollWait(epoll.get(), &found, 1, &none), 0);
  const Deadline before = Clock::Real().Now();
  const timespec short_wait{.tv_sec = 0, .tv_nsec = 200'000};
  EXPECT_EQ(Calls().EpollWait(epoll.get(), &found, 1, &short_wait), 0);
  EXPECT_GE(Clock::Real().Now().Since(before), absl::Microseconds(200)) << "woken too early";
  // Every write is an edge, though nobody reads.
  const timespec long_wait{.tv_sec = 9'223'372'036, .tv_nsec = 854'775'807};
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(Calls().SignalEventFd(wake.get()), 0);
    EXPECT_EQ(Calls().EpollWait(epoll.get(), &found, 1, i == 0 ? nullptr : &long_wait), 1);
    EXPECT_EQ(Calls().EpollWait(epoll.get(), &found, 1, &none), 0);
  }
}

// --- putting another system in its place ---

TEST(ScopedSystemCallsTest, AreInForceAsLongAsTheyLive) {
  EXPECT_EQ(&Calls(), &RealSystemCalls());
  {
    FaultInjection faults;
    const ScopedSystemCalls scope(faults);
    EXPECT_EQ(&Calls(), &faults);
  }
  EXPECT_EQ(&Calls(), &RealSystemCalls());
}

TEST(ScopedSystemCallsTest, NestingThemIsAProgrammingError) {
  EXPECT_DEATH(
      {
        FaultInjection faults;
        const ScopedSystemCalls outer(faults);
        const ScopedSystemCalls inner(faults);
      },
      "ScopedSystemCalls do not nest");
}

TEST(FaultInjectionTest, FailsTheCallsThatItWasToldToAndCountsAll) {
  FaultInjection faults;
  FdPair pair = MakeSocketPair();
  faults.Fail(FaultInjection::kSend, ENOBUFS, {.skip = 1, .times = 2});
  EXPECT_EQ(faults.Send(pair.first.get(), "a", 1), 1);
  EXPECT_EQ(faults.Send(pair.first.get(), "b", 1), -ENOBUFS);
  EXPECT_EQ(faults.Send(pair.first.get(), "c", 1), -ENOBUFS);
  EXPECT_EQ(faults.Send(pair.first.get(), "d", 1), 1);
  EXPECT_EQ(faults.count(FaultInjection::kSend), 4);
  EXPECT_EQ(faults.hits(FaultInjection::kSend), 2);
  EXPECT_EQ(Drain(pair.second.get()), "ad") << "a call that fails is not made";
  faults.FailAll(FaultInjection::kSend, EIO);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(faults.Send(pair.first.get(), "x", 1), -EIO);
  faults.Clear(FaultInjection::kSend);
  EXPECT_EQ(faults.Send(pair.first.get(), "x", 1), 1);
}

TEST(FaultInjectionTest, MayBeToldToHitOneDescriptorOnly) {
  FaultInjection faults;
  FdPair pair = MakeSocketPair();
  faults.Fail(FaultInjection::kSend, EIO, {.fd = pair.second.get()});
  EXPECT_EQ(faults.Send(pair.first.get(), "x", 1), 1);
  EXPECT_EQ(faults.Send(pair.second.get(), "x", 1), -EIO);
}

TEST(FaultInjectionTest, ShortensTransfers) {
  FaultInjection faults;
  FdPair pair = MakeSocketPair();
  faults.Shorten(FaultInjection::kSend, 2, {});
  EXPECT_EQ(faults.Send(pair.first.get(), "hello", 5), 2);
  EXPECT_EQ(faults.Send(pair.first.get(), "llo", 3), 3);
  faults.Shorten(FaultInjection::kReceive, 1, {.times = FaultInjection::kAlways});
  char buffer[10];
  EXPECT_EQ(faults.Receive(pair.second.get(), buffer, sizeof(buffer)), 1);
  EXPECT_EQ(Drain(pair.second.get()), "ello");
}

// One that comes in one piece of `room` bytes, and its descriptor.
std::string ReceiveOne(SystemCalls& calls, int fd, size_t room, OwnedFd* descriptor = nullptr) {
  std::string text(room, '?');
  ::iovec part{.iov_base = text.data(), .iov_len = room};
  alignas(::cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  ::msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  const ssize_t count = calls.ReceiveMessage(fd, &message, MSG_DONTWAIT);
  EXPECT_EQ(message.msg_iov, &part) << "the caller's message is as it was";
  EXPECT_EQ(part.iov_len, room);
  if (const ::cmsghdr* const header = CMSG_FIRSTHDR(&message); header != nullptr) {
    int number = -1;
    std::memcpy(&number, CMSG_DATA(header), sizeof(number));
    OwnedFd got(number);
    EXPECT_NE(descriptor, nullptr) << "a descriptor came";
    if (descriptor != nullptr) *descriptor = std::move(got);
  }
  text.resize(count < 0 ? 0 : static_cast<size_t>(count));
  return text;
}

ssize_t SendOne(SystemCalls& calls, int fd, std::string text, int descriptor) {
  ::iovec parts[] = {{}, {.iov_base = text.data(), .iov_len = text.size()}};
  alignas(::cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  ::msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  message.msg_control = control;
  message.msg_controllen = CMSG_LEN(sizeof(int));
  ::cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(header), &descriptor, sizeof(descriptor));
  return calls.SendMessage(fd, &message, 0);
}

TEST(FaultInjectionTest, ShortensMessagesOverUnixStreamsWhoseDescriptorsGoWithTheFirstByte) {
  FaultInjection faults;
  FdPair pair = MakeSocketPair();
  const OwnedFd file = MakeFile("content");
  faults.Shorten(FaultInjection::kSendMessage, 3, {});
  EXPECT_EQ(SendOne(faults, pair.first.get(), "hello", file.get()), 3);
  faults.Shorten(FaultInjection::kReceiveMessage, 1, {});
  OwnedFd arrived;
  EXPECT_EQ(ReceiveOne(faults, pair.second.get(), 10, &arrived), "h");
  EXPECT_EQ(FileContent(arrived.get()), "content");
  EXPECT_EQ(ReceiveOne(faults, pair.second.get(), 10), "el") << "only the next was to be short";
}

TEST(FaultInjectionTest, AMessageThatKeepsItsBordersIsLeftWhole) {
  for (const int type : {SOCK_DGRAM, SOCK_SEQPACKET}) {
    FaultInjection faults;
    FdPair pair = MakeSocketPair(type);
    const OwnedFd file = MakeFile("content");
    for (const FaultInjection::Call call :
         {FaultInjection::kSendMessage, FaultInjection::kReceiveMessage}) {
      faults.Shorten(call, 1, {.times = FaultInjection::kAlways});
    }
    EXPECT_EQ(SendOne(faults, pair.first.get(), "hello", file.get()), 5);
    OwnedFd arrived;
    EXPECT_EQ(ReceiveOne(faults, pair.second.get(), 10, &arrived), "hello");
    EXPECT_GE(arrived.get(), 0);
  }
}

TEST(FaultInjectionTest, ACloseThatFailsClosesAllTheSame) {
  FaultInjection faults;
  FdPair pair = MakeSocketPair();
  faults.FailNext(FaultInjection::kClose, EINTR);
  EXPECT_EQ(faults.Close(pair.first.Release()), -EINTR);
  EXPECT_EQ(ReadExactly(pair.second.get(), 1), "");
}

}  // namespace
}  // namespace plait::sys
