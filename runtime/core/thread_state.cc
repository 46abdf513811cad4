#include "plait/runtime/core/thread_state.h"

namespace plait::internal {

constinit thread_local ThreadState thread_state;

}  // namespace plait::internal
