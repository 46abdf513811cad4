// The end of a home, and of the pool.
#include <utility>

#include "plait/runtime/core/executor.h"
#include "plait/runtime/task/await_note.h"
#include "plait/schedulers/process_pool/pool_core.h"

namespace plait::internal {
namespace {

absl::Status LoopClosed() {
  return absl::UnavailableError("the event loop that drove the process pool was closed");
}

constexpr NamedNote kKeeperNote("the end of a process pool's loop");

}  // namespace

// Waits until the home was given up; begins that when the keeper is cancelled, or at once. The
// keeper may run on any thread of home's executor: everything is done at home.
class PoolCore::KeeperWait : public HomeWait {
 public:
  KeeperWait(PoolCore& core, Tenure& tenure, bool at_once) noexcept
      : HomeWait(&OnStop<&Cancelled>), core_(core), tenure_(tenure), at_once_(at_once) {
    begin_.self = this;
    begin_.run = [](::plait::WorkItem& item) noexcept {
      static_cast<BeginItem&>(item).self->BeginAtHome();
    };
  }

  bool await_ready() const noexcept { return false; }
  template <PlaitPromise P>
  void await_suspend(std::coroutine_handle<P> waiter) noexcept {
    waiter_ = &waiter.promise();
    tenure_.home.Post(begin_);
  }
  void await_resume() const noexcept {}

 private:
  struct BeginItem : ::plait::WorkItem {
    KeeperWait* self = nullptr;
  };

  void BeginAtHome() noexcept {
    if (tenure_.ended) return waiter_->Schedule();
    tenure_.keeper = this;
    if (at_once_) {
      BeginUncancellable(*waiter_, tenure_.home, kKeeperNote);
      core_.BeginRelease(LoopClosed());
    } else if (!Begin(*waiter_, tenure_.home, kKeeperNote)) {
      tenure_.keeper = nullptr;  // cancelled before it had begun
    }
  }
  static bool Cancelled(HomeWait& wait) noexcept {
    static_cast<KeeperWait&>(wait).core_.BeginRelease(LoopClosed());
    return false;
  }

  PoolCore& core_;
  Tenure& tenure_;
  const bool at_once_;
  PromiseBase* waiter_ = nullptr;
  BeginItem begin_;
};

Task<void> PoolCore::Keep(std::shared_ptr<PoolCore> core, std::shared_ptr<Tenure> tenure) {
  co_await KeeperWait(*core, *tenure, /*at_once=*/false);
  // A keeper that was cancelled before it had begun to wait.
  co_await KeeperWait(*core, *tenure, /*at_once=*/true);
}

// After a Close that waits: all calls have ended.
void PoolCore::EndWorkers() noexcept {
  bool any = false;
  for (const auto& worker : workers_) {
    if (worker == nullptr) continue;
    any = true;
    if (worker->state == WorkerSeat::State::kReady) {
      // Where there is no room to say so, it is killed when it has not left.
      static_cast<void>(worker->SayGoodbye());
      worker->state = WorkerSeat::State::kLeaving;
      SetAlarm(*worker, options_.terminate_grace);
    } else if (worker->state == WorkerSeat::State::kStarting && !worker->killed) {
      Kill(*worker);  // it may take long to be ready, or for ever
    }
  }
  if (!any) BeginRelease(ClosedError());
}

void PoolCore::EndIfClosed() noexcept {
  if (closing_ && calls_ == 0 && !AnyAlive()) BeginRelease(ClosedError());
}

void PoolCore::BeginRelease(absl::Status why) noexcept {
  if (!releasing_.ok()) return;
  releasing_ = std::move(why);
  FailQueue(releasing_);
  Worker& home = *home_.load(kRelaxed);
  if (restart_set_ && home.CancelTimer(restart_)) restart_set_ = false;
  if (trim_set_ && home.CancelTimer(trim_)) trim_set_ = false;
  if (stall_set_ && home.CancelTimer(stall_)) stall_set_ = false;
  CancelZygoteAlarm();
  for (size_t i = 0; i < workers_.size(); ++i) {
    WorkerSeat* const worker = workers_[i].get();
    if (worker == nullptr) continue;
    bool runs = worker->killed || (worker->state != WorkerSeat::State::kReady &&
                                   worker->state != WorkerSeat::State::kStarting);
    for (uint64_t n = worker->first(); n != worker->next(); ++n) {
      PoolCall* const call = worker->call(n);
      if (call == nullptr) continue;
      runs |= !worker->GiveUp(*call);
      End(*call, releasing_);
    }
    if (runs || closing_) {
      Kill(*worker);
      Retire(*worker);
    } else {
      CancelAlarm(*worker);
      worker->event.Stop();
      worker->end.Stop();
    }
  }
  UpdatePids();
  SchedulePump();
}

void PoolCore::FinishRelease() noexcept {
  if (releasing_.ok() || pumping_ || calls_ > 0 || restart_set_ || trim_set_ || stall_set_) {
    return;
  }
  SweepRetired();
  if (!retired_.empty()) return;
  for (const auto& worker : workers_) {
    if (worker != nullptr &&
        (worker->event.in_flight() || worker->end.in_flight() || worker->alarm_set)) {
      return;
    }
  }
  if (closing_ ? !ZygoteHasEnded() : zygote_alarm_set_) return;
  std::shared_ptr<Tenure> tenure;
  bool closing = false;
  {
    const std::lock_guard<std::mutex> hold(mutex_);
    if (visit_posted_) return;  // which comes here again
    tenure = std::move(tenure_);
    closing = closing_;
    home_.store(nullptr, kRelaxed);
  }
  // From here on another thread may be the home, and all is its; but not of a pool that closes.
  if (closing) {
    workers_.clear();
    closed_event_.Set();
  }
  tenure->ended = true;
  // Last: the keeper may be all that keeps this.
  if (tenure->keeper != nullptr) tenure->keeper->Happened();
}

}  // namespace plait::internal
