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
// is in a list, under a third lock, that of the lists. Two things are done to a list without both
// ends' locks: a cancel takes somebody out; and a sender hands its item to the first receiver under
// the lock of its own end, as the ring is empty then, nobody can put anything into it or join the
// list meanwhile, and `out` need not be touched. So at the end of each operation
//
//     receivers wait  =>  the ring is empty, nobody waits to send, and it is not closed
//     senders wait    =>  the ring is full, nobody waits to receive, and it is not closed
//
// `detour`, of the end that the others use, says so to them, who see it under the lock that they
// have anyway. No wake-up is lost between check and park, as the check and the entry in the list
// are one step for everybody else. A detour may be up while nobody waits any more; whoever takes it
// for nothing takes it down.
#ifndef PLAIT_RUNTIME_SYNC_CHANNEL_H_
#define PLAIT_RUNTIME_SYNC_CHANNEL_H_

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/biased_lock.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/core/roving_lock.h"
#include "plait/runtime/core/thread_state.h"
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
    kClosed,   // and, for a Receive, empty
  };

  static size_t CheckedCapacity(size_t capacity);
  static absl::Status Closed();
  static absl::Status Full();
  static absl::Status Empty();
  static absl::Status SendCancelled();
  static absl::Status ReceiveCancelled();

  // Whether it may pay to look again: `other`'s side is another thread's. (In an exploration, it is
  // the explorer's business when the others run.)
  static bool IsElsewhere(const RingEnd& other) noexcept {
#if defined(PLAIT_EXPLORE)
    static_cast<void>(other);
    return false;
#else
    const uint32_t thread = other.thread.load(kRelaxed);
    return thread != 0 && thread != static_cast<uint32_t>(thread_serial);
#endif
  }
  // `mine` was found at its limit, `lead` before the other end, which IsElsewhere. Whether, within
  // a moment, that changes, as the other side is at work there.
  bool ChangesSoon(RingEnd& mine, const RingEnd& other, uint64_t lead,
                   uint64_t capacity) const noexcept;
  // Using `end` under its lock, and not as its owner, who mostly was noted before it became that.
  static void NoteUser(RingEnd& end) noexcept {
    end.thread.store(static_cast<uint32_t>(thread_serial), kRelaxed);
  }

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
    const Result result = Now(SendStep{*this, value});
    if (result == Result::kDone) [[likely]]
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
      ring_.in.detour = true;
      ring_.out.detour = false;
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

    internal::RingEnd& end() const { return channel.ring_.in; }
    internal::RingEnd& other_end() const { return channel.ring_.out; }
    // Of the ends' counts, where it is full.
    uint64_t lead() const { return channel.capacity(); }
    internal::WaiterList& list() const { return channel.senders_; }

    [[gnu::always_inline]] bool AtOwnEnd() const { return channel.ring_.Push(value); }
    // Under its own end's lock and that of the lists.
    Waiter* HandOver() const {
      auto* const first = static_cast<ReceiveAwaiter*>(channel.receivers_.PopFront());
      if (first == nullptr) return nullptr;
      first->value_.emplace(std::move(value));
      channel.ring_.in.detour = !channel.receivers_.empty();  // it is not closed
      return first;
    }
    Result UnderBoth(Waiter** woken) const {
      if (channel.closed()) return Result::kClosed;
      if (!channel.senders_.empty()) return Result::kBlocked;  // behind them
      *woken = HandOver();
      if (*woken != nullptr) return Result::kDone;
      return channel.ring_.Push(value) ? Result::kDone : Result::kBlocked;
    }
  };
  struct ReceiveStep {
    Channel& channel;
    std::optional<T>& value;

    internal::RingEnd& end() const { return channel.ring_.out; }
    internal::RingEnd& other_end() const { return channel.ring_.in; }
    uint64_t lead() const { return 0; }
    internal::WaiterList& list() const { return channel.receivers_; }

    [[gnu::always_inline]] bool AtOwnEnd() const { return channel.ring_.Pop(value); }
    Result UnderBoth(Waiter** woken) const {
      if (!channel.receivers_.empty()) return Result::kBlocked;  // behind them
      if (!channel.ring_.Pop(value)) return channel.closed() ? Result::kClosed : Result::kBlocked;
      if (auto* const first = static_cast<SendAwaiter*>(channel.senders_.PopFront())) {
        first->sent_ = channel.ring_.Push(first->value_);
        *woken = first;
      }
      return Result::kDone;
    }
  };

  // Steps are passed by value, so that they need not be in memory. In line is what is done nearly
  // always, when the end belongs to this thread and nobody waits: all else is called last, so that
  // there is nothing to keep over a call.

  // Without waiting.
  template <class Step>
  [[gnu::always_inline]] Result Now(Step step) {
    internal::RingEnd& end = step.end();
    internal::RovingLock::Hold seat = end.lock.LockAsOwner();
    if (seat != nullptr && !end.detour) [[likely]] {
      const bool done = step.AtOwnEnd();
      internal::RovingLock::UnlockAsOwner(seat);
      if (done) [[likely]]
        return Result::kDone;
      if (!closed()) [[likely]]
        return Result::kBlocked;
      seat = nullptr;
    }
    return GoOn(step, seat);
  }
  // The rest of it, and all of it where `seat` is null.
  template <class Step>
  [[gnu::noinline]] Result GoOn(Step step, internal::RovingLock::Hold seat) {
    internal::RingEnd& end = step.end();
    if (seat == nullptr) [[unlikely]] {
      seat = end.lock.Lock();
      NoteUser(end);
    }
    const bool detour = end.detour;
    Waiter* woken = nullptr;
    bool done = false;
    if (!detour) {
      done = step.AtOwnEnd();
    } else if constexpr (std::is_same_v<Step, SendStep>) {
      const internal::BiasedLockHolder hold(waiting_lock_);
      woken = step.HandOver();
      done = woken != nullptr;
    }
    end.lock.Unlock(seat);
    if (woken != nullptr) woken->Wake();
    if (done) return Result::kDone;
    // What blocks may have been closed, and after the last item came at that.
    return detour || closed() ? UnderBoth(step, nullptr) : Result::kBlocked;
  }

  // Where `self`, it joins its list, unless there is nothing to wait for, or a stop came before.
  template <class Step>
  [[gnu::always_inline]] Result UnderBoth(Step step, Waiter* self) {
    Waiter* woken = nullptr;
    Result result = Result::kBlocked;
    bool early = false;
    {
      std::optional<internal::BothEndsHolder> ends(std::in_place, ring_.in, ring_.out);
      const internal::BiasedLockHolder hold(waiting_lock_);
      result = step.UnderBoth(&woken);
      if (self != nullptr) {
        if (result != Result::kBlocked) {
          self->Grant();
        } else if (self->CancelledEarly()) [[unlikely]] {
          early = true;
        } else {
          step.list().PushBack(*self);
        }
      }
      ring_.in.detour = closed() || !receivers_.empty();
      ring_.out.detour = !senders_.empty();
      // Before the waiting lock: a cancel needs that alone, and after it the channel may be gone.
      ends.reset();
    }
    if (woken != nullptr) woken->Wake();
    if (early) [[unlikely]]
      self->Wake();  // through the executor, so that a loop of cancelled waits lets others run
    return result;
  }

  // For await_ready, which is to be told that it blocks where it is the others' turn.
  template <class Step>
  [[gnu::always_inline]] Result Ready(Step step) {
    if (!internal::SpendBudget()) [[unlikely]]
      return Result::kBlocked;
    return Now(step);
  }

  // For await_suspend: kBlocked where it waits, and nothing of it may be touched.
  template <class Step>
  [[gnu::noinline]] Result Wait(Waiter& self, internal::PromiseBase& promise,
                                const internal::AwaitNote& note, Step step) {
    if (internal::BudgetIsSpent()) [[unlikely]] {
      // It may be here for that alone.
      const Result result = GoOn(step, nullptr);
      if (result != Result::kBlocked) return result;
    }
    if (IsElsewhere(step.other_end()) &&
        ChangesSoon(step.end(), step.other_end(), step.lead(), capacity())) {
      const Result result = GoOn(step, nullptr);
      if (result != Result::kBlocked) return result;
    }
    self.Prepare(promise, waiting_lock_, note);
    return UnderBoth(step, &self);
  }

  class [[nodiscard]] SendAwaiter : public Waiter {
   public:
    SendAwaiter(Channel& channel, T value) : channel_(channel), value_(std::move(value)) {}

    bool await_ready() { return NoteResult(channel_.Ready(Step())); }
    template <internal::PlaitPromise P>
    bool await_suspend(std::coroutine_handle<P> waiter) {
      internal::PromiseBase& promise = waiter.promise();
      const Result result = channel_.Wait(*this, promise, internal::kChannelSendNote, Step());
      if (result == Result::kBlocked) return true;
      NoteResult(result);
      return internal::YieldIfSpent(promise);
    }
    absl::Status await_resume() {
      const bool finished = this->Finish();
      if (sent_) [[likely]]
        return absl::OkStatus();
      return finished ? Closed() : SendCancelled();
    }
    bool await_failed() const noexcept { return !sent_; }  // for OrReturn

   private:
    friend class Channel;
    SendStep Step() { return SendStep{channel_, value_}; }
    // Whether it has one.
    bool NoteResult(Result result) {
      sent_ = result == Result::kDone;
      return result != Result::kBlocked;
    }

    Channel& channel_;
    T value_;
    bool sent_ = false;
  };

  class [[nodiscard]] ReceiveAwaiter : public Waiter {
   public:
    explicit ReceiveAwaiter(Channel& channel) : channel_(channel) {}

    bool await_ready() { return channel_.Ready(Step()) != Result::kBlocked; }
    template <internal::PlaitPromise P>
    bool await_suspend(std::coroutine_handle<P> waiter) {
      internal::PromiseBase& promise = waiter.promise();
      return channel_.Wait(*this, promise, internal::kChannelReceiveNote, Step()) ==
                 Result::kBlocked ||
             internal::YieldIfSpent(promise);
    }
    absl::StatusOr<T> await_resume() {
      const bool finished = this->Finish();
      if (value_.has_value()) [[likely]]
        return *std::move(value_);
      return finished ? Closed() : ReceiveCancelled();
    }
    bool await_failed() const noexcept { return !value_.has_value(); }  // for OrReturn

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
