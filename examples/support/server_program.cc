#include "plait/examples/support/server_program.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "absl/strings/str_cat.h"

namespace examples {
namespace {

void CheckOk(bool ok, const char* what) {
  if (ok) return;
  std::perror(what);
  std::abort();
}

}  // namespace

ServerProgram::ServerProgram(const std::string& path, const std::vector<std::string>& arguments) {
  std::vector<std::string> words = {path};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  int ends[2];
  CheckOk(pipe2(ends, O_CLOEXEC) == 0, "pipe2");
  pid_ = fork();
  CheckOk(pid_ >= 0, "fork");
  if (pid_ == 0) {
    dup2(ends[1], STDOUT_FILENO);
    for (const int each : {SIGINT, SIGTERM}) ::signal(each, SIG_DFL);  // whatever the test's
    execv(path.c_str(), argv.data());
    _exit(127);
  }
  close(ends[1]);
  output_ = ends[0];
  ReadLine();
  if (std::sscanf(said_.c_str(), "listening on %d", &port_) != 1) port_ = 0;
}

ServerProgram::~ServerProgram() {
  if (pid_ >= 0) Stop(SIGKILL);
}

std::string ServerProgram::port_flag() const { return absl::StrCat("--port=", port_); }

void ServerProgram::ReadLine() {
  char c = 0;
  while (c != '\n') {
    const ssize_t size = read(output_, &c, 1);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return;
    said_ += c;
  }
}

ProgramRun ServerProgram::Stop(int signal) {
  kill(pid_, signal);
  for (size_t before = said_.size() + 1; before != said_.size();) {
    before = said_.size();
    ReadLine();
  }
  close(output_);
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0) CheckOk(errno == EINTR, "waitpid");
  pid_ = -1;
  ProgramRun run;
  run.output = said_;
  if (WIFEXITED(status)) run.exit_status = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) run.signal = WTERMSIG(status);
  return run;
}

}  // namespace examples
