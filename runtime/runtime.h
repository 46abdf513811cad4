// Everything that a program without I/O of its own needs: tasks, synchronisation and time.
#ifndef PLAIT_RUNTIME_RUNTIME_H_
#define PLAIT_RUNTIME_RUNTIME_H_

#include "plait/runtime/core/awaitable.h"       // IWYU pragma: export
#include "plait/runtime/core/executor.h"        // IWYU pragma: export
#include "plait/runtime/sync/channel.h"         // IWYU pragma: export
#include "plait/runtime/sync/event.h"           // IWYU pragma: export
#include "plait/runtime/sync/lifo_queue.h"      // IWYU pragma: export
#include "plait/runtime/sync/mutex.h"           // IWYU pragma: export
#include "plait/runtime/sync/priority_queue.h"  // IWYU pragma: export
#include "plait/runtime/sync/queue.h"           // IWYU pragma: export
#include "plait/runtime/sync/semaphore.h"       // IWYU pragma: export
#include "plait/runtime/task/future.h"          // IWYU pragma: export
#include "plait/runtime/task/gather.h"          // IWYU pragma: export
#include "plait/runtime/task/join_handle.h"     // IWYU pragma: export
#include "plait/runtime/task/or_return.h"       // IWYU pragma: export
#include "plait/runtime/task/spawn.h"           // IWYU pragma: export
#include "plait/runtime/task/stop_token.h"      // IWYU pragma: export
#include "plait/runtime/task/task.h"            // IWYU pragma: export
#include "plait/runtime/task/task_context.h"    // IWYU pragma: export
#include "plait/runtime/task/task_group.h"      // IWYU pragma: export
#include "plait/runtime/task/uncancellable.h"   // IWYU pragma: export
#include "plait/runtime/time/sleep.h"           // IWYU pragma: export
#include "plait/runtime/time/timeout.h"         // IWYU pragma: export

#endif  // PLAIT_RUNTIME_RUNTIME_H_
