// Traps: a cancel that races completion; a reference parameter of a lazy task (paths are given as
// temporaries).
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <malloc.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "plait/io/file/file_fixture.h"
#include "plait/io/file/file_system.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_executors.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/runtime/testing/test_folder.h"

namespace plait {
namespace {

using absl::StatusCode;

using RemoveTreeTest = FileTest;

TEST_P(RemoveTreeTest, ATreeGoesWithAllThatIsInItAndNothingThatItsLinksLeadTo) {
  const std::string outside = MakeFolder("outside");
  folder().Write("outside/file", "x");
  const std::string tree = MakeFolder("tree");
  for (const char* path : {"tree/a", "tree/a/b", "tree/c", "tree/\xFF"}) MakeFolder(path);
  for (const char* path : {"tree/file", "tree/a/file", "tree/a/b/file", "tree/a/b/.hidden"}) {
    folder().Write(path, "x");
  }
  Link(outside, "tree/link");
  Link(outside, "tree/a/b/link");
  Link(tree, "tree/loop");
  Link("nowhere", "tree/broken");
  ASSERT_EQ(::mkfifo((folder() / "tree/pipe").c_str(), 0600), 0);
  const absl::Status removed = Do(RemoveTree(tree));
  EXPECT_TRUE(removed.ok()) << removed;
  EXPECT_EQ(folder().Names(), std::vector<std::string>{"outside"});
  EXPECT_EQ(folder().Content("outside/file"), "x");
}

TEST_P(RemoveTreeTest, WhatIsNoDirectoryIsATreeOfOne) {
  const std::string outside = MakeFolder("outside");
  for (const std::string& path : {folder().Write("file", "x"), Link(outside, "link")}) {
    const absl::Status removed = Do(RemoveTree(path));
    EXPECT_TRUE(removed.ok()) << removed;
  }
  EXPECT_EQ(folder().Names(), std::vector<std::string>{"outside"});
}

TEST_P(RemoveTreeTest, ALinkIsATreeOfOneAlsoWithASlashBehindIt) {
  const std::string outside = MakeFolder("outside");
  folder().Write("outside/file", "x");
  for (const char* slashes : {"/", "//"}) {
    const absl::Status link = Do(RemoveTree(Link(outside, "link") + slashes));
    EXPECT_TRUE(link.ok()) << link;
    EXPECT_EQ(folder().Names(), std::vector<std::string>{"outside"});
    EXPECT_EQ(folder().Content("outside/file"), "x");
  }
  MakeFolder("tree");
  folder().Write("tree/file", "x");
  const absl::Status tree = Do(RemoveTree(folder() / "tree//"));
  EXPECT_TRUE(tree.ok()) << tree;
  EXPECT_EQ(folder().Names(), std::vector<std::string>{"outside"});
}

TEST_P(RemoveTreeTest, ATreeMayBeAsDeepAsPathsAreLong) {
  std::string path = folder() / "tree";
  ASSERT_EQ(::mkdir(path.c_str(), 0700), 0);
  while (path.size() + 10 < 4095) {
    path += "/directory";
    ASSERT_EQ(::mkdir(path.c_str(), 0700), 0) << path.size();
  }
  const int before = OpenFiles();
  const absl::Status removed = Do(RemoveTree(folder() / "tree"));
  EXPECT_TRUE(removed.ok()) << removed;
  EXPECT_FALSE(PathExists(folder() / "tree"));
  EXPECT_EQ(OpenFiles(), before);
}

// What the heap has in use when the first name is taken away: of a tree that is one path, the
// deepest.
class HeapAtTheBottom final : public sys::SystemCalls {
 public:
  int Unlink(int directory, const char* path, int flags) noexcept override {
    if (bytes_ == 0) bytes_ = ::mallinfo2().uordblks;
    return SystemCalls::Unlink(directory, path, flags);
  }
  size_t bytes() const { return bytes_; }

