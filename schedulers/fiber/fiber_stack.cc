#include "plait/schedulers/fiber/fiber_stack.h"

#include <cxxabi.h>

#include <cstdint>
#include <cstring>
#include <limits>
#include <utility>

#include "boost/context/detail/fcontext.hpp"
#include "plait/runtime/core/check.h"
#include "plait/runtime/core/stack_end.h"
#include "plait/runtime/core/thread_state.h"

#if defined(__SANITIZE_ADDRESS__)
#define PLAIT_FIBER_ASAN 1
#elif defined(__SANITIZE_THREAD__)
#define PLAIT_FIBER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PLAIT_FIBER_ASAN 1
#elif __has_feature(thread_sanitizer)
#define PLAIT_FIBER_TSAN 1
#endif
#endif

#if defined(PLAIT_FIBER_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(PLAIT_FIBER_TSAN)
#include <sanitizer/tsan_interface.h>
#endif

namespace plait::internal {
namespace {

namespace context = boost::context::detail;

// --- stacks ---

// A thread's stacks that wait for their next fiber.
struct StackStore {
  static constexpr int kMost = 16;
  static constexpr size_t kMostBytes = 1 << 20;  // of one; larger ones go back to the system

  StackMemory stacks[kMost];
  int count = 0;

  ~StackStore() {
    for (int i = 0; i < count; ++i) UnmapStack(stacks[i]);
    count = kMost;  // for fibers that end even later on this thread
  }
};

thread_local StackStore stack_store;

// --- the current fiber ---

constinit thread_local Fiber* current_fiber = nullptr;

}  // namespace

[[gnu::noinline]] absl::StatusOr<FiberStack> FiberStack::Take(size_t size) {
  StackStore& store = stack_store;
  for (int i = store.count - 1; i >= 0 && store.count < StackStore::kMost; --i) {
    if (store.stacks[i].size < size || store.stacks[i].size / 2 > size) continue;
    const StackMemory found = store.stacks[i];
    store.stacks[i] = store.stacks[--store.count];
    return FiberStack(found);
  }
  absl::StatusOr<StackMemory> mapped = MapStack(size);
  if (!mapped.ok()) return mapped.status();
  return FiberStack(*mapped);
}

[[gnu::noinline]] FiberStack::~FiberStack() {
  if (memory_.base == nullptr) return;
#if defined(PLAIT_FIBER_ASAN)
  // The last frames never returned.
  __asan_unpoison_memory_region(memory_.base, memory_.size);
#endif
  StackStore& store = stack_store;
  if (store.count < StackStore::kMost - 1 && memory_.size <= StackStore::kMostBytes) {
    store.stacks[store.count++] = memory_;
  } else {
    UnmapStack(memory_);
  }
}

// --- switching ---

struct Fiber::Entry {
  static void Run(context::transfer_t from) {
    Fiber& self = *static_cast<Fiber*>(from.data);
    self.there_ = from.fctx;
#if defined(PLAIT_FIBER_ASAN)
    __sanitizer_finish_switch_fiber(nullptr, &self.drivers_stack_, &self.drivers_stack_size_);
#endif
    self.body_(self.argument_);
    self.ended_ = true;
    self.SwitchOut(/*last=*/true);
    __builtin_unreachable();
  }
};

Fiber::Fiber(FiberStack stack, Body body, void* argument) noexcept
    : stack_(std::move(stack)),
      body_(body),
      argument_(argument),
      here_(context::make_fcontext(stack_.memory().base + stack_.memory().size,
                                   stack_.memory().size, &Entry::Run)) {
#if defined(PLAIT_FIBER_TSAN)
  shadow_ = __tsan_create_fiber(0);
#endif
}

Fiber::~Fiber() {
  PLAIT_CHECK(ended_ || !begun_, "a fiber was destroyed before its function had returned");
#if defined(PLAIT_FIBER_TSAN)
  __tsan_destroy_fiber(shadow_);
#endif
}

void Fiber::SwapExceptions() noexcept {
  // The beginning of what every C++ runtime in use keeps there (the Itanium C++ ABI, 2.2.2).
  Exceptions threads;
  void* const globals = abi::__cxa_get_globals();
  std::memcpy(&threads, globals, sizeof(threads));
  std::memcpy(globals, &exceptions_, sizeof(exceptions_));
  exceptions_ = threads;
}

[[gnu::noinline]] void Fiber::SwitchIn() noexcept {
#if defined(PLAIT_FIBER_TSAN)
  drivers_shadow_ = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(shadow_, 0);
#endif
#if defined(PLAIT_FIBER_ASAN)
  void* fake_stack = nullptr;
  __sanitizer_start_switch_fiber(&fake_stack, stack_.memory().base, stack_.memory().size);
#endif
  here_ = context::jump_fcontext(here_, this).fctx;
#if defined(PLAIT_FIBER_ASAN)
  __sanitizer_finish_switch_fiber(fake_stack, nullptr, nullptr);
#endif
}

[[gnu::noinline]] void Fiber::SwitchOut(bool last) noexcept {
#if defined(PLAIT_FIBER_TSAN)
  __tsan_switch_to_fiber(drivers_shadow_, 0);
#endif
#if defined(PLAIT_FIBER_ASAN)
  void* fake_stack = nullptr;
  __sanitizer_start_switch_fiber(last ? nullptr : &fake_stack, drivers_stack_, drivers_stack_size_);
#endif
  static_cast<void>(last);
  there_ = context::jump_fcontext(there_, nullptr).fctx;
#if defined(PLAIT_FIBER_ASAN)
  __sanitizer_finish_switch_fiber(fake_stack, &drivers_stack_, &drivers_stack_size_);
#endif
}

[[gnu::noinline]] PromiseBase* Fiber::Resume() noexcept {
  begun_ = true;
  child_ = nullptr;
  // The driver stays on its thread while the fiber runs, so these are the same before and after.
  ThreadState& thread = thread_state;
  Fiber*& current = current_fiber;
  Fiber* const outer = std::exchange(current, this);
  context_ = thread.context;
  const char* const stack_limit = thread.stack_limit;
  // Nothing that a fiber runs transfers between coroutines but inside a ResumeTask of its own,
  // which sets a limit; until then, all of this stack is good.
  thread.stack_limit = stack_.memory().base;
  const char*& end = stack_end;
  const char* const outer_end = std::exchange(end, stack_.memory().base);
  // And nothing is started there at once that can be queued: a stack that is enough for the
  // function may be too small for the calls of coroutines.
  const int nested = std::exchange(thread.nested, std::numeric_limits<int>::max() / 2);
  // What it forks it does itself: it may wait in the middle of that, while the thread goes on.
  ForkStack* const forks = std::exchange(thread.forks, nullptr);
  SwapExceptions();
  SwitchIn();
  SwapExceptions();
  thread.forks = forks;
  thread.nested = nested;
  end = outer_end;
  thread.stack_limit = stack_limit;
  thread.context = context_;
  current = outer;
  return ended_ ? nullptr : child_;
}

void Fiber::Suspend(PromiseBase& child) noexcept {
  child_ = &child;
  SwitchOut(/*last=*/false);
}

[[gnu::noinline]] Fiber* Fiber::Current() noexcept {
  Fiber* const fiber = current_fiber;
  // A coroutine that the fiber's function runs, on an InlineExecutor say, is not the fiber.
  if (fiber == nullptr || fiber->context_ != thread_state.context) return nullptr;
  return fiber;
}

Fiber& Fiber::CheckedCurrent() noexcept {
  Fiber* const fiber = Current();
  PLAIT_CHECK(fiber != nullptr,
              "Await was called outside of a fiber: run the function with RunFiber or SpawnFiber, "
              "or use co_await in a coroutine");
  return *fiber;
}

}  // namespace plait::internal
