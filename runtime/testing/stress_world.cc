#include "plait/runtime/testing/stress_world.h"

#include <cstdio>

#include "absl/strings/str_cat.h"

namespace plait::stress {

using internal::SpinLockHolder;

void World::Expect(bool held, const char* what) {
  if (held) [[likely]]
    return;
  Trace(0, "WRONG", what);
  SpinLockHolder hold(lock_);
  if (complaints_.size() < 10) complaints_.emplace_back(what);
}

std::vector<std::string> World::complaints() {
  SpinLockHolder hold(lock_);
  return complaints_;
}

void World::Trace(int depth, const char* name, const std::string& what) {
  if (!trace) [[likely]]
    return;
  const absl::Duration now = absl::Nanoseconds(clock.Now().nanos());
  const std::string line = absl::StrCat(absl::FormatDuration(now), "\t",
                                        std::string(2 * depth, ' '), name, ": ", what, "\n");
  std::fputs(line.c_str(), stderr);
}

void World::Detach(TaskHandle handle) {
  SpinLockHolder hold(lock_);
  detached_.push_back(std::move(handle));
}

std::vector<TaskHandle> World::TakeDetached() {
  SpinLockHolder hold(lock_);
  return std::exchange(detached_, {});
}

}  // namespace plait::stress
