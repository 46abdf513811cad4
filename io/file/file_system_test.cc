// Traps: a reference parameter of a lazy task (paths are given as temporaries); a cancel that races
// completion; a lambda coroutine that outlives its captures (RunTask keeps them).
#include "plait/io/file/file_system.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/io/file/file_fixture.h"
#include "plait/io/file/open_file.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_executors.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/runtime/testing/test_folder.h"

namespace plait {
namespace {

using absl::StatusCode;
using Entries = std::vector<DirectoryEntry>;

class FileSystemTest : public FileTest {
 protected:
  absl::StatusOr<FileStatus> Stat(const std::string& path,
                                  SymbolicLinks links = SymbolicLinks::kFollow) {
    return Do(StatusOf(path, links));
  }
  absl::StatusOr<Entries> List(const std::string& path) { return Do(ListDirectory(path)); }
  // Two symbolic links, each of which leads to the other.
  std::string MakeLinkLoop() const {
    Link("there", "here");
    return Link("here", "there");
  }
  // One of each kind of thing.
  void MakeOneOfEach() const {
    folder().Write("file", "x");
    MakeFolder("folder");
    Link("file", "link");
    Link("nowhere", "broken");
    ASSERT_EQ(::mkfifo((folder() / "pipe").c_str(), 0600), 0);
    const OwnedFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    // The folder's path may be longer than there is room.
    const std::string path = "/proc/self/cwd/socket";
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    char* const before = ::get_current_dir_name();
    ASSERT_EQ(::chdir(folder().path().c_str()), 0);
    EXPECT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(::chdir(before), 0);
    ::free(before);
  }
};

// --- status ---

TEST_P(FileSystemTest, TheStatusOfAPathIsWhatTheSystemSays) {
  const std::string path = folder().Write("file", "0123456789");
  ASSERT_EQ(::chmod(path.c_str(), 04640), 0);
  ASSERT_EQ(::link(path.c_str(), (folder() / "second").c_str()), 0);
  const absl::StatusOr<FileStatus> status = Stat(path);
  ASSERT_TRUE(status.ok()) << status.status();
  struct stat expected;
  ASSERT_EQ(::stat(path.c_str(), &expected), 0);
  EXPECT_EQ(status->kind, FileKind::kRegular);
  EXPECT_EQ(status->permissions, 04640u);
  EXPECT_EQ(status->size, 10u);
  EXPECT_EQ(status->inode, expected.st_ino);
  EXPECT_EQ(status->links, 2u);
  EXPECT_EQ(status->user, expected.st_uid);
  EXPECT_EQ(status->group, expected.st_gid);
  EXPECT_EQ(status->modified, absl::TimeFromTimespec(expected.st_mtim));
  EXPECT_EQ(status->accessed, absl::TimeFromTimespec(expected.st_atim));
  EXPECT_EQ(status->changed, absl::TimeFromTimespec(expected.st_ctim));
}

TEST_P(FileSystemTest, KindsAreToldApartAndALinkIsFollowedOnRequest) {
  MakeOneOfEach();
  const auto kind = [&](const std::string& path, SymbolicLinks links) {
    const absl::StatusOr<FileStatus> status = Stat(path, links);
    EXPECT_TRUE(status.ok()) << status.status();
    return status.ok() ? status->kind : FileKind::kOther;
  };
  for (const SymbolicLinks links : {SymbolicLinks::kFollow, SymbolicLinks::kDoNotFollow}) {
    EXPECT_EQ(kind(folder() / "file", links), FileKind::kRegular);
    EXPECT_EQ(kind(folder() / "folder", links), FileKind::kDirectory);
    EXPECT_EQ(kind(folder() / "pipe", links), FileKind::kPipe);
    EXPECT_EQ(kind(folder() / "socket", links), FileKind::kSocket);
    EXPECT_EQ(kind("/dev/null", links), FileKind::kOther);
    EXPECT_EQ(kind(".", links), FileKind::kDirectory);
  }
  EXPECT_EQ(kind(folder() / "link", SymbolicLinks::kFollow), FileKind::kRegular);
  EXPECT_EQ(kind(folder() / "link", SymbolicLinks::kDoNotFollow), FileKind::kSymbolicLink);
  EXPECT_EQ(kind(folder() / "broken", SymbolicLinks::kDoNotFollow), FileKind::kSymbolicLink);
  EXPECT_TRUE(IsError(Stat(folder() / "broken").status(), StatusCode::kNotFound,
                      folder() / "broken", "stat"));
}

TEST_P(FileSystemTest, SizesBeyondFourGibibytesAreWhole) {
  const std::string path = folder().Write("large", "");
  constexpr int64_t kSize = (int64_t{5} << 30) + 1;
  ASSERT_EQ(::truncate(path.c_str(), kSize), 0);
  const absl::StatusOr<FileStatus> status = Stat(path);
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(status->size, static_cast<uint64_t>(kSize));
}

// --- names ---

TEST_P(FileSystemTest, ARenameReplacesWhatHadTheName) {
  folder().Write("old", "content");
  folder().Write("new", "other");
  ASSERT_TRUE(Do(Rename(folder() / "old", folder() / "new")).ok());
  EXPECT_EQ(folder().Names(), std::vector<std::string>{"new"});
  EXPECT_EQ(folder().Content("new"), "content");
  // Directories too, with what is in them, over one that is empty.
  MakeFolder("full");
  folder().Write("full/file", "x");
  MakeFolder("empty");
  ASSERT_TRUE(Do(Rename(folder() / "full", folder() / "empty")).ok());
  EXPECT_EQ(folder().Content("empty/file"), "x");
  EXPECT_FALSE(PathExists(folder() / "full"));
}

TEST_P(FileSystemTest, ARenameThatIsRefusedNamesBothPaths) {
  const std::string file = folder().Write("file", "x");
  const std::string full = MakeFolder("full");
  folder().Write("full/file", "x");
  const std::string empty = MakeFolder("empty");
  struct Case {
    std::string from;
    std::string to;
    StatusCode code;
    const char* words;
  };
  for (const Case& c : {
           Case{folder() / "none", folder() / "new", StatusCode::kNotFound, "ENOENT"},
           Case{file, folder() / "none/new", StatusCode::kNotFound, "ENOENT"},
           Case{file, empty, StatusCode::kFailedPrecondition, "EISDIR"},
           Case{empty, file, StatusCode::kFailedPrecondition, "ENOTDIR"},
           Case{file, file + "/new", StatusCode::kFailedPrecondition, "ENOTDIR"},
           Case{empty, full, StatusCode::kFailedPrecondition, "ENOTEMPTY"},
           Case{full, full + "/below", StatusCode::kInvalidArgument, "EINVAL"},
           Case{"/proc/version", folder() / "new", StatusCode::kUnimplemented, "EXDEV"},
           Case{"", folder() / "new", StatusCode::kInvalidArgument, "empty"},
       }) {
    SCOPED_TRACE(absl::StrCat(c.from, " to ", c.to));
    const absl::Status status = Do(Rename(c.from, c.to));
    EXPECT_TRUE(IsError(status, c.code, c.from, c.words));
    if (!c.from.empty()) {
      EXPECT_TRUE(IsError(status, c.code, c.to));
    }
  }
  const absl::Status to_nothing = Do(Rename(file, ""));
  EXPECT_TRUE(IsError(to_nothing, StatusCode::kInvalidArgument, file, "to \"\""));
  EXPECT_EQ(folder().Content("file"), "x");
  EXPECT_EQ(folder().Names(), (std::vector<std::string>{"empty", "file", "full"}));
}

TEST_P(FileSystemTest, RemoveTakesNamesOfAllButDirectories) {
  MakeOneOfEach();
  for (const char* name : {"link", "broken", "pipe", "socket"}) {
    const absl::Status removed = Do(Remove(folder() / name));
    EXPECT_TRUE(removed.ok()) << removed;
  }
  EXPECT_EQ(folder().Names(), (std::vector<std::string>{"file", "folder"}))
      << "what a link leads to stays";
  EXPECT_TRUE(IsError(Do(Remove(folder() / "folder")), StatusCode::kFailedPrecondition,
                      folder() / "folder", "Is a directory"));
  EXPECT_TRUE(IsError(Do(RemoveDirectory(folder() / "file")), StatusCode::kFailedPrecondition,
                      folder() / "file", "ENOTDIR"));
  ASSERT_TRUE(Do(Remove(folder() / "file")).ok());
  ASSERT_TRUE(Do(RemoveDirectory(folder() / "folder")).ok());
  EXPECT_TRUE(folder().Names().empty());
}

TEST_P(FileSystemTest, AFileThatIsRemovedWhileItIsOpenGoesOnWithoutAName) {
  const auto body = [&]() -> Task<absl::StatusOr<std::string>> {
    File file = co_await OrReturn(
        OpenFile(folder() / "file", {.read = true, .write = true, .create = true}));
    co_await OrReturn(file.WriteAll("before, "));
    co_await OrReturn(Remove(folder() / "file"));
    EXPECT_TRUE(folder().Names().empty());
    co_await OrReturn(file.WriteAll("after"));
    const FileStatus status = co_await OrReturn(file.Status());
    EXPECT_EQ(status.links, 0u);
    GuardedBuffer content(13);
    const size_t count = co_await OrReturn(file.ReadFullyAt(content.span(), 0));
    co_await OrReturn(file.Close());
    co_return std::string(content.text(count));
  };
  const absl::StatusOr<std::string> content = RunTask(body);
  ASSERT_TRUE(content.ok()) << content.status();
  EXPECT_EQ(*content, "before, after");
}

// --- errors ---

// Every function that takes one path.
struct PathFunction {
  const char* name;
  std::function<Task<absl::Status>(std::string)> call;
};

Task<absl::Status> StatusOnly(Task<absl::StatusOr<FileStatus>> task) {
  const absl::StatusOr<FileStatus> result = co_await std::move(task);
  co_return result.status();
}
Task<absl::Status> ListOnly(Task<absl::StatusOr<Entries>> task) {
  const absl::StatusOr<Entries> result = co_await std::move(task);
  co_return result.status();
}
Task<absl::Status> OpenOnly(Task<absl::StatusOr<File>> task) {
  const absl::StatusOr<File> result = co_await std::move(task);
  co_return result.status();
}

std::vector<PathFunction> PathFunctions() {
  return {
      {"StatusOf", [](std::string path) { return StatusOnly(StatusOf(std::move(path))); }},
      {"Rename", [](std::string path) { return Rename(path, path + "new"); }},
      {"Remove", [](std::string path) { return Remove(std::move(path)); }},
      {"RemoveDirectory", [](std::string path) { return RemoveDirectory(std::move(path)); }},
      {"RemoveTree", [](std::string path) { return RemoveTree(std::move(path)); }},
      {"MakeDirectory", [](std::string path) { return MakeDirectory(std::move(path)); }},
      {"MakeDirectories", [](std::string path) { return MakeDirectories(std::move(path)); }},
      {"ListDirectory", [](std::string path) { return ListOnly(ListDirectory(std::move(path))); }},
      {"OpenFile", [](std::string path) { return OpenOnly(OpenFile(std::move(path))); }},
  };
}

TEST_P(FileSystemTest, EveryFunctionRefusesAPathThatTheSystemCannotTakeAndNamesIt) {
  const std::string file = folder().Write("file", "x");
  const std::string loop_of_links = MakeLinkLoop();
  struct Case {
    std::string path;
    StatusCode code;
    const char* words;
    std::string named = {};  // where it is not the path itself
  };
  for (const PathFunction& function : PathFunctions()) {
    for (const Case& c : {
             Case{"", StatusCode::kInvalidArgument, "the path is empty"},
             Case{std::string("a\0b", 3), StatusCode::kInvalidArgument, "NUL", "a\\x00\\x62"},
             Case{folder() / std::string(256, 'n'), StatusCode::kInvalidArgument, "ENAMETOOLONG"},
             Case{std::string(5000, '/') + "x", StatusCode::kInvalidArgument, "ENAMETOOLONG"},
             Case{file + "/below", StatusCode::kFailedPrecondition, "ENOTDIR"},
             Case{loop_of_links + "/below", StatusCode::kFailedPrecondition, "ELOOP"},
         }) {
      SCOPED_TRACE(absl::StrCat(function.name, " ", c.words));
      EXPECT_TRUE(
          IsError(Do(function.call(c.path)), c.code, c.named.empty() ? c.path : c.named, c.words));
    }
  }
  EXPECT_EQ(folder().Content("file"), "x");
}

TEST_P(FileSystemTest, WhatIsNotThereIsNotFoundByName) {
  const std::string path = folder() / "none";
  for (const PathFunction& function : PathFunctions()) {
    SCOPED_TRACE(function.name);
    const std::string name = function.name;
    if (name == "MakeDirectories") continue;  // it makes what is not there
    const std::string missing = name == "MakeDirectory" ? path + "/below" : path;
    EXPECT_TRUE(IsError(Do(function.call(missing)), StatusCode::kNotFound, missing, "ENOENT"));
  }
  EXPECT_TRUE(folder().Names().empty());
}

// Nobody may make names in /sys or take them away in /proc, not even root.
TEST_P(FileSystemTest, WhatTheSystemForbidsIsPermissionDeniedByName) {
  const OpenOptions create{.write = true, .create = true};
  const std::string fresh = "/sys/new";
  const std::string there = "/proc/self/status";
  EXPECT_TRUE(IsError(Do(MakeDirectory(fresh)), StatusCode::kPermissionDenied, fresh));
  EXPECT_TRUE(IsError(Do(MakeDirectories(fresh)), StatusCode::kPermissionDenied, fresh));
  EXPECT_TRUE(IsError(Do(OpenOnly(OpenFile(fresh, create))), StatusCode::kPermissionDenied, fresh));
  EXPECT_TRUE(IsError(Do(Remove(there)), StatusCode::kPermissionDenied, there));
  EXPECT_TRUE(IsError(Do(RemoveTree(there)), StatusCode::kPermissionDenied, there));
  EXPECT_TRUE(IsError(Do(RemoveDirectory("/proc/self/fd")), StatusCode::kPermissionDenied,
                      "/proc/self/fd"));
  EXPECT_TRUE(
      IsError(Do(Rename(there, "/proc/self/limits")), StatusCode::kPermissionDenied, there));
}

TEST_P(FileSystemTest, LinksThatLeadToEachOtherAreFollowedByNobody) {
  const std::string path = MakeLinkLoop();
  EXPECT_TRUE(IsError(Stat(path).status(), StatusCode::kFailedPrecondition, path, "ELOOP"));
  EXPECT_TRUE(IsError(List(path).status(), StatusCode::kFailedPrecondition, path, "ELOOP"));
  EXPECT_TRUE(
      IsError(Do(OpenOnly(OpenFile(path))), StatusCode::kFailedPrecondition, path, "ELOOP"));
  // What concerns the link itself does not follow it.
  EXPECT_EQ(Stat(path, SymbolicLinks::kDoNotFollow)->kind, FileKind::kSymbolicLink);
  EXPECT_TRUE(Do(Rename(path, folder() / "moved")).ok());
  EXPECT_TRUE(Do(Remove(folder() / "moved")).ok());
  EXPECT_TRUE(Do(RemoveTree(folder() / "here")).ok());
  EXPECT_TRUE(folder().Names().empty());
}

// --- directories ---

TEST_P(FileSystemTest, ADirectoryIsMadeWithThePermissionsThatWereAskedForLessTheUmasks) {
  const mode_t mask = ::umask(027);
  const absl::Status usual = Do(MakeDirectory(folder() / "usual"));
  const absl::Status mine = Do(MakeDirectory(folder() / "mine", 0700));
  const absl::Status tree = Do(MakeDirectories(folder() / "tree/below", 0707));
  ::umask(mask);
  EXPECT_TRUE(usual.ok() && mine.ok() && tree.ok()) << usual << mine << tree;
  EXPECT_EQ(Stat(folder() / "usual")->permissions, 0750u);
  EXPECT_EQ(Stat(folder() / "mine")->permissions, 0700u);
  EXPECT_EQ(Stat(folder() / "tree")->permissions, 0700u);
  EXPECT_EQ(Stat(folder() / "tree/below")->permissions, 0700u);
  EXPECT_TRUE(IsError(Do(MakeDirectory(folder() / "mine")), StatusCode::kAlreadyExists,
                      folder() / "mine", "EEXIST"));
}

TEST_P(FileSystemTest, DirectoriesAreMadeAsFarAsTheyAreMissing) {
  for (const char* path : {"a", "a/b/c/d", "a/b/c/d", "e/f/", "a//g///h", "a/./i"}) {
    const absl::Status made = Do(MakeDirectories(folder() / path));
    EXPECT_TRUE(made.ok()) << made;
    EXPECT_EQ(Stat(folder() / path)->kind, FileKind::kDirectory);
  }
  for (const char* there : {"/", ".", "..", "/proc"}) {
    const absl::Status made = Do(MakeDirectories(there));
    EXPECT_TRUE(made.ok()) << made;
  }
  // A link to a directory is as good as one.
  Link("a", "link");
  EXPECT_TRUE(Do(MakeDirectories(folder() / "link")).ok());
  EXPECT_TRUE(Do(MakeDirectories(folder() / "link/through")).ok());
  EXPECT_TRUE(PathExists(folder() / "a/through"));
}

TEST_P(FileSystemTest, WhatIsInTheWayOfDirectoriesIsNamed) {
  const std::string file = folder().Write("file", "x");
  const std::string broken = Link("nowhere", "broken");
  EXPECT_TRUE(IsError(Do(MakeDirectories(file)), StatusCode::kAlreadyExists, file, "EEXIST"));
  EXPECT_TRUE(IsError(Do(MakeDirectories(file + "/a/b")), StatusCode::kFailedPrecondition,
                      file + "/a/b", "ENOTDIR"));
  EXPECT_FALSE(Do(MakeDirectories(broken)).ok());
  EXPECT_FALSE(Do(MakeDirectories(broken + "/below")).ok());
  EXPECT_EQ(folder().Names(), (std::vector<std::string>{"broken", "file"}));
}

TEST_P(FileSystemTest, ManyTasksMakeTheSameDirectories) {
  const auto body = [&]() -> Task<absl::Status> {
    std::vector<Task<absl::Status>> tasks;
    for (int i = 0; i < 30; ++i) {
      tasks.push_back(MakeDirectories(absl::StrCat(folder().path(), "/a/b/c/d/e/", i % 3)));
    }
    co_return co_await Gather(std::move(tasks));
  };
  const absl::Status made = RunTask(body);
  EXPECT_TRUE(made.ok()) << made;
  EXPECT_TRUE(PathExists(folder() / "a/b/c/d/e/2"));
}

TEST_P(FileSystemTest, AListingHasEveryEntryWithItsKindInOrder) {
  MakeOneOfEach();
  const absl::StatusOr<Entries> entries = List(folder().path());
  ASSERT_TRUE(entries.ok()) << entries.status();
  EXPECT_EQ(*entries, (Entries{{"broken", FileKind::kSymbolicLink},
                               {"file", FileKind::kRegular},
                               {"folder", FileKind::kDirectory},
                               {"link", FileKind::kSymbolicLink},
                               {"pipe", FileKind::kPipe},
                               {"socket", FileKind::kSocket}}));
  EXPECT_TRUE(List(folder() / "folder")->empty());
}

TEST_P(FileSystemTest, NamesAreBytesAndThereMayBeManyOfThem) {
  std::vector<std::string> names = {
      " ",          ".hidden", "...", "new\nline", "\xFF\xFE",
      "n\xC3\xB6n", "\"",      "B",   "a",         std::string(255, 'n')};
  for (int i = 0; i < 1000; ++i) names.push_back(absl::StrCat("number ", i));
  for (const std::string& name : names) folder().Write(name, "");
  const int before = OpenFiles();
  const absl::StatusOr<Entries> entries = List(folder().path());
  ASSERT_TRUE(entries.ok()) << entries.status();
  std::vector<std::string> listed;
  for (const DirectoryEntry& entry : *entries) listed.push_back(entry.name);
  EXPECT_EQ(listed, folder().Names());
  EXPECT_EQ(listed.size(), names.size());
  EXPECT_EQ(OpenFiles(), before);
}

TEST_P(FileSystemTest, OnlyADirectoryIsListed) {
  const std::string path = folder().Write("file", "x");
  EXPECT_TRUE(IsError(List(path).status(), StatusCode::kFailedPrecondition, path, "list"));
  Link("file", "link");
  EXPECT_FALSE(List(folder() / "link").ok());
  EXPECT_TRUE(List(folder().path() + "/").ok());
}

// A file system that does not say in its listings what the entries are; and one of them is gone
// when it is asked for.
class SilentFileSystem final : public sys::SystemCalls {
 public:
  explicit SilentFileSystem(std::string gone) : gone_(std::move(gone)) {}

