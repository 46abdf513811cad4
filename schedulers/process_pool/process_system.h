// The system calls of the process pool that are about processes: starting them, what they set about
// themselves, their ends. Internal; for Linux.
//
// As pool_system.h: all return what the system returns, or -errno.
#ifndef PLAIT_SCHEDULERS_PROCESS_POOL_PROCESS_SYSTEM_H_
#define PLAIT_SCHEDULERS_PROCESS_POOL_PROCESS_SYSTEM_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

struct pollfd;

namespace plait::internal::pool_system {

int ProcessId() noexcept;
int ParentId() noexcept;

// How many threads of its own the process has. Neither the system's helpers of io_uring are counted
// nor threads that are ending: one that was joined runs no more code.
int ThreadCount() noexcept;

// fork(2), after everything that was printed has been flushed, so that it is printed once. In the
// child every signal is blocked, and has the handler that it had: call ResetSignals.
int Fork() noexcept;

// Starts this very program again, by posix_spawn, so that it does not matter what other threads
// hold. Its descriptors are: nothing, ours, ours, and a copy of `descriptor` as 3. Gives its
// number.
int SpawnSelf(char* const* arguments, char* const* environment, int descriptor) noexcept;

// Like getenv(3), and takes the variable out. For before there are threads.
std::string TakeVariable(const char* name);
// Where this program's file is, for people; empty where that is not known.
std::string ProgramPath();
// "NAME=value" each.
char* const* Environment() noexcept;

// Every signal does again what it does by default, and none is blocked.
void ResetSignals() noexcept;
// The same for a process that waits for children and writes to pipes: SIGPIPE is ignored, and
// SIGCHLD is blocked and makes the descriptor readable that this gives, non-blocking.
int OpenChildSignals() noexcept;
void DrainChildSignals(int fd) noexcept;

// poll(2); negative `timeout_ms`: for ever.
int Poll(absl::Span<pollfd> descriptors, int timeout_ms) noexcept;

// A descriptor that is readable when process `pid` has ended. -ENOSYS on old systems.
int OpenProcess(int pid) noexcept;

struct ProcessEnd {
  int code = 0;    // what it gave to exit, where no signal ended it
  int signal = 0;  // which ended it; 0: none
  bool core_dumped = false;
};
// Whether child `pid` has ended: 1 or 0. Its number stays its own until the end is taken.
int HasEnded(int pid) noexcept;
// Takes the end of a child: 1, or 0 where it runs. With `wait` it waits.
int TakeEnd(int pid, bool wait, ProcessEnd* out) noexcept;
// The same, without waiting, of a child by what OpenProcess gave. Negative also where somebody else
// has taken it.
int TakeEndOfOpened(int process, ProcessEnd* out) noexcept;
int SignalProcess(int pid, int signal) noexcept;
// By what OpenProcess gave, so that it is never another that has its number.
int SignalOpened(int process, int signal) noexcept;
// All processes of the group that `leader` leads.
int SignalGroup(int leader, int signal) noexcept;

// --- what a process sets about itself ---

// It is killed when the thread that made it ends. -ESRCH where the parent is not `parent` any more.
int DieWithParent(int parent) noexcept;
// A process group of its own.
int LeadGroup() noexcept;
// What ps shows, its first 15 characters.
void SetName(const char* name) noexcept;
int AddNice(int nice) noexcept;
// It may have `bytes` of memory of its own more than it has now; see setrlimit(2), RLIMIT_DATA.
int LimitMemory(uint64_t bytes) noexcept;
// Descriptor n becomes a copy of descriptors[n], and all others are closed. Programs that are
// started later inherit the first three. Of 1 and 2, where they are closed, the first takes the
// place.
int KeepDescriptors(absl::Span<const int> descriptors) noexcept;
// Gives up the mappings of files in whose names one of these occurs.
void UnmapFiles(absl::Span<const absl::string_view> names) noexcept;
// Memory that was freed stays for what is allocated next, up to some 64 MiB, where each large value
// would else have fresh pages: 256 page faults for a MiB. Called first: an initializer may set it
// otherwise.
void KeepFreedMemory() noexcept;
// What was kept goes back to the system.
void GiveBackFreedMemory() noexcept;
// Output is written at the latest at the end of a line.
void BufferOutputByLine() noexcept;
// Ends the process, without running what main would at its end; what was printed is flushed.
[[noreturn]] void Exit(int code) noexcept;
// The same, and what others have printed and not flushed is not printed once more.
[[noreturn]] void ExitAtOnce(int code) noexcept;

int OpenNull() noexcept;
// Up to `size` bytes: 0 at the end, -EAGAIN where a non-blocking one has none.
int64_t Read(int fd, char* data, size_t size) noexcept;
int64_t Write(int fd, absl::string_view text) noexcept;
// Another descriptor, close-on-exec, of what `fd` writes to: one on which WriteWithoutWaiting never
// waits, whoever else fills the pipe or stops the terminal. `fd`, which other processes share,
// stays as it is. (Where the system does not let a pipe be opened again, as in a process that has
// changed its user, it is a mere copy, and waits where another is quicker to fill what was ready.)
int OpenWithoutWaiting(int fd) noexcept;
// As Write; -EAGAIN where there is no room, -EPIPE without a signal from a socket.
int64_t WriteWithoutWaiting(int fd, absl::string_view text) noexcept;
// A pipe: the first end, to be read, is non-blocking. Close-on-exec.
int CreatePipe(int out[2]) noexcept;

// "SIGTERM"; "signal 40" for one without a name.
std::string SignalName(int signal);

}  // namespace plait::internal::pool_system

#endif  // PLAIT_SCHEDULERS_PROCESS_POOL_PROCESS_SYSTEM_H_
