#include "plait/runtime/sync/strand.h"

#include <utility>

#include "plait/runtime/core/check.h"
#include "plait/runtime/core/spin_lock.h"

namespace plait {

using internal::kAcquire;
using internal::kRelaxed;
using internal::kRelease;

namespace {

// Its address is the state idle; it is never run.
constinit WorkItem idle;

}  // namespace

Strand::Strand(Executor& base)
    : Executor(base.hooks()), posted_(&idle), base_(base), turn_(&RunTurn) {
  turn_.strand = this;
}

Strand::~Strand() {
  PLAIT_CHECK(!running_here(), "a Strand was destroyed by one of its own items");
  // The last item may have made who destroys this go on, and be on its way out. Acquire pairs with
  // the release that makes it idle.
  constexpr int kPatience = 5'000'000;  // seconds, for what takes less than a microsecond
  for (int round = 0; posted_.load(kAcquire) != &idle; ++round) {
    PLAIT_CHECK(round < kPatience, "a Strand was destroyed with work in it");
    internal::SpinWait(round);
  }
  PLAIT_CHECK(tasks().size() == 0 && visits().size() == 0,
              "a Strand was destroyed before its tasks had ended");
}

void Strand::Schedule(WorkItem& item) noexcept {
  if (running_here()) {
    ready_.Push(item);
    return;
  }
  WorkItem* head = posted_.load(kRelaxed);
  do {
    item.next = head == &idle ? nullptr : head;
    // Release: the item's contents are visible to who fetches it. Acquire, where it was idle: the
    // last turn is over for the base, which links turn_ into its queue again. (What that turn left
    // in ready_ the next one acquires as it fetches.)
  } while (!posted_.compare_exchange_weak(head, &item, internal::kAcqRel, kRelaxed));
  if (head == &idle) base_.Schedule(turn_);
}

bool Strand::RunUntil(const internal::Atomic<bool>& done) noexcept { return base_.RunUntil(done); }

void Strand::FetchPosted() noexcept {
  WorkItem* newest = posted_.exchange(nullptr, kAcquire);
  WorkItem* oldest = nullptr;
  while (newest != nullptr) {
    WorkItem* next = std::exchange(newest->next, oldest);
    oldest = std::exchange(newest, next);
  }
  while (oldest != nullptr) {
    WorkItem* next = oldest->next;
    ready_.Push(*oldest);
    oldest = next;
  }
}

void Strand::RunItems() noexcept {
  internal::ThreadState& thread = internal::thread_state;
  // What is scheduled on the strand from inside is appended here; what the base had there comes
  // back afterwards.
  Executor* const outer_executor = std::exchange(thread.local_executor, this);
  Executor* const outer_list = std::exchange(thread.list_executor, this);
  WorkQueue* const outer_ready = std::exchange(thread.local_ready, &ready_);
  Executor* const outer_sole = thread.sole_executor;
  thread.sole_executor = outer_sole == &base_ ? this : nullptr;
  // What is forked here is not for the base's other threads.
  internal::ForkStack* const outer_forks = std::exchange(thread.forks, nullptr);
  thread.budget = 0;
  for (int i = 0; i < kItemsPerTurn; ++i) {
    WorkItem* item = ready_.Pop();
    if (item == nullptr) break;
    item->run(*item);
    // A coroutine that had all it wanted at once for long enough, calls of the system it may be.
    if (thread.budget < 0) break;
  }
  thread.local_executor = outer_executor;
  thread.list_executor = outer_list;
  thread.local_ready = outer_ready;
  thread.sole_executor = outer_sole;
  thread.forks = outer_forks;
}

void Strand::RunTurn(WorkItem& item) noexcept {
  Strand& self = *static_cast<Turn&>(item).strand;
  self.FetchPosted();
  self.RunItems();
  if (self.ready_.empty()) {
    WorkItem* nothing = nullptr;
    // Release: for the next turn, which may be on another thread, and for the destructor. A
    // Schedule that came between makes this fail, so none is overlooked.
    if (self.posted_.compare_exchange_strong(nothing, &idle, kRelease, kRelaxed)) return;
  }
  self.base_.ScheduleLast(self.turn_);
}

}  // namespace plait
