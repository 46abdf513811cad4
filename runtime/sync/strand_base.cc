#include "plait/runtime/sync/strand_base.h"

#include "plait/runtime/sync/strand.h"

namespace plait::internal {

Executor* BaseOf(Executor* executor) noexcept {
  while (auto* const strand = dynamic_cast<Strand*>(executor)) executor = &strand->base();
  return executor;
}

}  // namespace plait::internal