 private:
  size_t bytes_ = 0;
};

TEST_P(RemoveTreeTest, ATreeMayBeFarDeeperAndTakesMemoryForItsNamesOnly) {
  constexpr int kDepth = 400;
  const std::string name(250, 'd');
  OwnedFd at(::open(MakeFolder("tree").c_str(), O_RDONLY | O_DIRECTORY));
  for (int i = 0; i < kDepth; ++i) {
    ASSERT_EQ(::mkdirat(at.get(), name.c_str(), 0700), 0);
    at = OwnedFd(::openat(at.get(), name.c_str(), O_RDONLY | O_DIRECTORY));
    ASSERT_GE(at.get(), 0);
  }
  HeapAtTheBottom heap;
  const size_t before = ::mallinfo2().uordblks;
  {
    const CallsInForce scope(*this, heap);
    const absl::Status removed = Do(RemoveTree(folder() / "tree"));
    EXPECT_TRUE(removed.ok()) << removed;
  }
  EXPECT_FALSE(PathExists(folder() / "tree"));
  // Nothing is seen of a sanitizer's heap. A path for each level would be 20 MB.
  EXPECT_LT(heap.bytes(), before + kDepth * 2000);
}

std::string PathOf(int fd) {
  char path[4096];
  const ssize_t size = ::readlink(absl::StrCat("/proc/self/fd/", fd).c_str(), path, sizeof(path));
  return std::string(path, static_cast<size_t>(std::max<ssize_t>(size, 0)));
}

// Calls `before` with each path before its name is taken away.
class WatchedRemovals final : public sys::SystemCalls {
 public:
  explicit WatchedRemovals(std::function<void(const std::string& path)> before)
      : before_(std::move(before)) {}

  int Unlink(int directory, const char* path, int flags) noexcept override {
    before_(directory == AT_FDCWD ? path : absl::StrCat(PathOf(directory), "/", path));
    return SystemCalls::Unlink(directory, path, flags);
  }

 private:
  const std::function<void(const std::string& path)> before_;
};

TEST_P(RemoveTreeTest, WhatSomebodyElseRemovesMeanwhileIsNoError) {
  const std::string tree = MakeFolder("tree");
  MakeFolder("tree/empty");
  for (int i = 0; i < 5; ++i) folder().Write(absl::StrCat("tree/", i), "x");
  WatchedRemovals rival([&](const std::string& path) {
    if (path != tree) ::remove(path.c_str());
  });
  const CallsInForce scope(*this, rival);
  const absl::Status removed = Do(RemoveTree(tree));
  EXPECT_TRUE(removed.ok()) << removed;
  EXPECT_FALSE(PathExists(tree));
}

TEST_P(RemoveTreeTest, WhatSomebodyElseAddsMeanwhileIsAnErrorThatNamesTheDirectory) {
  const std::string tree = MakeFolder("tree");
  folder().Write("tree/file", "x");
  WatchedRemovals rival([&](const std::string& path) {
    if (path == tree) folder().Write("tree/late", "x");
  });
  const CallsInForce scope(*this, rival);
  EXPECT_TRUE(IsError(Do(RemoveTree(tree)), StatusCode::kFailedPrecondition, tree, "ENOTEMPTY"));
}

// Calls `before` with the name of each directory that is about to be opened.
class WatchedOpens final : public sys::SystemCalls {
 public:
  explicit WatchedOpens(std::function<void(absl::string_view name)> before)
      : before_(std::move(before)) {}

  int Open(int directory, const char* path, int flags, unsigned mode) noexcept override {
    before_(path);
    return SystemCalls::Open(directory, path, flags, mode);
  }

