#include "plait/runtime/task/coroutine_name.h"

#include <array>

#include "absl/debugging/symbolize.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace plait::internal {
namespace {

// Compilers split a coroutine into functions of their own; people know only the one they wrote.
absl::string_view WithoutSuffix(absl::string_view name) {
  const size_t clone = name.find(" [clone");
  if (clone != absl::string_view::npos) name = name.substr(0, clone);
  for (absl::string_view suffix : {".actor", ".resume", ".destroy", ".cleanup"}) {
    if (absl::ConsumeSuffix(&name, suffix)) break;
  }
  // Abseil's demangler leaves the parameters out.
  absl::ConsumeSuffix(&name, "()");
  return name;
}

}  // namespace

std::string CoroutineName(std::coroutine_handle<> coroutine) {
  // Both g++ and clang keep the function that resumes the coroutine in the frame's first word (the
  // Itanium C++ ABI's layout for coroutines).
  const void* const resume = *static_cast<void* const*>(coroutine.address());
  std::array<char, 512> buffer;
  if (resume == nullptr ||
      !absl::Symbolize(resume, buffer.data(), static_cast<int>(buffer.size()))) {
    return absl::StrCat("a coroutine at ", absl::Hex(coroutine.address()));
  }
  return std::string(WithoutSuffix(buffer.data()));
}

}  // namespace plait::internal
