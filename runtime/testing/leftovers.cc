#include "plait/runtime/testing/leftovers.h"

#include <dirent.h>
#include <errno.h>
#include <sys/wait.h>

#include <cstddef>
#include <fstream>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "plait/runtime/core/check.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define PLAIT_SANITIZED 1
#elif defined(__has_feature)
#define PLAIT_SANITIZED (__has_feature(thread_sanitizer) || __has_feature(address_sanitizer))
#else
#define PLAIT_SANITIZED 0
#endif

#if PLAIT_SANITIZED
extern "C" void __sanitizer_symbolize_pc(void* pc, const char* format, char* out, size_t size);
#endif

namespace plait {
namespace {

constexpr bool kSanitized = PLAIT_SANITIZED;

// The descriptors of a sanitizer's symbolizer are there from the first count on, whenever it is
// that the sanitizer has something to look up.
void StartSymbolizer() {
#if PLAIT_SANITIZED
  char name[64];
  __sanitizer_symbolize_pc(__builtin_return_address(0), "%f", name, sizeof(name));
#endif
}

}  // namespace

int OpenDescriptors() {
  StartSymbolizer();
  DIR* const directory = ::opendir("/proc/self/fd");
  PLAIT_CHECK(directory != nullptr, "there is no /proc/self/fd");
  int count = 0;
  while (::readdir(directory) != nullptr) ++count;
  ::closedir(directory);
  return count - 3;  // but for ".", ".." and the one that this was read through
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
