// Channel<T>: a bounded queue for many producers and many consumers that is fast between threads.
//
//   plait::Channel<Order> orders(1024);
//   co_await plait::OrReturn(orders.Send(order));                  // waits while it is full
//   absl::StatusOr<Order> next = co_await orders.Receive();        // waits while it is empty
//
// Queue is the one to choose for its orders, for Join and for being unbounded; Channel where items
// go from thread to thread by the million: there an operation that need not wait takes no lock.
//
// Order: items come out in the order in which they went in, so those of one producer in the order
// of its Sends. Fairness: who waits is served in the order of arrival, and whoever comes while
// others wait goes behind them; only operations that are under way at the very moment somebody
// begins to wait can come first. Backpressure: never more than `capacity` items are in. Closing:
// after Close, Send gives FailedPrecondition, and Receive gives what is left, then
// FailedPrecondition; whoever waits is released. Cancellation: a cancelled Send has not sent, a
// cancelled Receive has not taken: they give absl::CancelledError, and no item is lost or doubled.
// One that was served before the cancel arrived succeeds, and so does one that need not wait.
// Threads: any, at once; what came before a Send is visible after the Receive of its item.
// Lifetime: the channel outlives every call, and whoever waits (CHECK), until that has gone on. T
// moves without exceptions, and its moves, which may be made under the channel's lock, do not use
// that channel. A capacity of 0 is a programming error (CHECK). Cost: two locked
// instructions an item when nobody waits, and none while one thread alone has the channel and has
// used it some thousand times (runtime/core/biased_lock.h); memory for all `capacity` items from
// the beginning, and nothing allocated after.
//
// How it works. Until several threads have used it, all is done under the lock, which belongs to
// the one thread, and an item goes straight to whoever waits for one. A thread that finds the lock
// shared makes the channel shared, under the lock and for good (shared_). From then on items go
// through a StampedRing, without a lock. Whoever finds it full or empty takes the lock, joins a
// list, raises that side's flag and looks again; whoever has sent or received looks at the other
// side's flag, and if it is up takes the lock and serves:
//
//     receiver                               sender
//     waits for an item:                     sends:
//       1 receivers_wait_ = true               1 claim a slot (the tail moves), publish the item
//       2 look at the tail                     2 look at receivers_wait_
//         moved: take it, do not wait            up: lock, and Serve
//         not moved: wait
//
// All four are sequentially consistent, so either the receiver sees the claim or the sender sees
// the flag, and no wake-up is lost between check and park. The same with head and senders_wait_ the
// other way round. Serve moves items between the ring and those who wait until it can do no more,
// under the lock, so each waiter has one outcome: served, closed or cancelled. It may meet a slot
// that is claimed and not yet published, and leaves it then: its claimer came after everyone in the
// list had raised the flag, so it will see the flag and Serve itself. Only who is about to wait
// itself must know for sure, and stays until the slot is through. A flag may be up while nobody
// waits any more; the next Serve takes it down.
#ifndef PLAIT_RUNTIME_SYNC_CHANNEL_H_
#define PLAIT_RUNTIME_SYNC_CHANNEL_H_

#include <coroutine>
#include <cstddef>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/biased_lock.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/sync/stamped_ring.h"
#include "plait/runtime/sync/wait_notes.h"
#include "plait/runtime/task/budget.h"
#include "plait/runtime/task/promise.h"
#include "plait/runtime/task/waiter_list.h"

namespace plait {
namespace internal {

// The part that does not depend on T.
class ChannelBase {
 public:
  ChannelBase(const ChannelBase&) = delete;
  ChannelBase& operator=(const ChannelBase&) = delete;

 protected:
  ChannelBase() = default;
  ~ChannelBase();

  static size_t CheckedCapacity(size_t capacity);
  static absl::Status Closed();
  static absl::Status Full();
  static absl::Status Empty();
  static absl::Status SendCancelled();
  static absl::Status ReceiveCancelled();

  // Under lock_: whether the channel is still one thread's. If not, it is shared from here on.
  bool StaysAlone() noexcept {
    if (shared_.load(kRelaxed)) return false;
    if (!lock_.shared()) [[likely]]
      return true;
    BecomeShared();
    return false;
  }
  void BecomeShared() noexcept;

