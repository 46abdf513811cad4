// SignalSubscription: signals that are sent to this process, noted in a word and told to an
// eventfd, for as long as this lives.
//
// A signal has one action in a process, and a signal handler can do next to nothing. So one handler
// of ours serves every subscription: it sets the signal's bit in each that wants it and writes to
// its eventfd, whoever reads that goes on outside of the handler. The first subscription to a
// signal installs the handler, the last one to go puts back the action that it found, unless
// somebody else has replaced ours meanwhile.
//
//   (not in use) --Start--> wants signals --Stop: no new handler comes in here--> (handlers leave)
//                                                                                --> (not in use)
//
// A signal that is on its way when the last subscription stops has the effect that it has from then
// on. A child that was forked and does not exec has no subscriptions: its signals have their
// default effect. Threads: any; one at a time for each subscription. In a signal handler nothing of
// this may be called. Cost: a handler takes time in proportion to how many subscriptions there
// have ever been at once.
#ifndef PLAIT_IO_SYSTEM_SIGNAL_SUBSCRIPTION_H_
#define PLAIT_IO_SYSTEM_SIGNAL_SUBSCRIPTION_H_

#include <cstdint>

namespace plait::sys {

namespace internal {
struct SignalSlot;
}

// A set of signals is a word; signal n, from 1 to 64, is bit n - 1.
constexpr uint64_t SignalBit(int signal) noexcept { return uint64_t{1} << (signal - 1); }

class SignalSubscription {
 public:
  enum class Kind : uint8_t {
    kListens,
    // Told of the first of its signals only. A further one, of any of them, has its default action,
    // here and now, unless somebody listens to it; and once there was one, the default action is
    // what Stop leaves behind. Has nothing to do with a signal that is ignored when it starts, or
    // was before somebody listened to it.
    kShutsDown,
  };

  SignalSubscription() = default;
  SignalSubscription(const SignalSubscription&) = delete;
  SignalSubscription& operator=(const SignalSubscription&) = delete;
  ~SignalSubscription() { Stop(); }

  // `event` is an eventfd, the caller's until Stop has returned. 0, or what sigaction refuses some
  // of `signals` with; nothing has changed then. Once.
  int Start(uint64_t signals, int event, Kind kind) noexcept;

  // Nobody writes to the eventfd after this. Again does nothing.
  void Stop() noexcept;

  // Those that have come since this was last asked. The eventfd is written to whenever there are
  // some again where there were none.
  uint64_t Take() noexcept;

 private:
  internal::SignalSlot* slot_ = nullptr;
};

}  // namespace plait::sys

#endif  // PLAIT_IO_SYSTEM_SIGNAL_SUBSCRIPTION_H_
