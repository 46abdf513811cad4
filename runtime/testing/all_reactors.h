// AllReactors: every reactor that runs on this system, for tests that must hold on each.
//
//   INSTANTIATE_TEST_SUITE_P(AllReactors, StreamTest, testing::ValuesIn(AllReactors()),
//                            ReactorFactory::Name);
#ifndef PLAIT_RUNTIME_TESTING_ALL_REACTORS_H_
#define PLAIT_RUNTIME_TESTING_ALL_REACTORS_H_

#include <vector>

#include "plait/runtime/testing/reactor_factory.h"

namespace plait {

std::vector<ReactorFactory> AllReactors();

}  // namespace plait

#endif  // PLAIT_RUNTIME_TESTING_ALL_REACTORS_H_
