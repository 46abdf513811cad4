// AsyncGenerator<T>: a coroutine that gives one T after another and may wait in between.
//
//   plait::AsyncGenerator<int> Ticks(int count) {
//     for (int n = 0; n < count; ++n) {
//       if (!(co_await plait::Sleep(absl::Seconds(1))).ok()) co_return;
//       co_yield n;
//     }
//   }
//   plait::AsyncGenerator<int> ticks = Ticks(5);
//   while (auto tick = co_await ticks.Next()) Print(*tick);     // Python: async for
//
// Next runs the generator up to its next co_yield and gives the item: a std::optional<T>, or, where
// T is a reference, a pointer; empty once the generator has ended, and then every time. T may be
// move-only. Nothing runs before the first Next.
//
// Errors: let T be an absl::StatusOr<U>. `co_await OrReturn(...)` inside such a generator then
// gives its error as the last item, and the generator has ended:
//
//   plait::AsyncGenerator<absl::StatusOr<Row>> Rows(Queue<Row>& queue) {
//     for (;;) co_yield co_await plait::OrReturn(queue.Get());
//   }
//   absl::Status status = co_await plait::ForEach(Rows(queue), [&](Row row) { Print(row); });
//
// An exception that leaves the generator comes out of the Next that met it, and ends it.
// Cancellation: the generator waits on behalf of the task that awaits Next: on its executor, with
// its stop token. A cancelled task's generator sees its waits end with absl::CancelledError, like
// any code of that task, and so does one whose Next is cut short by a Timeout; whether it ends
// there is for it to say.
//
// Leaving early: dropping a generator destroys its suspended coroutine and runs the destructors of
// its locals, at once. No loop keeps a list of generators to be shut down, as asyncio does: a frame
// belongs to its generator object. Cleanup that must wait needs two things: a generator that looks
// at what co_yield gives, false when no more items are wanted, and a consumer that awaits Close:
//
//   plait::AsyncGenerator<Row> Rows(Database& database) {
//     Cursor cursor = co_await database.Open();
//     while (auto row = co_await cursor.Fetch()) {
//       if (!(co_yield *row)) break;
//     }
//     co_await plait::Uncancellable(cursor.Close());
//   }
//   absl::Status closed = co_await rows.Close();     // WithAsync does so by itself
//
// Do not co_yield inside a scope that is open in the generator's own frame (a TaskGroup, a cancel
// scope): the scope hangs on the task that opened it, which need not be there for the next item.
//
// g++ 12 miscompiles a coroutine, of any kind, that awaits or yields in the condition of an if or a
// loop and has no local variable anywhere in its body; and `!(co_yield item)` in a template makes
// it fail. `const bool more = co_yield item;` is fine in both.
//
// Threads: one task at a time; a Next while another is in flight, or a generator destroyed or moved
// meanwhile, is a programming error (CHECK). Lifetime: as for Task, arguments taken by value are
// the generator's own, references and a lambda's captures must outlive it. Cost: one frame for all
// items; an item costs two transfers between coroutines and allocates nothing.
#ifndef PLAIT_RUNTIME_TASK_ASYNC_GENERATOR_H_
#define PLAIT_RUNTIME_TASK_ASYNC_GENERATOR_H_

#include <coroutine>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "plait/runtime/core/awaitable.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/task/promise.h"
#include "plait/runtime/task/result.h"
#include "plait/runtime/task/status_traits.h"
#include "plait/runtime/task/stop_token.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/task/task_context.h"

namespace plait {

template <class T>
class AsyncGenerator;

namespace internal {

// Awaits as a Task does; what a Task does once, when it returns, this does with every item.
template <class T>
struct AsyncGeneratorPromise : TaskPromiseBase<T> {
  // What OrReturn may end it with.
  using ReturnType = std::conditional_t<std::is_reference_v<T>, void, T>;

  // However the coroutine ends, its frame goes first: co_return, an exception, OrReturn.
  ~AsyncGeneratorPromise() {
    if (running != nullptr) running->promise_ = nullptr;
  }

  AsyncGenerator<T> get_return_object() noexcept { return AsyncGenerator<T>(*this); }
  void return_void() const noexcept {}

  struct [[nodiscard]] YieldAwaiter {
    AsyncGeneratorPromise& promise;
    bool await_ready() const noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<>) const noexcept {
      promise.running = nullptr;
      return Continue(*promise.continuation);
    }
    bool await_resume() const noexcept { return !promise.closing; }
  };

