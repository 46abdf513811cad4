// The codecs against 200,000 inputs that are random, or valid and then damaged. The seed is fixed,
// so that every run is the same; PLAIT_FUZZ_SEED tries another one.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "plait/schedulers/process_pool/codec_fuzz_target.h"

namespace plait {
namespace {

constexpr int kInputs = 100'000;  // of each kind

uint64_t Seed() {
  uint64_t seed = 20'240'229;
  const char* const wanted = std::getenv("PLAIT_FUZZ_SEED");
  if (wanted != nullptr) {
    EXPECT_TRUE(absl::SimpleAtoi(wanted, &seed));
  }
  return seed;
}

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}
  size_t Below(size_t bound) { return static_cast<size_t>(engine_() % bound); }
  char Byte() { return static_cast<char>(engine_()); }

 private:
  std::mt19937_64 engine_;
};

// Bytes of which small ones are frequent, as those are plausible lengths.
std::string RandomBytes(Random& random, size_t longest) {
  std::string bytes(random.Below(longest + 1), '\0');
  for (char& byte : bytes) {
    byte = random.Below(2) == 0 ? static_cast<char>(random.Below(5)) : random.Byte();
  }
  return bytes;
}

std::string Damaged(Random& random, std::string bytes) {
  for (size_t left = 1 + random.Below(3); left > 0; --left) {
    const size_t at = random.Below(bytes.size() + 1);
    switch (random.Below(5)) {
      case 0:
        if (at < bytes.size()) bytes[at] = random.Byte();
        break;
      case 1:
        if (at < bytes.size()) bytes[at] ^= static_cast<char>(1 << random.Below(8));
        break;
      case 2:
        bytes.erase(at, random.Below(4));
        break;
      case 3:
        bytes.insert(at, RandomBytes(random, 3));
        break;
      default:
        bytes.insert(at, bytes.substr(random.Below(bytes.size() + 1), random.Below(8)));
    }
  }
  return bytes;
}

// On the heap and of exactly that size, so that ASan sees a byte too many.
uint32_t Fuzz(absl::string_view bytes) {
  const std::vector<char> exact(bytes.begin(), bytes.end());
  return FuzzCodec(absl::string_view(exact.data(), exact.size()));
}

// How many inputs were a value of each type.
class Values {
 public:
  void Add(uint32_t types) {
    for (size_t type = 0; type < counts_.size(); ++type) counts_[type] += types >> type & 1;
  }
  int total() const { return std::accumulate(counts_.begin(), counts_.end(), 0); }
  // Where hardly anything of a type decoded, hardly anything of it was tried.
  void ExpectAtLeast(int least) const {
    for (size_t type = 0; type < counts_.size(); ++type) {
      EXPECT_GE(counts_[type], least) << CodecFuzzTypes()[type];
    }
  }

 private:
  std::vector<int> counts_ = std::vector<int>(CodecFuzzTypes().size());
};

TEST(CodecFuzzTest, TheCorpusHasValuesOfEachType) {
  Values values;
  for (const CodecFuzzInput& input : CodecFuzzCorpus()) {
    EXPECT_TRUE(Fuzz(input.bytes) >> input.type & 1) << CodecFuzzTypes()[input.type];
    values.Add(uint32_t{1} << input.type);
  }
  values.ExpectAtLeast(1);
}

TEST(CodecFuzzTest, RandomBytesDecodeToAValueOrToAnErrorAndNothingElseHappens) {
  const uint64_t seed = Seed();
  SCOPED_TRACE(seed);
  Random random(seed);
  Values values;
  for (int i = 0; i < kInputs; ++i) values.Add(Fuzz(RandomBytes(random, 40)));
  // Of the larger types next to none: those are the next test's.
  EXPECT_GT(values.total(), 1'000);
}

TEST(CodecFuzzTest, ValidEncodingsThatWereDamagedDoNoHarm) {
  const uint64_t seed = Seed();
  SCOPED_TRACE(seed);
  Random random(seed);
  const std::vector<CodecFuzzInput> corpus = CodecFuzzCorpus();
  Values values;
  for (int i = 0; i < kInputs; ++i) {
    values.Add(Fuzz(Damaged(random, corpus[random.Below(corpus.size())].bytes)));
  }
  values.ExpectAtLeast(10);
}

}  // namespace
}  // namespace plait
