#include "plait/io/net/stream_reading.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "plait/io/net/partial_bytes.h"
#include "plait/io/net/stream_read.h"
#include "plait/runtime/task/budget.h"
#include "plait/runtime/task/or_return.h"
#include "plait/runtime/task/task_context.h"

namespace plait::internal {
namespace {

// Looks for a delimiter in bytes that become more.
class Search {
 public:
  Search(absl::string_view delimiter, size_t limit) : delimiter_(delimiter), limit_(limit) {}

  // Where it is in `bytes`, which begin with those of the last time; npos if it is not there yet.
  size_t Find(absl::string_view bytes) {
    const size_t at = bytes.find(delimiter_, searched_);
    // Its first part may be there already.
    searched_ = bytes.size() - std::min(bytes.size(), delimiter_.size() - 1);
    return at;
  }
  // Whether what stands before it is too long, where it was found, or wherever it will be.
  bool overrun(size_t at) const { return std::min(at, searched_) > limit_; }

 private:
  const absl::string_view delimiter_;
  const size_t limit_;
  size_t searched_ = 0;  // it does not begin before
};

absl::Status Overrun(const StreamState& state, absl::string_view what, size_t limit) {
  return absl::ResourceExhaustedError(
      absl::StrCat("read from ", state.Name(), ": ", what, " is longer than ", limit, " bytes"));
}

// Whether a read may begin: the operations below may not have to wait, and then nobody else asks,
// and nobody else would give others their turn.
absl::Status Check(const StreamRef& state) {
  if (!state) return StreamIsClosed("read");
  if (TaskContext::Current()->stop_requested()) {
    return absl::CancelledError(absl::StrCat("read from ", state->Name(), ": cancelled"));
  }
  return state->CheckRead();
}

std::string Take(StreamState& state, size_t count, size_t skipped = 0) {
  std::string bytes(state.buffered().substr(0, count));
  state.ConsumeRead(count + skipped);
  return bytes;
}

StreamFillAwaitable<false> Fill(const StreamRef& state) {
  return StreamFillAwaitable<false>(state);
}

}  // namespace

absl::Status StreamIsClosed(absl::string_view what) {
  return absl::FailedPreconditionError(absl::StrCat(what, ": the stream is closed"));
}

Task<absl::StatusOr<std::string>> ReadStreamSome(StreamRef state, size_t most) {
  co_await SpendTurn();
  co_await OrReturn(Check(state));
  // Not into a string of that size, which would wait along, and may be anything.
  if (most > 0 && state->buffered().empty()) {
    const size_t more = co_await OrReturn(Fill(state));
    if (more == 0) co_return std::string();
  }
  co_return Take(*state.get(), std::min(most, state->buffered().size()));
}

Task<absl::StatusOr<std::string>> ReadStreamExactly(StreamRef state, size_t size) {
  co_await SpendTurn();
  co_await OrReturn(Check(state));
  // A size may come from the peer: memory is taken for bytes that have come.
  while (state->buffered().size() < size) {
    const size_t more = co_await OrReturn(Fill(state));
    if (more > 0) continue;
    absl::Status ended =
        absl::OutOfRangeError(absl::StrCat("read from ", state->Name(), ": the stream ended after ",
                                           state->buffered().size(), " of ", size, " bytes"));
    SetPartialBytes(ended, Take(*state.get(), state->buffered().size()));
    co_return ended;
  }
  co_return Take(*state.get(), size);
}

Task<absl::StatusOr<std::string>> ReadStreamUntil(StreamRef state, std::string delimiter,
                                                  size_t limit) {
  if (delimiter.empty()) {
    co_return absl::InvalidArgumentError("read until a delimiter: the delimiter is empty");
  }
  co_await SpendTurn();
  co_await OrReturn(Check(state));
  Search search(delimiter, limit);
  for (;;) {
    const size_t at = search.Find(state->buffered());
    if (search.overrun(at)) {
      co_return Overrun(*state.get(),
                        absl::StrCat("what stands before \"", absl::CHexEscape(delimiter), "\""),
                        limit);
    }
    if (at != absl::string_view::npos) co_return Take(*state.get(), at + delimiter.size());
    const size_t more = co_await OrReturn(Fill(state));
    if (more == 0) break;
  }
  absl::Status ended = absl::OutOfRangeError(absl::StrCat("read from ", state->Name(),
                                                          ": the stream ended before \"",
                                                          absl::CHexEscape(delimiter), "\""));
  SetPartialBytes(ended, Take(*state.get(), state->buffered().size()));
  co_return ended;
}

Task<absl::StatusOr<std::optional<std::string>>> ReadStreamLine(StreamRef state, size_t limit) {
  co_await SpendTurn();
  co_await OrReturn(Check(state));
  Search search("\n", limit);
  for (;;) {
    const size_t at = search.Find(state->buffered());
    if (search.overrun(at)) co_return Overrun(*state.get(), "a line", limit);
    if (at != absl::string_view::npos) co_return Take(*state.get(), at, 1);
    const size_t more = co_await OrReturn(Fill(state));
    if (more == 0) break;
  }
  if (state->buffered().empty()) co_return std::nullopt;
  co_return Take(*state.get(), state->buffered().size());
}

Task<absl::StatusOr<std::string>> ReadStreamAll(StreamRef state, size_t limit) {
  co_await SpendTurn();
  co_await OrReturn(Check(state));
  for (;;) {
    if (state->buffered().size() > limit) co_return Overrun(*state.get(), "it", limit);
    const size_t more = co_await OrReturn(Fill(state));
    if (more == 0) break;
  }
  co_return Take(*state.get(), state->buffered().size());
}

AsyncGenerator<absl::StatusOr<std::string>> StreamLines(StreamRef state, size_t limit) {
  bool more = true;
  while (more) {
    // An error ends the generator, as its last item.
    std::optional<std::string> line = co_await OrReturn(ReadStreamLine(state, limit));
    if (!line.has_value()) break;
    more = co_yield *std::move(line);
  }
}

}  // namespace plait::internal
