#include "plait/examples/thumbnails/thumbnail.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/examples/thumbnails/broken_images.h"
#include "plait/examples/thumbnails/jpeg.h"
#include "plait/examples/thumbnails/png.h"

namespace examples {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kManyPixels = 100'000'000;

// Its colours change by little from pixel to pixel, as a JPEG likes it.
Image Smooth(ImageSize size, int channels) {
  Image image{.size = size, .channels = channels};
  for (int32_t y = 0; y < size.height; ++y) {
    for (int32_t x = 0; x < size.width; ++x) {
      image.pixels.push_back(static_cast<uint8_t>(x * 255 / size.width));
      image.pixels.push_back(static_cast<uint8_t>(y * 255 / size.height));
      image.pixels.push_back(128);
      if (channels == 4) image.pixels.push_back(static_cast<uint8_t>(255 - x * 255 / size.width));
    }
  }
  return image;
}

int Difference(const Image& a, const Image& b) {
  EXPECT_EQ(a.pixels.size(), b.pixels.size());
  int worst = 0;
  for (size_t i = 0; i < std::min(a.pixels.size(), b.pixels.size()); ++i) {
    worst = std::max(worst, std::abs(a.pixels[i] - b.pixels[i]));
  }
  return worst;
}

TEST(Png, EveryPixelSurvives) {
  for (const int channels : {3, 4}) {
    const Image image = Smooth({37, 11}, channels);
    const absl::StatusOr<Image> back = DecodePng(*EncodePng(image), kManyPixels);
    ASSERT_TRUE(back.ok()) << back.status();
    EXPECT_EQ(back->size, image.size);
    EXPECT_EQ(back->channels, channels);
    EXPECT_EQ(back->pixels, image.pixels);
  }
}

TEST(Jpeg, PixelsSurviveMoreOrLess) {
  const Image image = Smooth({64, 48}, 3);
  const absl::StatusOr<DecodedImage> back = DecodeJpeg(*EncodeJpeg(image, 95), kManyPixels, 64);
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(back->original, image.size);
  EXPECT_EQ(back->image.size, image.size);
  EXPECT_LE(Difference(back->image, image), 12);
}

TEST(Jpeg, ItComesSmallerButNotSmallerThanItsThumbnail) {
  const std::string file = *EncodeJpeg(Smooth({800, 600}, 3), 90);
  const auto decoded_width = [&](int32_t longest) {
    const absl::StatusOr<DecodedImage> decoded = DecodeJpeg(file, kManyPixels, longest);
    EXPECT_EQ(decoded->original, (ImageSize{800, 600}));
    return decoded->image.size.width;
  };
  EXPECT_EQ(decoded_width(1000), 800);
  EXPECT_EQ(decoded_width(401), 800);
  EXPECT_EQ(decoded_width(400), 400);
  EXPECT_EQ(decoded_width(101), 200);
  EXPECT_EQ(decoded_width(100), 100);
  EXPECT_EQ(decoded_width(1), 100);
}

TEST(MakeThumbnail, ItIsOfTheImagesKindAndFitsTheOptions) {
  const Image image = Smooth({640, 320}, 3);
  const absl::StatusOr<Thumbnail> jpeg = MakeThumbnail(*EncodeJpeg(image, 90), {.longest = 100});
  ASSERT_TRUE(jpeg.ok()) << jpeg.status();
  EXPECT_EQ(jpeg->original, image.size);
  EXPECT_EQ(jpeg->size, (ImageSize{100, 50}));
  const absl::StatusOr<DecodedImage> small_jpeg = DecodeJpeg(jpeg->file, kManyPixels, 100);
  ASSERT_TRUE(small_jpeg.ok()) << small_jpeg.status();
  EXPECT_LE(Difference(small_jpeg->image, ScaleDown(image, {100, 50})), 16);

  const Image clear = Smooth({640, 320}, 4);
  const absl::StatusOr<Thumbnail> png = MakeThumbnail(*EncodePng(clear), {.longest = 100});
  ASSERT_TRUE(png.ok()) << png.status();
  EXPECT_EQ(png->size, (ImageSize{100, 50}));
  EXPECT_EQ(DecodePng(png->file, kManyPixels)->pixels, ScaleDown(clear, {100, 50}).pixels);
}

TEST(MakeThumbnail, ASmallImageStaysAsLargeAsItIs) {
  EXPECT_EQ(MakeThumbnail(*EncodePng(Smooth({3, 2}, 3)), {})->size, (ImageSize{3, 2}));
  EXPECT_EQ(MakeThumbnail(*EncodeJpeg(Smooth({3, 2}, 3), 90), {})->size, (ImageSize{3, 2}));
  EXPECT_EQ(MakeThumbnail(*EncodePng(Smooth({1000, 1}, 3)), {.longest = 10})->size,
            (ImageSize{10, 1}));
}

TEST(MakeThumbnail, WhatIsNoImageIsRefused) {
  for (const std::string file : {"", "GIF89a", "\xff\xd8", "plain text of some length"}) {
    EXPECT_FALSE(LooksLikeImage(file));
    EXPECT_TRUE(absl::IsInvalidArgument(MakeThumbnail(file, {}).status()));
  }
}

TEST(MakeThumbnail, ColoursForPrintingAreNotDoneAndNoDamage) {
  // The header of a JPEG is enough: a frame of 16 by 16 pixels with four components, and a scan.
  constexpr char kFile[] =
      "\xff\xd8\xff\xc0\0\x14\x08\0\x10\0\x10\x04"
      "\x01\x11\0\x02\x11\0\x03\x11\0\x04\x11\0"
      "\xff\xda\0\x0e\x04\x01\0\x02\0\x03\0\x04\0\0\x3f\0";
  const absl::Status status =
      MakeThumbnail(absl::string_view(kFile, sizeof(kFile) - 1), {}).status();
  EXPECT_TRUE(absl::IsUnimplemented(status)) << status;
}

TEST(MakeThumbnail, AFileThatEndsTooEarlyIsDamagedWhereverItEnds) {
  for (const std::string& file :
       {*EncodeJpeg(Smooth({40, 30}, 3), 90), *EncodePng(Smooth({40, 30}, 4))}) {
    ASSERT_TRUE(MakeThumbnail(file, {}).ok());
    // A decoder need not miss the mark of the end, nor what comes behind the pixels.
    for (size_t length = 8; length < file.size() - 12; ++length) {
      const absl::Status status = MakeThumbnail(file.substr(0, length), {}).status();
      EXPECT_TRUE(absl::IsDataLoss(status)) << length << ": " << status;
      EXPECT_FALSE(status.message().empty());
    }
  }
}

TEST(MakeThumbnail, NoDamageEndsTheProcess) {
  std::minstd_rand engine(7);
  for (const std::string& file :
       {*EncodeJpeg(Smooth({40, 30}, 3), 90), *EncodePng(Smooth({40, 30}, 4))}) {
    int refused = 0;
    for (int round = 0; round < 1000; ++round) {
      std::string damaged = file;
      for (int i = 0; i <= round % 4; ++i) {
        damaged[engine() % damaged.size()] = static_cast<char>(engine() % 256);
      }
      const absl::StatusOr<Thumbnail> made = MakeThumbnail(damaged, {.max_pixels = 1'000'000});
      if (made.ok()) continue;
      ++refused;
      EXPECT_FALSE(made.status().message().empty());
    }
    EXPECT_GT(refused, 100);
  }
}

TEST(MakeThumbnail, AnImageWithTooManyPixelsIsRefusedByWhatItsFileSays) {
  const std::string file = *EncodePng(Smooth({100, 100}, 3));
  EXPECT_TRUE(MakeThumbnail(file, {.max_pixels = 10'000}).ok());
  const absl::Status status = MakeThumbnail(file, {.max_pixels = 9'999}).status();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_EQ(status.message(), "100 by 100 pixels are more than the 9999 that an image may have");
}

TEST(MakeThumbnail, ABombDoesNotGoOff) {
  for (const std::string& bomb : {PngBomb(), JpegBomb()}) {
    EXPECT_LT(bomb.size(), 10'000u);
    const absl::Status status = MakeThumbnail(bomb, {}).status();
    EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(" by 60000 pixels are more than"));
  }
}

TEST(DrawSample, SamplesAreImagesOfBothKindsAndDiffer) {
  std::vector<std::string> files;
  for (int32_t number = 1; number <= 6; ++number) {
    files.push_back(*DrawSample(number, 80));
    EXPECT_EQ(LooksLikePng(files.back()), number % 3 == 0);
    EXPECT_EQ(MakeThumbnail(files.back(), {})->original, (ImageSize{80, 60}));
    for (size_t other = 0; other + 1 < files.size(); ++other) EXPECT_NE(files[other], files.back());
  }
  EXPECT_EQ(MakeThumbnail(*DrawSample(1, 1), {})->original, (ImageSize{1, 1}));
}

}  // namespace
}  // namespace examples
