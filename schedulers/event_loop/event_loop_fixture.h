// What the tests of EventLoop share: a loop with a clock of the test's own and one with the
// machine's, over each reactor, and something to read.
#ifndef PLAIT_SCHEDULERS_EVENT_LOOP_EVENT_LOOP_FIXTURE_H_
#define PLAIT_SCHEDULERS_EVENT_LOOP_EVENT_LOOP_FIXTURE_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/io/ops/operations.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/reactor_factory.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/runtime/testing/test_clock.h"
#include "plait/schedulers/event_loop/event_loop.h"

namespace plait {

class Pipe {
 public:
  int reading() const { return ends_.first.get(); }
  int writing() const { return ends_.second.get(); }
  void Write() { WriteAll(writing(), "x"); }

 private:
  FdPair ends_ = MakePipe();
};

inline Task<absl::StatusOr<size_t>> ReadOne(int fd) {
  const GuardedBuffer byte(1);
  co_return co_await io::Read(fd, byte.span());
}

inline Task<absl::Status> SleepTask(absl::Duration duration) { co_return co_await Sleep(duration); }

inline Task<int> YieldThenGive(int n) {
  co_await Yield();
  co_return n;
}

class EventLoopTest : public testing::TestWithParam<ReactorFactory> {
 protected:
  TestClock clock_;
  EventLoop loop_{GetParam().make(nullptr), {.clock = &clock_}};
  EventLoop real_loop_{GetParam().make(nullptr)};
};
class EventLoopDeathTest : public testing::TestWithParam<ReactorFactory> {};

}  // namespace plait

#endif  // PLAIT_SCHEDULERS_EVENT_LOOP_EVENT_LOOP_FIXTURE_H_
