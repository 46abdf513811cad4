#include "plait/io/process/exit_status.h"

#include "absl/strings/str_cat.h"
#include "plait/io/system/signal_name.h"

namespace plait {

std::string ExitStatus::ToString() const {
  if (signal_ == 0) return absl::StrCat("exit status ", code_);
  return absl::StrCat("killed by ", SignalName(signal_), core_dumped_ ? " (core dumped)" : "");
}

}  // namespace plait
