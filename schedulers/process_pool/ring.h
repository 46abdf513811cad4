// RingWriter and RingReader: the two ends of a queue of records in memory that two processes share.
// Internal; link.h makes a connection of two of them.
//
// The data lies in the memory twice, one copy behind the other (the same pages), so that a record
// is in one piece wherever it begins. Two positions, in bytes, count up for ever: `tail` is where
// the writer writes next, `head` where the reader reads next.
//
//        head            tail                     head + capacity
//         |--- records ---|------- free room --------|
//
// A record is 8 bytes, its size and its tag, and then its bytes, filled up to a multiple of 8.
//
// Trust: none. Each end keeps the position that it moves in memory of its own and only publishes
// it; what it reads of the other's is checked before use, and so is each record's size, read once.
// An end that finds something impossible is `corrupt()` from then on and gives nothing more. So a
// peer that dies or writes anywhere at any moment can make records wrong or get lost, and no more.
// What a record holds may change while it is looked at: copy it, unless the peer is trusted.
//
// Orderings. Publishing a position releases what lies before it, and the other end acquires it.
// The store is sequentially consistent, not for the ring itself, but for the doorbells of link.h:
// "I published, and nobody sleeps" and "I sleep, and nothing is published" must not both come true.
#ifndef PLAIT_SCHEDULERS_PROCESS_POOL_RING_H_
#define PLAIT_SCHEDULERS_PROCESS_POOL_RING_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"
#include "plait/runtime/core/atomic.h"

namespace plait::internal {

// In the shared memory; zero is an empty ring. One line for each end, as both write all the time.
struct RingPositions {
  alignas(64) Atomic<uint64_t> tail;
  alignas(64) Atomic<uint64_t> head;
};

// Where a ring is: `data` is the first of two mappings of the same `capacity` bytes, a power of 2.
struct RingMemory {
  RingPositions* positions = nullptr;
  char* data = nullptr;
  size_t capacity = 0;
};

struct RingRecord {
  uint32_t tag = 0;
  absl::string_view bytes;
};

// One thread of one process at a time.
class RingWriter {
 public:
  explicit RingWriter(const RingMemory& memory) : memory_(memory) {}

  // The largest record that fits, when the ring is empty.
  size_t max_record() const noexcept { return memory_.capacity - sizeof(uint64_t); }

  // Room for a record of `size` bytes, at most max_record(), or null while there is not that much.
  char* Reserve(size_t size) noexcept;
  // Publishes the first `size` bytes, not more than were reserved, as a record.
  void Commit(size_t size, uint32_t tag) noexcept;

  bool corrupt() const noexcept { return corrupt_; }

 private:
  const RingMemory memory_;
  uint64_t tail_ = 0;
  uint64_t head_ = 0;  // as last seen
  size_t reserved_ = 0;
  bool corrupt_ = false;
};

// One thread of one process at a time.
class RingReader {
 public:
  explicit RingReader(const RingMemory& memory) : memory_(memory) {}

  // The oldest record, where it is; nothing when there is none. Again gives the same.
  std::optional<RingRecord> Peek() noexcept;
  // Done with what Peek gave: the writer may write there.
  void Pop() noexcept;

  bool corrupt() const noexcept { return corrupt_; }

 private:
  const RingMemory memory_;
  uint64_t head_ = 0;
  uint64_t tail_ = 0;    // as last seen
  uint64_t peeked_ = 0;  // bytes that the record takes that Peek gave, or 0
  RingRecord record_;
  bool corrupt_ = false;
};

}  // namespace plait::internal

#endif  // PLAIT_SCHEDULERS_PROCESS_POOL_RING_H_
