// What both fuzzers of the codecs do with an input: decode it as one type after another, and check
// that whatever decodes encodes to the very same bytes.
#ifndef PLAIT_SCHEDULERS_PROCESS_POOL_CODEC_FUZZ_TARGET_H_
#define PLAIT_SCHEDULERS_PROCESS_POOL_CODEC_FUZZ_TARGET_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace plait {

// How many of the types `bytes` is a value of. Ends the program where a round trip changes them.
int FuzzCodec(absl::string_view bytes);

// One valid encoding, or more, of each of the types.
std::vector<std::string> CodecFuzzCorpus();

}  // namespace plait

#endif  // PLAIT_SCHEDULERS_PROCESS_POOL_CODEC_FUZZ_TARGET_H_
