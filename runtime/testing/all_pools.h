// AllPools: every executor whose several threads wait for I/O, over every reactor that runs on this
// system, for tests that must hold on each.
//
//   INSTANTIATE_TEST_SUITE_P(AllPools, StreamTest, testing::ValuesIn(AllPools()),
//                            PoolFactory::Name);
#ifndef PLAIT_RUNTIME_TESTING_ALL_POOLS_H_
#define PLAIT_RUNTIME_TESTING_ALL_POOLS_H_

#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "plait/runtime/core/executor.h"

namespace plait {

struct PoolFactory {
  // Letters and digits: it stands in the tests' names.
  std::string name;
  // A new one, which runs; to destroy it ends its tasks and joins its threads.
  std::function<std::unique_ptr<Executor>(int threads)> make;

  static std::string Name(const testing::TestParamInfo<PoolFactory>& info) {
    return info.param.name;
  }
  friend void PrintTo(const PoolFactory& factory, std::ostream* out) { *out << factory.name; }
};

std::vector<PoolFactory> AllPools();

}  // namespace plait

#endif  // PLAIT_RUNTIME_TESTING_ALL_POOLS_H_
