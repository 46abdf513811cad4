#include "plait/runtime/core/check.h"

#include <cstdio>
#include <cstdlib>

namespace plait::internal {

void CheckFailed(const char* file, int line, const char* condition,
                 std::string_view message) noexcept {
  std::fprintf(stderr, "plait: %.*s (check failed: %s) at %s:%d\n",
               static_cast<int>(message.size()), message.data(), condition, file, line);
  std::fflush(stderr);
  std::abort();
}

}  // namespace plait::internal
