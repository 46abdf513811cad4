#include "plait/io/file/lines.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "plait/io/file/path.h"
#include "plait/runtime/task/or_return.h"

namespace plait {
namespace {

// A file's bytes, piece after piece, and the lines in them.
class LineBuffer {
 public:
  explicit LineBuffer(size_t max_length) : max_length_(max_length) {}

  // Takes the next whole line; false when there is none yet.
  bool Take(std::string* line) {
    const size_t length = absl::string_view(buffer_.data(), filled_).substr(searched_).find('\n');
    if (length == absl::string_view::npos) {
      searched_ = filled_;
      return false;
    }
    const size_t end = searched_ + length;
    line->assign(buffer_, begin_, end - begin_);
    begin_ = searched_ = end + 1;
    return true;
  }
  // What follows the last newline, at the end of the file; false when nothing does.
  bool TakeRest(std::string* line) {
    if (begin_ == filled_) return false;
    line->assign(buffer_, begin_, filled_ - begin_);
    begin_ = filled_;
    return true;
  }
  // Whether the line that has not ended is too long already.
  bool overlong() const { return filled_ - begin_ > max_length_; }

  // Room for the next bytes, once there is no whole line; and how many of them came.
  absl::Span<char> Room() {
    std::copy(buffer_.begin() + static_cast<ptrdiff_t>(begin_),
              buffer_.begin() + static_cast<ptrdiff_t>(filled_), buffer_.begin());
    filled_ -= begin_;
    searched_ -= begin_;
    begin_ = 0;
    if (buffer_.size() < filled_ + kPiece) buffer_.resize(filled_ + kPiece);
    return absl::MakeSpan(buffer_.data() + filled_, kPiece);
  }
  void Filled(size_t count) { filled_ += count; }

 private:
  static constexpr size_t kPiece = 64 * 1024;

  const size_t max_length_;
  std::string buffer_;
  size_t begin_ = 0;     // of the line that comes next
  size_t searched_ = 0;  // no newline from there to here
  size_t filled_ = 0;    // behind it are old bytes
};

absl::Status Overlong(const File& file, int64_t number, const LinesOptions& options) {
  return absl::ResourceExhaustedError(absl::StrCat(internal::Naming("read", file.path()), ": line ",
                                                   number, " is longer than ", options.max_length,
                                                   " bytes"));
}

}  // namespace

AsyncGenerator<absl::StatusOr<std::string>> Lines(File& file, LinesOptions options) {
  LineBuffer buffer(options.max_length);
  int64_t number = 1;
  std::string line;
  bool more = true;
  while (more) {
    const size_t count = co_await OrReturn(file.Read(buffer.Room()));
    buffer.Filled(count);
    if (count == 0) break;
    while (more && buffer.Take(&line)) {
      if (line.size() > options.max_length) {
        co_yield Overlong(file, number, options);
        co_return;
      }
      ++number;
      more = co_yield std::move(line);
    }
    if (more && buffer.overlong()) {
      co_yield Overlong(file, number, options);
      co_return;
    }
  }
  if (more && buffer.TakeRest(&line)) co_yield std::move(line);
}

AsyncGenerator<absl::StatusOr<std::string>> ReadLines(std::string path, LinesOptions options) {
  File file = co_await OrReturn(OpenFile(std::move(path)));
  AsyncGenerator<absl::StatusOr<std::string>> lines = Lines(file, options);
  bool more = true;
  while (more) {
    auto line = co_await lines.Next();
    if (!line.has_value()) break;
    more = co_yield *std::move(line);
  }
  const absl::Status closed = co_await file.Close();
  static_cast<void>(closed);  // nothing was written
}

}  // namespace plait
