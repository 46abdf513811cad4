#include "plait/schedulers/thread_pool/thread_pool.h"

#include "gtest/gtest.h"
#include "plait/runtime/testing/pool_suite.h"

namespace plait {

template <>
inline constexpr const char* kPoolName<ThreadPool> = "ThreadPool";

namespace {

INSTANTIATE_TYPED_TEST_SUITE_P(ThreadPool, PoolSuite, ThreadPool);
INSTANTIATE_TYPED_TEST_SUITE_P(ThreadPool, PoolDeathTest, ThreadPool);

}  // namespace
}  // namespace plait
