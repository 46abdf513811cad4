// What the tests of processes share: every executor there is, and shell scripts as children.
#ifndef PLAIT_IO_PROCESS_PROCESS_FIXTURE_H_
#define PLAIT_IO_PROCESS_PROCESS_FIXTURE_H_

#include <string>

#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "plait/io/process/process.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/testing/all_executors.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/runtime/testing/repeats.h"

namespace plait {

// How often to do what is slow, fewer times under a sanitizer.
Share Rounds(int rounds);

// `sh -c script` with pipes to and from its standard input and output, in a group of its own where
// asked for; a failure to start it ends the test program.
Process StartScript(const std::string& script, bool own_group = false);

// co_await: a part of what there is to read, empty at the end; the next line, without its end.
Task<absl::StatusOr<std::string>> ReadSome(io::OwnedDescriptor& pipe);
Task<absl::StatusOr<std::string>> ReadLine(io::OwnedDescriptor& pipe);
Task<absl::Status> WriteSome(io::OwnedDescriptor& pipe, std::string text);

// co_await: until this process has no children, which something in the background sees to.
Task<void> UntilNoChildren();

class ProcessFixture : public IoTest {
 protected:
  ~ProcessFixture() override {
    EndExecutor();
    EXPECT_FALSE(HasChildren()) << "a child was left behind";
  }
};

}  // namespace plait

#endif  // PLAIT_IO_PROCESS_PROCESS_FIXTURE_H_
