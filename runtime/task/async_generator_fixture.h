// What the tests of AsyncGenerator share: generators, and a look at all that one gives.
#ifndef PLAIT_RUNTIME_TASK_ASYNC_GENERATOR_FIXTURE_H_
#define PLAIT_RUNTIME_TASK_ASYNC_GENERATOR_FIXTURE_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/task/async_generator.h"
#include "plait/runtime/testing/task_programs.h"
#include "plait/schedulers/run.h"

namespace plait {

using Log = std::vector<std::string>;

inline AsyncGenerator<int> Count(int from, int to) {
  for (int n = from; n < to; ++n) {
    co_await Yield();
    co_yield n;
  }
}

inline AsyncGenerator<int> CountWithoutWaiting(int to) {
  for (int n = 0; n < to; ++n) co_yield n;
}

// Notes when its frame is destroyed.
inline AsyncGenerator<int> CountForever(Log* log) {
  testing_programs::Leaving leaving(*log, "the generator's local");
  for (int n = 0;; ++n) {
    co_await Yield();
    co_yield n;
  }
}

template <class T>
Task<std::vector<T>> Collect(AsyncGenerator<T> generator) {
  std::vector<T> items;
  while (auto item = co_await generator.Next()) items.push_back(*std::move(item));
  co_return items;
}

// Runs the coroutine that `body` makes; `body` lives until it has ended.
template <class Body>
auto RunBody(Body body) {
  return plait::Run(body());
}

inline absl::StatusOr<int> BelowTwo(int n) {
  if (n < 2) return n;
  return absl::DataLossError("torn");
}

inline AsyncGenerator<int> SetFlagThenYield(bool* ran) {
  *ran = true;
  co_yield 1;
}

inline AsyncGenerator<std::unique_ptr<int>> GiveMoveOnly() {
  for (int n = 0; n < 3; ++n) co_yield std::make_unique<int>(n);
}

inline AsyncGenerator<int&> Each(std::vector<int>* numbers) {
  for (int& number : *numbers) co_yield number;
}

// Looks at what co_yield gives, and has cleanup that waits.
inline AsyncGenerator<int> CountWithCleanup(Log* log) {
  for (int n = 0;; ++n) {
    if (!(co_yield n)) break;
  }
  const absl::Status cancelled = co_await Sleep(absl::Hours(1));
  log->push_back(cancelled.ToString());
  const absl::Status slept = co_await Uncancellable(Sleep(absl::Hours(1)));
  log->push_back("cleaned up: " + slept.ToString());
}

inline AsyncGenerator<absl::StatusOr<int>> FailAfterTwo(Log* log) {
  testing_programs::Leaving leaving(*log, "the generator's local");
  for (int n = 0;; ++n) co_yield co_await OrReturn(BelowTwo(n));
}

inline AsyncGenerator<absl::StatusOr<int>> Drain(Queue<int>& queue) {
  for (;;) co_yield co_await OrReturn(queue.Get());
}

}  // namespace plait

#endif  // PLAIT_RUNTIME_TASK_ASYNC_GENERATOR_FIXTURE_H_
