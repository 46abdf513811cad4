// ForkStack: the forks of one thread that nobody else knows of yet. What makes forking nearly free.
//
// Code that forks pushes a ForkJob, does the other half itself, and pops the job again to do that
// too: plain stores and loads of one thread, as long as nobody else has nothing to do. A thread
// that looks for work and finds none asks: it sets the one word that is shared. The owner looks at
// that word when it pushes, in the compare that also finds the stack full, and when it pops, and
// publishes its oldest job, which is the largest piece of work it has, as an ordinary WorkItem of
// its executor. So what a steal costs, atomics and wake-ups, is paid for what is stolen, or was
// wanted at least.
//
//        base                 bottom: oldest        top: next free
//         |   published: null   |   private           |
//        [ ] [ ] [ ] [ ] [ ]   [j] [j] [j] [j] [j]   [ ] ...
//             Push --> top + 1    Pop --> top - 1    publishing --> bottom + 1
//
// (Heartbeat scheduling is this with a timer that asks: Acar et al., PLDI 2018; Acar, Charguéraud
// and Rainey, Scheduling Parallel Programs by Work Stealing with Private Deques, PPoPP 2013, has
// thieves that ask. Here the answer goes into a queue that all may steal from, so that neither side
// waits for the other.)
//
// Whose is a job? The one of the newest push is its owner's to pop, in the reverse order of the
// pushes: Pop compares pointers, and looks into nothing, so it may be asked of a job that was
// published and is run, or done, by another thread. Once Pop has said no, the job has been or will
// be run by somebody through its `run`, and how its joiner learns of that is between the two (see
// ForkJoin). Jobs that are left when what pushed them has returned to its thread's loop, as it
// waits for something, are run by Drain.
//
// One thread alone is asked by nobody, and a tree that takes long would keep the rest of its
// thread's work waiting as long. So it can be told to make way: what is private is put aside as it
// is, and is an item as what a coroutine's yield makes.
//
// Threads: the owner's only, but for Ask, AskToYield and asked. Lifetime: a job stays where it is
// until it was popped or run. Cost: a push is two loads, a compare and two stores, a pop less.
// Memory: 8 bytes a private job.
#ifndef PLAIT_RUNTIME_CORE_FORK_STACK_H_
#define PLAIT_RUNTIME_CORE_FORK_STACK_H_

#include <cstddef>
#include <memory>

#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/thread_state.h"
#include "plait/runtime/core/work_item.h"

namespace plait::internal {

// Work that was forked. `run` is called where it is not its joiner who does it.
struct ForkJob : WorkItem {
  explicit ForkJob(RunFunction f) noexcept : WorkItem(f, Unlinked()) {}
};

class ForkStack {
 public:
  ForkStack();
  ForkStack(const ForkStack&) = delete;
  ForkStack& operator=(const ForkStack&) = delete;
  // It must be empty (CHECK).
  virtual ~ForkStack();

  // This thread's: what its executor has set, or one of the thread's own, which nobody steals from.
  static ForkStack& Current() noexcept {
    ForkStack* const forks = thread_state.forks;
    return forks != nullptr ? *forks : UseThreadsOwn();
  }

  // True: this has gone on for long, and the thread is wanted (see AskToYield). Who can is to call
  // Yield then; if nobody does the pushes that follow say so too, for a while.
  bool Push(ForkJob& job) {
    if (top_ >= limit_.load(kRelaxed)) [[unlikely]]
      return PushSlow(job);
    *top_++ = &job;
    return false;
  }

  // Takes `job` back if it is the newest private one. If not, somebody else runs it, or has.
  [[nodiscard]] bool Pop(const ForkJob& job) noexcept {
    if (top_[-1] != &job) [[unlikely]]
      return Trim();
    --top_;
    // What is left is long work perhaps, which pushes nothing.
    if (asked()) [[unlikely]]
      Answer();
    return true;
  }

  bool empty() const noexcept { return top_ <= floor_ || top_[-1] == nullptr; }

  // Puts all that is private aside, as one item of the executor's, behind what else there is to do.
  // It goes on, maybe on another thread, with `next`, and then with the rest, as Drain does. After
  // a Push that was told to: what would have been called next is `next`, and `job` and what stands
  // below on the stack of calls may not be touched any more.
  void Yield(WorkItem* next) noexcept;

  // The newest private job, or null.
  ForkJob* PopNewest() noexcept;
  // Runs what is left, newest first, until nothing is. Called by what runs coroutines when they
  // have returned to it; inside of itself it does nothing.
  void Drain() noexcept;

