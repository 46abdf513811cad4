// Sending without copies, and the end of it where the kernel says that it copied all the same, or
// that it cannot. The test reads each request before the kernel does, and changes some: so the
// kernel itself answers as an older one, or as one whose device takes the pages as they are.
#include <errno.h>
#include <liburing.h>
#include <sys/mman.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "plait/io/io_uring/io_uring_reactor.h"
#include "plait/io/io_uring/ring.h"
#include "plait/io/net/stream.h"
#include "plait/io/ops/owned_descriptor.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/reactor.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/runtime/testing/test_operation.h"
#include "plait/schedulers/event_loop/event_loop.h"

namespace plait {
namespace {

// Shows each request to `look` before the kernel sees it.
class RequestSpy final : public sys::SystemCalls {
 public:
  std::function<void(io_uring_sqe&)> look;
  int sent_itself = 0;  // calls of send

  ssize_t Send(int fd, const void* data, size_t size) noexcept override {
    ++sent_itself;
    return SystemCalls::Send(fd, data, size);
  }
  int IoUringSetup(unsigned entries, io_uring_params* params) noexcept override {
    const int ring = SystemCalls::IoUringSetup(entries, params);
    if (ring < 0) return ring;
    Requests& requests = rings_[ring];
    requests.queue = Mapping(ring, IORING_OFF_SQ_RING, params->sq_off.array);
    requests.entries = Mapping(ring, IORING_OFF_SQES, params->sq_entries * sizeof(io_uring_sqe));
    requests.head = params->sq_off.head;
    requests.mask = params->sq_entries - 1;
    return ring;
  }
  int IoUringEnter(int ring, unsigned submit, unsigned wait_for, unsigned flags,
                   const void* argument, size_t argument_size) noexcept override {
    const Requests& requests = rings_.at(ring);
    // Where the kernel said, when the ring was made, that it reads these types.
    const unsigned head = *reinterpret_cast<unsigned*>(requests.queue.memory() + requests.head);
    auto* const entries = reinterpret_cast<io_uring_sqe*>(requests.entries.memory());
    for (unsigned i = 0; i < submit; ++i) look(entries[(head + i) & requests.mask]);
    return SystemCalls::IoUringEnter(ring, submit, wait_for, flags, argument, argument_size);
  }

 private:
  // What ring and reactor share, seen from here.
  class Mapping {
   public:
    Mapping() : memory_(nullptr, Unmap()) {}
    Mapping(int ring, uint64_t offset, size_t size)
        : memory_(::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring,
                         static_cast<off_t>(offset)),
                  Unmap{size}) {
      EXPECT_NE(memory_.get(), MAP_FAILED);
    }
    char* memory() const { return static_cast<char*>(memory_.get()); }

   private:
    struct Unmap {
      size_t size = 0;
      void operator()(void* memory) const { ::munmap(memory, size); }
    };
    std::unique_ptr<void, Unmap> memory_;
  };
  struct Requests {
    Mapping queue;
    Mapping entries;
    unsigned head = 0;
    unsigned mask = 0;
  };
  std::map<int, Requests> rings_;
};

class ZeroCopyTest : public testing::Test {
 protected:
  ZeroCopyTest() : scope_(spy_) {
    spy_.look = [this](io_uring_sqe& entry) {
      if (entry.opcode == IORING_OP_SEND) ++copied_;
      if (entry.opcode != IORING_OP_SEND_ZC) return;
      ++without_copy_;
      if (change_) change_(entry);
    };
    options_.without.registered_ring = true;  // so that each call names the ring
    reactor_ = *MakeIoUringReactor(options_);
  }

  // Sends it, and reads it at the other end.
  void SendWhole(const FdPair& pair, size_t size) {
    const std::string data = Pattern(size);
    size_t sent = 0;
    while (sent < size) {
      GuardedBuffer buffer(absl::string_view(data).substr(sent));
      WriteOperation write(pair.first.get(), buffer.text(buffer.size()));
      Do(write);
      buffer.Release();  // right after the delivery it is nobody's
      ASSERT_GT(write.result, 0);
      sent += static_cast<size_t>(write.result);
    }
    EXPECT_TRUE(ReadExactly(pair.second.get(), size) == data);
  }
  void Do(TestOperation& operation) {
    reactor_->Submit(operation);
    while (!operation.delivered()) {
      WorkQueue ready;
      reactor_->Poll(Deadline::Infinite(), Clock::Real(), ready);
      while (WorkItem* item = ready.Pop()) item->run(*item);
    }
    EXPECT_EQ(operation.deliveries, 1);
  }

