// TestPool: an executor of several Workers, each with a reactor and timers, for tests of what must
// hold wherever a task is.
//
// Where `restless`, work that is ready changes hands as often as it stays, as if every worker stole
// all the time: also what waited for a timer or an operation there. What was posted to a certain
// worker stays there. A test that wants to be at a certain place says so:
//
//   co_await pool.MoveTo(1);      // goes on on worker 1, as if that had stolen it
//
// Not for speed: every post takes a lock.
#ifndef PLAIT_RUNTIME_TESTING_TEST_POOL_H_
#define PLAIT_RUNTIME_TESTING_TEST_POOL_H_

#include <coroutine>
#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/executor.h"
#include "plait/runtime/core/reactor.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/core/worker.h"
#include "plait/runtime/core/worker_group.h"
#include "plait/runtime/task/promise.h"

namespace plait {

class TestPool final : public Executor {
 public:
  struct Options {
    int workers = 2;
    bool restless = false;
    Executor* blocking = nullptr;  // where Offload's functions run; null: here
    ExecutorHooks hooks;
  };

  // CHECKs that each reactor could be made.
  TestPool(const std::function<absl::StatusOr<std::unique_ptr<Reactor>>()>& make_reactor,
           Options options);
  // Cancels the tasks that are left, waits for them, and ends the threads.
  ~TestPool() override;

  void Schedule(WorkItem& item) noexcept override;
  Executor& blocking() noexcept override {
    return blocking_ != nullptr ? *blocking_ : static_cast<Executor&>(*this);
  }

  // co_await, in a task of this pool.
  struct [[nodiscard]] Moving {
    Worker& to;
    bool await_ready() const noexcept { return Worker::Current() == &to; }
    template <internal::PlaitPromise P>
    void await_suspend(std::coroutine_handle<P> moving) const noexcept {
      to.Post(moving.promise());
    }
    void await_resume() const noexcept {}
  };
  Moving MoveTo(int worker) noexcept { return Moving{this->worker(worker)}; }

  Worker& worker(int number) noexcept;
  // On which this thread is, or -1.
  int here() const noexcept;

 private:
  class Member;

  WorkerGroup group_{*this};
  Executor* const blocking_;
  std::vector<std::unique_ptr<Member>> members_;
  internal::Atomic<size_t> turn_{0};
};

}  // namespace plait

#endif  // PLAIT_RUNTIME_TESTING_TEST_POOL_H_
