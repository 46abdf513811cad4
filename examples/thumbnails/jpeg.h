// JPEG files in memory: decoded and encoded by libjpeg.
//
// libjpeg reports an error by a long jump out of itself, which here becomes an absl::Status: a
// damaged file is DataLoss with libjpeg's words. It counts as damaged where libjpeg would go on
// with a warning and gray in the place of what is missing. Colours for printing (CMYK) are
// Unimplemented.
#ifndef PLAIT_EXAMPLES_THUMBNAILS_JPEG_H_
#define PLAIT_EXAMPLES_THUMBNAILS_JPEG_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "plait/examples/thumbnails/image.h"

namespace examples {

struct DecodedImage {
  Image image;
  ImageSize original;  // as the file says
};

// Whether a file starts as a JPEG does.
bool LooksLikeJpeg(absl::string_view file);

// ResourceExhausted, before memory is taken for them, where there are more than `max_pixels`. The
// image may come at a half, a quarter or an eighth of its size, which saves most of the work, as
// long as it is not smaller than its thumbnail with sides of `longest` at most. Whether it is to be
// turned, as cameras note, is not looked at.
absl::StatusOr<DecodedImage> DecodeJpeg(absl::string_view file, int64_t max_pixels,
                                        int32_t longest);

// Of an image with three channels. `quality`: 1 to 100.
absl::StatusOr<std::string> EncodeJpeg(const Image& image, int quality);

}  // namespace examples

#endif  // PLAIT_EXAMPLES_THUMBNAILS_JPEG_H_
