#include "plait/runtime/core/heavy_barrier.h"

#include "plait/runtime/core/check.h"

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace plait::internal {

#if defined(PLAIT_EXPLORE)

bool HeavyBarrierWorks() noexcept { return true; }

#elif defined(__linux__) && defined(SYS_membarrier)

namespace {

// Of linux/membarrier.h, which older systems have not all of.
constexpr int kPrivateExpedited = 1 << 3;
constexpr int kRegisterPrivateExpedited = 1 << 4;

bool Do(int command) noexcept { return syscall(SYS_membarrier, command, 0, 0) == 0; }

}  // namespace

bool HeavyBarrierWorks() noexcept {
  static const bool works = Do(kRegisterPrivateExpedited) && Do(kPrivateExpedited);
  return works;
}

void HeavyBarrier() noexcept {
  if (Do(kPrivateExpedited)) return;
  // A forked child may have to register again.
  PLAIT_CHECK(Do(kRegisterPrivateExpedited) && Do(kPrivateExpedited),
              "membarrier(2) fails, which has worked before in this program: a sandbox must either "
              "allow it or forbid it from the beginning");
}

#else

bool HeavyBarrierWorks() noexcept { return false; }
void HeavyBarrier() noexcept { PLAIT_CHECK(false, "this system has no HeavyBarrier"); }

#endif

}  // namespace plait::internal
