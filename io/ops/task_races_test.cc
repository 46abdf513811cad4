// Cancel against completion and close against read as tasks see them: JoinHandle::Cancel, Timeout
// and Select over operations, on an event loop over every reactor, 35,000 times each (a fiftieth of
// that under a sanitizer). With io/reactor/reactor_races_test.cc these are a hundred thousand.
//
// Traps: a cancel that races the completion, a buffer freed while the kernel owns it, a wake-up
// lost between check and park. What did arrive is checked byte by byte, and at the end nothing is
// in flight and no descriptor is left.
#include <sys/socket.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/io/ops/operations.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_reactors.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/runtime/testing/races.h"
#include "plait/runtime/testing/reactor_factory.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/schedulers/event_loop/event_loop.h"

namespace plait {
namespace {

using internal::Atomic;
using internal::kAcquire;
using internal::kRelease;

// One read, into a buffer that is out of reach when it has returned.
Task<absl::StatusOr<std::string>> ReadSome(int fd, size_t size) {
  GuardedBuffer buffer(size);
  const absl::StatusOr<size_t> count = co_await io::Read(fd, buffer.span());
  if (!count.ok()) co_return count.status();
  co_return std::string(buffer.text(*count));
}

class TaskRaces : public testing::TestWithParam<ReactorFactory> {
 protected:
  TaskRaces() {
    // The first reactor may leave something for all that follow.
    static_cast<void>(GetParam().make(nullptr));
    descriptors_ = OpenDescriptors();
    loop_ = std::make_unique<EventLoop>(GetParam().make(nullptr));
  }

  void TearDown() override {
    EXPECT_EQ(loop_->io().in_flight(), 0u);
    loop_ = nullptr;
    EXPECT_EQ(OpenDescriptors(), descriptors_);
  }

  // `body` lives until its coroutine has ended, so it may be a lambda with captures.
  template <class Body>
  void RunTask(Body body) {
    BlockOn(*loop_, body());
  }

  // Writes the stream of ByteAt to `fd`, never far ahead of what was taken, and ends it when it is
  // stopped.
  auto Writer(int fd) {
    return [this, fd](Partner& self, Jitter& jitter) {
      while (!self.stopping()) {
        const uint64_t lead = 1 + jitter(2);
        for (int round = 0; sent_ >= taken_.load(kAcquire) + lead && !self.stopping(); ++round) {
          internal::SpinWait(round);
        }
        jitter.Pause();
        char data[8];
        const unsigned size = 1 + jitter(sizeof(data));
        for (unsigned i = 0; i < size; ++i) data[i] = ByteAt(sent_ + i);
        const ssize_t count = ::send(fd, data, size, MSG_DONTWAIT);
        if (count > 0) sent_ += static_cast<uint64_t>(count);
      }
      ::shutdown(fd, SHUT_WR);
    };
  }

  // One outcome: the bytes that come next, or cut short by what `cut` is.
  void Take(const absl::StatusOr<std::string>& read, absl::StatusCode cut) {
    if (!read.ok()) {
      ++cut_short_;
      EXPECT_EQ(read.status().code(), cut) << read.status();
      return;
    }
    ++completed_;
    EXPECT_FALSE(read->empty()) << "the end, though it has not come";
    TakeBytes(*read);
  }
  void TakeBytes(absl::string_view bytes) {
    for (const char byte : bytes) {
      EXPECT_EQ(byte, ByteAt(received_)) << "at " << received_;
      ++received_;
    }
    taken_.store(received_, kRelease);
  }
  // Stops the writer and takes what is left: all that was sent has been received.
  void TakeTheRest(Partner& writer, int fd) {
    writer.Join();
    const auto rest = [&]() -> Task<void> {
      for (;;) {
        const absl::StatusOr<std::string> read = co_await ReadSome(fd, 4096);
        EXPECT_TRUE(read.ok()) << read.status();
        if (!read.ok() || read->empty()) break;
        TakeBytes(*read);
      }
      const absl::Status closed = co_await io::Close(fd);
      EXPECT_TRUE(closed.ok()) << closed;
    };
    RunTask(rest);
    EXPECT_EQ(received_, sent_);
    ExpectBothOutcomes();
  }
  void ExpectBothOutcomes() const {
    if (Races(1000) < 1000) return;  // too few to insist
    EXPECT_GT(cut_short_, 0) << "this raced nothing";
    EXPECT_GT(completed_, 0) << "this raced nothing";
  }

