// FileTest: what the tests of this folder run on: each executor that waits for I/O, with threads
// for what blocks, and a folder.
#ifndef PLAIT_IO_FILE_FILE_FIXTURE_H_
#define PLAIT_IO_FILE_FILE_FIXTURE_H_

#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/task/spawn.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/testing/all_executors.h"
#include "plait/runtime/testing/test_folder.h"

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

// Of all executors a loop and a pool over each reactor: for tests that take long, of what is done
// as a whole on the threads for what blocks.
inline std::vector<IoExecutor> LoopsAndPoolsOfTwo() {
  std::vector<IoExecutor> some = AllExecutors();
  std::erase_if(some, [](const IoExecutor& executor) {
    return executor.threads != 0 && executor.threads != 2;
  });
  return some;
}

class FileTest : public IoTest {
 protected:
  FileTest() : IoTest(/*blocking_threads=*/4) {
    executor();  // what it has open is there before a test counts
  }
  // Before its folder goes.
  ~FileTest() override { EndExecutor(); }

  template <class T>
  T Do(Task<T> task) {
    return BlockOn(executor(), std::move(task));
  }

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

  // As IoTest's, of calls that an executor makes which is there already.
  class CallsInForce : public IoTest::CallsInForce {
   public:
    CallsInForce(FileTest& test, sys::SystemCalls& calls)
        : IoTest::CallsInForce(Ready(test), calls) {}

   private:
    static FileTest& Ready(FileTest& test) {
      test.executor();
      return test;
    }
  };

  const TestFolder& folder() const { return folder_; }

 private:
  TestFolder folder_;
};

}  // namespace plait

#endif  // PLAIT_IO_FILE_FILE_FIXTURE_H_
