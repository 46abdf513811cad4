#include "plait/schedulers/process_pool/ring.h"

#include "plait/runtime/core/check.h"

namespace plait::internal {
namespace {

constexpr size_t kHeader = sizeof(uint64_t);

// What a record of `size` bytes takes.
constexpr uint64_t Footprint(uint64_t size) {
  return kHeader + ((size + kHeader - 1) & ~uint64_t{kHeader - 1});
}

// The header is read and written in one piece, once: a peer may be writing there.
uint64_t LoadHeader(const char* at) noexcept {
  return __atomic_load_n(reinterpret_cast<const uint64_t*>(at), __ATOMIC_RELAXED);
}
void StoreHeader(char* at, uint64_t header) noexcept {
  __atomic_store_n(reinterpret_cast<uint64_t*>(at), header, __ATOMIC_RELAXED);
}

}  // namespace

char* RingWriter::Reserve(size_t size) noexcept {
  PLAIT_CHECK(size <= max_record(), "a record is larger than its ring");
  const uint64_t footprint = Footprint(size);
  if (memory_.capacity - (tail_ - head_) < footprint) {
    const uint64_t head = memory_.positions->head.load(kSeqCst);
    // It goes forward only, in steps of 8, and never past the tail.
    if (head - head_ > tail_ - head_ || head % kHeader != 0) corrupt_ = true;
    if (corrupt_) return nullptr;
    head_ = head;
    if (memory_.capacity - (tail_ - head_) < footprint) return nullptr;
  }
  if (corrupt_) return nullptr;
  reserved_ = size;
  return memory_.data + (tail_ & (memory_.capacity - 1)) + kHeader;
}

void RingWriter::Commit(size_t size, uint32_t tag) noexcept {
  PLAIT_CHECK(size <= reserved_, "a record is larger than what was reserved for it");
  StoreHeader(memory_.data + (tail_ & (memory_.capacity - 1)), (uint64_t{tag} << 32) | size);
  tail_ += Footprint(size);
  reserved_ = 0;
  memory_.positions->tail.store(tail_, kSeqCst);
}

std::optional<RingRecord> RingReader::Peek() noexcept {
  if (peeked_ != 0) return record_;
  if (corrupt_) return std::nullopt;
  if (tail_ == head_) {
    const uint64_t tail = memory_.positions->tail.load(kSeqCst);
    if (tail - head_ > memory_.capacity || tail % kHeader != 0) {
      corrupt_ = true;
      return std::nullopt;
    }
    tail_ = tail;
    if (tail_ == head_) return std::nullopt;
  }
  const char* const at = memory_.data + (head_ & (memory_.capacity - 1));
  const uint64_t header = LoadHeader(at);
  const uint64_t size = header & 0xffff'ffff;
  if (Footprint(size) > tail_ - head_) {
    corrupt_ = true;
    return std::nullopt;
  }
  peeked_ = Footprint(size);
  record_ = {static_cast<uint32_t>(header >> 32), absl::string_view(at + kHeader, size)};
  return record_;
}

void RingReader::Pop() noexcept {
  PLAIT_CHECK(peeked_ != 0, "Pop without a record");
  head_ += peeked_;
  peeked_ = 0;
  memory_.positions->head.store(head_, kSeqCst);
}

}  // namespace plait::internal
