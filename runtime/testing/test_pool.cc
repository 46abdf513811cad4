#include "plait/runtime/testing/test_pool.h"

#include <cstdint>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/core/thread_state.h"
#include "plait/runtime/task/promise.h"
#include "plait/runtime/task/visit.h"
#include "plait/runtime/time/timer_queue.h"

namespace plait {

using internal::kRelaxed;
using internal::thread_state;

class TestPool::Member final : public Worker {
 public:
  Member(TestPool& pool, bool restless, std::unique_ptr<Reactor> reactor)
      : Worker(&pool.group_),
        pool_(pool),
        random_(restless ? pool.members_.size() + 1 : 0),
        reactor_(std::move(reactor)) {
    reactor_->set_executor(pool);
  }

  void Start() {
    thread_ = StartThread("test pool", [this] { Run(); });
  }
  // When all its work is done.
  void End() {
    {
      absl::MutexLock hold(&mutex_);
      ending_ = true;
    }
    reactor_->Wake();
    thread_.join();
  }

  void Post(WorkItem& item) noexcept override { Give(item, posted_); }
  void AddTimer(Timer& timer) noexcept override {
    if (!timer.deadline.is_infinite()) timers_.Add(timer);
  }
  bool CancelTimer(Timer& timer) noexcept override {
    if (timer.deadline.is_infinite()) return true;
    if (!timer.armed()) return false;
    timers_.Cancel(timer);
    return true;
  }
  Clock& clock() noexcept override { return Clock::Real(); }
  Reactor* reactor() noexcept override { return reactor_.get(); }

  // Any thread: work that any of the pool's may do.
  void Offer(WorkItem& item) noexcept { Give(item, offered_); }

 private:
  void Give(WorkItem& item, WorkQueue& to) noexcept {
    absl::MutexLock hold(&mutex_);
    to.Push(item);
    // Under the lock: who runs the item may end this thread.
    if (std::exchange(asleep_, false)) reactor_->Wake();
  }

  // True every other time, more or less, where the pool is restless.
  bool GivesAway() noexcept {
    if (random_ == 0) return false;
    random_ ^= random_ << 13;
    random_ ^= random_ >> 7;
    random_ ^= random_ << 17;
    return (random_ & 1) != 0;
  }

  bool Fetch(bool sleeps) noexcept {
    absl::MutexLock hold(&mutex_);
    own_.Append(posted_);
    ready_.Append(offered_);
    asleep_ = sleeps && own_.empty() && ready_.empty() && !ending_;
    return ending_;
  }

  // Where the pool is restless, what waited for it goes on later and elsewhere as often as at once.
  void RunOwn(WorkItem& item) noexcept {
    WorkQueue waited;
    // One that was posted here to go on here does so.
    const bool puts_off = item.run != &internal::ResumeTask && GivesAway();
    if (puts_off) thread_state.continuations = &waited;
    item.run(item);
    thread_state.continuations = nullptr;
    while (WorkItem* const continuation = waited.Pop()) pool_.Schedule(*continuation);
  }

  void Run() noexcept {
    thread_state.worker = this;
    thread_state.local_executor = &pool_;
    thread_state.list_executor = &pool_;
    thread_state.local_ready = &ready_;
    for (;;) {
      // Whatever is here, of both kinds; what it makes ready comes after the next look.
      WorkQueue own;
      own.Append(own_);
      while (WorkItem* const item = own.Pop()) RunOwn(*item);
      WorkQueue ready;
      ready.Append(ready_);
      while (WorkItem* const item = ready.Pop()) {
        if (GivesAway()) {
          pool_.Schedule(*item);
        } else {
          item->run(*item);
        }
      }
      if (Fetch(/*sleeps=*/true) && own_.empty() && ready_.empty()) break;
      const bool waits = own_.empty() && ready_.empty();
      reactor_->Poll(waits ? timers_.NextWake() : Deadline::Immediate(), clock(), own_);
      Fetch(/*sleeps=*/false);
      timers_.Advance(clock().Now(), own_);
    }
    while (reactor_->in_flight() > 0) {
      reactor_->CancelAll();
      reactor_->Poll(Deadline::Infinite(), clock(), own_);
      while (WorkItem* const item = own_.Pop()) RunOwn(*item);
    }
    thread_state.worker = nullptr;
    thread_state.local_executor = nullptr;
    thread_state.list_executor = nullptr;
    thread_state.local_ready = nullptr;
  }

  TestPool& pool_;
  uint64_t random_;
  const std::unique_ptr<Reactor> reactor_;
  Thread thread_;

  // Its own thread's.
  TimerQueue timers_;
  WorkQueue own_;    // of this worker
  WorkQueue ready_;  // that others may have

  absl::Mutex mutex_;
  WorkQueue posted_;
  WorkQueue offered_;
  bool asleep_ = false;
  bool ending_ = false;
};

TestPool::TestPool(const std::function<absl::StatusOr<std::unique_ptr<Reactor>>()>& make_reactor,
                   Options options)
    : Executor(std::move(options.hooks)), blocking_(options.blocking) {
  for (int i = 0; i < options.workers; ++i) {
    absl::StatusOr<std::unique_ptr<Reactor>> reactor = make_reactor();
    PLAIT_CHECK(reactor.ok(), reactor.status().ToString());
    members_.push_back(std::make_unique<Member>(*this, options.restless, *std::move(reactor)));
    group_.Add(*members_.back());
  }
  for (const auto& member : members_) member->Start();
}

TestPool::~TestPool() {
  internal::BeginClosing(*this);
  while (internal::HasTasks(*this)) internal::SpinWait(1000);
  for (const auto& member : members_) member->End();
}

void TestPool::Schedule(WorkItem& item) noexcept {
  members_[turn_.fetch_add(1, kRelaxed) % members_.size()]->Offer(item);
}

Worker& TestPool::worker(int number) noexcept { return *members_[static_cast<size_t>(number)]; }

int TestPool::here() const noexcept {
  for (size_t i = 0; i < members_.size(); ++i) {
    if (members_[i].get() == Worker::Current()) return static_cast<int>(i);
  }
  return -1;
}

}  // namespace plait
