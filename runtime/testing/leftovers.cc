#include "plait/runtime/testing/leftovers.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cstddef>
#include <fstream>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/testing/sanitized.h"

// Null without a sanitizer.
extern "C" [[gnu::weak]] void __sanitizer_symbolize_pc(void* pc, const char* format, char* out,
                                                       size_t size);

namespace plait {
namespace {

// The descriptors of a sanitizer's symbolizer are there from the first count on, whenever it is
// that the sanitizer has something to look up.
void StartSymbolizer() {
  if (!kSanitized || __sanitizer_symbolize_pc == nullptr) return;
  char name[64];
  __sanitizer_symbolize_pc(__builtin_return_address(0), "%f", name, sizeof(name));
}

template <class Counts>
int CountDescriptors(Counts counts) {
  StartSymbolizer();
  DIR* const directory = ::opendir("/proc/self/fd");
  PLAIT_CHECK(directory != nullptr, "there is no /proc/self/fd");
  int count = 0;
  while (const dirent* const entry = ::readdir(directory)) {
    int fd = -1;
    // Not "." and "..", nor the one that this is read through.
    if (!absl::SimpleAtoi(entry->d_name, &fd) || fd == ::dirfd(directory)) continue;
    if (counts(fd)) ++count;
  }
  ::closedir(directory);
  return count;
}

}  // namespace

int OpenDescriptors() {
  return CountDescriptors([](int) { return true; });
}

int OpenSockets() {
  return CountDescriptors([](int fd) {
    struct stat status = {};
    return ::fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode);
  });
}

int OpenFiles() {
  return CountDescriptors([](int fd) {
    struct stat status = {};
    return ::fstat(fd, &status) == 0 && (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode));
  });
}

namespace {

// The symbolizer that a sanitizer starts when it first has something to say, and keeps.
bool IsSanitizers(int pid) {
  std::string name;
  std::ifstream comm(absl::StrCat("/proc/", pid, "/comm"));
  std::getline(comm, name);
  return absl::StartsWith(name, "llvm-symbolizer");
}

}  // namespace

bool HasChildren() {
  siginfo_t info = {};
  if (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 && errno == ECHILD) return false;
  if (!kSanitized) return true;
  // Each thread has those that it made. Where the system does not list them, that answer stands.
  DIR* const threads = ::opendir("/proc/self/task");
  PLAIT_CHECK(threads != nullptr, "there is no /proc/self/task");
  bool listed = false;
  bool found = false;
  while (const dirent* const thread = ::readdir(threads)) {
    if (thread->d_name[0] == '.') continue;
    std::ifstream children(absl::StrCat("/proc/self/task/", thread->d_name, "/children"));
    listed |= children.is_open();
    for (int pid = 0; children >> pid;) found |= !IsSanitizers(pid);
  }
  ::closedir(threads);
  return found || !listed;
}

}  // namespace plait
