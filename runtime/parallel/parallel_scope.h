// ParallelScope: what the jobs of one ParallelFor or ParallelMap share: which chunk is next, which
// error is the first. Internal.
#ifndef PLAIT_RUNTIME_PARALLEL_PARALLEL_SCOPE_H_
#define PLAIT_RUNTIME_PARALLEL_PARALLEL_SCOPE_H_

#include <coroutine>
#include <cstdint>
#include <exception>
#include <limits>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/executor.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/task/result.h"
#include "plait/runtime/task/scope.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/task/visit.h"

namespace plait {

struct ParallelOptions {
  // How many chunks are worked on at once, at most; from 1 to kMostParallelJobs. By default as many
  // as the machine runs threads at once.
  int n_jobs = HardwareThreads();
  // How many neighbouring items a job takes at a time; 0 for eight chunks a job.
  int64_t chunk = 0;
};

inline constexpr int kMostParallelJobs = 4096;

namespace internal {

// How many numbers there are from `begin` up to `end`; none if that is negative or too many to
// count.
std::optional<int64_t> RangeSize(int64_t begin, int64_t end);
absl::Status RangeError(const char* what, int64_t begin, int64_t end);
absl::Status CheckOptions(const char* what, const ParallelOptions& options);
// For options that make sense; at least 1.
int64_t ChunkSize(int64_t count, const ParallelOptions& options);

// std::vector<T>, and void for void.
template <class T>
struct VectorOfImpl {
  using type = std::vector<T>;
};
template <>
struct VectorOfImpl<void> {
  using type = void;
};
template <class T>
using VectorOf = typename VectorOfImpl<T>::type;

class ParallelScope {
 public:
  // [begin, end)
  struct Chunk {
    int64_t begin;
    int64_t end;
  };

  // A job has a stop state of its own, so that an error stops the items behind it and no others;
  // and is on the books of the executor, so that this is not closed under it.
  struct Job : WorkItem {
    ParallelScope* scope = nullptr;
    std::optional<Visit> visit;
    Result<void> result;
    // The item that it works on or has done last, of those that can be stopped.
    Atomic<int64_t> item{kNone};
  };

  // Inside a task.
  explicit ParallelScope(Executor& executor) : executor_(executor) {}
  ParallelScope(const ParallelScope&) = delete;
  ParallelScope& operator=(const ParallelScope&) = delete;

  // Cuts `count` items into chunks and makes the jobs.
  absl::Status Plan(const char* what, int64_t count, const ParallelOptions& options);
  absl::Span<Job> jobs() { return absl::MakeSpan(jobs_.get(), jobs_count_); }
  void Start(Job& job, Task<void> body);
  JoinCounter::Awaiter Join() { return counter_.Join(); }
  // After the join: why not all was done; rethrows the first exception.
  absl::Status Outcome();

  // For the jobs.
  std::optional<Chunk> NextChunk(Job& job);
  // Whether `item`, or those from it on, are still to be done.
  bool Wanted(Job& job, int64_t item) noexcept;
  // The same for an item that can be stopped on the way; then it will be.
  bool Begin(Job& job, int64_t item) noexcept;
  // Lets others run.
  struct [[nodiscard]] PauseAwaiter {
    bool await_ready() const noexcept { return last; }
    template <PlaitPromise P>
    void await_suspend(std::coroutine_handle<P> waiter) const noexcept {
      waiter.promise().Schedule();
    }
    void await_resume() const noexcept {}
    bool last;
  };
  PauseAwaiter Pause() const noexcept { return {next_.load(kRelaxed) >= chunks_}; }
  void Fail(int64_t item, absl::Status error, std::exception_ptr exception) noexcept;

 private:
  static constexpr int64_t kNone = -1;

  Executor& executor_;
  int64_t count_ = 0;
  int64_t chunk_ = 1;
  int64_t chunks_ = 0;
  std::unique_ptr<Job[]> jobs_;
  size_t jobs_count_ = 0;
  JoinCounter counter_;

  Atomic<int64_t> next_{0};        // the first chunk that no job has taken
  Atomic<bool> cut_short_{false};  // an item was not done, as the whole was cancelled
  // Items from here on are not to be done: the lowest that failed.
  Atomic<int64_t> limit_{std::numeric_limits<int64_t>::max()};
  SpinLock lock_;  // guards what follows
  int64_t failed_ = std::numeric_limits<int64_t>::max();
  absl::Status error_;
  std::exception_ptr exception_;
};

}  // namespace internal
}  // namespace plait

#endif  // PLAIT_RUNTIME_PARALLEL_PARALLEL_SCOPE_H_
