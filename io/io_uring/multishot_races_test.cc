// Multishots against their stop: data and connections come, from a partner on another thread, while
// a multishot is started, taken from and stopped at any moment. Traps: race, buffer, reuse. At the
// end the kernel has every buffer back, nothing is in flight and no descriptor is left.
#include <sys/socket.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/io/io_uring/io_uring_reactor.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/multishot.h"
#include "plait/runtime/core/reactor.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/runtime/testing/races.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/runtime/testing/test_operation.h"

namespace plait {
namespace {

using internal::Atomic;
using internal::kAcqRel;
using internal::kAcquire;
using internal::kRelease;

// Takes what comes, or some of it, and keeps some of that for a while.
class HalfHeartedOwner final : public MultishotOwner {
 public:
  HalfHeartedOwner(Reactor& reactor, Jitter& jitter) : reactor_(reactor), jitter_(jitter) {}
  ~HalfHeartedOwner() { EXPECT_TRUE(kept_.empty()); }

  void OnShots(Multishot& shots) noexcept override {
    EXPECT_FALSE(stopped_) << "it was told of something after the stop";
    while (jitter_(8) != 0) {
      Shot* const shot = shots.Take();
      if (shot == nullptr) return;
      Look(*shot);
      kept_.push_back(shot);
      if (jitter_(4) != 0) ReturnAll(shots);
    }
  }
  void OnReactorGone(Multishot&) noexcept override { ADD_FAILURE() << "it was stopped"; }

  // What was taken is returned before the stop or after it.
  void Stop(Multishot& shots) {
    if (jitter_(2) != 0) ReturnAll(shots);
    stopped_ = true;
    reactor_.StopMultishot(shots);
    ReturnAll(shots);
  }
  uint64_t received() const { return received_; }

 private:
  void Look(const Shot& shot) {
    if (shot.data == nullptr) {
      OwnedFd connection(shot.result);
      EXPECT_GE(shot.result, 0);
      ++received_;
      return;
    }
    EXPECT_GT(shot.result, 0);
    for (int32_t i = 0; i < shot.result; ++i) {
      EXPECT_EQ(shot.data[i], ByteAt(received_)) << "at " << received_;
      ++received_;
    }
  }
  void ReturnAll(Multishot& shots) {
    for (Shot* const shot : kept_) reactor_.ReturnShot(shots, *shot);
    kept_.clear();
  }

  Reactor& reactor_;
  Jitter& jitter_;
  std::deque<Shot*> kept_;
  uint64_t received_ = 0;
  bool stopped_ = false;
};

class MultishotRaces : public testing::TestWithParam<IoUringOptions> {
 protected:
  MultishotRaces() : descriptors_(OpenDescriptors()), reactor_(*MakeIoUringReactor(GetParam())) {}

  void TearDown() override {
    // What was stopped is the kernel's until it says so.
    const Deadline limit = Clock::Real().Now() + absl::Seconds(30);
    while (MultishotUseOf(*reactor_).armed > 0 && Clock::Real().Now() < limit) {
      Poll(Clock::Real().Now() + absl::Milliseconds(1));
    }
    const IoUringMultishotUse use = MultishotUseOf(*reactor_);
    EXPECT_EQ(use.armed, 0u);
    EXPECT_EQ(use.buffers_with_kernel, use.buffers) << "buffers were not given back";
    EXPECT_EQ(reactor_->in_flight(), 0u);
    reactor_ = nullptr;
    EXPECT_EQ(OpenDescriptors(), descriptors_);
    if (Races(1000) == 1000) {
      EXPECT_GT(received_, 0u) << "this raced nothing";
    }
  }

  void Poll(Deadline deadline) {
    WorkQueue ready;
    reactor_->Poll(deadline, Clock::Real(), ready);
    while (WorkItem* item = ready.Pop()) item->run(*item);
  }
  void LetSomeTimePass() {
    jitter_.Pause();
    for (unsigned polls = jitter_(6); polls > 0; --polls) {
      Poll(Deadline::Immediate());
      jitter_.Pause();
    }
  }

