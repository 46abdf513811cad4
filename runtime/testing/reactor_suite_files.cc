// ReactorSuite: files by name: open, status, rename, unlink, mkdir, and fsync, as raw operations.
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/io/system/file_status.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/runtime/testing/reactor_suite.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/test_folder.h"

namespace plait {
namespace {

// The path is on pages of its own, which nobody can read once the operation was delivered.
struct PathOperation : TestOperation {
  PathOperation(IoOpcode code, absl::string_view path, int directory = AT_FDCWD)
      : TestOperation(code, directory),
        path_(std::make_unique<GuardedBuffer>(absl::StrCat(path, absl::string_view("\0", 1)))) {
    args.path = path_->data();
    on_delivery = [this] { Release(); };
  }

 private:
  void Release() {
    path_->Release();
    if (new_path_ != nullptr) new_path_->Release();
  }

  std::unique_ptr<GuardedBuffer> path_;

 protected:
  std::unique_ptr<GuardedBuffer> new_path_;
};

struct OpenOperation : PathOperation {
  OpenOperation(absl::string_view path, int flags, uint32_t mode = 0600, int directory = AT_FDCWD)
      : PathOperation(IoOpcode::kOpen, path, directory) {
    args.open = {.flags = static_cast<uint32_t>(flags), .mode = mode};
  }
  OwnedFd Take() const { return OwnedFd(result); }
};

struct StatusOperation : PathOperation {
  explicit StatusOperation(absl::string_view path, int flags = 0, int directory = AT_FDCWD)
      : PathOperation(IoOpcode::kStatus, path, directory),
        raw(std::make_unique<GuardedBuffer>(sizeof(sys::RawFileStatus))) {
    args.status_out = raw->data();
    args.flags = static_cast<uint32_t>(flags);
  }
  FileStatus status() const {
    return sys::Decode(*reinterpret_cast<const sys::RawFileStatus*>(raw->data()));
  }

  std::unique_ptr<GuardedBuffer> raw;
};

struct RenameOperation : PathOperation {
  RenameOperation(absl::string_view path, absl::string_view new_path, int directory = AT_FDCWD)
      : PathOperation(IoOpcode::kRename, path, directory) {
    new_path_ = std::make_unique<GuardedBuffer>(absl::StrCat(new_path, absl::string_view("\0", 1)));
    args.new_path = new_path_->data();
  }
};

struct UnlinkOperation : PathOperation {
  explicit UnlinkOperation(absl::string_view path, int flags = 0, int directory = AT_FDCWD)
      : PathOperation(IoOpcode::kUnlink, path, directory) {
    args.flags = static_cast<uint32_t>(flags);
  }
};

struct MakeDirectoryOperation : PathOperation {
  explicit MakeDirectoryOperation(absl::string_view path, uint32_t mode = 0700,
                                  int directory = AT_FDCWD)
      : PathOperation(IoOpcode::kMakeDirectory, path, directory) {
    args.open = {.flags = 0, .mode = mode};
  }
};

struct SyncOperation : TestOperation {
  explicit SyncOperation(int fd, uint32_t flags = 0) : TestOperation(IoOpcode::kSync, fd) {
    args.flags = flags;
  }
};

// --- what they do. Traps: buffer (the kernel reads paths and writes the status) ---

TEST_P(ReactorSuite, AFileIsOpenedByName) {
  const TestFolder folder;
  const std::string path = folder / "new";
  OpenOperation open(path, O_CREAT | O_RDWR, 0640);
  ASSERT_GE(Do(open), 0);
  OwnedFd file = open.Take();
  EXPECT_EQ(::fcntl(file.get(), F_GETFD), FD_CLOEXEC);
  struct stat status;
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  const mode_t mask = ::umask(0);
  ::umask(mask);
  EXPECT_EQ(status.st_mode, S_IFREG | (0640 & ~mask));
  WriteOperation write(file.get(), "hello");
  EXPECT_EQ(Do(write), 5);
  EXPECT_EQ(FileContent(file.get()), "hello");
  Close(file);
  OpenOperation again(path, O_RDONLY);
  ASSERT_GE(Do(again), 0);
  file = again.Take();
  GuardedBuffer buffer(10);
  ReadOperation read(file.get(), buffer.span());
  EXPECT_EQ(Do(read), 5);
  EXPECT_EQ(buffer.text(5), "hello");
  Close(file);
  EXPECT_EQ(reactor().in_flight(), 0u);
  ExpectNothingMore();
}

TEST_P(ReactorSuite, TheStatusOfAFileIsToldByNameAndByDescriptor) {
  const TestFolder folder;
  const std::string path = folder.Write("file", "0123456789");
  ASSERT_EQ(::symlink("file", (folder / "link").c_str()), 0);
  struct stat expected;
  ASSERT_EQ(::stat(path.c_str(), &expected), 0);
  OwnedFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));

