#include "plait/io/io_uring/multishots.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <algorithm>
#include <new>
#include <utility>

#include "plait/io/system/system_calls.h"

namespace plait::internal {
namespace {

constexpr unsigned kGroup = 0;  // the only group of buffers
constexpr size_t kPerBlock = 64;
constexpr size_t kPage = 4096;

}  // namespace

void Multishots::FreeMemory::operator()(void* memory) const noexcept { ::free(memory); }

Multishots::Multishots(MultishotHost& host, const IoUringOptions& options)
    : host_(host), options_(options) {}

Multishots::~Multishots() = default;

void Multishots::Probe(const Ring& ring, const IoUringWithout& without) noexcept {
  // Zero-copy send came with the kernel that came with multishot receive, which has no operation of
  // its own to look for. Where the kernel goes on outside of Enter, data could be received into a
  // ring that is being closed, and be lost.
  accepts_ = receives_ = !without.multishot && ring.supports(IORING_OP_SEND_ZC) && ring.deferred();
}

// --- buffers ---

bool Multishots::MakeBuffers(Ring& ring) noexcept {
  if (buffer_shots_ != nullptr) return true;
  const unsigned count = options_.max_buffers;
  void* queue = nullptr;
  void* memory = nullptr;
  // Untouched, and so without real memory, as long as they are not provided.
  if (::posix_memalign(&queue, kPage, count * sizeof(io_uring_buf)) != 0) return false;
  buffer_ring_.reset(static_cast<io_uring_buf_ring*>(queue));
  // One line more than a power of two apart, where all first lines would share one set of the
  // cache.
  constexpr size_t kCacheLine = 64;
  const size_t stride = options_.buffer_size + kCacheLine;
  if (::posix_memalign(&memory, kPage, count * stride) != 0) return false;
  buffer_memory_.reset(static_cast<char*>(memory));
  if (!Register(ring)) return false;
  lent_.reset(new (std::nothrow) bool[count]());
  if (lent_ == nullptr) return false;
  buffer_shots_.reset(new (std::nothrow) Shot[count]);
  if (buffer_shots_ == nullptr) return false;
  for (unsigned i = 0; i < count; ++i) {
    buffer_shots_[i].data = buffer_memory_.get() + i * stride;
  }
  Provide(0, std::min(options_.first_buffers, count));
  return true;
}

bool Multishots::Register(Ring& ring) noexcept {
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<uint64_t>(buffer_ring_.get());
  registration.ring_entries = options_.max_buffers;
  registration.bgid = kGroup;
  io_uring_buf_ring_init(buffer_ring_.get());
  return sys::Calls().IoUringRegister(ring.fd(), IORING_REGISTER_PBUF_RING, &registration, 1) >= 0;
}

void Multishots::Provide(unsigned first, unsigned count) noexcept {
  const int mask = io_uring_buf_ring_mask(options_.max_buffers);
  for (unsigned i = 0; i < count; ++i) {
    io_uring_buf_ring_add(buffer_ring_.get(), buffer_shots_[first + i].data, options_.buffer_size,
                          static_cast<unsigned short>(first + i), mask, static_cast<int>(i));
  }
  io_uring_buf_ring_advance(buffer_ring_.get(), static_cast<int>(count));
  provided_ = std::max(provided_, first + count);
}

void Multishots::GiveBack(const UringMultishot& shots, Shot& shot) noexcept {
  if (shots.accepts()) {
    shot.next = free_shots_;
    free_shots_ = &shot;
    return;
  }
  const auto number = static_cast<unsigned>(&shot - buffer_shots_.get());
  --lent_buffers_;
  lent_[number] = false;
  io_uring_buf_ring_add(buffer_ring_.get(), shot.data, options_.buffer_size,
                        static_cast<unsigned short>(number),
                        io_uring_buf_ring_mask(options_.max_buffers), 0);
  io_uring_buf_ring_advance(buffer_ring_.get(), 1);
}

Shot* Multishots::NewAcceptShot() noexcept {
  if (free_shots_ == nullptr) {
    accept_blocks_.push_back(std::make_unique<Shot[]>(kPerBlock));
    for (size_t i = 0; i < kPerBlock; ++i) {
      accept_blocks_.back()[i].next = free_shots_;
      free_shots_ = &accept_blocks_.back()[i];
    }
  }
  return std::exchange(free_shots_, free_shots_->next);
}

// --- a multishot's life ---

UringMultishot* Multishots::Start(Ring& ring, IoOpcode opcode, int fd,
                                  MultishotOwner& owner) noexcept {
  if (opcode == IoOpcode::kRead && !MakeBuffers(ring)) {
    receives_ = false;
    return nullptr;
  }
  if (free_ == nullptr) {
    blocks_.push_back(std::make_unique<UringMultishot[]>(kPerBlock));
    for (size_t i = 0; i < kPerBlock; ++i) {
      blocks_.back()[i].next = free_;
      free_ = &blocks_.back()[i];
    }
  }
  UringMultishot& shots = *std::exchange(free_, free_->next_free());
  shots.owner_ = &owner;
  shots.opcode_ = opcode;
  shots.fd_ = fd;
  shots.ended_ = shots.cancelling_ = shots.descriptor_gone_ = shots.polls_ = false;
  shots.end_ = 0;
  ++in_use_;
  if (shots.accepts()) accepting_.push_back(&shots);
  Armed(shots);
  return &shots;
}

void Multishots::Armed(UringMultishot& shots) noexcept {
  shots.state_ = UringMultishot::State::kArmed;
  shots.cancelling_ = false;
  ++armed_;
  const int32_t fault = shots.descriptor_gone_ ? -ECANCELED : FaultOf(shots);
  if (fault < 0) [[unlikely]] {
    io_uring_cqe ended{};
    ended.res = fault;
    return Completed(shots, ended);
  }
  host_.Arm(shots);
}

void Multishots::Prepare(io_uring_sqe& entry, const UringMultishot& shots) noexcept {
  if (shots.polls_) return io_uring_prep_poll_add(&entry, shots.fd_, POLLIN);
  if (shots.accepts()) {
    io_uring_prep_multishot_accept(&entry, shots.fd_, nullptr, nullptr,
                                   SOCK_NONBLOCK | SOCK_CLOEXEC);
    return;
  }
  io_uring_prep_recv_multishot(&entry, shots.fd_, nullptr, 0, 0);
  entry.flags |= IOSQE_BUFFER_SELECT;
  entry.buf_group = kGroup;
}

// What a test has the kernel end it with.
int32_t Multishots::FaultOf(const UringMultishot& shots) noexcept {
  sys::SystemCalls* const calls = sys::Installed();
  return calls == nullptr ? 0 : calls->BeforeShot(shots.accepts(), shots.fd_);
}

void Multishots::Completed(UringMultishot& shots, const io_uring_cqe& completion) noexcept {
  int32_t result = completion.res;
  const bool more = (completion.flags & IORING_CQE_F_MORE) != 0;
  // A poll has taken nothing: now it is armed.
  if (std::exchange(shots.polls_, false) && result >= 0) result = -EINTR;
  // Its thread has ended, which the kernel takes for a cancel. Move arms it again.
  const bool moves = moving_ && result == -ECANCELED && !more;
  // Said before the result is looked at: there is nothing left to cancel.
  if (!more && !moves) shots.state_ = UringMultishot::State::kEnded;
  const bool has_buffer = (completion.flags & IORING_CQE_F_BUFFER) != 0;
  Shot* shot = nullptr;
  if (has_buffer) {
    const unsigned number = completion.flags >> IORING_CQE_BUFFER_SHIFT;
    shot = &buffer_shots_[number];
    ++lent_buffers_;
    lent_[number] = true;
  } else if (shots.accepts() && result >= 0) {
    shot = NewAcceptShot();
  }
  if (shot != nullptr) {
    shot->result = result;
    const bool useful = shots.accepts() || result > 0;
    if (useful && shots.owner_ != this && !shots.ended_) {
      Append(shots, *shot);
    } else {
      if (shots.accepts()) sys::Calls().Close(result);
      GiveBack(shots, *shot);
    }
  }
  if (more) {
    if (const int32_t fault = FaultOf(shots); fault < 0) [[unlikely]]
      EndNow(shots, fault);
    return;
  }

  if (moves) return;
  // The last for this request, though not always the end of the matter.
  --armed_;
  const bool asked = std::exchange(shots.cancelling_, false);
  if (shots.owner_ == this) return FreeIfDone(shots);
  if (shots.ended_) return;  // by EndNow
  const bool end_of_stream = shots.opcode_ == IoOpcode::kRead && result == 0;
  // To accept the kernel takes none of our buffers: it is out of its own then.
  const bool no_buffer = result == -ENOBUFS && !shots.accepts();
  const bool goes_on = result >= 0 || no_buffer || result == -ECANCELED || result == -EINTR;
  if (end_of_stream || !goes_on) {
    // The kernel was given no number then.
    return End(shots, result == -EBADF && shots.descriptor_gone_ ? -ECANCELED : result);
  }
  if (result == -ECANCELED && !asked) return End(shots, result);
  // Its owner may have taken enough meanwhile. If not he is slow, or gone: it has had its share.
  const uint32_t most = asked ? Multishot::kMaxUntaken / 2 : Multishot::kMaxUntaken - 1;
  if (shots.lent_ > most) return End(shots, -ENOBUFS);
  if (no_buffer && buffers_with_kernel() == 0) {
    // To wait for one that is returned would be to wait for others' readers.
    if (provided_ == options_.max_buffers) return End(shots, result);
    Provide(provided_, std::min(provided_, options_.max_buffers - provided_));
  }
  Armed(shots);
}

void Multishots::Append(UringMultishot& shots, Shot& shot) noexcept {
  ++shots.lent_;
  shots.Multishot::Append(shot);
  if (!shots.queued_) {
    shots.queued_ = true;
    host_.Deliver(shots);
  }
  if (shots.lent_ >= Multishot::kMaxUntaken && !shots.cancelling_ &&
      shots.state_ == UringMultishot::State::kArmed) {
    shots.cancelling_ = true;
    host_.Disarm(shots);
  }
}

void Multishots::End(UringMultishot& shots, int32_t end) noexcept {
  shots.ended_ = true;
  shots.end_ = end;
  if (!shots.queued_) {
    shots.queued_ = true;
    host_.Deliver(shots);
  }
}

void Multishots::Return(UringMultishot& shots, Shot& shot) noexcept {
  --shots.lent_;
  GiveBack(shots, shot);
  if (shots.owner_ == this) FreeIfDone(shots);
}

void Multishots::EndAccepting(int fd) noexcept {
  for (UringMultishot* const shots : accepting_) {
    if (shots->fd_ == fd) EndNow(*shots, -ECANCELED);
  }
}

void Multishots::EndNow(UringMultishot& shots, int32_t end) noexcept {
  if (shots.owner_ == this || shots.ended_) return;
  End(shots, end);
  if (shots.state_ != UringMultishot::State::kArmed) return;
  if (!std::exchange(shots.cancelling_, true)) host_.Disarm(shots);
}

void Multishots::Stop(UringMultishot& shots) noexcept {
  shots.owner_ = this;
  if (shots.state_ == UringMultishot::State::kArmed) {
    if (!std::exchange(shots.cancelling_, true)) host_.Disarm(shots);
  } else {
    shots.state_ = UringMultishot::State::kEnded;
  }
  while (Shot* const shot = shots.Take()) {
    if (shots.accepts()) sys::Calls().Close(shot->result);
    --shots.lent_;
    GiveBack(shots, *shot);
  }
  FreeIfDone(shots);
}

void Multishots::FreeIfDone(UringMultishot& shots) noexcept {
  if (shots.owner_ != this || shots.queued_ || shots.lent_ > 0 ||
      shots.state_ != UringMultishot::State::kEnded) {
    return;
  }
  --in_use_;
  if (shots.accepts()) std::erase(accepting_, &shots);
  shots.state_ = UringMultishot::State::kFree;
  shots.next = free_;
  free_ = &shots;
}

void Multishots::OnShots(Multishot& shots) noexcept {
  FreeIfDone(static_cast<UringMultishot&>(shots));
}

// --- the ring goes ---

template <class Do>
void Multishots::ForEachInUse(Do what) noexcept {
  for (const auto& block : blocks_) {
    for (size_t i = 0; i < kPerBlock; ++i) {
      if (block[i].state_ != UringMultishot::State::kFree) what(block[i]);
    }
  }
}

void Multishots::Move(Ring& ring) noexcept {
  armed_ = 0;
  moving_ = false;
  if (buffer_shots_ != nullptr) {
    receives_ = receives_ && Register(ring);
    for (unsigned i = 0; receives_ && i < provided_; ++i) {
      if (!lent_[i]) Provide(i, 1);
    }
  }
  ForEachInUse([this](UringMultishot& shots) {
    const bool was_armed = shots.state_ == UringMultishot::State::kArmed;
    if (shots.owner_ == this) {
      if (was_armed) shots.state_ = UringMultishot::State::kEnded;
      FreeIfDone(shots);
    } else if (shots.ended_) {
      shots.state_ = UringMultishot::State::kEnded;
    } else if (shots.opcode_ == IoOpcode::kRead && !receives_ &&
               shots.state_ != UringMultishot::State::kEnded) {
      shots.state_ = UringMultishot::State::kEnded;
      End(shots, -ENOMEM);
    } else if (was_armed && shots.cancelling_ && shots.lent_ > Multishot::kMaxUntaken / 2) {
      shots.cancelling_ = false;
      shots.state_ = UringMultishot::State::kEnded;
      End(shots, -ENOBUFS);
    } else if (was_armed) {
      // An accept waits in a queue of which the next connection wakes one alone: that may be the
      // old one, which is there until the system has torn the old ring down, and accepts nothing
      // any more. A poll is woken besides.
      shots.polls_ = shots.accepts();
      Armed(shots);
    }
  });
}

void Multishots::Abandon() noexcept {
  ForEachInUse([this](UringMultishot& shots) {
    if (shots.owner_ == this) return;
    shots.owner_->OnReactorGone(shots);
    Stop(shots);
  });
}

}  // namespace plait::internal
