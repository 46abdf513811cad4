// Console: prints line by line, in colour and with a line of progress where a person watches.
//
// Colour: on a terminal, unless the environment variable NO_COLOR is set and not empty
// (no-color.org) or TERM is "dumb". Progress: on a terminal. A pipe or a file gets the plain lines
// and nothing else. Threads: any, at once; a line is never torn.
#ifndef PLAIT_EXAMPLES_SUPPORT_CONSOLE_H_
#define PLAIT_EXAMPLES_SUPPORT_CONSOLE_H_

#include <cstdio>
#include <mutex>
#include <string>

#include "absl/strings/string_view.h"

namespace examples {

enum class Color { kPlain, kBold, kDim, kRed, kGreen, kYellow, kCyan };

class Console {
 public:
  explicit Console(std::FILE* out = stdout);
  Console(const Console&) = delete;
  Console& operator=(const Console&) = delete;
  // Takes the line of progress away.
  ~Console();

  // Prints `text` and ends the line, at once: what happens shows as it happens.
  void Print(absl::string_view text = "", Color color = Color::kPlain);

  // Whether Progress shows anything.
  bool interactive() const { return interactive_; }
  // Shows `text` on the last line, in place of the progress shown before; Print goes above it.
  // Empty takes it away.
  void Progress(absl::string_view text);

 private:
  void Write(absl::string_view text);
  void EraseProgress();

  std::FILE* const out_;
  const bool interactive_;
  const bool colorful_;
  std::mutex mutex_;
  std::string progress_;  // what the last line shows now
};

}  // namespace examples

#endif  // PLAIT_EXAMPLES_SUPPORT_CONSOLE_H_
