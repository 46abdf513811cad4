// ReactorSuite: kReceiveMessage and kSendMessage: datagrams, addresses, descriptors that come
// along.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "plait/io/ops/operations.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/reactor_suite.h"
#include "plait/runtime/testing/reactor_task_programs.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/sockets.h"

namespace plait {
namespace {

// A message on pages of its own, header, list of parts and all, which nobody can touch any more
// once the operation was delivered.
class MessageMemory {
 public:
  MessageMemory(const std::vector<size_t>& parts, size_t name_size, size_t control_size)
      : header_(sizeof(msghdr)),
        list_(parts.size() * sizeof(iovec)),
        name_(name_size),
        control_(control_size) {
    size_t total = 0;
    for (const size_t size : parts) total += size;
    data_ = std::make_unique<GuardedBuffer>(total);
    size_t begin = 0;
    for (size_t i = 0; i < parts.size(); ++i) {
      list()[i] = {.iov_base = data_->data() + begin, .iov_len = parts[i]};
      begin += parts[i];
    }
    header().msg_iov = list();
    header().msg_iovlen = parts.size();
    header().msg_name = name_size == 0 ? nullptr : name_.data();
    header().msg_namelen = static_cast<socklen_t>(name_size);
    header().msg_control = control_size == 0 ? nullptr : control_.data();
    header().msg_controllen = control_size;
  }

  msghdr& header() const { return *reinterpret_cast<msghdr*>(header_.data()); }
  GuardedBuffer& data() const { return *data_; }
  char* name() const { return name_.data(); }

  void Release() {
    for (GuardedBuffer* buffer : {&header_, &list_, &name_, &control_, data_.get()}) {
      buffer->Release();
    }
  }

 private:
  iovec* list() const { return reinterpret_cast<iovec*>(list_.data()); }

  GuardedBuffer header_;
  GuardedBuffer list_;
  GuardedBuffer name_;
  GuardedBuffer control_;
  std::unique_ptr<GuardedBuffer> data_;
};

struct ReceiveOptions {
  bool address = false;
  size_t descriptors = 0;  // how many there is room for
  int flags = 0;
};

struct ReceiveMessageOperation : TestOperation {
  ReceiveMessageOperation(int fd, const std::vector<size_t>& parts, ReceiveOptions options = {})
      : TestOperation(IoOpcode::kReceiveMessage, fd),
        memory(parts, options.address ? sizeof(sockaddr_in) : 0,
               options.descriptors == 0 ? 0 : CMSG_SPACE(options.descriptors * sizeof(int))) {
    args.message = &memory.header();
    args.flags = static_cast<uint32_t>(options.flags);
    on_delivery = [this] { TakeDown(); };
  }

  MessageMemory memory;
  // What arrived.
  std::string text;
  int flags = 0;
  sockaddr_in from{};
  std::vector<OwnedFd> descriptors;

 private:
  void TakeDown() {
    if (result >= 0) {
      const msghdr& header = memory.header();
      text = std::string(
          memory.data().text(std::min(static_cast<size_t>(result), memory.data().size())));
      flags = header.msg_flags;
      if (header.msg_name != nullptr) memcpy(&from, memory.name(), sizeof(from));
      TakeDescriptors();
    }
    memory.Release();
  }
  void TakeDescriptors() {
    msghdr& header = memory.header();
    for (cmsghdr* control = CMSG_FIRSTHDR(&header); control != nullptr;
         control = CMSG_NXTHDR(&header, control)) {
      if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS) continue;
      const size_t count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (size_t i = 0; i < count; ++i) {
        int passed = -1;
        memcpy(&passed, CMSG_DATA(control) + i * sizeof(int), sizeof(int));
        descriptors.emplace_back(passed);
      }
    }
  }
};

struct SendMessageOperation : TestOperation {
  SendMessageOperation(int fd, const std::vector<std::string>& parts,
                       const sockaddr_in* to = nullptr, const std::vector<int>& descriptors = {})
      : TestOperation(IoOpcode::kSendMessage, fd),
        memory(Sizes(parts), to == nullptr ? 0 : sizeof(*to),
               descriptors.empty() ? 0 : CMSG_SPACE(descriptors.size() * sizeof(int))) {
    char* end = memory.data().data();
    for (const std::string& part : parts) {
      memcpy(end, part.data(), part.size());
      end += part.size();
    }
    if (to != nullptr) memcpy(memory.name(), to, sizeof(*to));
    if (!descriptors.empty()) {
      cmsghdr* const control = CMSG_FIRSTHDR(&memory.header());
      control->cmsg_level = SOL_SOCKET;
      control->cmsg_type = SCM_RIGHTS;
      control->cmsg_len = CMSG_LEN(descriptors.size() * sizeof(int));
      memcpy(CMSG_DATA(control), descriptors.data(), descriptors.size() * sizeof(int));
    }
    args.message = &memory.header();
    args.flags = 0;
    on_delivery = [this] { memory.Release(); };
  }

