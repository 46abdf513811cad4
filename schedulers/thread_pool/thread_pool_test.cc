#include "plait/schedulers/thread_pool/thread_pool.h"

#include <sys/resource.h>
#include <unistd.h>

#include <cstddef>
#include <fstream>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "plait/runtime/testing/pool_suite.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/sanitized.h"

namespace plait {

template <>
inline constexpr const char* kPoolName<ThreadPool> = "ThreadPool";

namespace {

INSTANTIATE_TYPED_TEST_SUITE_P(ThreadPool, PoolSuite, ThreadPool);
INSTANTIATE_TYPED_TEST_SUITE_P(ThreadPool, PoolDeathTest, ThreadPool);

// Others do not keep to the limit, and without exceptions the program ends there.
#if defined(__linux__) && defined(__cpp_exceptions)

// This process may have so many more bytes of addresses than it has.
class SpareAddresses {
 public:
  explicit SpareAddresses(size_t bytes) {
    EXPECT_EQ(::getrlimit(RLIMIT_AS, &before_), 0);
    size_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    rlimit limit = before_;
    limit.rlim_cur = pages * static_cast<size_t>(::getpagesize()) + bytes;
    EXPECT_EQ(::setrlimit(RLIMIT_AS, &limit), 0);
  }
  SpareAddresses(const SpareAddresses&) = delete;
  SpareAddresses& operator=(const SpareAddresses&) = delete;
  ~SpareAddresses() { EXPECT_EQ(::setrlimit(RLIMIT_AS, &before_), 0); }

 private:
  rlimit before_;
};

// Trap: a wake-up lost between check and park, of those that have just been started.
TEST(ThreadPoolTest, AThreadThatCannotBeStartedIsTheResultOfCreate) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer needs all addresses that there are";
  for (int i = 0; i < Repeats(200); ++i) {
    const SpareAddresses few(size_t{40} << 20);
    const absl::StatusOr<std::unique_ptr<ThreadPool>> pool = ThreadPool::Create({.threads = 500});
    EXPECT_TRUE(absl::IsResourceExhausted(pool.status())) << pool.status();
  }
}

#endif

}  // namespace
}  // namespace plait
