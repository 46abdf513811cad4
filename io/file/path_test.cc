#include "plait/io/file/path.h"

#include <string>

#include "absl/status/status.h"
#include "gtest/gtest.h"

namespace plait::internal {
namespace {

TEST(PathTest, APathThatTheSystemCanTakeIsFine) {
  for (const std::string path : {"file", "/", "a/b", " ", "n\xC3\xB6n", "\xFF", "new\nline"}) {
    EXPECT_TRUE(CheckPath("open", path).ok()) << path;
  }
}

TEST(PathTest, AnEmptyPathAndOneWithANulAreRefusedInTheNameOfTheOperation) {
  EXPECT_EQ(CheckPath("open", ""), absl::InvalidArgumentError("open \"\": the path is empty"));
  for (const std::string& path : {std::string("\0", 1), std::string("/tmp/file\0.txt", 14)}) {
    const absl::Status status = CheckPath("rename", path);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_NE(status.message().find("NUL"), absl::string_view::npos) << status;
    EXPECT_EQ(status.message().find('\0'), absl::string_view::npos) << "it is shown escaped";
  }
}

TEST(PathTest, ANameInAnErrorIsPrintableAndUtf8IsLeftAsItIs) {
  EXPECT_EQ(Naming("open", "/a b/n\xC3\xB6n"), "open \"/a b/n\xC3\xB6n\"");
  EXPECT_EQ(Naming("open", "a\n\"b\""), "open \"a\\n\\\"b\\\"\"");
}

TEST(PathTest, ADirectoryAndANameAreJoinedByOneSlash) {
  EXPECT_EQ(JoinPath("a", "b"), "a/b");
  EXPECT_EQ(JoinPath("a/", "b"), "a/b");
  EXPECT_EQ(JoinPath("/", "b"), "/b");
  EXPECT_EQ(JoinPath(".", ".hidden"), "./.hidden");
}

TEST(PathTest, TheParentIsTheDirectoryThatAPathIsIn) {
  EXPECT_EQ(ParentOf("a"), ".");
  EXPECT_EQ(ParentOf("a/"), ".");
  EXPECT_EQ(ParentOf("a/b"), "a");
  EXPECT_EQ(ParentOf("a//b//"), "a");
  EXPECT_EQ(ParentOf("/a"), "/");
  EXPECT_EQ(ParentOf("/a/b/c"), "/a/b");
  EXPECT_EQ(ParentOf("//a"), "/");
  EXPECT_EQ(ParentOf("/"), "/");
  EXPECT_EQ(ParentOf("//"), "/");
}

}  // namespace
}  // namespace plait::internal
