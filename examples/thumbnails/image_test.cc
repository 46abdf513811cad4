#include "plait/examples/thumbnails/image.h"

#include <cstdint>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace examples {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;

// An image in which all colours of a pixel are the one number.
Image Gray(ImageSize size, const std::vector<uint8_t>& values) {
  Image image{.size = size};
  for (const uint8_t value : values) image.pixels.insert(image.pixels.end(), 3, value);
  return image;
}

std::vector<uint8_t> Grays(const Image& image) {
  std::vector<uint8_t> values;
  for (size_t at = 0; at < image.pixels.size(); at += 3) {
    EXPECT_EQ(image.pixels[at], image.pixels[at + 1]);
    EXPECT_EQ(image.pixels[at], image.pixels[at + 2]);
    values.push_back(image.pixels[at]);
  }
  return values;
}

TEST(FitWithin, TheLongerSideGetsTheLengthAndTheOtherItsShare) {
  EXPECT_EQ(FitWithin({1600, 1200}, 160), (ImageSize{160, 120}));
  EXPECT_EQ(FitWithin({1200, 1600}, 160), (ImageSize{120, 160}));
  EXPECT_EQ(FitWithin({1000, 1000}, 7), (ImageSize{7, 7}));
  EXPECT_EQ(FitWithin({300, 200}, 100), (ImageSize{100, 67}));
}

TEST(FitWithin, NothingGetsLargerAndNoSideVanishes) {
  EXPECT_EQ(FitWithin({30, 20}, 160), (ImageSize{30, 20}));
  EXPECT_EQ(FitWithin({160, 20}, 160), (ImageSize{160, 20}));
  EXPECT_EQ(FitWithin({100'000, 1}, 160), (ImageSize{160, 1}));
  EXPECT_EQ(FitWithin({2'000'000'000, 1'000'000'000}, 1), (ImageSize{1, 1}));
}

TEST(ScaleDown, APixelIsTheMeanOfItsArea) {
  const Image image = Gray({4, 2}, {0, 10, 100, 200,  //
                                    20, 30, 255, 255});
  EXPECT_THAT(Grays(ScaleDown(image, {2, 1})), ElementsAre(15, 203));  // 60 / 4, 810 / 4 = 202.5
  EXPECT_THAT(Grays(ScaleDown(image, {1, 1})), ElementsAre(109));      // 870 / 8 = 108.75
  EXPECT_THAT(Grays(ScaleDown(image, {4, 1})), ElementsAre(10, 20, 178, 228));
  EXPECT_THAT(Grays(ScaleDown(image, {1, 2})), ElementsAre(78, 140));  // 77.5, 140
}

TEST(ScaleDown, APixelAtAnEdgeCountsByThePartOfItThatIsInside) {
  // The first covers one and a half of the three.
  EXPECT_THAT(Grays(ScaleDown(Gray({3, 1}, {0, 90, 240}), {2, 1})), ElementsAre(30, 190));
  EXPECT_THAT(Grays(ScaleDown(Gray({1, 3}, {0, 90, 240}), {1, 2})), ElementsAre(30, 190));
  // Of five in three the middle one covers a third of two and all of one: (30 + 3 * 60 + 90) / 5.
  EXPECT_THAT(Grays(ScaleDown(Gray({5, 1}, {0, 30, 60, 90, 240}), {3, 1})),
              ElementsAre(12, 60, 180));
  // Both ways at once: weights 4, 2, 2, 1 of 9.
  const Image image = Gray({3, 3}, {9, 18, 0,   //
                                    27, 90, 0,  //
                                    0, 0, 0});
  EXPECT_THAT(Grays(ScaleDown(image, {2, 2})), ElementsAre(24, 14, 16, 10));
}

TEST(ScaleDown, TheSameSizeIsTheSameImage) {
  const Image image = Gray({3, 2}, {1, 2, 3, 253, 254, 255});
  EXPECT_EQ(ScaleDown(image, {3, 2}).pixels, image.pixels);
}

TEST(ScaleDown, OneColourStaysItAtEverySize) {
  for (const int channels : {3, 4}) {
    Image image{.size = {37, 23}, .channels = channels};
    image.pixels.assign(static_cast<size_t>(37 * 23 * channels), 251);
    for (int32_t width = 1; width <= 37; width += 3) {
      for (int32_t height = 1; height <= 23; height += 2) {
        const Image scaled = ScaleDown(image, {width, height});
        EXPECT_EQ(scaled.pixels.size(), static_cast<size_t>(width * height * channels));
        EXPECT_THAT(scaled.pixels, Each(251));
      }
    }
  }
}

TEST(ScaleDown, ChannelsDoNotMix) {
  Image image{.size = {2, 1}};
  image.pixels = {10, 100, 200, 30, 50, 255};
  EXPECT_THAT(ScaleDown(image, {1, 1}).pixels, ElementsAre(20, 75, 228));
}

TEST(ScaleDown, WhatCannotBeSeenLendsNoColour) {
  Image image{.size = {2, 1}, .channels = 4};
  image.pixels = {200, 100, 0, 255, /**/ 0, 255, 255, 0};
  EXPECT_THAT(ScaleDown(image, {1, 1}).pixels, ElementsAre(200, 100, 0, 128));
  image.pixels = {200, 100, 0, 50, /**/ 100, 0, 40, 150};
  EXPECT_THAT(ScaleDown(image, {1, 1}).pixels, ElementsAre(125, 25, 30, 100));
  image.pixels = {200, 100, 0, 0, /**/ 1, 2, 3, 0};
  EXPECT_THAT(ScaleDown(image, {1, 1}).pixels, ElementsAreArray({0, 0, 0, 0}));
}

TEST(ScaleDown, TheSumsOfALargeImageDoNotOverflow) {
  Image image{.size = {8192, 2048}, .channels = 4};
  image.pixels.assign(size_t{8192} * 2048 * 4, 255);
  EXPECT_THAT(ScaleDown(image, {1, 1}).pixels, Each(255));
}

}  // namespace
}  // namespace examples
