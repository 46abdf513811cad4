// Execution: one run of the code under test, thread by thread as `decisions` decide. Internal.
//
// Each explored thread is a fiber of the one thread that explores. It runs until it comes to an
// operation on an atomic, where another may be let run first; that is a preemption, and their
// number is bounded, as most bugs need few. Waiting and ending cost none.
//
// Different turns lead to the same: to threads that have done the same operations with the same
// results. From there on all that can happen is the same, too. So at every point the execution is
// looked up by what has happened (MemoryModel::fingerprint), and goes on unexplored if it was there
// before with as many preemptions left, and as many stale values. That makes a search some hundred
// times shorter, and loses nothing. (What the code under test does may depend on nothing but what
// it reads: a body that decides by an address on the heap should allocate before it begins its
// threads.)
#ifndef PLAIT_RUNTIME_TESTING_EXPLORER_EXECUTION_H_
#define PLAIT_RUNTIME_TESTING_EXPLORER_EXECUTION_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/explored_atomic.h"
#include "plait/runtime/core/thread_state.h"
#include "plait/runtime/testing/explorer/clock.h"
#include "plait/runtime/testing/explorer/decisions.h"
#include "plait/runtime/testing/explorer/fingerprint.h"
#include "plait/runtime/testing/explorer/memory_model.h"
#include "plait/runtime/testing/explorer/plain_memory.h"
#include "plait/runtime/testing/explorer/sites.h"

namespace plait::explorer {

using Body = absl::FunctionRef<void()>;
using Where = std::source_location;

// The points at which executions of a search have been, and with how many preemptions at least.
using Visited = absl::flat_hash_map<Fingerprint, uint8_t>;

class Execution {
 public:
  struct Settings {
    int preemptions = 0;
    int max_steps = 0;
    int stale_values = 0;
    bool traced = false;
    const Site* weakened = nullptr;      // to its order
    std::vector<Site>* sites = nullptr;  // gets those that are met
    bool whole_spin_locks = true;
    bool forbid_load_buffering = false;
    Visited* visited = nullptr;  // null: each is explored, wherever it has come to
  };

  Execution();
  Execution(const Execution&) = delete;
  Execution& operator=(const Execution&) = delete;
  ~Execution();

  // Why it failed; empty when it did not.
  std::string Run(Body body, Decisions& decisions, const Settings& settings);

  // Whether the bound on preemptions kept a thread from running, ever since this was last asked.
  bool TakeWasBounded() noexcept { return std::exchange(was_bounded_, false); }
  // Whether the bound on stale values has ever left one out.
  bool was_bounded_in_values() const noexcept { return was_bounded_in_values_; }
  bool overflown() const noexcept { return model_.overflown(); }
  int64_t locked_instructions() const noexcept { return locked_instructions_; }
  const std::vector<std::string>& trace() const noexcept { return trace_; }

  // What follows is for the thread of the code under test that runs now.

  // The one that runs; null outside of an exploration and inside of the explorer.
  static Execution* Current() noexcept { return current_; }

  [[noreturn]] void Fail(std::string why) noexcept;

  void Parallel(std::span<const Body> bodies) noexcept;
  // Goes on when `ready()`.
  void WaitUntil(absl::FunctionRef<bool()> ready, const char* what, const Where& where) noexcept;
  void Release(Clock& to, const char* what, const Where& where) noexcept;
  void Acquire(const Clock& from) noexcept;
  void Spin(const Where& where) noexcept;
  void FutexWait(const void* at, uint64_t value, bool times_out, const Where& where) noexcept;
  void FutexWake(const void* at, const Where& where) noexcept;

  void Create(const void* at, size_t size) noexcept;
  void Destroy(const void* at) noexcept;
  uint64_t Load(const void* at, size_t size, MemoryOrder order, const Where& where) noexcept;
  void Store(const void* at, size_t size, uint64_t value, MemoryOrder order,
             const Where& where) noexcept;
  uint64_t Modify(const void* at, size_t size, internal::explored::Change change, uint64_t operand,
                  MemoryOrder order, const Where& where) noexcept;
  bool CompareExchange(const void* at, size_t size, uint64_t& expected, uint64_t desired, bool weak,
                       MemoryOrder success, MemoryOrder failure, const Where& where) noexcept;
  void Fence(MemoryOrder order, const Where* where) noexcept;
  void HeavyBarrier(const Where& where) noexcept;
  void LightBarrier(const Where& where) noexcept;

  // Of the code's plain memory.
  void Access(const void* at, size_t size, PlainMemory::Kind kind, const void* code) noexcept;
  // Keeps the memory until the execution is over, so that a later use of it is noticed.
  void Free(void* memory, size_t size, const void* code) noexcept;
  // An operation of std::atomic's on plain memory: done at once, in the order of execution.
  void RawAtomic(const void* at, size_t size, bool writes, MemoryOrder order,
                 const void* code) noexcept;

 private:
  friend class InsideExplorer;
  static constexpr size_t kStackSize = 256 * 1024;

