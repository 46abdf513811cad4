#include "plait/runtime/core/stack_end.h"

namespace plait::internal {

constinit thread_local const char* stack_end = nullptr;

}  // namespace plait::internal