 private:
  const std::function<void(absl::string_view name)> before_;
};

TEST_P(RemoveTreeTest, ALinkThatIsPutInADirectorysPlaceLeadsNowhere) {
  const std::string outside = MakeFolder("outside");
  folder().Write("outside/file", "x");
  const std::string tree = MakeFolder("tree");
  const std::string victim = MakeFolder("tree/victim");
  WatchedOpens rival([&](absl::string_view name) {
    if (name != "victim") return;
    ASSERT_EQ(::rename(victim.c_str(), (folder() / "moved").c_str()), 0);
    ASSERT_EQ(::symlink(outside.c_str(), victim.c_str()), 0);
  });
  const CallsInForce scope(*this, rival);
  const absl::Status removed = Do(RemoveTree(tree));
  EXPECT_TRUE(removed.ok()) << removed;
  EXPECT_FALSE(PathExists(tree));
  EXPECT_EQ(folder().Content("outside/file"), "x");
}

TEST_P(RemoveTreeTest, ADirectoryThatIsMovedAwayMeanwhileTakesNothingElsewhereAlong) {
  const std::string outside = MakeFolder("outside");
  folder().Write("outside/file", "x");
  MakeFolder("outside/moved");  // which a removal that went astray would take
  const std::string tree = MakeFolder("tree");
  const std::string moved = MakeFolder("tree/moved");
  folder().Write("tree/moved/file", "x");  // or it would not be entered
  WatchedOpens rival([&](absl::string_view name) {
    if (name != "..") return;
    ASSERT_EQ(::rmdir((outside + "/moved").c_str()), 0);
    ASSERT_EQ(::rename(moved.c_str(), (outside + "/moved").c_str()), 0);
  });
  const CallsInForce scope(*this, rival);
  EXPECT_TRUE(
      IsError(Do(RemoveTree(tree)), StatusCode::kFailedPrecondition, moved, "moved it elsewhere"));
  EXPECT_TRUE(PathExists(outside + "/moved"));
  EXPECT_EQ(folder().Content("outside/file"), "x");
}

TEST_P(RemoveTreeTest, ACancelStopsTheRemovalOfATreeBetweenTwoSteps) {
  const std::string tree = MakeFolder("tree");
  for (int i = 0; i < 10; ++i) folder().Write(absl::StrCat("tree/", i), "x");
  JoinHandle<absl::Status> removing;
  int removals = 0;
  WatchedRemovals canceller([&](const std::string&) {
    if (++removals == 4) removing.Cancel();
  });
  const CallsInForce scope(*this, canceller);
  Event known;  // the handle is, to the thread that removes
  const auto remove = [&]() -> Task<absl::Status> {
    co_await OrReturn(known.Wait());
    co_return co_await RemoveTree(tree);
  };
  const auto body = [&]() -> Task<absl::Status> {
    removing = Spawn(remove());
    known.Set();
    co_return co_await removing;
  };
  EXPECT_TRUE(IsError(RunTask(body), StatusCode::kCancelled, tree, "on the way"));
  int left = 0;
  for (int i = 0; i < 10; ++i) left += PathExists(absl::StrCat(tree, "/", i)) ? 1 : 0;
  EXPECT_EQ(left, 6);
}

// --- what rm -rf refuses, too ---

// Where a test is wrong, or what it tests, nothing is lost.
class NothingIsRemoved final : public sys::SystemCalls {
 public:
  int Unlink(int, const char* path, int) noexcept override {
    ADD_FAILURE() << "would remove " << path;
    return -EPERM;
  }
};

TEST_P(RemoveTreeTest, APathThatEndsInADotOrTwoIsRefusedAndNothingIsRemoved) {
  const std::string outside = MakeFolder("outside");
  folder().Write("outside/file", "x");
  const std::string link = Link(outside, "link");
  NothingIsRemoved guard;
  const CallsInForce scope(*this, guard);
  for (const std::string& path :
       {link + "/.", link + "/./", link + "/..", link + "/.//", outside + "/.", outside + "/../",
        outside + "/./.", std::string("."), std::string(".."), std::string("./"), std::string("/."),
        std::string("/..")}) {
    EXPECT_TRUE(IsError(Do(RemoveTree(path)), StatusCode::kInvalidArgument, path, "ends in"));
  }
  EXPECT_EQ(folder().Content("outside/file"), "x");
}

TEST_P(RemoveTreeTest, NamesThatBeginWithDotsAreNamesLikeOthers) {
  for (const char* name : {"...", ".hidden", "..two", "a.", "b.."}) {
    MakeFolder(name);
    folder().Write(absl::StrCat(name, "/file"), "x");
    const absl::Status removed = Do(RemoveTree(folder() / name));
    EXPECT_TRUE(removed.ok()) << removed;
  }
  EXPECT_TRUE(folder().Names().empty());
}

TEST_P(RemoveTreeTest, TheRootIsRefusedByWhateverNameAndNothingIsRemoved) {
  NothingIsRemoved guard;
  const CallsInForce scope(*this, guard);
  for (const std::string path : {"/", "//", "///"}) {
    EXPECT_TRUE(IsError(Do(RemoveTree(path)), StatusCode::kInvalidArgument, path, "root"));
  }
}

// --- permissions ---

// While this lives, and in threads that start meanwhile, root is held to permissions like anybody.
class HeldToPermissions {
 public:
  HeldToPermissions() { Keep(~((1U << CAP_DAC_OVERRIDE) | (1U << CAP_DAC_READ_SEARCH))); }
  ~HeldToPermissions() { Keep(~0U); }

