// Sites: where the code under test names a memory order, and the one that is weakened. Internal.
#ifndef PLAIT_RUNTIME_TESTING_EXPLORER_SITES_H_
#define PLAIT_RUNTIME_TESTING_EXPLORER_SITES_H_

#include <source_location>
#include <string>
#include <string_view>
#include <vector>

#include "plait/runtime/core/atomic.h"

namespace plait::explorer {

using internal::MemoryOrder;

enum class SiteKind : uint8_t { kLoad, kStore, kModify, kCompare, kCompareFailure, kFence };

// A memory order in the text, or a weaker one in its place. A fence's weakest is none (kRelaxed).
struct Site {
  std::source_location where;
  SiteKind kind = SiteKind::kLoad;
  MemoryOrder order = internal::kRelaxed;

  bool Is(const std::source_location& other, SiteKind other_kind) const noexcept {
    return kind == other_kind && where.line() == other.line() && where.column() == other.column() &&
           std::string_view(where.file_name()) == other.file_name();
  }
};

// The orders that are one step weaker: one or two, or none.
std::vector<MemoryOrder> OneStepWeaker(SiteKind kind, MemoryOrder order);

const char* NameOf(MemoryOrder order) noexcept;
const char* NameOf(SiteKind kind) noexcept;
// "Inbox::Push" of "bool plait::internal::Inbox::Push(plait::WorkItem&)".
std::string ShortFunctionName(std::string_view function);
// "Inbox::Push (inbox.cc:12)".
std::string Place(const std::source_location& where);
// "Inbox::Push compare_exchange", with "#2" for the second of its kind in a function: does not
// change when lines move. In the order of `sites`, which it sorts by where they are.
std::vector<std::string> NameSites(std::vector<Site>& sites);

}  // namespace plait::explorer

#endif  // PLAIT_RUNTIME_TESTING_EXPLORER_SITES_H_
