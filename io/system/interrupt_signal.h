// InterruptSignal: SIGINT, once, for as long as this lives.
//
// The first SIGINT calls a function; from then on the signal has its usual effect again, so that a
// second one ends a process that does not come to an end by itself. A program that handles or
// ignores SIGINT already keeps its way, and so does whoever was first of several in one process:
// active() is then false.
#ifndef PLAIT_IO_SYSTEM_INTERRUPT_SIGNAL_H_
#define PLAIT_IO_SYSTEM_INTERRUPT_SIGNAL_H_

namespace plait::sys {

class InterruptSignal {
 public:
  // Runs inside the signal handler, on any thread: async-signal-safe functions only.
  using Function = void (*)(void* context) noexcept;

  InterruptSignal(Function function, void* context) noexcept;
  InterruptSignal(const InterruptSignal&) = delete;
  InterruptSignal& operator=(const InterruptSignal&) = delete;
  // The function does not run after this.
  ~InterruptSignal();

  bool active() const noexcept { return active_; }

 private:
  static void Handle(int signal) noexcept;

  const Function function_;
  void* const context_;
  bool active_ = false;
};

}  // namespace plait::sys

#endif  // PLAIT_IO_SYSTEM_INTERRUPT_SIGNAL_H_
