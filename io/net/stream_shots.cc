#include "plait/io/net/stream_shots.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <limits>

#include "plait/runtime/core/io_operation.h"

namespace plait::internal {

bool StreamShots::Start(Reactor& reactor, int fd, MultishotOwner& owner) noexcept {
  // An aligned address, which leaves the lowest bit to the tag.
  word_ = reinterpret_cast<uintptr_t>(reactor.StartMultishot(IoOpcode::kRead, fd, owner));
  return started();
}

void StreamShots::Stop(Reactor& reactor) noexcept {
  if (!is_kept()) reactor.StopMultishot(shots());
  Forget();
}

void StreamShots::Keep(Reactor& reactor) noexcept {
  if (is_kept()) return;
  auto* const left = new Kept;
  left->end = end();
  TakeShotsInto(reactor, left->bytes, std::numeric_limits<size_t>::max());
  left->bytes.Trim();
  reactor.StopMultishot(shots());
  // As aligned.
  word_ = reinterpret_cast<uintptr_t>(left) | kKeptTag;
}

size_t StreamShots::TakeInto(Reactor& reactor, absl::Span<char> into, ByteBuffer& rest) noexcept {
  if (is_kept()) return kept()->bytes.TakeInto(into);
  size_t taken = 0;
  while (taken < into.size()) {
    Shot* const shot = shots().Take();
    if (shot == nullptr) break;
    const auto size = static_cast<size_t>(shot->result);
    const size_t fits = std::min(size, into.size() - taken);
    std::memcpy(into.data() + taken, shot->data, fits);
    taken += fits;
    if (fits < size) rest.Append(absl::MakeConstSpan(shot->data + fits, size - fits));
    reactor.ReturnShot(shots(), *shot);
  }
  return taken;
}

size_t StreamShots::TakeInto(Reactor& reactor, ByteBuffer& into, size_t enough) noexcept {
  if (!is_kept()) return TakeShotsInto(reactor, into, enough);
  Kept* const left = kept();
  const size_t count = into.size() < enough ? left->bytes.size() : 0;
  if (count == 0) return 0;
  if (into.empty()) {
    into.Swap(left->bytes);
  } else {
    into.Append(absl::MakeConstSpan(left->bytes.view().data(), count));
  }
  left->bytes.Clear();
  return count;
}

size_t StreamShots::TakeShotsInto(Reactor& reactor, ByteBuffer& into, size_t enough) noexcept {
  const size_t before = into.size();
  while (into.size() < enough) {
    Shot* const shot = shots().Take();
    if (shot == nullptr) break;
    const auto size = static_cast<size_t>(shot->result);
    // Into one of the thread's own blocks, which come and go without the heap.
    const absl::Span<char> room =
        into.Room(into.empty() ? std::max(size, ByteBuffer::kBlock) : size);
    std::memcpy(room.data(), shot->data, size);
    into.Commit(size);
    reactor.ReturnShot(shots(), *shot);
  }
  return into.size() - before;
}

}  // namespace plait::internal
