// ForkJoin: the parts of one fork: who does which, and when all are done. Without a locked
// instruction where nobody stole.
//
//   class Sum : public ForkJoin { ... };      // its `run` does what a new strand does, see below
//   bool alone = sum.Begin(parts);
//   prepare part 0;
//   if (!alone) sum.Offer(forks);
//   do part 0;
//   for (; !alone; do part `step.part`) {
//     const ForkJoin::Step step = sum.AfterPart(forks, parts);
//     if (step.what == ForkJoin::kWait) return;             // somebody else will find kJoined
//     if (step.what == ForkJoin::kJoined) break;            // all parts have been done
//     prepare part `step.part`;
//     if (step.what == ForkJoin::kPart) sum.Offer(forks);
//     alone = step.what == ForkJoin::kAlone;
//   }
//
// Parts are done by strands. The first does part 0 and then, while it finds the rest where it
// pushed it, the next; whoever is given the rest by the executor (`run`) becomes another strand:
// BeginStrand gives its first part. `parts` is the same in each call: mostly a constant of who
// forks, which is nothing to keep, and to keep count of where it is 2. While a strand has the rest
// it may prepare the part that it has taken, by itself, and others' parts are prepared before or
// after that: it gives the rest up by Offer, from when on others may have it. So parts are prepared
// one at a time, in the order of the numbers, and what a part needs can be made then.
//
// Counted are the strands, and the rest until its last part is taken:
//
//   2 (one strand, and the rest)
//     --AfterPart takes the last part, and count is 2--> nobody else is there to know: kAlone; of
//     two
//       parts this is always so, as nobody else has ever had the rest
//     --AfterPart takes the last part otherwise--> - 1
//     --BeginStrand, and more parts are left: what will be offered again counts too--> + 1
//     --BeginStrand takes the last part: what counted the rest counts the strand--> the same
//     --AfterPart does not have the rest: the strand ends--> - 1; who makes it 0: kJoined
//
// Only who has the rest changes `next_` or adds to the count. The rest goes from thread to thread
// through the executor's queue, which orders all that. Orderings of the count: the end of a strand
// releases what its parts left, and kJoined and kAlone acquire what all have left; the rest is
// relaxed. fork_join_explored_test weakens each.
//
// Threads: as noted. Lifetime: nothing of it may be touched after kWait, or by a strand that was
// not told of its end because it was suspended.
#ifndef PLAIT_RUNTIME_CORE_FORK_JOIN_H_
#define PLAIT_RUNTIME_CORE_FORK_JOIN_H_

#include <cstddef>

#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/fork_stack.h"

namespace plait::internal {

class ForkJoin : public ForkJob {
 public:
  enum What : unsigned char {
    kPart,    // do this part; others are left: Offer
    kLast,    // do this part, the last; others are being done
    kAlone,   // the same, but all others are done: when this one is, so is everything
    kWait,    // the strand has ended; others have not
    kJoined,  // the strand has ended, as the last: everything is done
  };
  struct Step {
    What what;
    size_t part;
  };

  explicit ForkJoin(RunFunction begin_strand) noexcept : ForkJob(begin_strand) {}

  // The first strand, which does part 0 of `parts`, 1 or more. True: it is alone with it.
  bool Begin(size_t parts) noexcept {
    if (parts > 2) next_ = 1;
    return parts == 1;
  }

  // The strand that has the rest, on the thread of `forks`, when what its own part needs is there.
  // True: it is to yield (ForkStack::Push).
  bool Offer(ForkStack& forks) { return forks.Push(*this); }

  // A strand has done a part, on the thread of `forks`.
  Step AfterPart(ForkStack& forks, size_t parts) noexcept {
    if (!forks.Pop(*this)) [[unlikely]]
      return {EndStrand() ? kJoined : kWait, 0};
    if (parts == 2) return {kAlone, 1};
    const size_t part = next_;
    if (part + 1 < parts) {
      next_ = part + 1;
      return {kPart, part};
    }
    // Acquire: the results of the strands that have ended.
    if (count_.load(kAcquire) == 2) [[likely]]
      return {kAlone, part};
    count_.fetch_sub(1, kRelaxed);
    return {kLast, part};
  }

  // A new strand, which was given the rest.
  Step BeginStrand(size_t parts) noexcept {
    if (parts == 2) return {kLast, 1};
    const size_t part = next_++;
    if (next_ == parts) return {kLast, part};
    count_.fetch_add(1, kRelaxed);
    return {kPart, part};
  }

 private:
  bool EndStrand() noexcept {
    // The last one needs no locked instruction: nobody is left who could count.
    return count_.load(kAcquire) == 1 || count_.fetch_sub(1, kAcqRel) == 1;
  }

  Atomic<int> count_{2};
  size_t next_;  // the first part of the rest; not kept where there are two parts
};

}  // namespace plait::internal

#endif  // PLAIT_RUNTIME_CORE_FORK_JOIN_H_