  template <class U = T>
    requires std::is_convertible_v<U&&, T>
  YieldAwaiter yield_value(U&& value) {
    if constexpr (std::is_reference_v<T>) {
      this->result->Emplace(std::addressof(value));
    } else {
      this->result->Emplace(std::forward<U>(value));
    }
    return YieldAwaiter{*this};
  }

  AsyncGenerator<T>* running = nullptr;  // the generator's object, while a Next is in flight
  bool started = false;
  bool closing = false;
};

}  // namespace internal

template <class T>
class [[nodiscard]] AsyncGenerator {
  static_assert(!std::is_void_v<T>, "an AsyncGenerator gives items: void is none");

 public:
  using promise_type = internal::AsyncGeneratorPromise<T>;
  // What Next gives.
  using Item =
      std::conditional_t<std::is_reference_v<T>, std::remove_reference_t<T>*, std::optional<T>>;

  // What was moved from gives no items.
  AsyncGenerator(AsyncGenerator&& other) noexcept : promise_(other.Release()) {}
  AsyncGenerator& operator=(AsyncGenerator&& other) noexcept {
    AsyncGenerator taken(std::move(other));
    std::swap(promise_, taken.promise_);
    return *this;
  }
  ~AsyncGenerator() { Destroy(); }

  class [[nodiscard]] NextAwaiter;
  struct [[nodiscard]] NextAwaitable {
    AsyncGenerator& generator;
    NextAwaiter operator co_await() const noexcept { return NextAwaiter(generator); }
  };

  // co_await: an Item. The generator must stay where it is meanwhile.
  NextAwaitable Next() noexcept { return NextAwaitable{*this}; }

  // co_await: ends the generator and returns when its cleanup has run. One that waits at a co_yield
  // goes on there once more: co_yield gives false, and every wait ends with absl::CancelledError
  // unless it is Uncancellable; if it yields again instead of ending it is destroyed there. One
  // that has not begun never does. Gives the error it ends with meanwhile, if T carries a status
  // and it is not Cancelled; rethrows its exception. After that, or at the end, there is nothing to
  // close: OK.
  Task<absl::Status> Close() { return CloseNow(*this); }

  // False once the generator has ended, was closed or moved from.
  bool valid() const noexcept { return promise_ != nullptr; }

 private:
  friend promise_type;

  explicit AsyncGenerator(promise_type& promise) noexcept : promise_(&promise) {
    static_assert(alignof(promise_type) == alignof(internal::PromiseBase),
                  "PromiseBase::handle needs all promises to be aligned alike");
  }

  // Lets the coroutine run, on behalf of `waiter`, until it has left an item in `result` or ended.
  std::coroutine_handle<> Resume(internal::PromiseBase& waiter, const TaskContext* context,
                                 internal::Result<T>& result) noexcept {
    PLAIT_CHECK(promise_->running == nullptr,
                "an AsyncGenerator was resumed while another Next or Close of it is in flight");
    promise_->running = this;
    promise_->started = true;
    promise_->continuation = &waiter;
    promise_->context = context;
    promise_->result = &result;
    waiter.Awaits(*promise_);
    return internal::Transfer(*promise_);
  }

  struct [[nodiscard]] CloseAwaiter {
    AsyncGenerator& generator;
    const TaskContext* context;
    internal::Result<T>& result;
    bool await_ready() const noexcept { return false; }
    template <internal::PlaitPromise P>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<P> waiter) const noexcept {
      return generator.Resume(waiter.promise(), context, result);
    }
    void await_resume() const noexcept {}
  };

  static Task<absl::Status> CloseNow(AsyncGenerator& self) {
    if (self.promise_ == nullptr) co_return absl::OkStatus();
    absl::Status ended;
    if (self.promise_->started) {
      internal::StopState stopped;
      stopped.RequestStop();
      TaskContext context = *TaskContext::Current();
      context.stop = &stopped;
      internal::Result<T> last;
      self.promise_->closing = true;
      co_await CloseAwaiter{self, &context, last};
      if (last.has_exception()) static_cast<void>(last.Take());
      if constexpr (internal::kCarriesStatus<typename promise_type::ReturnType>) {
        if (!self.valid() && last.has_value()) ended = internal::StatusOf(last.value());
      }
    }
    self.Destroy();
    co_return absl::IsCancelled(ended) ? absl::OkStatus() : ended;
  }

  promise_type* Release() noexcept {
    PLAIT_CHECK(promise_ == nullptr || promise_->running == nullptr,
                "an AsyncGenerator was moved while a Next of it is in flight");
    return std::exchange(promise_, nullptr);
  }

  void Destroy() noexcept {
    if (promise_ == nullptr) return;
    PLAIT_CHECK(promise_->running == nullptr,
                "an AsyncGenerator was destroyed while a Next of it is in flight");
    std::exchange(promise_, nullptr)->handle().destroy();
  }

  promise_type* promise_;
};

