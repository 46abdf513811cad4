// CoroutineName: the function that a coroutine is made of, as well as the program's symbols tell.
// Internal.
#ifndef PLAIT_RUNTIME_TASK_COROUTINE_NAME_H_
#define PLAIT_RUNTIME_TASK_COROUTINE_NAME_H_

#include <coroutine>
#include <string>

namespace plait::internal {

// "ns::Fetch"; "a coroutine at 0x..." for one without a symbol (a stripped program). For a
// coroutine that is suspended or runs; not one that has ended. Slow: it reads the program's file.
std::string CoroutineName(std::coroutine_handle<> coroutine);

}  // namespace plait::internal

#endif  // PLAIT_RUNTIME_TASK_COROUTINE_NAME_H_
