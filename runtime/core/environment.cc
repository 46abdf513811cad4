#include "plait/runtime/core/environment.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <string>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "plait/runtime/core/atomic.h"

namespace plait {
namespace {

class RealClock final : public Clock {
 public:
  Deadline Now() noexcept override {
    return Deadline::AtNanos(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                 std::chrono::steady_clock::now().time_since_epoch())
                                 .count());
  }
  absl::Time WallTime() noexcept override { return absl::Now(); }
};

constinit internal::Atomic<uint64_t> process_generation{0};

void CountFork() { process_generation.fetch_add(1, internal::kRelaxed); }

}  // namespace

Clock& Clock::Real() {
  static RealClock* clock = new RealClock;  // never destroyed: threads may outlive main
  return *clock;
}

Thread StartThread(absl::string_view name, absl::AnyInvocable<void() &&> body) {
  return std::thread([name = std::string(name.substr(0, 15)), body = std::move(body)]() mutable {
#if defined(__linux__)
    pthread_setname_np(pthread_self(), name.c_str());
#endif
    std::move(body)();
  });
}

absl::StatusOr<Thread> TryStartThread(absl::string_view name, absl::AnyInvocable<void() &&> body) {
#if defined(__cpp_exceptions)
  try {
    return StartThread(name, std::move(body));
  } catch (const std::system_error& error) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the system starts no thread \"", name, "\": ", error.what()));
  }
#else
  return StartThread(name, std::move(body));
#endif
}

int HardwareThreads() {
#if defined(__linux__)
  // Of those that the process may use: of its first thread, as others may have been pinned since.
  cpu_set_t allowed;
  if (sched_getaffinity(getpid(), sizeof(allowed), &allowed) == 0) {
    return std::max(1, CPU_COUNT(&allowed));
  }
#endif
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

bool PinThread(int number) {
#if defined(__linux__)
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return false;
  int left = number % std::max(1, CPU_COUNT(&allowed));
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed) || left-- > 0) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    return sched_setaffinity(0, sizeof(one), &one) == 0;
  }
#endif
  static_cast<void>(number);
  return false;
}

uint64_t RandomSeed() {
  std::random_device device;
  return (uint64_t{device()} << 32) | device();
}

namespace internal {
namespace {

size_t PageSize() { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }

}  // namespace

absl::StatusOr<StackMemory> MapStack(size_t size) {
  const size_t page = PageSize();
  size = (size + page - 1) / page * page;
  void* const mapped = mmap(nullptr, page + size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the system maps no stack of ", size, " bytes: ", strerror(errno)));
  }
  char* const base = static_cast<char*>(mapped) + page;
  if (mprotect(base, size, PROT_READ | PROT_WRITE) != 0) {
    const int error = errno;
    munmap(mapped, page + size);
    return absl::ResourceExhaustedError(absl::StrCat("the system has no memory for a stack of ",
                                                     size, " bytes: ", strerror(error)));
  }
  return StackMemory{base, size};
}

void UnmapStack(StackMemory stack) noexcept {
  const size_t page = PageSize();
  munmap(stack.base - page, page + stack.size);
}

#if defined(__linux__)
int64_t ThreadNumber() noexcept { return gettid(); }

bool ThreadIsThere(int64_t number) noexcept {
  return tgkill(getpid(), static_cast<pid_t>(number), 0) == 0 || errno != ESRCH;
}

namespace {

// The beginning of what /proc says of a thread in `file`; nothing where it says nothing.
struct ThreadFile {
  ThreadFile(int64_t number, const char* file) noexcept {
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/task/%lld/%s", static_cast<long long>(number), file);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    const ssize_t size = read(fd, text, sizeof(text) - 1);
    close(fd);
    text[size > 0 ? size : 0] = '\0';
  }

  char text[128] = "";
};

}  // namespace

ThreadActivity ActivityOf(int64_t number) noexcept {
  ThreadActivity activity;
  const ThreadFile stat(number, "stat");
  // The state is what follows the name, which is in parentheses and may hold anything.
  const char* const end = strrchr(stat.text, ')');
  activity.waits = end != nullptr && end[1] == ' ' && (end[2] == 'S' || end[2] == 'D');
  if (!activity.waits) return activity;
  // Nanoseconds on a processor, and in the queue for one: proc(5).
  long long running = 0;
  long long queued = 0;
  if (sscanf(ThreadFile(number, "schedstat").text, "%lld %lld", &running, &queued) == 2) {
    activity.ran = absl::Nanoseconds(running + queued);
  }
  return activity;
}
#else
int64_t ThreadNumber() noexcept { return 0; }
bool ThreadIsThere(int64_t) noexcept { return true; }
ThreadActivity ActivityOf(int64_t) noexcept { return {}; }
#endif

uint64_t ProcessGeneration() noexcept {
  // Registered at the first question, which is before any loop that could be forked exists.
  static const int registered = pthread_atfork(nullptr, nullptr, &CountFork);
  static_cast<void>(registered);
  return process_generation.load(kRelaxed);
}

}  // namespace internal
}  // namespace plait