 private:
  // In force is, of what this thread may have, what is in `kept`.
  static void Keep(uint32_t kept) {
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    __user_cap_data_struct sets[2] = {};
    PLAIT_CHECK(::syscall(SYS_capget, &header, sets) == 0, "capget failed");
    sets[0].effective = sets[0].permitted & kept;
    PLAIT_CHECK(::syscall(SYS_capset, &header, sets) == 0, "capset failed");
  }
};

// The threads that remove are the fixture's, so they start later.
class RemoveTreeByPermissionsTest : private HeldToPermissions, public FileTest {
 protected:
  RemoveTreeByPermissionsTest() {
    const std::string closed = MakeFolder("closed", 0400);
    struct stat status;
    PLAIT_CHECK(::stat((closed + "/.").c_str(), &status) != 0, "the tests have nothing to say");
    PLAIT_CHECK(::rmdir(closed.c_str()) == 0, "rmdir failed");
  }
};

constexpr mode_t kClosed[] = {0400, 0000, 0100, 0200, 0300, 0600};

TEST_P(RemoveTreeByPermissionsTest, ADirectoryThatIsEmptyGoesWhateverItsPermissionsAre) {
  const int before = OpenFiles();
  for (const mode_t permissions : kClosed) {
    const absl::Status removed = Do(RemoveTree(MakeFolder("empty", permissions)));
    EXPECT_TRUE(removed.ok()) << removed;
  }
  const std::string tree = MakeFolder("tree");
  folder().Write("tree/file", "x");
  MakeFolder("tree/below");
  for (const mode_t permissions : kClosed) {
    MakeFolder(absl::StrCat("tree/", permissions), permissions);
    MakeFolder(absl::StrCat("tree/below/", permissions), permissions);
  }
  const absl::Status removed = Do(RemoveTree(tree));
  EXPECT_TRUE(removed.ok()) << removed;
  EXPECT_TRUE(folder().Names().empty());
  EXPECT_EQ(OpenFiles(), before);
}

TEST_P(RemoveTreeByPermissionsTest, WhatMayNotBeLookedIntoOrWrittenToKeepsWhatItHolds) {
  struct Case {
    mode_t permissions;
    const char* named;
  };
  for (const Case& c : {Case{0400, "/file"}, Case{0500, "/file"}, Case{0600, "/file"},
                        Case{0000, ""}, Case{0100, ""}, Case{0300, ""}}) {
    SCOPED_TRACE(c.permissions);
    const std::string tree = MakeFolder("tree");
    const std::string closed = MakeFolder("tree/closed");
    folder().Write("tree/closed/file", "x");
    ASSERT_EQ(::chmod(closed.c_str(), c.permissions), 0);
    EXPECT_TRUE(
        IsError(Do(RemoveTree(tree)), StatusCode::kPermissionDenied, closed + c.named, "EACCES"));
    ASSERT_EQ(::chmod(closed.c_str(), 0700), 0);
    EXPECT_EQ(folder().Content("tree/closed/file"), "x");
    const absl::Status removed = Do(RemoveTree(tree));
    EXPECT_TRUE(removed.ok()) << removed;
  }
}

INSTANTIATE_TEST_SUITE_P(LoopsAndPools, RemoveTreeByPermissionsTest,
                         testing::ValuesIn(LoopsAndPoolsOfTwo()), IoExecutor::Name);
INSTANTIATE_TEST_SUITE_P(LoopsAndPools, RemoveTreeTest, testing::ValuesIn(LoopsAndPoolsOfTwo()),
                         IoExecutor::Name);

}  // namespace
}  // namespace plait
