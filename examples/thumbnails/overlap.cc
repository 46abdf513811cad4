#include "plait/examples/thumbnails/overlap.h"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace examples {
namespace {

// The same times as spans in their order, none of which touches the next.
std::vector<Span> Merged(std::vector<Span> spans) {
  std::sort(spans.begin(), spans.end(),
            [](const Span& a, const Span& b) { return a.begin < b.begin; });
  std::vector<Span> merged;
  for (const Span& span : spans) {
    if (merged.empty() || span.begin > merged.back().end) {
      merged.push_back(span);
    } else {
      merged.back().end = std::max(merged.back().end, span.end);
    }
  }
  return merged;
}

absl::Duration Length(const std::vector<Span>& spans) {
  absl::Duration length;
  for (const Span& span : spans) length += span.end - span.begin;
  return length;
}

}  // namespace

Overlap MeasureOverlap(std::vector<Span> first, std::vector<Span> second) {
  first = Merged(std::move(first));
  second = Merged(std::move(second));
  Overlap overlap{.first = Length(first), .second = Length(second)};
  for (size_t i = 0, k = 0; i < first.size() && k < second.size();) {
    const absl::Duration begin = std::max(first[i].begin, second[k].begin);
    const absl::Duration end = std::min(first[i].end, second[k].end);
    if (begin < end) overlap.both += end - begin;
    // Whichever ends sooner overlaps nothing that comes later.
    if (first[i].end < second[k].end) {
      ++i;
    } else {
      ++k;
    }
  }
  return overlap;
}

}  // namespace examples
