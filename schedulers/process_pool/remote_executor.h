// RemoteExecutor: runs functions by their names where no coroutine can go: in another process, or
// on another machine. ProcessPool is one; callers that know no more than this need not change when
// a cluster takes its place.
//
//   inline constexpr plait::ProcessFunction<int(int)> kSquare("square");
//   absl::StatusOr<int> nine = co_await plait::CallRemote(executor, kSquare, {}, 3);
//   auto running = plait::SubmitRemote(executor, kSquare, {}, 3);              // a JoinHandle
//   auto all = co_await plait::MapRemote(executor, kSquare, numbers);          // remote_map.h
//
// A call is a name and bytes one way, and bytes or an absl::Status the other. The bytes are written
// straight to where they travel and read where they arrive, through the functions of the
// RemoteCall, so that an executor with shared memory copies nothing more.
//
// What an executor promises: a call runs once at most, unless its CallOptions say how often it may,
// and it has one outcome. Where nobody can know whether it ran (its process died), it has failed.
// A call that was cancelled or is late ends at once; the executor then stops it where it runs.
#ifndef PLAIT_SCHEDULERS_PROCESS_POOL_REMOTE_EXECUTOR_H_
#define PLAIT_SCHEDULERS_PROCESS_POOL_REMOTE_EXECUTOR_H_

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/task/join_handle.h"
#include "plait/runtime/task/promise.h"
#include "plait/runtime/task/spawn.h"
#include "plait/runtime/task/stop_token.h"
#include "plait/runtime/task/task.h"
#include "plait/schedulers/process_pool/codec.h"
#include "plait/schedulers/process_pool/process_function.h"

namespace plait {

struct CallOptions {
  // From the call until it has its result, the time in queues included. After that it fails with
  // DeadlineExceeded and is stopped where it runs.
  absl::Duration timeout = absl::InfiniteDuration();
  // How often the function may run: more than once says that it is idempotent, and then it runs
  // again, elsewhere, where whoever ran it died.
  int attempts = 1;
  // Calls with the same key are the same call, for executors that can tell what they have run
  // before; a process pool has no use for it. Copied by the call. (Not a std::string: g++ 12
  // destroys one twice that is in braces inside a co_await expression.)
  absl::string_view idempotency_key;
};

// One call. The caller's, and alive until its `run` has been entered; what is not said to be the
// executor's is set by the caller before Start.
struct RemoteCall : WorkItem {
  // Outlives the call, as the key in `options` does.
  absl::string_view function;
  CallOptions options;
  // What the executor knows the function by, where the caller has asked for that.
  std::optional<size_t> function_index;
  // 0: a call. Else that many in a row, of one function, as one: their arguments and then their
  // results lie one behind the other.
  uint32_t count = 0;

  // Writes the arguments. May be asked again, until `run`: where there was no room for them, or the
  // function runs again. On any thread, one at a time.
  void (*encode)(const RemoteCall& call, Encoder& out) = nullptr;
  // Reads the result; once at most, before `run`, on any thread.
  void (*decode)(RemoteCall& call, absl::string_view bytes) = nullptr;

  // The executor's. Why there is no result, unless there is one.
  absl::Status status;
  // How often it was given to somebody who runs it.
  int attempts = 0;
  // Its scratch, between Start and `run`.
  alignas(16) char executor_memory[192];
  internal::Atomic<uint32_t> executor_state{0};
};

// What a Map is shared out by: about how many calls run at the same time, and how many more each of
// those who run them may be given ahead of its answers.
struct RemoteCapacity {
  int workers = 16;
  int ahead = 4;
};

class RemoteExecutor {
 public:
  virtual ~RemoteExecutor() = default;

  // Any thread. Takes the call: `run` is entered once, on any thread, perhaps before this returns,
  // when the result was decoded or `status` says why not. Waits for nothing.
  virtual void Start(RemoteCall& call) noexcept = 0;
  // Any thread. The call is to end soon, with absl::CancelledError if it has no result by then.
  // Once at most, at any time while the RemoteCall lives: also before Start, and after `run`.
  virtual void Cancel(RemoteCall& call) noexcept = 0;

  // Any thread. A guess where it is not known: that it is wrong costs time and nothing else.
  virtual RemoteCapacity capacity() const noexcept { return {}; }

