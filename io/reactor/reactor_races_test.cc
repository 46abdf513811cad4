// Cancel against completion and close against read, on every reactor, 65,000 times each (a fiftieth
// of that under a sanitizer; io/ops/task_races_test.cc has the rest of a hundred thousand). The
// other end of each conversation is on a thread of its own and goes on regardless, so that what is
// cancelled has happened, is happening or has yet to happen.
//
// Traps: race, buffer, reuse (see reactor_suite.h). In each race the operation arrives once; what
// it says of its outcome is true, byte by byte; its buffer is out of reach right afterwards, where
// a system call that came late would end with -EFAULT; and at the end nothing is in flight and no
// descriptor is left.
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/reactor.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/testing/all_reactors.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/runtime/testing/races.h"
#include "plait/runtime/testing/reactor_factory.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/runtime/testing/test_operation.h"

namespace plait {
namespace {

using internal::Atomic;
using internal::kAcqRel;
using internal::kAcquire;
using internal::kRelease;

struct MessageOperation : TestOperation {
  MessageOperation(IoOpcode code, int on_fd, GuardedBuffer& buffer) : TestOperation(code, on_fd) {
    part.iov_base = buffer.data();
    part.iov_len = buffer.size();
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    args.message = &message;
    args.flags = 0;
  }
  iovec part{};
  msghdr message{};
};

// So that thousands of connections do not keep their ports for a minute each.
void CloseWillReset(int fd) {
  const linger now{.l_onoff = 1, .l_linger = 0};
  ASSERT_EQ(::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
}

void DoNotBlock(int fd) { ASSERT_EQ(::fcntl(fd, F_SETFL, O_NONBLOCK), 0); }

// However the test ends, a partner that waits for its end goes home.
struct ShutDownAtTheEnd {
  explicit ShutDownAtTheEnd(const OwnedFd& socket) : fd(socket) {}
  ~ShutDownAtTheEnd() { ::shutdown(fd.get(), SHUT_RDWR); }
  const OwnedFd& fd;
};

class ReactorRaces : public testing::TestWithParam<ReactorFactory> {
 protected:
  ReactorRaces() : reactor_(*GetParam().make(nullptr)) {
    // The first one may leave something for all that follow.
    reactor_ = nullptr;
    descriptors_ = OpenDescriptors();
    reactor_ = *GetParam().make(nullptr);
  }

  void TearDown() override {
    EXPECT_EQ(reactor_->in_flight(), 0u);
    for (int i = 0; i < 32; ++i) EXPECT_EQ(Poll(Deadline::Immediate()), 0) << "it came twice";
    reactor_ = nullptr;
    EXPECT_EQ(OpenDescriptors(), descriptors_);
    RecordProperty("cancelled", cancelled_);
    RecordProperty("completed", completed_);
  }

  // How many operations it delivered.
  int Poll(Deadline deadline) {
    WorkQueue ready;
    reactor_->Poll(deadline, Clock::Real(), ready);
    int count = 0;
    for (; WorkItem* item = ready.Pop(); ++count) item->run(*item);
    return count;
  }
  void Await(const TestOperation& operation) {
    while (!operation.delivered()) Poll(Deadline::Infinite());
    ASSERT_EQ(operation.deliveries, 1);
    ASSERT_NE(operation.result, -EFAULT);
  }
  void LetSomeTimePass() {
    jitter_.Pause();
    for (unsigned polls = jitter_(3); polls > 0; --polls) Poll(Deadline::Immediate());
    jitter_.Pause();
  }
  // Submits it and, some time later, mostly cancels it, unless it has arrived by then. Its result.
  int32_t Race(TestOperation& operation) {
    if (jitter_(2) != 0) {
      reactor_->Submit(operation);
    } else if (reactor_->SubmitOrComplete(operation)) {
      return operation.result;  // no race
    }
    LetSomeTimePass();
    if (!operation.delivered() && jitter_(8) != 0) reactor_->Cancel(operation);
    Await(operation);
    ++(operation.result == -ECANCELED ? cancelled_ : completed_);
    return operation.result;
  }
  void CloseIt(OwnedFd& fd) {
    CloseOperation close(fd.Release());
    reactor_->Submit(close);
    Await(close);
    EXPECT_EQ(close.result, 0);
  }
  // The partner's: waits while it is a few ahead of what this side has taken, so that there is not
  // always something there.
  void StayClose(const Partner& self, Jitter& jitter, uint64_t made) {
    const uint64_t lead = 1 + jitter(2);
    for (int round = 0; made >= taken_.load(kAcquire) + lead && !self.stopping(); ++round) {
      internal::SpinWait(round);
    }
    jitter.Pause();
  }
  void Took(uint64_t count) { taken_.store(taken_.load(kAcquire) + count, kRelease); }

  void ExpectBothOutcomes() const {
    if (Races(1000) < 1000) return;  // too few to insist
    EXPECT_GT(cancelled_, 0) << "no cancel was ever first: this raced nothing";
    EXPECT_GT(completed_, 0) << "every cancel was first: this raced nothing";
  }

  void RaceReads(FdPair pair, int races);
  void RaceWrites(FdPair pair, int races);
  void RaceAccepts(int listener, const sockaddr* address, size_t size, int races);
  void RaceConnects(int listener, const sockaddr* address, size_t size, int races);
  void RaceCloses(bool tcp, int races);

  int descriptors_ = 0;
  std::unique_ptr<Reactor> reactor_;
  Jitter jitter_{RaceSeed()};
  Atomic<uint64_t> taken_{0};
  int cancelled_ = 0;
  int completed_ = 0;
};

INSTANTIATE_TEST_SUITE_P(AllReactors, ReactorRaces, testing::ValuesIn(AllReactors()),
                         ReactorFactory::Name);

// --- cancel against completion ---

void ReactorRaces::RaceReads(FdPair pair, int races) {
  uint64_t sent = 0;
  Partner writer([&](Partner& self, Jitter& jitter) {
    char data[32];
    while (!self.stopping()) {
      const unsigned size = 1 + jitter(sizeof(data));
      for (unsigned i = 0; i < size; ++i) data[i] = ByteAt(sent + i);
      const ssize_t count = ::send(pair.second.get(), data, size, MSG_DONTWAIT);
      if (count > 0) sent += static_cast<uint64_t>(count);
      StayClose(self, jitter, sent);
    }
    ::shutdown(pair.second.get(), SHUT_WR);
  });
  uint64_t received = 0;
  const auto take = [&](const GuardedBuffer& buffer, int32_t count) {
    for (int32_t i = 0; i < count; ++i, ++received) {
      ASSERT_EQ(buffer.data()[i], ByteAt(received)) << "at " << received;
    }
  };
  for (int i = 0; i < races; ++i) {
    GuardedBuffer buffer(1 + jitter_(64));
    ReadOperation read(pair.first.get(), buffer.span());
    const int32_t count = Race(read);
    ASSERT_TRUE(count > 0 || count == -ECANCELED) << count;
    take(buffer, count);
    if (count > 0) Took(static_cast<uint64_t>(count));
    buffer.Release();
  }
  writer.Join();
  for (;;) {
    GuardedBuffer buffer(4096);
    ReadOperation rest(pair.first.get(), buffer.span());
    reactor_->Submit(rest);
    Await(rest);
    ASSERT_GE(rest.result, 0);
    if (rest.result == 0) break;
    take(buffer, rest.result);
  }
  EXPECT_EQ(received, sent);
  CloseIt(pair.first);
  ExpectBothOutcomes();
}

TEST_P(ReactorRaces, ReadsOfAUnixSocketAgainstCancels) {
  RaceReads(MakeSocketPair(), Races(8'000));
}
TEST_P(ReactorRaces, ReadsOfATcpSocketAgainstCancels) { RaceReads(MakeTcpPair(), Races(8'000)); }

void ReactorRaces::RaceWrites(FdPair pair, int races) {
  SetBufferSizes(pair.first.get(), 8192);
  uint64_t received = 0;
  uint64_t wrong = 0;
  Partner reader([&](Partner&, Jitter& jitter) {
    char data[4096];
    for (;;) {
      const ssize_t count = ::recv(pair.second.get(), data, 1 + jitter(sizeof(data)), 0);
      if (count <= 0) return;  // the end, which comes once all that was written has been read
      for (ssize_t i = 0; i < count; ++i) wrong += data[i] != ByteAt(received++) ? 1 : 0;
      jitter.Pause();
    }
  });
  const ShutDownAtTheEnd at_the_end(pair.first);
  uint64_t written = 0;
  for (int i = 0; i < races; ++i) {
    GuardedBuffer buffer(1 + jitter_(4000));
    for (size_t at = 0; at < buffer.size(); ++at) buffer.data()[at] = ByteAt(written + at);
    WriteOperation write(pair.first.get(), buffer.text(buffer.size()));
    const int32_t count = Race(write);
    buffer.Release();
    ASSERT_TRUE(count > 0 || count == -ECANCELED) << count;
    if (count > 0) written += static_cast<uint64_t>(count);
  }
  CloseIt(pair.first);
  reader.Join();
  EXPECT_EQ(received, written);
  EXPECT_EQ(wrong, 0u);
  ExpectBothOutcomes();
}

TEST_P(ReactorRaces, WritesToAUnixSocketAgainstCancels) {
  RaceWrites(MakeSocketPair(), Races(5'000));
}
TEST_P(ReactorRaces, WritesToATcpSocketAgainstCancels) { RaceWrites(MakeTcpPair(), Races(5'000)); }

void ReactorRaces::RaceAccepts(int listener, const sockaddr* address, size_t size, int races) {
  uint64_t connected = 0;
  Partner client([&](Partner& self, Jitter& jitter) {
    while (!self.stopping()) {
      const OwnedFd fd(::socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
      if (address->sa_family == AF_INET) CloseWillReset(fd.get());
      if (::connect(fd.get(), address, static_cast<socklen_t>(size)) == 0) ++connected;
      StayClose(self, jitter, connected);
    }
  });
  uint64_t accepted = 0;
  for (int i = 0; i < races; ++i) {
    AcceptOperation accept(listener);
    const int32_t fd = Race(accept);
    ASSERT_TRUE(fd >= 0 || fd == -ECANCELED) << fd;
    if (fd < 0) continue;
    ++accepted;
    Took(1);
    OwnedFd connection(fd);
    if (jitter_(2) == 0) CloseIt(connection);
  }
  client.Stop();
  // It may be waiting for room in the listener's queue.
  DoNotBlock(listener);
  for (bool ended = false, found = true; !ended || found;) {
    ended = client.ended();
    const OwnedFd rest(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
    found = rest.get() >= 0;
    if (found) ++accepted;
    jitter_.Pause();
  }
  client.Join();
  EXPECT_EQ(accepted, connected);
  ExpectBothOutcomes();
}

TEST_P(ReactorRaces, AcceptsOfUnixConnectionsAgainstCancels) {
  UnixListener listener = MakeUnixListener();
  RaceAccepts(listener.fd.get(), listener.name(), listener.size, Races(5'000));
  CloseIt(listener.fd);
}
TEST_P(ReactorRaces, AcceptsOfTcpConnectionsAgainstCancels) {
  TcpListener listener = MakeTcpListener();
  RaceAccepts(listener.fd.get(), listener.name(), sizeof(listener.address), Races(2'000));
  CloseIt(listener.fd);
}

void ReactorRaces::RaceConnects(int listener, const sockaddr* address, size_t size, int races) {
  DoNotBlock(listener);
  Partner server([&](Partner& self, Jitter& jitter) {
    while (!self.stopping()) {
      const OwnedFd connection(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
      if (connection.get() >= 0 && address->sa_family == AF_INET) CloseWillReset(connection.get());
      jitter.Pause();
    }
  });
  for (int i = 0; i < races; ++i) {
    OwnedFd fd(::socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (address->sa_family == AF_INET) CloseWillReset(fd.get());
    ConnectOperation connect(fd.get(), address, size);
    const int32_t result = Race(connect);
    // A Unix listener whose queue is full says so; and the other end resets what it accepts.
    ASSERT_TRUE(result == 0 || result == -ECANCELED || result == -EAGAIN || result == -ECONNRESET)
        << result;
    CloseIt(fd);
  }
}

TEST_P(ReactorRaces, ConnectsToAUnixListenerAgainstCancels) {
  UnixListener listener = MakeUnixListener();
  RaceConnects(listener.fd.get(), listener.name(), listener.size, Races(3'000));
}
TEST_P(ReactorRaces, ConnectsToATcpListenerAgainstCancels) {
  TcpListener listener = MakeTcpListener();
  RaceConnects(listener.fd.get(), listener.name(), sizeof(listener.address), Races(2'000));
}

TEST_P(ReactorRaces, PollsAgainstCancels) {
  FdPair pair = MakeSocketPair();
  uint64_t sent = 0;
  Partner writer([&](Partner& self, Jitter& jitter) {
    while (!self.stopping()) {
      if (::send(pair.second.get(), "x", 1, MSG_DONTWAIT) == 1) ++sent;
      StayClose(self, jitter, sent);
    }
  });
  uint64_t received = 0;
  uint64_t found_nothing = 0;
  for (int i = 0, races = Races(7'000); i < races; ++i) {
    PollOperation poll(pair.first.get(), kPollReadable);
    const int32_t events = Race(poll);
    ASSERT_TRUE(events == static_cast<int32_t>(kPollReadable) || events == -ECANCELED) << events;
    if (events < 0) continue;
    const std::string data = Drain(pair.first.get());
    if (data.empty()) ++found_nothing;
    received += data.size();
    Took(data.size());
  }
  writer.Join();
  received += Drain(pair.first.get()).size();
  EXPECT_EQ(received, sent);
  // io_uring takes the kernel's word, and that gives it once for each byte: after the byte can be
  // read, so that a poll which began in between, when the byte was taken, may be told of it still.
  // The others ask before they deliver, and nobody else reads here.
  RecordProperty("found_nothing", static_cast<int64_t>(found_nothing));
  const bool takes_its_word = reactor_->name() == "io_uring";
  EXPECT_LE(found_nothing, takes_its_word ? sent : 0) << "it said that there was something";
  CloseIt(pair.first);
  ExpectBothOutcomes();
}

TEST_P(ReactorRaces, ReceivedMessagesAgainstCancels) {
  FdPair pair = MakeSocketPair(SOCK_DGRAM);
  uint64_t sent = 0;
  Partner sender([&](Partner& self, Jitter& jitter) {
    while (!self.stopping()) {
      if (::send(pair.second.get(), &sent, sizeof(sent), MSG_DONTWAIT) > 0) ++sent;
      StayClose(self, jitter, sent);
    }
  });
  uint64_t received = 0;
  const auto take = [&](GuardedBuffer& buffer) {
    ASSERT_EQ(std::memcmp(buffer.data(), &received, sizeof(received)), 0) << received;
    ++received;
  };
  for (int i = 0, races = Races(6'000); i < races; ++i) {
    GuardedBuffer buffer(sizeof(uint64_t));
    MessageOperation receive(IoOpcode::kReceiveMessage, pair.first.get(), buffer);
    const int32_t size = Race(receive);
    ASSERT_TRUE(size == sizeof(uint64_t) || size == -ECANCELED) << size;
    if (size > 0) {
      take(buffer);
      Took(1);
    }
    buffer.Release();
  }
  sender.Join();
  while (received < sent) {
    GuardedBuffer buffer(sizeof(uint64_t));
    ASSERT_EQ(::recv(pair.first.get(), buffer.data(), buffer.size(), MSG_DONTWAIT),
              static_cast<ssize_t>(sizeof(uint64_t)))
        << "message " << received << " of " << sent << " is lost";
    take(buffer);
  }
  CloseIt(pair.first);
  ExpectBothOutcomes();
}

TEST_P(ReactorRaces, SentMessagesAgainstCancels) {
  FdPair pair = MakeSocketPair(SOCK_SEQPACKET);
  SetBufferSizes(pair.first.get(), 4096);
  uint64_t received = 0;
  uint64_t wrong = 0;
  Partner receiver([&](Partner&, Jitter& jitter) {
    uint64_t number = 0;
    while (::recv(pair.second.get(), &number, sizeof(number), 0) > 0) {
      wrong += number != received++ ? 1 : 0;
      jitter.Pause();
    }
  });
  const ShutDownAtTheEnd at_the_end(pair.first);
  uint64_t sent = 0;
  for (int i = 0, races = Races(4'000); i < races; ++i) {
    GuardedBuffer buffer(sizeof(uint64_t));
    std::memcpy(buffer.data(), &sent, sizeof(sent));
    MessageOperation send(IoOpcode::kSendMessage, pair.first.get(), buffer);
    const int32_t size = Race(send);
    buffer.Release();
    ASSERT_TRUE(size == sizeof(uint64_t) || size == -ECANCELED) << size;
    if (size > 0) ++sent;
  }
  CloseIt(pair.first);
  receiver.Join();
  EXPECT_EQ(received, sent);
  EXPECT_EQ(wrong, 0u);
}

// --- close against read ---

void ReactorRaces::RaceCloses(bool tcp, int races) {
  Atomic<int> handed{-1};  // the other end, on its way to the partner
  Partner peer([&](Partner& self, Jitter& jitter) {
    for (int round = 0;; ++round) {
      const bool last = self.stopping();
      const OwnedFd fd(handed.exchange(-1, kAcqRel));
      if (fd.get() < 0) {
        if (last) return;
        internal::SpinWait(round);
        continue;
      }
      round = 0;
      jitter.Pause();
      if (jitter(4) != 0) ::send(fd.get(), "hello", 5, MSG_DONTWAIT | MSG_NOSIGNAL);
      jitter.Pause();
    }
  });
  int64_t turn = 0;
  for (int i = 0; i < races; ++i) {
    FdPair pair = tcp ? MakeTcpPair() : MakeSocketPair();
    if (tcp) CloseWillReset(pair.first.get());
    GuardedBuffer buffer(3);
    GuardedBuffer second_buffer(3);
    ReadOperation read(pair.first.get(), buffer.span());
    ReadOperation second(pair.first.get(), second_buffer.span());
    PollOperation poll(pair.first.get(), kPollReadable);
    CloseOperation close(pair.first.get());
    for (TestOperation* operation :
         {static_cast<TestOperation*>(&read), static_cast<TestOperation*>(&second),
          static_cast<TestOperation*>(&poll), static_cast<TestOperation*>(&close)}) {
      operation->next_turn = &turn;
    }
    for (int round = 0; handed.load(kAcquire) >= 0; ++round) internal::SpinWait(round);
    handed.store(pair.second.Release(), kRelease);
    reactor_->Submit(read);
    reactor_->Submit(second);
    reactor_->Submit(poll);
    LetSomeTimePass();
    pair.first.Release();
    reactor_->Submit(close);
    Await(close);
    EXPECT_EQ(close.result, 0);
    for (const TestOperation* operation :
         {static_cast<const TestOperation*>(&read), static_cast<const TestOperation*>(&second),
          static_cast<const TestOperation*>(&poll)}) {
      ASSERT_EQ(operation->deliveries, 1) << "it comes before the close";
      ASSERT_LT(operation->turn, close.turn);
      ASSERT_TRUE(operation->result >= 0 || operation->result == -ECANCELED ||
                  operation->result == -ECONNRESET)
          << operation->result;
    }
    if (read.result > 0) {
      ASSERT_EQ(buffer.text(3), "hel");
    }
    if (second.result > 0) {
      ASSERT_EQ(second_buffer.text(2), "lo");
    }
    ++(read.result == -ECANCELED ? cancelled_ : completed_);
  }
  peer.Join();
  ExpectBothOutcomes();
}

TEST_P(ReactorRaces, CloseOfAUnixSocketAgainstItsReads) { RaceCloses(false, Races(8'000)); }
TEST_P(ReactorRaces, CloseOfATcpSocketAgainstItsReads) { RaceCloses(true, Races(2'000)); }

}  // namespace
}  // namespace plait
