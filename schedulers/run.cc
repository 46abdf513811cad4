#include "plait/schedulers/run.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "plait/io/auto_reactor/auto_reactor.h"
#include "plait/schedulers/event_loop/event_loop.h"

// What the build flag //:scheduler says.
#ifndef PLAIT_DEFAULT_SCHEDULER
#define PLAIT_DEFAULT_SCHEDULER "event_loop"
#endif

namespace plait::internal {
namespace {

class EventLoopRunner final : public Runner {
 public:
  EventLoopRunner(std::unique_ptr<Reactor> reactor, Clock* clock)
      : loop_(std::move(reactor), {.clock = clock}) {}

  Executor& executor() override { return loop_; }
  void CancelTasks() override {
    const absl::Status cancelled = loop_.CancelTasks();
    PLAIT_CHECK(cancelled.ok(), cancelled.ToString());
  }

 private:
  EventLoop loop_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Runner>> Runner::Create(const RunOptions& options) {
  const absl::string_view name =
      options.scheduler.empty() ? PLAIT_DEFAULT_SCHEDULER : absl::string_view(options.scheduler);
  if (name != "event_loop") {
    return absl::InvalidArgumentError(
        absl::StrCat("unknown scheduler \"", name, "\"; this build has: event_loop"));
  }
  absl::StatusOr<std::unique_ptr<Reactor>> reactor =
      MakeReactor(options.reactor, {.blocking = options.blocking});
  if (!reactor.ok()) return reactor.status();
  return std::make_unique<EventLoopRunner>(*std::move(reactor), options.clock);
}

}  // namespace plait::internal
