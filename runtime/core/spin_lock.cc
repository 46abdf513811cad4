#include "plait/runtime/core/spin_lock.h"

#include <thread>

namespace plait::internal {

#if defined(PLAIT_EXPLORE)
void SpinWait(int) noexcept { explored::Spin(); }
#else
void SpinWait(int round) noexcept {
  constexpr int kPauses = 64;  // about as long as the longest critical section of ours
  if (round < kPauses) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
    return;
  }
  std::this_thread::yield();
}
#endif

void SpinLock::LockSlow() noexcept {
  int round = 0;
  do {
    // Reads only while it is held, so that waiters do not fight over the cache line.
    while (locked_.load(kRelaxed)) SpinWait(round++);
  } while (locked_.exchange(true, kAcquire));
}

}  // namespace plait::internal
