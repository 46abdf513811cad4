// ReactorTaskSuite: files by name. Traps: cancel that races completion.
#include <fcntl.h>
#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "plait/io/ops/operations.h"
#include "plait/io/system/file_status.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/reactor_task_suite.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/task_programs.h"
#include "plait/runtime/testing/test_folder.h"

namespace plait {
namespace {

TEST_P(ReactorTaskSuite, TasksOpenNameAndRemoveFiles) {
  const TestFolder folder;
  const std::string made = folder / "made";
  const std::string path = folder / "made/file";
  const std::string moved = folder / "made/moved";
  const auto body = [&]() -> Task<absl::Status> {
    co_await OrReturn(io::MakeDirectory(made.c_str()));
    const int fd = co_await OrReturn(io::Open(path.c_str(), O_CREAT | O_RDWR));
    co_await OrReturn(io::WriteAt(fd, absl::MakeConstSpan("hello", 5), 0));
    co_await OrReturn(io::Sync(fd));
    co_await OrReturn(io::Sync(fd, /*data_only=*/true));
    sys::RawFileStatus raw;
    co_await OrReturn(io::Status(fd, &raw));
    EXPECT_EQ(sys::Decode(raw).size, 5u);
    co_await OrReturn(io::Close(fd));
    co_await OrReturn(io::Rename(path.c_str(), moved.c_str()));
    co_await OrReturn(io::Status(moved.c_str(), &raw));
    EXPECT_EQ(sys::Decode(raw).kind, FileKind::kRegular);
    co_await OrReturn(io::Unlink(moved.c_str()));
    co_await OrReturn(io::RemoveDirectory(made.c_str()));
    co_return absl::OkStatus();
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_FALSE(PathExists(made));
}

TEST_P(ReactorTaskSuite, AFileOperationThatFailedNamesItselfAndThePath) {
  const TestFolder folder;
  const std::string path = folder / "none";
  const auto body = [&]() -> Task<void> {
    sys::RawFileStatus raw;
    const absl::StatusOr<int> opened = co_await io::Open(path.c_str(), O_RDONLY);
    const absl::Status status = co_await io::Status(path.c_str(), &raw);
    const absl::Status renamed = co_await io::Rename(path.c_str(), (path + "2").c_str());
    const absl::Status unlinked = co_await io::Unlink(path.c_str());
    const absl::Status removed = co_await io::RemoveDirectory(path.c_str());
    for (const auto& [what, got] :
         std::vector<std::pair<const char*, absl::Status>>{{"open", opened.status()},
                                                           {"stat", status},
                                                           {"rename", renamed},
                                                           {"unlink", unlinked},
                                                           {"unlink", removed}}) {
      EXPECT_TRUE(absl::IsNotFound(got)) << got;
      EXPECT_TRUE(absl::StrContains(got.message(), absl::StrCat(what, " \"", path, "\"")))
          << got.message();
    }
  };
  RunTask(body);
}

TEST_P(ReactorTaskSuite, ATaskThatWasCancelledBeforeItOpensDoesNotOpen) {
  const TestFolder folder;
  const std::string path = folder / "new";
  const auto child = [&](Future<void> go) -> Task<absl::Status> {
    const absl::Status told = co_await Uncancellable(go);
    EXPECT_TRUE(told.ok()) << told;
    const absl::StatusOr<int> opened = co_await io::Open(path.c_str(), O_CREAT | O_RDWR);
    co_return opened.status();
  };
  const auto body = [&]() -> Task<absl::Status> {
    Promise<void> go;
    JoinHandle<absl::Status> handle = Spawn(child(go.future()));
    co_await testing_programs::Turns(1);
    handle.Cancel();
    go.Set();
    co_return co_await handle;
  };
  EXPECT_TRUE(absl::IsCancelled(RunTask(body)));
  EXPECT_FALSE(PathExists(path));
}

TEST_P(ReactorTaskSuite, ACancelFromAnotherThreadRacesAFileOperation) {
  const TestFolder folder;
  const std::string path = folder / "made";
  for (int i = 0; i < Repeats(200); ++i) {
    absl::Notification begun;
    JoinHandle<absl::Status> handle;
    const auto child = [&]() -> Task<absl::Status> {
      begun.Notify();
      co_return co_await io::MakeDirectory(path.c_str());
    };
    const auto body = [&]() -> Task<absl::Status> {
      handle = Spawn(child());
      Thread canceller = StartThread("canceller", [&] {
        begun.WaitForNotification();
        handle.Cancel();
      });
      absl::Status status = co_await handle;
      canceller.join();
      co_return status;
    };
    const absl::Status status = RunTask(body);
    ASSERT_TRUE(status.ok() || absl::IsCancelled(status)) << status;
    ASSERT_EQ(PathExists(path), status.ok());
    if (status.ok()) {
      ASSERT_EQ(::rmdir(path.c_str()), 0);
    }
  }
}

}  // namespace
}  // namespace plait
