// Channel<T>: a bounded queue for many producers and many consumers that is fast between threads.
//
//   plait::Channel<Order> orders(1024);
//   co_await plait::OrReturn(orders.Send(order));                  // waits while it is full
//   absl::StatusOr<Order> next = co_await orders.Receive();        // waits while it is empty
//
// Queue is the one to choose for its orders, for Join and for being unbounded; Channel where items
// go from thread to thread by the million: there those who send and those who receive have nothing
// in common but the items.
//
// Order: items come out in the order in which they went in, so those of one producer in the order
// of its Sends. Fairness: who waits is served in the order of arrival, and whoever comes while
// others wait goes behind them. Backpressure: never more than `capacity` items are in. Closing:
// after Close, Send gives FailedPrecondition, and Receive gives what is left, then
// FailedPrecondition; whoever waits is released. Cancellation: a cancelled Send has not sent, a
// cancelled Receive has not taken: they give absl::CancelledError, and no item is lost or doubled.
// One that was served before the cancel arrived succeeds, and so does one that need not wait.
// Threads: any, at once; what came before a Send is visible after the Receive of its item.
// Lifetime: the channel outlives every call, and whoever waits (CHECK), until that has gone on. T
// moves without exceptions, and its moves, which are made under locks of the channel, do not use
// that channel. A capacity of 0 is a programming error (CHECK). Cost: a locked instruction for a
// Send and one for a Receive when nobody waits, and none while one thread alone sends, or receives,
// and has lately done so some thousand times (runtime/core/roving_lock.h); memory for all
// `capacity` items from the beginning, and nothing allocated after. Where the other side is at work
// on another thread, who finds the channel full or empty looks again for up to 15 microseconds
// before it waits, as a wait costs more: ever more seldom where that is in vain, and not where its
// executor shows that others are ready on its thread. It leaves the other side up to 3 microseconds
// to go on in, where more than an item or two come in such a time.
//
// How it works. Items go through a TwoEndedRing. An operation that need not wait takes the lock of
// its own end, moves its item, and touches nothing that the other side writes but once in a while.
// All else is done under both locks, and is simple: the channel stands still meanwhile. Who waits
// is in a list, which only a cancel changes without them, under a third lock, that of the lists; it
// takes somebody out. So at the end of each operation
//
//     receivers wait  =>  the ring is empty, nobody waits to send, and it is not closed
//     senders wait    =>  the ring is full, nobody waits to receive, and it is not closed
//
// `detour`, of the end that the others use, says so to them: a sender sees it under the lock that
// it has anyway, and hands its item over under both. No wake-up is lost between check and park, as
// the check and the entry in the list are one step for everybody else. A detour may be up while
// nobody waits any more; whoever takes it for nothing takes it down.
#ifndef PLAIT_RUNTIME_SYNC_CHANNEL_H_
#define PLAIT_RUNTIME_SYNC_CHANNEL_H_

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/biased_lock.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/core/roving_lock.h"
#include "plait/runtime/sync/two_ended_ring.h"
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

  enum class Result : uint8_t {
    kDone,
    kBlocked,  // full, or empty
    kDetour,   // to be done under both locks
    kClosed,   // and, for a Receive, empty
  };

  static size_t CheckedCapacity(size_t capacity);
  static absl::Status Closed();
  static absl::Status Full();
  static absl::Status Empty();
  static absl::Status SendCancelled();
  static absl::Status ReceiveCancelled();

  // `mine` was found at its limit, `lead` before the other end. Whether, within a moment, that
  // changes, as the other side is at work on another thread.
  bool ChangesSoon(RingEnd& mine, const RingEnd& other, uint64_t lead,
                   uint64_t capacity) const noexcept;

  Atomic<bool> closed_{false};  // changes under both locks
  BiasedLock waiting_lock_;     // taken last
  WaiterList senders_;
  WaiterList receivers_;
};

}  // namespace internal

