// TaskLocal<T>: a value that belongs to a task and is inherited by what the task awaits and spawns.
// (Elsewhere: context variables.)
//
//   const plait::TaskLocal<std::string> request_id;           // usually a global constant
//
//   co_await request_id.With("r-17", Handle(request));        // set for Handle and all it spawns
//   ...
//   if (const std::string* id = request_id.Get()) Log(*id);   // anywhere inside
//
// A value is set for as long as an awaitable runs, not from now on: whoever reads a coroutine sees
// from where to where it holds, and nothing that runs beside it is touched. Spawned tasks keep the
// values that were set where they were spawned, for as long as they live; SpawnOptions::context
// gives them others. Threads: any; a value is not changed once it is set, and T must be safe to
// read from several threads if the tasks run on several. Cost: With makes one small block; Get
// walks the values that are set, innermost first.
#ifndef PLAIT_RUNTIME_TASK_TASK_LOCAL_H_
#define PLAIT_RUNTIME_TASK_TASK_LOCAL_H_

#include <cstdint>
#include <utility>

#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/awaitable.h"
#include "plait/runtime/core/frame_allocator.h"
#include "plait/runtime/task/result.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/task/task_context.h"

namespace plait {
namespace internal {

// One value that is set, above those that were set around it. Counted, as spawned tasks may outlive
// the scope that set it.
struct TaskLocalNode {
  TaskLocalNode(const void* k, const TaskLocalNode* o) noexcept : key(k), outer(o) {}
  TaskLocalNode(const TaskLocalNode&) = delete;
  TaskLocalNode& operator=(const TaskLocalNode&) = delete;
  virtual ~TaskLocalNode() = default;

  const void* const key;
  const TaskLocalNode* const outer;  // one reference is this node's
  mutable Atomic<uint32_t> references{1};
};

template <class T>
struct TaskLocalValue final : TaskLocalNode {
  TaskLocalValue(const void* k, const TaskLocalNode* o, T v)
      : TaskLocalNode(k, o), value(std::move(v)) {}
  static void* operator new(size_t size) { return AllocateFrame(size); }
  static void operator delete(void* node, size_t size) noexcept { FreeFrame(node, size); }

  const T value;
};

// Null is fine for both.
inline const TaskLocalNode* RefLocals(const TaskLocalNode* node) noexcept {
  if (node != nullptr) node->references.fetch_add(1, kRelaxed);
  return node;
}
void UnrefLocals(const TaskLocalNode* node) noexcept;

}  // namespace internal

// The task-locals that are set at some point of a task: to be given to a task that is spawned
// elsewhere. Copy it freely; any thread.
class TaskLocals {
 public:
  // None is set.
  TaskLocals() = default;
  // Those of the coroutine that runs now; none outside of tasks.
  static TaskLocals Current() noexcept;

  TaskLocals(const TaskLocals& other) noexcept : node_(internal::RefLocals(other.node_)) {}
  TaskLocals& operator=(TaskLocals other) noexcept {
    std::swap(node_, other.node_);
    return *this;
  }
  ~TaskLocals() { internal::UnrefLocals(node_); }

  // For the runtime.
  explicit TaskLocals(const internal::TaskLocalNode* node) noexcept
      : node_(internal::RefLocals(node)) {}
  const internal::TaskLocalNode* node() const noexcept { return node_; }

 private:
  const internal::TaskLocalNode* node_ = nullptr;
};

template <class T>
class TaskLocal {
 public:
  TaskLocal() = default;
  // It is its own key: it does not move.
  TaskLocal(const TaskLocal&) = delete;
  TaskLocal& operator=(const TaskLocal&) = delete;

  // The innermost value that is set, or null when none is, and outside of tasks. Valid until that
  // scope ends.
  const T* Get() const noexcept {
    const TaskContext* context = TaskContext::Current();
    return context == nullptr ? nullptr : Find(context->locals());
  }
  // The same in a snapshot, which keeps it alive.
  const T* Get(const TaskLocals& locals) const noexcept { return Find(locals.node()); }

  // co_await: runs `awaitable` with the value set, and gives its result. An lvalue awaitable must
  // outlive the co_await.
  template <Awaitable A>
  Task<AwaitResult<A>> With(T value, A&& awaitable) const {
    return Run(this, std::move(value), internal::AsTask(static_cast<A&&>(awaitable)));
  }

 private:
  const T* Find(const internal::TaskLocalNode* node) const noexcept {
    while (node != nullptr && node->key != this) node = node->outer;
    return node == nullptr ? nullptr
                           : &static_cast<const internal::TaskLocalValue<T>*>(node)->value;
  }

  template <class R>
  static Task<R> Run(const TaskLocal* key, T value, Task<R> task) {
    TaskContext context = *TaskContext::Current();
    struct Holder {
      const internal::TaskLocalNode* node;
      ~Holder() { internal::UnrefLocals(node); }
    };
    const Holder holder{new internal::TaskLocalValue<T>(key, internal::RefLocals(context.locals()),
                                                        std::move(value))};
    context.set_locals(holder.node);
    internal::Result<R> result;
    co_await internal::AwaitInto<R>(std::move(task), &context, result);
    co_return result.Take();
  }
};

}  // namespace plait

#endif  // PLAIT_RUNTIME_TASK_TASK_LOCAL_H_