  int ListDirectory(int directory, const char* path,
                    void (*visit)(void* context, const dirent& entry),
                    void* context) noexcept override {
    struct Visitor {
      void (*visit)(void* context, const dirent& entry);
      void* context;
    } visitor{visit, context};
    const auto silence = [](void* to, const dirent& entry) {
      const auto& next = *static_cast<const Visitor*>(to);
      dirent silent = entry;
      silent.d_type = DT_UNKNOWN;
      next.visit(next.context, silent);
    };
    const int result = SystemCalls::ListDirectory(directory, path, silence, &visitor);
    ::unlink(gone_.c_str());
    return result;
  }

 private:
  const std::string gone_;
};

TEST_P(FileSystemTest, KindsAreAskedForWhereAListingDoesNotTell) {
  MakeOneOfEach();
  SilentFileSystem silent(folder().Write("gone", ""));
  const CallsInForce scope(*this, silent);
  const absl::StatusOr<Entries> entries = List(folder().path());
  ASSERT_TRUE(entries.ok()) << entries.status();
  EXPECT_EQ(*entries, (Entries{{"broken", FileKind::kSymbolicLink},
                               {"file", FileKind::kRegular},
                               {"folder", FileKind::kDirectory},
                               {"gone", FileKind::kOther},
                               {"link", FileKind::kSymbolicLink},
                               {"pipe", FileKind::kPipe},
                               {"socket", FileKind::kSocket}}));
  const absl::Status removed = Do(RemoveTree(folder() / "folder"));
  EXPECT_TRUE(removed.ok()) << removed;
}

// --- cancellation ---

TEST_P(FileSystemTest, ATaskThatWasCancelledBeforeTouchesNothing) {
  const std::string path = folder().Write("file", "x");
  const std::string there = MakeFolder("there");
  const auto child = [&]() -> Task<absl::Status> {
    while (!CurrentStopToken().stop_requested()) co_await Yield();
    for (const PathFunction& function : PathFunctions()) {
      const absl::Status answer = co_await function.call(path);
      EXPECT_TRUE(absl::IsCancelled(answer)) << function.name << ": " << answer;
    }
    co_return co_await MakeDirectory(folder() / "new");
  };
  const auto body = [&]() -> Task<absl::Status> {
    JoinHandle<absl::Status> running = Spawn(child(), {.eager = true});
    running.Cancel();
    co_return co_await running;
  };
  EXPECT_TRUE(absl::IsCancelled(RunTask(body)));
  EXPECT_EQ(folder().Names(), (std::vector<std::string>{"file", "there"}));
}

INSTANTIATE_TEST_SUITE_P(LoopsAndPools, FileSystemTest, testing::ValuesIn(LoopsAndPoolsOfTwo()),
                         IoExecutor::Name);

}  // namespace
}  // namespace plait
