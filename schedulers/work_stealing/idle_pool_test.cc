// A pool that has nothing to do costs next to nothing: whatever its IdlePolicy, whether its workers
// sleep on a futex or in their reactors.
//
// Real time has to pass for that, as it is real time that a worker must not burn. What is counted
// is this process's share of the processors, and no other program's.
#include <sys/resource.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/io/ops/operations.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_reactors.h"
#include "plait/runtime/testing/reactor_factory.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/runtime/testing/until.h"
#include "plait/schedulers/work_stealing/work_stealing_pool.h"

namespace plait {
namespace {

using internal::Atomic;

struct IdlePool {
  std::string name;
  IdlePolicy policy;
  std::optional<ReactorFactory> reactor;
  int64_t number = 0;

  static std::string Name(const testing::TestParamInfo<IdlePool>& info) { return info.param.name; }
  friend void PrintTo(const IdlePool& pool, std::ostream* out) { *out << pool.name; }
};

std::vector<IdlePool> IdlePools() {
  std::vector<IdlePool> pools;
  for (const auto& [name, policy] :
       {std::pair("Latency", IdlePolicy::kLatency), std::pair("Balanced", IdlePolicy::kBalanced),
        std::pair("Frugal", IdlePolicy::kFrugal)}) {
    pools.push_back({.name = name, .policy = policy, .reactor = std::nullopt});
    for (const ReactorFactory& reactor : AllReactors()) {
      pools.push_back(
          {.name = absl::StrCat(name, reactor.name), .policy = policy, .reactor = reactor});
    }
  }
  for (size_t i = 0; i < pools.size(); ++i) pools[i].number = static_cast<int64_t>(i);
  return pools;
}

absl::Duration ProcessorTime() {
  rusage used = {};
  EXPECT_EQ(getrusage(RUSAGE_SELF, &used), 0);
  return absl::DurationFromTimeval(used.ru_utime) + absl::DurationFromTimeval(used.ru_stime);
}

template <class F>
absl::Duration ProcessorTimeOf(F body) {
  const absl::Duration before = ProcessorTime();
  body();
  return ProcessorTime() - before;
}

constexpr absl::Duration kIdle = absl::Milliseconds(500);

class IdlePoolTest : public testing::TestWithParam<IdlePool> {
 protected:
  WorkStealingPool& pool() { return pool_; }

 private:
  static WorkStealingPoolOptions Options() {
    WorkStealingPoolOptions options{.threads = 4, .idle = GetParam().policy};
    if (GetParam().reactor.has_value()) {
      options.reactor = [] { return GetParam().reactor->make(nullptr); };
    }
    return options;
  }

  WorkStealingPool pool_{Options()};
};

TEST_P(IdlePoolTest, ItTakesLessThanAHundredthOfAProcessor) {
  if (!ThisTestRun().Takes(GetParam().number)) GTEST_SKIP() << "another run of many looks at it";
  // What never comes, so that workers which have it in flight sleep in their reactors.
  std::vector<FdPair> pairs;
  std::vector<JoinHandle<void>> waits;
  Atomic<int> waiting{0};
  const auto wait = [&waiting](int fd) -> Task<void> {
    waiting.fetch_add(1);
    const absl::StatusOr<uint32_t> events = co_await io::Poll(fd, kPollReadable);
    EXPECT_TRUE(absl::IsCancelled(events.status())) << events.status();
  };
  if (GetParam().reactor.has_value()) {
    for (int i = 0; i < 8; ++i) pairs.push_back(MakeSocketPair());
    for (const FdPair& pair : pairs) {
      waits.push_back(Spawn(wait(pair.first.get()), {.executor = &pool()}));
    }
    Until([&] { return waiting.load() == 8; });
  }
  const auto nothing = []() -> Task<void> { co_return; };
  for (int i = 0; i < 100; ++i) BlockOn(pool(), nothing());  // so that spinning has just paid
  // Interrupts, and what is taken from a virtual processor, may be counted as ours: once in a while
  // that is more than the pool takes. One that burns a processor does so each time.
  absl::Duration least = absl::InfiniteDuration();
  for (int look = 0; look < 5 && least >= kIdle / 100; ++look) {
    least = std::min(least, ProcessorTimeOf([this] {
                       BlockOn(pool(), []() -> Task<void> {
                         const absl::Status slept = co_await Sleep(kIdle);
                         EXPECT_TRUE(slept.ok()) << slept;
                       }());
                     }));
  }
  EXPECT_LT(least, kIdle / 100);
  for (JoinHandle<void>& one : waits) {
    one.Cancel();
    BlockOn(pool(), [](JoinHandle<void>* of) -> Task<void> { co_await *of; }(&one));
  }
}

INSTANTIATE_TEST_SUITE_P(All, IdlePoolTest, testing::ValuesIn(IdlePools()), IdlePool::Name);

}  // namespace
}  // namespace plait
