// ServerProgram: one of our servers, or another program that is told when to end, running beside a
// test.
//
//   examples::ServerProgram server("examples/echo_server/echo_server", {"--port=0"});
//   ... connect to server.port() ...
//   examples::ProgramRun run = server.Stop();
//   EXPECT_EQ(run.exit_status, 0);
#ifndef PLAIT_EXAMPLES_SUPPORT_SERVER_PROGRAM_H_
#define PLAIT_EXAMPLES_SUPPORT_SERVER_PROGRAM_H_

#include <sys/types.h>

#include <csignal>
#include <string>
#include <vector>

#include "plait/examples/support/run_program.h"

namespace examples {

class ServerProgram {
 public:
  // Starts it and returns when it has said its first line, "listening on PORT" of a server, or has
  // ended. `path`: as for RunProgram. Its standard error is the test's.
  ServerProgram(const std::string& path, const std::vector<std::string>& arguments);
  ServerProgram(const ServerProgram&) = delete;
  ServerProgram& operator=(const ServerProgram&) = delete;
  // Kills it, if it still runs.
  ~ServerProgram();

  // Where it listens; 0 when it does not.
  int port() const { return port_; }
  // "--port=PORT", for its clients.
  std::string port_flag() const;

  // Sends it `signal` and waits for its end: how it ended, and all that it said.
  ProgramRun Stop(int signal = SIGTERM);

 private:
  // Up to the end of the line, or of the output.
  void ReadLine();

  pid_t pid_ = -1;
  int output_ = -1;
  int port_ = 0;
  std::string said_;
};

}  // namespace examples

#endif  // PLAIT_EXAMPLES_SUPPORT_SERVER_PROGRAM_H_
