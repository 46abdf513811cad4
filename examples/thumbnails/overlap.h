// How much of the time two kinds of work were done, and how much of it both.
#ifndef PLAIT_EXAMPLES_THUMBNAILS_OVERLAP_H_
#define PLAIT_EXAMPLES_THUMBNAILS_OVERLAP_H_

#include <vector>

#include "absl/time/time.h"

namespace examples {

// From `begin` until before `end`, on one stopwatch.
struct Span {
  absl::Duration begin;
  absl::Duration end;
};

struct Overlap {
  absl::Duration first;   // while at least one span of the first kind lasted
  absl::Duration second;  // ... of the second kind
  absl::Duration both;    // ... of either kind
};

// The spans of a kind may overlap, and come in any order.
Overlap MeasureOverlap(std::vector<Span> first, std::vector<Span> second);

}  // namespace examples

#endif  // PLAIT_EXAMPLES_THUMBNAILS_OVERLAP_H_
