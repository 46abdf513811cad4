// FileTest: what the tests of this folder run on: a loop over each reactor there is, and a folder.
#ifndef PLAIT_IO_FILE_FILE_FIXTURE_H_
#define PLAIT_IO_FILE_FILE_FIXTURE_H_

#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/task/spawn.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/testing/reactor_factory.h"
#include "plait/runtime/testing/test_folder.h"
#include "plait/runtime/testing/thread_executor.h"
#include "plait/schedulers/event_loop/event_loop.h"

namespace plait {

// `status` is an error of the kind `code` that names `path` and says `words`.
inline testing::AssertionResult IsError(const absl::Status& status, absl::StatusCode code,
                                        absl::string_view path, absl::string_view words = "") {
  if (status.code() == code &&
      absl::StrContains(status.message(), absl::StrCat("\"", path, "\"")) &&
      absl::StrContains(status.message(), words)) {
    return testing::AssertionSuccess();
  }
  return testing::AssertionFailure() << status << " is not " << absl::StatusCodeToString(code)
                                     << " with \"" << path << "\" and: " << words;
}

class FileTest : public testing::TestWithParam<ReactorFactory> {
 protected:
  FileTest() : loop_(MakeLoop(GetParam())) {}

  std::unique_ptr<EventLoop> MakeLoop(const ReactorFactory& factory) {
    return std::make_unique<EventLoop>(factory.make(&blocking_),
                                       EventLoopOptions{.blocking = &blocking_});
  }
  EventLoop& loop() { return *loop_; }
  void EndLoop() { loop_ = nullptr; }
  // Where Offload's functions run, and what the reactor has no better way for.
  ThreadExecutor& blocking() { return blocking_; }

  // Runs the coroutine that `body` makes on `loop` and gives its result; `body` lives until then,
  // so it may be a lambda with captures.
  template <class Body>
  auto RunOn(EventLoop& loop, Body body) {
    return BlockOn(loop, body());
  }
  template <class Body>
  auto RunTask(Body body) {
    return RunOn(loop(), std::move(body));
  }

  absl::Status Do(Task<absl::Status> task) { return BlockOn(loop(), std::move(task)); }

  std::string MakeFolder(absl::string_view name, mode_t permissions = 0700) const {
    const std::string path = folder() / name;
    EXPECT_EQ(::mkdir(path.c_str(), 0700), 0);
    EXPECT_EQ(::chmod(path.c_str(), permissions), 0);
    return path;
  }
  std::string Link(const std::string& target, absl::string_view name) const {
    const std::string path = folder() / name;
    EXPECT_EQ(::symlink(target.c_str(), path.c_str()), 0);
    return path;
  }

  // `calls` is in force while this lives; then the blocking threads, too, are done with it: they
  // may be inside a call of theirs when its result is there already.
  class CallsInForce {
   public:
    CallsInForce(FileTest& test, sys::SystemCalls& calls)
        : test_(test), scope_(std::in_place, calls) {}
    ~CallsInForce() {
      scope_.reset();
      test_.blocking_.Settle();
    }

   private:
    FileTest& test_;
    std::optional<sys::ScopedSystemCalls> scope_;
  };

  const TestFolder& folder() const { return folder_; }

 private:
  TestFolder folder_;
  ThreadExecutor blocking_{4};
  std::unique_ptr<EventLoop> loop_;
};

}  // namespace plait

#endif  // PLAIT_IO_FILE_FILE_FIXTURE_H_
