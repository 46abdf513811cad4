// PayloadMemory, PayloadWriter and PayloadReader: arguments and results that are too large for a
// ring, in memory that a parent and one worker process share. Internal.
//
//   absl::StatusOr<PayloadRef> ref = writer.Allocate(size);       // in one process
//   Encoder out(writer.Bytes(*ref));  ...                         // straight from the value
//   (a record in the ring says `*ref`)
//   absl::StatusOr<absl::string_view> bytes = reader.View(ref);   // in the other: decode there
//   writer.Release(*ref);                                         // once it was read
//
// So a value is copied twice, into the shared memory and out of it, as by memcpy in one process:
// never through a buffer in between. A function whose parameter is a view of bytes looks at them in
// the shared memory. The memory is one file without a name: a page for the CallBoard, and an area
// each way, gigabytes of addresses of which only what was written is memory. Both processes map all
// of it when the worker starts; nothing is mapped, and no descriptor is sent, for a payload. What
// was used stays for the next payload, which needs no zeroed pages then, until Trim gives it back
// to the system.
//
// Trust: the file's size is sealed, so that no peer makes an access fault; a reference is checked
// before it is followed, and one that leaves the area is a DataLossError. What it refers to may
// change while it is looked at, where the peer is out of its mind: codecs read each byte once.
// (A worker's function that takes a view trusts the program that it is a part of.)
// Threads: a writer and a reader belong to one at a time.
#ifndef PLAIT_SCHEDULERS_PROCESS_POOL_PAYLOAD_H_
#define PLAIT_SCHEDULERS_PROCESS_POOL_PAYLOAD_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "plait/schedulers/process_pool/call_board.h"

namespace plait::internal {

// Where a payload is in its area; travels in a ring's record as these bytes.
struct PayloadRef {
  uint64_t offset = 0;
  uint64_t size = 0;
};

// One direction's addresses.
struct PayloadArea {
  char* data = nullptr;
  size_t size = 0;
};

class PayloadMemory {
 public:
  // Room for `area` bytes each way, rounded up to whole pages; at least one (CHECK).
  // InvalidArgument for more than a process has addresses for.
  static absl::StatusOr<std::shared_ptr<PayloadMemory>> Create(size_t area);
  // Of a descriptor that another process's Create made; it is this object's from then on, also when
  // that fails. InvalidArgument when it is something else.
  static absl::StatusOr<std::shared_ptr<PayloadMemory>> Open(int memory);
  PayloadMemory(const PayloadMemory&) = delete;
  PayloadMemory& operator=(const PayloadMemory&) = delete;
  ~PayloadMemory();

  int memory_descriptor() const noexcept { return memory_; }

  // The memory begins with it: all zeros, as the system gives it, is an empty one.
  CallBoard& board() const noexcept { return *reinterpret_cast<CallBoard*>(base_); }
  PayloadArea to_worker() const noexcept;
  PayloadArea to_parent() const noexcept;

 private:
  explicit PayloadMemory(int memory) : memory_(memory) {}
  absl::Status Map();

  const int memory_;
  char* base_ = nullptr;
  size_t mapped_ = 0;
  size_t area_ = 0;
};

// The end that fills an area; it alone knows what is in use.
class PayloadWriter {
 public:
  PayloadWriter(std::shared_ptr<PayloadMemory> memory, PayloadArea area)
      : memory_(std::move(memory)), area_(area) {}
  PayloadWriter(const PayloadWriter&) = delete;
  PayloadWriter& operator=(const PayloadWriter&) = delete;

  // The largest payload there can be.
  size_t max_size() const noexcept { return area_.size; }

  // Room for `size` bytes, at the lowest place there is, where memory is the warmest.
  // OutOfRange when it can never fit, Unavailable while others are in its way, ResourceExhausted
  // when the system has no memory, none of which is taken then.
  absl::StatusOr<PayloadRef> Allocate(size_t size);
  // The bytes of what Allocate gave.
  absl::Span<char> Bytes(const PayloadRef& ref) const noexcept {
    return {area_.data + ref.offset, static_cast<size_t>(ref.size)};
  }
  // The peer has read it. DataLoss, and nothing is done, when it is not in use.
  absl::Status Release(const PayloadRef& ref);

  // Gives the memory that is not in use back to the system. For when there is little to do: the
  // next payload pays for fresh pages.
  void Trim() noexcept;
  // Whether Trim has something to do.
  bool trimmable() const noexcept { return warm_ > used_bytes_; }

  size_t in_use() const noexcept { return used_.size(); }

 private:
  struct Block {
    uint64_t begin;
    uint64_t end;  // whole pages
  };

  const std::shared_ptr<PayloadMemory> memory_;
  const PayloadArea area_;
  std::vector<Block> used_;  // in order of address
  uint64_t used_bytes_ = 0;
  uint64_t warm_ = 0;  // everything below has been used since the last Trim, or may have been
};

// The end that looks.
class PayloadReader {
 public:
  PayloadReader(std::shared_ptr<PayloadMemory> memory, PayloadArea area)
      : memory_(std::move(memory)), area_(area) {}
  PayloadReader(const PayloadReader&) = delete;
  PayloadReader& operator=(const PayloadReader&) = delete;

  // The bytes, where they are; valid until the writer is told that they were read. DataLoss when
  // there are none such.
  absl::StatusOr<absl::string_view> View(const PayloadRef& ref) const;

 private:
  const std::shared_ptr<PayloadMemory> memory_;
  const PayloadArea area_;
};

}  // namespace plait::internal

#endif  // PLAIT_SCHEDULERS_PROCESS_POOL_PAYLOAD_H_
