// Ten thousand calls while workers are killed, crash, are stopped and run out of memory.
//
// Each call has one outcome. Each that fails is matched with what did it: its error names the
// worker that ran it, by the journal that the functions keep, and the signal that hit that very
// worker, or the call's own doing; no worker accounts for two. So every call that did not run on a
// worker that was hit succeeds. None runs twice, and descriptors, processes and memory stay what
// they were.
//
// Nothing here depends on how long anything takes: calls have no timeouts, what could be given up
// as slow has long, a worker that was stopped is killed at the next hit, and only such are hit as
// have run a call.
#include <signal.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <regex>
#include <set>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/io/auto_reactor/auto_reactor.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/runtime/testing/sanitized.h"
#include "plait/runtime/testing/test_folder.h"
#include "plait/schedulers/event_loop/event_loop.h"
#include "plait/schedulers/process_pool/pool_functions.h"
#include "plait/schedulers/process_pool/pool_system.h"
#include "plait/schedulers/process_pool/process_pool.h"
#include "plait/schedulers/process_pool/process_system.h"

namespace plait {
namespace {

namespace pool_system = internal::pool_system;

constexpr int kCalls = 10'000;
constexpr int kAtOnce = 48;
constexpr int kWorkers = 4;
// Calls between two hits; about 2 ms.
constexpr int kBetweenHits = 25;
constexpr int kHitsBetweenStops = 8;

// What this program and its zygote hold: of descriptors, processes and shared memory as much after
// everything as before.
struct Holdings {
  int descriptors = 0;  // of ours
  int memories = 0;     // files in memory, of those
  int64_t mapped = 0;   // bytes of them, in our addresses
  int zygotes_descriptors = 0;
  int workers = 0;  // all processes that the zygote has started, zombies included

  // As much as the workers that there should be take, and else no more than `before`. (Then, too,
  // something may have been open for a moment.)
  bool IsNoMoreThan(const Holdings& before) const {
    return descriptors <= before.descriptors && mapped <= before.mapped &&
           zygotes_descriptors <= before.zygotes_descriptors && IsOfAllWorkers();
  }
  bool IsOfAllWorkers() const { return memories == 2 * kWorkers && workers == kWorkers; }
};

Holdings Look(int zygote) {
  Holdings holdings;
  holdings.descriptors = OpenDescriptors();
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    const std::string file = std::filesystem::read_symlink(entry.path(), error).string();
    if (absl::StrContains(file, "memfd:plait-")) ++holdings.memories;
  }
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (!absl::StrContains(line, "memfd:plait-")) continue;
    uint64_t begin = 0;
    uint64_t end = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx", &begin, &end) == 2) {
      holdings.mapped += static_cast<int64_t>(end - begin);
    }
  }
  const std::filesystem::path process(absl::StrCat("/proc/", zygote));
  for (std::filesystem::directory_iterator i(process / "fd", error), none; !error && i != none;
       i.increment(error)) {
    ++holdings.zygotes_descriptors;
  }
  std::ifstream children(process / "task" / absl::StrCat(zygote) / "children");
  for (int pid = 0; children >> pid;) ++holdings.workers;
  return holdings;
}

// Of this process's own.
int64_t MemoryInUse() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    int64_t kilobytes = 0;
    if (word == "RssAnon:" && status >> kilobytes) return kilobytes << 10;
  }
  return 0;
}

