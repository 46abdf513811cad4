// Traps: a cancel that races completion (of making, and of removing); a lambda coroutine that
// outlives its captures (RunTask keeps them).
#include "plait/io/file/temporary.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "gtest/gtest.h"
#include "plait/io/file/file_fixture.h"
#include "plait/io/file/file_system.h"
#include "plait/io/file/open_file.h"
#include "plait/io/file/whole_files.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_executors.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/runtime/testing/test_folder.h"

namespace plait {
namespace {

using absl::StatusCode;

class TemporaryTest : public IoTest {
 protected:
  TemporaryTest() : IoTest(/*blocking_threads=*/4) {
    executor();  // what it has open is there before a test counts
  }

  const TestFolder& folder() const { return folder_; }
  TemporaryOptions Here() const { return {.directory = folder().path()}; }

  template <class T>
  absl::StatusOr<T> Make(Task<absl::StatusOr<T>> task) {
    return BlockOn(executor(), std::move(task));
  }

 private:
  const TestFolder folder_;
};

uint32_t PermissionsOf(const std::string& path) {
  struct stat status = {};
  EXPECT_EQ(::stat(path.c_str(), &status), 0);
  return status.st_mode & 07777U;
}

TEST_P(TemporaryTest, AFileIsOpenToReadAndWriteForThisUserOnlyAndGoneAfterClose) {
  const int before = OpenDescriptors();
  const auto body = [&]() -> Task<absl::Status> {
    TemporaryFile temporary = co_await OrReturn(MakeTemporaryFile(Here()));
    EXPECT_EQ(folder().path() + "/" + folder().Names().at(0), temporary.path());
    EXPECT_TRUE(absl::StartsWith(folder().Names().at(0), "plait-"));
    EXPECT_EQ(temporary.file().path(), temporary.path());
    EXPECT_EQ(PermissionsOf(temporary.path()), 0600u);
    co_await OrReturn(temporary.file().WriteAllAt("content", 0));
    const std::string content = co_await OrReturn(temporary.file().ReadAll());
    EXPECT_EQ(content, "content");
    const std::string by_name = co_await OrReturn(ReadFile(temporary.path()));
    EXPECT_EQ(by_name, "content");
    co_await OrReturn(temporary.Close());
    EXPECT_FALSE(temporary.file().is_open());
    EXPECT_TRUE(folder().Names().empty());
    co_return co_await temporary.Close();
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
  EndExecutor();
  EXPECT_LE(OpenDescriptors(), before);
}

TEST_P(TemporaryTest, ADirectoryIsForThisUserOnlyAndGoneWithAllThatIsInIt) {
  const TemporaryOptions options{.directory = folder().path(), .prefix = "my "};
  const auto body = [&]() -> Task<absl::Status> {
    TemporaryDirectory work = co_await OrReturn(MakeTemporaryDirectory(options));
    EXPECT_EQ(folder().path() + "/" + folder().Names().at(0), work.path());
    EXPECT_TRUE(absl::StartsWith(folder().Names().at(0), "my "));
    EXPECT_EQ(PermissionsOf(work.path()), 0700u);
    co_await OrReturn(MakeDirectories(work.path() + "/a/b/c"));
    co_await OrReturn(WriteFile(work.path() + "/a/b/file", "x"));
    EXPECT_EQ(::symlink("/", (work.path() + "/root").c_str()), 0);
    co_await OrReturn(work.Close());
    EXPECT_TRUE(folder().Names().empty());
    co_return co_await work.Close();
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(TemporaryTest, OneThatIsDroppedInATaskIsGoneWhenTheExecutorEnds) {
  const int before = OpenDescriptors();
  const auto body = [&]() -> Task<absl::Status> {
    {
      TemporaryFile file = co_await OrReturn(MakeTemporaryFile(Here()));
      TemporaryDirectory directory = co_await OrReturn(MakeTemporaryDirectory(Here()));
      co_await OrReturn(WriteFile(directory.path() + "/file", "x"));
      EXPECT_EQ(folder().Names().size(), 2u);
    }
    // Without an await of its own it goes on.
    while (!folder().Names().empty()) co_await Yield();
    TemporaryDirectory last = co_await OrReturn(MakeTemporaryDirectory(Here()));
    co_return absl::OkStatus();
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
  EndExecutor();
  EXPECT_TRUE(folder().Names().empty());
  EXPECT_LE(OpenDescriptors(), before);
}

TEST_P(TemporaryTest, OneThatIsDroppedOutsideOfATaskIsGoneAtOnce) {
  {
    const absl::StatusOr<TemporaryFile> file = Make(MakeTemporaryFile(Here()));
    const absl::StatusOr<TemporaryDirectory> directory = Make(MakeTemporaryDirectory(Here()));
    ASSERT_TRUE(file.ok() && directory.ok()) << file.status() << directory.status();
    folder().Write(directory->path().substr(folder().path().size() + 1) + "/file", "x");
    EXPECT_EQ(folder().Names().size(), 2u);
  }
  EXPECT_TRUE(folder().Names().empty());
}

TEST_P(TemporaryTest, OneThatOutlivesItsExecutorIsGoneInTheEnd) {
  const int before = OpenDescriptors();
  {
    const absl::StatusOr<TemporaryFile> file = Make(MakeTemporaryFile(Here()));
    ASSERT_TRUE(file.ok()) << file.status();
    EndExecutor();
    EXPECT_EQ(folder().Names().size(), 1u);
  }
  EXPECT_TRUE(folder().Names().empty());
  EXPECT_LT(OpenDescriptors(), before);
}

TEST_P(TemporaryTest, OneThatIsKeptStays) {
  std::string file_path;
  std::string directory_path;
  const auto body = [&]() -> Task<absl::Status> {
    TemporaryFile file = co_await OrReturn(MakeTemporaryFile(Here()));
    TemporaryFile closed = co_await OrReturn(MakeTemporaryFile(Here()));
    TemporaryDirectory directory = co_await OrReturn(MakeTemporaryDirectory(Here()));
    file_path = file.path();
    directory_path = directory.path();
    co_await OrReturn(file.file().WriteAll("kept"));
    file.Keep();
    directory.Keep();
    closed.Keep();
    co_await OrReturn(closed.Close());
    EXPECT_FALSE(closed.file().is_open());
    EXPECT_TRUE(PathExists(closed.path()));
    co_return absl::OkStatus();
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
  EndExecutor();
  EXPECT_EQ(folder().Names().size(), 3u);
  EXPECT_EQ(folder().Content(file_path.substr(folder().path().size() + 1)), "kept");
  EXPECT_TRUE(PathExists(directory_path));
}

TEST_P(TemporaryTest, OneThatMovesIsRemovedOnceAndOneThatIsReplacedIsRemovedToo) {
  const auto body = [&]() -> Task<absl::Status> {
    std::optional<TemporaryDirectory> first = co_await OrReturn(MakeTemporaryDirectory(Here()));
    TemporaryDirectory second = std::move(*first);
    first.reset();
    for (int i = 0; i < 10; ++i) co_await Yield();
    EXPECT_TRUE(PathExists(second.path())) << "it is the second's now";
    TemporaryFile file = co_await OrReturn(MakeTemporaryFile(Here()));
    const std::string replaced = file.path();
    file = co_await OrReturn(MakeTemporaryFile(Here()));
    EXPECT_TRUE(file.file().is_open());
    while (PathExists(replaced)) co_await Yield();
    EXPECT_TRUE(PathExists(file.path()));
    co_await OrReturn(second.Close());
    co_return co_await file.Close();
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
  EndExecutor();
  EXPECT_TRUE(folder().Names().empty());
}

TEST_P(TemporaryTest, AHundredAtOnceHaveAHundredNames) {
  const auto body = [&]() -> Task<absl::Status> {
    std::vector<Task<absl::StatusOr<TemporaryFile>>> making;
    for (int i = 0; i < 100; ++i) making.push_back(MakeTemporaryFile(Here()));
    std::vector<TemporaryFile> files = co_await OrReturn(Gather(std::move(making)));
    std::set<std::string> names;
    for (const TemporaryFile& file : files) names.insert(file.path());
    EXPECT_EQ(names.size(), 100u);
    EXPECT_EQ(folder().Names().size(), 100u);
    co_return absl::OkStatus();
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
  EndExecutor();
  EXPECT_TRUE(folder().Names().empty());
}

TEST_P(TemporaryTest, TheEnvironmentSaysWhereTheyAreMadeUnlessTheOptionsDo) {
  const char* const variable = ::getenv("TMPDIR");
  const std::optional<std::string> before =
      variable == nullptr ? std::nullopt : std::optional<std::string>(variable);
  ASSERT_EQ(::setenv("TMPDIR", folder().path().c_str(), 1), 0);
  const absl::StatusOr<TemporaryFile> here = Make(MakeTemporaryFile());
  EXPECT_TRUE(here.ok() && absl::StartsWith(here->path(), folder() / "plait-")) << here.status();
  for (const bool empty : {true, false}) {
    ASSERT_EQ(empty ? ::setenv("TMPDIR", "", 1) : ::unsetenv("TMPDIR"), 0);
    const absl::StatusOr<TemporaryDirectory> usual = Make(MakeTemporaryDirectory());
    EXPECT_TRUE(usual.ok() && absl::StartsWith(usual->path(), "/tmp/plait-")) << usual.status();
  }
  if (before.has_value()) ::setenv("TMPDIR", before->c_str(), 1);
}

TEST_P(TemporaryTest, WhereNothingCanBeMadeThePathIsNamed) {
  const std::string file = folder().Write("file", "x");
  struct Case {
    TemporaryOptions options;
    StatusCode code;
    std::string named;
  };
  for (const Case& c : {
           Case{{.directory = folder() / "none"},
                StatusCode::kNotFound,
                folder() / "none/plait-XXXXXX"},
           Case{{.directory = folder().path(), .prefix = "a/b"},
                StatusCode::kNotFound,
                folder() / "a/bXXXXXX"},
           Case{{.directory = file}, StatusCode::kFailedPrecondition, file + "/plait-XXXXXX"},
           Case{{.directory = std::string("a\0b", 3)},
                StatusCode::kInvalidArgument,
                "a\\x00\\x62/plait-XXXXXX"},
       }) {
    const absl::Status no_file = Make(MakeTemporaryFile(c.options)).status();
    EXPECT_TRUE(IsError(no_file, c.code, c.named, "make temporary file"));
    const absl::Status no_directory = Make(MakeTemporaryDirectory(c.options)).status();
    EXPECT_TRUE(IsError(no_directory, c.code, c.named, "make temporary directory"));
  }
  EXPECT_EQ(folder().Names(), std::vector<std::string>{"file"});
}

TEST_P(TemporaryTest, OneThatIsGoneAlreadyIsNotFoundByClose) {
  const auto body = [&]() -> Task<absl::Status> {
    TemporaryFile file = co_await OrReturn(MakeTemporaryFile(Here()));
    TemporaryDirectory directory = co_await OrReturn(MakeTemporaryDirectory(Here()));
    co_await OrReturn(Remove(file.path()));
    co_await OrReturn(RemoveDirectory(directory.path()));
    // It has no name any more, but is there.
    co_await OrReturn(file.file().WriteAllAt("content", 0));
    const std::string content = co_await OrReturn(file.file().ReadAll());
    EXPECT_EQ(content, "content");
    EXPECT_TRUE(folder().Names().empty());
    const absl::Status file_closed = co_await file.Close();
    EXPECT_TRUE(IsError(file_closed, StatusCode::kNotFound, file.path(), "remove"));
    EXPECT_FALSE(file.file().is_open());
    const absl::Status directory_closed = co_await directory.Close();
    EXPECT_TRUE(IsError(directory_closed, StatusCode::kNotFound, directory.path(), "remove"));
    // Said once.
    co_return co_await file.Close();
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(TemporaryTest, CloseIsNotCancelled) {
  const auto child = [&]() -> Task<absl::Status> {
    TemporaryFile file = co_await OrReturn(MakeTemporaryFile(Here()));
    TemporaryDirectory directory = co_await OrReturn(MakeTemporaryDirectory(Here()));
    while (!CurrentStopToken().stop_requested()) co_await Yield();
    const absl::Status file_closed = co_await file.Close();
    const absl::Status directory_closed = co_await directory.Close();
    EXPECT_TRUE(folder().Names().empty());
    co_return file_closed.ok() ? directory_closed : file_closed;
  };
  const auto body = [&]() -> Task<absl::Status> {
    JoinHandle<absl::Status> running = Spawn(child());
    while (folder().Names().size() < 2) co_await Yield();
    running.Cancel();
    co_return co_await running;
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(TemporaryTest, ACancelAtAnyMomentLeavesNothing) {
  const int before = OpenDescriptors();
  const auto child = [&]() -> Task<absl::Status> {
    TemporaryDirectory directory = co_await OrReturn(MakeTemporaryDirectory(Here()));
    TemporaryOptions inside;
    inside.directory = directory.path();
    TemporaryFile file = co_await OrReturn(MakeTemporaryFile(inside));
    co_await OrReturn(file.file().WriteAll("x"));
    co_await OrReturn(file.Close());
    co_return co_await directory.Close();
  };
  const auto body = [&]() -> Task<absl::Status> {
    for (int moment = 0; moment < 100; ++moment) {
      JoinHandle<absl::Status> running = Spawn(child());
      for (int i = 0; i < moment; ++i) co_await Yield();
      running.Cancel();
      const absl::Status ended = co_await running;
      EXPECT_TRUE(ended.ok() || absl::IsCancelled(ended)) << ended;
    }
    co_return absl::OkStatus();
  };
  EXPECT_TRUE(RunTask(body).ok());
  EndExecutor();
  EXPECT_TRUE(folder().Names().empty());
  EXPECT_LE(OpenDescriptors(), before);
}

INSTANTIATE_TEST_SUITE_P(AllExecutors, TemporaryTest, testing::ValuesIn(AllExecutors()),
                         IoExecutor::Name);

}  // namespace
}  // namespace plait