  static std::vector<size_t> Sizes(const std::vector<std::string>& parts) {
    std::vector<size_t> sizes;
    for (const std::string& part : parts) sizes.push_back(part.size());
    return sizes;
  }

  MessageMemory memory;
};

struct UdpSocket {
  OwnedFd fd;
  sockaddr_in address{};
};

// On a free port of 127.0.0.1.
UdpSocket MakeUdpSocket() {
  UdpSocket made;
  made.fd = OwnedFd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  made.address.sin_family = AF_INET;
  made.address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* const name = reinterpret_cast<sockaddr*>(&made.address);
  socklen_t size = sizeof(made.address);
  PLAIT_CHECK(::bind(made.fd.get(), name, size) == 0, "bind");
  PLAIT_CHECK(::getsockname(made.fd.get(), name, &size) == 0, "getsockname");
  return made;
}

// --- datagrams. Traps: buffer (the header, its list, the address and the control data are the
// kernel's, too), park. Line 49 ---

TEST_P(ReactorSuite, ADatagramArrivesWithTheAddressOfItsSender) {
  UdpSocket receiver = MakeUdpSocket();
  UdpSocket sender = MakeUdpSocket();
  ReceiveMessageOperation receive(receiver.fd.get(), {3, 10}, {.address = true});
  Submit(receive);
  ExpectNothingMore();
  SendMessageOperation send(sender.fd.get(), {"hel", "lo"}, &receiver.address);
  EXPECT_EQ(Do(send), 5);
  Await(receive);
  EXPECT_EQ(receive.result, 5);
  EXPECT_EQ(receive.text, "hello");
  EXPECT_EQ(receive.flags & MSG_TRUNC, 0);
  EXPECT_EQ(receive.from.sin_family, AF_INET);
  EXPECT_EQ(receive.from.sin_port, sender.address.sin_port);
  EXPECT_EQ(receive.from.sin_addr.s_addr, sender.address.sin_addr.s_addr);
  ExpectNothingMore();
}

TEST_P(ReactorSuite, Line49ADatagramThatIsCutOffSaysSoAndHurtsNoOther) {
  UdpSocket receiver = MakeUdpSocket();
  UdpSocket sender = MakeUdpSocket();
  for (const char* text : {"0123456789", "abcdefghij", "next"}) {
    SendMessageOperation send(sender.fd.get(), {text}, &receiver.address);
    EXPECT_EQ(Do(send), static_cast<int32_t>(strlen(text)));
  }
  ReceiveMessageOperation cut(receiver.fd.get(), {4});
  EXPECT_EQ(Do(cut), 4);
  EXPECT_EQ(cut.text, "0123");
  EXPECT_NE(cut.flags & MSG_TRUNC, 0);
  // Asked to, it says how long the datagram was.
  ReceiveMessageOperation measured(receiver.fd.get(), {4}, {.flags = MSG_TRUNC});
  EXPECT_EQ(Do(measured), 10);
  EXPECT_EQ(measured.text, "abcd");
  EXPECT_NE(measured.flags & MSG_TRUNC, 0);
  ReceiveMessageOperation whole(receiver.fd.get(), {4});
  EXPECT_EQ(Do(whole), 4);
  EXPECT_EQ(whole.text, "next");
  EXPECT_EQ(whole.flags & MSG_TRUNC, 0);
}

TEST_P(ReactorSuite, AnEmptyDatagramIsNotTheEnd) {
  UdpSocket receiver = MakeUdpSocket();
  UdpSocket sender = MakeUdpSocket();
  ReceiveMessageOperation empty(receiver.fd.get(), {10}, {.address = true});
  Submit(empty);
  SendMessageOperation send_empty(sender.fd.get(), {}, &receiver.address);
  EXPECT_EQ(Do(send_empty), 0);
  SendMessageOperation send_more(sender.fd.get(), {"more"}, &receiver.address);
  EXPECT_EQ(Do(send_more), 4);
  Await(empty);
  EXPECT_EQ(empty.result, 0);
  EXPECT_EQ(empty.from.sin_port, sender.address.sin_port);
  ReceiveMessageOperation more(receiver.fd.get(), {10});
  EXPECT_EQ(Do(more), 4);
}

TEST_P(ReactorSuite, PeekingLeavesTheDatagramThere) {
  FdPair pair = MakeSocketPair(SOCK_DGRAM);
  ReceiveMessageOperation peek(pair.first.get(), {10}, {.flags = MSG_PEEK});
  Submit(peek);
  ExpectNothingMore();
  WriteAll(pair.second.get(), "here");
  Await(peek);
  EXPECT_EQ(peek.text, "here");
  ReceiveMessageOperation take(pair.first.get(), {10});
  EXPECT_EQ(Do(take), 4);
  EXPECT_EQ(take.text, "here");
}

TEST_P(ReactorSuite, DatagramsKeepTheirBoundsAndTheirOrder) {
  FdPair pair = MakeSocketPair(SOCK_SEQPACKET);
  constexpr int kMessages = 500;  // more than fit at once: senders wait for the receiver
  Thread peer = StartThread("peer", [&] {
    for (int i = 0; i < kMessages; ++i) {
      char part[2000];
      const ssize_t size = ::recv(pair.second.get(), part, sizeof(part), 0);
      const std::string expected = Pattern(1 + static_cast<size_t>(i) % 1500, 1);
      EXPECT_TRUE(size >= 0 && absl::string_view(part, static_cast<size_t>(size)) == expected);
    }
  });
  std::deque<SendMessageOperation> sends;
  for (int i = 0; i < kMessages; ++i) {
    sends.emplace_back(pair.first.get(),
                       std::vector<std::string>{Pattern(1 + static_cast<size_t>(i) % 1500, 1)});
    Submit(sends.back());
  }
  for (int i = 0; i < kMessages; ++i) {
    Await(sends[i]);
    EXPECT_EQ(sends[i].result, 1 + i % 1500);
    if (i > 0) {
      EXPECT_GT(sends[i].turn, sends[i - 1].turn);
    }
  }
  peer.join();
}

TEST_P(ReactorSuite, AMessageThatWaitsForAFullUnixReceiverArrivesWhole) {
  const OwnedFd receiver(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const OwnedFd sender(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  auto* const name = reinterpret_cast<sockaddr*>(&address);
  ASSERT_EQ(::bind(receiver.get(), name, sizeof(sa_family_t)), 0);  // the system chooses a name
  socklen_t size = sizeof(address);
  ASSERT_EQ(::getsockname(receiver.get(), name, &size), 0);
  ASSERT_EQ(::connect(sender.get(), name, size), 0);
  int filled = 0;
  while (::send(sender.get(), "x", 1, MSG_DONTWAIT) == 1) ++filled;
  SendMessageOperation message(sender.get(), {"hel", "lo"});
  const GuardedBuffer world("world");
  WriteOperation write(sender.get(), world.text(5));
  Submit(message);
  Submit(write);
  ExpectNothingMore();
  char part[10];
  for (int i = 0; i < filled; ++i) EXPECT_EQ(::recv(receiver.get(), part, sizeof(part), 0), 1);
  Await(message);
  Await(write);
  EXPECT_EQ(message.result, 5);
  EXPECT_EQ(write.result, 5);
  EXPECT_EQ(::recv(receiver.get(), part, sizeof(part), 0), 5);
  EXPECT_EQ(absl::string_view(part, 5), "hello");
  EXPECT_EQ(::recv(receiver.get(), part, sizeof(part), 0), 5);
  EXPECT_EQ(absl::string_view(part, 5), "world");
}

// --- in order with reads and writes. Line 46 ---

TEST_P(ReactorSuite, Line46ReadsAndReceivedMessagesShareOneOrder) {
  FdPair pair = MakeSocketPair();
  std::deque<GuardedBuffer> buffers;
  std::deque<ReadOperation> reads;
  std::deque<ReceiveMessageOperation> messages;
  constexpr size_t kRounds = 20;
  for (size_t i = 0; i < kRounds; ++i) {
    buffers.emplace_back(2);
    Submit(reads.emplace_back(pair.first.get(), buffers.back().span()));
    Submit(messages.emplace_back(pair.first.get(), std::vector<size_t>{1, 2}));
  }
  const std::string data = Pattern(5 * kRounds);
  WriteAll(pair.second.get(), data);
  std::string received;
  int64_t turn = -1;
  for (size_t i = 0; i < kRounds; ++i) {
    Await(reads[i]);
    ASSERT_EQ(reads[i].result, 2);
    EXPECT_GT(reads[i].turn, turn);
    received += std::string(buffers[i].text(2));
    Await(messages[i]);
    ASSERT_EQ(messages[i].result, 3);
    EXPECT_GT(messages[i].turn, reads[i].turn);
    turn = messages[i].turn;
    received += messages[i].text;
  }
  EXPECT_EQ(received, data);
}

TEST_P(ReactorSuite, Line26WritesAndSentMessagesThatHaveToWaitShareOneOrder) {
  FdPair pair = MakeSocketPair();
  const size_t filled = FillUp(pair.first.get());
  std::deque<GuardedBuffer> buffers;
  std::deque<WriteOperation> writes;
  std::deque<SendMessageOperation> messages;
  constexpr size_t kRounds = 20;
  const std::string data = Pattern(5 * kRounds);
  for (size_t i = 0; i < kRounds; ++i) {
    buffers.emplace_back(absl::string_view(data).substr(5 * i, 2));
    Submit(writes.emplace_back(pair.first.get(), buffers.back().text(2)));
    Submit(messages.emplace_back(
        pair.first.get(),
        std::vector<std::string>{data.substr(5 * i + 2, 1), data.substr(5 * i + 3, 2)}));
  }
  ExpectNothingMore();
  EXPECT_EQ(ReadExactly(pair.second.get(), filled).size(), filled);
  for (size_t i = 0; i < kRounds; ++i) {
    Await(writes[i]);
    EXPECT_EQ(writes[i].result, 2);
    Await(messages[i]);
    EXPECT_EQ(messages[i].result, 3);
    EXPECT_GT(messages[i].turn, writes[i].turn);
  }
  EXPECT_EQ(ReadExactly(pair.second.get(), data.size()), data);
}

// --- descriptors that come along ---

TEST_P(ReactorSuite, DescriptorsArePassedAndAreCloseOnExec) {
  FdPair pair = MakeSocketPair();
  FdPair pipe = MakePipe();
  ReceiveMessageOperation receive(pair.first.get(), {10}, {.descriptors = 2});
  Submit(receive);
  ExpectNothingMore();
  SendMessageOperation send(pair.second.get(), {"take"}, nullptr,
                            {pipe.first.get(), pipe.second.get()});
  EXPECT_EQ(Do(send), 4);
  Await(receive);
  EXPECT_EQ(receive.text, "take");
  EXPECT_EQ(receive.flags & MSG_CTRUNC, 0);
  ASSERT_EQ(receive.descriptors.size(), 2u);
  for (const OwnedFd& passed : receive.descriptors) {
    EXPECT_EQ(::fcntl(passed.get(), F_GETFD), FD_CLOEXEC);
  }
  // The very pipe.
  WriteAll(receive.descriptors[1].get(), "through");
  EXPECT_EQ(ReadExactly(pipe.first.get(), 7), "through");
}

TEST_P(ReactorSuite, DescriptorsThatFindNoRoomAreReportedAndNotLeaked) {
  FdPair pair = MakeSocketPair();
  FdPair pipe = MakePipe();
  const int before = CountOpenDescriptors();
  {
    const int end = pipe.first.get();
    SendMessageOperation send(pair.second.get(), {"x"}, nullptr, {end, end, end, end});
    EXPECT_EQ(Do(send), 1);
    // Room for two, as the kernel counts: what is aligned for one has room for another.
    ReceiveMessageOperation receive(pair.first.get(), {10}, {.descriptors = 1});
    EXPECT_EQ(Do(receive), 1);
    EXPECT_NE(receive.flags & MSG_CTRUNC, 0);
    EXPECT_LT(receive.descriptors.size(), 4u);
    EXPECT_GT(receive.descriptors.size(), 0u);
  }
  EXPECT_EQ(CountOpenDescriptors(), before);
}

TEST_P(ReactorSuite, DescriptorsInFlightAreNotLeakedWhenTheReceiveIsCancelled) {
  FdPair pair = MakeSocketPair();
  FdPair pipe = MakePipe();
  const int before = CountOpenDescriptors();
  for (const int i : ShareOf(100)) {
    ReceiveMessageOperation receive(pair.first.get(), {10}, {.descriptors = 1});
    SendMessageOperation send(pair.second.get(), {"x"}, nullptr, {pipe.first.get()});
    Submit(receive);
    if (i % 3 != 0) {
      EXPECT_EQ(Do(send), 1);
    }
    if (!receive.delivered()) Cancel(receive);
    Await(receive);
    if (i % 3 == 0) {
      EXPECT_EQ(Do(send), 1);
    }
    if (receive.result == -ECANCELED) {
      ReceiveMessageOperation again(pair.first.get(), {10}, {.descriptors = 1});
      EXPECT_EQ(Do(again), 1);
      EXPECT_EQ(again.descriptors.size(), 1u);
    } else {
      EXPECT_EQ(receive.result, 1);
      EXPECT_EQ(receive.descriptors.size(), 1u);
    }
  }
  EXPECT_EQ(CountOpenDescriptors(), before);
}

// --- cancel and close. Traps: race, buffer. Lines 35, 36 ---

TEST_P(ReactorSuite, WaitingMessagesCanBeCancelledAndTouchNothingAfterwards) {
  FdPair pair = MakeSocketPair();
  const size_t filled = FillUp(pair.first.get());
  ReceiveMessageOperation receive(pair.first.get(), {10}, {.descriptors = 1});
  SendMessageOperation send(pair.first.get(), {"never"});
  Submit(receive);
  Submit(send);
  ExpectNothingMore();
  Cancel(receive);
  Cancel(send);
  Cancel(receive);  // again does nothing
  Await(receive);
  Await(send);
  EXPECT_EQ(receive.result, -ECANCELED);
  EXPECT_EQ(send.result, -ECANCELED);
  WriteAll(pair.second.get(), "kept");
  EXPECT_EQ(ReadExactly(pair.second.get(), filled).size(), filled);
  ExpectNothingMore();
  EXPECT_EQ(Drain(pair.second.get()), "");
  EXPECT_EQ(Drain(pair.first.get()), "kept");
}

TEST_P(ReactorSuite, Line35CloseEndsWaitingMessagesOnceAndIsDeliveredLast) {
  FdPair pair = MakeSocketPair();
  FillUp(pair.first.get());
  std::deque<ReceiveMessageOperation> receives;
  std::deque<SendMessageOperation> sends;
  std::vector<TestOperation*> all;
  for (int i = 0; i < 3; ++i) {
    all.push_back(&receives.emplace_back(pair.first.get(), std::vector<size_t>{1}));
    all.push_back(&sends.emplace_back(pair.first.get(), std::vector<std::string>{"x"}));
  }
  for (TestOperation* operation : all) Submit(*operation);
  CloseOperation close(pair.first.Release());
  EXPECT_EQ(Do(close), 0);
  for (TestOperation* operation : all) {
    EXPECT_EQ(operation->deliveries, 1);
    EXPECT_EQ(operation->result, -ECANCELED);
    EXPECT_LT(operation->turn, close.turn);
  }
  pair.second.Reset();
  ExpectNothingMore();
  EXPECT_EQ(reactor().in_flight(), 0u);
}

TEST_P(ReactorSuite, ACancelThatRacesADatagramLosesNone) {
  FdPair pair = MakeSocketPair(SOCK_DGRAM);
  for (const int i : ShareOf(200)) {
    ReceiveMessageOperation receive(pair.first.get(), {5});
    const bool data_first = i % 2 == 0;
    if (data_first) WriteAll(pair.second.get(), "hello");
    Submit(receive);
    if (!data_first) WriteAll(pair.second.get(), "hello");
    if (i % 3 == 0) PollOnce(Deadline::Immediate());
    if (!receive.delivered()) Cancel(receive);
    Await(receive);
    if (receive.result == -ECANCELED) {
      EXPECT_EQ(Drain(pair.first.get()), "hello");
    } else {
      EXPECT_EQ(receive.text, "hello");
      EXPECT_EQ(Drain(pair.first.get()), "");
    }
  }
}

// --- errors. Lines 32, 47 ---

TEST_P(ReactorSuite, Line47MessagesThatCannotBeFailAtOnce) {
  FdPair pipe = MakePipe();
  OwnedFd file = MakeFile("hello");
  UdpSocket udp = MakeUdpSocket();
  OwnedFd tcp = MakeTcpSocket();
  for (const int fd : {pipe.first.get(), pipe.second.get(), file.get()}) {
    ReceiveMessageOperation receive(fd, {1});
    EXPECT_EQ(Do(receive), -ENOTSOCK);
    SendMessageOperation send(fd, {"x"});
    EXPECT_EQ(Do(send), -ENOTSOCK);
  }
  for (const int fd : {-1, 1'000'000}) {
    ReceiveMessageOperation receive(fd, {1});
    EXPECT_EQ(Do(receive), -EBADF);
    SendMessageOperation send(fd, {"x"});
    EXPECT_EQ(Do(send), -EBADF);
  }
  SendMessageOperation nowhere(udp.fd.get(), {"x"});
  EXPECT_EQ(Do(nowhere), -EDESTADDRREQ);
  SendMessageOperation too_long(udp.fd.get(), {std::string(100'000, 'x')}, &udp.address);
  EXPECT_EQ(Do(too_long), -EMSGSIZE);
  ReceiveMessageOperation unconnected(tcp.get(), {1});
  EXPECT_EQ(Do(unconnected), -ENOTCONN);
  ExpectNothingMore();
}

TEST_P(ReactorSuite, Line32AMessageToAPeerThatIsGoneFailsAndRaisesNoSignal) {
  FdPair pair = MakeSocketPair();
  SendMessageOperation first(pair.first.get(), {"x"});
  EXPECT_EQ(Do(first), 1);
  pair.second.Reset();
  SendMessageOperation second(pair.first.get(), {"x"});
  EXPECT_EQ(Do(second), -EPIPE);  // a SIGPIPE would have ended the program
}

TEST_P(ReactorSuite, ADatagramThatNobodyTakesIsReportedToWhoReceivesNext) {
  UdpSocket sender = MakeUdpSocket();
  UdpSocket gone = MakeUdpSocket();
  const sockaddr_in address = gone.address;
  gone.fd.Reset();
  ConnectOperation connect(sender.fd.get(), reinterpret_cast<const sockaddr*>(&address),
                           sizeof(address));
  EXPECT_EQ(Do(connect), 0);
  ReceiveMessageOperation receive(sender.fd.get(), {10});
  Submit(receive);
  ExpectNothingMore();
  SendMessageOperation send(sender.fd.get(), {"hello?"});
  EXPECT_EQ(Do(send), 6);
  Await(receive);
  EXPECT_EQ(receive.result, -ECONNREFUSED);
}

// --- by tasks ---

TEST_P(ReactorSuite, TasksSendAndReceiveMessages) {
  FdPair pair = MakeSocketPair();
  const auto body = [&]() -> Task<void> {
    char sent[] = "from a task";
    iovec out{.iov_base = sent, .iov_len = sizeof(sent)};
    msghdr send{};
    send.msg_iov = &out;
    send.msg_iovlen = 1;
    GuardedBuffer buffer(100);
    iovec in{.iov_base = buffer.data(), .iov_len = buffer.size()};
    msghdr receive{};
    receive.msg_iov = &in;
    receive.msg_iovlen = 1;
    const auto receiving = [&]() -> Task<absl::StatusOr<size_t>> {
      co_return co_await io::ReceiveMessage(pair.first.get(), &receive);
    };
    JoinHandle<absl::StatusOr<size_t>> receiver = Spawn(receiving());
    co_await Yield();
    const absl::StatusOr<size_t> written = co_await io::SendMessage(pair.second.get(), &send);
    EXPECT_TRUE(written.ok() && *written == sizeof(sent)) << written.status();
    const absl::StatusOr<size_t> read = co_await receiver;
    EXPECT_TRUE(read.ok() && *read == sizeof(sent)) << read.status();
    EXPECT_EQ(buffer.text(sizeof(sent)), absl::string_view(sent, sizeof(sent)));

    JoinHandle<absl::StatusOr<size_t>> waiting = Spawn(receiving());
    co_await Yield();
    waiting.Cancel();
    const absl::StatusOr<size_t> cancelled = co_await waiting;
    EXPECT_TRUE(absl::IsCancelled(cancelled.status())) << cancelled.status();
    pair.first.Reset();
    const absl::StatusOr<size_t> refused = co_await io::SendMessage(pair.second.get(), &send);
    EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_TRUE(absl::StrContains(refused.status().message(), "sendmsg (fd ")) << refused.status();
    static_cast<void>(co_await io::Close(pair.second.Release()));
  };
  RunTask(body);
  EXPECT_EQ(loop().io().in_flight(), 0u);
}

}  // namespace
}  // namespace plait