struct World {
  ProcessPool& pool;
  std::string journal;
  std::mt19937 generator{12'345};
  int next = 0;
  int ended = 0;
  int hits = 0;
  std::set<int> met;                            // workers that have run a call
  std::map<int, std::set<std::string>> hit_by;  // signals
  int stopped = -1;                             // a descriptor of the process that was stopped last
  int64_t memory_before = 0;
  std::vector<absl::StatusOr<int>> results =
      std::vector<absl::StatusOr<int>>(kCalls, absl::UnknownError("has not ended"));
};

void KillStopped(World& world) {
  if (world.stopped < 0) return;
  pool_system::SignalOpened(world.stopped, SIGKILL);
  pool_system::Close(std::exchange(world.stopped, -1));
}

void Hit(World& world) {
  KillStopped(world);
  std::vector<int> pids = world.pool.worker_pids();
  std::erase_if(pids, [&world](int pid) { return !world.met.contains(pid); });
  if (pids.empty()) return;
  const int pid = pids[world.generator() % pids.size()];
  const bool stop = world.hits % kHitsBetweenStops == 0;
  const int signal = stop ? SIGSTOP : world.hits % 2 == 0 ? SIGKILL : SIGSEGV;
  // Never another that has its number by now.
  const int process = pool_system::OpenProcess(pid);
  if (process < 0) return;
  if (pool_system::SignalOpened(process, signal) == 0) {
    ++world.hits;
    world.hit_by[pid].insert(signal == SIGSEGV ? "SIGSEGV" : "SIGKILL");
  }
  if (stop) {
    world.stopped = process;
  } else {
    pool_system::Close(process);
  }
}

// How a call ends its process, by its number; null: it does not.
const char* OwnDoing(int number) {
  switch (number % 500) {
    case 250:
      return "bomb";
    case 375:
      return "segv";
    case 499:
      return "exit 7";
    default:
      return nullptr;
  }
}

// Gives the process that ran it.
Task<absl::StatusOr<int>> CallNumber(World& world, int number) {
  if (const char* const how = OwnDoing(number)) {
    return world.pool.Call(internal::NoteAndDie, world.journal, number, how);
  }
  return world.pool.Call(internal::NoteNumber, world.journal, number);
}

Task<void> Lane(World* world) {
  while (world->next < kCalls) {
    const int number = world->next++;
    absl::StatusOr<int> result = co_await CallNumber(*world, number);
    if (result.ok()) world->met.insert(*result);
    world->results[static_cast<size_t>(number)] = std::move(result);
    if (++world->ended == kCalls / 5) world->memory_before = MemoryInUse();
    if (world->ended % kBetweenHits == 0) Hit(*world);
  }
  KillStopped(*world);  // which may be what another waits for
}

Task<void> Chaos(World* world) {
  std::vector<Task<void>> lanes;
  for (int i = 0; i < kAtOnce; ++i) lanes.push_back(Lane(world));
  co_await Gather(std::move(lanes));
}

// All workers are there and have answered.
Task<void> Meet(ProcessPool* pool) {
  std::set<int> met;
  while (met.size() < kWorkers) {
    std::vector<Task<absl::StatusOr<int>>> calls;
    for (int i = 0; i < kAtOnce; ++i) calls.push_back(pool->Call(internal::Pid));
    for (const absl::StatusOr<int>& pid : co_await GatherAll(std::move(calls))) {
      if (pid.ok()) met.insert(*pid);
    }
  }
}

// Ends are taken, and what they leave is let go, a moment later: for ever where something stays.
Task<Holdings> HoldingsOfAllWorkers(int zygote) {
  Holdings holdings = Look(zygote);
  while (!holdings.IsOfAllWorkers()) {
    co_await Yield();
    holdings = Look(zygote);
  }
  co_return holdings;
}

Task<void> UntilNoMoreThan(const Holdings* before, int zygote) {
  while (!Look(zygote).IsNoMoreThan(*before)) co_await Yield();
}

struct Journal {
  std::map<int, int> runs;
  std::map<int, int> ran_on;
};

Journal Read(const std::string& path) {
  Journal journal;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    int number = 0;
    int pid = 0;
    char end = 0;
    if (std::sscanf(line.c_str(), "%d %d %c", &number, &pid, &end) < 3) continue;
    ++journal.runs[number];
    journal.ran_on[number] = pid;
  }
  return journal;
}

