#include "plait/examples/parallelism/processes.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace examples {
namespace {

// What a child writes into its pipe. A message this small is written and read in one piece.
enum class Message : char { kStarted = 's', kFinished = 'f' };

struct Child {
  pid_t pid = -1;
  int pipe = -1;  // -1 once the child has ended
  bool finished = false;
};

void Send(int pipe, Message message) {
  // Should the parent be gone there is nobody left to tell.
  static_cast<void>(!write(pipe, &message, sizeof(message)));
}

[[noreturn]] void RunChild(const Job& job, int number, int pipe) {
  Send(pipe, Message::kStarted);
  if (number == job.crash) std::abort();
  WorkBlocking(job);
  Send(pipe, Message::kFinished);
  _exit(0);  // without what exit() would do a second time, such as printing what the parent has
             // buffered
}

// The child for task `number`; one without a pid when the system refuses.
Child StartChild(const Job& job, int number) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return Child();
  const pid_t pid = fork();
  if (pid == 0) RunChild(job, number, ends[1]);
  const int error = errno;
  close(ends[1]);
  if (pid < 0) {
    close(ends[0]);
    errno = error;
    return Child();
  }
  return {.pid = pid, .pipe = ends[0]};
}

// Waits for the child's end and tells if it was not a good one.
void Bury(Child& child, int number, Transcript& transcript) {
  close(child.pipe);
  child.pipe = -1;
  int status = 0;
  while (waitpid(child.pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFSIGNALED(status)) {
    transcript.Fail(number,
                    absl::StrCat("crashed: its process ", child.pid, " was ended by signal ",
                                 WTERMSIG(status), " (", strsignal(WTERMSIG(status)), ")"));
  } else if (!child.finished || status != 0) {
    transcript.Fail(number, absl::StrCat("failed: its process ", child.pid, " ended early"));
  }
}

void Receive(Child& child, int number, Transcript& transcript) {
  Message message;
  const ssize_t size = read(child.pipe, &message, sizeof(message));
  if (size < 0 && errno == EINTR) return;
  if (size <= 0) {
    Bury(child, number, transcript);
  } else if (message == Message::kStarted) {
    transcript.Start(number);
  } else {
    child.finished = true;
    transcript.Finish(number);
  }
}

}  // namespace

void RunProcesses(const Job& job, Transcript& transcript) {
  std::fflush(nullptr);  // else the children inherit what is buffered
  std::vector<Child> children;
  std::vector<std::string> pids;
  for (int n = 0; n < job.tasks; ++n) {
    children.push_back(StartChild(job, n));
    if (children.back().pid < 0) {
      transcript.Fail(n, absl::StrCat("failed: no process for it: ", std::strerror(errno)));
    } else {
      pids.push_back(absl::StrCat(children.back().pid));
    }
  }
  transcript.Note(
      absl::StrCat("Process ", getpid(), " has the children ", absl::StrJoin(pids, ", ")));

  const Transcript::Progress progress(transcript);
  for (;;) {
    std::vector<pollfd> pipes;
    std::vector<int> numbers;
    for (int n = 0; n < job.tasks; ++n) {
      const Child& child = children[static_cast<size_t>(n)];
      if (child.pipe < 0) continue;
      pipes.push_back({.fd = child.pipe, .events = POLLIN, .revents = 0});
      numbers.push_back(n);
    }
    if (pipes.empty()) return;
    if (poll(pipes.data(), pipes.size(), -1) < 0) continue;  // EINTR
    for (size_t i = 0; i < pipes.size(); ++i) {
      if (pipes[i].revents != 0) {
        Receive(children[static_cast<size_t>(numbers[i])], numbers[i], transcript);
      }
    }
  }
}

}  // namespace examples
