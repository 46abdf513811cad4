#include "plait/runtime/time/cancel_scope.h"

#include "absl/strings/str_cat.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/core/frame_allocator.h"
#include "plait/runtime/core/timer.h"
#include "plait/runtime/core/worker.h"
#include "plait/runtime/time/deadline_error.h"

namespace plait {

using internal::Atomic;
using internal::kAcqRel;
using internal::kAcquire;
using internal::kRelaxed;
using internal::kRelease;

// What an alarm refers to: it goes off on the worker where it was set, while the scope may be left
// on another.
struct CancelScope::State {
  static void* operator new(size_t size) { return internal::AllocateFrame(size); }
  static void operator delete(void* state, size_t size) noexcept {
    internal::FreeFrame(state, size);
  }
  void Unref() noexcept {
    if (references.fetch_sub(1, kAcqRel) == 1) delete this;
  }

  Atomic<int> references{1};
  Atomic<bool> expired{false};
  Atomic<bool> cancelled{false};
  // The alarm that counts; others are on their way out.
  Atomic<const Alarm*> current{nullptr};
  internal::StopState stop;
};

// A deadline that was set. It belongs to the worker that it was set on, which also frees it.
struct CancelScope::Alarm : Timer {
  static void* operator new(size_t size) { return internal::AllocateFrame(size); }
  static void operator delete(void* alarm, size_t size) noexcept {
    internal::FreeFrame(alarm, size);
  }

  Alarm(State& s, Worker& w) : Timer(&GoOff), state(s), home(w) {
    state.references.fetch_add(1, kRelaxed);
    dropped.run = [](WorkItem& item) noexcept { static_cast<Dropped&>(item).alarm->DropAtHome(); };
    dropped.alarm = this;
  }
  ~Alarm() { state.Unref(); }

  static void GoOff(WorkItem& item) noexcept {
    auto& self = static_cast<Alarm&>(static_cast<Timer&>(item));
    self.went_off = true;
    const Alarm* expected = &self;
    // Whoever takes `current` decides: the deadline has come, or the alarm was dropped before.
    if (self.state.current.compare_exchange_strong(expected, nullptr, kAcqRel, kRelaxed)) {
      self.state.expired.store(true, kRelease);
      self.state.stop.RequestStop();
      delete &self;
    } else if (self.drop_arrived) {
      delete &self;
    }
  }

  // After `current` was taken from it.
  void Drop() noexcept {
    if (Worker::Current() == &home) {
      DropAtHome();
    } else {
      home.Post(dropped);
    }
  }
  void DropAtHome() noexcept {
    drop_arrived = true;
    // One that is about to go off frees itself there.
    if (went_off || home.CancelTimer(*this)) delete this;
  }

  struct Dropped : WorkItem {
    Alarm* alarm = nullptr;
  };

  State& state;
  Worker& home;
  Dropped dropped;
  bool went_off = false;
  bool drop_arrived = false;
};

namespace {

const TaskContext& ContextOfTask() {
  const TaskContext* context = TaskContext::Current();
  PLAIT_CHECK(context != nullptr, "a CancelScope can only be made inside a task");
  return *context;
}

}  // namespace

CancelScope::CancelScope(absl::Duration timeout)
    : outer_(ContextOfTask()),
      context_(outer_),
      state_(new State),
      link_([](WorkItem& item) noexcept {
        static_cast<Link&>(item).self->state_->stop.RequestStop();
      }) {
  context_.stop = &state_->stop;
  link_.self = this;
  if (outer_.stop != nullptr && !outer_.stop->Register(link_)) state_->stop.RequestStop();
  opened_ = SetAlarm(timeout);
}

CancelScope::CancelScope(absl::Time deadline) : CancelScope() { opened_ = Reschedule(deadline); }

CancelScope::~CancelScope() {
  PLAIT_CHECK(running_.load(internal::kRelaxed) == 0,
              "a CancelScope was destroyed while something runs in it");
  if (outer_.stop != nullptr) outer_.stop->Unregister(link_);
  DropAlarm();
  state_->Unref();
}

absl::Status CancelScope::SetAlarm(absl::Duration timeout) {
  if (timeout < absl::ZeroDuration()) {
    return absl::InvalidArgumentError(
        absl::StrCat("CancelScope: the duration is negative: ", absl::FormatDuration(timeout)));
  }
  if (timeout == absl::InfiniteDuration()) {
    deadline_ = absl::InfiniteFuture();
    return absl::OkStatus();
  }
  Worker* const home = Worker::Current();
  if (home == nullptr) {
    return absl::FailedPreconditionError("CancelScope: this executor has no timers");
  }
  deadline_ = home->clock().WallTime() + timeout;
  const Deadline deadline = home->clock().Now() + timeout;
  if (deadline.is_infinite()) return absl::OkStatus();
  alarm_ = new Alarm(*state_, *home);
  alarm_->deadline = deadline;
  state_->current.store(alarm_, kRelease);
  home->AddTimer(*alarm_);
  return absl::OkStatus();
}

void CancelScope::DropAlarm() {
  if (alarm_ == nullptr) return;
  const Alarm* expected = alarm_;
  if (state_->current.compare_exchange_strong(expected, nullptr, kAcqRel, kRelaxed)) {
    alarm_->Drop();
  }
  alarm_ = nullptr;
}

absl::Status CancelScope::Reschedule(absl::Duration timeout) {
  if (timeout < absl::ZeroDuration()) return SetAlarm(timeout);  // which says why not
  if (expired()) {
    return absl::FailedPreconditionError("CancelScope::Reschedule: the deadline has passed");
  }
  DropAlarm();
  // It may have gone off on another worker just now.
  if (expired()) {
    return absl::FailedPreconditionError("CancelScope::Reschedule: the deadline has passed");
  }
  return SetAlarm(timeout);
}

absl::Status CancelScope::Reschedule(absl::Time deadline) {
  if (deadline == absl::InfiniteFuture()) return Reschedule(absl::InfiniteDuration());
  Worker* const home = Worker::Current();
  if (home == nullptr) {
    return absl::FailedPreconditionError("CancelScope: this executor has no timers");
  }
  const absl::Duration left = deadline - home->clock().WallTime();
  return Reschedule(left < absl::ZeroDuration() ? absl::ZeroDuration() : left);
}

void CancelScope::Cancel() {
  state_->cancelled.store(true, kRelease);
  state_->stop.RequestStop();
}

bool CancelScope::expired() const { return state_->expired.load(kAcquire); }
bool CancelScope::cancelled() const { return state_->cancelled.load(kAcquire); }
StopToken CancelScope::token() const { return StopToken(&state_->stop); }

absl::Status CancelScope::Failure(const absl::Status& ended, bool can_say) const {
  if (!expired() || (can_say && !absl::IsCancelled(ended))) return absl::OkStatus();
  return internal::DeadlineError(outer_.stop_requested(),
                                 "the deadline of the CancelScope has passed", ended);
}

}  // namespace plait
