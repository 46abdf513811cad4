// kSanitized: whether this test was built with AddressSanitizer or ThreadSanitizer, whose memory,
// threads and slowness some expectations have to leave room for.
#ifndef PLAIT_RUNTIME_TESTING_SANITIZED_H_
#define PLAIT_RUNTIME_TESTING_SANITIZED_H_

namespace plait {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#elif defined(__has_feature)
inline constexpr bool kSanitized =
    __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
inline constexpr bool kSanitized = false;
#endif

}  // namespace plait

#endif  // PLAIT_RUNTIME_TESTING_SANITIZED_H_
