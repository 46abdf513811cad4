#include "plait/schedulers/blocking/blocking_pool.h"

#include <algorithm>
#include <chrono>

#include "absl/strings/str_cat.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/task/visit.h"

namespace plait {
namespace {

// The pool whose thread this is, or null.
constinit thread_local const BlockingPool* this_threads_pool = nullptr;

}  // namespace

// All that a forked child must leave alone.
struct BlockingPool::State {
  mutable std::mutex mutex;
  WorkQueue queue;
  size_t queued = 0;
  std::list<PoolThread> threads;   // all that live, and those in `ended`
  std::vector<PoolThread*> idle;   // waiting; the last was the last to become so
  std::vector<PoolThread*> ended;  // to be joined
  int live = 0;
  int running = 0;  // items
  bool closing = false;
  bool closed = false;
  std::condition_variable drained;
  absl::AnyInvocable<void()> wake;  // see OwnBlockingPool::TryDrain; may be null

  // There may be nothing to do any more.
  void NoteDrained() {
    drained.notify_one();
    if (wake != nullptr) wake();
  }
  void Wake(PoolThread& thread) {
    thread.woken = true;
    thread.wake.notify_one();  // under the lock, so that the pool is still there
  }
  // Joins threads that have said that they end.
  void Reap(std::unique_lock<std::mutex>& lock) {
    while (!ended.empty()) {
      PoolThread* const thread = ended.back();
      ended.pop_back();
      lock.unlock();
      thread->thread.join();
      lock.lock();
      threads.remove_if([thread](const PoolThread& each) { return &each == thread; });
    }
  }
};

// Owned by its handle, and by itself until it had its turn.
struct BlockingPool::Handle::Job : WorkItem {
  enum class Stage { kQueued, kTaken };

  explicit Job(absl::AnyInvocable<void() &&> f) : WorkItem(&RunJob), function(std::move(f)) {}

  // True for the one who may use the function. Relaxed: the queue brings its contents, and the
  // other one leaves them alone.
  bool Take() { return stage.exchange(Stage::kTaken, internal::kRelaxed) == Stage::kQueued; }

  static void RunJob(WorkItem& item) noexcept {
    const std::shared_ptr<Job> keep = std::move(static_cast<Job&>(item).self);
    if (keep->Take()) std::exchange(keep->function, nullptr)();
  }

