// AsFuture: the end of a task, as a Future: for code that takes Futures, whatever sets them.
// (asyncio: ensure_future.)
//
//   plait::Future<int> answer = plait::AsFuture(Compute());      // spawned here and now
//   plait::Future<int> same = plait::AsFuture(std::move(handle));
//
// An exception becomes Internal, with its what(). Dropping or cancelling the future leaves the task
// alone. Threads: a JoinHandle's from any; a Task is spawned as by Spawn.
#ifndef PLAIT_RUNTIME_TASK_AS_FUTURE_H_
#define PLAIT_RUNTIME_TASK_AS_FUTURE_H_

#include <type_traits>
#include <utility>

#include "plait/runtime/task/future.h"
#include "plait/runtime/task/join_handle.h"
#include "plait/runtime/task/spawn.h"
#include "plait/runtime/task/status_traits.h"
#include "plait/runtime/task/task.h"

namespace plait {

template <class T>
  requires(!std::is_reference_v<T>)
Future<T> AsFuture(JoinHandle<T> handle) {
  Promise<T> promise;
  Future<T> future = promise.future();
  handle.OnDone([promise = std::move(promise)](JoinHandle<T>& ended) mutable {
    if (ended.exception() != nullptr) {
      promise.SetError(ended.error());
    } else if constexpr (std::is_void_v<T>) {
      promise.Set();
    } else if constexpr (internal::kCarriesStatus<T>) {
      promise.Set(ended.result());
    } else {
      promise.Set(*ended.result());
    }
  });
  return future;
}

template <class T>
Future<T> AsFuture(Task<T> task, SpawnOptions options = {}) {
  return AsFuture(Spawn(std::move(task), options));
}

}  // namespace plait

#endif  // PLAIT_RUNTIME_TASK_AS_FUTURE_H_
