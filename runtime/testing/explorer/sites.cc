#include "plait/runtime/testing/explorer/sites.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "absl/strings/str_cat.h"

namespace plait::explorer {

using internal::kAcqRel;
using internal::kAcquire;
using internal::kRelaxed;
using internal::kRelease;
using internal::kSeqCst;

std::vector<MemoryOrder> OneStepWeaker(SiteKind kind, MemoryOrder order) {
  const bool loads = kind == SiteKind::kLoad || kind == SiteKind::kCompareFailure;
  if (order == kSeqCst) {
    return {loads ? kAcquire : kind == SiteKind::kStore ? kRelease : kAcqRel};
  }
  if (order == kAcqRel) return {kAcquire, kRelease};
  if (order == kRelaxed) return {};
  return {kRelaxed};
}

const char* NameOf(MemoryOrder order) noexcept {
  switch (order) {
    case kRelaxed:
      return "relaxed";
    case kAcquire:
      return "acquire";
    case kRelease:
      return "release";
    case kAcqRel:
      return "acq_rel";
    default:
      return "seq_cst";
  }
}

const char* NameOf(SiteKind kind) noexcept {
  switch (kind) {
    case SiteKind::kLoad:
      return "load";
    case SiteKind::kStore:
      return "store";
    case SiteKind::kModify:
      return "modify";
    case SiteKind::kCompare:
      return "compare_exchange";
    case SiteKind::kCompareFailure:
      return "compare_exchange that fails";
    case SiteKind::kFence:
      return "fence";
  }
  return "";
}

std::string ShortFunctionName(std::string_view function) {
  for (std::string_view nameless : {"{anonymous}::", "(anonymous namespace)::"}) {
    const size_t at = function.find(nameless);
    if (at == function.npos) continue;
    return ShortFunctionName(absl::StrCat(std::string(function.substr(0, at)),
                                          std::string(function.substr(at + nameless.size()))));
  }
  // Up to the parameters, which begin outside of all angle brackets, from the last space on there.
  size_t begin = 0;
  size_t scope = 0;  // where the last name but one begins
  size_t name = 0;
  int depth = 0;
  size_t end = function.size();
  for (size_t i = 0; i < function.size(); ++i) {
    const char c = function[i];
    if (c == '<') ++depth;
    if (c == '>') --depth;
    if (depth > 0) continue;
    if (c == '(' && i > begin) {
      end = i;
      break;
    }
    if (c == ' ' || c == '*' || c == '&') begin = scope = name = i + 1;
    if (c == ':' && i + 1 < function.size() && function[i + 1] == ':') {
      scope = name;
      name = i + 2;
    }
  }
  return std::string(function.substr(std::max(scope, begin), end - std::max(scope, begin)));
}

std::string Place(const std::source_location& where) {
  std::string_view file = where.file_name();
  file.remove_prefix(file.rfind('/') + 1);
  return absl::StrCat(ShortFunctionName(where.function_name()), " (", std::string(file), ":",
                      where.line(), ")");
}

std::vector<std::string> NameSites(std::vector<Site>& sites) {
  std::sort(sites.begin(), sites.end(), [](const Site& a, const Site& b) {
    const auto key = [](const Site& s) {
      return std::tuple(std::string_view(s.where.file_name()), s.where.line(), s.where.column(),
                        s.kind);
    };
    return key(a) < key(b);
  });
  std::map<std::string, int> count;
  std::vector<std::string> names;
  for (const Site& site : sites) {
    std::string name =
        absl::StrCat(ShortFunctionName(site.where.function_name()), " ", NameOf(site.kind));
    const int number = ++count[name];
    names.push_back(number == 1 ? name : absl::StrCat(name, " #", number));
  }
  return names;
}

}  // namespace plait::explorer
