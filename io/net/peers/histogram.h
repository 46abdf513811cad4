// Histogram: how long each of many requests took, in a few kilobytes and a few instructions each.
//
//   histogram.Add(nanos);
//   int64_t p99 = histogram.Quantile(0.99);
//
// Log-linear, after Tene's HdrHistogram: each power of two is divided into 64 buckets, so a
// quantile is at most 1.6 % above what it was. Not thread-safe. Values: 0 and more.
#ifndef PLAIT_IO_NET_PEERS_HISTOGRAM_H_
#define PLAIT_IO_NET_PEERS_HISTOGRAM_H_

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace peers {

class Histogram {
 public:
  void Add(int64_t value) {
    ++buckets_[BucketOf(static_cast<uint64_t>(value))];
    ++count_;
  }

  int64_t count() const { return count_; }

  // The least value that `fraction` (0 to 1) of all values do not exceed, rounded up to the end of
  // its bucket; 0 when there are none.
  int64_t Quantile(double fraction) const;

 private:
  static constexpr int kSubBits = 6;
  static constexpr uint64_t kSub = uint64_t{1} << kSubBits;

  // Values below kSub have a bucket each. Above, the bucket is the position of the highest bit and
  // the kSubBits bits after it.
  static size_t BucketOf(uint64_t value) {
    if (value < kSub) return value;
    const int shift = std::bit_width(value) - 1 - kSubBits;
    return static_cast<size_t>(shift + 1) * kSub + ((value >> shift) - kSub);
  }
  // The greatest value of a bucket.
  static uint64_t EndOf(size_t bucket) {
    if (bucket < kSub) return bucket;
    const size_t shift = bucket / kSub - 1;
    return ((kSub + bucket % kSub + 1) << shift) - 1;
  }

  std::array<int64_t, (64 - kSubBits) * kSub> buckets_ = {};
  int64_t count_ = 0;
};

}  // namespace peers

#endif  // PLAIT_IO_NET_PEERS_HISTOGRAM_H_
