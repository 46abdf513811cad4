// Strand: an executor that runs its work one item at a time, in order, on the threads of another.
//
//   plait::Strand account(pool);
//   plait::Spawn(Deposit(10), {.executor = &account});     // these two never run at the same time,
//   plait::Spawn(Withdraw(3), {.executor = &account});     // though the pool has many threads
//
// What is spawned on a strand resumes on it after every await, so plain variables that only the
// strand's tasks touch need no lock. Between two awaits a task has the strand to itself; while it
// waits, others have their turn (a Mutex is what is held across an await).
//
// Order: first in, first out. After a number of items, or one that has spent its budget of awaits
// (what can be had at once is no wait), the strand lets the other work of its base have a turn.
// Threads: Schedule may be called from any thread. The strand uses a thread of its base only while
// it has work, and what a task of it sees of timers and I/O is that thread's. Lifetime: the base
// outlives the strand, and the strand its tasks: join them before it dies (CHECK), not from inside
// it. Run does not know of a strand's tasks, and does not cancel them. Cost: a Schedule from the
// strand itself is a list append, from elsewhere one locked instruction, and a Schedule of the base
// when it was idle; nothing allocates. A task of it that awaits one that it has just spawned on it,
// with nothing else ready, calls that, on any base.
#ifndef PLAIT_RUNTIME_SYNC_STRAND_H_
#define PLAIT_RUNTIME_SYNC_STRAND_H_

#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/executor.h"
#include "plait/runtime/core/thread_state.h"
#include "plait/runtime/core/work_item.h"

namespace plait {

class Strand final : public Executor {
 public:
  explicit Strand(Executor& base);
  // Waits for the last item to return, if that is under way on another thread.
  ~Strand() override;

  // Any thread.
  void Schedule(WorkItem& item) noexcept override;
  // What blocks must not hold up the base either.
  Executor& blocking() noexcept override { return base_.blocking(); }
  // Runs the base, where that has no threads of its own.
  bool RunUntil(const internal::Atomic<bool>& done) noexcept override;

  Executor& base() noexcept { return base_; }
  // Whether the caller is an item of this strand.
  bool running_here() const noexcept { return internal::thread_state.local_executor == this; }

 private:
  // The most items that run before the base's other work has a turn.
  static constexpr int kItemsPerTurn = 64;

  struct Turn : WorkItem {
    using WorkItem::WorkItem;
    Strand* strand = nullptr;
  };

  static void RunTurn(WorkItem& item) noexcept;
  void RunItems() noexcept;
  void FetchPosted() noexcept;

  // What others have posted, newest first, in one word with whether the base has the turn:
  //
  //   idle --Schedule: post the turn--> items <--Schedule-- items or nothing
  //    ^                                  |
  //    |        nothing <--FetchPosted----+
  //    +-----------+ the turn ends, if ready_ is empty too
  //
  // The turn is in the base's hands, once, in every state but idle, so items never run at the same
  // time, and the word being idle is the last thing that a turn touches.
  internal::Atomic<WorkItem*> posted_;
  Executor& base_;
  Turn turn_;
  WorkQueue ready_;  // the turn's own
};

}  // namespace plait

#endif  // PLAIT_RUNTIME_SYNC_STRAND_H_
