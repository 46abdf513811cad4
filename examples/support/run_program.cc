#include "plait/examples/support/run_program.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <iterator>
#include <limits>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace examples {
namespace {

void CheckOk(bool ok, const char* what) {
  if (ok) return;
  std::fprintf(stderr, "RunProgram: %s: %s\n", what, std::strerror(errno));
  std::abort();
}

// The two ends of what the program writes to.
struct Channel {
  int read_end = -1;
  int write_end = -1;
};

Channel MakePipe() {
  int ends[2];
  CheckOk(pipe2(ends, O_CLOEXEC) == 0, "pipe2");
  return {ends[0], ends[1]};
}

Channel MakeTerminal() {
  const int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  CheckOk(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0, "posix_openpt");
  const int slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
  CheckOk(slave >= 0, "open the terminal");
  // Line ends as they were written.
  termios mode;
  CheckOk(tcgetattr(slave, &mode) == 0, "tcgetattr");
  mode.c_oflag &= ~static_cast<tcflag_t>(OPOST);
  CheckOk(tcsetattr(slave, TCSANOW, &mode) == 0, "tcsetattr");
  return {master, slave};
}

// From now on the kernel refuses `system_call` to this process. Safe after a fork.
void Refuse(long system_call) {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(system_call), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program = {.len = std::size(filter), .filter = filter};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
    _exit(126);
  }
}

// Reads both until their other ends are closed.
void ReadAll(int first_fd, std::string* first, int second_fd, std::string* second) {
  pollfd fds[2] = {{first_fd, POLLIN, 0}, {second_fd, POLLIN, 0}};
  std::string* texts[2] = {first, second};
  while (fds[0].fd >= 0 || fds[1].fd >= 0) {
    if (poll(fds, 2, -1) < 0) {
      CheckOk(errno == EINTR, "poll");
      continue;
    }
    for (int i = 0; i < 2; ++i) {
      if (fds[i].fd < 0 || fds[i].revents == 0) continue;
      char buffer[4096];
      const ssize_t size = read(fds[i].fd, buffer, sizeof(buffer));
      if (size > 0) {
        texts[i]->append(buffer, static_cast<size_t>(size));
      } else if (size == 0 || errno == EIO) {  // EIO: nobody has the terminal open any more
        fds[i].fd = -1;
      } else {
        CheckOk(errno == EINTR, "read");
      }
    }
  }
}

}  // namespace

std::vector<std::string> ProgramRun::lines() const {
  return absl::StrSplit(absl::StripSuffix(output, "\n"), '\n');
}

double ProgramRun::Figure(absl::string_view name) const {
  const std::vector<std::string> all = lines();
  for (const absl::string_view word : absl::StrSplit(all.back(), ' ')) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(word, absl::MaxSplits('=', 1));
    double value = 0;
    if (parts.first == name && absl::SimpleAtod(parts.second, &value)) return value;
  }
  return std::numeric_limits<double>::quiet_NaN();
}

ProgramRun RunProgram(const std::string& path, const std::vector<std::string>& arguments,
                      const ProgramOptions& options) {
  // Everything is made ready before the fork: afterwards only what is safe in a child of a threaded
  // program.
  std::vector<std::string> words = {path};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  std::vector<std::string> variables = options.environment;
  std::vector<char*> envp;
  // The first of two equal names is the one that getenv finds.
  for (std::string& variable : variables) envp.push_back(variable.data());
  for (char** variable = environ; *variable != nullptr; ++variable) envp.push_back(*variable);
  envp.push_back(nullptr);

  const Channel out = options.terminal ? MakeTerminal() : MakePipe();
  const Channel err = MakePipe();
  if (options.nobody_reads) close(out.read_end);
  const pid_t pid = fork();
  CheckOk(pid >= 0, "fork");
  if (pid == 0) {
    dup2(out.write_end, STDOUT_FILENO);
    dup2(options.terminal ? out.write_end : err.write_end, STDERR_FILENO);
    for (const int each : {SIGPIPE, SIGINT, SIGTERM}) signal(each, SIG_DFL);  // whatever the test's
    if (options.ignored_signal != 0) signal(options.ignored_signal, SIG_IGN);
    if (options.refused_system_call >= 0) Refuse(options.refused_system_call);
    execve(path.c_str(), argv.data(), envp.data());
    _exit(127);
  }
  close(out.write_end);
  close(err.write_end);

  ProgramRun run;
  ReadAll(options.nobody_reads ? -1 : out.read_end, &run.output, err.read_end, &run.error);
  if (!options.nobody_reads) close(out.read_end);
  close(err.read_end);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0) CheckOk(errno == EINTR, "waitpid");
  if (WIFEXITED(status)) run.exit_status = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) run.signal = WTERMSIG(status);
  return run;
}

}  // namespace examples
