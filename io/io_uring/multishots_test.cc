// Multishots against a kernel that the test plays: every way in which a completion can end a
// request or leave it going (data, the end, an error, no buffer, a cancel, an interrupt; with
// IORING_CQE_F_MORE and without), at every position, in every order with what the owner does (take,
// return, stop), with a move to another thread and with a close of the descriptor by one that
// cannot stop it. Traps: buffer, race, reuse.
//
// Whatever comes: a request is with the kernel once at most, and is not asked to be cancelled after
// its last completion, nor given to it under a number that may be another's; one that has neither
// ended nor was stopped is with the kernel; the owner
// gets what came in its order, each once, and the end once, behind it; and when it was stopped, all
// that was lent is the kernel's again, and what nobody took is closed.
#include "plait/io/io_uring/multishots.h"

#include <errno.h>
#include <poll.h>

#include <cstdint>
#include <cstring>
#include <deque>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "plait/io/io_uring/io_uring_reactor.h"
#include "plait/io/io_uring/ring.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/core/multishot.h"
#include "plait/runtime/core/work_item.h"

namespace plait::internal {
namespace {

// What can happen next.
enum Step : int {
  kShot,           // a result, and more to come
  kLastShot,       // a result, and the request has ended
  kEnd,            // 0: for a receive the end of the stream
  kEndWithBuffer,  // the same, and a buffer was picked for it
  kReset,          // -ECONNRESET
  kNoBuffer,       // -ENOBUFS
  kCancelled,      // -ECANCELED, asked for or not
  kInterrupted,    // -EINTR
  kTakeAll,        // the owner is told, and takes what there is
  kTakeOne,        // the owner is told, and takes one
  kReturn,         // the owner returns one
  kStop,           // the owner stops it
  kMove,           // another thread goes on: what the kernel has is cancelled
  kMoveUnseen,     // the same, and the old ring did not say so
  kGone,           // its descriptor is closed where it cannot be stopped
  kSteps,
};

// What the kernel and the reactor are to Multishots.
class World final : public MultishotHost, public MultishotOwner, private sys::SystemCalls {
 public:
  World(bool accepts, unsigned max_buffers)
      : accepts_(accepts),
        multishots_(*this, {.buffer_size = 8, .first_buffers = 1, .max_buffers = max_buffers}),
        scope_(*this) {
    shots_ = multishots_.Start(ring_, accepts ? IoOpcode::kAccept : IoOpcode::kRead, 5, *this);
  }
  ~World() { Finish(); }

  // False when it cannot happen now.
  bool Do(Step step) {
    switch (step) {
      case kShot:
      case kLastShot:
        return with_kernel_ && PostShot(step == kShot);
      case kEnd:
        return Post(0, 0, /*has_result=*/!accepts_);
      case kEndWithBuffer:
        return with_kernel_ && !accepts_ && PostEndWithBuffer();
      case kReset:
        return Post(-ECONNRESET);
      case kNoBuffer:
        return Post(-ENOBUFS);
      case kCancelled:
        return Post(-ECANCELED);
      case kInterrupted:
        return Post(-EINTR);
      case kTakeAll:
      case kTakeOne:
        if (queue_.empty()) return false;
        takes_ = step == kTakeAll ? SIZE_MAX : 1;
        Deliver();
        return true;
      case kReturn:
        if (kept_.empty()) return false;
        ReturnOne();
        return true;
      case kStop:
        if (stopped_) return false;
        Stop();
        return true;
      case kMove:
      case kMoveUnseen:
        MoveToAnotherRing(step == kMove);
        return true;
      case kGone:
        // It is its owner who says so.
        if (stopped_ || shots_->descriptor_gone()) return false;
        shots_->DescriptorGone();
        return true;
      case kSteps:
        break;
    }
    return false;
  }

  void ExpectAlive() const {
    if (stopped_) return;
    if (!shots_->ended()) {
      EXPECT_TRUE(with_kernel_) << "nothing will ever come";
    }
    if (shots_->has_shots() || (shots_->ended() && !told_of_end_)) {
      // Who was told and left some takes them when he likes.
      EXPECT_TRUE(!queue_.empty() || was_told_) << "its owner is not told";
    }
    if (!shots_->ended() && kept_.size() + posted_.size() >= Multishot::kMaxUntaken) {
      EXPECT_TRUE(cancel_asked_) << "it goes on, though nobody takes what comes";
    }
  }

