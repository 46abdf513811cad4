// PLAIT_CHECK: stops the program on a programming error, with a sentence that a person understands.
//
// For bugs in the caller only; anything that input, a peer or the operating system can cause is an
// absl::Status. On in every build. The message is an expression that is evaluated only when the
// check fails.
#ifndef PLAIT_RUNTIME_CORE_CHECK_H_
#define PLAIT_RUNTIME_CORE_CHECK_H_

#include <string_view>

namespace plait::internal {

// Prints "plait: <message> (<condition>) at file:line" to standard error and aborts.
[[noreturn]] void CheckFailed(const char* file, int line, const char* condition,
                              std::string_view message) noexcept;

}  // namespace plait::internal

#define PLAIT_CHECK(condition, message)                                          \
  do {                                                                           \
    if (!(condition)) [[unlikely]] {                                             \
      ::plait::internal::CheckFailed(__FILE__, __LINE__, #condition, (message)); \
    }                                                                            \
  } while (false)

// For checks on paths where a compare per call would be felt: on in debug builds only.
#ifdef NDEBUG
#define PLAIT_DCHECK(condition, message) \
  do {                                   \
  } while (false)
#else
#define PLAIT_DCHECK(condition, message) PLAIT_CHECK(condition, message)
#endif

#endif  // PLAIT_RUNTIME_CORE_CHECK_H_
