// ProcessOutput: what a process said, and how it ended.
#ifndef PLAIT_IO_PROCESS_PROCESS_OUTPUT_H_
#define PLAIT_IO_PROCESS_PROCESS_OUTPUT_H_

#include <string>

#include "plait/io/process/exit_status.h"

namespace plait {

struct ProcessOutput {
  ExitStatus status;
  std::string output;  // of its standard output, where that is a pipe
  std::string error;   // of its standard error, where that is one
};

}  // namespace plait

#endif  // PLAIT_IO_PROCESS_PROCESS_OUTPUT_H_
