// Generator<T>: a function that gives one T after another and computes each when it is asked for.
//
//   plait::Generator<int64_t> Fibonacci() {
//     for (int64_t a = 0, b = 1;; b += std::exchange(a, b)) co_yield a;
//   }
//   for (int64_t n : Fibonacci()) {
//     if (n > 1000) break;                     // the generator ends with the loop
//   }
//   for (int64_t n : Fibonacci() | std::views::take(10)) Print(n);
//
// It does not wait: a generator that needs co_await is an AsyncGenerator.
//
// What the loop sees is what std::generator of C++23 gives: a T&& to the item itself, which stays
// as it is until the next step, so that `for (auto item : ...)` moves it out, and move-only items
// are fine; for a Generator<U&> or Generator<const U&> that reference, and nothing is copied. An
// rvalue is yielded in place, an lvalue is copied unless T is a reference.
//
// Leaving early: the coroutine is destroyed with the generator, and its locals with it, in the
// usual order. An exception that leaves the coroutine comes out of the loop (of begin() or ++),
// which has then ended.
//
// Recursion: `co_yield plait::ElementsOf(OtherGenerator())` gives all items of another generator of
// the same type. However deep they nest, a step costs the same, and the stack does not grow:
//
//   plait::Generator<Node&> InOrder(Node* node) {
//     if (node == nullptr) co_return;
//     co_yield plait::ElementsOf(InOrder(node->left));
//     co_yield *node;
//     co_yield plait::ElementsOf(InOrder(node->right));
//   }
//
// Lifetime: arguments taken by value are the generator's own; references and a lambda's captures
// must outlive it. A generator is iterated once (a second begin() is a CHECK); it is an input range
// and a view. Threads: one at a time. Cost: one frame, from the pool of
// runtime/core/frame_allocator.h, for all items.
#ifndef PLAIT_RUNTIME_TASK_GENERATOR_H_
#define PLAIT_RUNTIME_TASK_GENERATOR_H_

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <iterator>
#include <memory>
#include <ranges>
#include <type_traits>
#include <utility>

#include "plait/runtime/core/check.h"
#include "plait/runtime/core/frame_allocator.h"

namespace plait {

template <class T>
class Generator;

// All items of another generator; see the top of this file.
template <class T>
struct ElementsOf {
  explicit ElementsOf(Generator<T> inner) noexcept : generator(std::move(inner)) {}
  Generator<T> generator;
};

namespace internal {

template <class T>
class GeneratorPromise {
 public:
  using Reference = std::conditional_t<std::is_reference_v<T>, T, T&&>;
  using Value = std::remove_reference_t<Reference>;
  using Handle = std::coroutine_handle<GeneratorPromise>;

  static void* operator new(size_t size) { return AllocateFrame(size); }
  static void operator delete(void* frame, size_t size) noexcept { FreeFrame(frame, size); }

  Generator<T> get_return_object() noexcept { return Generator<T>(Handle::from_promise(*this)); }
  std::suspend_always initial_suspend() const noexcept { return {}; }
  void return_void() const noexcept {}
  void unhandled_exception() noexcept { exception_ = std::current_exception(); }
  template <class A>
  void await_transform(A&&) = delete;  // a generator that waits is an AsyncGenerator

  // Back to the generator that yields the elements of this one, if there is one.
  struct FinalAwaiter {
    bool await_ready() const noexcept { return false; }
    void await_suspend(Handle ended) const noexcept {
      GeneratorPromise& promise = ended.promise();
      if (promise.outer_ != nullptr) promise.root_->innermost_ = promise.outer_;
    }
    void await_resume() const noexcept {}
  };
  FinalAwaiter final_suspend() const noexcept { return {}; }

  std::suspend_always yield_value(Reference item) noexcept {
    root_->item_ = std::addressof(item);
    return {};
  }

  // Holds the copy that is yielded.
  struct CopyAwaiter {
    GeneratorPromise& promise;
    std::remove_cvref_t<T> copy;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<>) noexcept {
      promise.root_->item_ = std::addressof(copy);
    }
    void await_resume() const noexcept {}
  };
  CopyAwaiter yield_value(const std::remove_reference_t<T>& item)
    requires(!std::is_reference_v<T> && std::copy_constructible<std::remove_cv_t<T>>)
  {
    return CopyAwaiter{*this, item};
  }

