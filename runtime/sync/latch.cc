#include "plait/runtime/sync/latch.h"

#include "absl/strings/str_cat.h"
#include "plait/runtime/core/check.h"

namespace plait {

Latch::Latch(int64_t count) : count_(count), open_(count == 0) {
  PLAIT_CHECK(count >= 0, absl::StrCat("a Latch cannot count ", count, ": that is negative"));
}

void Latch::CountDown(int64_t n) {
  PLAIT_CHECK(n >= 0, absl::StrCat("Latch::CountDown: ", n, " is negative"));
  if (n == 0) return;
  // Release: what came before is visible to those who wait. Acquire: the last one has it all, and
  // hands it on.
  const int64_t left = count_.fetch_sub(n, internal::kAcqRel) - n;
  PLAIT_CHECK(left >= 0, absl::StrCat("Latch::CountDown: ", n, " is more than the ", left + n,
                                      " that are left"));
  if (left == 0) open_.Set();
}

}  // namespace plait
