// What the tests of processes share: a loop over the reactor under test, and shell scripts as
// children.
#ifndef PLAIT_IO_PROCESS_PROCESS_FIXTURE_H_
#define PLAIT_IO_PROCESS_PROCESS_FIXTURE_H_

#include <string>

#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "plait/io/process/process.h"
#include "plait/runtime/task/spawn.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/runtime/testing/reactor_factory.h"
#include "plait/schedulers/event_loop/event_loop.h"

namespace plait {

// How often to do what is slow, fewer times under a sanitizer.
int Rounds(int rounds);

// `sh -c script` with pipes to and from its standard input and output, in a group of its own where
// asked for; a failure to start it ends the test program.
Process StartScript(const std::string& script, bool own_group = false);

// co_await: a part of what there is to read, empty at the end; the next line, without its end.
Task<absl::StatusOr<std::string>> ReadSome(io::OwnedDescriptor& pipe);
Task<absl::StatusOr<std::string>> ReadLine(io::OwnedDescriptor& pipe);
Task<absl::Status> WriteSome(io::OwnedDescriptor& pipe, std::string text);

// co_await: until this process has no children, which something in the background sees to.
Task<void> UntilNoChildren();

class ProcessFixture : public testing::TestWithParam<ReactorFactory> {
 protected:
  ~ProcessFixture() override {
    const absl::Status closed = loop_.Close();
    EXPECT_TRUE(closed.ok()) << closed;
    EXPECT_FALSE(HasChildren()) << "a child was left behind";
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

}  // namespace plait

#endif  // PLAIT_IO_PROCESS_PROCESS_FIXTURE_H_
