// Image: pixels in memory; and how an image is made smaller.
#ifndef PLAIT_EXAMPLES_THUMBNAILS_IMAGE_H_
#define PLAIT_EXAMPLES_THUMBNAILS_IMAGE_H_

#include <cstdint>
#include <vector>

namespace examples {

struct ImageSize {
  int32_t width = 0;
  int32_t height = 0;

  friend bool operator==(const ImageSize&, const ImageSize&) = default;
};

struct Image {
  ImageSize size;
  // 3: red, green and blue; 4: and alpha, by which the colours are not multiplied.
  int channels = 3;
  std::vector<uint8_t> pixels;  // row after row from the top, without gaps
};

// The size of `size` made smaller, with its proportions, until no side is longer than `longest`,
// which is 1 at least. Nothing gets larger, and no side shorter than 1.
ImageSize FitWithin(ImageSize size, int32_t longest);

// `image` at `size`, no side of which is longer than it was. Each pixel is the mean of the area
// that it covers, pixels at the edge of which count in part; where there is alpha, colours count by
// it, so that what cannot be seen lends no colour. Exact, but for the last rounding.
Image ScaleDown(const Image& image, ImageSize size);

}  // namespace examples

#endif  // PLAIT_EXAMPLES_THUMBNAILS_IMAGE_H_
