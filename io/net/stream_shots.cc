#include "plait/io/net/stream_shots.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <limits>

#include "plait/runtime/core/io_operation.h"

namespace plait::internal {

bool StreamShots::Start(Reactor& reactor, int fd) noexcept {
  reactor_ = &reactor;
  shots_ = reactor.StartMultishot(IoOpcode::kRead, fd, *this);
  return shots_ != nullptr;
}

StreamShots::~StreamShots() {
  if (shots_ != nullptr) reactor_->StopMultishot(*shots_);
}

size_t StreamShots::TakeInto(absl::Span<char> into, ByteBuffer& rest) noexcept {
  size_t taken = kept_.TakeInto(into);
  while (taken < into.size()) {
    Shot* const shot = shots_->Take();
    if (shot == nullptr) break;
    const auto size = static_cast<size_t>(shot->result);
    const size_t fits = std::min(size, into.size() - taken);
    std::memcpy(into.data() + taken, shot->data, fits);
    taken += fits;
    if (fits < size) rest.Append(absl::MakeConstSpan(shot->data + fits, size - fits));
    reactor_->ReturnShot(*shots_, *shot);
  }
  return taken;
}

size_t StreamShots::TakeInto(ByteBuffer& into, size_t enough) noexcept {
  const size_t before = into.size();
  if (before < enough && !kept_.empty()) {
    if (into.empty()) {
      into.Swap(kept_);
    } else {
      into.Append(absl::MakeConstSpan(kept_.view().data(), kept_.size()));
    }
    kept_.Clear();
  }
  TakeShotsInto(into, enough);
  return into.size() - before;
}

void StreamShots::Keep() noexcept {
  TakeShotsInto(kept_, std::numeric_limits<size_t>::max());
  kept_.Trim();
}

void StreamShots::TakeShotsInto(ByteBuffer& into, size_t enough) noexcept {
  while (into.size() < enough) {
    Shot* const shot = shots_->Take();
    if (shot == nullptr) break;
    const auto size = static_cast<size_t>(shot->result);
    // Into one of the thread's own blocks, which come and go without the heap.
    const absl::Span<char> room =
        into.Room(into.empty() ? std::max(size, ByteBuffer::kBlock) : size);
    std::memcpy(room.data(), shot->data, size);
    into.Commit(size);
    reactor_->ReturnShot(*shots_, *shot);
  }
}

}  // namespace plait::internal
