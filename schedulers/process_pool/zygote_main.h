// ZygoteMain: what a zygote does; see zygote.h. Internal.
//
// It has one thread, and waits with poll(2) for: requests, the end of the program, ends of workers,
// what they write to their standard errors. Everything that may block (a standard error that nobody
// reads) is only waited for, never done: the end of the program is noticed at once.
#ifndef PLAIT_SCHEDULERS_PROCESS_POOL_ZYGOTE_MAIN_H_
#define PLAIT_SCHEDULERS_PROCESS_POOL_ZYGOTE_MAIN_H_

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/types/span.h"

namespace plait::internal {

// What a worker process does with the descriptors that it was given; its result is the exit status.
using WorkerBody = absl::AnyInvocable<int(absl::Span<const int> descriptors) const>;

// Serves the program, whose number is `parent`, over `control`, a packet channel, until it is gone.
// In a process that has one thread and whose descriptors are its own. Where `refusal` is not OK no
// worker is started, for that reason. An exception that leaves `body` ends the worker (SIGABRT): on
// the stack below lies what the program was doing when it was forked.
[[noreturn]] void ZygoteMain(int control, int parent, const absl::Status& refusal,
                             const WorkerBody& body) noexcept;

}  // namespace plait::internal

#endif  // PLAIT_SCHEDULERS_PROCESS_POOL_ZYGOTE_MAIN_H_
