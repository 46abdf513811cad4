// How the examples show what they did not choose themselves.
#ifndef PLAIT_EXAMPLES_SUPPORT_SHOW_H_
#define PLAIT_EXAMPLES_SUPPORT_SHOW_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace examples {

// "17 bytes", "1.5 KiB", "1.5 MiB".
std::string ShowBytes(int64_t bytes);

// `text` in one line that does nothing to a terminal: a file's name, or what another program said,
// may hold sequences that move the cursor, or worse. Control characters, and bytes that are no
// UTF-8, become \x1b and the like; everything else stays as it is.
std::string ShowText(absl::string_view text);

}  // namespace examples

#endif  // PLAIT_EXAMPLES_SUPPORT_SHOW_H_