  // Any thread: it has nothing to do. The next push or pop answers. Sequentially consistent with
  // the answer, for who goes to sleep, and asks once more when he has said so: either this comes
  // after an answer that did not see him asleep, and stands, or what the answer publishes finds him
  // asleep.
  void Ask() noexcept {
    // The look first, as most are asked already, and a store would take the line from its owner.
    // The store comes after the answer that was seen, or nobody cares.
    if (limit_.load(kSeqCst) != nullptr) limit_.store(nullptr, kRelaxed);
  }
  // Any thread: what forks here is to make way, as nothing else runs on its thread. May be lost, so
  // it is said again as long as it holds.
  void AskToYield() noexcept {
    yield_asked_.store(true, kRelaxed);
    // The next push goes the slow way, as it does for a question already.
    ForkJob** limit = limit_.load(kRelaxed);
    if (limit != nullptr) limit_.compare_exchange_strong(limit, NoPlace(), kRelaxed, kRelaxed);
  }
  // Any thread; a moment later it may not be so.
  bool asked() const noexcept { return limit_.load(kRelaxed) == nullptr; }

  // For plain functions that wait on this thread until a job has been done: runs one job of the
  // executor's whose `run` is `only`, the newest that this thread has published first; false when
  // none was found. Other work is not run on top of them: it might wait so too, and so on until the
  // stack is full.
  virtual bool RunOne(WorkItem::RunFunction only) noexcept {
    static_cast<void>(only);
    return false;
  }

 protected:
  // Hands a job to the executor. What it was made of is seen through the executor's queue; the
  // asking orders nothing but itself (see Ask).
  virtual void Publish(ForkJob& job) noexcept = 0;
  // Takes what has been put aside, where AskToYield is called.
  virtual void OnYield(WorkItem& rest) noexcept;

 private:
  friend class ForkFloor;

  struct Rest;

  static ForkStack& UseThreadsOwn() noexcept;
  // An address that nothing has, to be compared with only: below all places, and not null.
  static ForkJob** NoPlace() noexcept { return reinterpret_cast<ForkJob**>(alignof(ForkJob*)); }

  bool PushSlow(ForkJob& job);
  void Grow();
  // Publishes the oldest private job, if there is one.
  void Answer() noexcept;
  // Whether it was asked to, and nothing runs in the middle of something else.
  bool IsToYield() const noexcept { return yield_asked_.load(kRelaxed) && floors_ == 0; }
  // Drops the places of jobs that were published, when nothing above the floor is private. False.
  bool Trim() noexcept;

  ForkJob** top_;     // the next free place
  ForkJob** bottom_;  // the oldest private job's; what is below was published and is null
  ForkJob** floor_;   // Drain goes no further down
  ForkJob** end_;
  std::unique_ptr<ForkJob*[]> places_;  // the first is always null
  bool draining_ = false;
  int floors_ = 0;
  int patience_;  // pushes that may be told to yield and not do so
  // `end_`; or null: somebody asked; or NoPlace, for AskToYield. On a line of its own, with what
  // else others write.
  alignas(64) Atomic<ForkJob**> limit_;
  Atomic<bool> yield_asked_{false};  // relaxed: a wish that is no one's data
};

// While it lives, the jobs that `forks` has are not run by Drain: what runs on this thread in the
// middle of the work that pushed them, and is not a part of it, leaves them alone. `forks` may be
// null.
class [[nodiscard]] ForkFloor {
 public:
  explicit ForkFloor(ForkStack* forks) noexcept : forks_(forks) {
    if (forks_ == nullptr) return;
    outer_floor_ = forks_->floor_ - forks_->places_.get();
    outer_draining_ = forks_->draining_;
    forks_->floor_ = forks_->top_;
    forks_->draining_ = false;
    ++forks_->floors_;
  }
  ForkFloor(const ForkFloor&) = delete;
  ForkFloor& operator=(const ForkFloor&) = delete;
  ~ForkFloor() {
    if (forks_ == nullptr) return;
    forks_->floor_ = forks_->places_.get() + outer_floor_;
    forks_->draining_ = outer_draining_;
    --forks_->floors_;
  }

 private:
  ForkStack* const forks_;
  ptrdiff_t outer_floor_ = 0;
  bool outer_draining_ = false;
};

}  // namespace plait::internal

#endif  // PLAIT_RUNTIME_CORE_FORK_STACK_H_