  // What a call keeps from when it is made until it has ended, and is started with. For executors
  // that may be moved or dropped meanwhile; by default nothing is kept, and whose executor it is
  // sees to it that it outlives its calls.
  virtual std::shared_ptr<RemoteExecutor> Keep() {
    return std::shared_ptr<RemoteExecutor>(std::shared_ptr<void>(), this);
  }
};

namespace internal {

// co_await: starts the call and waits for it; a stop request cancels it. In the awaiting frame.
//
// Two things race, the call's end and a stop request, each on any thread. Where a stop request is
// being made while the call ends, the later of the two lets the coroutine go on: the other may
// still be looking at the frame.
class RemoteCallWait : public RemoteCall {
 public:
  explicit RemoteCallWait(RemoteExecutor& executor) noexcept;
  RemoteCallWait(const RemoteCallWait&) = delete;
  RemoteCallWait& operator=(const RemoteCallWait&) = delete;

  bool await_ready() const noexcept { return false; }
  template <PlaitPromise P>
  void await_suspend(std::coroutine_handle<P> waiter) noexcept {
    Suspend(waiter.promise());
  }
  void await_resume() const noexcept {}

 private:
  struct Stop : StopNode {
    using StopNode::StopNode;
    RemoteCallWait* self = nullptr;
  };

  void Suspend(PromiseBase& waiter) noexcept;
  void Arrive() noexcept;
  static void OnEnd(WorkItem& item) noexcept;
  static void OnStop(WorkItem& item) noexcept;

  RemoteExecutor& executor_;
  PromiseBase* waiter_ = nullptr;
  Stop stop_;
  bool registered_ = false;
  Atomic<bool> one_is_done_{false};
};

// An argument as it is kept until the call has ended: views stay views, whose memory is the
// caller's business; what a C string points to is copied.
template <class A>
using HeldArgument = std::conditional_t<std::is_same_v<std::decay_t<A>, const char*> ||
                                            std::is_same_v<std::decay_t<A>, char*>,
                                        std::string, std::decay_t<A>>;

template <class F, class... Held>
class TypedCall final : public RemoteCallWait {
 public:
  using Result = typename CallTraits<F>::Result;

  TypedCall(RemoteExecutor& executor, const std::tuple<Held...>& arguments)
      : RemoteCallWait(executor), arguments_(arguments) {
    encode = [](const RemoteCall& call, Encoder& out) {
      std::apply(
          [&out](const Held&... held) { CallTraits<F>::Codec::EncodeArguments(out, held...); },
          static_cast<const TypedCall&>(call).arguments_);
    };
    decode = [](RemoteCall& call, absl::string_view bytes) {
      static_cast<TypedCall&>(call).result_ = Decode<Result>(bytes);
    };
  }

  Result TakeResult() {
    if (result_.has_value()) return *std::move(result_);
    return status;
  }

 private:
  const std::tuple<Held...>& arguments_;
  std::optional<Result> result_;
};

template <class F, class... Held>
Task<typename CallTraits<F>::Result> RunTypedCall(std::shared_ptr<RemoteExecutor> executor,
                                                  absl::string_view function,
                                                  std::optional<size_t> index, CallOptions options,
                                                  std::string key, std::tuple<Held...> arguments) {
  TypedCall<F, Held...> call(*executor, arguments);
  call.function = function;
  call.function_index = index;
  call.options = options;
  call.options.idempotency_key = key;
  co_await call;
  co_return call.TakeResult();
}

}  // namespace internal

// Calls `function` with `arguments`, which convert to its parameters and are kept until the call
// has ended: values are copied, or moved; for a large one that stays where it is give a view of it
// (absl::string_view, absl::Span), which outlives the co_await. `executor` outlives it too, unless
// its Keep says otherwise: a ProcessPool may be moved, or end, meanwhile.
//
// Cancellation: a call that has not begun never does; one that runs is stopped; the co_await ends
// at once with absl::CancelledError. Errors: those of the function as it returned them, and the
// executor's.
template <class Signature, class... Args>
Task<typename internal::CallTraits<Signature>::Result> CallRemote(
    RemoteExecutor& executor, const ProcessFunction<Signature>& function, CallOptions options,
    Args&&... arguments) {
  return internal::RunTypedCall<Signature>(
      executor.Keep(), function.name(), std::nullopt, options, std::string(options.idempotency_key),
      std::tuple<internal::HeldArgument<Args>...>(std::forward<Args>(arguments)...));
}

// The same as a task of its own that runs already, from inside a task; see Spawn.
template <class Signature, class... Args>
JoinHandle<typename internal::CallTraits<Signature>::Result> SubmitRemote(
    RemoteExecutor& executor, const ProcessFunction<Signature>& function, CallOptions options,
    Args&&... arguments) {
  return Spawn(CallRemote(executor, function, options, std::forward<Args>(arguments)...));
}

}  // namespace plait

#endif  // PLAIT_SCHEDULERS_PROCESS_POOL_REMOTE_EXECUTOR_H_
