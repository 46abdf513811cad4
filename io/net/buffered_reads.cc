#include "plait/io/net/buffered_reads.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "plait/io/net/partial_bytes.h"

namespace plait::internal {

size_t DelimiterSearch::Find(absl::string_view bytes) {
  const size_t at = bytes.find(delimiter_, searched_);
  // Its first part may be there already.
  searched_ = bytes.size() - std::min(bytes.size(), delimiter_.size() - 1);
  return at;
}

absl::Status StreamIsClosed(absl::string_view what) {
  return absl::FailedPreconditionError(absl::StrCat(what, ": the stream is closed"));
}

absl::Status ReadCancelled(const std::string& name) {
  return absl::CancelledError(absl::StrCat("read from ", name, ": cancelled"));
}

absl::Status ReadOverrun(const std::string& name, absl::string_view what, size_t limit) {
  return absl::ResourceExhaustedError(
      absl::StrCat("read from ", name, ": ", what, " is longer than ", limit, " bytes"));
}

absl::Status EndedBeforeSize(const std::string& name, absl::string_view came, size_t size) {
  absl::Status status = absl::OutOfRangeError(absl::StrCat(
      "read from ", name, ": the stream ended after ", came.size(), " of ", size, " bytes"));
  SetPartialBytes(status, came);
  return status;
}

absl::Status EndedBeforeDelimiter(const std::string& name, absl::string_view came,
                                  absl::string_view delimiter) {
  absl::Status status = absl::OutOfRangeError(absl::StrCat(
      "read from ", name, ": the stream ended before \"", absl::CHexEscape(delimiter), "\""));
  SetPartialBytes(status, came);
  return status;
}

absl::Status NoMoreLines(const std::string& name) {
  return absl::OutOfRangeError(absl::StrCat("read from ", name, ": there are no more lines"));
}

std::string BeforeDelimiter(absl::string_view delimiter) {
  return absl::StrCat("what stands before \"", absl::CHexEscape(delimiter), "\"");
}

}  // namespace plait::internal
