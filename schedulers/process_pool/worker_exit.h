// WorkerExit: how a worker process ended. Internal.
#ifndef PLAIT_SCHEDULERS_PROCESS_POOL_WORKER_EXIT_H_
#define PLAIT_SCHEDULERS_PROCESS_POOL_WORKER_EXIT_H_

#include <cstdint>
#include <string>

namespace plait::internal {

struct WorkerExit {
  enum class Kind : uint8_t {
    kExited,      // by itself, with `code`
    kSignalled,   // by `signal`
    kNotStarted,  // never ran; `reason` says why
    kLost,        // its zygote died, and took it along; or hung, and `reason` says so
  };

  Kind kind = Kind::kLost;
  int code = 0;
  int signal = 0;
  bool core_dumped = false;
  // The signal was one that its WorkerProcess had been told to send.
  bool asked_for = false;
  std::string reason;
  // The last that it wrote to its standard error, at most 4 KiB, where that was kept.
  std::string error_tail;

  // "exited with status 3", "was killed by SIGSEGV": of somebody, and without the tail.
  std::string ToString() const;
};

}  // namespace plait::internal

#endif  // PLAIT_SCHEDULERS_PROCESS_POOL_WORKER_EXIT_H_
