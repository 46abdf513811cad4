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
// Who has to wait joins a list, which is under the lock of the other end: of those who give it what
// it waits for. While it holds that lock, nobody can put anything into the ring (or take anything
// out of it, where it is full), whatever is done at its own end; so it looks once more, joins the
// list, and says so by `detour`, in one step for all who could wake it. Who finds a detour up does
// what it says, and takes it down when nobody waits any more: a sender hands its item to the first
// that waits, under the lock of its own end still; a receiver that is to let somebody in takes both
// locks, as Close does. A cancel takes somebody out of a list, under that list's lock. So whenever
// no lock is held
//
//     receivers wait  =>  the ring is empty, nobody waits to send, and it is not closed
//     senders wait    =>  the ring is full, nobody waits to receive, and it is not closed
//
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
  WaiterList senders_;          // under the lock of the end of those who receive
  WaiterList receivers_;        // under that of those who send
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
  // What a Send, and a Receive, does, mostly under its own end's lock.
  struct SendStep {
    Channel& channel;
    T& value;

    internal::RingEnd& end() const { return channel.ring_.in; }
    internal::RingEnd& other_end() const { return channel.ring_.out; }
    // Of the ends' counts, where it is full.
    uint64_t lead() const { return channel.capacity(); }
    internal::WaiterList& list() const { return channel.senders_; }
    // Under the other end's lock.
    bool HasToWait() const { return channel.ring_.StaysFull(); }

    [[gnu::always_inline]] bool AtOwnEnd() const { return channel.ring_.Push(value); }
    // To the first who waits; null where there is none.
    [[gnu::always_inline]] Waiter* HandOver() const {
      auto* const first = static_cast<ReceiveAwaiter*>(channel.receivers_.PopFront());
      if (first == nullptr) [[unlikely]]
        return nullptr;
      first->value_.emplace(std::move(value));
      channel.ring_.in.detour = !channel.receivers_.empty();  // it is not closed
      return first;
    }
    // Where there is a detour. Whom it has served is to be woken.
    Result OnDetour(Waiter** woken) const {
      *woken = HandOver();
      if (*woken != nullptr) return Result::kDone;
      if (channel.closed()) return Result::kClosed;
      channel.ring_.in.detour = false;
      return AtOwnEnd() ? Result::kDone : Result::kBlocked;
    }
  };
  struct ReceiveStep {
    Channel& channel;
    std::optional<T>& value;

    internal::RingEnd& end() const { return channel.ring_.out; }
    internal::RingEnd& other_end() const { return channel.ring_.in; }
    uint64_t lead() const { return 0; }
    internal::WaiterList& list() const { return channel.receivers_; }
    bool HasToWait() const { return channel.ring_.StaysEmpty(); }

    [[gnu::always_inline]] bool AtOwnEnd() const { return channel.ring_.Pop(value); }
    // With both locks.
    Result OnDetour(Waiter** woken) const {
      if (!AtOwnEnd()) return channel.closed() ? Result::kClosed : Result::kBlocked;
      if (auto* const first = static_cast<SendAwaiter*>(channel.senders_.PopFront())) {
        first->sent_ = channel.ring_.Push(first->value_);
        *woken = first;
      }
      channel.ring_.out.detour = !channel.senders_.empty();
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
    if constexpr (std::is_same_v<Step, SendStep>) {
      // Mostly somebody waits.
      if (seat != nullptr) {
        if (Waiter* const woken = step.HandOver()) [[likely]] {
          internal::RovingLock::UnlockAsOwner(seat);
          woken->Wake();
          return Result::kDone;
        }
      }
    }
    return GoOnWithLock(step, seat);
  }
  template <class Step>
  [[gnu::noinline]] Result GoOnWithLock(Step step, internal::RovingLock::Hold seat) {
    internal::RingEnd& end = step.end();
    if (seat == nullptr) [[unlikely]] {
      seat = end.lock.Lock();
      NoteUser(end);
    }
    Waiter* woken = nullptr;
    Result result = Result::kDone;
    if (!end.detour) {
      // What blocks may have been closed, and after the last item came at that: not since this lock
      // was taken.
      if (!step.AtOwnEnd()) result = closed() ? Result::kClosed : Result::kBlocked;
    } else if constexpr (std::is_same_v<Step, ReceiveStep>) {
      end.lock.Unlock(seat);
      return UnderBoth(step);
    } else {
      result = step.OnDetour(&woken);
    }
    end.lock.Unlock(seat);
    if (woken != nullptr) woken->Wake();
    return result;
  }

  [[gnu::noinline]] Result UnderBoth(ReceiveStep step) {
    Waiter* woken = nullptr;
    Result result = Result::kDone;
    {
      const internal::BothEndsHolder ends(ring_.in, ring_.out);
      result = step.OnDetour(&woken);
    }
    if (woken != nullptr) woken->Wake();
    return result;
  }

  // For await_ready, which is to be told that it blocks where it is the others' turn.
  template <class Step>
  [[gnu::always_inline]] Result Ready(Step step) {
    if (!internal::SpendBudget()) [[unlikely]]
      return Result::kBlocked;
    if constexpr (std::is_same_v<Step, ReceiveStep>) {
      // Wait looks under a lock.
      if (ring_.SeemsEmpty()) return Result::kBlocked;
    }
    return Now(step);
  }

  // await_suspend.
  template <class Awaiter>
  [[gnu::noinline]] static bool Suspend(Awaiter& self, internal::PromiseBase& promise) {
    const auto step = self.Step();
    internal::RingEnd& other = step.other_end();
    // It may be here for the budget alone.
    if (internal::BudgetIsSpent() || IsElsewhere(other)) [[unlikely]]
      return SuspendUnlessReady(self, promise);
    if (!self.PrepareAtHome(promise, other.lock, *Awaiter::kNote)) [[unlikely]]
      return SuspendFromElsewhere(self, promise);
    const internal::RovingLock::Hold seat = other.lock.LockAsOwner();
    if (seat == nullptr) [[unlikely]]
      return Join(self, promise);
    const bool joins = TryJoin(self);
    internal::RovingLock::UnlockAsOwner(seat);
    return joins || Join(self, promise);
  }
  // The rest of it, from three places on.
  template <class Awaiter>
  [[gnu::noinline]] static bool SuspendUnlessReady(Awaiter& self, internal::PromiseBase& promise) {
    Channel& channel = self.channel_;
    const auto step = self.Step();
    if (internal::BudgetIsSpent() && self.NoteResult(channel.GoOn(step, nullptr))) {
      return internal::YieldIfSpent(promise);
    }
    if (IsElsewhere(step.other_end()) &&
        channel.ChangesSoon(step.end(), step.other_end(), step.lead(), channel.capacity()) &&
        self.NoteResult(channel.GoOn(step, nullptr))) {
      return internal::YieldIfSpent(promise);
    }
    return SuspendFromElsewhere(self, promise);
  }
  template <class Awaiter>
  [[gnu::noinline]] static bool SuspendFromElsewhere(Awaiter& self,
                                                     internal::PromiseBase& promise) {
    self.Prepare(promise, self.Step().other_end().lock, *Awaiter::kNote);
    return Join(self, promise);
  }
  template <class Awaiter>
  [[gnu::noinline]] static bool Join(Awaiter& self, internal::PromiseBase& promise) {
    const auto step = self.Step();
    internal::RovingLock& lock = step.other_end().lock;
    for (;;) {
      const internal::RovingLock::Hold seat = lock.Lock();
      const bool joins = TryJoin(self);
      const bool early = !joins && self.CancelledEarly() && MustWait(step);
      // What need not wait is not cancelled.
      if (step.channel.closed()) self.Grant();
      // Where it has joined, nothing is touched after this: who takes it out may be waiting for
      // this lock.
      lock.Unlock(seat);
      if (joins) return true;
      if (early) {
        // Through the executor, so that a loop of cancelled waits lets others run.
        self.Wake();
        return true;
      }
      // Something has come, or gone, in the meantime; others may be faster.
      if (self.NoteResult(self.channel_.GoOn(step, nullptr))) {
        return internal::YieldIfSpent(promise);
      }
    }
  }
  // Under the other end's lock, both.
  template <class Step>
  [[gnu::always_inline]] static bool MustWait(Step step) {
    return step.HasToWait() && !step.channel.closed();
  }
  template <class Awaiter>
  [[gnu::always_inline]] static bool TryJoin(Awaiter& self) {
    const auto step = self.Step();
    if (!MustWait(step) || self.CancelledEarly()) [[unlikely]]
      return false;
    step.list().PushBack(self);
    step.other_end().detour = true;
    return true;
  }

  class [[nodiscard]] SendAwaiter : public Waiter {
   public:
    SendAwaiter(Channel& channel, T value) : channel_(channel), value_(std::move(value)) {}

    bool await_ready() { return NoteResult(channel_.Ready(Step())); }
    template <internal::PlaitPromise P>
    bool await_suspend(std::coroutine_handle<P> waiter) {
      return Suspend(*this, waiter.promise());
    }
    absl::Status await_resume() {
      this->Leave();
      if (sent_) [[likely]]
        return absl::OkStatus();
      return this->cancelled() ? SendCancelled() : Closed();
    }
    bool await_failed() const noexcept { return !sent_; }  // for OrReturn

   private:
    friend class Channel;
    static constexpr const internal::AwaitNote* kNote = &internal::kChannelSendNote;
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

    bool await_ready() { return NoteResult(channel_.Ready(Step())); }
    template <internal::PlaitPromise P>
    bool await_suspend(std::coroutine_handle<P> waiter) {
      return Suspend(*this, waiter.promise());
    }
    absl::StatusOr<T> await_resume() {
      this->Leave();
      if (value_.has_value()) [[likely]]
        return *std::move(value_);
      return this->cancelled() ? ReceiveCancelled() : Closed();
    }
    bool await_failed() const noexcept { return !value_.has_value(); }  // for OrReturn

   private:
    friend class Channel;
    static constexpr const internal::AwaitNote* kNote = &internal::kChannelReceiveNote;
    ReceiveStep Step() { return ReceiveStep{channel_, value_}; }
    bool NoteResult(Result result) { return result != Result::kBlocked; }

    Channel& channel_;
    std::optional<T> value_;
  };

  internal::TwoEndedRing<T> ring_;
};

}  // namespace plait

#endif  // PLAIT_RUNTIME_SYNC_CHANNEL_H_
