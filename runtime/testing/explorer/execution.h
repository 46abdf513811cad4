// Execution: one run of the code under test, thread by thread as `decisions` decide. Internal.
//
// Each explored thread is a fiber of the one thread that explores. It runs until it comes to an
// operation on an atomic, where another may be let run first; that is a preemption, and their
// number is bounded, as most bugs need few. Waiting and ending cost none.
#ifndef PLAIT_RUNTIME_TESTING_EXPLORER_EXECUTION_H_
#define PLAIT_RUNTIME_TESTING_EXPLORER_EXECUTION_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/explored_atomic.h"
#include "plait/runtime/core/thread_state.h"
#include "plait/runtime/testing/explorer/clock.h"
#include "plait/runtime/testing/explorer/decisions.h"
#include "plait/runtime/testing/explorer/memory_model.h"
#include "plait/runtime/testing/explorer/plain_memory.h"
#include "plait/runtime/testing/explorer/sites.h"

namespace plait::explorer {

using Body = absl::FunctionRef<void()>;
using Where = std::source_location;

class Execution {
 public:
  struct Settings {
    int preemptions = 0;
    int max_steps = 0;
    bool traced = false;
    const Site* weakened = nullptr;      // to its order
    std::vector<Site>* sites = nullptr;  // gets those that are met
  };

  Execution();
  Execution(const Execution&) = delete;
  Execution& operator=(const Execution&) = delete;
  ~Execution();

  // Why it failed; empty when it did not.
  std::string Run(Body body, Decisions& decisions, const Settings& settings);

  // Whether the bound on preemptions kept a thread from running, ever since this was last asked.
  bool TakeWasBounded() noexcept { return std::exchange(was_bounded_, false); }
  bool overflown() const noexcept { return model_.overflown(); }
  const std::vector<std::string>& trace() const noexcept { return trace_; }

  // What follows is for the thread of the code under test that runs now.

  // The one that runs; null outside of an exploration and inside of the explorer.
  static Execution* Current() noexcept { return current_; }

  [[noreturn]] void Fail(std::string why) noexcept;

  void Parallel(std::span<const Body> bodies) noexcept;
  // Goes on when `ready()`.
  void WaitUntil(absl::FunctionRef<bool()> ready, const char* what, const Where& where) noexcept;
  void Release(Clock& to, const char* what, const Where& where) noexcept;
  void Acquire(const Clock& from) noexcept { model_.clock(running_).Join(from); }
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
  struct Entry;

  Clock& FutexClockOf(const void* at) noexcept;
  Thread& thread(int number) noexcept { return threads_[static_cast<size_t>(number)]; }
  void Begin(int number, const Body& body) noexcept;
  bool MayRun(int number) noexcept;
  // A point at which another thread may be let run.
  void Point() noexcept;
  // Another thread must run, unless this one may.
  void Block() noexcept;
  void SwitchTo(int number) noexcept;
  void SwitchOut() noexcept;
  std::string DescribeDeadlock();

  MemoryOrder Order(SiteKind kind, MemoryOrder order, const Where& where) noexcept;
  MemoryModel::Location& Locate(const void* at, size_t size, const Where& where) noexcept;
  void Trace(const Where& where, const std::string& what);
  std::string NameOfLocation(const MemoryModel::Location& location);
  void CheckOverflow() noexcept;
  [[noreturn]] void FailRace(const PlainMemory::Clash& clash, const PlainMemory::Access& access,
                             const void* at) noexcept;

  static constinit Execution* current_;

  Settings settings_;
  Decisions* decisions_ = nullptr;
  std::array<Thread, kMaxThreads> threads_;
  int count_ = 0;
  int running_ = 0;
  int next_ = 0;
  int preemptions_ = 0;
  int steps_ = 0;
  bool was_bounded_ = false;
  void* driver_ = nullptr;
  bool failed_ = false;
  std::string why_;
  std::vector<std::string> trace_;
  MemoryModel model_;
  PlainMemory memory_;
  std::vector<RawClock> raw_;
  std::vector<FutexClock> futexes_;
  std::vector<void*> freed_;
  struct ChooseNext {
    Execution* self;
    int operator()(int count) const noexcept { return self->decisions_->Choose(count); }
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
