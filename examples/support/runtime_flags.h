// --reactor and --scheduler: what every example that runs tasks lets its user choose.
#ifndef PLAIT_EXAMPLES_SUPPORT_RUNTIME_FLAGS_H_
#define PLAIT_EXAMPLES_SUPPORT_RUNTIME_FLAGS_H_

#include <string>

#include "plait/examples/support/flags.h"
#include "plait/schedulers/run.h"

namespace examples {

// Adds the flag --reactor, which sets `options->reactor`. A reactor that is unknown, or that this
// system refuses, is refused by Flags::Parse in the words of Plait's own Status, before the program
// has printed anything.
void AddReactorFlag(Flags& flags, plait::RunOptions* options);

// The same for --scheduler and `options->scheduler`; to be used beside AddReactorFlag.
void AddSchedulerFlag(Flags& flags, plait::RunOptions* options);

// What a program run with `options` runs on: "epoll" and not "auto", "event_loop" and not "".
std::string ReactorName(const plait::RunOptions& options);
std::string SchedulerName(const plait::RunOptions& options);

}  // namespace examples

#endif  // PLAIT_EXAMPLES_SUPPORT_RUNTIME_FLAGS_H_
