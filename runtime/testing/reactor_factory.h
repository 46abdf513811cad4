// ReactorFactory: how a reactor under test is made. What suites and tests over every reactor are
// parameterised by.
#ifndef PLAIT_RUNTIME_TESTING_REACTOR_FACTORY_H_
#define PLAIT_RUNTIME_TESTING_REACTOR_FACTORY_H_

#include <functional>
#include <memory>
#include <ostream>
#include <string>

#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "plait/runtime/core/executor.h"
#include "plait/runtime/core/reactor.h"

namespace plait {

struct ReactorFactory {
  // Letters and digits: it stands in the tests' names.
  std::string name;
  // A new reactor, whose regular files, if it cannot do better, are read and written on `blocking`,
  // which may be null.
  std::function<absl::StatusOr<std::unique_ptr<Reactor>>(Executor* blocking)> make;

  static std::string Name(const testing::TestParamInfo<ReactorFactory>& info) {
    return info.param.name;
  }
  friend void PrintTo(const ReactorFactory& factory, std::ostream* out) { *out << factory.name; }
};

}  // namespace plait

#endif  // PLAIT_RUNTIME_TESTING_REACTOR_FACTORY_H_