  StatusOperation by_name(path);
  StatusOperation by_link(folder / "link");
  StatusOperation by_descriptor("", 0, file.get());
  for (StatusOperation* operation : {&by_name, &by_link, &by_descriptor}) {
    ASSERT_EQ(Do(*operation), 0);
    const FileStatus status = operation->status();
    EXPECT_EQ(status.kind, FileKind::kRegular);
    EXPECT_EQ(status.size, 10u);
    EXPECT_EQ(status.inode, expected.st_ino);
    EXPECT_EQ(status.device, expected.st_dev);
    EXPECT_EQ(status.permissions, expected.st_mode & 07777U);
    EXPECT_EQ(status.links, 1u);
    EXPECT_EQ(status.user, expected.st_uid);
    EXPECT_EQ(absl::ToTimespec(status.modified).tv_sec, expected.st_mtim.tv_sec);
    EXPECT_EQ(absl::ToTimespec(status.modified).tv_nsec, expected.st_mtim.tv_nsec);
  }
  StatusOperation link(folder / "link", AT_SYMLINK_NOFOLLOW);
  ASSERT_EQ(Do(link), 0);
  EXPECT_EQ(link.status().kind, FileKind::kSymbolicLink);
  StatusOperation directory(folder.path());
  ASSERT_EQ(Do(directory), 0);
  EXPECT_EQ(directory.status().kind, FileKind::kDirectory);
  Close(file);
}

TEST_P(ReactorSuite, TheStatusOfPipesAndSocketsIsToldByDescriptor) {
  FdPair pipe = MakePipe();
  StatusOperation of_pipe("", 0, pipe.first.get());
  ASSERT_EQ(Do(of_pipe), 0);
  EXPECT_EQ(of_pipe.status().kind, FileKind::kPipe);
  FdPair sockets = MakeSocketPair();
  StatusOperation of_socket("", 0, sockets.first.get());
  ASSERT_EQ(Do(of_socket), 0);
  EXPECT_EQ(of_socket.status().kind, FileKind::kSocket);
  Close(pipe.first);
  Close(sockets.first);
}

