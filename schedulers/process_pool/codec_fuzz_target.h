// What both fuzzers of the codecs do with an input: decode it as one type after another, and check
// that whatever decodes encodes to the very same bytes.
#ifndef PLAIT_SCHEDULERS_PROCESS_POOL_CODEC_FUZZ_TARGET_H_
#define PLAIT_SCHEDULERS_PROCESS_POOL_CODEC_FUZZ_TARGET_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace plait {

// The types, by names for people.
const std::vector<std::string>& CodecFuzzTypes();

// Bit n: `bytes` is a value of type n. Ends the program where a round trip changes them.
uint32_t FuzzCodec(absl::string_view bytes);

// Valid encodings of each of the types: as bytes, and of which type.
struct CodecFuzzInput {
  std::string bytes;
  size_t type;
};
std::vector<CodecFuzzInput> CodecFuzzCorpus();

}  // namespace plait

#endif  // PLAIT_SCHEDULERS_PROCESS_POOL_CODEC_FUZZ_TARGET_H_
