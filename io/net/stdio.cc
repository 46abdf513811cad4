#include "plait/io/net/stdio.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "plait/io/net/address.h"
#include "plait/io/net/stream_state.h"
#include "plait/io/ops/owned_descriptor.h"
#include "plait/io/system/errno_status.h"
#include "plait/io/system/system_calls.h"

namespace plait {
namespace internal {
namespace {

// Above the standard ones, so that it is not taken for one when those are closed.
constexpr int kLeast = 3;

// The same file, opened anew; negative where that cannot be. Only Linux has the path, and opens
// instead of duplicating.
int OpenAnew(int fd, bool input) {
#if defined(__linux__)
  const std::string path = absl::StrCat("/proc/self/fd/", fd);
  const int flags = (input ? O_RDONLY : O_WRONLY) | O_NONBLOCK | O_NOCTTY;
  return sys::Calls().Open(AT_FDCWD, path.c_str(), flags, 0);
#else
  static_cast<void>(fd), static_cast<void>(input);
  return -1;
#endif
}

}  // namespace

absl::StatusOr<Stream> OpenStandardStream(int fd, bool input) {
  sys::SystemCalls& calls = sys::Calls();
  const int blocking = calls.IsBlocking(fd);
  if (blocking < 0)
    return ErrnoToStatus(blocking, absl::StrCat("open standard stream (fd ", fd, ")"));
  const bool has_position = calls.Seek(fd, 0, SEEK_CUR) >= 0;
  // Opened anew, a file would have a place of its own.
  if (!has_position) {
    if (const int anew = OpenAnew(fd, input); anew >= 0) {
      return Stream(io::OwnedDescriptor(anew));
    }
  }
  const int duplicate = calls.Duplicate(fd, kLeast);
  if (duplicate < 0) {
    return ErrnoToStatus(duplicate, absl::StrCat("open standard stream (fd ", fd, ")"));
  }
  StreamRef state(new StreamState(io::OwnedDescriptor(duplicate), SocketAddress()));
  if (!has_position && blocking != 0) state->BlockAgainAtTheEnd(fd);
  return Stream(std::move(state));
}

}  // namespace internal

absl::StatusOr<Stream> StandardInput() {
  return internal::OpenStandardStream(STDIN_FILENO, /*input=*/true);
}

absl::StatusOr<Stream> StandardOutput() {
  return internal::OpenStandardStream(STDOUT_FILENO, /*input=*/false);
}

absl::StatusOr<Stream> StandardError() {
  return internal::OpenStandardStream(STDERR_FILENO, /*input=*/false);
}

}  // namespace plait
