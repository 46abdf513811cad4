// PoolCall: a RemoteCall while a process pool has it; see pool_core.h. Internal.
#ifndef PLAIT_SCHEDULERS_PROCESS_POOL_POOL_CALL_H_
#define PLAIT_SCHEDULERS_PROCESS_POOL_POOL_CALL_H_

#include <cstddef>
#include <cstdint>
#include <new>

#include "plait/runtime/core/timer.h"
#include "plait/runtime/core/work_item.h"
#include "plait/schedulers/process_pool/remote_executor.h"

namespace plait::internal {

class PoolCore;
class WorkerSeat;

// In the call's scratch memory: nothing is allocated for a call.
//
//   travelling --> queued <--> given to a worker --> ended --> run, when nothing holds it
//
// What holds a call that has ended: a cancel that travels here from another thread, and its timer
// while that is about to fire.
struct PoolCall {
  enum class Place : uint8_t { kTravelling, kQueued, kGiven, kEnded };

  // Bits of RemoteCall::executor_state.
  static constexpr uint32_t kStarted = 1;
  static constexpr uint32_t kCancelWanted = 2;
  static constexpr uint32_t kEnded = 4;

  struct Item : WorkItem {
    using WorkItem::WorkItem;
    PoolCall* self = nullptr;
  };
  struct Alarm : Timer {
    using Timer::Timer;
    PoolCall* self = nullptr;
  };

  PoolCall(PoolCore& its_core, RemoteCall& its_call) : core(its_core), call(its_call) {
    arrival.self = cancel.self = alarm.self = this;
  }

  static PoolCall& Make(PoolCore& core, RemoteCall& call) {
    return *::new (static_cast<void*>(call.executor_memory)) PoolCall(core, call);
  }
  // The call has room for its executor's own, so that none is allocated: Make has put it there.
  static PoolCall& Of(RemoteCall& call) {
    return *std::launder(reinterpret_cast<PoolCall*>(call.executor_memory));
  }

  PoolCore& core;
  RemoteCall& call;
  PoolCall* before = nullptr;  // in the queue
  PoolCall* after = nullptr;
  WorkerSeat* worker = nullptr;  // while given
  // The last worker that it was taken back from as that did not begin it, while nobody knows
  // whether that hangs; WorkerSeat::unbegun is the way back.
  WorkerSeat* unbegun_at = nullptr;
  uint64_t number = 0;  // there
  uint32_t function = 0;
  Place place = Place::kTravelling;
  // Under the core's mutex.
  bool cancel_travels = false;
  bool cancel_arrived = false;
  bool refused = false;
  bool alarm_set = false;
  // Workers that ended when it was their next, and said that they had not begun it: by themselves,
  // and as the pool or the zygote had ended them.
  uint8_t deaths_before_it = 0;
  uint8_t kills_before_it = 0;
  Item arrival;
  Item cancel;
  Alarm alarm;
};

static_assert(sizeof(PoolCall) <= sizeof(RemoteCall::executor_memory));
static_assert(alignof(PoolCall) <= 16);

// First in, first out; what was given in vain comes back to the front.
class PoolCallQueue {
 public:
  PoolCallQueue() = default;
  PoolCallQueue(const PoolCallQueue&) = delete;
  PoolCallQueue& operator=(const PoolCallQueue&) = delete;

  bool empty() const noexcept { return first_ == nullptr; }
  PoolCall* front() const noexcept { return first_; }
  size_t size() const noexcept { return size_; }

  void PushBack(PoolCall& call) noexcept {
    call.place = PoolCall::Place::kQueued;
    call.after = nullptr;
    call.before = last_;
    (last_ == nullptr ? first_ : last_->after) = &call;
    last_ = &call;
    ++size_;
  }
  void PushFront(PoolCall& call) noexcept {
    call.place = PoolCall::Place::kQueued;
    call.before = nullptr;
    call.after = first_;
    (first_ == nullptr ? last_ : first_->before) = &call;
    first_ = &call;
    ++size_;
  }
  void Remove(PoolCall& call) noexcept {
    (call.before == nullptr ? first_ : call.before->after) = call.after;
    (call.after == nullptr ? last_ : call.after->before) = call.before;
    --size_;
  }

 private:
  PoolCall* first_ = nullptr;
  PoolCall* last_ = nullptr;
  size_t size_ = 0;
};

}  // namespace plait::internal

#endif  // PLAIT_SCHEDULERS_PROCESS_POOL_POOL_CALL_H_
