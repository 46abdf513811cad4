// Result<T>: where a coroutine leaves what it ends with: nothing yet, a value, or an exception.
//
// T may be void, a reference or move-only. It lives with whoever awaits, so that a coroutine's
// frame can be freed the moment the coroutine ends. Not thread-safe.
#ifndef PLAIT_RUNTIME_TASK_RESULT_H_
#define PLAIT_RUNTIME_TASK_RESULT_H_

#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include "plait/runtime/core/check.h"

namespace plait::internal {

// What stands for a T in storage: void has one value, a reference is kept as a pointer.
struct Unit {};
template <class T>
using Stored = std::conditional_t<
    std::is_void_v<T>, Unit,
    std::conditional_t<std::is_reference_v<T>, std::remove_reference_t<T>*, std::remove_cv_t<T>>>;

template <class T>
class Result {
 public:
  Result() noexcept {}
  // Pending, see SetPending.
  explicit Result(void* coroutine) noexcept : pending_(coroutine), kind_(Kind::kPending) {}
  Result(const Result&) = delete;
  Result& operator=(const Result&) = delete;
  ~Result() {
    if (!std::is_trivially_destructible_v<Stored<T>> || kind_ == Kind::kException) Clear();
  }

  bool has_value() const { return kind_ == Kind::kValue; }
  bool has_exception() const { return kind_ == Kind::kException; }
  bool empty() const { return kind_ <= Kind::kPending; }

  // While it is empty: which coroutine will leave something here, for those who want to know.
  void SetPending(void* coroutine) noexcept {
    pending_ = coroutine;
    kind_ = Kind::kPending;
  }
  void* pending() const noexcept { return kind_ == Kind::kPending ? pending_ : nullptr; }
  // The same, which from then on leaves nothing here.
  void* TakePending() noexcept {
    void* const coroutine = pending();
    if (coroutine != nullptr) kind_ = Kind::kEmpty;
    return coroutine;
  }
  // The same as these two where one is known to be.
  void* const& known_pending() const noexcept { return pending_; }
  void* TakeKnownPending() noexcept {
    kind_ = Kind::kEmpty;
    return pending_;
  }

  template <class... Args>
  void Emplace(Args&&... args) {
    Clear();
    EmplaceFirst(std::forward<Args>(args)...);
  }
  // The same where it is known to be empty.
  template <class... Args>
  void EmplaceFirst(Args&&... args) {
    kind_ = Kind::kEmpty;  // for who looks while it is made
    ::new (static_cast<void*>(std::addressof(value_))) Stored<T>(std::forward<Args>(args)...);
    kind_ = Kind::kValue;
  }

  void SetException(std::exception_ptr exception) noexcept {
    Clear();
    ::new (static_cast<void*>(std::addressof(exception_))) std::exception_ptr(std::move(exception));
    kind_ = Kind::kException;
  }

  // Keeps what `f()` returns or throws.
  template <class F>
  void Capture(F f) {
#if defined(__cpp_exceptions)
    try {
#endif
      if constexpr (std::is_void_v<T>) {
        f();
        Emplace();
      } else if constexpr (std::is_reference_v<T>) {
        Emplace(std::addressof(f()));
      } else {
        Emplace(f());
      }
#if defined(__cpp_exceptions)
    } catch (...) {
      SetException(std::current_exception());
    }
#endif
  }

  std::exception_ptr exception() const {
    return has_exception() ? exception_ : std::exception_ptr();
  }

  // The value in place; has_value() must hold.
  Stored<T>& value() { return value_; }
  const Stored<T>& value() const { return value_; }

  // The value, moved out; rethrows the exception. The result must not be empty.
  T Take() {
    if (kind_ != Kind::kValue) [[unlikely]] {
      PLAIT_CHECK(kind_ == Kind::kException,
                  "there is no result: the task was rejected and never ran, or has not ended");
      std::rethrow_exception(exception_);
    }
    if constexpr (std::is_reference_v<T>) {
      return static_cast<T>(*value_);
    } else if constexpr (!std::is_void_v<T>) {
      return std::move(value_);
    }
  }

 private:
  enum class Kind : uint8_t { kEmpty, kPending, kValue, kException };

  void Clear() noexcept {
    const Kind kind = std::exchange(kind_, Kind::kEmpty);
    if (kind == Kind::kValue) {
      std::destroy_at(std::addressof(value_));
    } else if (kind == Kind::kException) {
      std::destroy_at(std::addressof(exception_));
    }
  }

  union {
    Stored<T> value_;
    std::exception_ptr exception_;
    void* pending_;
  };
  Kind kind_ = Kind::kEmpty;
};

}  // namespace plait::internal

#endif  // PLAIT_RUNTIME_TASK_RESULT_H_
