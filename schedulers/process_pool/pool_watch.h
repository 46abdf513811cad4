// PoolWatch: tells when a descriptor becomes readable, over and over, through the reactor of the
// Worker that it was started on. Internal.
//
// It watches a copy of the descriptor, which it closes through that reactor: the original stays its
// owner's, and may be watched by another loop later. Threads: that Worker's only. Lifetime: from
// Start until its owner was told that it ended (`in_flight` is false again) it does not move.
#ifndef PLAIT_SCHEDULERS_PROCESS_POOL_POOL_WATCH_H_
#define PLAIT_SCHEDULERS_PROCESS_POOL_POOL_WATCH_H_

#include "absl/status/status.h"
#include "plait/runtime/core/io_operation.h"
#include "plait/runtime/core/reactor.h"

namespace plait::internal {

class PoolWatch {
 public:
  class Owner {
   public:
    virtual void OnReadable(PoolWatch& watch) noexcept = 0;
    // After Stop; the last that is heard of it.
    virtual void OnStopped(PoolWatch& watch) noexcept = 0;

   protected:
    ~Owner() = default;
  };

  explicit PoolWatch(Owner& owner) noexcept;
  PoolWatch(const PoolWatch&) = delete;
  PoolWatch& operator=(const PoolWatch&) = delete;
  ~PoolWatch();

  absl::Status Start(Reactor& reactor, int descriptor);
  // Closes the copy; OnStopped comes later. Once.
  void Stop() noexcept;

  bool in_flight() const noexcept { return copy_ >= 0; }
  bool stopping() const noexcept { return stopping_; }

 private:
  struct Operation : IoCall {
    using IoCall::IoCall;
    PoolWatch* self = nullptr;
  };

  static void OnPolled(WorkItem& item) noexcept;
  static void OnClosed(WorkItem& item) noexcept;
  void SubmitPoll() noexcept;

  Owner& owner_;
  Reactor* reactor_ = nullptr;
  int copy_ = -1;
  bool polling_ = false;
  bool stopping_ = false;
  bool closed_ = false;
  Operation poll_;
  Operation close_;
};

}  // namespace plait::internal

#endif  // PLAIT_SCHEDULERS_PROCESS_POOL_POOL_WATCH_H_
