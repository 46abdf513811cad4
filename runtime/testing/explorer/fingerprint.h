// Fingerprint: numbers that stand for what has happened in an execution. Internal.
#ifndef PLAIT_RUNTIME_TESTING_EXPLORER_FINGERPRINT_H_
#define PLAIT_RUNTIME_TESTING_EXPLORER_FINGERPRINT_H_

#include <cstdint>

namespace plait::explorer {

using Fingerprint = uint64_t;

// `next` after `before`; the order matters. (The finalizer of MurmurHash3, by Austin Appleby.)
constexpr Fingerprint Chain(Fingerprint before, uint64_t next) noexcept {
  uint64_t mixed = before * 0x9E3779B97F4A7C15u + next + 0x632BE59BD9B4E019u;
  mixed = (mixed ^ (mixed >> 33)) * 0xFF51AFD7ED558CCDu;
  mixed = (mixed ^ (mixed >> 33)) * 0xC4CEB9FE1A85EC53u;
  return mixed ^ (mixed >> 33);
}

// A thread's operation of that number.
constexpr uint64_t NumberOf(int thread, uint32_t index) noexcept {
  return (static_cast<uint64_t>(thread) << 32) | index;
}

}  // namespace plait::explorer

#endif  // PLAIT_RUNTIME_TESTING_EXPLORER_FINGERPRINT_H_
