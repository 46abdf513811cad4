#include "plait/io/process/communicate.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "plait/io/ops/operations.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/task/gather.h"

namespace plait::internal {
namespace {

// What a pipe holds at most, unless somebody made it larger.
constexpr size_t kReadSize = size_t{64} << 10;

absl::Status About(const ProcessState& state, absl::string_view what, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat(what, state.name(), ": ", status.message()));
}

// Of a transfer that was cut short. First the process is killed: it must not take the end of its
// input, which comes with the close, for that of the whole. Each transfer closes its own pipe, as
// it is on the thread whose reactor knows it.
Task<void> End(ProcessState& state, io::OwnedDescriptor& pipe, const absl::Status& outcome) {
  if (!outcome.ok()) {
    const absl::Status killed = state.Kill();
    static_cast<void>(killed);  // if not, KillAndReap sees to it
  }
  const absl::Status closed = co_await pipe.Close();
  static_cast<void>(closed);
}

Task<absl::Status> WriteAll(ProcessState& state, io::OwnedDescriptor& pipe,
                            absl::string_view text) {
  absl::Status outcome;
  while (!text.empty()) {
    const absl::StatusOr<size_t> count =
        co_await io::Write(pipe.get(), absl::MakeConstSpan(text.data(), text.size()));
    // EPIPE: it wants no more, or has ended. The descriptor is ours, so nothing else is wrong.
    if (absl::IsFailedPrecondition(count.status())) break;
    if (!count.ok()) {
      outcome = About(state, "write to ", count.status());
      break;
    }
    text.remove_prefix(*count);
  }
  co_await End(state, pipe, outcome);
  co_return outcome;
}

// `left`: how many bytes may still come, through this pipe and the other.
Task<absl::Status> ReadAll(ProcessState& state, io::OwnedDescriptor& pipe, std::string& all,
                           Atomic<int64_t>& left) {
  absl::Status outcome;
  size_t size = 0;
  for (;;) {
    // Grows by doubling, so that what was read is not copied too often.
    if (all.size() - size < kReadSize / 2) all.resize(size + std::max(size, kReadSize));
    const absl::StatusOr<size_t> count =
        co_await io::Read(pipe.get(), absl::MakeSpan(&all[size], all.size() - size));
    if (!count.ok()) {
      outcome = About(state, "read from ", count.status());
      break;
    }
    if (*count == 0) break;
    size += *count;
    const auto moved = static_cast<int64_t>(*count);
    if (left.fetch_sub(moved, kRelaxed) < moved) {
      outcome = absl::ResourceExhaustedError(
          absl::StrCat("read from ", state.name(), ": it said more than max_output allows"));
      break;
    }
  }
  all.resize(size);
  co_await End(state, pipe, outcome);
  co_return outcome;
}

}  // namespace

Task<absl::StatusOr<ProcessOutput>> Communicate(std::shared_ptr<ProcessState> state,
                                                io::OwnedDescriptor input,
                                                io::OwnedDescriptor output,
                                                io::OwnedDescriptor error, std::string text,
                                                size_t max_output) {
  if (!text.empty() && !input.valid()) {
    co_return absl::FailedPreconditionError(
        absl::StrCat("communicate with ", state->name(),
                     ": there is no pipe to its standard input; see ProcessOptions::input"));
  }
  ProcessOutput result;
  constexpr size_t kMost = std::numeric_limits<int64_t>::max();
  Atomic<int64_t> left{static_cast<int64_t>(std::min(max_output, kMost))};
  std::vector<Task<absl::Status>> transfers;
  if (input.valid()) transfers.push_back(WriteAll(*state, input, text));
  if (output.valid()) {
    transfers.push_back(ReadAll(*state, output, result.output, left));
  }
  if (error.valid()) transfers.push_back(ReadAll(*state, error, result.error, left));
  absl::Status transferred = co_await Gather(std::move(transfers));
  if (transferred.ok()) {
    const absl::StatusOr<ExitStatus> ended = co_await WaitForExit(state);
    if (ended.ok()) {
      result.status = *ended;
      co_return result;
    }
    transferred = ended.status();
  }
  co_await KillAndReap(state);
  co_return transferred;
}

}  // namespace plait::internal
