// CopyLarge: a container that is filled with a copy of very many bytes, on large pages where those
// are cheap. Internal.
//
// Memory of this size comes new from the system, as a rule, and most of what a copy into it costs
// is then the system's work for each page of 4 KiB: 480 ms for 1 GiB, instead of 100 ms with pages
// of 2 MiB. But where memory is in pieces, the system first moves other pages about for each large
// one, which may take milliseconds. So the copy looks at the clock as it goes: it has its first
// steps on small pages, and stops asking for large ones once those have cost it more than they are
// worth.
#ifndef PLAIT_SCHEDULERS_PROCESS_POOL_LARGE_COPY_H_
#define PLAIT_SCHEDULERS_PROCESS_POOL_LARGE_COPY_H_

#include <algorithm>
#include <cstddef>

#include "absl/time/time.h"
#include "plait/runtime/core/deadline.h"
#include "plait/runtime/core/environment.h"

namespace plait::internal {

// From so many bytes on. Smaller memory is often memory that was used before, without any work for
// the system.
inline constexpr size_t kLargeCopyBytes = size_t{32} << 20;

// Asks for large pages below [memory, memory + size), which is about to be written from its start,
// but for the first kMeasured steps.
// Threads: one. The memory outlives it.
class LargePages {
 public:
  // So much is written between two looks at the clock.
  static constexpr size_t kStep = size_t{2} << 20;
  static constexpr int kMeasured = 2;

  LargePages(void* memory, size_t size, Clock& clock = Clock::Real()) noexcept;
  LargePages(const LargePages&) = delete;
  LargePages& operator=(const LargePages&) = delete;

  // Another step has been written, which is the first `written` bytes now.
  void Wrote(size_t written) noexcept;

  bool gave_up() const noexcept { return gave_up_; }

 private:
  char* const memory_;
  const size_t size_;
  Clock& clock_;
  Deadline step_began_;
  int to_measure_ = kMeasured;
  absl::Duration small_;     // what a step costs on small pages, what it copies from included
  absl::Duration patience_;  // what large pages may still cost beyond that
  bool gave_up_ = false;
};

// A T, an empty string or vector, with copies of the `count` items from `first` on.
template <class T, class Iterator>
T CopyLarge(Iterator first, size_t count) {
  constexpr size_t kItem = sizeof(typename T::value_type);
  constexpr size_t kItemsPerStep = std::max<size_t>(1, LargePages::kStep / kItem);
  T items;
  items.reserve(count);
  LargePages pages(items.data(), count * kItem);
  while (items.size() < count) {
    const size_t step = std::min(kItemsPerStep, count - items.size());
    const Iterator end = first + static_cast<std::ptrdiff_t>(step);
    items.insert(items.end(), first, end);
    first = end;
    pages.Wrote(items.size() * kItem);
  }
  return items;
}

}  // namespace plait::internal

#endif  // PLAIT_SCHEDULERS_PROCESS_POOL_LARGE_COPY_H_
