// SignalName: what people call a signal.
#ifndef PLAIT_IO_SYSTEM_SIGNAL_NAME_H_
#define PLAIT_IO_SYSTEM_SIGNAL_NAME_H_

#include <string>

namespace plait {

// "SIGTERM"; "signal 40" for one without a name.
std::string SignalName(int signal);

}  // namespace plait

#endif  // PLAIT_IO_SYSTEM_SIGNAL_NAME_H_
