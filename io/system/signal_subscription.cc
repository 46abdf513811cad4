#include "plait/io/system/signal_subscription.h"

#include <errno.h>
#include <signal.h>

#include <bit>
#include <mutex>

#include "plait/io/system/system_calls.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/spin_lock.h"

namespace plait::sys {

using plait::internal::Atomic;
using plait::internal::kAcqRel;
using plait::internal::kAcquire;
using plait::internal::kRelease;
using plait::internal::kSeqCst;

// Never freed, so that a handler may look at it at any time; used again.
struct internal::SignalSlot {
  SignalSlot* next = nullptr;  // of all there are; set before it is published
  // In one order with `users`: either a handler sees that the signal is not wanted any more, or
  // Stop sees that a handler is in here and waits for it.
  Atomic<uint64_t> wanted{0};
  Atomic<int> users{0};
  Atomic<uint64_t> pending{0};
  Atomic<bool> asked{false};  // kShutsDown: it was told of a signal
  // Written while nothing is wanted.
  Atomic<int> event{-1};
  Atomic<bool> shuts_down{false};
  Atomic<uint64_t> generation{0};  // of the process that it is in use in; 0: in none
};

namespace {

using internal::SignalSlot;

static_assert(Atomic<uint64_t>::is_always_lock_free, "a handler uses them");

constexpr int kSignals = 64;

constinit Atomic<SignalSlot*> slots{nullptr};
// Of the process whose subscriptions have put the handler in place; 0: it is not ours.
constinit Atomic<uint64_t> installed[kSignals] = {};

// What is never 0.
uint64_t ThisProcess() noexcept { return plait::internal::ProcessGeneration() + 1; }

constinit std::mutex mutex;  // held by Start and Stop
// Guarded by it: what the handler replaced.
struct sigaction former[kSignals] = {};

// What has become of a signal in a handler.
struct Told {
  bool somebody = false;
  bool listener = false;
  bool asked_before = false;
};

void TellSlot(SignalSlot& slot, uint64_t bit, Told& told) noexcept {
  told.somebody = true;
  if (slot.shuts_down.load(kAcquire)) {
    if (slot.asked.exchange(true, kAcqRel)) {
      told.asked_before = true;
      return;
    }
  } else {
    told.listener = true;
  }
  // Release: what the sender did before is visible to whoever takes it. Where there was a bit
  // before, the eventfd has been written to and will be read before the bits are taken.
  if (slot.pending.fetch_or(bit, kRelease) == 0) {
    // Not those that a test has installed, which may be holding a lock on this very thread.
    RealSystemCalls().SignalEventFd(slot.event.load(kAcquire));
  }
}

void Handle(int signal) noexcept;

bool IsOurs(const struct sigaction& action) noexcept {
  return (action.sa_flags & SA_SIGINFO) == 0 && action.sa_handler == &Handle;
}

struct sigaction Ours() noexcept {
  struct sigaction ours = {};
  ours.sa_handler = &Handle;
  ours.sa_flags = SA_RESTART | SA_ONSTACK;
  ::sigemptyset(&ours.sa_mask);
  return ours;
}

struct sigaction Default() noexcept {
  struct sigaction usual = {};
  usual.sa_handler = SIG_DFL;
  return usual;
}

// In the handler: nobody wants it. It was on its way when the last subscription stopped, or this is
// a child of a fork, or somebody has put our handler back in place.
void Forward(int signal, uint64_t generation) noexcept {
  Atomic<uint64_t>& by_us = installed[signal - 1];
  struct sigaction present = {};
  if (by_us.load(kSeqCst) != generation && ::sigaction(signal, nullptr, &present) == 0 &&
      IsOurs(present)) {
    const struct sigaction usual = Default();
    ::sigaction(signal, &usual, nullptr);
    // A subscription may have started in between, and its handler must stay.
    if (by_us.load(kSeqCst) == generation) {
      const struct sigaction ours = Ours();
      ::sigaction(signal, &ours, nullptr);
    }
  }
  ::raise(signal);  // taken when the handler has returned
}

void Handle(int signal) noexcept {
  const int saved_errno = errno;
  const uint64_t bit = SignalBit(signal);
  const uint64_t generation = ThisProcess();
  Told told;
  for (SignalSlot* slot = slots.load(kAcquire); slot != nullptr; slot = slot->next) {
    // A look first, so that Stop waits only for those that were here before it.
    if ((slot->wanted.load(kSeqCst) & bit) == 0) continue;
    slot->users.fetch_add(1, kSeqCst);
    if ((slot->wanted.load(kSeqCst) & bit) != 0 && slot->generation.load(kAcquire) == generation) {
      TellSlot(*slot, bit, told);
    }
    slot->users.fetch_sub(1, kRelease);
  }
  if (told.asked_before && !told.listener) {
    const struct sigaction usual = Default();
    ::sigaction(signal, &usual, nullptr);
    ::raise(signal);
  } else if (!told.somebody) {
    Forward(signal, generation);
  }
  errno = saved_errno;
}

// Whether a subscription of this process other than `self` wants the signal.
bool IsWantedByOthers(const SignalSlot& self, uint64_t bit, uint64_t generation) noexcept {
  for (SignalSlot* slot = slots.load(kAcquire); slot != nullptr; slot = slot->next) {
    if (slot != &self && slot->generation.load(kAcquire) == generation &&
        (slot->wanted.load(kAcquire) & bit) != 0) {
      return true;
    }
  }
  return false;
}

// Notes in `former` what is in force for the signal, where that is not our handler.
int NoteFormer(int signal) noexcept {
  struct sigaction present = {};
  const int result = Calls().SignalAction(signal, nullptr, &present);
  // In a child of a fork it may be ours, and what it replaced was inherited, too.
  if (result >= 0 && !IsOurs(present)) former[signal - 1] = present;
  return result;
}

bool WasIgnored(int signal) noexcept {
  const struct sigaction& before = former[signal - 1];
  return (before.sa_flags & SA_SIGINFO) == 0 && before.sa_handler == SIG_IGN;
}

int Install(int signal, uint64_t generation) noexcept {
  // Before the handler is there: once it is, nobody may take it for a leftover.
  installed[signal - 1].store(generation, kSeqCst);
  const struct sigaction ours = Ours();
  const int result = Calls().SignalAction(signal, &ours, nullptr);
  if (result < 0) installed[signal - 1].store(0, kSeqCst);
  return result;
}

void Uninstall(int signal, bool to_default) noexcept {
  struct sigaction present = {};
  if (RealSystemCalls().SignalAction(signal, nullptr, &present) == 0 && IsOurs(present)) {
    const struct sigaction usual = to_default ? Default() : former[signal - 1];
    RealSystemCalls().SignalAction(signal, &usual, nullptr);
  }
  installed[signal - 1].store(0, kSeqCst);
}

SignalSlot& FreeSlot() noexcept {
  for (SignalSlot* slot = slots.load(kAcquire); slot != nullptr; slot = slot->next) {
    if (slot->generation.load(kAcquire) == 0) return *slot;
  }
  auto* const slot = new SignalSlot;
  slot->next = slots.load(kAcquire);
  slots.store(slot, kRelease);
  return *slot;
}

// Calls `f(signal)` for each of `signals`.
template <class F>
void ForEachSignal(uint64_t signals, F f) {
  for (; signals != 0; signals &= signals - 1) f(std::countr_zero(signals) + 1);
}

}  // namespace

int SignalSubscription::Start(uint64_t signals, int event, Kind kind) noexcept {
  PLAIT_CHECK(slot_ == nullptr, "a SignalSubscription is started once");
  const uint64_t generation = ThisProcess();
  int error = 0;
  {
    const std::lock_guard hold(mutex);
    slot_ = &FreeSlot();
    slot_->pending.store(0, kRelease);
    slot_->asked.store(false, kRelease);
    slot_->event.store(event, kRelease);
    slot_->shuts_down.store(kind == Kind::kShutsDown, kRelease);
    slot_->generation.store(generation, kRelease);
    // Signal by signal: what Stop undoes is what was done.
    ForEachSignal(signals, [&](int signal) {
      if (error != 0) return;
      const bool by_others = IsWantedByOthers(*slot_, SignalBit(signal), generation);
      if (!by_others) error = NoteFormer(signal);
      if (error != 0 || (kind == Kind::kShutsDown && WasIgnored(signal))) return;
      // Before the handler is there, which so finds somebody.
      slot_->wanted.fetch_or(SignalBit(signal), kSeqCst);
      if (by_others) return;
      error = Install(signal, generation);
      if (error != 0) slot_->wanted.fetch_and(~SignalBit(signal), kSeqCst);
    });
  }
  if (error != 0) Stop();
  return error;
}

void SignalSubscription::Stop() noexcept {
  if (slot_ == nullptr) return;
  const std::lock_guard hold(mutex);
  const uint64_t generation = slot_->generation.load(kAcquire);
  const bool shut_down = slot_->asked.load(kAcquire);
  ForEachSignal(slot_->wanted.load(kAcquire), [&](int signal) {
    if (!IsWantedByOthers(*slot_, SignalBit(signal), generation)) Uninstall(signal, shut_down);
  });
  slot_->wanted.store(0, kSeqCst);
  for (int round = 0; slot_->users.load(kSeqCst) != 0; ++round) plait::internal::SpinWait(round);
  slot_->generation.store(0, kRelease);
  slot_ = nullptr;
}

uint64_t SignalSubscription::Take() noexcept {
  if (slot_ == nullptr || slot_->pending.load(kAcquire) == 0) return 0;
  return slot_->pending.exchange(0, kAcquire);
}

}  // namespace plait::sys
