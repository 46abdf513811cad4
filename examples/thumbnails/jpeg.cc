#include "plait/examples/thumbnails/jpeg.h"

#include <csetjmp>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <utility>

// It needs FILE and size_t.
#include <jpeglib.h>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "plait/examples/thumbnails/limits.h"

namespace examples {
namespace {

// What turns libjpeg's long jumps into `false`.
template <class Codec>
class JpegGuard {
 public:
  explicit JpegGuard(Codec& codec) {
    codec.err = jpeg_std_error(&errors_);
    codec.client_data = this;
    errors_.error_exit = &OnError;
    errors_.emit_message = &OnMessage;
  }
  JpegGuard(const JpegGuard&) = delete;
  JpegGuard& operator=(const JpegGuard&) = delete;

  // One step, which the jump leaves without destroying anything: it must not hold what wants that.
  template <class Owner>
  bool Do(Owner& owner, void (Owner::*step)()) {
    if (setjmp(jump_) != 0) return false;
    (owner.*step)();
    return true;
  }

  absl::Status error() const { return absl::DataLossError(message_); }

 private:
  [[noreturn]] static void OnError(j_common_ptr codec) {
    auto& self = *static_cast<JpegGuard*>(codec->client_data);
    codec->err->format_message(codec, self.message_);
    std::longjmp(self.jump_, 1);
  }
  static void OnMessage(j_common_ptr codec, int level) {
    // A warning: from here on the image would be made up.
    if (level < 0) OnError(codec);
  }

  jpeg_error_mgr errors_;
  std::jmp_buf jump_;
  char message_[JMSG_LENGTH_MAX] = "";
};

class Decoder {
 public:
  Decoder(absl::string_view file, int32_t longest)
      : guard_(decoder_), file_(file), longest_(longest) {}
  ~Decoder() { jpeg_destroy_decompress(&decoder_); }

  absl::StatusOr<DecodedImage> Decode(int64_t max_pixels) {
    if (!guard_.Do(*this, &Decoder::ReadHeader)) return guard_.error();
    DecodedImage result;
    result.original = {static_cast<int32_t>(decoder_.image_width),
                       static_cast<int32_t>(decoder_.image_height)};
    if (absl::Status status = CheckPixels(result.original, max_pixels); !status.ok()) return status;
    if (decoder_.num_components == 4) {
      return absl::UnimplementedError("its colours are those of printing inks (CMYK)");
    }
    if (!guard_.Do(*this, &Decoder::Start)) return guard_.error();
    result.image.size = {static_cast<int32_t>(decoder_.output_width),
                         static_cast<int32_t>(decoder_.output_height)};
    result.image.pixels.resize(row_bytes() * decoder_.output_height);
    pixels_ = result.image.pixels.data();
    if (!guard_.Do(*this, &Decoder::ReadRows)) return guard_.error();
    return result;
  }

 private:
  size_t row_bytes() const { return size_t{decoder_.output_width} * 3; }

  void ReadHeader() {
    jpeg_create_decompress(&decoder_);
    // libjpeg's bytes are unsigned, a string's are not.
    jpeg_mem_src(&decoder_, reinterpret_cast<const unsigned char*>(file_.data()),
                 static_cast<unsigned long>(file_.size()));
    jpeg_read_header(&decoder_, TRUE);
  }

  void Start() {
    decoder_.out_color_space = JCS_RGB;
    const ImageSize original{static_cast<int32_t>(decoder_.image_width),
                             static_cast<int32_t>(decoder_.image_height)};
    const ImageSize thumbnail = FitWithin(original, longest_);
    decoder_.scale_denom = 8;
    for (const unsigned eighths : {1u, 2u, 4u, 8u}) {
      decoder_.scale_num = eighths;
      jpeg_calc_output_dimensions(&decoder_);
      if (decoder_.output_width >= static_cast<JDIMENSION>(thumbnail.width) &&
          decoder_.output_height >= static_cast<JDIMENSION>(thumbnail.height)) {
        break;
      }
    }
    jpeg_start_decompress(&decoder_);
  }

  void ReadRows() {
    while (decoder_.output_scanline < decoder_.output_height) {
      JSAMPROW row = pixels_ + row_bytes() * decoder_.output_scanline;
      jpeg_read_scanlines(&decoder_, &row, 1);
    }
    jpeg_finish_decompress(&decoder_);
  }

  jpeg_decompress_struct decoder_ = {};
  JpegGuard<jpeg_decompress_struct> guard_;
  const absl::string_view file_;
  const int32_t longest_;
  unsigned char* pixels_ = nullptr;
};

class Encoder {
 public:
  Encoder(const Image& image, int quality) : guard_(encoder_), image_(image), quality_(quality) {}
  ~Encoder() {
    jpeg_destroy_compress(&encoder_);
    std::free(file_);
  }

  absl::StatusOr<std::string> Encode() {
    if (!guard_.Do(*this, &Encoder::Write)) return guard_.error();
    // libjpeg's bytes are unsigned, a string's are not.
    return std::string(reinterpret_cast<const char*>(file_), file_size_);
  }

 private:
  void Write() {
    jpeg_create_compress(&encoder_);
    jpeg_mem_dest(&encoder_, &file_, &file_size_);
    encoder_.image_width = static_cast<JDIMENSION>(image_.size.width);
    encoder_.image_height = static_cast<JDIMENSION>(image_.size.height);
    encoder_.input_components = 3;
    encoder_.in_color_space = JCS_RGB;
    jpeg_set_defaults(&encoder_);
    jpeg_set_quality(&encoder_, quality_, TRUE);
    jpeg_start_compress(&encoder_, TRUE);
    const size_t row_bytes = static_cast<size_t>(image_.size.width) * 3;
    while (encoder_.next_scanline < encoder_.image_height) {
      // libjpeg only reads from it, though its type does not say so.
      JSAMPROW row =
          const_cast<JSAMPROW>(image_.pixels.data() + row_bytes * encoder_.next_scanline);
      jpeg_write_scanlines(&encoder_, &row, 1);
    }
    jpeg_finish_compress(&encoder_);
  }

  jpeg_compress_struct encoder_ = {};
  JpegGuard<jpeg_compress_struct> guard_;
  const Image& image_;
  const int quality_;
  unsigned char* file_ = nullptr;
  unsigned long file_size_ = 0;
};

}  // namespace

bool LooksLikeJpeg(absl::string_view file) { return absl::StartsWith(file, "\xff\xd8\xff"); }

absl::StatusOr<DecodedImage> DecodeJpeg(absl::string_view file, int64_t max_pixels,
                                        int32_t longest) {
  return Decoder(file, longest).Decode(max_pixels);
}

absl::StatusOr<std::string> EncodeJpeg(const Image& image, int quality) {
  return Encoder(image, quality).Encode();
}

}  // namespace examples
