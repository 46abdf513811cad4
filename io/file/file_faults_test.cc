// Every system call that files make, failing at every place and in every way that its manual page
// lists, on every executor: see io/system/fault_matrix.h.
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "plait/io/file/file.h"
#include "plait/io/system/fault_injection.h"
#include "plait/io/system/fault_matrix.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_executors.h"
#include "plait/runtime/testing/executor_under_faults.h"
#include "plait/runtime/testing/test_folder.h"

namespace plait {
namespace {

using sys::ArmFaults;
using sys::FaultInjection;
using sys::RunFaultMatrix;

using FileFaultsTest = testing::TestWithParam<IoExecutor>;

INSTANTIATE_TEST_SUITE_P(AllExecutors, FileFaultsTest, testing::ValuesIn(ExecutorsUnderFaults()),
                         IoExecutor::Name);

TEST_P(FileFaultsTest, AFileThatIsOpen) {
  const auto scenario = [&](const ArmFaults& arm) -> absl::Status {
    const TestFolder folder;
    const std::string path = folder.Write("file", "one\n");
    const auto body = [&]() -> Task<absl::Status> {
      File file = co_await OrReturn(OpenFile(path, {.read = true, .write = true}));
      const std::string before = co_await OrReturn(file.ReadAll());
      EXPECT_EQ(before, "one\n");
      co_await OrReturn(file.WriteAll("two\nthree\n"));
      co_await OrReturn(file.Sync());
      co_await OrReturn(file.DropCache());
      co_await OrReturn(file.Truncate(8));
      const FileStatus status = co_await OrReturn(file.Status());
      EXPECT_EQ(status.size, 8u);
      co_return co_await file.Close();
    };
    const absl::Status status = RunUnderFaults(GetParam(), arm, body);
    if (status.ok()) {
      EXPECT_EQ(folder.Content("file"), "one\ntwo\n");
    }
    return status;
  };
  RunFaultMatrix({.reaches = {FaultInjection::kOpen, FaultInjection::kSync,
                              FaultInjection::kDropCache, FaultInjection::kTruncate},
                  .left_out = LeftOutOf(GetParam())},
                 scenario);
}

TEST_P(FileFaultsTest, LinesOfAFile) {
  const auto scenario = [&](const ArmFaults& arm) -> absl::Status {
    const TestFolder folder;
    const std::string path = folder.Write("file", "one\ntwo\n");
    const auto body = [&]() -> Task<absl::Status> {
      std::vector<std::string> found;
      AsyncGenerator<absl::StatusOr<std::string>> lines = ReadLines(path);
      for (;;) {
        std::optional<absl::StatusOr<std::string>> line = co_await lines.Next();
        if (!line.has_value()) break;
        if (!line->ok()) co_return line->status();
        found.push_back(**line);
      }
      const std::vector<std::string> expected = {"one", "two"};
      EXPECT_EQ(found, expected);
      co_return absl::OkStatus();
    };
    return RunUnderFaults(GetParam(), arm, body);
  };
  RunFaultMatrix({.reaches = {FaultInjection::kOpen, FaultInjection::kClose},
                  .left_out = LeftOutOf(GetParam())},
                 scenario);
}

// Whatever fails, the file holds what it did or what it was to hold, and nothing is left beside it.
TEST_P(FileFaultsTest, AFileThatIsReplacedWhole) {
  const auto scenario = [&](const ArmFaults& arm) -> absl::Status {
    const TestFolder folder;
    const std::string path = folder.Write("file", "before");
    const auto body = [&]() -> Task<absl::Status> {
      co_return co_await WriteFileAtomically(path, "after");
    };
    const absl::Status status = RunUnderFaults(GetParam(), arm, body);
    const std::string content = folder.Content("file");
    EXPECT_TRUE(content == "after" || (content == "before" && !status.ok())) << content;
    return status;
  };
  RunFaultMatrix({.reaches = {FaultInjection::kRename, FaultInjection::kSync},
                  .left_out = LeftOutOf(GetParam())},
                 scenario);
}

TEST_P(FileFaultsTest, DirectoriesAndWhatIsInThem) {
  const auto scenario = [&](const ArmFaults& arm) -> absl::Status {
    const TestFolder folder;
    const std::string top = folder / "top";
    const std::string file = top + "/below/file";
    const std::string other = top + "/below/other";
    const auto body = [&]() -> Task<absl::Status> {
      co_await OrReturn(MakeDirectories(top + "/below"));
      co_await OrReturn(WriteFile(file, "hello"));
      co_await OrReturn(AppendToFile(file, " world"));
      const std::string content = co_await OrReturn(ReadFile(file));
      EXPECT_EQ(content, "hello world");
      co_await OrReturn(Rename(file, other));
      const FileStatus status = co_await OrReturn(StatusOf(other));
      EXPECT_EQ(status.size, 11u);
      const std::vector<DirectoryEntry> entries = co_await OrReturn(ListDirectory(top + "/below"));
      EXPECT_EQ(entries.size(), 1u);
      co_return co_await RemoveTree(top);
    };
    return RunUnderFaults(GetParam(), arm, body);
  };
  RunFaultMatrix(
      {.reaches = {FaultInjection::kMakeDirectory, FaultInjection::kRename, FaultInjection::kStatus,
                   FaultInjection::kListDirectory, FaultInjection::kUnlink},
       .left_out = LeftOutOf(GetParam())},
      scenario);
}

TEST_P(FileFaultsTest, ATemporaryFileInATemporaryDirectory) {
  const auto scenario = [&](const ArmFaults& arm) -> absl::Status {
    const TestFolder folder;
    TemporaryOptions options;
    options.directory = folder.path();
    const auto body = [&]() -> Task<absl::Status> {
      TemporaryDirectory directory = co_await OrReturn(MakeTemporaryDirectory(options));
      TemporaryOptions below;
      below.directory = directory.path();
      TemporaryFile file = co_await OrReturn(MakeTemporaryFile(below));
      co_await OrReturn(file.file().WriteAll("hello"));
      co_await OrReturn(file.Close());
      co_return co_await directory.Close();
    };
    return RunUnderFaults(GetParam(), arm, body);
  };
  RunFaultMatrix({.reaches = {FaultInjection::kMakeTemporaryFile,
                              FaultInjection::kMakeTemporaryDirectory, FaultInjection::kUnlink},
                  .left_out = LeftOutOf(GetParam())},
                 scenario);
}

}  // namespace
}  // namespace plait