template <class T>
class [[nodiscard]] AsyncGenerator<T>::NextAwaiter {
 public:
  explicit NextAwaiter(AsyncGenerator& generator) noexcept : generator_(generator) {}

  bool await_ready() const noexcept { return !generator_.valid(); }
  template <internal::PlaitPromise P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> waiter) noexcept {
    return generator_.Resume(waiter.promise(), waiter.promise().context, result_);
  }
  Item await_resume() {
    if (result_.empty()) return Item();
    if constexpr (std::is_reference_v<T>) {
      return std::addressof(result_.Take());
    } else {
      return Item(std::in_place, result_.Take());
    }
  }

 private:
  AsyncGenerator& generator_;
  internal::Result<T> result_;
};

namespace internal {

// What ForEach hands to its function: the U of a StatusOr<U>.
template <class T>
struct ElementImpl {
  using type = T;
};
template <class U>
struct ElementImpl<absl::StatusOr<U>> {
  using type = U;
};
template <class T>
T& ElementOf(T& item) {
  return item;
}
template <class U>
U& ElementOf(absl::StatusOr<U>& item) {
  return *item;
}

// Calls `f` with `element` and leaves in `result` a Status (OK for void) or an exception. What `f`
// gives is awaited, where it is awaitable.
template <class E, class F>
Task<absl::Status> AwaitCall(F& f, E element) {
  using R = std::invoke_result_t<F&, E>;
  if constexpr (std::is_void_v<AwaitResult<R>>) {
    co_await std::invoke(f, std::forward<E>(element));
    co_return absl::OkStatus();
  } else {
    co_return co_await std::invoke(f, std::forward<E>(element));
  }
}
template <class E, class F>
absl::Status Call(F& f, E&& element) {
  if constexpr (std::is_void_v<std::invoke_result_t<F&, E>>) {
    std::invoke(f, std::forward<E>(element));
    return absl::OkStatus();
  } else {
    return std::invoke(f, std::forward<E>(element));
  }
}
template <class F, class E>
concept CallIsAwaitable = Awaitable<std::invoke_result_t<F&, E>>;

}  // namespace internal

// Calls `f(element)` for one item after the other, and closes the generator at the end, however
// that comes. `f` gives nothing, an absl::Status, or a Task or other awaitable of either; an error
// ends it, and so does an error among the items of an AsyncGenerator<absl::StatusOr<U>>, where `f`
// gets the U. Gives the first error; rethrows the first exception, after closing. `f` is kept alive
// until then.
template <class T, class F>
Task<absl::Status> ForEach(AsyncGenerator<T> generator, F f) {
  using Element = typename internal::ElementImpl<T>::type;
  internal::Result<absl::Status> ended;
  while (auto item = co_await generator.Next()) {
    if constexpr (internal::kIsStatusOr<T>) {
      if (!item->ok()) {
        ended.Emplace(item->status());
        break;
      }
    }
    Element& element = internal::ElementOf(*item);
    if constexpr (internal::CallIsAwaitable<F, Element>) {
      co_await internal::AwaitInto<absl::Status>(
          internal::AwaitCall<Element>(f, std::forward<Element>(element)), nullptr, ended);
    } else {
      ended.Capture([&] { return internal::Call<Element>(f, std::forward<Element>(element)); });
    }
    if (ended.has_exception() || !ended.value().ok()) break;
  }
  const absl::Status closed = co_await generator.Close();
  if (ended.has_exception() || (ended.has_value() && !ended.value().ok())) co_return ended.Take();
  co_return closed;
}

}  // namespace plait

#endif  // PLAIT_RUNTIME_TASK_ASYNC_GENERATOR_H_
