#include "plait/examples/thumbnails/image.h"

#include <algorithm>
#include <cstddef>

namespace examples {
namespace {

// How much of a pixel of the source lies in one of the result, along one side.
struct Part {
  int64_t source;
  int64_t result;
  uint64_t weight;  // of all that lie in one result: `from` together
};

// On a ruler of from * to units a pixel of the source is `to` long and one of the result `from`:
// where either ends, a part does.
std::vector<Part> Divide(int64_t from, int64_t to) {
  std::vector<Part> parts;
  for (int64_t at = 0; at < from * to;) {
    const int64_t source = at / to;
    const int64_t result = at / from;
    const int64_t end = std::min((source + 1) * to, (result + 1) * from);
    parts.push_back({source, result, static_cast<uint64_t>(end - at)});
    at = end;
  }
  return parts;
}

uint8_t Divided(uint64_t sum, uint64_t by) {
  return by == 0 ? 0 : static_cast<uint8_t>((sum + by / 2) / by);
}

// Adds a row of the source up, for each column of the result.
void AddUpRow(const uint8_t* pixels, int channels, const std::vector<Part>& columns,
              std::vector<uint64_t>& sums) {
  std::fill(sums.begin(), sums.end(), 0);
  const auto step = static_cast<size_t>(channels);
  for (const Part& part : columns) {
    const uint8_t* const pixel = pixels + static_cast<size_t>(part.source) * step;
    uint64_t* const sum = sums.data() + static_cast<size_t>(part.result) * step;
    const uint64_t color_weight = channels == 4 ? part.weight * pixel[3] : part.weight;
    for (int c = 0; c < 3; ++c) sum[c] += color_weight * pixel[c];
    if (channels == 4) sum[3] += color_weight;
  }
}

// The sums over the area of each pixel as the pixels of a row.
void DivideRow(const std::vector<uint64_t>& sums, int channels, uint64_t area, uint8_t* pixels) {
  for (size_t at = 0; at < sums.size(); at += static_cast<size_t>(channels)) {
    const uint64_t* const sum = sums.data() + at;
    const uint64_t color_weight = channels == 4 ? sum[3] : area;
    for (int c = 0; c < 3; ++c) *pixels++ = Divided(sum[c], color_weight);
    if (channels == 4) *pixels++ = Divided(sum[3], area);
  }
}

}  // namespace

ImageSize FitWithin(ImageSize size, int32_t longest) {
  const int64_t longer = std::max(size.width, size.height);
  if (longer <= longest) return size;
  const auto scaled = [&](int64_t side) {
    return static_cast<int32_t>(std::max<int64_t>(1, (side * longest + longer / 2) / longer));
  };
  return {scaled(size.width), scaled(size.height)};
}

Image ScaleDown(const Image& image, ImageSize size) {
  const std::vector<Part> columns = Divide(image.size.width, size.width);
  const std::vector<Part> rows = Divide(image.size.height, size.height);
  const auto channels = static_cast<size_t>(image.channels);
  const size_t source_row = static_cast<size_t>(image.size.width) * channels;
  const size_t result_row = static_cast<size_t>(size.width) * channels;
  const uint64_t area =
      static_cast<uint64_t>(image.size.width) * static_cast<uint64_t>(image.size.height);

  Image result{.size = size, .channels = image.channels};
  result.pixels.resize(result_row * static_cast<size_t>(size.height));
  std::vector<uint64_t> row_sums(result_row);
  std::vector<uint64_t> sums(result_row, 0);
  int64_t added_up = -1;
  for (size_t i = 0; i < rows.size(); ++i) {
    const Part& part = rows[i];
    if (part.source != added_up) {
      AddUpRow(image.pixels.data() + static_cast<size_t>(part.source) * source_row, image.channels,
               columns, row_sums);
      added_up = part.source;
    }
    for (size_t at = 0; at < sums.size(); ++at) sums[at] += part.weight * row_sums[at];
    if (i + 1 < rows.size() && rows[i + 1].result == part.result) continue;
    DivideRow(sums, image.channels, area,
              result.pixels.data() + static_cast<size_t>(part.result) * result_row);
    std::fill(sums.begin(), sums.end(), 0);
  }
  return result;
}

}  // namespace examples
