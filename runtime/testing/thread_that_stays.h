// ThreadThatStays: a thread that does something and is still there afterwards, as the system takes
// the end of a thread for the end of much that it began.
//
//   const ThreadThatStays ring_thread([&] { reactor->Poll(...); });
//   reactor = nullptr;   // on this thread
#ifndef PLAIT_RUNTIME_TESTING_THREAD_THAT_STAYS_H_
#define PLAIT_RUNTIME_TESTING_THREAD_THAT_STAYS_H_

#include <functional>
#include <utility>

#include "absl/synchronization/notification.h"
#include "plait/runtime/core/environment.h"

namespace plait {

class ThreadThatStays {
 public:
  // Returns when `work` has.
  explicit ThreadThatStays(std::function<void()> work) {
    absl::Notification done;
    thread_ = StartThread("stays", [this, &done, work = std::move(work)] {
      work();
      done.Notify();
      may_end_.WaitForNotification();
    });
    done.WaitForNotification();
  }
  ThreadThatStays(const ThreadThatStays&) = delete;
  ThreadThatStays& operator=(const ThreadThatStays&) = delete;
  ~ThreadThatStays() {
    may_end_.Notify();
    thread_.join();
  }

 private:
  absl::Notification may_end_;
  Thread thread_;
};

}  // namespace plait

#endif  // PLAIT_RUNTIME_TESTING_THREAD_THAT_STAYS_H_
