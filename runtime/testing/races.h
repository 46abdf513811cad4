// What tests of races share: a partner on a thread of its own, and moments that a seed draws.
//
// The seed is printed, and is that of --gtest_random_seed where one is given. The moments are then
// the same again; what the scheduler of the machine makes of them is not.
#ifndef PLAIT_RUNTIME_TESTING_RACES_H_
#define PLAIT_RUNTIME_TESTING_RACES_H_

#include <cstdint>
#include <functional>
#include <random>

#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/environment.h"

namespace plait {

// Repeats(count), and of a fiftieth of it under a sanitizer, where each race takes that much
// longer.
int Races(int count);

// Chosen, and printed, at the first call.
unsigned RaceSeed();

// The byte at `position` of an endless stream in which a byte lost, repeated or moved shows.
inline char ByteAt(uint64_t position) {
  return static_cast<char>(position * 131 + (position >> 8) * 7);
}

// One thread's moments.
class Jitter {
 public:
  explicit Jitter(unsigned seed) : draw_(seed) {}

  // A number below `bound`.
  unsigned operator()(unsigned bound) { return static_cast<unsigned>(draw_() % bound); }
  // Lets anything from no time at all to a time slice pass.
  void Pause();

 private:
  std::minstd_rand draw_;
};

// Runs `body` on a thread of its own; the body goes on until stopping() says so.
class Partner {
 public:
  explicit Partner(std::function<void(Partner& self, Jitter& jitter)> body);
  Partner(const Partner&) = delete;
  Partner& operator=(const Partner&) = delete;
  ~Partner() { Join(); }

  bool stopping() const { return stopping_.load(internal::kAcquire); }
  void Stop() { stopping_.store(true, internal::kRelease); }
  // Whether the body has returned.
  bool ended() const { return ended_.load(internal::kAcquire); }
  // Stops it and waits for it.
  void Join();

 private:
  internal::Atomic<bool> stopping_{false};
  internal::Atomic<bool> ended_{false};
  Thread thread_;
};

}  // namespace plait

#endif  // PLAIT_RUNTIME_TESTING_RACES_H_
