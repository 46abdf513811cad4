#include "plait/runtime/testing/repeats.h"

#include <algorithm>
#include <cstdlib>

#include "absl/strings/numbers.h"

namespace plait {

namespace {

// How often all runs together do what one alone does.
constexpr int kTogether = 4;
// A second time is when what the first has left behind is met.
constexpr int kFewest = 4;

int FromEnvironment(const char* name) {
  const char* const text = std::getenv(name);
  int number = 0;
  return text != nullptr && absl::SimpleAtoi(text, &number) ? std::max(number, 1) : 1;
}

}  // namespace

Share TestRun::ShareOf(int whole) const {
  if (runs <= kTogether || whole <= 0) return {.whole = whole, .size = whole};
  const int64_t share = int64_t{whole} * kTogether / runs;
  const int size = static_cast<int>(std::min<int64_t>(whole, std::max<int64_t>(share, kFewest)));
  return {.whole = whole, .first = static_cast<int>(int64_t{number} * size % whole), .size = size};
}

bool TestRun::Takes(int64_t index) const {
  const int64_t of = std::max(1, runs / kTogether);
  return (index + number) % of == 0;
}

const TestRun& ThisTestRun() {
  static const TestRun run = {.runs = FromEnvironment("PLAIT_TEST_RUNS"),
                              .number = FromEnvironment("TEST_RANDOM_SEED") - 1};
  return run;
}

}  // namespace plait
