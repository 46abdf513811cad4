// Small tasks that the suites' tests are made of. Internal to runtime/testing.
#ifndef PLAIT_RUNTIME_TESTING_TASK_PROGRAMS_H_
#define PLAIT_RUNTIME_TESTING_TASK_PROGRAMS_H_

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/executor.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/task/future.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/task/task_context.h"
#include "plait/runtime/time/sleep.h"

namespace plait::testing_programs {

// Appends to a log; the log outlives it.
class Leaving {
 public:
  Leaving(std::vector<std::string>& log, std::string what) : log_(&log), what_(std::move(what)) {}
  Leaving(const Leaving&) = delete;
  Leaving& operator=(const Leaving&) = delete;
  ~Leaving() { log_->push_back(what_); }

 private:
  std::vector<std::string>* log_;
  std::string what_;
};

template <class T>
Task<T> Give(T value) {
  co_return value;
}

inline Task<void> Nothing() { co_return; }

inline Task<std::unique_ptr<int>> GiveMoveOnly(int n) { co_return std::make_unique<int>(n); }

inline Task<int&> GiveReference(int& target) { co_return target; }

inline Task<absl::Status> Ok() { co_return absl::OkStatus(); }

inline Task<absl::Status> FailWith(std::string what) { co_return absl::InternalError(what); }

inline Task<absl::StatusOr<int>> FailOr(std::string what) { co_return absl::InternalError(what); }

inline Task<absl::StatusOr<int>> GiveOr(int n) { co_return n; }

// Waits for what never comes: ends only by a cancel, with absl::CancelledError.
inline Task<absl::Status> Forever() {
  Promise<void> never;
  co_return co_await never.future();
}

// Ends by a cancel, too, with an error of its own.
inline Task<absl::Status> FailWhenCancelled(std::string what) {
  static_cast<void>(co_await Forever());
  co_return absl::DataLossError(what);
}

// Sets `cancelled` when it was.
inline Task<absl::Status> ForeverNoting(bool* cancelled) {
  absl::Status status = co_await Forever();
  *cancelled = absl::IsCancelled(status);
  co_return status;
}

// See ExecutorFactory::quiet; null outside of the suites.
inline const std::function<bool(Executor& executor)>* quiet = nullptr;

// Lets everything else run `times` times. Where several threads do that at once, a few yields of
// one of them say nothing about the others: there, it goes on until the others have nothing to do,
// or wait for it as it does for them.
inline Task<void> Turns(int times) {
  for (int i = 0; i < times; ++i) co_await Yield();
  if (quiet == nullptr || *quiet == nullptr) co_return;
  constexpr int kMostRounds = 500;
  for (int i = 0; i < kMostRounds && !(*quiet)(*TaskContext::Current()->executor); ++i) {
    internal::SpinWait(1000);  // gives the processor to the threads that have work
    co_await Yield();
  }
}

// Ends by a cancel only, then takes its time, and is counted.
inline Task<absl::Status> CountedForever(internal::Atomic<int>* ended) {
  absl::Status status = co_await Forever();
  co_await Turns(3);
  ended->fetch_add(1, internal::kRelaxed);
  co_return status;
}

inline Task<absl::Status> TurnsThenFail(int times, std::string what) {
  co_await Turns(times);
  co_return absl::InternalError(what);
}

inline Task<absl::StatusOr<int>> TurnsThenGive(int times, int n) {
  co_await Turns(times);
  co_return n;
}

#if defined(__cpp_exceptions)
inline Task<int> Throw(std::string what) {
  co_await Yield();
  throw std::runtime_error(what);
  co_return 0;
}
inline Task<absl::Status> ThrowInStatus(std::string what) {
  co_await Yield();
  throw std::runtime_error(what);
  co_return absl::OkStatus();
}
#endif

}  // namespace plait::testing_programs

#endif  // PLAIT_RUNTIME_TESTING_TASK_PROGRAMS_H_
