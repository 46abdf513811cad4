#include "plait/runtime/task/describe_exception.h"

namespace plait::internal {

std::string DescribeException(const std::exception_ptr& exception) {
#if defined(__cpp_exceptions)
  try {
    std::rethrow_exception(exception);
  } catch (const std::exception& known) {
    return std::string("an exception: ") + known.what();
  } catch (...) {
    return "an exception of an unknown type";
  }
#else
  static_cast<void>(exception);
  return "an exception";
#endif
}

}  // namespace plait::internal
