// The codecs under libFuzzer, which looks for inputs that reach new code:
//
//   bazel run --config=clang --config=asan --copt=-fsanitize=fuzzer-no-link
//     //schedulers/process_pool:codec_fuzzer
#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "plait/schedulers/process_pool/codec_fuzz_target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  plait::FuzzCodec(absl::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
