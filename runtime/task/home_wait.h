// HomeWait: a wait for something that belongs to one Worker: a timer, an operation of its reactor.
//
// Two things race: the event (the timer fires, the operation is delivered), which happens on the
// home thread, and a stop request, which may come from any thread and is carried to the home
// thread. The coroutine goes on when the event has happened and no stop request is still on its way
// here, so that nothing that refers to the frame outlives the wait:
//
//                     event                         event
//   waiting ------------------------> (resumed)  <---------- cancelled at home
//      |                                  ^                        ^
//      | stop taken elsewhere             | stop arrives           | stop arrives
//      v                                  |                        |
//   stop on its way ---- event ----> event first            (from: stop on its way)
//
// A wait of a certain kind derives from HomeWait and gives OnStop<&Cancel> as its stop function:
// Cancel runs at home, once, only while the event has not happened. It returns true when the event
// will not happen any more (a timer taken out of its queue): the coroutine then resumes at once.
// Otherwise the event still comes (an operation that was asked to end).
//
// A wait for what is at home with another Worker of the coroutine's executor is carried there
// before it begins (StartAt), and the coroutine goes on there; unless that is busy for long, and
// another of the executor's threads takes the coroutine.
#ifndef PLAIT_RUNTIME_TASK_HOME_WAIT_H_
#define PLAIT_RUNTIME_TASK_HOME_WAIT_H_

#include <utility>

#include "plait/runtime/core/thread_state.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/core/worker.h"
#include "plait/runtime/task/await_note.h"
#include "plait/runtime/task/promise.h"
#include "plait/runtime/task/stop_token.h"

namespace plait::internal {

// What all of them are. Its kind knows its home: see HomeWait for those that keep it here.
class StoppableWait : private StopNode {
 public:
  explicit StoppableWait(RunFunction on_stop) noexcept : StopNode(on_stop) {}
  StoppableWait(const StoppableWait&) = delete;
  StoppableWait& operator=(const StoppableWait&) = delete;

  // On the home thread, before the event is started. False when a stop was requested already:
  // do not start it; the coroutine has been scheduled and will go on, so stay suspended. `note`, a
  // constant, tells people what is waited for.
  [[nodiscard]] bool Begin(PromiseBase& waiter, const AwaitNote& note) noexcept {
    BeginUncancellable(waiter, note);
    StopState* const stop = waiter.context->stop;
    if (stop == nullptr) return true;
    if (waiter.context->executor == thread_state.sole_executor) [[likely]] {
      registered_ = stop->RegisterOnOnlyThread(*this);
    } else {
      registered_ = stop->Register(*this);
    }
    if (registered_) [[likely]]
      return true;
    // Through the executor, so that a loop of cancelled waits lets others run.
    waiter.ScheduleLast();
    return false;
  }

  // The same, for what no stop request ends.
  void BeginUncancellable(PromiseBase& waiter, const AwaitNote& note) noexcept {
    waiter_ = &waiter;
    SetAwaitNote(waiter, note);
  }

  // On another thread than that of `home`, and in place of Begin: kStart runs at home, as work of
  // its own, and calls Begin. It returns as an await_suspend does: true when the coroutine waits,
  // or was resumed; false when it goes on at once. A stop request waits until then. Nothing here
  // may be touched after this call: the coroutine may have ended.
  template <bool (*kStart)(StoppableWait&, PromiseBase&) noexcept, RunFunction kOnStop>
  void StartAt(PromiseBase& waiter, Worker& home, const AwaitNote& note) noexcept {
    BeginUncancellable(waiter, note);
    run = [](WorkItem& item) noexcept {
      StoppableWait& self = Of(item);
      self.run = kOnStop;
      if (!self.RunAtHome(kStart)) self.GoOn();
    };
    // It is in no list of a StopState's yet, so its links are free to carry it.
    home.Post(static_cast<StopNode&>(*this));
  }

  // On the home thread, after Begin, where the event has happened already. What await_suspend
  // returns: true where a stop is on its way here, which has the coroutine go on.
  [[nodiscard]] bool HappenedAtOnce() noexcept {
    happened_ = true;
    if (registered_ && !waiter_->context->stop->TryUnregister(*this)) [[unlikely]]
      return true;
    registered_ = false;
    return false;
  }

  // On the home thread, as a work item: the event has happened. Has the coroutine go on, on its own
  // executor, unless a stop is on its way here, which will.
  void Happened() noexcept {
    if (!HappenedAtOnce()) GoOn();
  }

 protected:
  ~StoppableWait() = default;

  static StoppableWait& Of(WorkItem& item) noexcept {
    return static_cast<StoppableWait&>(static_cast<StopNode&>(item));
  }
  // What `on_stop` does, with `kCancel` of its kind: see the top of this file.
  template <bool (*kCancel)(StoppableWait&) noexcept>
  void Stop(Worker& home) noexcept {
    if (StopArrived(home) && kCancel(*this)) waiter_->Schedule();
  }

 private:
  // False when there is nothing to cancel here and now.
  bool StopArrived(Worker& home) noexcept;
  bool RunAtHome(bool (*start)(StoppableWait&, PromiseBase&) noexcept) noexcept;
  void GoOn() noexcept {
    ThreadState& thread = thread_state;
    if (waiter_->context->executor != thread.local_executor) [[unlikely]] {
      waiter_->Schedule();  // a task of a Strand, say: this thread is not the strand's now
    } else if (thread.continuations != nullptr) {
      thread.continuations->Push(*waiter_);
    } else {
      waiter_->run(*waiter_);
    }
  }

  PromiseBase* waiter_ = nullptr;
  bool registered_ = false;
  bool happened_ = false;

 protected:
  // For the kinds' own use, in what would be padding.
  bool flag_a_ = false;
  bool flag_b_ = false;
};

class HomeWait : public StoppableWait {
 public:
  using StoppableWait::StoppableWait;

  [[nodiscard]] bool Begin(PromiseBase& waiter, Worker& home, const AwaitNote& note) noexcept {
    home_ = &home;
    return StoppableWait::Begin(waiter, note);
  }
  void BeginUncancellable(PromiseBase& waiter, Worker& home, const AwaitNote& note) noexcept {
    home_ = &home;
    StoppableWait::BeginUncancellable(waiter, note);
  }
  template <bool (*kStart)(HomeWait&, PromiseBase&) noexcept, bool (*kCancel)(HomeWait&) noexcept>
  void StartAt(PromiseBase& waiter, Worker& home, const AwaitNote& note) noexcept {
    home_ = &home;
    StoppableWait::StartAt<&Start<kStart>, &OnStop<kCancel>>(waiter, home, note);
  }

  // Null before Begin.
  Worker* home() const noexcept { return home_; }

 protected:
  ~HomeWait() = default;

  template <bool (*kCancel)(HomeWait&) noexcept>
  static void OnStop(plait::WorkItem& item) noexcept {
    auto& self = static_cast<HomeWait&>(Of(item));
    self.Stop<&Cancel<kCancel>>(*self.home_);
  }

 private:
  template <bool (*kStart)(HomeWait&, PromiseBase&) noexcept>
  static bool Start(StoppableWait& wait, PromiseBase& waiter) noexcept {
    return kStart(static_cast<HomeWait&>(wait), waiter);
  }
  template <bool (*kCancel)(HomeWait&) noexcept>
  static bool Cancel(StoppableWait& wait) noexcept {
    return kCancel(static_cast<HomeWait&>(wait));
  }

  Worker* home_ = nullptr;
};

}  // namespace plait::internal

#endif  // PLAIT_RUNTIME_TASK_HOME_WAIT_H_
