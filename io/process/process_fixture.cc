#include "plait/io/process/process_fixture.h"

#include <utility>

#include "absl/types/span.h"
#include "plait/io/ops/operations.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/sanitized.h"
#include "plait/runtime/time/sleep.h"

namespace plait {

Share Rounds(int rounds) { return ShareOf(kSanitized ? rounds / 10 : rounds); }

Process StartScript(const std::string& script, bool own_group) {
  ProcessOptions options;
  options.input = options.output = Stdio::Pipe();
  if (own_group) options.group = ProcessOptions::Group::kNew;
  absl::StatusOr<Process> process = Shell(script, std::move(options));
  PLAIT_CHECK(process.ok(), process.status().ToString());
  return *std::move(process);
}

Task<absl::StatusOr<std::string>> ReadSome(io::OwnedDescriptor& pipe) {
  GuardedBuffer buffer(4096);
  const absl::StatusOr<size_t> count = co_await io::Read(pipe.get(), buffer.span());
  if (!count.ok()) co_return count.status();
  co_return std::string(buffer.text(*count));
}

Task<absl::StatusOr<std::string>> ReadLine(io::OwnedDescriptor& pipe) {
  std::string line;
  GuardedBuffer byte(1);
  for (;;) {
    const absl::StatusOr<size_t> count = co_await io::Read(pipe.get(), byte.span());
    if (!count.ok()) co_return count.status();
    if (*count == 0 || *byte.data() == '\n') co_return line;
    line += *byte.data();
  }
}

Task<absl::Status> WriteSome(io::OwnedDescriptor& pipe, std::string text) {
  const GuardedBuffer buffer(text);
  const absl::StatusOr<size_t> count =
      co_await io::Write(pipe.get(), absl::MakeConstSpan(buffer.data(), buffer.size()));
  co_return count.status();
}

Task<void> UntilNoChildren() {
  while (HasChildren()) co_await Yield();
}

}  // namespace plait
