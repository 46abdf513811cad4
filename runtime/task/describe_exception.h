// DescribeException: an exception in words, for statuses and reports. Internal.
#ifndef PLAIT_RUNTIME_TASK_DESCRIBE_EXCEPTION_H_
#define PLAIT_RUNTIME_TASK_DESCRIBE_EXCEPTION_H_

#include <exception>
#include <string>

namespace plait::internal {

// "an exception: " and what(), where it has one. `exception` is not null.
std::string DescribeException(const std::exception_ptr& exception);

}  // namespace plait::internal

#endif  // PLAIT_RUNTIME_TASK_DESCRIBE_EXCEPTION_H_
