// What the process pool's tests have in common: pools of PoolFunctions, a loop of each reactor that
// drives them, a folder in which tests and functions meet. Test-only.
#ifndef PLAIT_SCHEDULERS_PROCESS_POOL_PROCESS_POOL_FIXTURE_H_
#define PLAIT_SCHEDULERS_PROCESS_POOL_PROCESS_POOL_FIXTURE_H_

#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/reactor_factory.h"
#include "plait/runtime/testing/test_folder.h"
#include "plait/schedulers/event_loop/event_loop.h"
#include "plait/schedulers/process_pool/pool_functions.h"
#include "plait/schedulers/process_pool/process_pool.h"

namespace plait::internal {

// Well beyond what any test takes.
inline constexpr absl::Duration kLong = absl::Minutes(2);

// Until a file is there.
inline Task<void> Until(const std::string* path) {
  while (!Exists(*path)) co_await Yield();
}

class ProcessPoolFixture : public ::testing::TestWithParam<ReactorFactory> {
 protected:
  // Of two workers, where nothing else is said.
  static ProcessPool NewPool(ProcessPoolOptions options = {}) {
    options.functions = PoolFunctions();
    if (options.workers == 0) options.workers = 2;
    options.worker.error = WorkerError::kKeep;
    absl::StatusOr<ProcessPool> pool = ProcessPool::Create(std::move(options));
    PLAIT_CHECK(pool.ok(), pool.status().ToString());
    return *std::move(pool);
  }

  template <class T>
  T Run(Task<T> task) {
    return BlockOn(loop_, std::move(task));
  }

  std::string File(absl::string_view name) { return absl::StrCat(folder_.path(), "/", name); }
  // Runs the loop until a file is there.
  void Await(absl::string_view name) {
    const std::string path = File(name);
    Run(Until(&path));
  }

  TestFolder folder_;
  EventLoop loop_{GetParam().make(nullptr)};
};

}  // namespace plait::internal

#endif  // PLAIT_SCHEDULERS_PROCESS_POOL_PROCESS_POOL_FIXTURE_H_
