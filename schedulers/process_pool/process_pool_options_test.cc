#include "plait/schedulers/process_pool/process_pool_options.h"

#include <cstddef>
#include <limits>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/schedulers/process_pool/process_pool.h"

namespace plait {
namespace {

TEST(ProcessPoolOptionsTest, WhatNoPoolCanBeLikeIsRefusedInWords) {
  constexpr size_t kMost = std::numeric_limits<size_t>::max();
  const std::vector<ProcessPoolOptions> bad = {
      {.workers = -1},
      {.calls_per_worker = 0},
      {.calls_per_worker = 256},
      {.max_payload = 0},
      {.max_payload = (size_t{4} << 30) + 1},
      // Twice this is no size.
      {.max_payload = kMost / 2 + 1},
      {.max_payload = kMost},
      {.zygote_grace = absl::ZeroDuration()},
  };
  for (const ProcessPoolOptions& options : bad) {
    const absl::Status status = ProcessPool::Create(options).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_TRUE(absl::StartsWith(status.message(), "a process pool needs workers >= 0, "))
        << status;
  }
}

TEST(ProcessPoolOptionsTest, AMistakeInTheTableIsThePools) {
  ProcessPoolOptions options;
  options.functions.Add("twice", [](int n) { return n; }).Add("twice", [](int n) { return n; });
  EXPECT_TRUE(absl::IsAlreadyExists(ProcessPool::Create(options).status()));
}

}  // namespace
}  // namespace plait
