// Where the stack ends that a thread runs on now, if it is one of ours: a fiber's.
//
// What would take more of its caller's stack than a small one has can say so in a sentence, in
// place of a fault in the guard page.
#ifndef PLAIT_RUNTIME_CORE_STACK_END_H_
#define PLAIT_RUNTIME_CORE_STACK_END_H_

namespace plait::internal {

// The lowest byte; null on the thread's own stack. Not a part of thread_state, which executors
// replace while they run another's work.
[[gnu::tls_model("initial-exec")]] extern constinit thread_local const char* stack_end;

}  // namespace plait::internal

#endif  // PLAIT_RUNTIME_CORE_STACK_END_H_