template <class T>
class Channel : private internal::ChannelBase {
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
    bool sent = false;
    const Result result = Now(SendStep{*this, value, sent});
    if (sent) [[likely]]
      return absl::OkStatus();
    return result == Result::kClosed ? Closed() : Full();
  }
  absl::Status TrySend(const T& value) { return TrySend(T(value)); }

  // Without waiting: Unavailable when empty, or when others wait to receive; FailedPrecondition
  // when empty and closed.
  absl::StatusOr<T> TryReceive() {
    std::optional<T> value;
    const Result result = Now(ReceiveStep{*this, value});
    if (value.has_value()) [[likely]]
      return *std::move(value);
    return result == Result::kClosed ? Closed() : Empty();
  }

  // Closing again does nothing.
  void Close() {
    internal::WakeList woken;
    {
      const internal::BothEndsHolder ends(ring_.in, ring_.out);
      const internal::BiasedLockHolder hold(waiting_lock_);
      closed_.store(true, internal::kRelaxed);
      while (Waiter* sender = senders_.PopFront()) woken.Add(*sender);
      while (Waiter* receiver = receivers_.PopFront()) woken.Add(*receiver);
      ShowDetours();
    }
    woken.WakeAll();
  }
  bool closed() const { return closed_.load(internal::kRelaxed); }

  // Exact when nobody else uses the channel.
  size_t size() const { return ring_.size(); }
  bool empty() const { return size() == 0; }
  bool full() const { return size() >= capacity(); }
  size_t capacity() const { return ring_.capacity(); }

 private:
  // What a Send, and a Receive, does: at its own end alone, under that end's lock; or under both
  // locks, and then it says whom to wake, whose outcome it has decided.
  struct SendStep {
    Channel& channel;
    T& value;
    bool& sent;

    Result AtOwnEnd() const {
      internal::RovingLockHolder hold(channel.ring_.in.lock);
      if (channel.ring_.in.detour) [[unlikely]]
        return Result::kDetour;
      return Push();
    }
    Result UnderBoth(Waiter** woken) const {
      if (channel.closed()) return Result::kClosed;
      if (!channel.senders_.empty()) return Result::kBlocked;  // behind them
      auto* const first = static_cast<ReceiveAwaiter*>(channel.receivers_.PopFront());
      if (first == nullptr) return Push();
      first->value_.emplace(std::move(value));
      *woken = first;
      sent = true;
      return Result::kDone;
    }
    Result Push() const {
      sent = channel.ring_.Push(value);
      return sent ? Result::kDone : Result::kBlocked;
    }
    bool AllowedSoon() const {
      return channel.ChangesSoon(channel.ring_.in, channel.ring_.out, channel.capacity(),
                                 channel.capacity());
    }
  };
  struct ReceiveStep {
    Channel& channel;
    std::optional<T>& value;

    Result AtOwnEnd() const {
      internal::RovingLockHolder hold(channel.ring_.out.lock);
      if (channel.ring_.out.detour) [[unlikely]]
        return Result::kDetour;
      return channel.ring_.Pop(value) ? Result::kDone : Result::kBlocked;
    }
    Result UnderBoth(Waiter** woken) const {
      if (!channel.receivers_.empty()) return Result::kBlocked;  // behind them
      if (!channel.ring_.Pop(value)) return channel.closed() ? Result::kClosed : Result::kBlocked;
      if (auto* const first = static_cast<SendAwaiter*>(channel.senders_.PopFront())) {
        first->sent_ = channel.ring_.Push(first->value_);
        *woken = first;
      }
      return Result::kDone;
    }
    bool AllowedSoon() const {
      return channel.ChangesSoon(channel.ring_.out, channel.ring_.in, 0, channel.capacity());
    }
  };

  // Without waiting.
  template <class Step>
  Result Now(const Step& step) {
    const Result result = step.AtOwnEnd();
    if (result == Result::kDone) [[likely]]
      return result;
    // What blocks may have been closed, and after the last item came at that.
    return result == Result::kDetour || closed() ? Detour(step) : result;
  }

  template <class Step>
  [[gnu::noinline]] Result Detour(const Step& step) {
    Waiter* woken = nullptr;
    Result result = Result::kBlocked;
    {
      const internal::BothEndsHolder ends(ring_.in, ring_.out);
      const internal::BiasedLockHolder hold(waiting_lock_);
      result = step.UnderBoth(&woken);
      ShowDetours();
    }
    if (woken != nullptr) woken->Wake();
    return result;
  }

  // Under both locks.
  void ShowDetours() {
    ring_.in.detour = closed() || !receivers_.empty();
    ring_.out.detour = !senders_.empty();
  }

  // For await_ready.
  template <class Step>
  bool Ready(const Step& step) {
    if (!internal::SpendBudget()) return false;
    const Result result = Now(step);
    if (result != Result::kBlocked) [[likely]]
      return true;
    return step.AllowedSoon() && Now(step) != Result::kBlocked;
  }

  // For await_suspend: joins `list`, unless there is nothing to wait for, or a stop came before.
  template <class Step>
  bool Wait(Waiter& self, internal::PromiseBase& promise, internal::WaiterList& list,
            const internal::AwaitNote& note, const Step& step) {
    // It is here perhaps only for its budget.
    if (Now(step) != Result::kBlocked || (step.AllowedSoon() && Now(step) != Result::kBlocked)) {
      return internal::YieldIfSpent(promise);
    }
    self.Prepare(promise, waiting_lock_, note);
    Waiter* woken = nullptr;
    bool waits = false;
    bool early = false;
    {
      std::optional<internal::BothEndsHolder> ends(std::in_place, ring_.in, ring_.out);
      const internal::BiasedLockHolder hold(waiting_lock_);
      waits = step.UnderBoth(&woken) == Result::kBlocked;
      if (!waits) self.Grant();
      early = waits && self.CancelledEarly();
      if (waits && !early) list.PushBack(self);
      ShowDetours();
      // Before the waiting lock: a cancel needs that alone, and after it the channel may be gone.
      ends.reset();
    }
    if (woken != nullptr) woken->Wake();
    if (early)
      self.Wake();  // through the executor, so that a loop of cancelled waits lets others run
    return waits || internal::YieldIfSpent(promise);
  }

  class [[nodiscard]] SendAwaiter : public Waiter {
   public:
    SendAwaiter(Channel& channel, T value) : channel_(channel), value_(std::move(value)) {}

    bool await_ready() { return channel_.Ready(Step()); }
    template <internal::PlaitPromise P>
    bool await_suspend(std::coroutine_handle<P> waiter) {
      return channel_.Wait(*this, waiter.promise(), channel_.senders_, internal::kChannelSendNote,
                           Step());
    }
    absl::Status await_resume() {
      if (!this->Finish()) return SendCancelled();
      return sent_ ? absl::OkStatus() : Closed();
    }

   private:
    friend class Channel;
    SendStep Step() { return SendStep{channel_, value_, sent_}; }

    Channel& channel_;
    T value_;
    bool sent_ = false;
  };

  class [[nodiscard]] ReceiveAwaiter : public Waiter {
   public:
    explicit ReceiveAwaiter(Channel& channel) : channel_(channel) {}

    bool await_ready() { return channel_.Ready(Step()); }
    template <internal::PlaitPromise P>
    bool await_suspend(std::coroutine_handle<P> waiter) {
      return channel_.Wait(*this, waiter.promise(), channel_.receivers_,
                           internal::kChannelReceiveNote, Step());
    }
    absl::StatusOr<T> await_resume() {
      if (!this->Finish()) return ReceiveCancelled();
      if (!value_.has_value()) return Closed();
      return *std::move(value_);
    }

   private:
    friend class Channel;
    ReceiveStep Step() { return ReceiveStep{channel_, value_}; }

    Channel& channel_;
    std::optional<T> value_;
  };

  internal::TwoEndedRing<T> ring_;
};

}  // namespace plait

#endif  // PLAIT_RUNTIME_SYNC_CHANNEL_H_
