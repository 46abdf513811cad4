// How large an image may be, whatever its file says: a file of a few bytes may stand for gigabytes
// of pixels.
#ifndef PLAIT_EXAMPLES_THUMBNAILS_LIMITS_H_
#define PLAIT_EXAMPLES_THUMBNAILS_LIMITS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "plait/examples/thumbnails/image.h"

namespace examples {

// DataLoss for none, ResourceExhausted for more than `max_pixels`.
inline absl::Status CheckPixels(ImageSize size, int64_t max_pixels) {
  if (size.width <= 0 || size.height <= 0) return absl::DataLossError("it has no pixels");
  if (int64_t{size.width} * size.height <= max_pixels) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat(size.width, " by ", size.height,
                                                   " pixels are more than the ", max_pixels,
                                                   " that an image may have"));
}

}  // namespace examples

#endif  // PLAIT_EXAMPLES_THUMBNAILS_LIMITS_H_
