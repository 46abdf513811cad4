// The environment seam: the clock, randomness and threads, reached through here and nowhere else.
//
// Everything that makes two runs of a program differ passes through this header (and, for system
// calls, through io/system), so that tests can put another world in its place: a clock that jumps,
// a seeded source of numbers. A lint test forbids going around it. In production the cost is what
// the thing itself costs.
#ifndef PLAIT_RUNTIME_CORE_ENVIRONMENT_H_
#define PLAIT_RUNTIME_CORE_ENVIRONMENT_H_

#include <cstddef>
#include <cstdint>
#include <thread>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "plait/runtime/core/deadline.h"

namespace plait {

// Two clocks in one: a monotonic one that all waiting is measured by, and the calendar.
// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;

  // Monotonic; a change of the calendar does not touch it. 29 ns.
  virtual Deadline Now() noexcept = 0;

  // The calendar, for SleepUntil and for people.
  virtual absl::Time WallTime() noexcept = 0;

  // Whether time passes only when AdvanceTo says so. An executor that has nothing to do then
  // advances instead of waiting.
  virtual bool is_virtual() const noexcept { return false; }
  // For virtual clocks: it is `deadline` now, unless it was later already.
  virtual void AdvanceTo(Deadline deadline) noexcept { static_cast<void>(deadline); }

  // The machine's clock. Lives as long as the process.
  static Clock& Real();
};

// A thread of the machine; join it before it dies.
using Thread = std::thread;

// Starts `body` on a new thread. `name` shows in ps and debuggers, its first 15 characters.
[[nodiscard]] Thread StartThread(absl::string_view name, absl::AnyInvocable<void() &&> body);

// The same where the caller can do without: ResourceExhausted when the system has no thread to give
// (under -fno-exceptions that ends the program).
absl::StatusOr<Thread> TryStartThread(absl::string_view name, absl::AnyInvocable<void() &&> body);

// How many threads the machine runs at once; at least 1.
int HardwareThreads();

// From now on the calling thread runs only on one processor: the `number`th, modulo how many there
// are, of those that it may run on. False where the system does not do that.
bool PinThread(int number);

// A number nobody can guess, to seed a generator with. Thread-safe.
uint64_t RandomSeed();

namespace internal {

// Memory for a stack: `size` bytes from `base` up. Below lies a page that may not be touched, so
// that a stack that is too small for its functions ends the program and damages nothing.
struct StackMemory {
  char* base = nullptr;
  size_t size = 0;
};

// At least `size` bytes, a whole number of pages; costs memory only where it is used.
// ResourceExhausted when the system maps no more.
absl::StatusOr<StackMemory> MapStack(size_t size);
void UnmapStack(StackMemory stack) noexcept;

// What the system knows this process's threads by.
int64_t ThreadNumber() noexcept;
// Whether this process has a thread of that number: for a moment also after it was joined, and when
// the number has gone to another since. Where that cannot be known, true.
bool ThreadIsThere(int64_t number) noexcept;

struct ThreadActivity {
  // It is inside of the system now, for a lock, for time, for memory or for a device, and so takes
  // no processor.
  bool waits = false;
  // Of one that waits: how long it has run so far, or would have if there had been a processor for
  // it. 0 where the system does not count that.
  absl::Duration ran;
};
// Of the thread of that number; that it does not wait, where that cannot be known. Cost: some
// microseconds for each thing that the system is asked.
ThreadActivity ActivityOf(int64_t number) noexcept;

// Differs between a process and the child that it forked. One load.
uint64_t ProcessGeneration() noexcept;

}  // namespace internal
}  // namespace plait

#endif  // PLAIT_RUNTIME_CORE_ENVIRONMENT_H_
