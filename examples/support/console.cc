#include "plait/examples/support/console.h"

#include <unistd.h>

#include <cstdlib>

#include "absl/strings/str_cat.h"

namespace examples {
namespace {

absl::string_view Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool IsTerminal(std::FILE* out) {
  return isatty(fileno(out)) == 1 && Environment("TERM") != "dumb";
}

absl::string_view Code(Color color) {
  switch (color) {
    case Color::kPlain:
      return "";
    case Color::kBold:
      return "\x1b[1m";
    case Color::kDim:
      return "\x1b[2m";
    case Color::kRed:
      return "\x1b[31m";
    case Color::kGreen:
      return "\x1b[32m";
    case Color::kYellow:
      return "\x1b[33m";
    case Color::kCyan:
      return "\x1b[36m";
  }
  return "";
}

}  // namespace

Console::Console(std::FILE* out)
    : out_(out),
      interactive_(IsTerminal(out)),
      colorful_(interactive_ && Environment("NO_COLOR").empty()) {}

Console::~Console() { Progress(""); }

void Console::Print(absl::string_view text, Color color) {
  const bool painted = colorful_ && color != Color::kPlain;
  const std::string line =
      painted ? absl::StrCat(Code(color), text, "\x1b[0m\n") : absl::StrCat(text, "\n");
  std::lock_guard<std::mutex> lock(mutex_);
  EraseProgress();
  Write(line);
  Write(progress_);
  std::fflush(out_);
}

void Console::Progress(absl::string_view text) {
  if (!interactive_) return;
  std::lock_guard<std::mutex> lock(mutex_);
  EraseProgress();
  progress_ = std::string(text);
  Write(progress_);
  std::fflush(out_);
}

void Console::EraseProgress() {
  // To the start of the line, and clear what follows.
  if (!progress_.empty()) Write("\r\x1b[K");
}

void Console::Write(absl::string_view text) { std::fwrite(text.data(), 1, text.size(), out_); }

}  // namespace examples