  // Keeps the inner generator while it runs. Steps are taken by the loop in Advance, not by one
  // generator resuming another, so that the stack stays as it is.
  struct ElementsAwaiter {
    ElementsOf<T> elements;
    bool await_ready() const noexcept { return false; }
    void await_suspend(Handle outer) noexcept {
      GeneratorPromise& inner = elements.generator.Started();
      GeneratorPromise& promise = outer.promise();
      inner.root_ = promise.root_;
      inner.outer_ = &promise;
      inner.owner_ = &elements.generator;
      promise.root_->innermost_ = &inner;
    }
    void await_resume() const { elements.generator.handle_.promise().Rethrow(); }
  };
  ElementsAwaiter yield_value(ElementsOf<T> elements) noexcept {
    return ElementsAwaiter{std::move(elements)};
  }

  // For the outermost generator: runs until there is an item, or the end.
  void Advance() {
    item_ = nullptr;
    const Handle self = Handle::from_promise(*this);
    while (item_ == nullptr && !self.done()) Handle::from_promise(*innermost_).resume();
    if (self.done()) Rethrow();
  }

  Value* item() const noexcept { return item_; }

  // For the outermost generator: destroys the ones inside, innermost first and one after the other:
  // if each destroyed the next, that would take stack.
  void DestroyInner() noexcept {
    while (innermost_ != this) {
      GeneratorPromise& inner = *std::exchange(innermost_, innermost_->outer_);
      std::exchange(inner.owner_->handle_, nullptr).destroy();
    }
  }

 private:
  void Rethrow() {
    if (exception_ != nullptr) [[unlikely]]
      std::rethrow_exception(std::exchange(exception_, nullptr));
  }

  GeneratorPromise* root_ = this;       // the outermost generator
  GeneratorPromise* innermost_ = this;  // of the outermost: the one that runs
  GeneratorPromise* outer_ = nullptr;   // the one that yields this one's elements
  Generator<T>* owner_ = nullptr;       // of the others: the object in the outer one's frame
  Value* item_ = nullptr;               // of the outermost
  std::exception_ptr exception_;
};

}  // namespace internal

template <class T>
class [[nodiscard]] Generator : public std::ranges::view_base {
  static_assert(!std::is_void_v<T>, "a Generator gives items: void is none");

 public:
  using promise_type = internal::GeneratorPromise<T>;

  Generator(Generator&& other) noexcept
      : handle_(std::exchange(other.handle_, nullptr)), begun_(other.begun_) {}
  Generator& operator=(Generator&& other) noexcept {
    Generator taken(std::move(other));
    std::swap(handle_, taken.handle_);
    std::swap(begun_, taken.begun_);
    return *this;
  }
  ~Generator() {
    if (!handle_) return;
    handle_.promise().DestroyInner();
    handle_.destroy();
  }

  class Iterator {
   public:
    using iterator_concept = std::input_iterator_tag;
    using value_type = std::remove_cvref_t<T>;
    using difference_type = std::ptrdiff_t;

    Iterator(Iterator&& other) noexcept : promise_(std::exchange(other.promise_, nullptr)) {}
    Iterator& operator=(Iterator&& other) noexcept {
      promise_ = std::exchange(other.promise_, nullptr);
      return *this;
    }

    typename promise_type::Reference operator*() const noexcept {
      return static_cast<typename promise_type::Reference>(*promise_->item());
    }
    Iterator& operator++() {
      promise_->Advance();
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const Iterator& at, std::default_sentinel_t) noexcept {
      return at.promise_->item() == nullptr;
    }

   private:
    friend Generator;
    explicit Iterator(promise_type& promise) noexcept : promise_(&promise) {}

    promise_type* promise_;
  };

  // Runs up to the first item.
  Iterator begin() {
    promise_type& promise = Started();
    promise.Advance();
    return Iterator(promise);
  }
  std::default_sentinel_t end() const noexcept { return {}; }

 private:
  friend promise_type;

  explicit Generator(typename promise_type::Handle handle) noexcept : handle_(handle) {}

  promise_type& Started() noexcept {
    PLAIT_CHECK(static_cast<bool>(handle_), "iterating over a Generator that was moved from");
    PLAIT_CHECK(!std::exchange(begun_, true),
                "a Generator can be iterated over only once: what it gave is gone");
    return handle_.promise();
  }

  typename promise_type::Handle handle_;
  bool begun_ = false;
};

}  // namespace plait

#endif  // PLAIT_RUNTIME_TASK_GENERATOR_H_
