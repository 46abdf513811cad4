#include "plait/schedulers/run.h"

#include <cstdlib>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "plait/io/auto_reactor/auto_reactor.h"
#include "plait/io/system/interrupt_signal.h"
#include "plait/schedulers/blocking/blocking_pool.h"
#include "plait/schedulers/event_loop/event_loop.h"

// What the build flag //:scheduler says.
#ifndef PLAIT_DEFAULT_SCHEDULER
#define PLAIT_DEFAULT_SCHEDULER "event_loop"
#endif

namespace plait::internal {
namespace {

bool DebugIsOn(const RunOptions& options) {
  if (options.debug) return true;
  const char* value = std::getenv("PLAIT_DEBUG");
  return value != nullptr && absl::string_view(value) != "" && absl::string_view(value) != "0";
}

ExecutorHooks HooksOf(const RunOptions& options) {
  return {
      .observer = options.observer, .on_report = options.on_report, .debug = DebugIsOn(options)};
}

// Carries a SIGINT from the signal handler to the loop.
struct Interrupt : WorkItem {
  EventLoop* loop = nullptr;
  TaskState* main = nullptr;  // null when it is over

  // In the signal handler.
  static void Post(void* context) noexcept {
    auto& self = *static_cast<Interrupt*>(context);
    self.loop->PostFromSignalHandler(self);
  }
  static void CancelMain(WorkItem& item) noexcept {
    if (TaskState* main = static_cast<Interrupt&>(item).main) main->Cancel("SIGINT");
  }
};

class EventLoopRunner final : public Runner {
 public:
  EventLoopRunner(std::unique_ptr<OwnBlockingPool> blocking, std::unique_ptr<Reactor> reactor,
                  const RunOptions& options)
      : blocking_(std::move(blocking)),
        loop_(std::move(reactor),
              {.clock = options.clock, .blocking = &blocking_->get(), .hooks = HooksOf(options)}) {}

  Executor& executor() override { return loop_; }
  void CancelTasks() override {
    const absl::Status cancelled = loop_.CancelTasks();
    PLAIT_CHECK(cancelled.ok(), cancelled.ToString());
    signal_.reset();
    interrupt_.main = nullptr;  // also where it is queued
  }
  void CancelOnInterrupt(TaskState& main) override {
    interrupt_.main = &main;
    interrupt_.loop = &loop_;
    interrupt_.run = &Interrupt::CancelMain;
    signal_.emplace(&Interrupt::Post, &interrupt_);
  }

 private:
  // Joined when the loop, and its reactor, are gone.
  const std::unique_ptr<OwnBlockingPool> blocking_;
  Interrupt interrupt_;
  EventLoop loop_;  // which may run the interrupt at its end
  std::optional<sys::InterruptSignal> signal_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Runner>> Runner::Create(const RunOptions& options) {
  const absl::string_view name =
      options.scheduler.empty() ? PLAIT_DEFAULT_SCHEDULER : absl::string_view(options.scheduler);
  if (name != "event_loop") {
    return absl::InvalidArgumentError(
        absl::StrCat("unknown scheduler \"", name, "\"; this build has: event_loop"));
  }
  auto blocking = std::make_unique<OwnBlockingPool>(options.blocking);
  absl::StatusOr<std::unique_ptr<Reactor>> reactor =
      MakeReactor(options.reactor, {.blocking = &blocking->get()});
  if (!reactor.ok()) return reactor.status();
  return std::make_unique<EventLoopRunner>(std::move(blocking), *std::move(reactor), options);
}

}  // namespace plait::internal