  int descriptors_ = 0;
  std::unique_ptr<EventLoop> loop_;
  Jitter jitter_{RaceSeed()};
  Atomic<uint64_t> taken_{0};
  uint64_t sent_ = 0;      // the partner's until it is joined
  uint64_t received_ = 0;  // the loop's
  int cut_short_ = 0;
  int completed_ = 0;
};

INSTANTIATE_TEST_SUITE_P(AllReactors, TaskRaces, testing::ValuesIn(AllReactors()),
                         ReactorFactory::Name);

TEST_P(TaskRaces, ACancelByAnotherTaskAgainstARead) {
  FdPair pair = MakeSocketPair();
  const int fd = pair.first.Release();
  Partner writer(Writer(pair.second.get()));
  const auto body = [&]() -> Task<void> {
    for (int i = 0, races = Races(8'000); i < races; ++i) {
      JoinHandle<absl::StatusOr<std::string>> reader = Spawn(ReadSome(fd, 1 + jitter_(16)));
      for (unsigned yields = jitter_(4); yields > 0; --yields) co_await Yield();
      jitter_.Pause();
      if (jitter_(8) != 0) reader.Cancel();
      Take(co_await reader, absl::StatusCode::kCancelled);
    }
  };
  RunTask(body);
  TakeTheRest(writer, fd);
}

// The loop may sleep in its reactor when the cancel comes.
TEST_P(TaskRaces, ACancelFromAnotherThreadAgainstARead) {
  FdPair pair = MakeTcpPair();
  const int fd = pair.first.Release();
  Partner writer(Writer(pair.second.get()));
  absl::Mutex mutex;
  TaskHandle current;
  Partner canceller([&](Partner& self, Jitter& jitter) {
    while (!self.stopping()) {
      jitter.Pause();
      TaskHandle handle;
      {
        absl::MutexLock lock(&mutex);
        handle = current;
      }
      if (handle.valid()) handle.Cancel();
    }
  });
  const auto body = [&]() -> Task<void> {
    for (int i = 0, races = Races(8'000); i < races; ++i) {
      JoinHandle<absl::StatusOr<std::string>> reader = Spawn(ReadSome(fd, 1 + jitter_(16)));
      if (jitter_(4) != 0) co_await Yield();
      {
        absl::MutexLock lock(&mutex);
        current = reader;
      }
      Take(co_await reader, absl::StatusCode::kCancelled);
    }
    absl::MutexLock lock(&mutex);
    current = TaskHandle();
  };
  RunTask(body);
  canceller.Join();
  TakeTheRest(writer, fd);
}

TEST_P(TaskRaces, ATimeoutAgainstARead) {
  FdPair pair = MakeTcpPair();
  const int fd = pair.first.Release();
  Partner writer(Writer(pair.second.get()));
  const auto body = [&]() -> Task<void> {
    for (int i = 0, races = Races(6'000); i < races; ++i) {
      Take(co_await Timeout(absl::Nanoseconds(jitter_(20'000)), ReadSome(fd, 1 + jitter_(16))),
           absl::StatusCode::kDeadlineExceeded);
    }
  };
  RunTask(body);
  TakeTheRest(writer, fd);
}

TEST_P(TaskRaces, ASelectThatAnotherBranchMayWinAgainstARead) {
  FdPair pair = MakeSocketPair();
  const int fd = pair.first.Release();
  Partner writer(Writer(pair.second.get()));
  const auto body = [&]() -> Task<void> {
    for (int i = 0, races = Races(5'000); i < races; ++i) {
      auto selected =
          co_await Select(ReadSome(fd, 1 + jitter_(16)), Sleep(absl::Nanoseconds(jitter_(20'000))));
      // Also where the other branch has won: what arrived in spite of the cancel is not lost.
      Take(selected.get<0>(), absl::StatusCode::kCancelled);
    }
  };
  RunTask(body);
  TakeTheRest(writer, fd);
}

TEST_P(TaskRaces, ACloseByAnotherTaskAgainstARead) {
  Atomic<int> handed{-1};  // the other end, on its way to the partner
  Partner peer([&](Partner& self, Jitter& jitter) {
    for (int round = 0;; ++round) {
      const bool last = self.stopping();
      const OwnedFd fd(handed.exchange(-1, internal::kAcqRel));
      if (fd.get() < 0 && last) return;
      if (fd.get() < 0) {
        internal::SpinWait(round);
        continue;
      }
      jitter.Pause();
      if (jitter(4) != 0) ::send(fd.get(), "hello", 5, MSG_DONTWAIT | MSG_NOSIGNAL);
      jitter.Pause();
      round = 0;
    }
  });
  const auto body = [&]() -> Task<void> {
    for (int i = 0, races = Races(8'000); i < races; ++i) {
      FdPair pair = MakeSocketPair();
      const int fd = pair.first.Release();
      JoinHandle<absl::StatusOr<std::string>> reader = Spawn(ReadSome(fd, 5));
      co_await Yield();
      for (int round = 0; handed.load(kAcquire) >= 0; ++round) internal::SpinWait(round);
      handed.store(pair.second.Release(), kRelease);
      jitter_.Pause();
      if (jitter_(2) != 0) {
        const absl::Status slept = co_await Sleep(absl::Nanoseconds(jitter_(20'000)));
        EXPECT_TRUE(slept.ok()) << slept;
      }
      const absl::Status closed = co_await io::Close(fd);
      EXPECT_TRUE(closed.ok()) << closed;
      const absl::StatusOr<std::string> read = co_await reader;
      if (read.ok()) {
        ++completed_;
        EXPECT_TRUE(*read == "hello" || read->empty()) << *read;
      } else {
        ++cut_short_;
        EXPECT_TRUE(absl::IsCancelled(read.status())) << read.status();
      }
    }
  };
  RunTask(body);
  ExpectBothOutcomes();
}

}  // namespace
}  // namespace plait
