// Traps: a cancel that races completion (of writes that replace a file, at every moment); a
// reference parameter of a lazy task (paths and data are given as temporaries).
#include "plait/io/file/whole_files.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "plait/io/file/file_fixture.h"
#include "plait/io/file/file_system.h"
#include "plait/io/file/lines.h"
#include "plait/io/file/open_file.h"
#include "plait/io/system/fault_injection.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/core/io_operation.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_executors.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/runtime/testing/test_folder.h"
#include "plait/runtime/testing/thread_executor.h"

namespace plait {
namespace {

using absl::StatusCode;
using sys::FaultInjection;
using Names = std::vector<std::string>;

class WholeFilesTest : public FileTest {
 protected:
  struct stat StatOf(absl::string_view name) const {
    struct stat status = {};
    EXPECT_EQ(::lstat((folder() / name).c_str(), &status), 0);
    return status;
  }
};

// --- reading ---

TEST_P(WholeFilesTest, WhatIsWrittenIsReadWhateverItsSize) {
  constexpr size_t kMebi = 1 << 20;
  const std::string path = folder() / "file";
  for (const size_t size : {size_t{0}, size_t{1}, size_t{4095}, size_t{4096}, size_t{65536},
                            kMebi - 1, kMebi, kMebi + 1, 3 * kMebi + 7}) {
    SCOPED_TRACE(size);
    const std::string content = Pattern(size, static_cast<unsigned>(size));
    const absl::Status written = Do(WriteFile(path, content));
    ASSERT_TRUE(written.ok()) << written;
    EXPECT_TRUE(folder().Content("file") == content);
    const absl::StatusOr<std::string> read = Do(ReadFile(path));
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_TRUE(*read == content);
  }
}

TEST_P(WholeFilesTest, WhatTheSystemMakesUpAndSaysToBeEmptyIsReadWhole) {
  const absl::StatusOr<std::string> status = Do(ReadFile("/proc/self/status"));
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_TRUE(absl::StrContains(*status, absl::StrCat("Pid:\t", ::getpid())));
  const absl::StatusOr<std::string> environment = Do(ReadFile("/proc/self/environ"));
  ASSERT_TRUE(environment.ok()) << environment.status();
  EXPECT_TRUE(absl::StrContains(*environment, "PATH="));
  // More than one piece of it.
  const absl::StatusOr<std::string> symbols = Do(ReadFile("/proc/kallsyms"));
  ASSERT_TRUE(symbols.ok()) << symbols.status();
  EXPECT_GT(symbols->size(), 100'000u);
  EXPECT_TRUE(IsError(Do(ReadFile("/proc/self/status", 10)).status(),
                      StatusCode::kResourceExhausted, "/proc/self/status", "more than 10 bytes"));
}

TEST_P(WholeFilesTest, ALimitHoldsAndIsNotMetByAFileOfJustThatSize) {
  const std::string path = folder().Write("file", Pattern(100'000));
  const absl::StatusOr<std::string> exact = Do(ReadFile(path, 100'000));
  ASSERT_TRUE(exact.ok()) << exact.status();
  EXPECT_TRUE(*exact == Pattern(100'000));
  for (const size_t limit : {0, 1, 99'999}) {
    EXPECT_TRUE(IsError(Do(ReadFile(path, limit)).status(), StatusCode::kResourceExhausted, path,
                        absl::StrCat("more than ", limit, " bytes")));
  }
  folder().Write("empty", "");
  EXPECT_EQ(*Do(ReadFile(folder() / "empty", 0)), "");
}

TEST_P(WholeFilesTest, AFileWithoutAnEndIsReadUpToItsLimit) {
  EXPECT_TRUE(IsError(Do(ReadFile("/dev/zero", 10'000'000)).status(),
                      StatusCode::kResourceExhausted, "/dev/zero", "more than 10000000 bytes"));
}

// Calls `before` with the first read of a file, when its size is known already.
class BeforeFirstRead final : public sys::SystemCalls {
 public:
  explicit BeforeFirstRead(std::function<void()> before) : before_(std::move(before)) {}

  ssize_t Read(int fd, void* data, size_t size) noexcept override {
    Call(fd);
    return SystemCalls::Read(fd, data, size);
  }
  int BeforeOperation(const IoOperation& operation, bool, size_t*) noexcept override {
    if (operation.opcode == IoOpcode::kRead) Call(operation.fd);
    return 0;
  }

 private:
  // Reactors read from descriptors of their own, on any thread.
  void Call(int fd) {
    struct stat status = {};
    if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) return;
    if (before_) std::exchange(before_, nullptr)();
  }

  std::function<void()> before_;
};

TEST_P(WholeFilesTest, AFileThatGrowsWhileItIsReadIsReadToItsNewEnd) {
  for (const size_t size : {size_t{0}, size_t{10}, size_t{2} << 20}) {
    SCOPED_TRACE(size);
    const std::string content = Pattern(size + 3'000'000);
    const std::string path = folder().Write("file", content.substr(0, size));
    BeforeFirstRead grow([&] { folder().Write("file", content); });
    const CallsInForce scope(*this, grow);
    const absl::StatusOr<std::string> read = Do(ReadFile(path));
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_TRUE(*read == content);
  }
}

TEST_P(WholeFilesTest, AFileThatShrinksWhileItIsReadEndsWhereItEnds) {
  const std::string content = Pattern(3'000'000);
  for (const size_t size : {0, 10, 2'000'000}) {
    SCOPED_TRACE(size);
    const std::string path = folder().Write("file", content);
    BeforeFirstRead shrink([&] { EXPECT_EQ(::truncate(path.c_str(), size), 0); });
    const CallsInForce scope(*this, shrink);
    const absl::StatusOr<std::string> read = Do(ReadFile(path));
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_TRUE(*read == content.substr(0, size));
  }
}

TEST_P(WholeFilesTest, WhatCannotBeReadOrWrittenIsNamed) {
  const std::string none = folder() / "none/file";
  const std::string here = folder().path();
  const auto all = [&](const std::string& path) {
    return std::vector<absl::Status>{Do(ReadFile(path)).status(), Do(WriteFile(path, "x")),
                                     Do(AppendToFile(path, "x")),
                                     Do(WriteFileAtomically(path, "x"))};
  };
  for (const absl::Status& status : all(none)) {
    EXPECT_TRUE(IsError(status, StatusCode::kNotFound, none, "ENOENT"));
  }
  for (const absl::Status& status : all(here)) {
    EXPECT_TRUE(IsError(status, StatusCode::kFailedPrecondition, here, "EISDIR"));
  }
  for (const absl::Status& status : all("")) {
    EXPECT_TRUE(IsError(status, StatusCode::kInvalidArgument, "", "empty"));
  }
  for (const absl::Status& status : all(std::string("a\0b", 3))) {
    EXPECT_TRUE(IsError(status, StatusCode::kInvalidArgument, "a\\x00\\x62", "NUL"));
  }
  EXPECT_TRUE(folder().Names().empty());
}

// --- writing and appending ---

TEST_P(WholeFilesTest, AWriteLeavesNothingOfWhatWasThere) {
  const std::string path = folder().Write("file", Pattern(100'000));
  const ino_t inode = StatOf("file").st_ino;
  ASSERT_TRUE(Do(WriteFile(path, "short")).ok());
  EXPECT_EQ(folder().Content("file"), "short");
  EXPECT_EQ(StatOf("file").st_ino, inode) << "it is the same file";
}

TEST_P(WholeFilesTest, WhatIsMadeHasThePermissionsThatWereAskedForLessTheUmasks) {
  const mode_t mask = ::umask(022);
  std::vector<absl::Status> answers;
  answers.push_back(Do(WriteFile(folder() / "write", "x")));
  answers.push_back(Do(AppendToFile(folder() / "append", "x")));
  answers.push_back(Do(WriteFileAtomically(folder() / "atomic", "x")));
  answers.push_back(Do(WriteFile(folder() / "mine", "x", 0600)));
  answers.push_back(Do(AppendToFile(folder() / "log", "x", 0660)));
  answers.push_back(Do(WriteFileAtomically(folder() / "program", "x", 0777)));
  ::umask(mask);
  for (const absl::Status& answer : answers) EXPECT_TRUE(answer.ok()) << answer;
  EXPECT_EQ(StatOf("write").st_mode & 07777U, 0644u);
  EXPECT_EQ(StatOf("append").st_mode & 07777U, 0644u);
  EXPECT_EQ(StatOf("atomic").st_mode & 07777U, 0644u);
  EXPECT_EQ(StatOf("mine").st_mode & 07777U, 0600u);
  EXPECT_EQ(StatOf("log").st_mode & 07777U, 0640u);
  EXPECT_EQ(StatOf("program").st_mode & 07777U, 0755u);
}

TEST_P(WholeFilesTest, RecordsThatManyTasksAppendAreAllThereAndNotMixed) {
  const std::string path = folder() / "log";
  const auto record = [](int i) { return std::string(50 + i, static_cast<char>('a' + i % 26)); };
  const auto body = [&]() -> Task<absl::Status> {
    std::vector<Task<absl::Status>> tasks;
    for (int i = 0; i < 50; ++i) tasks.push_back(AppendToFile(path, record(i) + "\n"));
    co_return co_await Gather(std::move(tasks));
  };
  const absl::Status status = RunTask(body);
  ASSERT_TRUE(status.ok()) << status;
  std::vector<std::string> expected;
  for (int i = 0; i < 50; ++i) expected.push_back(record(i));
  std::vector<std::string> found;
  const auto collect = [&](std::string line) { found.push_back(std::move(line)); };
  ASSERT_TRUE(Do(ForEach(ReadLines(path), collect)).ok());
  std::sort(expected.begin(), expected.end());
  std::sort(found.begin(), found.end());
  EXPECT_EQ(found, expected);
}

TEST_P(WholeFilesTest, AFullDiskSaysHowFarItCame) {
  EXPECT_TRUE(IsError(Do(WriteFile("/dev/full", "ten bytes.")), StatusCode::kResourceExhausted,
                      "/dev/full", "after 0 of 10 bytes"));
}

// --- replacing ---

TEST_P(WholeFilesTest, AReplacementIsAnotherFileAndReadersOfTheOldOneKeepIt) {
  const std::string path = folder().Write("file", "old");
  const OwnedFd reader(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  const std::string content = Pattern(3'000'000);
  const absl::Status written = Do(WriteFileAtomically(path, content));
  ASSERT_TRUE(written.ok()) << written;
  EXPECT_TRUE(folder().Content("file") == content);
  EXPECT_EQ(FileContent(reader.get()), "old");
  EXPECT_EQ(folder().Names(), Names{"file"});
}

TEST_P(WholeFilesTest, AReplacementTakesThePlaceOfALinkAndNotOfWhatItLeadsTo) {
  const std::string target = folder().Write("target", "old");
  const std::string path = folder() / "link";
  ASSERT_EQ(::symlink(target.c_str(), path.c_str()), 0);
  ASSERT_TRUE(Do(WriteFileAtomically(path, "new")).ok());
  EXPECT_TRUE(S_ISREG(StatOf("link").st_mode));
  EXPECT_EQ(folder().Content("link"), "new");
  EXPECT_EQ(folder().Content("target"), "old");
}

TEST_P(WholeFilesTest, ANameAsLongAsTheSystemAllowsIsReplacedToo) {
  const std::string name(255, 'n');
  ASSERT_TRUE(Do(WriteFileAtomically(folder() / name, "new")).ok());
  EXPECT_EQ(folder().Content(name), "new");
  EXPECT_EQ(folder().Names(), Names{name});
}

TEST_P(WholeFilesTest, APathWithoutADirectoryIsInTheWorkingDirectory) {
  char* const before = ::get_current_dir_name();
  ASSERT_EQ(::chdir(folder().path().c_str()), 0);
  const absl::Status written = Do(WriteFile("file", "old"));
  const absl::Status replaced = Do(WriteFileAtomically("file", "new"));
  const absl::Status appended = Do(AppendToFile("./file", "er"));
  const absl::StatusOr<std::string> read = Do(ReadFile("file"));
  ASSERT_EQ(::chdir(before), 0);
  ::free(before);
  EXPECT_TRUE(written.ok() && replaced.ok() && appended.ok()) << written << replaced << appended;
  EXPECT_EQ(*read, "newer");
  EXPECT_EQ(folder().Content("file"), "newer");
}

TEST_P(WholeFilesTest, AReplacementThatFailsLeavesEverythingAsItWas) {
  const std::string path = folder().Write("file", "old");
  for (const FaultInjection::Call call :
       {FaultInjection::kOpen, FaultInjection::kWrite, FaultInjection::kSync,
        FaultInjection::kClose, FaultInjection::kRename}) {
    SCOPED_TRACE(call);
    FaultInjection faults;
    const CallsInForce scope(*this, faults);
    faults.FailNext(call, EIO);
    const absl::Status status = Do(WriteFileAtomically(path, "new"));
    EXPECT_EQ(faults.hits(call), 1);
    EXPECT_TRUE(IsError(status, StatusCode::kUnknown, path, "EIO"));
    EXPECT_EQ(folder().Content("file"), "old");
    EXPECT_EQ(folder().Names(), Names{"file"});
    EXPECT_EQ(faults.count(FaultInjection::kRename), call == FaultInjection::kRename ? 1 : 0);
  }
}

TEST_P(WholeFilesTest, AReplacementThatDoesNotFitLeavesEverythingAsItWas) {
  const std::string path = folder().Write("file", "old");
  ASSERT_NE(::signal(SIGXFSZ, SIG_IGN), SIG_ERR);
  rlimit limit;
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &limit), 0);
  const rlimit small{.rlim_cur = 100'000, .rlim_max = limit.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const absl::Status status = Do(WriteFileAtomically(path, Pattern(300'000)));
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  ASSERT_NE(::signal(SIGXFSZ, SIG_DFL), SIG_ERR);
  EXPECT_TRUE(IsError(status, StatusCode::kOutOfRange, path, "after 100000 of 300000 bytes"));
  EXPECT_TRUE(folder().Content("file") == "old");
  EXPECT_EQ(folder().Names(), Names{"file"});
}

TEST_P(WholeFilesTest, TheDataIsOnTheDiskBeforeTheNameAndTheNameBeforeTheEnd) {
  const std::string path = folder() / "file";
  FaultInjection faults;
  const CallsInForce scope(*this, faults);
  // The second of the two: that of the directory.
  faults.Fail(FaultInjection::kSync, EIO, {.skip = 1});
  const absl::Status status = Do(WriteFileAtomically(path, "new"));
  EXPECT_TRUE(IsError(status, StatusCode::kUnknown, folder().path(), "EIO"));
  EXPECT_TRUE(IsError(status, StatusCode::kUnknown, path));
  EXPECT_EQ(folder().Content("file"), "new") << "an error that names the directory comes after";
  EXPECT_EQ(folder().Names(), Names{"file"});
  EXPECT_EQ(faults.count(FaultInjection::kSync), 2);

  faults.Fail(FaultInjection::kSync, EINVAL, {.skip = 1});
  const absl::Status no_such_thing = Do(WriteFileAtomically(path, "newer"));
  EXPECT_TRUE(no_such_thing.ok()) << no_such_thing;
  EXPECT_EQ(folder().Content("file"), "newer");
}

TEST_P(WholeFilesTest, ACancelAtAnyMomentLeavesTheOldOrTheNewAndNothingElse) {
  const std::string content = Pattern(2'500'000);
  const std::string path = folder() / "file";
  const int before = OpenDescriptors();
  int finished = 0;
  int cancelled = 0;
  for (int64_t turns = 0; finished < 3; turns += turns / 4 + 1) {
    folder().Write("file", "old");
    const auto body = [&]() -> Task<absl::Status> {
      JoinHandle<absl::Status> writing = Spawn(WriteFileAtomically(path, content));
      for (int64_t turn = 0; turn < turns && !writing.done(); ++turn) co_await Yield();
      writing.Cancel();
      co_return co_await writing;
    };
    const absl::Status status = RunTask(body);
    ASSERT_TRUE(status.ok() || absl::IsCancelled(status)) << status;
    ASSERT_TRUE(folder().Content("file") == (status.ok() ? content : "old")) << status;
    ASSERT_EQ(folder().Names(), Names{"file"});
    ++(status.ok() ? finished : cancelled);
  }
  EXPECT_GT(cancelled, 0);
  EndExecutor();
  EXPECT_LE(OpenDescriptors(), before);
}

TEST_P(WholeFilesTest, WhoeverReadsWhileManyReplaceSeesOneOfThemWhole) {
  const std::string path = folder().Write("file", Pattern(200'000, 0));
  const auto write = [&](unsigned seed) -> Task<absl::Status> {
    for (int i = 0; i < 3; ++i) {
      co_await OrReturn(WriteFileAtomically(path, Pattern(200'000 + seed, seed)));
    }
    co_return absl::OkStatus();
  };
  const auto read = [&]() -> Task<absl::Status> {
    for (int i = 0; i < 20; ++i) {
      const std::string content = co_await OrReturn(ReadFile(path));
      const auto seed = static_cast<unsigned>(content.size() - 200'000);
      EXPECT_TRUE(content == Pattern(200'000 + seed, seed)) << content.size();
    }
    co_return absl::OkStatus();
  };
  const auto body = [&]() -> Task<absl::Status> {
    std::vector<Task<absl::Status>> tasks;
    for (unsigned seed = 1; seed <= 5; ++seed) tasks.push_back(write(seed));
    for (int i = 0; i < 3; ++i) tasks.push_back(read());
    co_return co_await Gather(std::move(tasks));
  };
  const absl::Status status = RunTask(body);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(folder().Names(), Names{"file"});
}

TEST_P(WholeFilesTest, ATaskThatWasCancelledBeforeLeavesEverythingAsItWas) {
  const std::string path = folder().Write("file", "old");
  const auto child = [&]() -> Task<absl::Status> {
    while (!CurrentStopToken().stop_requested()) co_await Yield();
    const absl::StatusOr<std::string> read = co_await ReadFile(path);
    const absl::Status written = co_await WriteFile(path, "new");
    const absl::Status appended = co_await AppendToFile(path, "new");
    const absl::Status replaced = co_await WriteFileAtomically(path, "new");
    for (const absl::Status& answer : {read.status(), written, appended, replaced}) {
      EXPECT_TRUE(IsError(answer, StatusCode::kCancelled, path));
    }
    co_return absl::OkStatus();
  };
  const auto body = [&]() -> Task<absl::Status> {
    JoinHandle<absl::Status> running = Spawn(child(), {.eager = true});
    running.Cancel();
    co_return co_await running;
  };
  EXPECT_TRUE(RunTask(body).ok());
  EXPECT_EQ(folder().Content("file"), "old");
  EXPECT_EQ(folder().Names(), Names{"file"});
}

INSTANTIATE_TEST_SUITE_P(AllExecutors, WholeFilesTest, testing::ValuesIn(AllExecutors()),
                         IoExecutor::Name);

// --- equal bytes on all ---

// Does many things to a few files of a folder, as `seed` would have it, and writes down what it
// saw.
class Program {
 public:
  Program(const TestFolder& folder, unsigned seed) : folder_(folder), random_(seed) {}

  Task<std::string> Run() {
    for (int step = 0; step < std::max(100, Repeats(300)); ++step) {
      absl::StrAppend(&log_, step, " ");
      co_await Step();
      absl::StrAppend(&log_, "\n");
    }
    for (const std::string& name : folder_.Names()) {
      absl::StrAppend(&log_, name, " ");
      Note(folder_.Content(name));
    }
    co_return std::move(log_);
  }

 private:
  size_t Number(size_t below) { return random_() % below; }
  std::string Path() { return folder_ / absl::StrCat("file", Number(5)); }
  std::string Data() {
    return Pattern(Number(4) == 0 ? Number(2'000'000) : Number(5000), random_());
  }

  void Note(const absl::Status& status) {
    absl::StrAppend(&log_, absl::StatusCodeToString(status.code()), " ");
  }
  void Note(absl::string_view bytes) {
    absl::StrAppend(&log_, bytes.size(), ":",
                    std::hash<std::string_view>()({bytes.data(), bytes.size()}), " ");
  }

  Task<void> Step() {
    const std::string path = Path();
    switch (Number(8)) {
      case 0:
        Note(co_await WriteFile(path, Data()));
        break;
      case 1:
        Note(co_await AppendToFile(path, Data()));
        break;
      case 2:
        Note(co_await WriteFileAtomically(path, Data()));
        break;
      case 3:
        co_await ReadWhole(path);
        break;
      case 4:
        Note(co_await Rename(path, Path()));
        break;
      case 5:
        Note(co_await Remove(path));
        break;
      case 6:
        co_await CountLines(path);
        break;
      default:
        Note(co_await Edit(path));
    }
  }

  Task<void> ReadWhole(std::string path) {
    const absl::StatusOr<std::string> read = co_await ReadFile(path, Number(3'000'000));
    Note(read.status());
    if (read.ok()) Note(*read);
  }

  Task<void> CountLines(std::string path) {
    // Of a large file there are thousands; their number and bytes are all in one.
    std::string all;
    const auto add = [&all](std::string line) { absl::StrAppend(&all, line.size(), line); };
    Note(co_await ForEach(ReadLines(path, {.max_length = 2000}), add));
    Note(all);
  }

  // At positions, beyond the end too, and in order.
  Task<absl::Status> Edit(std::string path) {
    File file = co_await OrReturn(OpenFile(path, {.read = true, .write = true}));
    const std::string data = Data();
    co_await OrReturn(file.WriteAllAt(data, static_cast<int64_t>(Number(100'000))));
    if (Number(2) == 0) co_await OrReturn(file.Truncate(static_cast<int64_t>(Number(150'000))));
    GuardedBuffer piece(Number(100'000));
    const size_t count =
        co_await OrReturn(file.ReadFullyAt(piece.span(), static_cast<int64_t>(Number(100'000))));
    Note(piece.text(count));
    co_await OrReturn(file.WriteAll("in order"));
    const std::string rest = co_await OrReturn(file.ReadAll());
    Note(rest);
    const FileStatus status = co_await OrReturn(file.Status());
    absl::StrAppend(&log_, status.size, " ");
    co_return co_await file.Close();
  }

  const TestFolder& folder_;
  std::mt19937 random_;
  std::string log_;
};

TEST(FilesOnAllExecutorsTest, OneProgramSeesAndLeavesEqualBytesOnEachOfThem) {
  ThreadExecutor blocking(4);
  constexpr int kThreads[] = {1, 2, 8};
  for (unsigned seed = 0; seed < 3; ++seed) {
    SCOPED_TRACE(seed);
    std::vector<std::string> logs;
    for (const IoExecutor& kind : AllExecutors()) {
      // A seed for each kind of pool.
      if (kind.threads > 0 && kind.threads != kThreads[seed]) continue;
      const TestFolder folder;
      const std::unique_ptr<Executor> executor = kind.Make(&blocking);
      Program program(folder, seed);
      logs.push_back(BlockOn(*executor, program.Run()));
    }
    for (const std::string& log : logs) EXPECT_EQ(log, logs[0]);
    EXPECT_TRUE(absl::StrContains(logs[0], "NOT_FOUND") && absl::StrContains(logs[0], "OK"));
  }
}

}  // namespace
}  // namespace plait
