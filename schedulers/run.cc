#include "plait/schedulers/run.h"

#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "plait/io/auto_reactor/auto_reactor.h"
#include "plait/io/system/interrupt_signal.h"
#include "plait/schedulers/event_loop/event_loop.h"
#include "plait/schedulers/work_stealing/work_stealing_pool.h"

// What the build flag //:scheduler says.
#ifndef PLAIT_DEFAULT_SCHEDULER
#define PLAIT_DEFAULT_SCHEDULER "event_loop"
#endif

namespace plait {

absl::string_view DefaultScheduler() noexcept { return PLAIT_DEFAULT_SCHEDULER; }

namespace internal {
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

// Carries a SIGINT from the signal handler to an executor of type E.
template <class E>
struct Interrupt : WorkItem {
  explicit Interrupt(E& on) : WorkItem(&CancelMain), executor(on) {}

  // In the signal handler.
  static void Post(void* context) noexcept {
    auto& self = *static_cast<Interrupt*>(context);
    self.executor.PostFromSignalHandler(self);
  }
  static void CancelMain(WorkItem& item) noexcept {
    if (TaskState* main = static_cast<Interrupt&>(item).main) main->Cancel("SIGINT");
  }

  E& executor;
  TaskState* main = nullptr;  // null when it is over
};

class EventLoopRunner final : public Runner {
 public:
  EventLoopRunner(std::unique_ptr<Reactor> reactor, const RunOptions& options)
      : loop_(std::move(reactor),
              {.clock = options.clock, .blocking = options.blocking, .hooks = HooksOf(options)}) {}

  Executor& executor() override { return loop_; }
  void CancelTasks() override {
    const absl::Status cancelled = loop_.CancelTasks();
    PLAIT_CHECK(cancelled.ok(), cancelled.ToString());
    signal_.reset();
    interrupt_.main = nullptr;  // also where it is queued
  }
  void CancelOnInterrupt(TaskState& main) override {
    interrupt_.main = &main;
    signal_.emplace(&Interrupt<EventLoop>::Post, &interrupt_);
  }

 private:
  Interrupt<EventLoop> interrupt_{loop_};
  EventLoop loop_;  // which may run the interrupt at its end
  std::optional<sys::InterruptSignal> signal_;
};

class WorkStealingRunner final : public Runner {
 public:
  explicit WorkStealingRunner(std::unique_ptr<WorkStealingPool> pool) : pool_(std::move(pool)) {}

  Executor& executor() override { return *pool_; }
  void CancelTasks() override {
    const absl::Status cancelled = pool_->CancelTasks();
    PLAIT_CHECK(cancelled.ok(), cancelled.ToString());
    signal_.reset();
    // A thread may be about to look at the main task, as it was interrupted.
    const absl::Status closed = pool_->Close();
    PLAIT_CHECK(closed.ok(), closed.ToString());
  }
  void CancelOnInterrupt(TaskState& main) override {
    interrupt_.main = &main;
    signal_.emplace(&Interrupt<WorkStealingPool>::Post, &interrupt_);
  }

 private:
  const std::unique_ptr<WorkStealingPool> pool_;
  Interrupt<WorkStealingPool> interrupt_{*pool_};
  std::optional<sys::InterruptSignal> signal_;
};

absl::StatusOr<std::unique_ptr<Runner>> MakeEventLoopRunner(const RunOptions& options) {
  absl::StatusOr<std::unique_ptr<Reactor>> reactor = MakeReactor(options.reactor);
  if (!reactor.ok()) return reactor.status();
  return std::make_unique<EventLoopRunner>(*std::move(reactor), options);
}

absl::StatusOr<std::unique_ptr<Runner>> MakeWorkStealingRunner(const RunOptions& options) {
  if (options.threads < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("RunOptions::threads is ", options.threads, "; it must not be negative"));
  }
  absl::StatusOr<std::unique_ptr<WorkStealingPool>> pool = WorkStealingPool::Create(
      {.threads = options.threads == 0 ? HardwareThreads() : options.threads,
       // What the first had to make do with is said once; the others are of its kind.
       .reactor =
           [name = options.reactor]() mutable {
             absl::StatusOr<std::unique_ptr<Reactor>> reactor = MakeReactor(name);
             if (reactor.ok()) name = std::string((*reactor)->name());
             return reactor;
           },
       .clock = options.clock,
       .blocking = options.blocking,
       .hooks = HooksOf(options)});
  if (!pool.ok()) return pool.status();
  return std::make_unique<WorkStealingRunner>(*std::move(pool));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Runner>> Runner::Create(const RunOptions& options) {
  const absl::string_view name =
      options.scheduler.empty() ? DefaultScheduler() : absl::string_view(options.scheduler);
  if (name == "event_loop") return MakeEventLoopRunner(options);
  if (name == "work_stealing") return MakeWorkStealingRunner(options);
  return absl::InvalidArgumentError(
      absl::StrCat("unknown scheduler \"", name, "\"; this build has: event_loop, work_stealing"));
}

}  // namespace internal
}  // namespace plait
