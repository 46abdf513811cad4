// IdleSet: which workers of a pool look for work and which are parked, so that a post wakes one
// worker where that is needed, none where it is not, and no wake-up is lost.
//
//   A post, once the work is where every worker looks
//   -------------------------------------------------
//   if (int w = idle.ClaimForWork(); w >= 0) Wake(w);
//
//   A worker without work
//   ---------------------
//   idle.BeginSearch(me);
//   ... look everywhere, spin, look again
//   found:      if (idle.EndSearch(me) && AnyWork()) as after a post;
//   not found:  idle.PreparePark(me);
//               if (!AnyWork()) sleep;
//               idle.CancelPark(me);
//
// What a worker is, and who makes it so (a claim is a poster's, all else is its own):
//
//                  BeginSearch                      PreparePark
//        busy  ------------------->  searching  ------------------->  parked
//          ^  <-------------------     |  ^                            |  |
//          |        EndSearch              +---------------------------+  |
//          |                                          a claim             |
//          +--------------------------------------------------------------+
//                CancelPark of a worker that nobody has claimed
//
// The rules, and why they suffice:
//   - A post wakes nobody while somebody searches: the searcher will see the work. A worker that
//     was claimed searches from that moment on, not from when it has woken up; so ten posts, while
//     one worker is on its way, wake one.
//   - The last searcher to find something has to look whether there is more, and wakes another if
//     so: it may have been trusted with more than the one item that it found. Like this a burst
//     wakes as many workers as have something to do, each the next, and no more.
//   - A worker that parks first says so, and then looks once more at every queue: what was posted
//     before it said so is seen by that look, and what is posted later finds it parked.
// There are never more wake-ups than posts and finds of more work. At most half the workers search
// by themselves (BeginSearch); more would only be in each other's way.
//
// Orderings. A post makes work visible and then reads who is idle; a worker writes that it is idle
// and then looks for work. At least one of them must see the other; `searching_` is where they
// meet, as every PreparePark and EndSearch modifies it, also that of a worker that did not search:
//   - ClaimForWork modifies it too, by 0. If it comes first, the worker's modification acquires it,
//     and with it the post. If it comes second, it acquires the worker's, and sees its bit. So the
//     queue may be of any kind.
//   - ClaimForOrderedWork only reads it, which keeps its line in every poster's cache: for queues
//     whose push is sequentially consistent, and whose look is. If the load reads what was there
//     before the worker's modification, it is before that in the order S of such operations, and
//     so is the push before the look. If not, it acquires, as above.
//   - SomebodyIsIdle reads it so too, after a push that need not be ordered at all: who parks
//   brings
//     the barrier (work_lane.h).
//   - A parked bit is set before that modification and so is visible to whoever acquires it: the
//     load of the bits needs no order, nor does the count's increase, as a read-modify-write goes
//     on with the release sequence of the one before it.
//   - A claim of a bit releases. CancelPark acquires it when it comes second: a claimed worker sees
//     what it was claimed for; PreparePark acquires it as well: ClaimParked does not look at the
//     count, so where it found the worker busy, that worker must see the post.
// A claim clears the bit before it counts the searcher, so that the count is never more than those
// who will look again; for a moment it may be less, and even negative, which costs a look.
// idle_set_explored_test weakens each.
//
// Threads: as noted; `worker` is in [0, workers). Lifetime: whoever calls a method keeps it alive.
// Cost: ClaimForOrderedWork is a load while somebody searches or nobody is parked, ClaimForWork one
// locked instruction; a claim is two, and so is parking. Does not allocate after construction.
#ifndef PLAIT_SCHEDULERS_WORK_STEALING_IDLE_SET_H_
#define PLAIT_SCHEDULERS_WORK_STEALING_IDLE_SET_H_

#include <cstdint>
#include <memory>

#include "plait/runtime/core/atomic.h"

namespace plait::internal {

class IdleSet {
 public:
  // What a claim gives when there is nobody to wake.
  static constexpr int kNobody = -1;

  // At least one worker (CHECK). All are busy.
  explicit IdleSet(int workers);
  IdleSet(const IdleSet&) = delete;
  IdleSet& operator=(const IdleSet&) = delete;
  ~IdleSet();

  // --- whoever posts; any thread ---

  // After work was made visible, in any way, to all workers. The worker that the caller must wake
  // now, which searches already as far as others are concerned; or kNobody. Of the parked ones it
  // is that of the lowest number, so that a pool with little to do keeps few awake.
  [[nodiscard]] int ClaimForWork() noexcept {
    if (searching_.fetch_add(0, kAcqRel) > 0) return kNobody;
    return ClaimAny();
  }
  // The same after a push that is sequentially consistent to a queue that workers look at so
  // (WorkStealingDeque). As cheap as can be while all are busy.
  [[nodiscard]] int ClaimForOrderedWork() noexcept {
    if (searching_.load(kSeqCst) > 0 || NobodyIsParked()) return kNobody;
    return ClaimAny();
  }
  // After a push that is to be made visible to all only where somebody wants it (WorkLane, which
  // see for the rest of what makes it right). False while all are busy.
  [[nodiscard]] bool SomebodyIsIdle() const noexcept {
    return searching_.load(kSeqCst) > 0 || !NobodyIsParked();
  }
  // After work was made visible to this worker alone, or all are to end. True: it was parked, and
  // the caller must wake it; it searches, as if claimed for work. False: it is awake and sees the
  // post before it sleeps, or somebody else is about to wake it.
  [[nodiscard]] bool ClaimParked(int worker) noexcept;

  // --- the worker itself ---

  // It has nothing to do, and begins to look. False when enough look already: then it parks at
  // once. True when it searches already, as after a claim.
  bool BeginSearch(int worker) noexcept;
  // It has found something. True when nobody else searches: if there is more to do the caller must
  // claim another and wake it, as after a post. False when it did not search.
  [[nodiscard]] bool EndSearch(int worker) noexcept;
  // It has found nothing, whether or not it searched, and is parked from now on. Before it sleeps
  // it looks at every queue once more, and its own inbox.
  void PreparePark(int worker) noexcept;
  // It is awake: for having found something in that last look, or after its sleep, whatever ended
  // that. True: nobody has claimed it, and it is busy. False: it was claimed, and searches; what it
  // was claimed for is visible. If it did not sleep, somebody is still about to wake it, which its
  // next sleep must bear.
  [[nodiscard]] bool CancelPark(int worker) noexcept;

  bool searches(int worker) const noexcept { return own_[worker].searches; }
  // Not exact.
  bool SomebodySearches() const noexcept { return searching_.load(kRelaxed) > 0; }

  // --- any thread; a moment later it may not be so ---

  int searching() const noexcept;
  int parked() const noexcept;

 private:
  struct alignas(64) Parked {
    Atomic<uint64_t> bits{0};  // of 64 workers
  };
  // A worker's own, on a line of its own.
  struct alignas(64) Own {
    bool searches = false;
  };

  Atomic<uint64_t>& Bits(int worker) noexcept { return parked_[worker / 64].bits; }
  static uint64_t Bit(int worker) noexcept { return uint64_t{1} << (worker % 64); }
  bool NobodyIsParked() const noexcept {
    return workers_ <= 64 ? parked_[0].bits.load(kRelaxed) == 0 : parked() == 0;
  }
  int ClaimAny() noexcept;

  const int workers_;
  const std::unique_ptr<Parked[]> parked_;
  const std::unique_ptr<Own[]> own_;
  alignas(64) Atomic<int> searching_{0};
};

}  // namespace plait::internal

#endif  // PLAIT_SCHEDULERS_WORK_STEALING_IDLE_SET_H_
