// Makes a reactor by name, or the best that this system allows.
#ifndef PLAIT_IO_AUTO_REACTOR_AUTO_REACTOR_H_
#define PLAIT_IO_AUTO_REACTOR_AUTO_REACTOR_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "plait/runtime/core/executor.h"
#include "plait/runtime/core/reactor.h"

namespace plait {

struct ReactorOptions {
  // Where reads and writes of regular files run on reactors that have no better way; outlives the
  // reactor. May be null.
  Executor* blocking = nullptr;
};

// `name` is one of ReactorNames(), "auto" for the best that the system allows, or empty for the
// default: the environment variable PLAIT_REACTOR if it is set and not empty, else what the build
// flag //:reactor says. InvalidArgument names what there is when the name is unknown; another error
// says why this system refuses.
absl::StatusOr<std::unique_ptr<Reactor>> MakeReactor(absl::string_view name = "",
                                                     ReactorOptions options = {});

// The reactors in this build, the best first.
std::vector<std::string> ReactorNames();

}  // namespace plait

#endif  // PLAIT_IO_AUTO_REACTOR_AUTO_REACTOR_H_
