// ProcessPool: calls functions in other processes, and awaits them like any task. For work that
// takes the processor, and for code that may crash.
//
//   int Square(int n) { return n * n; }
//
//   int main() {
//     plait::FunctionTable functions;
//     functions.Add("square", &Square);
//     absl::StatusOr<plait::ProcessPool> pool =
//         plait::ProcessPool::Create({.functions = functions, .workers = 4});
//     ...
//     absl::StatusOr<int> nine = co_await pool->Call(Square, 3);             // in a task
//     absl::StatusOr<int> soon = co_await pool->CallWith({.timeout = absl::Seconds(1)}, Square, 3);
//     absl::StatusOr<std::vector<int>> all = co_await pool->Map(Square, numbers);
//   }
//
// Make it first thing in main, while the program has one thread; elsewhere main must call
// RunProcessWorkersIfAsked (run_process_workers.h).
//
// What is promised:
//   - A function runs once at most for a call, unless CallOptions::attempts says more; a call has
//     one outcome.
//   - A worker that dies (a crash, exit(), out of memory) fails the call that it was running, with
//     absl::AbortedError that names the function, how the process ended and the last that it wrote
//     to its standard error. Calls that wait behind it run elsewhere; the worker is replaced.
//   - A call that is cancelled (absl::CancelledError) or late (DeadlineExceeded) ends at once. One
//     that has not begun never does. Where it runs, WorkerContext::cancelled() says so; a function
//     that goes on all the same has its process ended, by SIGTERM and then SIGKILL, and replaced.
//   - Where the process that starts workers dies or hangs, it and all of them are replaced: as many
//     calls fail as ran, with absl::AbortedError that says so.
//   - A call before which one worker after another dies fails with absl::AbortedError, one before
//     which they hang, or for which none starts, with absl::UnavailableError: it has not run.
//   - A function that ends its workers again and again is called no more for a while: its calls
//     fail with absl::UnavailableError, see ProcessPoolOptions::quarantine_after.
//   - However many calls there are, processes and memory do not grow: callers are suspended until
//     it is their turn.
//
// Threads: any task may call, on any executor. The first call decides where the pool is driven
// from: the thread that makes it, which needs a reactor (an EventLoop has one); others' calls are
// carried there. EventLoop::Run goes on while the pool is open, as with a server. When that loop is
// closed first, calls of other loops that are in the pool fail with Unavailable, and the next call
// makes its thread the one. Nothing blocks a loop but Create, some milliseconds, and the encoding
// and decoding of large values, at the speed of memory: for 1 GiB, seconds' tenths. (A pool that
// ends on a thread without a reactor, and that no loop drives, has that thread wait for its
// processes.) In a child that the program forks, calls of the copy fail with FailedPrecondition,
// and its end does nothing to the workers, which stay the program's.
//
// Arguments and results go through codecs (codec.h). Arguments are kept until the call has ended,
// as values: of large ones give a view (absl::string_view, absl::Span) that outlives the co_await.
// Cost: where many are made at once, a call takes about a microsecond of the loop's time, and a
// chunk of Map that much for all its items; a call alone is back after some microseconds, or tens
// of them where the worker was asleep. Nothing is allocated but the Task's frame.
//
// Callers that should not depend on where functions run take a RemoteExecutor&, which this is, and
// use CallRemote, SubmitRemote and MapRemote (remote_executor.h, remote_map.h).
#ifndef PLAIT_SCHEDULERS_PROCESS_POOL_PROCESS_POOL_H_
#define PLAIT_SCHEDULERS_PROCESS_POOL_PROCESS_POOL_H_

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "plait/runtime/task/join_handle.h"
#include "plait/runtime/task/spawn.h"
#include "plait/runtime/task/task.h"
#include "plait/schedulers/process_pool/pool_core.h"
#include "plait/schedulers/process_pool/process_function.h"
#include "plait/schedulers/process_pool/process_pool_options.h"
#include "plait/schedulers/process_pool/remote_executor.h"
#include "plait/schedulers/process_pool/remote_map.h"

namespace plait {

class ProcessPool final : public RemoteExecutor {
 public:
  // Starts the workers, and does not wait for them. FailedPrecondition where no process can be
  // started that is safe (see above); what is wrong with the table or the options.
  static absl::StatusOr<ProcessPool> Create(ProcessPoolOptions options);
  static absl::StatusOr<ProcessPool> Create(FunctionTable functions,
                                            ProcessPoolOptions options = {});