  // Read by everyone, seldom written: away from what is written all the time. The latter two mean
  // something in a shared channel only.
  alignas(64) Atomic<bool> shared_{false};
  Atomic<bool> senders_wait_{false};
  Atomic<bool> receivers_wait_{false};
  alignas(64) BiasedLock lock_;  // guards what follows, and in a channel that is not shared, all
  WaiterList senders_;           // the ring is full
  WaiterList receivers_;         // the ring is empty
};

}  // namespace internal

template <class T>
class Channel : private internal::ChannelBase {
  using Ring = internal::StampedRing<T>;
  using RingResult = internal::RingResult;
  using Waiter = internal::Waiter;

  class SendAwaiter;
  class ReceiveAwaiter;
  struct [[nodiscard]] SendAwaitable {
    Channel& channel;
    T value;
    SendAwaiter operator co_await() && { return SendAwaiter(channel, std::move(value)); }
  };
  struct [[nodiscard]] ReceiveAwaitable {
    Channel& channel;
    ReceiveAwaiter operator co_await() const { return ReceiveAwaiter(channel); }
  };

 public:
  // At least 1 (CHECK).
  explicit Channel(size_t capacity) : ring_(CheckedCapacity(capacity)) {}

  // co_await: an absl::Status, OK once the item is in; else it is dropped.
  SendAwaitable Send(T value) { return SendAwaitable{*this, std::move(value)}; }
  // co_await: an absl::StatusOr<T>.
  ReceiveAwaitable Receive() { return ReceiveAwaitable{*this}; }

  // Without waiting: ResourceExhausted when full, or when others wait to send; FailedPrecondition
  // when closed. `value` is untouched then.
  absl::Status TrySend(T&& value) {
    RingResult result = RingResult::kBusy;
    if (!Alone(result, SendStep{*this, value})) {
      if (senders_wait_.load(internal::kRelaxed) && SendersAreAhead()) return Full();
      for (int round = 0; (result = PushAndServe(value)) == RingResult::kBusy; ++round) {
        internal::SpinWait(round);
      }
    }
    if (result == RingResult::kDone) [[likely]]
      return absl::OkStatus();
    return result == RingResult::kClosed ? Closed() : Full();
  }
  absl::Status TrySend(const T& value) { return TrySend(T(value)); }

  // Without waiting: Unavailable when empty, or when others wait to receive; FailedPrecondition
  // when empty and closed.
  absl::StatusOr<T> TryReceive() {
    std::optional<T> value;
    RingResult result = RingResult::kBusy;
    if (!Alone(result, ReceiveStep{*this, value})) {
      if (receivers_wait_.load(internal::kRelaxed) && ReceiversAreAhead()) return Empty();
      for (int round = 0; (result = PopAndServe(value)) == RingResult::kBusy; ++round) {
        internal::SpinWait(round);
      }
    }
    if (result == RingResult::kDone) [[likely]]
      return *std::move(value);
    return result == RingResult::kClosed ? Closed() : Empty();
  }

  // Closing again does nothing.
  void Close() {
    internal::WakeList woken;
    {
      internal::BiasedLockHolder hold(lock_);
      ring_.Close();
      Serve(woken, nullptr, Patient::kNobody);
    }
    woken.WakeAll();
  }
  bool closed() const { return ring_.closed(); }

  // Exact when nobody else uses the channel.
  size_t size() const { return ring_.size(); }
  bool empty() const { return size() == 0; }
  bool full() const { return size() >= capacity(); }
  size_t capacity() const { return ring_.capacity(); }

 private:
  // Whose wait depends on what Serve finds, so that it must not leave a slot that is busy.
  enum class Patient { kNobody, kSender, kReceiver };

  // --- while it is one thread's ---

