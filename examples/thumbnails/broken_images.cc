#include "plait/examples/thumbnails/broken_images.h"

#include <cstddef>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "plait/examples/thumbnails/image.h"
#include "plait/examples/thumbnails/jpeg.h"

namespace examples {
namespace {

// Big-endian.
constexpr absl::string_view kSixtyThousand("\xea\x60", 2);

}  // namespace

std::string PngBomb() {
  // The header with its checksum, and the beginning of the pixels.
  constexpr char kFile[] =
      "\x89PNG\r\n\x1a\n"
      "\0\0\0\x0dIHDR\0\0\xea\x60\0\0\xea\x60\x08\x02\0\0\0\x0f\xb0\xe2\x15"
      "\0\0\x10\0IDAT";
  return std::string(kFile, sizeof(kFile) - 1) + std::string(4096, '\0');
}

std::string JpegBomb() {
  Image image{.size = {16, 16}};
  image.pixels.assign(size_t{16} * 16 * 3, 200);
  std::string file = *EncodeJpeg(image, 90);
  // The start of the frame: the mark, a length, the bits of a sample, height and width.
  const size_t frame = file.find("\xff\xc0");
  file.replace(frame + 5, 2, kSixtyThousand.data(), 2);
  file.replace(frame + 7, 2, kSixtyThousand.data(), 2);
  return file;
}

}  // namespace examples