  // One that was moved from may be dropped and assigned to; whatever else is asked of it is a
  // programming error (CHECK).
  ProcessPool(ProcessPool&&) noexcept = default;
  ProcessPool& operator=(ProcessPool&& other) noexcept;
  // Ends the calls that are left with absl::CancelledError, and kills the workers.
  ~ProcessPool() override;

  // co_await: `function`, a pointer to a function of the table or a ProcessFunction, called with
  // arguments that convert to its parameters. Gives absl::StatusOr<R>, or absl::Status for a
  // function without a result; errors are the function's own, or those above. ResourceExhausted
  // when arguments or result are larger than the limit. The pool may be moved, or end, meanwhile.
  template <ProcessCallable F, class... Args>
  Task<typename internal::CallTraits<F>::Result> Call(const F& function, Args&&... arguments) {
    return CallWith(CallOptions{}, function, std::forward<Args>(arguments)...);
  }
  // The same with a timeout, and how often it may run; see CallOptions in remote_executor.h.
  template <ProcessCallable F, class... Args>
  Task<typename internal::CallTraits<F>::Result> CallWith(const CallOptions& options,
                                                          const F& function, Args&&... arguments) {
    const absl::StatusOr<size_t> index = functions().IndexOf(Decayed(function));
    if (!index.ok()) return Failed<typename internal::CallTraits<F>::Result>(index.status());
    return internal::RunTypedCall<F>(
        core_, functions().name(*index), *index, options, std::string(options.idempotency_key),
        std::tuple<internal::HeldArgument<Args>...>(std::forward<Args>(arguments)...));
  }

  // Call as a task of its own that runs already; only inside a task, as Spawn without an executor.
  // With options: Spawn(pool.CallWith(...)).
  template <ProcessCallable F, class... Args>
  JoinHandle<typename internal::CallTraits<F>::Result> Submit(const F& function,
                                                              Args&&... arguments) {
    return Spawn(Call(function, std::forward<Args>(arguments)...));
  }

  // co_await: `function` of one parameter, called with each item of `items`; the results in the
  // items' order, or the first error, which ends the other calls. Items travel in chunks: a worker
  // that dies fails its whole chunk, and so the Map, unless options.call.attempts allows another
  // run. `items` is kept (moved or copied) unless it is a view, such as absl::Span, whose memory
  // outlives the co_await. Cancellation: ends all calls, and then the co_await with
  // absl::CancelledError. MapOptions in remote_map.h say how long chunks are, and who is told how
  // far it is.
  template <ProcessCallable F, class Items>
    requires std::ranges::random_access_range<Items>
  auto Map(const F& function, Items&& items, MapOptions options = {})
      -> Task<internal::MapResult<F>> {
    const absl::StatusOr<size_t> index = functions().IndexOf(Decayed(function));
    if (!index.ok()) return Failed<internal::MapResult<F>>(index.status());
    internal::MapTarget target{core_, functions().name(*index), *index};
    std::string key(options.call.idempotency_key);
    return internal::RunMap<F, std::decay_t<Items>>(std::move(target), std::move(key),
                                                    std::forward<Items>(items), std::move(options));
  }

  // co_await: until the calls that are in the pool have ended, and then its workers; new calls are
  // refused with FailedPrecondition. Cancellation: absl::CancelledError, and the pool goes on
  // draining.
  Task<absl::Status> Drain();
  // Ends all calls with absl::CancelledError and kills the workers. Any thread; does not wait.
  void Stop();

  int workers() const noexcept;
  // The numbers of the processes, as far as they are known by now; for people and tests.
  std::vector<int> worker_pids() const;
  // How many workers have been started in the place of others.
  uint64_t workers_replaced() const noexcept;
  const FunctionTable& functions() const noexcept;

  // RemoteExecutor.
  void Start(RemoteCall& call) noexcept override;
  void Cancel(RemoteCall& call) noexcept override;
  RemoteCapacity capacity() const noexcept override;
  std::shared_ptr<RemoteExecutor> Keep() override;

 private:
  explicit ProcessPool(std::shared_ptr<internal::PoolCore> core);

  template <class F>
  static decltype(auto) Decayed(const F& function) {
    if constexpr (std::is_function_v<F>) {
      return &function;
    } else {
      return function;
    }
  }
  template <class R>
  static Task<R> Failed(absl::Status status) {
    co_return status;
  }
  // CHECKs that this was not moved from.
  internal::PoolCore& core() const noexcept;

  std::shared_ptr<internal::PoolCore> core_;  // null when moved from
};

}  // namespace plait

#endif  // PLAIT_SCHEDULERS_PROCESS_POOL_PROCESS_POOL_H_