void ExpectEachOutcomeHasItsReason(const World& world) {
  const Journal journal = Read(world.journal);
  std::set<int> dead;
  int failed = 0;
  for (int number = 0; number < kCalls; ++number) {
    const absl::StatusOr<int>& result = world.results[static_cast<size_t>(number)];
    const auto runs = journal.runs.find(number);
    const auto ran_on = journal.ran_on.find(number);
    ASSERT_LE(runs == journal.runs.end() ? 0 : runs->second, 1) << number << " ran twice";
    if (result.ok()) {
      ASSERT_EQ(OwnDoing(number), nullptr) << number;
      ASSERT_TRUE(ran_on != journal.ran_on.end()) << *result << " has not noted " << number;
      ASSERT_EQ(ran_on->second, *result) << number;
      continue;
    }
    ++failed;
    ASSERT_TRUE(absl::IsAborted(result.status())) << number << result.status();
    static const std::regex kHow(
        "its worker process ([0-9]+) (was killed by (SIG[A-Z]+)|exited with status ([0-9]+))");
    const std::string message(result.status().message());
    if (absl::StrContains(message, "one worker process after another ended before it had")) {
      // On a busy machine several in a row may be hit while they still have it before them.
      ASSERT_TRUE(ran_on == journal.ran_on.end()) << number << " has run: " << message;
      continue;
    }
    std::smatch how;
    ASSERT_TRUE(std::regex_search(message, how, kHow)) << message;
    const int pid = std::stoi(how[1]);
    ASSERT_TRUE(dead.insert(pid).second) << "one process failed two calls: " << message;
    // It may have died before it wrote that it runs.
    ASSERT_TRUE(ran_on == journal.ran_on.end() || ran_on->second == pid) << message;
    const auto hit = world.hit_by.find(pid);
    if (hit != world.hit_by.end() && hit->second.contains(how[3].str())) continue;
    ASSERT_NE(OwnDoing(number), nullptr) << "nobody has hit it: " << message;
    const std::string own = OwnDoing(number);
    // A sanitizer's memory is not limited, and a bomb kills itself in the end; or what is left of
    // the limit is too little for the sanitizer, which then exits.
    const bool fits = own == "segv"   ? how[3] == "SIGSEGV"
                      : own == "bomb" ? how[3] == "SIGABRT" ||
                                            (kSanitized && (how[3] == "SIGKILL" || how[4].matched))
                                      : how[4] == "7";
    ASSERT_TRUE(fits) << own << ": " << message;
  }
  EXPECT_LE(failed, world.hits + kCalls / 500 * 3);
  EXPECT_GE(world.hits, kCalls / kBetweenHits / 2);
}

TEST(ProcessPoolChaosTest, EachFailureIsAHitOnTheVeryWorkerAndNothingRunsTwiceOrStays) {
  const int descriptors = OpenDescriptors();
  {
    TestFolder folder;
    EventLoop loop(MakeReactor());
    ProcessPoolOptions options;
    options.functions = internal::PoolFunctions();
    options.workers = kWorkers;
    options.quarantine_after = 0;
    // However busy the machine is, the pool itself kills nobody.
    options.terminate_grace = options.start_grace = options.zygote_grace = absl::Minutes(10);
    options.worker.error = WorkerError::kNull;
    options.worker.memory_limit = uint64_t{64} << 20;
    absl::StatusOr<ProcessPool> pool = ProcessPool::Create(std::move(options));
    ASSERT_TRUE(pool.ok()) << pool.status();
    BlockOn(loop, Meet(&*pool));
    const int zygote = *BlockOn(loop, pool->Call(internal::Parent));
    const Holdings before = BlockOn(loop, HoldingsOfAllWorkers(zygote));

    World world{.pool = *pool, .journal = absl::StrCat(folder.path(), "/journal")};
    BlockOn(loop, Chaos(&world));
    const int64_t grown = MemoryInUse() - world.memory_before;

    EXPECT_EQ(world.ended, kCalls);
    ExpectEachOutcomeHasItsReason(world);
    // Some hundred workers have come and gone since; a page of each would be seen. A sanitizer
    // keeps what was freed.
    EXPECT_TRUE(kSanitized || grown < int64_t{2} << 20) << grown;
    BlockOn(loop, Meet(&*pool));
    // Of another nothing could be compared.
    ASSERT_EQ(*BlockOn(loop, pool->Call(internal::Parent)), zygote);
    BlockOn(loop, UntilNoMoreThan(&before, zygote));
    RecordProperty("hits", world.hits);

    EXPECT_TRUE(BlockOn(loop, pool->Drain()).ok());
  }
  EXPECT_FALSE(HasChildren());
  EXPECT_EQ(OpenDescriptors(), descriptors);
}

}  // namespace
}  // namespace plait
