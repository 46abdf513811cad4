// RunProgram: runs one of our programs as a user would, and tells what it said.
//
//   examples::ProgramRun run = examples::RunProgram("examples/hello/hello", {"--help"});
//   EXPECT_EQ(run.exit_status, 0);
#ifndef PLAIT_EXAMPLES_SUPPORT_RUN_PROGRAM_H_
#define PLAIT_EXAMPLES_SUPPORT_RUN_PROGRAM_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace examples {

struct ProgramRun {
  int exit_status = -1;  // -1: a signal ended it
  int signal = 0;        // which
  std::string output;    // standard output
  std::string error;     // standard error; on a terminal it is in `output` too

  // The lines of `output`, without their ends.
  std::vector<std::string> lines() const;
  // The number behind `name=` in the last of them, where programs sum up what they did; where there
  // is none, not a number, which equals nothing.
  double Figure(absl::string_view name) const;
};

struct ProgramOptions {
  // "NAME=value", added to the test's own environment.
  std::vector<std::string> environment;
  // Gives the program a terminal for standard output and standard error.
  bool terminal = false;
  // Standard output is a pipe whose reader has gone, as that of "program | head" has.
  bool nobody_reads = false;
  // The number of a system call (SYS_epoll_create1, say) that the kernel refuses the program with
  // EPERM, as sandboxes do; -1 for none.
  long refused_system_call = -1;
  // A signal that is ignored when the program begins, as SIGINT is to "program &" in a script, and
  // SIGHUP under nohup; 0 for none.
  int ignored_signal = 0;
};

// `path`: from the root of the workspace, of a program in the test's data. Returns once it has
// ended.
ProgramRun RunProgram(const std::string& path, const std::vector<std::string>& arguments,
                      const ProgramOptions& options = {});

}  // namespace examples

#endif  // PLAIT_EXAMPLES_SUPPORT_RUN_PROGRAM_H_
