#include "plait/io/net/accept_shots.h"

#include <errno.h>

#include <utility>

#include "plait/runtime/core/check.h"
#include "plait/runtime/core/io_operation.h"
#include "plait/runtime/core/reactor.h"
#include "plait/runtime/core/worker_group.h"
#include "plait/runtime/task/task_context.h"

namespace plait::internal {
namespace {

constexpr AwaitKind kAcceptKind{"Listener::Accept"};
constexpr AwaitNote kAcceptNote{&kAcceptKind};

}  // namespace

// --- AcceptShots ---

AcceptShots::~AcceptShots() {
  PLAIT_CHECK(shots_ == nullptr, "connections were taken on when their listener had gone");
}

AcceptShots::Await AcceptShots::Next() noexcept { return Await(*this, /*stops=*/false); }

AcceptShots::Await AcceptShots::Stop() noexcept { return Await(*this, /*stops=*/true); }

bool AcceptShots::Begin(int* result) noexcept {
  *result = -ECANCELED;
  // Closed it would be on this thread, so it is not between here and the multishot's beginning.
  if (taken_.load(kAcquire)) return false;
  *result = -EOPNOTSUPP;
  home_ = Worker::Current();
  shots_ = home_->reactor()->StartMultishot(IoOpcode::kAccept, fd_, *this);
  available_ = shots_ != nullptr;
  came_ = false;
  return available_;
}

bool AcceptShots::Take(int* result) noexcept {
  for (;;) {
    if (shots_ == nullptr && !Begin(result)) return true;
    if (Shot* const shot = shots_->Take()) {
      *result = shot->result;
      came_ = true;
      home_->reactor()->ReturnShot(*shots_, *shot);
      return true;
    }
    if (!shots_->ended()) return false;
    *result = shots_->end();
    StopNow();
    // As so many have waited here, which were taken now. Or the system has no memory.
    if (*result != -ENOBUFS || !came_) return true;
  }
}

void AcceptShots::StopNow() noexcept {
  if (shots_ != nullptr) home_->reactor()->StopMultishot(*std::exchange(shots_, nullptr));
}

void AcceptShots::OnShots(Multishot&) noexcept {
  if (waiter_ == nullptr || !Take(&waiter_->result_)) return;
  std::exchange(waiter_, nullptr)->Happened();
}

void AcceptShots::OnReactorGone(Multishot&) noexcept { shots_ = nullptr; }

// --- AcceptShots::Await ---

AcceptShots::Await::Await(AcceptShots& shots, bool stops) noexcept
    : HomeWait(&OnStop<&CancelNext>), shots_(shots), stops_(stops) {}

bool AcceptShots::Await::Suspend(PromiseBase& waiter) noexcept {
  Worker* const here = Worker::Current();
  result_ = -EOPNOTSUPP;
  if (here == nullptr || here->reactor() == nullptr) return false;
  Worker* home = shots_.home_;
  if (home == nullptr) {
    if (stops_) return false;  // it was never begun
    // Nobody's home is asked for of a number that may be another's by now.
    result_ = -ECANCELED;
    if (shots_.taken_.load(kAcquire)) return false;
    home = here->group() == nullptr ? here : &here->group()->HomeOf(shots_.fd_, *here);
  }
  if (home == here) return StartHere(*this, waiter);
  StartAt<&StartHere, &CancelNext>(waiter, *home, kAcceptNote);
  return true;
}

bool AcceptShots::Await::StartHere(HomeWait& wait, PromiseBase& waiter) noexcept {
  auto& self = static_cast<Await&>(wait);
  AcceptShots& shots = self.shots_;
  if (self.stops_) {
    shots.StopNow();
    return false;
  }
  if (CurrentStopToken().stop_requested()) {
    self.result_ = -ECANCELED;
    return false;
  }
  if (shots.Take(&self.result_)) return false;
  // Before Begin, which may have another thread go on with the coroutine if a stop came first.
  self.result_ = -ECANCELED;
  if (!self.Begin(waiter, *Worker::Current(), kAcceptNote)) return true;
  PLAIT_CHECK(shots.waiter_ == nullptr, "two tasks await a listener's connections");
  shots.waiter_ = &self;
  return true;
}

bool AcceptShots::Await::CancelNext(HomeWait& wait) noexcept {
  auto& self = static_cast<Await&>(wait);
  self.shots_.waiter_ = nullptr;
  self.result_ = -ECANCELED;
  return true;
}

}  // namespace plait::internal
