#include "plait/runtime/core/fork_stack.h"

#include <algorithm>
#include <utility>

#include "plait/runtime/core/check.h"

namespace plait::internal {
namespace {

constexpr ptrdiff_t kInitialPlaces = 64;

// Of a thread whose executor has none.
class ThreadsOwn final : public ForkStack {
 private:
  void Publish(ForkJob&) noexcept override {
    PLAIT_CHECK(false, "nobody knows of this ForkStack to ask it");
  }
};

}  // namespace

ForkStack::ForkStack() : places_(std::make_unique<ForkJob*[]>(kInitialPlaces)) {
  top_ = bottom_ = floor_ = places_.get() + 1;
  end_ = places_.get() + kInitialPlaces;
  limit_.store(end_, kRelaxed);
}

ForkStack::~ForkStack() {
  PLAIT_CHECK(top_ == bottom_, "a ForkStack was destroyed with jobs that nobody has run");
}

ForkStack& ForkStack::UseThreadsOwn() noexcept {
  static thread_local ThreadsOwn own;
  thread_state.forks = &own;
  return own;
}

void ForkStack::PushSlow(ForkJob& job) {
  if (top_ == end_) Grow();
  *top_++ = &job;
  if (asked()) Answer();
}

void ForkStack::Grow() {
  ForkJob** const old = places_.get();
  const ptrdiff_t size = end_ - old;
  auto places = std::make_unique<ForkJob*[]>(static_cast<size_t>(2 * size));
  std::copy(old, end_, places.get());
  const auto move = [&](ForkJob**& place) { place = places.get() + (place - old); };
  move(top_);
  move(bottom_);
  move(floor_);
  end_ = places.get() + 2 * size;
  places_ = std::move(places);
  // An Ask that comes now is not lost, unless it was asked before, and is answered.
  if (limit_.exchange(end_, kRelaxed) == nullptr) limit_.store(nullptr, kRelaxed);
}

void ForkStack::Answer() noexcept {
  if (bottom_ == top_) return;  // the next push answers
  // Before the job is out: who asks from now on has not been answered. Sequentially consistent: see
  // Ask.
  limit_.store(end_, kSeqCst);
  ForkJob* const oldest = std::exchange(*bottom_, nullptr);
  ++bottom_;
  // Nobody may come to pop them: what was pushed may end on another thread.
  if (bottom_ == top_) top_ = bottom_ = floor_;
  Publish(*oldest);
}

bool ForkStack::Trim() noexcept {
  if (bottom_ == top_ && top_ > floor_) top_ = bottom_ = floor_;
  return false;
}

ForkJob* ForkStack::PopNewest() noexcept {
  if (empty()) {
    Trim();
    return nullptr;
  }
  return *--top_;
}

void ForkStack::Drain() noexcept {
  if (draining_) return;
  draining_ = true;
  while (ForkJob* job = PopNewest()) job->run(*job);
  draining_ = false;
}

}  // namespace plait::internal
