// Everything that a program without I/O of its own needs: tasks, synchronisation and time.
#ifndef PLAIT_RUNTIME_RUNTIME_H_
#define PLAIT_RUNTIME_RUNTIME_H_

// IWYU pragma: begin_exports
#include "plait/runtime/core/awaitable.h"
#include "plait/runtime/core/executor.h"
#include "plait/runtime/sync/barrier.h"
#include "plait/runtime/sync/channel.h"
#include "plait/runtime/sync/condition_variable.h"
#include "plait/runtime/sync/event.h"
#include "plait/runtime/sync/latch.h"
#include "plait/runtime/sync/lifo_queue.h"
#include "plait/runtime/sync/mutex.h"
#include "plait/runtime/sync/priority_queue.h"
#include "plait/runtime/sync/queue.h"
#include "plait/runtime/sync/semaphore.h"
#include "plait/runtime/sync/strand.h"
#include "plait/runtime/sync/token_bucket.h"
#include "plait/runtime/task/as_completed.h"
#include "plait/runtime/task/async_generator.h"
#include "plait/runtime/task/future.h"
#include "plait/runtime/task/gather.h"
#include "plait/runtime/task/generator.h"
#include "plait/runtime/task/join_handle.h"
#include "plait/runtime/task/or_return.h"
#include "plait/runtime/task/select.h"
#include "plait/runtime/task/spawn.h"
#include "plait/runtime/task/stop_token.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/task/task_context.h"
#include "plait/runtime/task/task_group.h"
#include "plait/runtime/task/task_local.h"
#include "plait/runtime/task/task_observer.h"
#include "plait/runtime/task/uncancellable.h"
#include "plait/runtime/task/wait.h"
#include "plait/runtime/time/cancel_scope.h"
#include "plait/runtime/time/sleep.h"
#include "plait/runtime/time/timeout.h"
#include "plait/runtime/trace/dump_tasks.h"
// IWYU pragma: end_exports

#endif  // PLAIT_RUNTIME_RUNTIME_H_
