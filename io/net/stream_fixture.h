// StreamLoopTest: what those tests of streams run on that need a loop: one over each reactor there
// is.
#ifndef PLAIT_IO_NET_STREAM_FIXTURE_H_
#define PLAIT_IO_NET_STREAM_FIXTURE_H_

#include <utility>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "plait/io/net/stream.h"
#include "plait/io/ops/owned_descriptor.h"
#include "plait/runtime/task/spawn.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/runtime/testing/reactor_factory.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/schedulers/event_loop/event_loop.h"

namespace plait {

class StreamLoopTest : public testing::TestWithParam<ReactorFactory> {
 protected:
  ~StreamLoopTest() override {
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

 private:
  EventLoop loop_{GetParam().make(nullptr)};
};

// A connection of which the kernel keeps little.
inline FdPair MakeSmallTcpPair() {
  FdPair pair = MakeTcpPair();
  SetBufferSizes(pair.first.get(), 16 << 10);
  SetBufferSizes(pair.second.get(), 16 << 10);
  return pair;
}

// Takes one end, the other being the test's own.
inline Stream MakeStream(OwnedFd& end) { return Stream(io::OwnedDescriptor(end.Release())); }

}  // namespace plait

#endif  // PLAIT_IO_NET_STREAM_FIXTURE_H_