 private:
  // --- the kernel ---
  int IoUringRegister(int, unsigned what, const void* argument, unsigned) noexcept override {
    EXPECT_EQ(what, IORING_REGISTER_PBUF_RING);
    const auto& registration = *static_cast<const io_uring_buf_reg*>(argument);
    // A number by the kernel's interface.
    buffers_ = reinterpret_cast<io_uring_buf_ring*>(registration.ring_addr);
    entries_ = registration.ring_entries;
    head_ = 0;
    return 0;
  }
  int Close(int fd) noexcept override {
    EXPECT_EQ(open_.erase(fd), 1u) << "it is not open";
    return 0;
  }
  bool has_buffer() const { return buffers_ != nullptr && head_ != buffers_->tail; }

  void Complete(int32_t result, unsigned flags) {
    if ((flags & IORING_CQE_F_MORE) == 0) with_kernel_ = cancel_asked_ = false;
    io_uring_cqe completion{};
    completion.res = result;
    completion.flags = flags;
    multishots_.Completed(*shots_, completion);
  }
  bool Post(int32_t result, unsigned flags = 0, bool has_result = true) {
    if (!with_kernel_ || !has_result) return false;
    Complete(result, flags);
    return true;
  }
  unsigned PickBuffer(char** data) {
    const io_uring_buf& buffer = buffers_->bufs[head_++ & (entries_ - 1)];
    *data = reinterpret_cast<char*>(buffer.addr);  // a number by the kernel's interface
    return IORING_CQE_F_BUFFER | (unsigned{buffer.bid} << IORING_CQE_BUFFER_SHIFT);
  }
  bool PostShot(bool more) {
    const unsigned flags = more ? IORING_CQE_F_MORE : 0u;
    const bool useful = !stopped_ && !shots_->ended();
    if (polls_) {  // a connection: that is told of first, and accepted when it is armed
      Complete(POLLIN, 0);
      if (!with_kernel_) return true;
    }
    if (accepts_) {
      const int fd = 1000 + next_;
      open_.insert(fd);
      if (useful) posted_.push_back(next_++);
      Complete(fd, flags);
      if (!useful) {
        EXPECT_EQ(open_.count(fd), 0u) << "it is nobody's";
      }
      return true;
    }
    if (!has_buffer()) return false;
    char* data = nullptr;
    const unsigned buffer = PickBuffer(&data);
    std::memcpy(data, &next_, sizeof(next_));
    if (useful) posted_.push_back(next_++);
    Complete(sizeof(next_), flags | buffer);
    return true;
  }
  bool PostEndWithBuffer() {
    if (!has_buffer()) return false;
    char* data = nullptr;
    Complete(0, PickBuffer(&data));
    return true;
  }
  void MoveToAnotherRing(bool said) {
    multishots_.BeginMove();
    if (with_kernel_ && said) Complete(-ECANCELED, 0);
    with_kernel_ = cancel_asked_ = false;
    multishots_.Move(ring_);
  }

  // --- the reactor ---
  void Arm(UringMultishot& shots) noexcept override {
    EXPECT_FALSE(with_kernel_) << "it is with the kernel already";
    EXPECT_FALSE(shots.descriptor_gone()) << "its number may be another's";
    io_uring_sqe entry{};
    multishots_.Prepare(entry, shots);
    EXPECT_EQ(entry.fd, 5);
    polls_ = entry.opcode == IORING_OP_POLL_ADD;
    with_kernel_ = true;
  }
  void Disarm(UringMultishot&) noexcept override {
    EXPECT_TRUE(with_kernel_) << "its number may be another's when the cancel is looked at";
    EXPECT_FALSE(cancel_asked_) << "a second time";
    cancel_asked_ = true;
  }
  void Deliver(UringMultishot& shots) noexcept override { queue_.Push(shots); }

  // --- the owner ---
  void OnShots(Multishot& shots) noexcept override {
    EXPECT_FALSE(stopped_) << "it was told of something after the stop";
    was_told_ = true;
    while (takes_-- > 0) {
      Shot* const shot = shots.Take();
      if (shot == nullptr) break;
      Look(*shot);
      kept_.push_back(shot);
    }
    told_of_end_ = shots.ended();
  }
  void OnReactorGone(Multishot&) noexcept override { ADD_FAILURE() << "it is still there"; }

