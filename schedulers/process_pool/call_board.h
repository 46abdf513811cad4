// CallBoard: what a parent and a worker process say of calls beside the ring, in a page that they
// share. Internal.
//
// The parent numbers the calls that it gives to one worker 1, 2, 3, ..., and the worker begins them
// in that order. Calls that wait in the ring can be had back: because they were cancelled, because
// another worker has nothing to do, or because this one died before it came to them.
//
//   worker: begun = n, then looks whether n was withdrawn   } sequentially consistent, so at least
//   parent: withdrawn[n] = n, then looks whether n <= begun } one of them sees the other
//
// So a call whose Withdraw gives true never begins, and one that the worker begins is known to have
// begun before its first instruction ran: where the worker dies, exactly the calls after `begun`
// may be given to another without any running twice. Where both see each other the worker does not
// run the call, and answers that it did not.
//
// Trust: what a worker has said that it has begun the parent does not let it take back. One that
// writes nonsense there harms the calls that it has, and no other: they fail, or, where the parent
// had not seen that one had begun, it is given to another worker once more, a few times at most.
#ifndef PLAIT_SCHEDULERS_PROCESS_POOL_CALL_BOARD_H_
#define PLAIT_SCHEDULERS_PROCESS_POOL_CALL_BOARD_H_

#include <cstddef>
#include <cstdint>

#include "plait/runtime/core/atomic.h"

namespace plait::internal {

class CallBoard {
 public:
  // Fewer calls than this are in a worker at a time.
  static constexpr uint64_t kSlots = 256;

  // Worker: about to run call `number`. False when it was withdrawn: it must not run.
  [[nodiscard]] bool Begin(uint64_t number) noexcept {
    begun_.store(number, kSeqCst);
    return withdrawn_[number % kSlots].load(kSeqCst) != number;
  }
  // Worker: is `number` once that call is to stop, for a function that looks while it runs. One
  // that was only withdrawn, too late, goes on undisturbed: its result is wanted.
  const Atomic<uint64_t>& stop_word(uint64_t number) const noexcept {
    return stopped_[number % kSlots];
  }

  // Parent: call `number` is not to begin. True when it certainly never does; else it may have
  // begun, and the worker answers one way or the other, or dies.
  [[nodiscard]] bool Withdraw(uint64_t number) noexcept {
    withdrawn_[number % kSlots].store(number, kSeqCst);
    return begun_.load(kSeqCst) < number;
  }
  // Parent: call `number`, which may have begun, is to end soon.
  void Stop(uint64_t number) noexcept { stopped_[number % kSlots].store(number, kRelaxed); }
  // Parent: the last call that has begun.
  uint64_t begun() const noexcept { return begun_.load(kSeqCst); }

  // Parent: has read another large result, so that its memory is the worker's again. Release: the
  // worker writes there only after it was read.
  void TakeResult() noexcept { results_taken_.fetch_add(1, kRelease); }
  // Worker.
  uint64_t results_taken() const noexcept { return results_taken_.load(kAcquire); }

 private:
  // A line for each side's writes.
  alignas(64) Atomic<uint64_t> begun_;
  alignas(64) Atomic<uint64_t> results_taken_;
  alignas(64) Atomic<uint64_t> withdrawn_[kSlots];
  Atomic<uint64_t> stopped_[kSlots];
};

}  // namespace plait::internal

#endif  // PLAIT_SCHEDULERS_PROCESS_POOL_CALL_BOARD_H_
