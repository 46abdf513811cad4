#include "plait/schedulers/process_pool/worker_exit.h"

#include <signal.h>

#include "absl/strings/str_cat.h"
#include "plait/schedulers/process_pool/process_system.h"

namespace plait::internal {

std::string WorkerExit::ToString() const {
  switch (kind) {
    case Kind::kExited:
      return absl::StrCat("exited with status ", code);
    case Kind::kSignalled:
      return absl::StrCat(
          "was killed by ", pool_system::SignalName(signal), core_dumped ? " (core dumped)" : "",
          signal == SIGKILL && !asked_for ? ", by somebody else or as the system had no memory left"
                                          : "");
    case Kind::kNotStarted:
      return absl::StrCat("could not be started: ", reason);
    case Kind::kLost:
      break;
  }
  return absl::StrCat("was killed, as the process that starts workers ",
                      reason.empty() ? "has died" : reason);
}

}  // namespace plait::internal