  void Deliver() {
    while (WorkItem* const item = queue_.Pop()) item->run(*item);
  }
  void Look(const Shot& shot) {
    ASSERT_FALSE(posted_.empty()) << "nothing has come";
    int number = -1;
    if (accepts_) {
      number = shot.result - 1000;
      EXPECT_EQ(open_.erase(shot.result), 1u);  // its owner's now
    } else {
      EXPECT_EQ(shot.result, static_cast<int32_t>(sizeof(number)));
      std::memcpy(&number, shot.data, sizeof(number));
    }
    EXPECT_EQ(number, posted_.front()) << "not in the order in which it came";
    posted_.pop_front();
  }
  void ReturnOne() {
    Shot& shot = *kept_.front();
    kept_.pop_front();
    multishots_.Return(*shots_, shot);
  }
  void Stop() {
    stopped_ = true;
    multishots_.Stop(*shots_);
    EXPECT_TRUE(accepts_ || open_.empty());
    posted_.clear();
  }
  void Finish() {
    if (!stopped_) Stop();
    while (!kept_.empty()) ReturnOne();
    Deliver();
    if (with_kernel_) {
      EXPECT_TRUE(cancel_asked_) << "the kernel was not told";
      Complete(-ECANCELED, 0);
    }
    EXPECT_FALSE(multishots_.any());
    EXPECT_EQ(multishots_.armed(), 0u);
    EXPECT_EQ(multishots_.buffers_with_kernel(), multishots_.buffers());
    if (buffers_ != nullptr) {
      EXPECT_EQ(static_cast<uint16_t>(buffers_->tail - head_), multishots_.buffers());
    }
    EXPECT_TRUE(open_.empty()) << "connections were left open";
  }

  const bool accepts_;
  Ring ring_;  // not open: all calls come here
  Multishots multishots_;
  sys::ScopedSystemCalls scope_;
  UringMultishot* shots_ = nullptr;
  WorkQueue queue_;

  io_uring_buf_ring* buffers_ = nullptr;
  unsigned entries_ = 0;
  uint16_t head_ = 0;
  bool with_kernel_ = false;
  bool polls_ = false;  // what it has is a poll
  bool cancel_asked_ = false;
  int next_ = 0;            // what comes next
  std::deque<int> posted_;  // and was not taken
  std::set<int> open_;      // connections that are not the owner's
  std::deque<Shot*> kept_;
  size_t takes_ = 0;
  bool was_told_ = false;
  bool told_of_end_ = false;
  bool stopped_ = false;
};

struct Kind {
  bool accepts;
  unsigned max_buffers;
};

class MultishotsTest : public testing::TestWithParam<Kind> {};

INSTANTIATE_TEST_SUITE_P(Kinds, MultishotsTest,
                         testing::Values(Kind{true, 1}, Kind{false, 1}, Kind{false, 2},
                                         Kind{false, 32}),
                         [](const auto& info) {
                           return info.param.accepts
                                      ? std::string("Accepts")
                                      : "ReceivesInto" + std::to_string(info.param.max_buffers);
                         });

// How many of `steps` were done: up to the first that cannot happen.
size_t Play(const Kind& kind, int shots_before, const std::vector<int>& steps) {
  World world(kind.accepts, kind.max_buffers);
  for (int i = 0; i < shots_before; ++i) static_cast<void>(world.Do(kShot));
  for (size_t i = 0; i < steps.size(); ++i) {
    if (!world.Do(static_cast<Step>(steps[i]))) return i;
    world.ExpectAlive();
  }
  return steps.size();
}

// The first one, when nothing has come before; and when what an owner may leave untaken is reached.
TEST_P(MultishotsTest, EverySequenceOfCompletionsAndOfWhatItsOwnerDoesComesToOneEnd) {
  constexpr size_t kLength = 4;
  for (const int before : {0, 1, static_cast<int>(Multishot::kMaxUntaken) - 1}) {
    if (before > 1 && !GetParam().accepts && GetParam().max_buffers < 32) continue;
    int64_t runs = 0;
    std::vector<int> steps(kLength, 0);
    for (;;) {
      const size_t done = Play(GetParam(), before, steps);
      ++runs;
      if (HasFailure()) {
        FAIL() << "after " << before << " shots: " << testing::PrintToString(steps);
      }
      // The next one that differs in a step that was made, or was tried.
      size_t i = done < kLength ? done : kLength - 1;
      for (size_t later = i + 1; later < kLength; ++later) steps[later] = 0;
      while (i > 0 && steps[i] == kSteps - 1) steps[i--] = 0;
      if (++steps[i] == kSteps) break;
    }
    EXPECT_GT(runs, 1000);
  }
}

TEST_P(MultishotsTest, SoDoesALongOneOfAnyKind) {
  std::minstd_rand draw(20);
  for (int run = 0; run < 2000; ++run) {
    World world(GetParam().accepts, GetParam().max_buffers);
    std::vector<int> steps;
    for (int i = 0; i < 100; ++i) {
      // Mostly what keeps it going.
      unsigned step = draw() % kSteps;
      if (draw() % 4 != 0) step = draw() % 3 == 0 ? unsigned{kReturn} : unsigned{kShot};
      if (step == unsigned{kStop} && i < 80) continue;
      if (!world.Do(static_cast<Step>(step))) continue;
      steps.push_back(static_cast<int>(step));
      world.ExpectAlive();
      if (HasFailure()) FAIL() << testing::PrintToString(steps);
    }
  }
}

}  // namespace
}  // namespace plait::internal
