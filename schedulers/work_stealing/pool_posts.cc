#include "plait/schedulers/work_stealing/pool_posts.h"

#include "plait/runtime/core/spin_lock.h"

namespace plait::internal {

void PoolPosts::Take(WorkQueue& ready) noexcept {
  WorkQueue posted;
  inbox_.Drain(posted);
  size_t count = 0;
  while (WorkItem* item = posted.Pop()) {
    ready.Push(*item);
    ++count;
  }
  if (count > 0) taken_.fetch_add(count, kRelease);
}

size_t PoolPosts::waiting() const noexcept {
  // In this order, so that the difference is not negative.
  const size_t taken = taken_.load(kAcquire);
  return static_cast<size_t>(posts_.load(kRelaxed) / kOnePost) - taken;
}

void PoolPosts::AwaitPosters() const noexcept {
  for (int round = 0; posts_.load(kAcquire) % kOnePost != 0; ++round) SpinWait(round);
}

}  // namespace plait::internal
