// The system calls of the process pool: memory, wake-ups and descriptors that processes share.
// Internal; for Linux.
//
// schedulers/ does not know io/, so these are not in io/system. All return what the system returns,
// or -errno; nobody reads errno anywhere else.
#ifndef PLAIT_SCHEDULERS_PROCESS_POOL_POOL_SYSTEM_H_
#define PLAIT_SCHEDULERS_PROCESS_POOL_POOL_SYSTEM_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "plait/runtime/core/atomic.h"

namespace plait::internal::pool_system {

size_t PageSize() noexcept;

// A file without a name that is memory of `size` zero bytes, a whole number of pages; it can never
// be made shorter or longer, by nobody: whoever maps it cannot be made to fault. Close-on-exec.
int CreateMemory(const char* name, size_t size) noexcept;
// How long it is, where CreateMemory made it; -EINVAL for a file that somebody could make shorter.
int64_t MemorySize(int fd) noexcept;

// A range of addresses that nobody may touch yet.
int ReserveAddresses(size_t size, char** out) noexcept;
// Puts memory there, shared and writable.
int MapMemory(char* at, int fd, size_t offset, size_t size) noexcept;
void ReleaseAddresses(char* at, size_t size) noexcept;
// Makes memory of whole pages of a mapping, as writing to each would. -ENOMEM or -EFAULT when there
// is none; a system that can't do it at once does nothing, and makes each when it is written to.
int PopulateMemory(char* at, size_t size) noexcept;
// The pages are zero again and take no memory, for everybody who maps them.
void GiveBackMemory(char* at, size_t size) noexcept;

// Whether memory of this process that has not been touched yet had best come in large pages: the
// whole pages in [at, at + size). A system that has none does nothing.
void AdviseLargePages(char* at, size_t size, bool wanted) noexcept;

// Sleeps while `word` is `expected`, until woken, or for `timeout_ns` (negative: for ever). May
// return early. Works between processes.
int FutexWait(Atomic<uint32_t>& word, uint32_t expected, int64_t timeout_ns) noexcept;
int FutexWake(Atomic<uint32_t>& word) noexcept;
// Whether the system allows them, which sandboxes may not: tried once.
bool HasFutexes() noexcept;
// For tests: futexes fail, as in such a sandbox, until it is false again. Any thread.
void ForbidFutexesForTesting(bool forbid) noexcept;

// Two sockets that are connected to one another, close-on-exec; with `packets` what is sent at once
// arrives at once. Neither of those who have an end can make the other's block. Their numbers are
// above those of the standard descriptors, also where these are closed.
int CreateChannel(bool packets, int out[2]) noexcept;
// The process that made the channel that `fd` is an end of; negative where it is something else.
int ChannelMaker(int fd) noexcept;
// Sends bytes, at least one, and copies of descriptors with them. Never waits: -EAGAIN where there
// is no room. -EPIPE where nobody has the other end, without a signal.
int64_t Send(int fd, const void* data, size_t size, absl::Span<const int> descriptors) noexcept;
// Up to `size` bytes, and up to `descriptors->size()` descriptors, close-on-exec, to which it is
// shortened. Never waits: -EAGAIN where nothing has come. 0 where nobody has the other end.
int64_t Receive(int fd, void* data, size_t size, std::vector<int>* descriptors) noexcept;
// Waits until something can be received, or for `timeout_ns` (negative: for ever). May return
// early.
int WaitReadable(int fd, int64_t timeout_ns) noexcept;
// Nothing more will be sent: the other end receives 0.
int EndSending(int fd) noexcept;
// Another descriptor of the same, close-on-exec.
int Duplicate(int fd) noexcept;

int Close(int fd) noexcept;

}  // namespace plait::internal::pool_system

#endif  // PLAIT_SCHEDULERS_PROCESS_POOL_POOL_SYSTEM_H_
