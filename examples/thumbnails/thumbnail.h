// A thumbnail of an image file: what the worker processes do. Nothing here waits or knows of tasks.
#ifndef PLAIT_EXAMPLES_THUMBNAILS_THUMBNAIL_H_
#define PLAIT_EXAMPLES_THUMBNAILS_THUMBNAIL_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "plait/examples/thumbnails/image.h"
#include "plait/schedulers/process_pool/codec.h"
#include "plait/schedulers/process_pool/function_table.h"
#include "plait/schedulers/process_pool/process_function.h"

namespace examples {

struct ThumbnailOptions {
  int32_t longest = 160;             // pixels of the longer side
  int32_t quality = 85;              // of a JPEG
  int64_t max_pixels = 100'000'000;  // of the image
};

struct Thumbnail {
  std::string file;  // of the image's own kind
  ImageSize size;
  ImageSize original;
};

// What the beginning of a file, 8 bytes or more, says: is it one that MakeThumbnail knows?
bool LooksLikeImage(absl::string_view file);

// DataLoss for a damaged file, ResourceExhausted for too many pixels, InvalidArgument for what is
// no image, Unimplemented for colours that are none of a screen's.
absl::StatusOr<Thumbnail> MakeThumbnail(absl::string_view file, ThumbnailOptions options);

// A JPEG, or a PNG with transparency, that nobody has to take a photograph for: number `number` of
// as many as one likes, `width` pixels wide and three quarters of that high.
absl::StatusOr<std::string> DrawSample(int32_t number, int32_t width);

// As a process pool calls them.
inline constexpr plait::ProcessFunction<Thumbnail(absl::string_view, ThumbnailOptions)>
    kMakeThumbnail("make_thumbnail");
// The same by a decoder with a mistake, as decoders of images have had: it ends the process.
inline constexpr plait::ProcessFunction<Thumbnail(absl::string_view, ThumbnailOptions)>
    kMakeThumbnailAndCrash("make_thumbnail_and_crash");
inline constexpr plait::ProcessFunction<std::string(int32_t, int32_t)> kDrawSample("draw_sample");

plait::FunctionTable ThumbnailFunctions();

}  // namespace examples

template <>
struct plait::Codec<examples::Thumbnail>
    : plait::FieldsCodec<examples::Thumbnail, &examples::Thumbnail::file,
                         &examples::Thumbnail::size, &examples::Thumbnail::original> {};

#endif  // PLAIT_EXAMPLES_THUMBNAILS_THUMBNAIL_H_
