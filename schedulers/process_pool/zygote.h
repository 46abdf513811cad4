// Zygote: a process that worker processes are forked from, because a program that has threads
// cannot safely be forked itself: what the other threads held at that moment (the allocator, a
// lock, half a list) is held for ever in the child. Internal; users see ProcessPool and
// zygote_hook.h.
//
// It comes from the program in one of two ways:
//   fork: while the program has one thread, the zygote is forked from it. Nothing else is needed;
//     whatever the program has in memory by then (tables, closures, models, but also generators of
//     random numbers, all in the same state) workers have too.
//   exec: otherwise the program's own file is started once more (/proc/self/exe, by posix_spawn,
//     which does not care about threads), and main hands that process over with
//     RunProcessWorkersIfAsked. Workers then have what main made before that line, and no more.
// kAny takes the first that is possible. So programs that make their pool first thing in main need
// to do nothing; others call RunProcessWorkersIfAsked there. A program that does neither is told
// so by FailedPrecondition.
//
// Costs (worker_start_benchmark): by fork, the first result of a new pool takes about two forks
// with their waits, 0.5 ms (more where the program has much memory: its page tables are copied); by
// exec, 1.3 times a bare start of the program, 1.5 ms and what comes before main's first line. Of
// that the caller itself waits for the one fork or posix_spawn. A worker that is replaced costs one
// fork, which is the zygote's time and not the caller's.
//
// The zygote is the workers' parent, reaps them, and tells how they ended, over one channel for
// each (worker_process.h). The program has no children but the zygote, and gets no SIGCHLD but for
// that; it may use waitpid(-1) and SIGCHLD as it likes. (Workers that are the program's own
// children, by CLONE_PARENT, would be reaped by such a program, and their ends be lost.) No process
// outlives the program: the zygote waits for the program's end (by a descriptor of the process and
// not PR_SET_PDEATHSIG, which looks at the thread that forked), then kills and reaps the workers;
// and those are killed by the system when the zygote, which has one thread, dies.
//
// A zygote may hang: somebody stops it (SIGSTOP), or debugs it. Nothing here waits for it but
// WaitForRoom and the destructor, and those not for long; whoever needs it looks whether it
// Answers, has it Continue, and in the end Kills it and starts another.
//
// Threads: Start on any; it and the destructor by one at a time. No reactor is involved.
#ifndef PLAIT_SCHEDULERS_PROCESS_POOL_ZYGOTE_H_
#define PLAIT_SCHEDULERS_PROCESS_POOL_ZYGOTE_H_

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "plait/schedulers/process_pool/worker_options.h"
#include "plait/schedulers/process_pool/zygote_main.h"

namespace plait::internal {

class Zygote {
 public:
  enum class Method : uint8_t { kAny, kFork, kExec };

  // `body` is what workers do, where they are forked; otherwise main's RunProcessWorkersIfAsked
  // says that, and its `fingerprint` must be this one, or no worker starts. Blocks for the fork or
  // posix_spawn. FailedPrecondition where the method is not possible.
  static absl::StatusOr<std::unique_ptr<Zygote>> Start(WorkerBody body, uint64_t fingerprint,
                                                       Method method = Method::kAny);
  Zygote(const Zygote&) = delete;
  Zygote& operator=(const Zygote&) = delete;
  // Kills all workers, and blocks until they and the zygote are gone: as a rule, some milliseconds;
  // not at all once Gone. One that hangs is killed after two seconds, and its workers with it,
  // which nobody waits for then.
  ~Zygote();

  // Blocks until more workers may be asked for, or it is gone, or for ten seconds.
  void WaitForRoom() noexcept;

  // --- none of these blocks ---

  // Begins to end it and its workers; goes on where it is stopped.
  void Stop() noexcept;
  // Ends it at once, whatever it does. Its workers are then killed by the system; what those have
  // started is not.
  void Kill() noexcept;
  // Nobody waits for its end any more, nor reaps it: the system does not end it, or not soon.
  void Forget() noexcept { gone_ = true; }
  // Where it was stopped (SIGSTOP), it goes on.
  void Continue() noexcept;
  // Asks for a sign of life, unless it still owes one: false where it does. Until Stop.
  bool Answers() noexcept;
  // Nobody wants to know any more.
  void StopAsking() noexcept;
  // Whether it is gone, and reaped.
  bool Gone() noexcept;
  // Readable (or hung up) when it is gone.
  int end_descriptor() const noexcept { return process_ >= 0 ? process_ : control_; }

  int pid() const noexcept { return pid_; }
  Method method() const noexcept { return method_; }

  // For WorkerProcess: asks for a worker. Does not block: ResourceExhausted where more was asked
  // for than is on its way (some 200), Unavailable when the zygote has died.
  absl::Status RequestWorker(const WorkerOptions& options, int channel,
                             absl::Span<const int> descriptors);

 private:
  Zygote(int pid, int control, Method method);

  static absl::StatusOr<int> StartByFork(const int (&channel)[2], const WorkerBody& body);
  static absl::StatusOr<int> StartByExec(const int (&channel)[2], uint64_t fingerprint);
  void Signal(int signal) noexcept;
  void WaitForEnd(int patience_ms) noexcept;

  const int pid_;
  // Of the process, as its number may be another's once somebody has reaped it; negative on systems
  // without such descriptors.
  const int process_;
  const int control_;
  const Method method_;
  const uint64_t generation_;  // of the process that it was made in
  int ping_ = -1;              // hung up when it has answered
  bool gone_ = false;
};

}  // namespace plait::internal

#endif  // PLAIT_SCHEDULERS_PROCESS_POOL_ZYGOTE_H_
