#include "plait/runtime/testing/explorer/plain_memory.h"

#include <algorithm>
#include <utility>

namespace plait::explorer {
namespace {

constexpr size_t kFirstSize = 1 << 14;

bool IsAtomic(PlainMemory::Kind kind) { return (kind & PlainMemory::kAtomicRead) != 0; }
bool Writes(PlainMemory::Kind kind) { return (kind & PlainMemory::kWrite) != 0; }
size_t Hash(uintptr_t address) {
  return static_cast<size_t>(((address >> 3) * 0x9E3779B97F4A7C15u) >> 20);
}

}  // namespace

PlainMemory::PlainMemory() : words_(kFirstSize) {}

void PlainMemory::Reset() noexcept {
  ++generation_;
  used_ = 0;
  cells_.clear();
}

PlainMemory::Word& PlainMemory::Find(uintptr_t address) noexcept {
  if (used_ > words_.size() / 2) {
    std::vector<Word> old(words_.size() * 2);
    old.swap(words_);
    used_ = 0;
    for (const Word& word : old) {
      if (word.generation == generation_) Find(word.address).first = word.first;
    }
  }
  for (size_t i = Hash(address);; ++i) {
    Word& word = words_[i & (words_.size() - 1)];
    if (word.generation != generation_) {
      ++used_;
      word = {.address = address, .generation = generation_, .first = -1};
      return word;
    }
    if (word.address == address) return word;
  }
}

PlainMemory::Clash PlainMemory::NoteWord(uintptr_t address, uint8_t bytes, const Access& access,
                                         const Clock& now) noexcept {
  Word& word = Find(address);
  int same = -1;
  const auto self = static_cast<size_t>(access.thread);
  const auto before = [&](int thread, uint32_t index) {
    return thread == access.thread || now.Knows(thread, index);
  };
  // An access belongs to the next operation, by whose number others may come to know of it.
  const uint32_t index = now.at[self] + 1;
  for (int i = word.first; i >= 0; i = cells_[static_cast<size_t>(i)].next) {
    const Cell& cell = cells_[static_cast<size_t>(i)];
    if (cell.bytes == bytes) same = i;
    if ((cell.bytes & bytes) == 0) continue;
    if (cell.write.index != 0 && (cell.freed || !before(cell.writer, cell.write.index))) {
      return {
          .found = true,
          .earlier = {
              .thread = cell.writer, .kind = cell.freed ? kFree : kWrite, .code = cell.write.code}};
    }
    const auto clash = [&](const std::array<Last, kMaxThreads>& last, Kind kind) -> Clash {
      for (int t = 0; t < kMaxThreads; ++t) {
        const Last& each = last[static_cast<size_t>(t)];
        if (before(t, each.index)) continue;
        return {.found = true, .earlier = {.thread = t, .kind = kind, .code = each.code}};
      }
      return {};
    };
    Clash found;
    if (!IsAtomic(access.kind)) found = clash(cell.atomic_writes, kAtomicWrite);
    if (!found.found && Writes(access.kind)) found = clash(cell.reads, kRead);
    if (!found.found && Writes(access.kind) && !IsAtomic(access.kind)) {
      found = clash(cell.atomic_reads, kAtomicRead);
    }
    if (found.found) return found;
  }
  if (same < 0) {
    same = static_cast<int>(cells_.size());
    Cell& cell = cells_.emplace_back();
    cell.bytes = bytes;
    cell.next = std::exchange(word.first, same);
  }
  Cell& cell = cells_[static_cast<size_t>(same)];
  const Last last{.index = index, .code = access.code};
  switch (access.kind) {
    case kRead:
      cell.reads[self] = last;
      break;
    case kAtomicRead:
      cell.atomic_reads[self] = last;
      break;
    case kAtomicWrite:
      cell.atomic_writes[self] = last;
      break;
    case kWrite:
    case kFree:
      cell.write = last;
      cell.writer = access.thread;
      cell.freed = access.kind == kFree;
      break;
  }
  return {};
}

PlainMemory::Clash PlainMemory::Note(uintptr_t begin, size_t size, const Access& access,
                                     const Clock& now) noexcept {
  const uintptr_t end = begin + size;
  while (begin < end) {
    const uintptr_t word = begin & ~uintptr_t{7};
    const uintptr_t stop = std::min(end, word + 8);
    const auto bytes = static_cast<uint8_t>(((1u << (stop - begin)) - 1) << (begin - word));
    if (Clash clash = NoteWord(word, bytes, access, now); clash.found) return clash;
    begin = stop;
  }
  return {};
}

}  // namespace plait::explorer
