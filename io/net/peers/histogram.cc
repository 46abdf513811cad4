#include "plait/io/net/peers/histogram.h"

#include <algorithm>
#include <cmath>

namespace peers {

int64_t Histogram::Quantile(double fraction) const {
  if (count_ == 0) return 0;
  const auto rank =
      std::max<int64_t>(1, static_cast<int64_t>(std::ceil(fraction * static_cast<double>(count_))));
  int64_t seen = 0;
  size_t bucket = 0;
  while ((seen += buckets_[bucket]) < rank) ++bucket;
  return static_cast<int64_t>(EndOf(bucket));
}

}  // namespace peers
