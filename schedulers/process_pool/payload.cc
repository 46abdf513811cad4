#include "plait/schedulers/process_pool/payload.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "plait/runtime/core/check.h"
#include "plait/schedulers/process_pool/pool_system.h"

namespace plait::internal {
namespace {

// From this size on, asking the system for all pages at once is cheaper than for one at a time.
constexpr uint64_t kPopulateBytes = uint64_t{256} << 10;
// More than any machine has addresses for.
constexpr size_t kMostBytes = std::numeric_limits<size_t>::max() / 4;

absl::Status SystemError(int negative_errno, absl::string_view what) {
  return absl::ErrnoToStatus(-negative_errno, what);
}

size_t WholePages(size_t size) {
  const size_t page = pool_system::PageSize();
  return (size + page - 1) / page * page;
}

size_t BoardSize() { return WholePages(sizeof(CallBoard)); }

}  // namespace

absl::StatusOr<std::shared_ptr<PayloadMemory>> PayloadMemory::Create(size_t area) {
  PLAIT_CHECK(area > 0, "payloads need memory");
  // So that the sum of all of it does not wrap around and pass for a small one.
  if (area > kMostBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("payloads of ", area, " bytes are larger than the addresses of a process"));
  }
  const int memory = pool_system::CreateMemory("plait-payload", BoardSize() + 2 * WholePages(area));
  if (memory < 0) return SystemError(memory, "memory for a worker process's payloads");
  return Open(memory);
}

absl::StatusOr<std::shared_ptr<PayloadMemory>> PayloadMemory::Open(int memory) {
  std::shared_ptr<PayloadMemory> payload(new PayloadMemory(memory));
  if (absl::Status status = payload->Map(); !status.ok()) return status;
  return payload;
}

absl::Status PayloadMemory::Map() {
  const int64_t size = pool_system::MemorySize(memory_);
  if (size < 0) {
    return SystemError(static_cast<int>(size), "the memory of a worker process's payloads");
  }
  const auto bytes = static_cast<size_t>(size);
  const size_t area = bytes <= BoardSize() ? 0 : (bytes - BoardSize()) / 2;
  if (area == 0 || area != WholePages(area) || BoardSize() + 2 * area != bytes) {
    return absl::InvalidArgumentError("the memory of a worker process's payloads has no such size");
  }
  char* base = nullptr;
  int result = pool_system::ReserveAddresses(bytes, &base);
  if (result < 0) return SystemError(result, "addresses for a worker process's payloads");
  base_ = base;
  mapped_ = bytes;
  area_ = area;
  result = pool_system::MapMemory(base, memory_, 0, bytes);
  if (result < 0) return SystemError(result, "mapping the memory of a worker process's payloads");
  return absl::OkStatus();
}

PayloadMemory::~PayloadMemory() {
  if (base_ != nullptr) pool_system::ReleaseAddresses(base_, mapped_);
  pool_system::Close(memory_);
}

PayloadArea PayloadMemory::to_worker() const noexcept { return {base_ + BoardSize(), area_}; }

PayloadArea PayloadMemory::to_parent() const noexcept {
  return {base_ + BoardSize() + area_, area_};
}

absl::StatusOr<PayloadRef> PayloadWriter::Allocate(size_t size) {
  if (size > area_.size) {
    return absl::OutOfRangeError(absl::StrCat("a value takes ", size,
                                              " bytes, and the memory that is shared with a worker "
                                              "process has room for ",
                                              area_.size));
  }
  const uint64_t needed = std::max(WholePages(size), pool_system::PageSize());
  uint64_t begin = 0;
  auto before = used_.begin();
  for (; before != used_.end() && before->begin - begin < needed; ++before) begin = before->end;
  if (area_.size - begin < needed) {
    return absl::UnavailableError("the memory that is shared with a worker process is in use");
  }
  const uint64_t end = begin + needed;
  if (end > warm_) {
    const uint64_t cold = std::max(begin, warm_);
    if (end - cold >= kPopulateBytes) {
      const int result = pool_system::PopulateMemory(area_.data + cold, end - cold);
      if (result < 0) {
        // Some of them it may have had, which are missed elsewhere now.
        pool_system::GiveBackMemory(area_.data + cold, end - cold);
        return absl::ResourceExhaustedError(absl::StrCat("there is no memory for a value of ", size,
                                                         " bytes that goes to another process"));
      }
    }
    warm_ = end;
  }
  used_.insert(before, Block{begin, end});
  used_bytes_ += needed;
  return PayloadRef{begin, size};
}

absl::Status PayloadWriter::Release(const PayloadRef& ref) {
  const auto at =
      std::lower_bound(used_.begin(), used_.end(), ref.offset,
                       [](const Block& block, uint64_t offset) { return block.begin < offset; });
  if (at == used_.end() || at->begin != ref.offset || ref.size > at->end - at->begin) {
    return absl::DataLossError("the memory of a value was given back that is not in use");
  }
  used_bytes_ -= at->end - at->begin;
  used_.erase(at);
  return absl::OkStatus();
}

void PayloadWriter::Trim() noexcept {
  uint64_t begin = 0;
  const auto give_back = [&](uint64_t end) {
    if (end > begin) pool_system::GiveBackMemory(area_.data + begin, end - begin);
  };
  for (const Block& block : used_) {
    give_back(block.begin);
    begin = block.end;
  }
  give_back(warm_);
  warm_ = begin;
}

absl::StatusOr<absl::string_view> PayloadReader::View(const PayloadRef& ref) const {
  if (ref.offset > area_.size || ref.size > area_.size - ref.offset) {
    return absl::DataLossError(
        absl::StrCat("a reference to ", ref.size, " bytes at ", ref.offset,
                     " leaves the memory that is shared with the other process"));
  }
  return absl::string_view(area_.data + ref.offset, static_cast<size_t>(ref.size));
}

}  // namespace plait::internal