TEST_P(ReactorSuite, FilesAndDirectoriesAreMadeRenamedAndRemoved) {
  const TestFolder folder;
  MakeDirectoryOperation make(folder / "made");
  EXPECT_EQ(Do(make), 0);
  folder.Write("made/file", "content");
  RenameOperation rename(folder / "made/file", folder / "moved");
  EXPECT_EQ(Do(rename), 0);
  EXPECT_FALSE(PathExists(folder / "made/file"));
  EXPECT_TRUE(PathExists(folder / "moved"));
  folder.Write("other", "other");
  RenameOperation over(folder / "moved", folder / "other");
  EXPECT_EQ(Do(over), 0);
  const OwnedFd other(::open((folder / "other").c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(FileContent(other.get()), "content");
  UnlinkOperation unlink(folder / "other");
  EXPECT_EQ(Do(unlink), 0);
  EXPECT_FALSE(PathExists(folder / "other"));
  UnlinkOperation remove(folder / "made", AT_REMOVEDIR);
  EXPECT_EQ(Do(remove), 0);
  EXPECT_FALSE(PathExists(folder / "made"));
}

TEST_P(ReactorSuite, PathsMayBeRelativeToADirectorysDescriptor) {
  const TestFolder folder;
  const OwnedFd directory(::open(folder.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  MakeDirectoryOperation make("made", 0700, directory.get());
  EXPECT_EQ(Do(make), 0);
  OpenOperation open("made/file", O_CREAT | O_RDWR, 0600, directory.get());
  ASSERT_GE(Do(open), 0);
  OwnedFd file = open.Take();
  Close(file);
  RenameOperation rename("made/file", "made/moved", directory.get());
  EXPECT_EQ(Do(rename), 0);
  EXPECT_TRUE(PathExists(folder / "made/moved"));
  StatusOperation status("made/moved", 0, directory.get());
  EXPECT_EQ(Do(status), 0);
  UnlinkOperation unlink("made/moved", 0, directory.get());
  EXPECT_EQ(Do(unlink), 0);
  UnlinkOperation remove("made", AT_REMOVEDIR, directory.get());
  EXPECT_EQ(Do(remove), 0);
  EXPECT_FALSE(PathExists(folder / "made"));
}

TEST_P(ReactorSuite, FilesAndDirectoriesAreSynced) {
  const TestFolder folder;
  folder.Write("file", "hello");
  OwnedFd file(::open((folder / "file").c_str(), O_RDWR | O_CLOEXEC));
  OwnedFd directory(::open(folder.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  WriteOperation write(file.get(), "HELLO");
  EXPECT_EQ(Do(write), 5);
  SyncOperation sync(file.get());
  EXPECT_EQ(Do(sync), 0);
  SyncOperation data(file.get(), kSyncData);
  EXPECT_EQ(Do(data), 0);
  SyncOperation of_directory(directory.get());
  EXPECT_EQ(Do(of_directory), 0);
  Close(file);
  Close(directory);
}

// --- what fails ---

TEST_P(ReactorSuite, FileOperationsThatFailSayWhyThroughPoll) {
  const TestFolder folder;
  const std::string none = folder / "none";
  const std::string file = folder.Write("file", "x");
  const std::string full = folder / "full";
  ASSERT_EQ(::mkdir(full.c_str(), 0700), 0);
  folder.Write("full/file", "x");

  const auto expect = [&](const char* what, TestOperation&& operation, int32_t result) {
    EXPECT_EQ(Do(operation), result) << what;
  };
  const auto open = [](const std::string& path, int flags) { return OpenOperation(path, flags); };
  expect("open what is not there", open(none, O_RDONLY), -ENOENT);
  expect("open nothing", open("", O_RDONLY), -ENOENT);
  expect("open below what is not there", open(none + "/file", O_CREAT | O_WRONLY), -ENOENT);
  expect("open below a file", open(file + "/file", O_CREAT | O_WRONLY), -ENOTDIR);
  expect("open a directory for writing", open(full, O_WRONLY), -EISDIR);
  expect("open a file as a directory", open(file, O_RDONLY | O_DIRECTORY), -ENOTDIR);
  expect("make what is there", open(file, O_CREAT | O_EXCL | O_WRONLY), -EEXIST);
  expect("open a long name", open(folder / std::string(300, 'n'), O_RDONLY), -ENAMETOOLONG);
  expect("status of what is not there", StatusOperation(none), -ENOENT);
  expect("status of nothing", StatusOperation(""), -ENOENT);
  expect("status of no descriptor", StatusOperation("", 0, 1'000'000), -EBADF);
  expect("status below a file", StatusOperation(file + "/file"), -ENOTDIR);
  expect("rename what is not there", RenameOperation(none, folder / "new"), -ENOENT);
  expect("rename to below what is not there", RenameOperation(file, none + "/file"), -ENOENT);
  expect("rename a file to a directory", RenameOperation(file, full), -EISDIR);
  expect("rename a directory to a file", RenameOperation(full, file), -ENOTDIR);
  expect("rename a directory into itself", RenameOperation(full, full + "/in"), -EINVAL);
  expect("unlink what is not there", UnlinkOperation(none), -ENOENT);
  expect("unlink a directory", UnlinkOperation(full), -EISDIR);
  expect("remove a file as a directory", UnlinkOperation(file, AT_REMOVEDIR), -ENOTDIR);
  expect("remove a directory that is not empty", UnlinkOperation(full, AT_REMOVEDIR), -ENOTEMPTY);
  expect("make a directory that is there", MakeDirectoryOperation(full), -EEXIST);
  expect("make a directory that is a file", MakeDirectoryOperation(file), -EEXIST);
  expect("make a directory below what is not there", MakeDirectoryOperation(none + "/d"), -ENOENT);
  expect("sync no descriptor", SyncOperation(-1), -EBADF);
  expect("sync what is not open", SyncOperation(1'000'000), -EBADF);
  FdPair pipe = MakePipe();
  FdPair sockets = MakeSocketPair();
  expect("sync a pipe", SyncOperation(pipe.second.get()), -EINVAL);
  expect("sync a socket", SyncOperation(sockets.first.get()), -EINVAL);
  EXPECT_EQ(reactor().in_flight(), 0u);
  Close(pipe.second);
  Close(sockets.first);
  // Whatever failed has changed nothing.
  EXPECT_TRUE(PathExists(file));
  EXPECT_TRUE(PathExists(full));
  EXPECT_FALSE(PathExists(none));
}

TEST_P(ReactorSuite, WithoutABlockingExecutorFileOperationsWorkOrAreRefused) {
  ReplaceReactor(nullptr);
  const TestFolder folder;
  OwnedFd file(::open(folder.Write("file", "x").c_str(), O_RDWR | O_CLOEXEC));
  const auto works_or_is_refused = [&](TestOperation& operation) {
    const int32_t result = Do(operation);
    EXPECT_TRUE(result >= 0 || result == -EPERM) << result;
    return result >= 0;
  };
  MakeDirectoryOperation make(folder / "made");
  const bool make_works = works_or_is_refused(make);
  EXPECT_EQ(make_works, PathExists(folder / "made"));
  OpenOperation open(folder / "opened", O_CREAT | O_RDWR);
  const bool open_works = works_or_is_refused(open);
  EXPECT_EQ(open_works, PathExists(folder / "opened"));
  const OwnedFd opened = open.Take();
  StatusOperation by_name(folder / "file");
  works_or_is_refused(by_name);
  StatusOperation by_descriptor("", 0, file.get());
  works_or_is_refused(by_descriptor);
  SyncOperation sync(file.get());
  works_or_is_refused(sync);
  RenameOperation rename(folder / "file", folder / "renamed");
  const bool rename_works = works_or_is_refused(rename);
  EXPECT_EQ(rename_works, PathExists(folder / "renamed"));
  UnlinkOperation unlink(PathExists(folder / "file") ? folder / "file" : folder / "renamed");
  const bool unlink_works = works_or_is_refused(unlink);
  EXPECT_EQ(unlink_works, !PathExists(folder / "file") && !PathExists(folder / "renamed"));
  EXPECT_EQ(reactor().in_flight(), 0u);
  Close(file);
}

// --- cancelling and closing. Traps: buffer, race, reentry ---

TEST_P(ReactorSuite, FileOperationsInFlightAreCounted) {
  const TestFolder folder;
  blocking().Pause();
  MakeDirectoryOperation make(folder / "made");
  OpenOperation open(folder / "new", O_CREAT | O_RDWR);
  StatusOperation status(folder.path());
  Submit(make);
  Submit(open);
  Submit(status);
  EXPECT_EQ(reactor().in_flight(), 3u);
  blocking().Resume();
  for (TestOperation* operation :
       {static_cast<TestOperation*>(&make), static_cast<TestOperation*>(&open),
        static_cast<TestOperation*>(&status)}) {
    Await(*operation);
    EXPECT_GE(operation->result, 0);
  }
  EXPECT_EQ(reactor().in_flight(), 0u);
  OwnedFd file = open.Take();
  Close(file);
  ExpectNothingMore();
}

TEST_P(ReactorSuite, ACancelledFileOperationEndsOnceAndTellsTheTruth) {
  const TestFolder folder;
  const std::string made = folder / "made";
  const std::string opened = folder / "opened";
  const int before = OpenDescriptors();
  for (const int i : ShareOf(300)) {
    MakeDirectoryOperation make(made);
    OpenOperation open(opened, O_CREAT | O_EXCL | O_RDWR);
    StatusOperation status(folder.path());
    Submit(make);
    Submit(open);
    Submit(status);
    if (i % 3 == 0) PollOnce(Deadline::Immediate());
    if (i % 4 == 0) blocking().Pause();
    const auto cancel = [&](TestOperation& operation) {
      if (!operation.delivered()) Cancel(operation);
    };
    cancel(open);
    cancel(make);
    cancel(status);
    blocking().Resume();
    Await(make);
    Await(open);
    Await(status);
    status.raw->Release();
    ASSERT_TRUE(make.result == 0 || make.result == -ECANCELED) << make.result;
    ASSERT_EQ(PathExists(made), make.result == 0);
    if (make.result == 0) {
      ASSERT_EQ(::rmdir(made.c_str()), 0);
    }
    ASSERT_TRUE(open.result >= 0 || open.result == -ECANCELED) << open.result;
    ASSERT_EQ(PathExists(opened), open.result >= 0);
    if (open.result >= 0) {
      OwnedFd file = open.Take();
      Close(file);
      ASSERT_EQ(::unlink(opened.c_str()), 0);
    }
    ASSERT_TRUE(status.result == 0 || status.result == -ECANCELED) << status.result;
  }
  EXPECT_EQ(OpenDescriptors(), before) << "an open that was cancelled left a descriptor behind";
  ExpectNothingMore();
}

TEST_P(ReactorSuite, ClosingAFileWaitsForTheSyncThatHasBegun) {
  const TestFolder folder;
  const std::string path = folder.Write("file", "hello");
  for (const int i : ShareOf(50)) {
    OwnedFd file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    blocking().Pause();
    SyncOperation sync(file.get());
    StatusOperation status("", 0, file.get());
    GuardedBuffer data("HELLO");
    WriteOperation write(file.get(), data.text(5), 0);
    const int number = file.Release();
    CloseOperation close(number);
    Submit(write);
    Submit(sync);
    Submit(status);
    Submit(close);
    if (i % 2 == 0) PollOnce(Deadline::Immediate());
    blocking().Resume();
    Await(close);
    EXPECT_EQ(close.result, 0);
    for (const TestOperation* other :
         {static_cast<const TestOperation*>(&sync), static_cast<const TestOperation*>(&status),
          static_cast<const TestOperation*>(&write)}) {
      EXPECT_EQ(other->deliveries, 1);
      EXPECT_TRUE(other->result >= 0 || other->result == -ECANCELED) << other->result;
      EXPECT_LT(other->turn, close.turn);
    }
    data.Release();
    status.raw->Release();
    ASSERT_EQ(::fcntl(number, F_GETFD), -1);
    SyncOperation late(number);
    EXPECT_EQ(Do(late), -EBADF);
  }
  ExpectNothingMore();
}

TEST_P(ReactorSuite, AnOpenThatWaitsForItsOtherEndHoldsUpNobody) {
  const TestFolder folder;
  const std::string path = folder / "pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  OpenOperation open(path, O_RDONLY);
  Submit(open);
  FdPair pair = MakeSocketPair();
  for (int i = 0; i < 10; ++i) {
    WriteAll(pair.second.get(), "x");
    GuardedBuffer buffer(1);
    ReadOperation read(pair.first.get(), buffer.span());
    EXPECT_EQ(Do(read), 1);
  }
  EXPECT_FALSE(open.delivered());
  const OwnedFd writer(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  Await(open);
  ASSERT_GE(open.result, 0);
  OwnedFd reader = open.Take();
  WriteAll(writer.get(), "through");
  GuardedBuffer buffer(7);
  ReadOperation read(reader.get(), buffer.span());
  EXPECT_EQ(Do(read), 7);
  EXPECT_EQ(buffer.text(7), "through");
  Close(reader);
  Close(pair.first);
}

TEST_P(ReactorSuite, AnOpenIsNotLostWhenTheThreadThatBeganItIsGone) {
  const TestFolder folder;
  const int before = OpenFiles();
  for (int round = 0; round < 20; ++round) {
    ReplaceReactor(&blocking());
    OpenOperation open(folder / absl::StrCat(round), O_CREAT | O_EXCL | O_RDWR);
    StartThread("gone", [&] {
      Submit(open);
      if (round % 2 == 0) PollOnce(Deadline::Immediate());
      reactor().Flush();
    }).join();
    Await(open);
    EXPECT_GE(open.result, 0);
    open.Take();
    ExpectNothingMore();
  }
  EXPECT_EQ(OpenFiles(), before);
}

// --- many ---

TEST_P(ReactorSuite, ManyFilesAreMadeWrittenAndSyncedAtOnce) {
  constexpr int kFiles = 100;
  ThreadExecutor several(4);
  ReplaceReactor(&several);
  const TestFolder folder;
  std::deque<OpenOperation> opens;
  for (int i = 0; i < kFiles; ++i) {
    Submit(opens.emplace_back(folder / absl::StrCat(i), O_CREAT | O_EXCL | O_RDWR));
  }
  for (OpenOperation& open : opens) {
    Await(open);
    ASSERT_GE(open.result, 0);
  }
  std::deque<std::string> contents;
  std::deque<WriteOperation> writes;
  std::deque<SyncOperation> syncs;
  for (int i = 0; i < kFiles; ++i) {
    contents.push_back(Pattern(1000, static_cast<unsigned>(i + 1)));
    Submit(writes.emplace_back(opens[i].result, contents.back(), 0));
    Submit(syncs.emplace_back(opens[i].result));
  }
  for (int i = 0; i < kFiles; ++i) {
    Await(writes[i]);
    Await(syncs[i]);
    EXPECT_EQ(writes[i].result, 1000);
    EXPECT_EQ(syncs[i].result, 0);
    OwnedFd file = opens[i].Take();
    EXPECT_TRUE(FileContent(file.get()) == contents[i]);
    Close(file);
  }
  std::deque<UnlinkOperation> unlinks;
  for (int i = 0; i < kFiles; ++i) Submit(unlinks.emplace_back(folder / absl::StrCat(i)));
  for (UnlinkOperation& unlink : unlinks) {
    Await(unlink);
    EXPECT_EQ(unlink.result, 0);
  }
  ReplaceReactor(nullptr);
}

}  // namespace
}  // namespace plait
