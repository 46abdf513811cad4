#include "plait/runtime/trace/dump_tasks.h"

#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "plait/runtime/core/thread_state.h"
#include "plait/runtime/task/await_note.h"
#include "plait/runtime/task/coroutine_name.h"
#include "plait/runtime/task/promise.h"
#include "plait/runtime/task/task_context.h"
#include "plait/runtime/task/task_group.h"
#include "plait/runtime/task/task_state.h"

namespace plait {
namespace internal {
namespace {

// What the runtime itself puts between a coroutine and what it awaits is deeper than people want to
// read.
constexpr int kMaxDepth = 64;

class Dumper final : public AwaitVisitor {
 public:
  explicit Dumper(std::string& out) : out_(out) {}

  void Line(int depth, absl::string_view text) {
    out_.append(static_cast<size_t>(2 * depth), ' ');
    absl::StrAppend(&out_, text, "\n");
  }

  // `coroutine`, and what it awaits.
  void Coroutine(const PromiseBase& coroutine, int depth) {
    const PromiseBase* at = &coroutine;
    for (;; ++depth) {
      if (depth > kMaxDepth) return Line(depth, "...");
      const bool is_proxy = at->run == &ProxyPromise::RunProxy;
      // A handle is made of a promise that is not const; only the frame's first word is read.
      if (!is_proxy) Line(depth, CoroutineName(const_cast<PromiseBase*>(at)->handle()));
      // Another thread may be queueing it just now, and what it writes then has no tag. Atomic<T>
      // would make every queue's link one for the sake of this reader.
      const auto word = reinterpret_cast<uintptr_t>(__atomic_load_n(&at->next, __ATOMIC_RELAXED));
      const uintptr_t tag = word & kAwaitTagMask;
      if (tag == kAwaitsCoroutine) {
        at = reinterpret_cast<const PromiseBase*>(word & ~kAwaitTagMask);
        if (is_proxy) --depth;
        continue;
      }
      if (tag == kAwaitsNote) {
        Note(*reinterpret_cast<const AwaitNote*>(word & ~kAwaitTagMask),
             depth + (is_proxy ? 0 : 1));
      } else {
        Line(depth + (is_proxy ? 0 : 1), "is ready or runs");
      }
      return;
    }
  }

  void OnCoroutine(const PromiseBase& coroutine) override { Coroutine(coroutine, depth_); }
  void OnTask(const TaskState& task) override {
    Line(depth_ - 1, absl::StrCat("waits for ", Describe(task)));
  }

 private:
  void Note(const AwaitNote& note, int depth) {
    const int outer = depth_;
    depth_ = depth + 1;
    // What is awaited is a task: that is said by OnTask.
    if (note.kind->visit == nullptr || !note.kind->names_task) {
      Line(depth, absl::StrCat("waits for ", note.kind->what));
    }
    if (note.kind->visit != nullptr) note.kind->visit(note, *this);
    depth_ = outer;
  }

  std::string& out_;
  int depth_ = 0;
};

bool OnOnlyThreadOf(const Executor& executor) { return thread_state.list_executor == &executor; }

std::string StateOf(const TaskState& task) {
  if (!task.started())
    return task.cancel_requested() ? " (has not begun, cancelled)" : " (has not begun)";
  return task.cancel_requested() ? " (cancelled)" : "";
}

void DumpWithChildren(TaskState& task, bool with_awaits, int depth, std::string& out) {
  if (!task.done()) {
    Dumper(out).Line(depth, absl::StrCat(Describe(task), StateOf(task)));
    if (with_awaits && task.started()) absl::StrAppend(&out, DumpAwaits(task, depth + 1));
  }
  for (const auto& child : ChildrenOf(task)) {
    DumpWithChildren(*child, with_awaits, depth + 1, out);
  }
}

TaskRef<TaskState> Find(const std::vector<TaskRef<TaskState>>& tasks, uint64_t id) {
  for (const auto& task : tasks) {
    if (task->id() == id) return task;
    if (auto child = Find(ChildrenOf(*task), id)) return child;
  }
  return {};
}

}  // namespace

std::string DumpAwaits(const TaskState& task, int depth) {
  std::string out;
  if (const PromiseBase* coroutine = task.coroutine()) Dumper(out).Coroutine(*coroutine, depth);
  return out;
}

}  // namespace internal

std::string DumpTasks(Executor& executor) {
  std::string out;
  const bool with_awaits = internal::OnOnlyThreadOf(executor);
  for (const auto& task : internal::TasksIn(executor.tasks())) {
    internal::DumpWithChildren(*task, with_awaits, 0, out);
  }
  return out;
}

std::string DumpTasks() {
  const TaskContext* context = TaskContext::Current();
  return context == nullptr ? "" : DumpTasks(*context->executor);
}

absl::StatusOr<std::string> DumpTask(Executor& executor, uint64_t id) {
  const auto task = internal::Find(internal::TasksIn(executor.tasks()), id);
  if (!task || task->done()) {
    return absl::NotFoundError(absl::StrCat("DumpTask: no task ", id, " runs on this executor"));
  }
  std::string out;
  internal::DumpWithChildren(*task, internal::OnOnlyThreadOf(executor), 0, out);
  return out;
}

absl::StatusOr<std::string> DumpTask(uint64_t id) {
  const TaskContext* context = TaskContext::Current();
  if (context == nullptr) {
    return absl::FailedPreconditionError("DumpTask: outside of tasks the executor must be named");
  }
  return DumpTask(*context->executor, id);
}

}  // namespace plait
