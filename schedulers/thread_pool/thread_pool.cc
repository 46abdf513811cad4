#include "plait/schedulers/thread_pool/thread_pool.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/core/deadline.h"
#include "plait/runtime/core/frame_allocator.h"
#include "plait/runtime/core/heavy_barrier.h"
#include "plait/runtime/core/idle_frames.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/core/thread_state.h"
#include "plait/runtime/core/timer.h"
#include "plait/runtime/task/task_state.h"
#include "plait/runtime/task/visit.h"
#include "plait/runtime/time/timer_queue.h"

namespace plait {

using internal::kRelaxed;
using internal::thread_state;

namespace {

// Not a part of thread_state, which an InlineExecutor hides from what it runs.
constinit thread_local const ThreadPool* this_threads_pool = nullptr;

}  // namespace

class ThreadPool::PoolWorker final : public Worker {
 public:
  explicit PoolWorker(ThreadPool& pool) : pool_(pool) {}

  void Post(WorkItem& item) noexcept override {
    if (thread_state.worker == this) {
      ready_.Push(item);
    } else {
      pool_.PostTo(*this, item);
    }
  }
  void AddTimer(Timer& timer) noexcept override {
    if (!timer.deadline.is_infinite()) timers_.Add(timer);
  }
  bool CancelTimer(Timer& timer) noexcept override {
    if (timer.deadline.is_infinite()) return true;
    if (!timer.armed()) return false;
    timers_.Cancel(timer);
    return true;
  }
  Clock& clock() noexcept override { return pool_.clock_; }
  Reactor* reactor() noexcept override { return nullptr; }

  void AdvanceTimers() {
    if (!timers_.empty()) timers_.Advance(pool_.clock_.Now(), ready_);
  }

 private:
  friend class ThreadPool;

  ThreadPool& pool_;
  Thread thread_;

  // Its own thread's.
  TimerQueue timers_;
  WorkQueue ready_;       // due timers, and what was posted to this worker
  bool has_own_ = false;  // as of the last look at ready_
  size_t own_after_ = 0;  // items of the queue that come before those in ready_

  // Under the pool's lock.
  WorkQueue posted_;
  bool parked_ = false;
  Deadline wake_at_ = Deadline::Infinite();  // while parked
  std::condition_variable wake_;

