// The codecs against 200,000 inputs that are random, or valid and then damaged. The seed is fixed,
// so that every run is the same; PLAIT_FUZZ_SEED tries another one.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
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
int Fuzz(absl::string_view bytes) {
  const std::vector<char> exact(bytes.begin(), bytes.end());
  return FuzzCodec(absl::string_view(exact.data(), exact.size()));
}

TEST(CodecFuzzTest, RandomBytesDecodeToAValueOrToAnErrorAndNothingElseHappens) {
  const uint64_t seed = Seed();
  SCOPED_TRACE(seed);
  Random random(seed);
  int values = 0;
  for (int i = 0; i < kInputs; ++i) values += Fuzz(RandomBytes(random, 40));
  EXPECT_GT(values, 100) << "hardly anything decoded, so hardly anything was tried";
  RecordProperty("values", values);
}

TEST(CodecFuzzTest, ValidEncodingsThatWereDamagedDoNoHarm) {
  const uint64_t seed = Seed();
  SCOPED_TRACE(seed);
  Random random(seed);
  const std::vector<std::string> corpus = CodecFuzzCorpus();
  for (const std::string& bytes : corpus) EXPECT_GT(Fuzz(bytes), 0);
  int values = 0;
  for (int i = 0; i < kInputs; ++i) {
    values += Fuzz(Damaged(random, corpus[random.Below(corpus.size())]));
  }
  EXPECT_GT(values, 100);
  RecordProperty("values", values);
}

}  // namespace
}  // namespace plait
