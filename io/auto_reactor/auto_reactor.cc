#include "plait/io/auto_reactor/auto_reactor.h"

#include <cstdlib>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "plait/io/epoll/epoll_reactor.h"

// What the build flag //:reactor says.
#ifndef PLAIT_DEFAULT_REACTOR
#define PLAIT_DEFAULT_REACTOR "auto"
#endif

namespace plait {

std::vector<std::string> ReactorNames() { return {"epoll"}; }

absl::StatusOr<std::unique_ptr<Reactor>> MakeReactor(absl::string_view name,
                                                     ReactorOptions options) {
  absl::string_view origin = "";
  if (name.empty()) {
    const char* chosen = std::getenv("PLAIT_REACTOR");
    if (chosen != nullptr && *chosen != '\0') {
      name = chosen;
      origin = " (from the environment variable PLAIT_REACTOR)";
    } else {
      name = PLAIT_DEFAULT_REACTOR;
    }
  }
  if (name == "epoll" || name == "auto") return MakeEpollReactor({.blocking = options.blocking});
  return absl::InvalidArgumentError(absl::StrCat("unknown reactor \"", name, "\"", origin,
                                                 "; this build has: auto, ",
                                                 absl::StrJoin(ReactorNames(), ", ")));
}

}  // namespace plait
