// WorkerOptions: what a worker process is like.
#ifndef PLAIT_SCHEDULERS_PROCESS_POOL_WORKER_OPTIONS_H_
#define PLAIT_SCHEDULERS_PROCESS_POOL_WORKER_OPTIONS_H_

#include <cstdint>
#include <string>

namespace plait {

// Where the standard output of a worker goes.
enum class WorkerOutput : uint8_t {
  // Where the program's goes. On a terminal with tostop set the system stops a worker that writes
  // there, as everybody in the background, until it is told to go on (SIGCONT).
  kInherit,
  kNull,
  kToError,  // where its standard error goes
};

// Where the standard error of a worker goes.
enum class WorkerError : uint8_t {
  kInherit,  // where the program's goes, with the same about tostop; nothing is kept
  kNull,
  kKeep,         // the last 4 KiB are kept, and part of the error when the worker dies
  kShowAndKeep,  // where the program's goes as well
};

// The standard input of a worker is empty. It has none of the program's other descriptors, its
// signals do what they do by default, and it leads a process group of its own: a ^C at the terminal
// does not reach it, and when it ends the processes that it started are killed (unless who starts
// workers was killed itself).
struct WorkerOptions {
  // What top and `ps -o comm` show; its first 15 characters.
  std::string name = "plait-worker";
  // Added to the program's niceness; 0 to 19 without privileges.
  int nice = 0;
  // How many bytes of memory of its own a worker may take beyond what it starts with; 0: no limit.
  // Allocations then fail, which ends the process of most functions. (RLIMIT_DATA. Not with
  // AddressSanitizer, whose memory is not counted.)
  uint64_t memory_limit = 0;
  WorkerOutput output = WorkerOutput::kInherit;
  WorkerError error = WorkerError::kShowAndKeep;
};

}  // namespace plait

#endif  // PLAIT_SCHEDULERS_PROCESS_POOL_WORKER_OPTIONS_H_
