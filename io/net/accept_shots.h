// AcceptShots: connections that a multishot takes, on reactors that have those. Internal to
// listeners.
//
// One request to the kernel then brings connection after connection, all of a burst in one turn.
// For who takes them as fast as they come: the kernel accepts on, whether somebody waits or not,
// and no more than Multishot::kMaxUntaken wait here. Who closes the listener's descriptor (by
// kClose) ends it with -ECANCELED; before anything else does that, the listener says so in `taken`.
//
// Threads: any of the listener's executor, one task at a time; where that has several it goes on at
// the listener's home as a rule. Lifetime: Stop is awaited before it goes, unless Next never was.
#ifndef PLAIT_IO_NET_ACCEPT_SHOTS_H_
#define PLAIT_IO_NET_ACCEPT_SHOTS_H_

#include <coroutine>

#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/multishot.h"
#include "plait/runtime/core/worker.h"
#include "plait/runtime/task/home_wait.h"
#include "plait/runtime/task/promise.h"

namespace plait::internal {

class AcceptShots : private MultishotOwner {
 public:
  // Of the descriptor `listener`, which is closed no sooner than `taken` holds.
  AcceptShots(int listener, const Atomic<bool>& taken) noexcept : fd_(listener), taken_(taken) {}
  AcceptShots(const AcceptShots&) = delete;
  AcceptShots& operator=(const AcceptShots&) = delete;
  // Not while the reactor has it (CHECK).
  ~AcceptShots();

  class Await;
  // co_await int: the next connection's descriptor, or -errno; -EOPNOTSUPP where the reactor has
  // nothing better than one operation after another. After an error Next begins anew. Cancellation:
  // -ECANCELED; no connection is lost. One at a time.
  Await Next() noexcept;
  // co_await: lets it go. Connections that nobody took are closed. Not cancelled itself.
  Await Stop() noexcept;

  // Whether Next is worth it now. Left to its user, where the reactor can do it at all.
  bool pays() const noexcept { return pays_ && available_; }
  void set_pays(bool pays) noexcept { pays_ = pays; }

 private:
  void OnShots(Multishot& shots) noexcept override;
  void OnReactorGone(Multishot& shots) noexcept override;

  // At home. True when there is one, or an error.
  bool Take(int* result) noexcept;
  bool Begin(int* result) noexcept;
  void StopNow() noexcept;

  const int fd_;
  const Atomic<bool>& taken_;
  bool pays_ = false;
  bool available_ = true;
  Worker* home_ = nullptr;  // once it was begun
  // At home.
  Multishot* shots_ = nullptr;
  bool came_ = false;  // something, since it was begun
  Await* waiter_ = nullptr;
};

class [[nodiscard]] AcceptShots::Await final : private HomeWait {
 public:
  bool await_ready() const noexcept { return false; }
  template <PlaitPromise P>
  bool await_suspend(std::coroutine_handle<P> waiter) noexcept {
    return Suspend(waiter.promise());
  }
  int await_resume() const noexcept { return result_; }

 private:
  friend class AcceptShots;
  Await(AcceptShots& shots, bool stops) noexcept;

  bool Suspend(PromiseBase& waiter) noexcept;
  static bool StartHere(HomeWait& wait, PromiseBase& waiter) noexcept;
  static bool CancelNext(HomeWait& wait) noexcept;

  AcceptShots& shots_;
  const bool stops_;
  int result_ = 0;
};

}  // namespace plait::internal

#endif  // PLAIT_IO_NET_ACCEPT_SHOTS_H_
