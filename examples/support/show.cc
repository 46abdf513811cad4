#include "plait/examples/support/show.h"

#include <cstddef>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace examples {
namespace {

// How many bytes the character at the start of `text` has, which is not empty; 0 where it is no
// UTF-8. (Which of its long forms are not allowed does not matter here.)
size_t CharacterSize(absl::string_view text) {
  const auto byte = [text](size_t i) { return static_cast<unsigned char>(text[i]); };
  const size_t size = byte(0) < 0x80                      ? 1
                      : byte(0) >= 0xc2 && byte(0) < 0xe0 ? 2
                      : byte(0) >= 0xe0 && byte(0) < 0xf0 ? 3
                      : byte(0) >= 0xf0 && byte(0) < 0xf5 ? 4
                                                          : 0;
  if (size > text.size()) return 0;
  for (size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  return size;
}

// Those of ASCII, and the second set, U+0080 to U+009F: some terminals obey them as well.
bool IsControl(absl::string_view character) {
  const auto first = static_cast<unsigned char>(character[0]);
  if (character.size() == 1) return first < 0x20 || first == 0x7f;
  return first == 0xc2 && static_cast<unsigned char>(character[1]) < 0xa0;
}

}  // namespace

std::string ShowBytes(int64_t bytes) {
  if (bytes < 1024) return absl::StrCat(bytes, " bytes");
  if (bytes < 1024 * 1024) return absl::StrFormat("%.1f KiB", static_cast<double>(bytes) / 1024);
  return absl::StrFormat("%.1f MiB", static_cast<double>(bytes) / (1024 * 1024));
}

std::string ShowText(absl::string_view text) {
  std::string shown;
  while (!text.empty()) {
    const size_t size = CharacterSize(text);
    const absl::string_view character = text.substr(0, size == 0 ? 1 : size);
    if (size == 0 || IsControl(character)) {
      for (const char c : character) {
        absl::StrAppendFormat(&shown, "\\x%02x", static_cast<unsigned char>(c));
      }
    } else {
      absl::StrAppend(&shown, character);
    }
    text.remove_prefix(character.size());
  }
  return shown;
}

}  // namespace examples
