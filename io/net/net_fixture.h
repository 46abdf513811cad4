// NetTest: what the tests of listeners, servers and connections run on: a loop over each reactor,
// whose time passes only when there is nothing else to do.
#ifndef PLAIT_IO_NET_NET_FIXTURE_H_
#define PLAIT_IO_NET_NET_FIXTURE_H_

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/io/net/address.h"
#include "plait/io/net/listener.h"
#include "plait/io/net/stream.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/task/spawn.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/reactor_factory.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/runtime/testing/test_clock.h"
#include "plait/runtime/time/sleep.h"
#include "plait/schedulers/blocking/blocking_pool.h"
#include "plait/schedulers/event_loop/event_loop.h"

namespace plait {

class NetTest : public testing::TestWithParam<ReactorFactory> {
 protected:
  ~NetTest() override {
    // Before the close, which ends what is no task's.
    loop_.CancelTasks().IgnoreError();  // a test may have closed it
    EXPECT_EQ(loop_.io().in_flight(), 0u) << "an operation was left behind";
    const absl::Status closed = loop_.Close();
    EXPECT_TRUE(closed.ok()) << closed;
  }

  // Runs the coroutine that `body` makes to its end and gives its result. `body` lives until then,
  // so it may be a lambda with captures.
  template <class Body>
  auto RunTask(Body body) {
    return BlockOn(loop_, body());
  }
  EventLoop& loop() { return loop_; }
  TestClock& clock() { return clock_; }

 private:
  BlockingPool blocking_;  // for files, where the reactor has no better way
  TestClock clock_;
  EventLoop loop_{GetParam().make(&blocking_), {.clock = &clock_}};
};

// What must not fail for a test to have something to say.
template <class T>
T Must(absl::StatusOr<T> result) {
  PLAIT_CHECK(result.ok(), result.status().ToString());
  return *std::move(result);
}

// A listener on a free port of 127.0.0.1.
inline Listener ListenLocally(ListenOptions options = {}) {
  return Must(Listen(SocketAddress::Loopback(0), options));
}

// The test's own end of a connection to `address`, made with plain calls: it waits in the queue.
inline OwnedFd Dial(const SocketAddress& address) {
  return MakeConnection(address.data(), static_cast<socklen_t>(address.size()));
}

// "" at the end of the stream.
inline Task<absl::StatusOr<std::string>> ReadText(Stream& stream, size_t most = 1024) {
  GuardedBuffer buffer(most);
  const absl::StatusOr<size_t> count = co_await stream.Read(buffer.span());
  if (!count.ok()) co_return count.status();
  co_return std::string(buffer.text(*count));
}

// Lets the others run until `done`. A test whose other half never comes ends by its time limit.
template <class Done>
Task<void> YieldUntil(Done done) {
  while (!done()) co_await Yield();
}

}  // namespace plait

#endif  // PLAIT_IO_NET_NET_FIXTURE_H_
