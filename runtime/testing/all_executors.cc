#include "plait/runtime/testing/all_executors.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/core/reactor.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/testing/all_reactors.h"
#include "plait/schedulers/event_loop/event_loop.h"
#include "plait/schedulers/work_stealing/work_stealing_pool.h"

namespace plait {

std::unique_ptr<Executor> IoExecutor::Make(Executor* blocking, Clock* clock) const {
  absl::StatusOr<std::unique_ptr<Executor>> made = TryMake(blocking, clock);
  PLAIT_CHECK(made.ok(), made.status().ToString());
  return *std::move(made);
}

absl::StatusOr<std::unique_ptr<Executor>> IoExecutor::TryMake(Executor* blocking,
                                                              Clock* clock) const {
  if (threads == 0) {
    absl::StatusOr<std::unique_ptr<Reactor>> own = reactor.make(blocking);
    if (!own.ok()) return own.status();
    return std::make_unique<EventLoop>(*std::move(own),
                                       EventLoopOptions{.clock = clock, .blocking = blocking});
  }
  WorkStealingPoolOptions options;
  options.threads = threads;
  options.reactor = [make = reactor.make, blocking] { return make(blocking); };
  options.clock = clock;
  options.blocking = blocking;
  return WorkStealingPool::Create(std::move(options));
}

void IoExecutor::Settle(Executor& made) const {
  if (threads == 0) {
    const absl::Status idle = static_cast<EventLoop&>(made).Run();
    PLAIT_CHECK(idle.ok(), idle.ToString());
    return;
  }
  for (int round = 0; made.tasks().size() > 0; ++round) internal::SpinWait(round);
}

std::vector<IoExecutor> AllExecutors() {
  std::vector<IoExecutor> executors;
  for (const ReactorFactory& reactor : AllReactors()) {
    executors.push_back({.name = reactor.name, .reactor = reactor});
    for (const int threads : {1, 2, 8}) {
      executors.push_back({.name = absl::StrCat(reactor.name, "Stealing", threads),
                           .reactor = reactor,
                           .threads = threads});
    }
  }
  return executors;
}

IoTest::IoTest(int blocking_threads, bool virtual_time) {
  if (blocking_threads > 0) blocking_.emplace(blocking_threads);
  if (virtual_time) clock_.emplace();
}

IoTest::~IoTest() { EndExecutor(); }

Executor& IoTest::executor() {
  if (executor_ == nullptr) {
    executor_ = GetParam().Make(blocking_.has_value() ? &*blocking_ : nullptr,
                                clock_.has_value() ? &*clock_ : nullptr);
  }
  return *executor_;
}

void IoTest::EndExecutor() { executor_ = nullptr; }

IoTest::CallsInForce::~CallsInForce() {
  test_.EndExecutor();
  if (test_.blocking_.has_value()) test_.blocking_->Settle();
}

}  // namespace plait
