// PoolPosts: what other threads post to a pool: an inbox that all of its workers empty, and the
// count of threads that are inside of a post, for which the pool's end waits.
//
// A post may have been run, and the pool be about to end, while its thread still looks whom to
// wake. So it is counted from before the item is there until it has touched the pool for the last
// time.
//
// Orderings. End releases, and AwaitPosters acquires, what the thread did inside of its post. That
// the end sees the thread at all needs no more: it has the item's run behind it, which saw the
// push, which the thread's Begin comes before. Take releases how many it has taken and `waiting`
// acquires that: who sees that something was taken sees that it was posted, or the difference would
// be negative. pool_posts_explored_test weakens each.
#ifndef PLAIT_SCHEDULERS_WORK_STEALING_POOL_POSTS_H_
#define PLAIT_SCHEDULERS_WORK_STEALING_POOL_POSTS_H_

#include <cstddef>
#include <cstdint>

#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/inbox.h"
#include "plait/runtime/core/work_item.h"

namespace plait::internal {

class PoolPosts {
 public:
  enum class To : uint8_t { kAny, kOneWorker };

  PoolPosts() = default;
  PoolPosts(const PoolPosts&) = delete;
  PoolPosts& operator=(const PoolPosts&) = delete;

  // --- whoever posts; any thread ---

  void Begin(To to) noexcept { posts_.fetch_add(to == To::kAny ? kOnePost + 1 : 1, kRelaxed); }
  // Between Begin(kAny) and End.
  void Push(WorkItem& item) noexcept {
    // That the consumer is asleep it never finds, as nobody sleeps on it.
    static_cast<void>(inbox_.Push(item));
  }
  void End() noexcept { posts_.fetch_sub(1, kRelease); }

  // --- the workers ---

  // Moves what was pushed to `ready`, oldest first.
  void Take(WorkQueue& ready) noexcept;

  // --- any thread ---

  bool empty() const noexcept { return inbox_.empty(); }
  // How many wait to be taken, or are about to.
  size_t waiting() const noexcept;
  // Until no thread is inside of a post.
  void AwaitPosters() const noexcept;

 private:
  static constexpr uint64_t kOnePost = uint64_t{1} << 16;

  Atomic<size_t> taken_{0};
  // On a line of their own, as other threads write them.
  alignas(64) Inbox inbox_;
  // How many were ever posted to any worker; in the low bits, the threads inside of a post.
  Atomic<uint64_t> posts_{0};
};

}  // namespace plait::internal

#endif  // PLAIT_SCHEDULERS_WORK_STEALING_POOL_POSTS_H_
