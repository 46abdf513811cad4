// FiberStack and Fiber: stacks, and what runs on them. Internal; see fiber.h.
#ifndef PLAIT_SCHEDULERS_FIBER_FIBER_STACK_H_
#define PLAIT_SCHEDULERS_FIBER_FIBER_STACK_H_

#include <cstddef>
#include <utility>

#include "absl/status/statusor.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/worker.h"
#include "plait/runtime/task/promise.h"
#include "plait/runtime/task/task_context.h"

namespace plait::internal {

// Owns a stack; gives it back to the thread's small store of stacks, or to the system.
class FiberStack {
 public:
  static absl::StatusOr<FiberStack> Take(size_t size);

  FiberStack(FiberStack&& other) noexcept : memory_(std::exchange(other.memory_, StackMemory())) {}
  FiberStack& operator=(FiberStack&& other) noexcept {
    std::swap(memory_, other.memory_);
    return *this;
  }
  ~FiberStack();

  const StackMemory& memory() const { return memory_; }

 private:
  explicit FiberStack(StackMemory memory) : memory_(memory) {}

  StackMemory memory_;
};

// A function on a stack of its own. All but Suspend is for the thread that drives it, and so is
// everything thread-local: the fiber's side of a switch touches nothing of the kind.
class Fiber {
 public:
  using Body = void (*)(void* argument) noexcept;

  Fiber(FiberStack stack, Body body, void* argument) noexcept;
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;
  // It never began, or has ended (CHECK).
  ~Fiber();

  // Runs it until it ends (null) or awaits a child.
  PromiseBase* Resume() noexcept;

  // In the fiber: returns when the child has ended.
  void Suspend(PromiseBase& child) noexcept;

  // The fiber that runs here, in whose function this is called; null, or a CHECK, if there is none.
  static Fiber* Current() noexcept;
  static Fiber& CheckedCurrent() noexcept;

 private:
  // What the C++ runtime keeps for a thread of the exceptions that are in flight: a catch block
  // with an Await in it must find its own again.
  struct Exceptions {
    void* caught = nullptr;
    unsigned int uncaught = 0;
  };

  struct Entry;
  void SwapExceptions() noexcept;
  void SwitchIn() noexcept;
  void SwitchOut(bool last) noexcept;

  const FiberStack stack_;
  const Body body_;
  void* const argument_;
  void* here_;             // where the fiber goes on
  void* there_ = nullptr;  // where its driver goes on
  bool ended_ = false;
  bool begun_ = false;
  PromiseBase* child_ = nullptr;
  const TaskContext* context_ = nullptr;
  Exceptions exceptions_;

  // For the sanitizers.
  [[maybe_unused]] void* shadow_ = nullptr;
  [[maybe_unused]] void* drivers_shadow_ = nullptr;
  [[maybe_unused]] const void* drivers_stack_ = nullptr;
  [[maybe_unused]] size_t drivers_stack_size_ = 0;
};

}  // namespace plait::internal

#endif  // PLAIT_SCHEDULERS_FIBER_FIBER_STACK_H_
