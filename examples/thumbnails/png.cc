#include "plait/examples/thumbnails/png.h"

#include <png.h>

#include <cstddef>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "plait/examples/thumbnails/limits.h"

namespace examples {
namespace {

// The part of libpng that reports errors by returning.
class PngImage {
 public:
  PngImage() { image_.version = PNG_IMAGE_VERSION; }
  PngImage(const PngImage&) = delete;
  PngImage& operator=(const PngImage&) = delete;
  ~PngImage() { png_image_free(&image_); }

  png_image* operator->() { return &image_; }
  png_image* get() { return &image_; }
  absl::Status error() const { return absl::DataLossError(image_.message); }

 private:
  png_image image_ = {};
};

}  // namespace

bool LooksLikePng(absl::string_view file) { return absl::StartsWith(file, "\x89PNG\r\n\x1a\n"); }

absl::StatusOr<Image> DecodePng(absl::string_view file, int64_t max_pixels) {
  PngImage png;
  if (!png_image_begin_read_from_memory(png.get(), file.data(), file.size())) return png.error();
  if (png->width > INT32_MAX || png->height > INT32_MAX) {
    return absl::DataLossError("a side is longer than a PNG's may be");
  }
  Image image;
  image.size = {static_cast<int32_t>(png->width), static_cast<int32_t>(png->height)};
  if (absl::Status status = CheckPixels(image.size, max_pixels); !status.ok()) return status;
  const bool transparent = (png->format & PNG_FORMAT_FLAG_ALPHA) != 0;
  png->format = transparent ? PNG_FORMAT_RGBA : PNG_FORMAT_RGB;
  image.channels = transparent ? 4 : 3;
  image.pixels.resize(size_t{png->width} * png->height * static_cast<size_t>(image.channels));
  if (!png_image_finish_read(png.get(), nullptr, image.pixels.data(), 0, nullptr)) {
    return png.error();
  }
  return image;
}

absl::StatusOr<std::string> EncodePng(const Image& image) {
  PngImage png;
  png->width = static_cast<png_uint_32>(image.size.width);
  png->height = static_cast<png_uint_32>(image.size.height);
  png->format = image.channels == 4 ? PNG_FORMAT_RGBA : PNG_FORMAT_RGB;
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(*png.get());
  std::string file(size, '\0');
  if (!png_image_write_to_memory(png.get(), file.data(), &size, 0, image.pixels.data(), 0,
                                 nullptr)) {
    return png.error();
  }
  file.resize(size);
  return file;
}

}  // namespace examples
