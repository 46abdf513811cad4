#include "plait/runtime/core/fork_stack.h"

#include <algorithm>
#include <utility>

#include "plait/runtime/core/check.h"

namespace plait::internal {
namespace {

constexpr ptrdiff_t kInitialPlaces = 64;
// So many pushes of what cannot yield, plain calls, take the slow way until one comes that can:
// some microseconds each time that it is asked to.
constexpr int kPatience = 4000;

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
  patience_ = kPatience;
}

ForkStack::~ForkStack() {
  PLAIT_CHECK(top_ == bottom_, "a ForkStack was destroyed with jobs that nobody has run");
}

ForkStack& ForkStack::UseThreadsOwn() noexcept {
  static thread_local ThreadsOwn own;
  thread_state.forks = &own;
  return own;
}

bool ForkStack::PushSlow(ForkJob& job) {
  if (top_ == end_) Grow();
  *top_++ = &job;
  const bool yields = IsToYield();
  if (asked()) {
    Answer();
  } else if (!yields || --patience_ == 0) {
    patience_ = kPatience;
    // Fails where a question has come now, which the next push or pop answers.
    ForkJob** no_place = NoPlace();
    limit_.compare_exchange_strong(no_place, end_, kRelaxed, kRelaxed);
  }
  return yields;
}

// What was put aside. Only one thread at a time has it, and the queue between them is what orders
// that.
struct ForkStack::Rest : WorkItem {
  Rest(size_t of, WorkItem* first)
      : WorkItem(&GoOn), jobs(std::make_unique<ForkJob*[]>(of)), count(of), next(first) {}

  static void GoOn(WorkItem& item) noexcept {
    const std::unique_ptr<Rest> self(static_cast<Rest*>(&item));
    ForkStack& forks = Current();
    for (size_t i = 0; i < self->count; ++i) static_cast<void>(forks.Push(*self->jobs[i]));
    // The next push is to be told, and not one of these.
    if (forks.IsToYield()) forks.AskToYield();
    if (self->next != nullptr) {
      self->next->run(*self->next);
    } else {
      forks.Drain();
    }
  }

  const std::unique_ptr<ForkJob*[]> jobs;
  const size_t count;
  WorkItem* const next;
};

void ForkStack::OnYield(WorkItem&) noexcept {
  PLAIT_CHECK(false, "nobody takes what this ForkStack puts aside");
}

void ForkStack::Yield(WorkItem* next) noexcept {
  yield_asked_.store(false, kRelaxed);
  auto rest = std::make_unique<Rest>(static_cast<size_t>(top_ - bottom_), next);
  std::copy(bottom_, top_, rest->jobs.get());
  top_ = bottom_ = floor_;
  OnYield(*rest.release());
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
  // An Ask that comes now is not lost, unless it was asked before, and is answered. (That it is to
  // yield is known elsewhere.)
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
  ForkJob* const newest = *--top_;
  // As in Pop.
  if (asked()) [[unlikely]]
    Answer();
  return newest;
}

void ForkStack::Drain() noexcept {
  if (draining_) return;
  draining_ = true;
  while (ForkJob* const job = PopNewest()) {
    job->run(*job);
    if (IsToYield() && !empty()) [[unlikely]]
      Yield(nullptr);
  }
  draining_ = false;
}

}  // namespace plait::internal
