#include "plait/runtime/testing/reactor_task_programs.h"

#include <sys/socket.h>

#include <utility>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "plait/io/ops/operations.h"
#include "plait/runtime/testing/guarded_buffer.h"

namespace plait {

Task<absl::StatusOr<std::string>> ReadSome(int fd, size_t size) {
  GuardedBuffer buffer(size);
  const absl::StatusOr<size_t> count = co_await io::Read(fd, buffer.span());
  if (!count.ok()) co_return count.status();
  co_return std::string(buffer.text(*count));
}

Task<absl::StatusOr<std::string>> ReadToEnd(int fd, size_t size_per_read) {
  std::string all;
  for (;;) {
    const absl::StatusOr<std::string> part = co_await ReadSome(fd, size_per_read);
    if (!part.ok()) co_return part.status();
    if (part->empty()) co_return all;
    all += *part;
  }
}

Task<absl::StatusOr<std::string>> ReadThisMuch(int fd, size_t size) {
  std::string all;
  while (all.size() < size) {
    const absl::StatusOr<std::string> part = co_await ReadSome(fd, size - all.size());
    if (!part.ok()) co_return part.status();
    if (part->empty()) break;
    all += *part;
  }
  co_return all;
}

Task<absl::Status> WriteEverything(int fd, std::string data) {
  const GuardedBuffer buffer(data);
  absl::string_view rest = buffer.text(data.size());
  while (!rest.empty()) {
    const absl::StatusOr<size_t> count =
        co_await io::Write(fd, absl::MakeConstSpan(rest.data(), rest.size()));
    if (!count.ok()) co_return count.status();
    rest.remove_prefix(*count);
  }
  co_return absl::OkStatus();
}

Task<absl::Status> WriteAndShutDown(int fd, std::string data) {
  absl::Status written = co_await WriteEverything(fd, std::move(data));
  ::shutdown(fd, SHUT_WR);
  co_return written;
}

}  // namespace plait
