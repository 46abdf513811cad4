// Files on executors over reactors that were given nothing: what blocks runs on the executor's own
// threads for that, wherever the reactor has no better way.
#include <fcntl.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "plait/io/epoll/epoll_reactor.h"
#include "plait/io/file/open_file.h"
#include "plait/io/file/whole_files.h"
#include "plait/io/io_uring/io_uring_reactor.h"
#include "plait/io/net/stream.h"
#include "plait/io/ops/owned_descriptor.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_executors.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/test_folder.h"
#include "plait/schedulers/work_stealing/work_stealing_pool.h"

namespace plait {
namespace {

Task<absl::StatusOr<std::string>> UseFiles(std::string path) {
  co_await OrReturn(WriteFile(path, "one "));
  co_await OrReturn(AppendToFile(path, "two"));
  File file = co_await OrReturn(OpenFile(path, {.write = true}));
  co_await OrReturn(file.Sync());
  co_await OrReturn(file.Close());
  co_return co_await ReadFile(path);
}

class PlainReactorsTest : public testing::TestWithParam<IoExecutor> {
 protected:
  TestFolder folder_;
};

TEST_P(PlainReactorsTest, FilesAreReadAndWritten) {
  const std::unique_ptr<Executor> executor = GetParam().Make();
  const absl::StatusOr<std::string> read = BlockOn(*executor, UseFiles(folder_ / "file"));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, "one two");
}

TEST_P(PlainReactorsTest, ManyTasksUseThemAndTheExecutorIsClosedMeanwhile) {
  for (int i = 0; i < 5; ++i) {
    const std::unique_ptr<Executor> executor = GetParam().Make();
    for (int task = 0; task < 20; ++task) {
      Spawn(UseFiles(folder_ / absl::StrCat("file", task)), {.executor = executor.get()});
    }
    const auto first = [](std::string path) -> Task<absl::Status> {
      co_return (co_await UseFiles(std::move(path))).status();
    };
    const absl::Status used = BlockOn(*executor, first(folder_ / "first"));
    EXPECT_TRUE(used.ok()) << used;
  }
}

// Piece by piece, in the background, to its executor's end.
TEST_P(PlainReactorsTest, AStreamThatStillWritesToAFileMayOutliveItsExecutor) {
  const std::string piece(64 << 10, 'x');
  for (int i = 0; i < Repeats(20); ++i) {
    std::unique_ptr<Executor> executor = GetParam().Make();
    Stream stream(io::OwnedDescriptor(
        ::open((folder_ / "out").c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600)));
    stream.set_high_water_mark(16 * piece.size());
    const auto body = [&]() -> Task<absl::Status> {
      for (int k = 0; k < 8; ++k) co_await OrReturn(stream.Write(piece));
      co_return absl::OkStatus();
    };
    const absl::Status wrote = BlockOn(*executor, body());
    EXPECT_TRUE(wrote.ok()) << wrote;
    executor = nullptr;
    EXPECT_EQ(stream.unsent(), 0u) << "nobody writes it any more";
  }
}

INSTANTIATE_TEST_SUITE_P(Executors, PlainReactorsTest, testing::ValuesIn(AllExecutors()),
                         IoExecutor::Name);

TEST(ReactorFactoriesTest, MakeOneForEachThread) {
  const TestFolder folder;
  WorkStealingPool over_epoll({.threads = 2, .reactor = EpollReactorFactory()});
  WorkStealingPool over_io_uring({.threads = 2, .reactor = IoUringReactorFactory()});
  for (WorkStealingPool* pool : {&over_epoll, &over_io_uring}) {
    const absl::StatusOr<std::string> read = BlockOn(*pool, UseFiles(folder / "file"));
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(*read, "one two");
  }
}

TEST(ReactorFactoriesTest, GiveTheirOptionsToEach) {
  const absl::StatusOr<std::unique_ptr<WorkStealingPool>> pool =
      WorkStealingPool::Create({.threads = 2, .reactor = IoUringReactorFactory({.entries = 3})});
  EXPECT_TRUE(absl::IsInvalidArgument(pool.status())) << pool.status();
}

}  // namespace
}  // namespace plait