  internal::Atomic<Stage> stage{Stage::kQueued};
  absl::AnyInvocable<void() &&> function;
  std::shared_ptr<Job> self;
};

bool BlockingPool::Handle::Cancel() {
  if (job_ == nullptr || !job_->Take()) return false;
  job_->function = nullptr;
  return true;
}

absl::Status BlockingPool::Validate(const BlockingPoolOptions& options) {
  if (options.max_threads < 1 || options.max_threads > kMostThreads) {
    return absl::InvalidArgumentError(absl::StrCat("BlockingPoolOptions::max_threads is ",
                                                   options.max_threads, "; it must be from 1 to ",
                                                   kMostThreads));
  }
  if (options.idle_timeout < absl::ZeroDuration()) {
    return absl::InvalidArgumentError(
        absl::StrCat("BlockingPoolOptions::idle_timeout is negative: ",
                     absl::FormatDuration(options.idle_timeout)));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<BlockingPool>> BlockingPool::Create(BlockingPoolOptions options) {
  if (absl::Status valid = Validate(options); !valid.ok()) return valid;
  return std::make_unique<BlockingPool>(std::move(options));
}

BlockingPool::BlockingPool(BlockingPoolOptions options)
    : options_(std::move(options)),
      generation_(internal::ProcessGeneration()),
      state_(std::make_unique<State>()) {
  const absl::Status valid = Validate(options_);
  PLAIT_CHECK(valid.ok(), valid.ToString());
  state_->idle.reserve(options_.max_threads);  // so that to become idle allocates nothing
}

BlockingPool::~BlockingPool() {
  if (generation_ != internal::ProcessGeneration()) {
    // The threads are the parent's; here, their locks may be held for ever.
    state_.release();
    return;
  }
  const absl::Status closed = Close();
  PLAIT_CHECK(closed.ok(), closed.ToString());
}

void BlockingPool::Schedule(WorkItem& item) noexcept {
  PLAIT_CHECK(generation_ == internal::ProcessGeneration(),
              "work was scheduled, in a forked child, on a BlockingPool of the parent process");
  State& state = *state_;
  std::unique_lock<std::mutex> lock(state.mutex);
  PLAIT_CHECK(!state.closed, "work was scheduled on a BlockingPool that was closed");
  state.queue.Push(item);
  ++state.queued;
  if (!state.idle.empty()) {
    PoolThread* const thread = state.idle.back();
    state.idle.pop_back();
    state.Wake(*thread);
  } else if (state.live < options_.max_threads) {
    StartThreadLocked(state);
  }
}

void BlockingPool::StartThreadLocked(State& state) {
  PoolThread& added = state.threads.emplace_back();
  absl::StatusOr<Thread> thread =
      TryStartThread(options_.name, [this, &added] { RunThread(added); });
  if (!thread.ok()) {
    state.threads.pop_back();
    PLAIT_CHECK(state.live > 0, thread.status().ToString());
    return;
  }
  added.thread = *std::move(thread);
  ++state.live;
}

BlockingPool::Handle BlockingPool::Post(absl::AnyInvocable<void() &&> function) {
  auto job = std::make_shared<Handle::Job>(std::move(function));
  job->self = job;
  Schedule(*job);
  return Handle(std::move(job));
}

WorkItem* BlockingPool::Next(std::unique_lock<std::mutex>& lock, PoolThread& self) {
  State& state = *state_;
  for (;;) {
    if (WorkItem* item = state.queue.Pop()) {
      --state.queued;
      return item;
    }
    if (state.closing && state.running == 0) state.NoteDrained();
    if (state.closed) return nullptr;
    if (WaitForWork(lock, self)) continue;
    // Its turn to join those that ended before it, which lets go of the lock: there may be work
    // now.
    state.Reap(lock);
    if (state.queue.empty()) return nullptr;
  }
}

bool BlockingPool::WaitForWork(std::unique_lock<std::mutex>& lock, PoolThread& self) {
  // Longer than this is for ever; the system's clock could not count it.
  constexpr absl::Duration kLongest = absl::Hours(24 * 365);
  State& state = *state_;
  self.woken = false;
  state.idle.push_back(&self);
  const auto woken = [&self] { return self.woken; };
  if (options_.idle_timeout > kLongest) {
    self.wake.wait(lock, woken);
    return true;
  }
  if (self.wake.wait_for(lock, absl::ToChronoNanoseconds(options_.idle_timeout), woken)) {
    return true;
  }
  state.idle.erase(std::find(state.idle.begin(), state.idle.end(), &self));
  return false;
}

void BlockingPool::RunThread(PoolThread& self) {
  this_threads_pool = this;
  State& state = *state_;
  std::unique_lock<std::mutex> lock(state.mutex);
  while (WorkItem* item = Next(lock, self)) {
    ++state.running;
    lock.unlock();
    item->run(*item);
    lock.lock();
    --state.running;
  }
  --state.live;
  state.ended.push_back(&self);
  state.NoteDrained();
}

void BlockingPool::Drain() {
  State& state = *state_;
  std::unique_lock<std::mutex> lock(state.mutex);
  DrainLocked(lock);
}

bool BlockingPool::TryDrain(absl::AnyInvocable<void()> wake) {
  State& state = *state_;
  std::unique_lock<std::mutex> lock(state.mutex);
  if (state.wake == nullptr) {
    state.wake = std::move(wake);
    BeginClosingLocked(lock);
  }
  return DrainedLocked();
}

void BlockingPool::BeginClosingLocked(std::unique_lock<std::mutex>& lock) {
  state_->closing = true;
  lock.unlock();
  internal::BeginClosing(*this);
  lock.lock();
}

// A task ends on one of our threads, which then looks for more work and finds none: so this is
// asked whenever it may have become true.
bool BlockingPool::DrainedLocked() const {
  const State& state = *state_;
  return state.queue.empty() && state.running == 0 && !internal::HasTasks(*this);
}

void BlockingPool::DrainLocked(std::unique_lock<std::mutex>& lock) {
  BeginClosingLocked(lock);
  state_->drained.wait(lock, [this] { return DrainedLocked(); });
}

absl::Status BlockingPool::Close() {
  if (generation_ != internal::ProcessGeneration()) {
    return absl::FailedPreconditionError(
        "BlockingPool::Close: it belongs to the parent process; make a new one after fork");
  }
  if (this_threads_pool == this) {
    return absl::FailedPreconditionError(
        "BlockingPool::Close: it cannot be called on one of its own threads, which it would join");
  }
  State& state = *state_;
  std::unique_lock<std::mutex> lock(state.mutex);
  if (state.closed) return absl::OkStatus();
  DrainLocked(lock);
  state.closed = true;
  for (PoolThread* thread : state.idle) state.Wake(*thread);
  state.idle.clear();
  state.drained.wait(lock, [&] { return state.live == 0; });
  state.Reap(lock);
  return absl::OkStatus();
}

size_t BlockingPool::queued() const {
  const std::lock_guard<std::mutex> hold(state_->mutex);
  return state_->queued;
}

int BlockingPool::threads() const {
  const std::lock_guard<std::mutex> hold(state_->mutex);
  return state_->live;
}

int BlockingPool::idle_threads() const {
  const std::lock_guard<std::mutex> hold(state_->mutex);
  return static_cast<int>(state_->idle.size());
}

namespace internal {

Executor& OwnBlockingPool::get() noexcept {
  if (given_ != nullptr) return *given_;
  std::call_once(once_, [this] { own_ = std::make_unique<BlockingPool>(); });
  return *own_;
}

// The pool is made here where it was not, as another thread may be asking for it now: it costs
// little as long as it has no threads.

void OwnBlockingPool::Drain() {
  if (given_ == nullptr) static_cast<BlockingPool&>(get()).Drain();
}

bool OwnBlockingPool::TryDrain(absl::AnyInvocable<void()> wake) {
  return given_ != nullptr || static_cast<BlockingPool&>(get()).TryDrain(std::move(wake));
}

void OwnBlockingPool::Close() {
  if (given_ != nullptr) return;
  const absl::Status closed = static_cast<BlockingPool&>(get()).Close();
  PLAIT_CHECK(closed.ok(), closed.ToString());
}

}  // namespace internal
}  // namespace plait
