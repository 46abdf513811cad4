// Ten thousand calls while workers are killed, stopped, crash and run out of memory.
//
// Each call has one outcome; only as many fail as workers were hit; none runs twice, by a journal
// that the functions keep; and nothing is left of it all in the end.
#include <signal.h>

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/io/auto_reactor/auto_reactor.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/runtime/testing/test_folder.h"
#include "plait/schedulers/event_loop/event_loop.h"
#include "plait/schedulers/process_pool/pool_functions.h"
#include "plait/schedulers/process_pool/process_pool.h"
#include "plait/schedulers/process_pool/run_process_workers.h"

namespace plait {
namespace {

constexpr int kCalls = 10'000;
constexpr int kAtOnce = 48;
constexpr int kWorkers = 4;
// Calls between two hits; about 2 ms.
constexpr int kBetweenHits = 25;
// A stopped worker costs its call this long, so only every 32nd hit stops one.
constexpr absl::Duration kTimeout = absl::Seconds(2);
constexpr int kHitsBetweenStops = 32;

struct World {
  ProcessPool& pool;
  std::string journal;
  std::mt19937 generator{12'345};
  int next = 0;
  int ended = 0;
  int hits = 0;    // from outside
  int stops = 0;   // of those
  int deaths = 0;  // by the call's own doing
  int64_t late = 0;
  int64_t aborted = 0;
  int64_t others = 0;  // should stay 0
  std::string an_other;
  std::vector<bool> succeeded = std::vector<bool>(kCalls);
};

void Hit(World& world) {
  const std::vector<int> pids = world.pool.worker_pids();
  if (pids.empty()) return;
  const int pid = pids[world.generator() % pids.size()];
  const bool stop = world.hits % kHitsBetweenStops == 0;
  if (::kill(pid, stop ? SIGSTOP : world.hits % 2 == 0 ? SIGKILL : SIGSEGV) != 0) return;
  ++world.hits;
  if (stop) ++world.stops;
}

// What a call does, by its number.
Task<absl::StatusOr<int>> CallNumber(World& world, int number) {
  const CallOptions options = {.timeout = kTimeout};
  const char* death = number % 500 == 250   ? "bomb"
                      : number % 500 == 375 ? "segv"
                      : number % 500 == 499 ? "exit 7"
                                            : nullptr;
  if (death != nullptr) {
    ++world.deaths;
    return world.pool.CallWith(options, internal::NoteAndDie, world.journal, number, death);
  }
  return world.pool.CallWith(options, internal::NoteNumber, world.journal, number);
}

Task<void> Lane(World* world) {
  while (world->next < kCalls) {
    const int number = world->next++;
    const absl::StatusOr<int> result = co_await CallNumber(*world, number);
    if (result.ok() && *result == number) {
      world->succeeded[static_cast<size_t>(number)] = true;
    } else if (absl::IsDeadlineExceeded(result.status())) {
      ++world->late;
    } else if (absl::IsAborted(result.status())) {
      ++world->aborted;
    } else {
      ++world->others;
      world->an_other = result.status().ToString();
    }
    if (++world->ended % kBetweenHits == 0) Hit(*world);
  }
}

// All workers are ready: a hit on one that starts is nobody's, and would be missed below.
Task<void> Meet(World* world, size_t workers) {
  std::set<int> met;
  while (met.size() < workers) {
    std::vector<Task<absl::StatusOr<int>>> calls;
    for (int i = 0; i < kAtOnce; ++i) calls.push_back(world->pool.Call(internal::Pid));
    const std::vector<absl::StatusOr<int>> pids = co_await GatherAll(std::move(calls));
    for (const absl::StatusOr<int>& pid : pids) {
      if (pid.ok()) met.insert(*pid);
    }
  }
}

Task<void> Chaos(World* world) {
  co_await Meet(world, kWorkers);
  std::vector<Task<void>> lanes;
  for (int i = 0; i < kAtOnce; ++i) lanes.push_back(Lane(world));
  co_await Gather(std::move(lanes));
}

TEST(ProcessPoolChaosTest, EachCallHasOneOutcomeAndNoneRunsTwice) {
  const int descriptors = OpenDescriptors();
  {
    TestFolder folder;
    EventLoop loop(MakeReactor());
    ProcessPoolOptions options;
    options.functions = internal::PoolFunctions();
    options.workers = kWorkers;
    options.quarantine_after = 0;
    options.cancel_grace = absl::Milliseconds(10);
    options.terminate_grace = absl::Milliseconds(200);
    options.start_grace = absl::Seconds(5);  // of one that is stopped while it starts
    options.worker.error = WorkerError::kNull;
    options.worker.memory_limit = uint64_t{64} << 20;
    absl::StatusOr<ProcessPool> pool = ProcessPool::Create(std::move(options));
    ASSERT_TRUE(pool.ok()) << pool.status();
    World world{.pool = *pool, .journal = absl::StrCat(folder.path(), "/journal")};
    BlockOn(loop, Chaos(&world));

    EXPECT_EQ(world.ended, kCalls);
    EXPECT_EQ(world.others, 0) << world.an_other;
    EXPECT_GE(world.hits, kCalls / kBetweenHits / 2);
    EXPECT_LE(world.late, world.stops);
    EXPECT_LE(world.aborted, world.hits - world.stops + world.deaths);
    EXPECT_GE(world.aborted + world.late, world.deaths);
    std::map<int, int> runs;
    std::ifstream journal(world.journal);
    for (int number = 0; journal >> number;) ++runs[number];
    for (int number = 0; number < kCalls; ++number) {
      ASSERT_LE(runs[number], 1) << number;
      ASSERT_GE(runs[number], world.succeeded[static_cast<size_t>(number)] ? 1 : 0) << number;
    }
    RecordProperty("hits", world.hits);
    RecordProperty("aborted", static_cast<int>(world.aborted));
    RecordProperty("late", static_cast<int>(world.late));

    EXPECT_EQ(*BlockOn(loop, pool->Call(internal::Square, 3)), 9);
    EXPECT_TRUE(BlockOn(loop, pool->Drain()).ok());
  }
  EXPECT_FALSE(HasChildren());
  EXPECT_EQ(OpenDescriptors(), descriptors);
}

}  // namespace
}  // namespace plait

int main(int argc, char** argv) {
  plait::RunProcessWorkersIfAsked(plait::internal::PoolFunctions());
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