  IoUringOptions options_{.zero_copy_bytes = 1000};
  RequestSpy spy_;
  sys::ScopedSystemCalls scope_;
  std::unique_ptr<Reactor> reactor_;
  std::function<void(io_uring_sqe&)> change_;  // of those that send without a copy
  int copied_ = 0;                             // requests to send, with a copy
  int without_copy_ = 0;
};

// Over loopback the receiver gets a copy, always.
TEST_F(ZeroCopyTest, WhereTheKernelSaysThatItCopiedTheConnectionIsAskedOnce) {
  const FdPair pair = MakeTcpPair();
  for (int i = 0; i < 10; ++i) SendWhole(pair, 10'000);
  EXPECT_EQ(without_copy_, 1);
  EXPECT_GE(copied_, 9);
}

// One that was not told so is one whose device took the memory as it is.
TEST_F(ZeroCopyTest, WhereNothingWasCopiedItGoesOn) {
  change_ = [](io_uring_sqe& entry) {
    entry.ioprio = static_cast<uint16_t>(entry.ioprio & ~internal::kSendZeroCopyReportUsage);
  };
  const FdPair pair = MakeTcpPair();
  for (int i = 0; i < 10; ++i) SendWhole(pair, 10'000);
  EXPECT_GE(without_copy_, 10);
  EXPECT_EQ(copied_, 0);
}

// Linux 6.0 and 6.1 send without copies, but know no way to say whether they did.
TEST_F(ZeroCopyTest, AKernelThatCannotSayIsNotAskedAgainAndNothingIsLost) {
  change_ = [](io_uring_sqe& entry) {
    entry.ioprio = static_cast<uint16_t>(entry.ioprio | (1U << 15));  // unknown to all kernels
  };
  const FdPair pair = MakeTcpPair();
  for (int i = 0; i < 10; ++i) SendWhole(pair, 10'000);
  EXPECT_EQ(without_copy_, 1);
  EXPECT_GE(copied_, 10);
}

TEST_F(ZeroCopyTest, ASocketThatCannotIsAskedOnce) {
  const FdPair pair = MakeSocketPair();
  for (int i = 0; i < 10; ++i) SendWhole(pair, 10'000);
  EXPECT_EQ(without_copy_, 1);
  EXPECT_GE(copied_, 10);
}

TEST_F(ZeroCopyTest, LittleIsCopied) {
  const FdPair pair = MakeTcpPair();
  for (int i = 0; i < 10; ++i) SendWhole(pair, 999);
  EXPECT_EQ(without_copy_, 0);
  EXPECT_GE(copied_, 10);
}

// What is known of a connection is not known of the next one with its number.
TEST_F(ZeroCopyTest, TheNextConnectionIsAskedAnew) {
  for (int i = 1; i <= 3; ++i) {
    FdPair pair = MakeTcpPair();
    SendWhole(pair, 10'000);
    SendWhole(pair, 10'000);
    CloseOperation close(pair.first.Release());
    Do(close);
    EXPECT_EQ(close.result, 0);
    EXPECT_EQ(without_copy_, i);
  }
}

// Neither by a send of its own nor by its buffer, which would be copies.
TEST_F(ZeroCopyTest, AStreamsWriteIsSentFromItsCallersMemory) {
  change_ = [](io_uring_sqe& entry) {  // as in WhereNothingWasCopiedItGoesOn
    entry.ioprio = static_cast<uint16_t>(entry.ioprio & ~internal::kSendZeroCopyReportUsage);
  };
  FdPair pair = MakeTcpPair();
  const std::string data = Pattern(10'000);
  const auto body = [&]() -> Task<absl::Status> {
    Stream stream(io::OwnedDescriptor(pair.first.Release()));
    for (int i = 0; i < 10; ++i) {
      GuardedBuffer buffer{absl::string_view(data)};
      co_await OrReturn(stream.Write(buffer.text(buffer.size())));
      buffer.Release();
      EXPECT_TRUE(ReadExactly(pair.second.get(), data.size()) == data);
    }
    EXPECT_EQ(spy_.sent_itself, 0);
    co_await OrReturn(stream.Write("little"));
    EXPECT_EQ(spy_.sent_itself, 1);
    co_return co_await stream.Close();
  };
  EventLoop loop(MakeIoUringReactor(options_));
  const absl::Status status = BlockOn(loop, body());
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_GE(without_copy_, 10);
  EXPECT_EQ(copied_, 0);
}

// As over loopback: from then on it sends by itself.
TEST_F(ZeroCopyTest, AStreamWhoseBytesAreCopiedAllTheSameAsksOnce) {
  FdPair pair = MakeTcpPair();
  const std::string data = Pattern(10'000);
  const auto body = [&]() -> Task<absl::Status> {
    Stream stream(io::OwnedDescriptor(pair.first.Release()));
    for (int i = 0; i < 10; ++i) {
      co_await OrReturn(stream.Write(data));
      co_await OrReturn(stream.Flush());
      EXPECT_TRUE(ReadExactly(pair.second.get(), data.size()) == data);
    }
    co_return co_await stream.Close();
  };
  EventLoop loop(MakeIoUringReactor(options_));
  const absl::Status status = BlockOn(loop, body());
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(without_copy_, 1);
  EXPECT_GE(spy_.sent_itself, 9);
}

TEST_F(ZeroCopyTest, ThatNothingMayBeSentWithoutACopyIsTheRule) {
  reactor_ = *MakeIoUringReactor({.without = {.registered_ring = true}});
  const FdPair pair = MakeTcpPair();
  SendWhole(pair, 1'000'000);
  EXPECT_EQ(without_copy_, 0);
}

}  // namespace
}  // namespace plait
