// Opening a file: what the options say, and what cannot be opened.
#include <errno.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "plait/io/file/file_fixture.h"
#include "plait/io/file/open_file.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_executors.h"

namespace plait {
namespace {

INSTANTIATE_TEST_SUITE_P(AllExecutors, FileTest, testing::ValuesIn(AllExecutors()),
                         IoExecutor::Name);

TEST_P(FileTest, OptionsSayWhatBecomesOfAFileThatIsThereAndOfOneThatIsNot) {
  struct Case {
    const char* what;
    OpenOptions options;
    absl::StatusCode where_one_is;
    absl::StatusCode where_none_is;
    const char* content;  // afterwards, where one was
  };
  constexpr absl::StatusCode kOk = absl::StatusCode::kOk;
  constexpr absl::StatusCode kNotFound = absl::StatusCode::kNotFound;
  constexpr absl::StatusCode kExists = absl::StatusCode::kAlreadyExists;
  for (const Case& c : {
           Case{"none", {}, kOk, kNotFound, "old"},
           Case{"read", {.read = true}, kOk, kNotFound, "old"},
           Case{"write", {.write = true}, kOk, kNotFound, "old"},
           Case{"append", {.append = true}, kOk, kNotFound, "old"},
           Case{"create", {.write = true, .create = true}, kOk, kOk, "old"},
           Case{"create to append", {.append = true, .create = true}, kOk, kOk, "old"},
           Case{"truncate", {.write = true, .truncate = true}, kOk, kNotFound, ""},
           Case{"all",
                {.read = true, .write = true, .create = true, .truncate = true},
                kOk,
                kOk,
                ""},
           Case{"exclusive", {.write = true, .exclusive = true}, kExists, kOk, "old"},
           Case{"both", {.write = true, .create = true, .exclusive = true}, kExists, kOk, "old"},
       }) {
    SCOPED_TRACE(c.what);
    const TestFolder here;
    here.Write("old", "old");
    const auto open = [&](const char* name) {
      const auto body = [&, name]() -> Task<absl::Status> {
        const absl::StatusOr<File> file = co_await OpenFile(here / name, c.options);
        co_return file.status();
      };
      return RunTask(body);
    };
    EXPECT_EQ(open("old").code(), c.where_one_is);
    EXPECT_EQ(open("new").code(), c.where_none_is);
    EXPECT_EQ(here.Content("old"), c.content);
    EXPECT_EQ(PathExists(here / "new"), c.where_none_is == kOk);
  }
}

TEST_P(FileTest, OptionsThatContradictEachOtherAreRefused) {
  for (const OpenOptions& options : {
           OpenOptions{.truncate = true},
           OpenOptions{.read = true, .create = true},
           OpenOptions{.exclusive = true},
           OpenOptions{.append = true, .truncate = true},
           OpenOptions{.write = true, .append = true, .truncate = true},
       }) {
    const auto body = [&]() -> Task<absl::StatusOr<File>> {
      co_return co_await OpenFile(folder() / "new", options);
    };
    EXPECT_TRUE(
        IsError(RunTask(body).status(), absl::StatusCode::kInvalidArgument, folder() / "new"));
    EXPECT_FALSE(PathExists(folder() / "new"));
  }
}

TEST_P(FileTest, WhatIsMadeHasThePermissionsThatWereAskedForLessTheUmasks) {
  const mode_t mask = ::umask(022);
  const auto body = [&]() -> Task<absl::Status> {
    static_cast<void>(co_await OrReturn(OpenFile(folder() / "a", {.write = true, .create = true})));
    static_cast<void>(co_await OrReturn(
        OpenFile(folder() / "b", {.write = true, .create = true, .permissions = 0620})));
    co_return absl::OkStatus();
  };
  const absl::Status status = RunTask(body);
  ::umask(mask);
  ASSERT_TRUE(status.ok()) << status;
  struct stat a;
  struct stat b;
  ASSERT_EQ(::stat((folder() / "a").c_str(), &a), 0);
  ASSERT_EQ(::stat((folder() / "b").c_str(), &b), 0);
  EXPECT_EQ(a.st_mode & 0777U, 0644U);
  EXPECT_EQ(b.st_mode & 0777U, 0600U);
}

TEST_P(FileTest, APathThatCannotBeOpenedIsNamed) {
  using absl::StatusCode;
  folder().Write("file", "x");
  const OpenOptions write{.write = true, .create = true};
  struct Case {
    std::string path;
    OpenOptions options;
    StatusCode code;
    const char* words;
    std::string named = {};  // if it is not the path itself
  };
  for (const Case& c : {
           Case{"", {}, StatusCode::kInvalidArgument, "the path is empty"},
           Case{std::string("a\0b", 3), {}, StatusCode::kInvalidArgument, "NUL", "a\\x00\\x62"},
           Case{folder() / "none", {}, StatusCode::kNotFound, "ENOENT"},
           Case{folder() / "none/file", write, StatusCode::kNotFound, "ENOENT"},
           Case{folder() / "file/file", write, StatusCode::kFailedPrecondition, "ENOTDIR"},
           Case{folder().path(), write, StatusCode::kFailedPrecondition, "EISDIR"},
           Case{folder() / std::string(256, 'n'), {}, StatusCode::kInvalidArgument, "ENAMETOOLONG"},
           Case{folder() / "n\xC3\xB6ne", {}, StatusCode::kNotFound, "ENOENT"},
           Case{folder() / "none\n", {}, StatusCode::kNotFound, "ENOENT", folder() / "none\\n"},
       }) {
    const auto body = [&]() -> Task<absl::StatusOr<File>> {
      co_return co_await OpenFile(c.path, c.options);
    };
    EXPECT_TRUE(
        IsError(RunTask(body).status(), c.code, c.named.empty() ? c.path : c.named, c.words));
  }
}

TEST_P(FileTest, NoDescriptorLeftIsResourceExhausted) {
  folder().Write("file", "x");
  rlimit limit;
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  const auto body = [&]() -> Task<absl::StatusOr<File>> {
    co_await Yield();
    const rlimit none_left{.rlim_cur = 3, .rlim_max = limit.rlim_max};
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &none_left), 0);
    absl::StatusOr<File> opened = co_await OpenFile(folder() / "file");
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
    co_return std::move(opened);
  };
  EXPECT_TRUE(IsError(RunTask(body).status(), absl::StatusCode::kResourceExhausted,
                      folder() / "file", "EMFILE"));
}

}  // namespace
}  // namespace plait
