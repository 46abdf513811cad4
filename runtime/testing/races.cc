#include "plait/runtime/testing/races.h"

#include <algorithm>
#include <iostream>
#include <utility>

#include "gtest/gtest.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/sanitized.h"

namespace plait {

int Races(int count) { return Repeats(kSanitized ? std::max(1, count / 50) : count); }

unsigned RaceSeed() {
  static const unsigned seed = [] {
    const int given = GTEST_FLAG_GET(random_seed);
    // As GoogleTest takes them: from 1 to 99999.
    const unsigned chosen =
        given != 0 ? static_cast<unsigned>(given) : 1 + static_cast<unsigned>(RandomSeed() % 99999);
    std::cout << "The moments of the races: --gtest_random_seed=" << chosen << std::endl;
    return chosen;
  }();
  return seed;
}

void Jitter::Pause() {
  const unsigned kind = (*this)(16);
  if (kind < 6) return;
  if (kind == 15) return internal::SpinWait(1000);  // gives up its time slice
  const unsigned spins = (*this)(1 + kind * kind);
  for (unsigned i = 0; i < spins; ++i) internal::SpinWait(0);
}

Partner::Partner(std::function<void(Partner& self, Jitter& jitter)> body)
    : thread_(StartThread("partner", [this, body = std::move(body)] {
        Jitter jitter(RaceSeed() + 1);
        body(*this, jitter);
        ended_.store(true, internal::kRelease);
      })) {}

void Partner::Join() {
  Stop();
  if (thread_.joinable()) thread_.join();
}

}  // namespace plait