  // Under lock_. What it hands to, or takes from, one that waits is that one's outcome.
  struct SendStep {
    Channel& channel;
    T& value;
    RingResult operator()(Waiter** woken) const {
      if (!channel.senders_.empty()) return RingResult::kBlocked;  // behind them
      // Who waits to receive has an empty ring, which is not closed.
      if (auto* first = static_cast<ReceiveAwaiter*>(channel.receivers_.PopFront())) {
        first->value_.emplace(std::move(value));
        *woken = first;
        return RingResult::kDone;
      }
      return channel.ring_.PushAlone(value);
    }
  };
  struct ReceiveStep {
    Channel& channel;
    std::optional<T>& value;
    RingResult operator()(Waiter** woken) const {
      if (!channel.receivers_.empty()) return RingResult::kBlocked;  // behind them
      const RingResult result = channel.ring_.PopAlone(value);
      if (result != RingResult::kDone) return result;
      if (auto* first = static_cast<SendAwaiter*>(channel.senders_.PopFront())) {
        first->sent_ = channel.ring_.PushAlone(first->value_) == RingResult::kDone;
        *woken = first;
      }
      return result;
    }
  };

  // False, and nothing was done, where the channel is shared.
  template <class Step>
  bool Alone(RingResult& result, const Step& step) {
    // Acquire: what was done alone is visible to who goes without the lock from here on.
    if (shared_.load(internal::kAcquire)) return false;
    Waiter* woken = nullptr;
    {
      internal::BiasedLockHolder hold(lock_);
      if (!StaysAlone()) return false;
      result = step(&woken);
    }
    if (woken != nullptr) woken->Wake();
    return true;
  }

  // --- shared ---

  RingResult PushAndServe(T& value) {
    const RingResult result = ring_.TryPush(value);
    if (result == RingResult::kDone && receivers_wait_.load(internal::kSeqCst)) LockAndServe();
    return result;
  }
  RingResult PopAndServe(std::optional<T>& value) {
    const RingResult result = ring_.TryPop(value);
    if (result == RingResult::kDone && senders_wait_.load(internal::kSeqCst)) LockAndServe();
    return result;
  }

  [[gnu::noinline]] void LockAndServe() {
    internal::WakeList woken;
    {
      internal::BiasedLockHolder hold(lock_);
      Serve(woken, nullptr, Patient::kNobody);
    }
    woken.WakeAll();
  }

  // A flag is up: whether somebody really waits.
  bool SendersAreAhead() {
    LockAndServe();
    internal::BiasedLockHolder hold(lock_);
    return !senders_.empty();
  }
  bool ReceiversAreAhead() {
    LockAndServe();
    internal::BiasedLockHolder hold(lock_);
    return !receivers_.empty();
  }

  // Under the lock: grants whom it can. `self`, who is about to wait, is not woken.
  void Serve(internal::WakeList& woken, Waiter* self, Patient patient) {
    do {
      LetSend(woken, self, patient == Patient::kSender);
    } while (LetReceive(woken, self, patient == Patient::kReceiver) && !senders_.empty());
    // Relaxed: it is raised again under this lock, and only a flag that is up means anything.
    if (senders_.empty()) senders_wait_.store(false, internal::kRelaxed);
    if (receivers_.empty()) receivers_wait_.store(false, internal::kRelaxed);
  }

  // Moves items of waiting senders into the ring.
  void LetSend(internal::WakeList& woken, Waiter* self, bool patient) {
    int round = 0;
    while (auto* first = static_cast<SendAwaiter*>(senders_.Front())) {
      const RingResult result = ring_.TryPush(first->value_);
      if (result == RingResult::kBusy && patient) {
        internal::SpinWait(round++);
        continue;
      }
      if (result == RingResult::kBlocked || result == RingResult::kBusy) break;
      first->sent_ = result == RingResult::kDone;
      senders_.PopFront();
      if (first != self) woken.Add(*first);
    }
  }

  // Gives items of the ring to waiting receivers. Whether it did.
  bool LetReceive(internal::WakeList& woken, Waiter* self, bool patient) {
    bool any = false;
    int round = 0;
    while (auto* first = static_cast<ReceiveAwaiter*>(receivers_.Front())) {
      const RingResult result = ring_.TryPop(first->value_);
      if (result == RingResult::kBusy && patient) {
        internal::SpinWait(round++);
        continue;
      }
      if (result == RingResult::kBlocked || result == RingResult::kBusy) break;
      receivers_.PopFront();
      if (first != self) woken.Add(*first);
      any = true;
    }
    return any;
  }