  // Read without the lock by its own thread when it spins.
  internal::Atomic<bool> has_posted_{false};
};

// --- beginning ---

absl::Status ThreadPool::Validate(const ThreadPoolOptions& options) {
  if (options.threads < 1 || options.threads > kMostThreads) {
    return absl::InvalidArgumentError(absl::StrCat("ThreadPoolOptions::threads is ",
                                                   options.threads, "; it must be from 1 to ",
                                                   kMostThreads));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<ThreadPool>> ThreadPool::Create(ThreadPoolOptions options) {
  if (absl::Status valid = Validate(options); !valid.ok()) return valid;
  std::unique_ptr<ThreadPool> pool(new ThreadPool(options, Unstarted()));
  if (absl::Status started = pool->StartThreads(options.name); !started.ok()) return started;
  return pool;
}

ThreadPool::ThreadPool(const ThreadPoolOptions& options, Unstarted)
    : Executor(options.hooks),
      clock_(options.clock != nullptr ? *options.clock : Clock::Real()),
      generation_(internal::ProcessGeneration()),
      blocking_(options.blocking) {
  const absl::Status valid = Validate(options);
  PLAIT_CHECK(valid.ok(), valid.ToString());
  internal::PrepareHeavyBarrier();
  parked_.reserve(options.threads);
  for (int i = 0; i < options.threads; ++i) {
    workers_.push_back(std::make_unique<PoolWorker>(*this));
  }
}

ThreadPool::ThreadPool(ThreadPoolOptions options) : ThreadPool(options, Unstarted()) {
  const absl::Status started = StartThreads(options.name);
  PLAIT_CHECK(started.ok(), started.ToString());
}

absl::Status ThreadPool::StartThreads(const std::string& name) {
  for (size_t i = 0; i < workers_.size(); ++i) {
    PoolWorker& worker = *workers_[i];
    absl::StatusOr<Thread> thread =
        TryStartThread(absl::StrCat(name, " ", i), [this, &worker] { RunWorker(worker); });
    if (!thread.ok()) {
      JoinThreads();
      return thread.status();
    }
    worker.thread_ = *std::move(thread);
  }
  return absl::OkStatus();
}

// --- posting ---

ThreadPool::PoolWorker* ThreadPool::ChooseParked() {
  // Those that spin or have been woken look at the queue before they park again, and each takes an
  // item.
  const size_t coming = static_cast<size_t>(spinning_ + waking_);
  if (parked_.empty() || queued_ <= coming) return nullptr;
  PoolWorker* const worker = parked_.back();
  Unpark(*worker);
  return worker;
}

void ThreadPool::Unpark(PoolWorker& worker) {
  if (parked_.back() == &worker) {
    parked_.pop_back();
  } else {
    parked_.erase(std::find(parked_.begin(), parked_.end(), &worker));
  }
  worker.parked_ = false;
  ++waking_;
}

void ThreadPool::Wake(std::unique_lock<std::mutex> lock, PoolWorker* worker) {
  if (worker == nullptr) return;
  // The pool, which may run the item and end before this returns, waits for this thread to be out.
  const internal::GateVisit visit(wakes_);
  lock.unlock();
  worker->wake_.notify_one();
}

void ThreadPool::Schedule(WorkItem& item) noexcept {
  PLAIT_CHECK(generation_ == internal::ProcessGeneration(),
              "work was scheduled, in a forked child, on a ThreadPool of the parent process");
  std::unique_lock<std::mutex> lock(mutex_);
  PLAIT_CHECK(!closed_, "work was scheduled on a ThreadPool that was closed");
  queue_.Push(item);
  if (++queued_ == 1) hint_.store(true, kRelaxed);
  PoolWorker* const worker = ChooseParked();
  Wake(std::move(lock), worker);
}

void ThreadPool::PostTo(PoolWorker& worker, WorkItem& item) {
  PLAIT_CHECK(generation_ == internal::ProcessGeneration(),
              "work was scheduled, in a forked child, on a ThreadPool of the parent process");
  std::unique_lock<std::mutex> lock(mutex_);
  PLAIT_CHECK(!closed_, "work was scheduled on a ThreadPool that was closed");
  worker.posted_.Push(item);
  worker.has_posted_.store(true, kRelaxed);
  const bool parked = worker.parked_;
  if (parked) Unpark(worker);
  Wake(std::move(lock), parked ? &worker : nullptr);
}

// --- running ---

void ThreadPool::RunWorker(PoolWorker& self) {
  thread_state.worker = &self;
  this_threads_pool = this;
  while (WorkItem* item = Next(self)) item->run(*item);
  this_threads_pool = nullptr;
  thread_state.worker = nullptr;
}

WorkItem* ThreadPool::Next(PoolWorker& self) {
  self.AdvanceTimers();
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    if (WorkItem* item = Take(self)) {
      // One that came for the queue's sake may have taken an item of its own.
      if (queued_ > 0) Wake(std::move(lock), ChooseParked());
      return item;
    }
    if (closed_) return nullptr;
    const bool found = Spin(lock, self);
    // Meanwhile: another thread could not be started, say.
    if (closed_ && !found) return nullptr;
    const bool slept_in_vain = !found && Park(lock, self);
    lock.unlock();
    self.AdvanceTimers();
    if (slept_in_vain && self.ready_.empty()) internal::GiveBackIdleFrames(clock_);
    lock.lock();
  }
}

WorkItem* ThreadPool::Take(PoolWorker& self) {
  if (!self.posted_.empty()) {
    self.ready_.Append(self.posted_);
    self.has_posted_.store(false, kRelaxed);
  }
  if (!self.ready_.empty()) {
    // What became ready comes after its share of what was queued by then: with one thread, that is
    // the order of becoming ready.
    if (!std::exchange(self.has_own_, true)) self.own_after_ = queued_ / workers_.size();
    if (self.own_after_ == 0 || queue_.empty()) {
      WorkItem* const item = self.ready_.Pop();
      self.has_own_ = !self.ready_.empty();
      self.own_after_ = 1;  // the rest takes turns with the queue
      return item;
    }
    --self.own_after_;
  }
  WorkItem* const item = queue_.Pop();
  if (item != nullptr && --queued_ == 0) hint_.store(false, kRelaxed);
  return item;
}

bool ThreadPool::Spin(std::unique_lock<std::mutex>& lock, PoolWorker& self) {
  // Where time is virtual it must not pass while one spins. More spinning threads than half of the
  // processors would take them from those that work.
  static const int processors = HardwareThreads();
  const bool may = !clock_.is_virtual() && processors > 1 &&
                   spinning_ < std::max(1, std::min(threads(), processors) / 2) && !draining_;
  if (!may) return false;
  ++spinning_;
  lock.unlock();
  const Deadline end = std::min(clock_.Now() + kSpin, self.timers_.NextWake());
  bool found = false;
  do {
    for (int i = 0; i < 16 && !found; ++i) {
      found = hint_.load(kRelaxed) || self.has_posted_.load(kRelaxed);
      internal::SpinWait(0);
    }
  } while (!found && clock_.Now() < end);
  lock.lock();
  --spinning_;
  // Again under the lock: who posted meanwhile may have relied on this thread.
  return !queue_.empty() || !self.posted_.empty();
}

bool ThreadPool::Park(std::unique_lock<std::mutex>& lock, PoolWorker& self) {
  // Waits no longer than this at once, as the system's clock could not count every deadline.
  constexpr absl::Duration kLongest = absl::Hours(24);
  self.parked_ = true;
  self.wake_at_ = self.timers_.NextWake();
  parked_.push_back(&self);
  if (draining_) drained_.notify_one();
  if (clock_.is_virtual()) PassVirtualTime();
  const auto woken = [&self] { return !self.parked_; };
  bool in_time = true;
  const Deadline now = clock_.Now();
  const Deadline wake_at = self.wake_at_;
  const Deadline until = internal::SleepUntilFramesGo(clock_, wake_at, now);
  if (until.is_infinite() || clock_.is_virtual()) {
    self.wake_.wait(lock, woken);
  } else {
    const absl::Duration left = std::min(until.Since(now), kLongest);
    in_time = self.wake_.wait_for(lock, absl::ToChronoNanoseconds(left), woken);
    if (!in_time) Unpark(self);
  }
  --waking_;
  return !in_time && until < wake_at;
}

void ThreadPool::PassVirtualTime() {
  // Somebody is awake, and may have something to do before any time passes.
  if (parked_.size() != workers_.size() || !queue_.empty()) return;
  Deadline first = Deadline::Infinite();
  for (const PoolWorker* worker : parked_) first = std::min(first, worker->wake_at_);
  if (first.is_infinite()) return;
  clock_.AdvanceTo(first);
  const Deadline now = clock_.Now();
  for (const auto& worker : workers_) {
    if (worker->wake_at_ > now) continue;
    Unpark(*worker);
    worker->wake_.notify_one();
  }
}

int ThreadPool::idle_threads() const {
  const std::lock_guard<std::mutex> hold(mutex_);
  return static_cast<int>(parked_.size()) + spinning_;
}

size_t ThreadPool::queued() const {
  const std::lock_guard<std::mutex> hold(mutex_);
  return queued_;
}

// --- ending ---

bool ThreadPool::OnOwnThread() const { return this_threads_pool == this; }

absl::Status ThreadPool::Refusal(const char* what) const {
  const char* why = nullptr;
  if (generation_ != internal::ProcessGeneration()) {
    why = "it belongs to the parent process; make a new one after fork";
  } else if (OnOwnThread()) {
    why = "it cannot be called on one of the pool's own threads, for which it waits";
  }
  if (why == nullptr) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("ThreadPool::", what, ": ", why));
}

absl::Status ThreadPool::CancelTasks() {
  if (absl::Status refusal = Refusal("CancelTasks"); !refusal.ok()) return refusal;
  std::unique_lock<std::mutex> lock(mutex_);
  draining_ = true;
  while (tasks().size() > 0) {
    lock.unlock();
    internal::CancelAll(tasks());
    lock.lock();
    // Tasks that are spawned meanwhile are to be cancelled too: look again now and then, as well as
    // when the threads have run out of work.
    drained_.wait_for(lock, std::chrono::milliseconds(1), [this] { return tasks().size() == 0; });
  }
  draining_ = false;
  return absl::OkStatus();
}

bool ThreadPool::Drained() {
  return parked_.size() == workers_.size() && queue_.empty() && !internal::HasTasks(*this);
}

absl::Status ThreadPool::Close() {
  if (absl::Status refusal = Refusal("Close"); !refusal.ok()) return refusal;
  {
    const std::lock_guard<std::mutex> hold(mutex_);
    if (closed_) return absl::OkStatus();
    draining_ = true;
  }
  internal::BeginClosing(*this);
  std::unique_lock<std::mutex> lock(mutex_);
  drained_.wait(lock, [this] { return Drained(); });
  lock.unlock();
  blocking_.Drain();  // what runs there may still post here, and that may still use it
  lock.lock();
  drained_.wait(lock, [this] { return Drained(); });
  lock.unlock();
  blocking_.Close();
  JoinThreads();
  return absl::OkStatus();
}

void ThreadPool::JoinThreads() {
  {
    const std::lock_guard<std::mutex> hold(mutex_);
    closed_ = true;
    while (!parked_.empty()) {
      PoolWorker& worker = *parked_.back();
      Unpark(worker);
      worker.wake_.notify_one();
    }
  }
  for (const auto& worker : workers_) {
    if (worker->thread_.joinable()) worker->thread_.join();
  }
  wakes_.AwaitEmpty();
}

ThreadPool::~ThreadPool() {
  if (generation_ != internal::ProcessGeneration()) {
    // The threads are the parent's; here, they are neither to be joined nor waited for.
    for (auto& worker : workers_) worker.release();
    return;
  }
  const absl::Status closed = Close();
  PLAIT_CHECK(closed.ok(), closed.ToString());
}

}  // namespace plait
