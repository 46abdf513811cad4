#include "plait/runtime/testing/test_folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/testing/sockets.h"

namespace plait {

TestFolder::TestFolder() {
  const char* const root = ::getenv("TEST_TMPDIR");
  path_ = absl::StrCat(root == nullptr ? "/tmp" : root, "/test.XXXXXX");
  PLAIT_CHECK(::mkdtemp(path_.data()) != nullptr, "mkdtemp failed");
}

TestFolder::~TestFolder() {
  const auto remove = [](const char* path, const struct stat*, int, FTW*) {
    return ::remove(path);
  };
  PLAIT_CHECK(::nftw(path_.c_str(), remove, 16, FTW_DEPTH | FTW_PHYS) == 0, "nftw failed");
}

std::string TestFolder::operator/(absl::string_view name) const {
  return absl::StrCat(path_, "/", name);
}

std::string TestFolder::Write(absl::string_view name, absl::string_view content) const {
  const std::string path = *this / name;
  const OwnedFd file(::open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600));
  PLAIT_CHECK(file.get() >= 0, "open failed");
  WriteAll(file.get(), content);
  return path;
}

std::string TestFolder::Content(absl::string_view name) const {
  const OwnedFd file(::open((*this / name).c_str(), O_RDONLY | O_CLOEXEC));
  PLAIT_CHECK(file.get() >= 0, "open failed");
  return FileContent(file.get());
}

std::vector<std::string> TestFolder::Names() const {
  DIR* const directory = ::opendir(path_.c_str());
  PLAIT_CHECK(directory != nullptr, "opendir failed");
  std::vector<std::string> names;
  while (const dirent* const entry = ::readdir(directory)) names.push_back(entry->d_name);
  ::closedir(directory);
  names.erase(std::remove_if(names.begin(), names.end(),
                             [](const std::string& name) { return name == "." || name == ".."; }),
              names.end());
  std::sort(names.begin(), names.end());
  return names;
}

bool PathExists(const std::string& path) {
  struct stat status;
  return ::lstat(path.c_str(), &status) == 0;
}

}  // namespace plait
