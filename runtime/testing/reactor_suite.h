// ReactorSuite: what every Reactor must do, by raw operations and through coroutines on an
// EventLoop over it.
//
// One line in a reactor's test runs all of it:
//
//   INSTANTIATE_TEST_SUITE_P(Epoll, ReactorSuite, testing::Values(ReactorFactory{...}),
//                            ReactorFactory::Name);
//
// Five traps that tests of reactors must set, and that the comments on the groups of tests name:
//   buffer    a buffer is freed while the kernel owns it: buffers are GuardedBuffers, released as
//             soon as that is allowed
//   park      a wake-up or an event is lost between the last look and the parking
//   race      a cancel, or a close, races the completion: exactly one of them is the outcome, and
//             nothing is lost
//   reuse     a descriptor's number is another's by the time an event for it arrives
//   reentry   an operation is delivered inside the call that starts or cancels it, while its owner
//             is half-way through
#ifndef PLAIT_RUNTIME_TESTING_REACTOR_SUITE_H_
#define PLAIT_RUNTIME_TESTING_REACTOR_SUITE_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "gtest/gtest.h"
#include "plait/runtime/core/deadline.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/executor.h"
#include "plait/runtime/core/reactor.h"
#include "plait/runtime/task/spawn.h"
#include "plait/runtime/testing/reactor_factory.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/runtime/testing/test_operation.h"
#include "plait/runtime/testing/thread_executor.h"
#include "plait/schedulers/event_loop/event_loop.h"

namespace plait {

class ReactorSuite : public testing::TestWithParam<ReactorFactory> {
 protected:
  ReactorSuite();

  // --- raw operations ---

  Reactor& reactor() { return *reactor_; }
  // The one that reactor() was given.
  ThreadExecutor& blocking() { return blocking_; }
  std::unique_ptr<Reactor> MakeReactor(Executor* blocking);
  void ReplaceReactor(Executor* blocking);

  // These expect of each call what the Reactor's contract says of it.
  void Submit(TestOperation& operation);
  bool SubmitOrComplete(TestOperation& operation);
  void Cancel(TestOperation& operation);
  // Polls once and runs what came; how many that were.
  int PollOnce(Deadline deadline);
  // Polls until `operation` has been delivered.
  void Await(TestOperation& operation);
  // Submits and awaits; the result.
  int32_t Do(TestOperation& operation);
  // Polls as often as it takes for anything that is ready to come; expects that nothing does.
  void ExpectNothingMore();
  // Closes it through the reactor.
  void Close(OwnedFd& fd);
  static Deadline In(absl::Duration duration) { return Clock::Real().Now() + duration; }

  // --- coroutines ---

  // A loop over a reactor of its own, made when it is first asked for.
  EventLoop& loop();
  // Runs the coroutine that `body` makes on loop() and gives its result. `body` lives until then,
  // so it may be a lambda with captures.
  template <class Body>
  auto RunTask(Body body) {
    return BlockOn(loop(), body());
  }

 private:
  ThreadExecutor blocking_;
  std::unique_ptr<Reactor> reactor_;
  std::unique_ptr<EventLoop> loop_;
  int64_t next_turn_ = 0;
};

}  // namespace plait

#endif  // PLAIT_RUNTIME_TESTING_REACTOR_SUITE_H_
