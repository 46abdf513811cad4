// PNG files in memory: decoded and encoded by libpng.
#ifndef PLAIT_EXAMPLES_THUMBNAILS_PNG_H_
#define PLAIT_EXAMPLES_THUMBNAILS_PNG_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "plait/examples/thumbnails/image.h"

namespace examples {

// Whether a file starts as a PNG does.
bool LooksLikePng(absl::string_view file);

// With four channels where the file has transparency, else with three. A damaged file is DataLoss
// with libpng's words; ResourceExhausted, before memory is taken for them, where there are more
// than `max_pixels`.
absl::StatusOr<Image> DecodePng(absl::string_view file, int64_t max_pixels);

absl::StatusOr<std::string> EncodePng(const Image& image);

}  // namespace examples

#endif  // PLAIT_EXAMPLES_THUMBNAILS_PNG_H_
