#include "plait/runtime/core/executor_hooks.h"

#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"

namespace plait {

void ExecutorHooks::Tell(const Report& report) const {
  if (on_report != nullptr) {
    on_report(report);
    return;
  }
  // One write, so that lines of several threads do not mix.
  const std::string line = absl::StrCat("plait: ", report.message, "\n");
  std::fwrite(line.data(), 1, line.size(), stderr);
}

}  // namespace plait
