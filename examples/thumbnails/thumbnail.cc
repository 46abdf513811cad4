#include "plait/examples/thumbnails/thumbnail.h"

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "absl/status/status.h"
#include "plait/examples/thumbnails/jpeg.h"
#include "plait/examples/thumbnails/png.h"

namespace examples {
namespace {

absl::StatusOr<DecodedImage> Decode(absl::string_view file, const ThumbnailOptions& options) {
  if (LooksLikeJpeg(file)) return DecodeJpeg(file, options.max_pixels, options.longest);
  if (!LooksLikePng(file)) return absl::InvalidArgumentError("neither a JPEG nor a PNG");
  absl::StatusOr<Image> image = DecodePng(file, options.max_pixels);
  if (!image.ok()) return image.status();
  const ImageSize size = image->size;
  return DecodedImage{.image = *std::move(image), .original = size};
}

absl::StatusOr<Thumbnail> MakeThumbnailAndCrash(absl::string_view file, ThumbnailOptions options) {
  const absl::StatusOr<DecodedImage> decoded = Decode(file, options);
  std::fprintf(stderr, "decoder: wrote behind the end of its buffer\n");
  std::abort();
}

}  // namespace

bool LooksLikeImage(absl::string_view file) { return LooksLikeJpeg(file) || LooksLikePng(file); }

absl::StatusOr<Thumbnail> MakeThumbnail(absl::string_view file, ThumbnailOptions options) {
  const absl::StatusOr<DecodedImage> decoded = Decode(file, options);
  if (!decoded.ok()) return decoded.status();
  Thumbnail thumbnail;
  thumbnail.original = decoded->original;
  thumbnail.size = FitWithin(decoded->original, options.longest);
  const Image scaled = ScaleDown(decoded->image, thumbnail.size);
  absl::StatusOr<std::string> encoded =
      LooksLikeJpeg(file) ? EncodeJpeg(scaled, options.quality) : EncodePng(scaled);
  if (!encoded.ok()) return encoded.status();
  thumbnail.file = *std::move(encoded);
  return thumbnail;
}

absl::StatusOr<std::string> DrawSample(int32_t number, int32_t width) {
  const bool is_png = number % 3 == 0;
  Image image{.size = {width, (width * 3 + 3) / 4}, .channels = is_png ? 4 : 3};
  image.pixels.reserve(static_cast<size_t>(width) * static_cast<size_t>(image.size.height) *
                       static_cast<size_t>(image.channels));
  const auto byte = [](int64_t value) { return static_cast<uint8_t>(value & 255); };
  // A sun of its own place and size over a sky that gets brighter towards the ground.
  const int64_t sun_x = width * (1 + number % 5) / 6;
  const int64_t sun_y = image.size.height * (1 + number % 3) / 4;
  const int64_t radius = width / (5 + number % 4) + 1;
  for (int64_t y = 0; y < image.size.height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      const int64_t distance = (x - sun_x) * (x - sun_x) + (y - sun_y) * (y - sun_y);
      const bool in_sun = distance < radius * radius;
      const int64_t light = y * 160 / image.size.height;
      image.pixels.push_back(in_sun ? 250 : byte(40 + light + number * 7 % 50));
      image.pixels.push_back(in_sun ? byte(180 + distance * 60 / (radius * radius))
                                    : byte(60 + light));
      image.pixels.push_back(in_sun ? 60 : byte(120 + x * 100 / width));
      if (is_png) image.pixels.push_back(in_sun ? 255 : byte(255 - light));
    }
  }
  return is_png ? EncodePng(image) : EncodeJpeg(image, 90);
}

plait::FunctionTable ThumbnailFunctions() {
  plait::FunctionTable functions;
  functions.Add(kMakeThumbnail, &MakeThumbnail)
      .Add(kMakeThumbnailAndCrash, &MakeThumbnailAndCrash)
      .Add(kDrawSample, &DrawSample);
  return functions;
}

}  // namespace examples
