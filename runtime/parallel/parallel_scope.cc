#include "plait/runtime/parallel/parallel_scope.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace plait::internal {

std::optional<int64_t> RangeSize(int64_t begin, int64_t end) {
  int64_t size = 0;
  if (end < begin || __builtin_sub_overflow(end, begin, &size)) return std::nullopt;
  return size;
}

absl::Status RangeError(const char* what, int64_t begin, int64_t end) {
  return absl::InvalidArgumentError(
      absl::StrCat(what, ": the range from ", begin, " to ", end,
                   end < begin ? " ends before it begins" : " has too many numbers"));
}

absl::Status CheckOptions(const char* what, const ParallelOptions& options) {
  if (options.n_jobs < 1 || options.n_jobs > kMostParallelJobs) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": n_jobs is ", options.n_jobs,
                                                   "; it must be from 1 to ", kMostParallelJobs));
  }
  if (options.chunk < 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        what, ": chunk is ", options.chunk, "; it must be positive, or 0 for a size that fits"));
  }
  return absl::OkStatus();
}

int64_t ChunkSize(int64_t count, const ParallelOptions& options) {
  // Enough chunks to even out unequal items, few enough that taking one costs nothing.
  constexpr int64_t kChunksPerJob = 8;
  if (options.chunk > 0) return std::min(options.chunk, std::max<int64_t>(count, 1));
  return std::max<int64_t>(1, count / (int64_t{options.n_jobs} * kChunksPerJob));
}

absl::Status ParallelScope::Plan(const char* what, int64_t count, const ParallelOptions& options) {
  if (absl::Status valid = CheckOptions(what, options); !valid.ok()) return valid;
  count_ = count;
  chunk_ = ChunkSize(count, options);
  chunks_ = count / chunk_ + (count % chunk_ != 0 ? 1 : 0);
  jobs_count_ = static_cast<size_t>(std::min<int64_t>(options.n_jobs, chunks_));
  jobs_ = std::make_unique<Job[]>(jobs_count_);
  for (Job& job : jobs()) {
    job.scope = this;
    job.visit.emplace(executor_);
    job.run = [](WorkItem& item) noexcept {
      auto& self = static_cast<Job&>(item);
      self.visit->Leave();
      self.scope->counter_.Done();
    };
  }
  counter_.Add(static_cast<int>(jobs_count_));
  return absl::OkStatus();
}

void ParallelScope::Start(Job& job, Task<void> body) {
  TaskPromise<void>& promise = *body.Release();
  promise.continuation = &job;
  promise.context = &job.visit->context();
  promise.result = &job.result;
  promise.Schedule();
}

std::optional<ParallelScope::Chunk> ParallelScope::NextChunk(Job& job) {
  const int64_t next = next_.load(kRelaxed);
  if (next >= chunks_ || !Wanted(job, next * chunk_)) return std::nullopt;
  const int64_t chunk = next_.fetch_add(1, kRelaxed);
  if (chunk >= chunks_) return std::nullopt;
  const int64_t begin = chunk * chunk_;
  return Chunk{begin, begin + std::min(chunk_, count_ - begin)};
}

bool ParallelScope::Wanted(Job& job, int64_t item) noexcept {
  if (item >= limit_.load(kRelaxed)) return false;
  if (!job.visit->context().stop_requested()) [[likely]]
    return true;
  cut_short_.store(true, kRelaxed);
  return false;
}

bool ParallelScope::Begin(Job& job, int64_t item) noexcept {
  // Sequentially consistent, here and in Fail: either this sees the new limit, or Fail sees that
  // this job works on an item behind it.
  job.item.store(item, kSeqCst);
  return item < limit_.load(kSeqCst) && Wanted(job, item);
}

void ParallelScope::Fail(int64_t item, absl::Status error, std::exception_ptr exception) noexcept {
  {
    SpinLockHolder hold(lock_);
    if (item >= failed_) return;
    failed_ = item;
    error_ = std::move(error);
    exception_ = std::move(exception);
    limit_.store(item, kSeqCst);
  }
  for (Job& job : jobs()) {
    if (job.item.load(kSeqCst) > item) job.visit->RequestStop();
  }
}

absl::Status ParallelScope::Outcome() {
  for (Job& job : jobs()) {
    // The function's own exceptions are kept by item: this is one of moving a result.
    if (job.result.has_exception()) std::rethrow_exception(job.result.exception());
  }
  if (exception_ != nullptr) std::rethrow_exception(exception_);
  if (failed_ != std::numeric_limits<int64_t>::max()) return error_;
  if (cut_short_.load(kRelaxed)) return absl::CancelledError("the task was cancelled");
  return absl::OkStatus();
}

}  // namespace plait::internal