  // For await_suspend: joins `list`, unless there is nothing to wait for, or a stop came before.
  template <class Step>
  bool Wait(Waiter& self, internal::PromiseBase& promise, internal::WaiterList& list,
            internal::Atomic<bool>& flag, Patient patient, const Step& step) {
    self.Prepare(
        promise, lock_,
        patient == Patient::kSender ? internal::kChannelSendNote : internal::kChannelReceiveNote);
    internal::WakeList woken;
    bool early = false;
    bool waits = false;
    {
      internal::BiasedLockHolder hold(lock_);
      if (StaysAlone()) {
        Waiter* served = nullptr;
        const RingResult result = step(&served);
        if (served != nullptr) woken.Add(*served);
        waits = result == RingResult::kBlocked;
        if (!waits) self.Grant();
        early = waits && self.CancelledEarly();
        if (waits && !early) list.PushBack(self);
      } else {
        list.PushBack(self);
        flag.store(true, internal::kSeqCst);
        Serve(woken, &self, patient);
        waits = !self.granted();
        early = waits && self.CancelledEarly();
        if (early) {
          internal::WaiterList::Unlink(self);
          if (list.empty()) flag.store(false, internal::kRelaxed);
        }
      }
    }
    woken.WakeAll();
    if (early)
      self.Wake();  // through the executor, so that a loop of cancelled waits lets others run
    return waits || internal::YieldIfSpent(promise);
  }

  class [[nodiscard]] SendAwaiter : public Waiter {
   public:
    SendAwaiter(Channel& channel, T value) : channel_(channel), value_(std::move(value)) {}

    bool await_ready() {
      if (!internal::SpendBudget()) return false;
      RingResult result = RingResult::kBlocked;
      if (!channel_.Alone(result, SendStep{channel_, value_})) {
        if (channel_.senders_wait_.load(internal::kRelaxed)) return false;  // behind them
        result = channel_.PushAndServe(value_);
      }
      sent_ = result == RingResult::kDone;
      return sent_ || result == RingResult::kClosed;
    }
    template <internal::PlaitPromise P>
    bool await_suspend(std::coroutine_handle<P> waiter) {
      return channel_.Wait(*this, waiter.promise(), channel_.senders_, channel_.senders_wait_,
                           Patient::kSender, [this](Waiter** woken) {
                             const RingResult result = SendStep{channel_, value_}(woken);
                             sent_ = result == RingResult::kDone;
                             return result;
                           });
    }
    absl::Status await_resume() {
      if (!this->Finish()) return SendCancelled();
      return sent_ ? absl::OkStatus() : Closed();
    }

   private:
    friend class Channel;

    Channel& channel_;
    T value_;
    bool sent_ = false;
  };

  class [[nodiscard]] ReceiveAwaiter : public Waiter {
   public:
    explicit ReceiveAwaiter(Channel& channel) : channel_(channel) {}

    bool await_ready() {
      if (!internal::SpendBudget()) return false;
      RingResult result = RingResult::kBlocked;
      if (!channel_.Alone(result, ReceiveStep{channel_, value_})) {
        if (channel_.receivers_wait_.load(internal::kRelaxed)) return false;  // behind them
        result = channel_.PopAndServe(value_);
      }
      return result == RingResult::kDone || result == RingResult::kClosed;
    }
    template <internal::PlaitPromise P>
    bool await_suspend(std::coroutine_handle<P> waiter) {
      return channel_.Wait(*this, waiter.promise(), channel_.receivers_, channel_.receivers_wait_,
                           Patient::kReceiver, ReceiveStep{channel_, value_});
    }
    absl::StatusOr<T> await_resume() {
      if (!this->Finish()) return ReceiveCancelled();
      if (!value_.has_value()) return Closed();
      return *std::move(value_);
    }

   private:
    friend class Channel;

    Channel& channel_;
    std::optional<T> value_;
  };

  Ring ring_;
};

}  // namespace plait

#endif  // PLAIT_RUNTIME_SYNC_CHANNEL_H_
