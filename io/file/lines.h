// Lines of a file, one after the other, however large it is.
//
//   plait::AsyncGenerator<absl::StatusOr<std::string>> lines = plait::ReadLines("access.log");
//   while (auto line = co_await lines.Next()) {
//     if (!line->ok()) co_return line->status();
//     Count(**line);
//   }
//
// Each comes without the newline that ends it; the last may have none. Other bytes are left alone,
// also '\r' and NUL. An error (of opening, reading, or ResourceExhausted for a line that is longer
// than `max_length` bytes, with its number) is the last item. Memory: one line and one piece of the
// file. Cancellation: absl::CancelledError is the last item.
#ifndef PLAIT_IO_FILE_LINES_H_
#define PLAIT_IO_FILE_LINES_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "plait/io/file/open_file.h"
#include "plait/runtime/task/async_generator.h"

namespace plait {

struct LinesOptions {
  size_t max_length = 1 << 20;  // bytes, without the newline
};

// The lines from where `file`, which outlives the generator, is; it reads ahead, so the place where
// the file is afterwards says nothing. Nothing else reads from it in order meanwhile.
AsyncGenerator<absl::StatusOr<std::string>> Lines(File& file, LinesOptions options = {});

// The lines of the file at `path`, which is opened with the first Next, and closed at the end or
// when the generator goes.
AsyncGenerator<absl::StatusOr<std::string>> ReadLines(std::string path, LinesOptions options = {});

}  // namespace plait

#endif  // PLAIT_IO_FILE_LINES_H_