  const int descriptors_;
  std::unique_ptr<Reactor> reactor_;
  Jitter jitter_{RaceSeed()};
  uint64_t received_ = 0;
};

INSTANTIATE_TEST_SUITE_P(
    IoUring, MultishotRaces,
    testing::Values(IoUringOptions{},
                    IoUringOptions{.buffer_size = 16, .first_buffers = 1, .max_buffers = 4},
                    IoUringOptions{.entries = 1}),
    [](const testing::TestParamInfo<IoUringOptions>& info) -> std::string {
      if (info.param.entries == 1) return "TinyQueues";
      return info.param.max_buffers == 4 ? "FewBuffers" : "Defaults";
    });

TEST_P(MultishotRaces, ReceivingAgainstAStopAndAClose) {
  Atomic<int> handed{-1};  // the other end, on its way to the partner
  Partner peer([&](Partner& self, Jitter& jitter) {
    for (int round = 0;; ++round) {
      const bool last = self.stopping();
      const OwnedFd fd(handed.exchange(-1, kAcqRel));
      if (fd.get() < 0 && last) return;
      if (fd.get() < 0) {
        internal::SpinWait(round);
        continue;
      }
      uint64_t sent = 0;
      for (unsigned parts = jitter(6); parts > 0; --parts) {
        char data[40];
        for (uint64_t i = 0; i < sizeof(data); ++i) data[i] = ByteAt(sent + i);
        const ssize_t count =
            ::send(fd.get(), data, 1 + jitter(sizeof(data)), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (count > 0) sent += static_cast<uint64_t>(count);
        jitter.Pause();
      }
      round = 0;
    }
  });
  // Several at once, as buffers are shared.
  struct Conversation {
    OwnedFd fd;
    std::unique_ptr<HalfHeartedOwner> owner;
    Multishot* shots = nullptr;
  };
  std::deque<Conversation> open;
  const auto end_one = [&] {
    Conversation ending = std::move(open.front());
    open.pop_front();
    ending.owner->Stop(*ending.shots);
    received_ += ending.owner->received();
    CloseOperation close(ending.fd.Release());
    reactor_->Submit(close);
    while (!close.delivered()) Poll(Deadline::Infinite());
    EXPECT_EQ(close.result, 0);
  };
  for (int i = 0, races = Races(6'000); i < races; ++i) {
    FdPair pair = MakeSocketPair();
    for (int round = 0; handed.load(kAcquire) >= 0; ++round) internal::SpinWait(round);
    handed.store(pair.second.Release(), kRelease);
    Conversation& added = open.emplace_back();
    added.fd = std::move(pair.first);
    added.owner = std::make_unique<HalfHeartedOwner>(*reactor_, jitter_);
    added.shots = reactor_->StartMultishot(IoOpcode::kRead, added.fd.get(), *added.owner);
    ASSERT_NE(added.shots, nullptr);
    LetSomeTimePass();
    while (open.size() > jitter_(6)) end_one();
  }
  while (!open.empty()) end_one();
}

TEST_P(MultishotRaces, AcceptingAgainstAStop) {
  UnixListener listener = MakeUnixListener();
  Partner client([&](Partner& self, Jitter& jitter) {
    while (!self.stopping()) {
      const OwnedFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      static_cast<void>(::connect(fd.get(), listener.name(), listener.size));
      for (unsigned pauses = jitter(4); pauses > 0; --pauses) jitter.Pause();
    }
  });
  for (int i = 0, races = Races(6'000); i < races; ++i) {
    HalfHeartedOwner owner(*reactor_, jitter_);
    Multishot* const shots = reactor_->StartMultishot(IoOpcode::kAccept, listener.fd.get(), owner);
    ASSERT_NE(shots, nullptr);
    LetSomeTimePass();
    owner.Stop(*shots);
    received_ += owner.received();
  }
  client.Join();
}

}  // namespace
}  // namespace plait
