// PoolPosts in every execution of small programs; every memory order weakened.
#include <cstddef>
#include <vector>

#include "gtest/gtest.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/testing/explorer/expect.h"
#include "plait/runtime/testing/explorer/explorer.h"
#include "plait/schedulers/work_stealing/pool_posts.h"

namespace plait::internal {
namespace {

using explorer::ExpectAllExecutionsPass;
using explorer::ExpectMutantsKilled;
using explorer::Parallel;
using explorer::Require;
using explorer::Scenario;

// What a thread touches inside of its post, after the push, and the pool's end takes away.
struct Pool {
  PoolPosts posts;
  int touched = 0;

  void Post(WorkItem& item, int& its_own) {
    posts.Begin(PoolPosts::To::kAny);
    posts.Push(item);
    ++its_own;
    posts.End();
  }
  void RunAll(int count) {
    WorkQueue ready;
    for (int round = 0; count > 0; ++round) {
      posts.Take(ready);
      while (ready.Pop() != nullptr) --count;
      if (count > 0) SpinWait(round);
    }
  }
};

// Trap: the pool ends while a thread whose item has run is still inside of its post.
void ThePoolEndsAfterOnePost() {
  Pool pool;
  WorkItem item;
  Parallel({[&] { pool.Post(item, pool.touched); },
            [&] {
              pool.RunAll(1);
              pool.posts.AwaitPosters();
              Require(pool.touched == 1, "the thread is out");
              pool.touched = 2;
            }});
}

void ThePoolEndsAfterTwoPosts() {
  Pool pool;
  WorkItem items[2];
  int touched[2] = {};
  Parallel({[&] { pool.Post(items[0], touched[0]); }, [&] { pool.Post(items[1], touched[1]); },
            [&] {
              pool.RunAll(2);
              pool.posts.AwaitPosters();
              Require(touched[0] == 1 && touched[1] == 1, "both threads are out");
            }});
}

void SomebodyCountsMeanwhile() {
  Pool pool;
  WorkItem item;
  Parallel({[&] { pool.Post(item, pool.touched); }, [&] { pool.RunAll(1); },
            [&] { Require(pool.posts.waiting() <= 1, "no more were taken than were posted"); }});
  Require(pool.posts.waiting() == 0 && pool.posts.empty(), "all was taken");
}

std::vector<Scenario> Scenarios() {
  return {{"the pool ends after one post", ThePoolEndsAfterOnePost},
          {"the pool ends after two posts", ThePoolEndsAfterTwoPosts},
          {"somebody counts meanwhile", SomebodyCountsMeanwhile}};
}

TEST(PoolPostsExploredTest, NobodyIsInsideWhenThePoolHasEnded) {
  ExpectAllExecutionsPass(Scenarios());
}

TEST(PoolPostsExploredTest, WeakeningAnyMemoryOrderIsNoticed) {
  ExpectMutantsKilled("work_stealing/pool_posts.", Scenarios(), 4);
}

}  // namespace
}  // namespace plait::internal
