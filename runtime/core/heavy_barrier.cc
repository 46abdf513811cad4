#include "plait/runtime/core/heavy_barrier.h"

#include "plait/runtime/core/check.h"

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace plait::internal {

#if defined(PLAIT_EXPLORE)

bool HeavyBarrierWorks() noexcept { return true; }
void PrepareHeavyBarrier() noexcept {}

#elif defined(__linux__) && defined(SYS_membarrier)

namespace {

// Of linux/membarrier.h, which older systems have not all of.
constexpr int kPrivateExpedited = 1 << 3;
constexpr int kRegisterPrivateExpedited = 1 << 4;

bool Do(int command) noexcept { return syscall(SYS_membarrier, command, 0, 0) == 0; }

constinit thread_local uint64_t barriers_here = 0;

}  // namespace

bool HeavyBarrierWorks() noexcept {
  enum : int { kUnknown, kWorks, kFails };
  // Threads that ask at the same time find the same. It is no static of a call's result, whose
  // guard a child that is forked meanwhile would find taken for ever.
  static constinit Atomic<int> known{kUnknown};
  int state = known.load(kRelaxed);
  if (state == kUnknown) {
    state = Do(kRegisterPrivateExpedited) && Do(kPrivateExpedited) ? kWorks : kFails;
    known.store(state, kRelaxed);
  }
  return state == kWorks;
}

void PrepareHeavyBarrier() noexcept {
  static constinit Atomic<bool> prepared{false};
  if (prepared.load(kRelaxed)) return;
  // Where it fails, HeavyBarrierWorks finds out.
  static_cast<void>(Do(kRegisterPrivateExpedited));
  prepared.store(true, kRelaxed);
}

void HeavyBarrier() noexcept {
  ++barriers_here;
  if (Do(kPrivateExpedited)) return;
  // A forked child may have to register again.
  PLAIT_CHECK(Do(kRegisterPrivateExpedited) && Do(kPrivateExpedited),
              "membarrier(2) fails, which has worked before in this program: a sandbox must either "
              "allow it or forbid it from the beginning");
}

uint64_t HeavyBarriersHere() noexcept { return barriers_here; }

#else

bool HeavyBarrierWorks() noexcept { return false; }
void PrepareHeavyBarrier() noexcept {}
void HeavyBarrier() noexcept { PLAIT_CHECK(false, "this system has no HeavyBarrier"); }
uint64_t HeavyBarriersHere() noexcept { return 0; }

#endif

}  // namespace plait::internal
