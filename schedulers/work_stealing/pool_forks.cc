#include "plait/schedulers/work_stealing/pool_forks.h"

#include "plait/runtime/core/check.h"
#include "plait/runtime/core/thread_state.h"
#include "plait/runtime/parallel/forked_call.h"
#include "plait/runtime/task/stop_token.h"
#include "plait/schedulers/work_stealing/pool_worker.h"

namespace plait::internal {

namespace {

// What does so looks whether the task is stopped.
void PrepareToRunElsewhere() noexcept {
  if (thread_state.joins != nullptr) [[unlikely]]
    PassAllJoins();
}

}  // namespace

void PoolForks::Publish(ForkJob& job) noexcept {
  PrepareToRunElsewhere();
  if (job.run == &ForkedCallBase::Run) {
    calls_.Push(job);
  } else {
    worker_.PushForked(job);
  }
  worker_.WakeForForked();
  // One was given. As long as more have nothing to do than wait here, the next push gives too:
  // those who sleep do not ask again. After the waking, which may have left it to one who has just
  // begun to look.
  if (worker_.MoreAreIdleThan(calls_.size())) Ask();
}

void PoolForks::OnYield(WorkItem& rest) noexcept {
  PrepareToRunElsewhere();
  worker_.Yield(rest);
}

WorkItem* PoolForks::StealCall() noexcept {
  if (!calls_.HasItems()) return nullptr;
  for (;;) {
    const WorkStealingDeque::Stolen stolen = calls_.Steal();
    if (stolen.outcome != WorkStealingDeque::Stolen::kLost) return stolen.item;
  }
}

bool PoolForks::RunOne(WorkItem::RunFunction only) noexcept {
  PLAIT_CHECK(only == &ForkedCallBase::Run, "only plain functions wait on a worker's stack");
  worker_.NoteWaitForForked();
  // Its own is what would have run here in any case, had nobody asked for it.
  if (WorkItem* const own = calls_.Pop()) {
    worker_.NoteForkedFound();
    own->run(*own);
    return true;
  }
  // Each may wait in its turn, and help on top of that.
  constexpr int kMostHelps = 16;
  WorkItem* const call = helps_ < kMostHelps ? worker_.StealCall() : nullptr;
  if (call == nullptr) return false;
  worker_.AskForOthers();
  worker_.NoteForkedFound();
  ++helps_;
  call->run(*call);
  --helps_;
  return true;
}

}  // namespace plait::internal
