// WorkerGroup in every execution of small programs in which a descriptor is closed while others are
// about to use it; every memory order weakened.
//
// Traps: an operation begins, at a home of its own, on a number that was closed at another and is
// somebody else's by now.
#include <cstdint>
#include <vector>

#include "gtest/gtest.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/executor.h"
#include "plait/runtime/core/worker.h"
#include "plait/runtime/core/worker_group.h"
#include "plait/runtime/testing/explorer/expect.h"
#include "plait/runtime/testing/explorer/explorer.h"

namespace plait::internal {
namespace {

using explorer::ExpectAllExecutionsPass;
using explorer::ExpectMutantsKilled;
using explorer::Parallel;
using explorer::Require;
using explorer::Scenario;

class NoExecutor final : public Executor {
 public:
  void Schedule(WorkItem&) noexcept override {}
};

constexpr int kFd = 3;

// One of a pool's threads, and what was carried there.
class OneWorker final : public Worker {
 public:
  explicit OneWorker(WorkerGroup* group) : Worker(group) {}
  void Post(WorkItem&) noexcept override {}
  void AddTimer(Timer&) noexcept override {}
  bool CancelTimer(Timer&) noexcept override { return false; }
  Clock& clock() noexcept override { return Clock::Real(); }
  Reactor* reactor() noexcept override { return nullptr; }

  static constexpr uint32_t kNothing = ~uint32_t{0};
  Atomic<uint32_t> carried_use{kNothing};  // how many closes it has noted
  Atomic<bool> carried_close{false};
};

struct Pool {
  NoExecutor executor;
  WorkerGroup group{executor};
  OneWorker workers[3] = {OneWorker(&group), OneWorker(&group), OneWorker(&group)};
  Atomic<int> owner{kFd};
  bool open = true;  // the system's; if it is not, the number is another's
  int uses = 0;      // at its home

  // As io/ops/operations.cc goes about it.
  void Use(OneWorker& here) {
    const uint32_t closes = group.ClosesOf(kFd);
    if (owner.load(kRelaxed) != kFd) return;
    auto& home = static_cast<OneWorker&>(group.HomeOf(kFd, here));
    if (&home != &here) {
      home.carried_use.store(closes, kRelease);
    } else {
      Begin(closes);
    }
  }
  void Close(OneWorker& here) {
    owner.store(-1, kRelaxed);
    auto& home = static_cast<OneWorker&>(group.HomeOf(kFd, here));
    if (&home != &here) {
      home.carried_close.store(true, kRelease);
    } else {
      CloseNow();
    }
  }
  // At `here`, what has come so far.
  void Arrive(OneWorker& here) {
    if (here.carried_close.load(kAcquire)) {
      here.carried_close.store(false, kRelaxed);
      CloseNow();
    }
    const uint32_t closes = here.carried_use.load(kAcquire);
    if (closes == OneWorker::kNothing) return;
    here.carried_use.store(OneWorker::kNothing, kRelaxed);
    Begin(closes);
  }
  void Begin(uint32_t closes) {
    if (group.ClosesOf(kFd) != closes) return;
    Require(open, "it uses a number that is another's");
    ++uses;
  }
  void CloseNow() {
    group.Forget(kFd);
    open = false;
  }
};

// One has it at home and closes it there, while another begins.
void ItsHomeClosesWhatAnotherIsAboutToUse() {
  Pool pool;
  OneWorker& home = pool.workers[0];
  OneWorker& other = pool.workers[1];
  pool.Use(home);
  Parallel({[&] {
              pool.Close(home);
              pool.Arrive(home);
            },
            [&] {
              pool.Use(other);
              pool.Arrive(other);
            }});
  pool.Arrive(home);
  pool.Arrive(other);
  Require(!pool.open, "it is closed in the end");
}

// It has no home yet.
void OneClosesWhatAnotherIsTheFirstToUse() {
  Pool pool;
  Parallel({[&] {
              pool.Close(pool.workers[0]);
              pool.Arrive(pool.workers[0]);
            },
            [&] {
              pool.Use(pool.workers[1]);
              pool.Arrive(pool.workers[1]);
            }});
  for (OneWorker& worker : pool.workers) pool.Arrive(worker);
  Require(!pool.open, "it is closed in the end");
}

// The close is carried home, by a third.
void AThirdCloses() {
  Pool pool;
  pool.Use(pool.workers[0]);
  Parallel({[&] { pool.Arrive(pool.workers[0]); },
            [&] {
              pool.Use(pool.workers[1]);
              pool.Arrive(pool.workers[1]);
            },
            [&] { pool.Close(pool.workers[2]); }});
  for (OneWorker& worker : pool.workers) pool.Arrive(worker);
  Require(!pool.open, "it is closed in the end");
}

std::vector<Scenario> Scenarios() {
  return {{"its home closes what another is about to use", ItsHomeClosesWhatAnotherIsAboutToUse},
          {"one closes what another is the first to use", OneClosesWhatAnotherIsTheFirstToUse},
          {"a third closes", AThirdCloses}};
}

TEST(WorkerGroupExploredTest, NothingIsUsedThatWasClosed) { ExpectAllExecutionsPass(Scenarios()); }

TEST(WorkerGroupExploredTest, WeakeningAnyMemoryOrderIsNoticed) {
  ExpectMutantsKilled("core/worker_group.", Scenarios(), 7);
}

}  // namespace
}  // namespace plait::internal
