// Reads over bytes that were read ahead, whatever they come from: what Stream and TlsStream
// (io/tls) have in common. Internal.
//
// A source is a counted pointer to what is read; null: it is closed. It has
//
//   source->buffered()        what was read ahead
//   source->ConsumeRead(n)    takes the first n bytes of that away
//   source->Name()            as errors call it
//   source->CheckRead()       OK where a read may begin
//   ReadAhead(source)         co_await StatusOr<size_t>: waits for more; how much, 0 at the end
#ifndef PLAIT_IO_NET_BUFFERED_READS_H_
#define PLAIT_IO_NET_BUFFERED_READS_H_

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "plait/runtime/task/async_generator.h"
#include "plait/runtime/task/budget.h"
#include "plait/runtime/task/or_return.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/task/task_context.h"

namespace plait::internal {

// Looks for a delimiter in bytes that become more.
class DelimiterSearch {
 public:
  DelimiterSearch(absl::string_view delimiter, size_t limit)
      : delimiter_(delimiter), limit_(limit) {}

  // Where it is in `bytes`, which begin with those of the last time; npos if it is not there yet.
  size_t Find(absl::string_view bytes);
  // Whether what stands before it is too long, where it was found, or wherever it will be.
  bool overrun(size_t at) const { return std::min(at, searched_) > limit_; }

 private:
  const absl::string_view delimiter_;
  const size_t limit_;
  size_t searched_ = 0;  // it does not begin before
};

// FailedPrecondition: `what` was asked of a stream that is closed.
absl::Status StreamIsClosed(absl::string_view what);
absl::Status ReadCancelled(const std::string& name);
// ResourceExhausted: `what` is longer than `limit`.
absl::Status ReadOverrun(const std::string& name, absl::string_view what, size_t limit);
// OutOfRange: the stream ended before what was asked for, after `came`.
absl::Status EndedBeforeSize(const std::string& name, absl::string_view came, size_t size);
absl::Status EndedBeforeDelimiter(const std::string& name, absl::string_view came,
                                  absl::string_view delimiter);
absl::Status NoMoreLines(const std::string& name);
// How ReadOverrun calls what stands before a delimiter.
std::string BeforeDelimiter(absl::string_view delimiter);

// Whether a read may begin: the operations below may not have to wait, and then nobody else asks.
template <class Source>
absl::Status CheckRead(const Source& source) {
  if (!source) return StreamIsClosed("read");
  if (TaskContext::Current()->stop_requested()) return ReadCancelled(source->Name());
  return source->CheckRead();
}

template <class Source>
std::string TakeBuffered(const Source& source, size_t count, size_t skipped = 0) {
  std::string bytes(source->buffered().substr(0, count));
  source->ConsumeRead(count + skipped);
  return bytes;
}

template <class Source>
std::string TakeAllBuffered(const Source& source) {
  return TakeBuffered(source, source->buffered().size());
}

// Empty at the end.
template <class Source>
Task<absl::StatusOr<std::string>> ReadSome(Source source, size_t most) {
  co_await SpendTurn();
  co_await OrReturn(CheckRead(source));
  // Not into a string of that size, which would wait along, and may be anything.
  if (most > 0 && source->buffered().empty()) {
    const size_t more = co_await OrReturn(ReadAhead(source));
    if (more == 0) co_return std::string();
  }
  co_return TakeBuffered(source, std::min(most, source->buffered().size()));
}

template <class Source>
Task<absl::StatusOr<std::string>> ReadExactly(Source source, size_t size) {
  co_await SpendTurn();
  co_await OrReturn(CheckRead(source));
  // A size may come from the peer: memory is taken for bytes that have come.
  while (source->buffered().size() < size) {
    const size_t more = co_await OrReturn(ReadAhead(source));
    if (more > 0) continue;
    absl::Status ended = EndedBeforeSize(source->Name(), source->buffered(), size);
    source->ConsumeRead(source->buffered().size());
    co_return ended;
  }
  co_return TakeBuffered(source, size);
}

template <class Source>
Task<absl::StatusOr<std::string>> ReadUntil(Source source, std::string delimiter, size_t limit) {
  if (delimiter.empty()) {
    co_return absl::InvalidArgumentError("read until a delimiter: the delimiter is empty");
  }
  co_await SpendTurn();
  co_await OrReturn(CheckRead(source));
  DelimiterSearch search(delimiter, limit);
  for (;;) {
    const size_t at = search.Find(source->buffered());
    if (search.overrun(at)) {
      co_return ReadOverrun(source->Name(), BeforeDelimiter(delimiter), limit);
    }
    if (at != absl::string_view::npos) co_return TakeBuffered(source, at + delimiter.size());
    const size_t more = co_await OrReturn(ReadAhead(source));
    if (more == 0) break;
  }
  absl::Status ended = EndedBeforeDelimiter(source->Name(), source->buffered(), delimiter);
  source->ConsumeRead(source->buffered().size());
  co_return ended;
}

// Nothing at the end.
template <class Source>
Task<absl::StatusOr<std::optional<std::string>>> ReadLine(Source source, size_t limit) {
  co_await SpendTurn();
  co_await OrReturn(CheckRead(source));
  DelimiterSearch search("\n", limit);
  for (;;) {
    const size_t at = search.Find(source->buffered());
    if (search.overrun(at)) co_return ReadOverrun(source->Name(), "a line", limit);
    if (at != absl::string_view::npos) co_return TakeBuffered(source, at, 1);
    const size_t more = co_await OrReturn(ReadAhead(source));
    if (more == 0) break;
  }
  if (source->buffered().empty()) co_return std::nullopt;
  co_return TakeAllBuffered(source);
}

// OutOfRange at the end.
template <class Source>
Task<absl::StatusOr<std::string>> ReadNextLine(Source source, size_t limit) {
  // Also where it is closed, which this says.
  std::optional<std::string> line = co_await OrReturn(ReadLine(source, limit));
  if (line.has_value()) co_return *std::move(line);
  co_return NoMoreLines(source->Name());
}

template <class Source>
Task<absl::StatusOr<std::string>> ReadAll(Source source, size_t limit) {
  co_await SpendTurn();
  co_await OrReturn(CheckRead(source));
  for (;;) {
    if (source->buffered().size() > limit) co_return ReadOverrun(source->Name(), "it", limit);
    const size_t more = co_await OrReturn(ReadAhead(source));
    if (more == 0) break;
  }
  co_return TakeAllBuffered(source);
}

template <class Source>
AsyncGenerator<absl::StatusOr<std::string>> ReadLines(Source source, size_t limit) {
  for (;;) {
    // An error ends the generator, as its last item.
    std::optional<std::string> line = co_await OrReturn(ReadLine(source, limit));
    if (!line.has_value()) break;
    const bool more = co_yield *std::move(line);
    if (!more) break;
  }
}

}  // namespace plait::internal

#endif  // PLAIT_IO_NET_BUFFERED_READS_H_
