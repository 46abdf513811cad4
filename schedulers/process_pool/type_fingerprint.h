// Numbers that tell types apart, so that two sides that disagree about a function's parameters
// notice before they read each other's bytes. Computed when the program is compiled.
//
// Classes go by their names as the compiler spells them, and their sizes: both sides are built by
// one compiler. It is a guard against mistakes, 64 bits wide, and none against malice.
#ifndef PLAIT_SCHEDULERS_PROCESS_POOL_TYPE_FINGERPRINT_H_
#define PLAIT_SCHEDULERS_PROCESS_POOL_TYPE_FINGERPRINT_H_

#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <type_traits>

namespace plait::internal {

// FNV-1a.
constexpr uint64_t HashText(std::string_view text) {
  uint64_t hash = 14695981039346656037u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return hash;
}

// Of several, in their order.
constexpr uint64_t MixFingerprints(std::initializer_list<uint64_t> parts) {
  uint64_t hash = parts.size();
  for (const uint64_t part : parts) {
    hash = (hash ^ part) * 0x9e3779b97f4a7c15u;
    hash ^= hash >> 32;
  }
  return hash;
}

template <class T>
constexpr uint64_t TypeNameFingerprint() {
  return HashText(__PRETTY_FUNCTION__);
}

// Of a type whose bytes are its value.
template <class T>
constexpr uint64_t PlainFingerprint() {
  if constexpr (std::is_arithmetic_v<T>) {
    // Not the name: long and long long are the same thing.
    return MixFingerprints({HashText("number"), sizeof(T), std::is_floating_point_v<T>,
                            std::is_signed_v<T>, std::is_same_v<T, bool>});
  } else {
    return MixFingerprints({TypeNameFingerprint<T>(), sizeof(T), alignof(T)});
  }
}

}  // namespace plait::internal

#endif  // PLAIT_SCHEDULERS_PROCESS_POOL_TYPE_FINGERPRINT_H_