  enum class State : uint8_t { kNone, kReady, kWaiting, kSpinning, kEnded };
  struct Thread {
    internal::StackMemory stack;
    void* here = nullptr;
    const Body* body = nullptr;
    State state = State::kNone;
    bool fresh = false;  // has not come to an operation yet
    bool quiet = false;  // its last operation was a load, which nobody else can notice
    const absl::FunctionRef<bool()>* ready = nullptr;
    const char* what = "";  // it waits for
    Where where;
    uint64_t stores_seen = 0;         // of others, when it last spun
    internal::ThreadState own;        // its thread_state while it does not run
    uint64_t serial = 0;              // likewise
    const void* sleeps_on = nullptr;  // a futex
  };
  struct FutexClock {
    const void* at;
    Clock woken;  // who calls FutexWake
  };
  struct RawClock {
    const void* at;
    Clock clock;
  };
  // What was done, in which order, to something that the memory model does not know.
  struct Log {
    const void* of;
    Fingerprint log;
  };
  struct AddressRange {
    uintptr_t begin = 0;
    size_t size = 0;
  };
  struct Entry;

  // Where the program's thread_locals are, of the calling thread, which explores.
  static AddressRange ThreadLocals() noexcept;

  Clock& FutexClockOf(const void* at) noexcept;
  Thread& thread(int number) noexcept { return threads_[static_cast<size_t>(number)]; }
  void Begin(int number, const Body& body) noexcept;
  bool MayRun(int number) noexcept;
  // The thread does something to `object`, having seen all that was done to it before.
  void Touch(const void* object) noexcept;
  Log& LogOf(const void* object) noexcept;
  Fingerprint fingerprint() const noexcept;
  // What follows need not be explored if that was done before. `running`: whether only the thread
  // that runs may go on for free.
  void LookUp(bool running) noexcept;
  // A point at which another thread may be let run. Not if the thread has done nothing that others
  // could notice since its last one: what it has read since it could also have read after the
  // others, as they change nothing of what an earlier store is worth. Nor before an operation on
  // an atomic that is `its_own`.
  void Point(bool its_own = false) noexcept;
  // Whether no other thread may use that atomic yet: they do not know that it was made.
  bool IsItsOwn(const void* at) noexcept;
  // After an operation: whether it was one that others cannot notice.
  void SetQuiet(bool its_own, bool quiet) noexcept {
    if (its_own) return;
    // What is read later could not be older, where that is bounded.
    thread(running_).quiet = quiet && settings_.stale_values == kAllValues;
  }
  // Which of so many values, the newest first.
  int ChooseAge(int count) noexcept;
  // Another thread must run, unless this one may.
  void Block() noexcept;
  void SwitchTo(int number) noexcept;
  void SwitchOut() noexcept;
  std::string DescribeDeadlock();

  // Whether that is a step of a SpinLock which is not itself explored.
  bool IsWholeSpinLock(const Where& where) const noexcept;
  // Waits until the SpinLock of that word is free.
  void WaitForSpinLock(const void* at, const Where& where) noexcept;

  MemoryOrder Order(SiteKind kind, MemoryOrder order, const Where& where) noexcept;
  MemoryModel::Location& Locate(const void* at, size_t size, const Where& where) noexcept;
  void Trace(const Where& where, const std::string& what);
  std::string NameOfLocation(const MemoryModel::Location& location);
  void CheckOverflow() noexcept;
  // After a store to `location`.
  void CheckStore(const MemoryModel::Location& location, const Where& where) noexcept;
  [[noreturn]] void FailRace(const PlainMemory::Clash& clash, const PlainMemory::Access& access,
                             uintptr_t at) noexcept;

  static constinit Execution* current_;

  const AddressRange thread_locals_ = ThreadLocals();
  Settings settings_;
  Decisions* decisions_ = nullptr;
  std::array<Thread, kMaxThreads> threads_;
  int count_ = 0;
  int running_ = 0;
  int next_ = 0;
  int preemptions_ = 0;
  int stale_values_ = 0;
  int steps_ = 0;
  int64_t locked_instructions_ = 0;  // see LockedInstructions
  bool was_bounded_ = false;
  bool was_bounded_in_values_ = false;
  void* driver_ = nullptr;
  bool failed_ = false;
  std::string why_;
  std::vector<std::string> trace_;
  MemoryModel model_;
  PlainMemory memory_;
  std::vector<RawClock> raw_;
  std::deque<FutexClock> futexes_;
  std::vector<Log> logs_;
  std::vector<void*> freed_;
  struct ChooseValue {
    Execution* self;
    int operator()(int count) const noexcept { return self->ChooseAge(count); }
  } choose_{this};
};

// The explorer's own code is not explored.
class InsideExplorer {
 public:
  InsideExplorer() noexcept : was_(std::exchange(Execution::current_, nullptr)) {}
  InsideExplorer(const InsideExplorer&) = delete;
  InsideExplorer& operator=(const InsideExplorer&) = delete;
  ~InsideExplorer() { Execution::current_ = was_; }

  Execution& execution() const noexcept { return *was_; }

 private:
  Execution* const was_;
};

}  // namespace plait::explorer

#endif  // PLAIT_RUNTIME_TESTING_EXPLORER_EXECUTION_H_
