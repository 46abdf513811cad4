// A process pool that waits sleeps: the program, the workers, and the process that starts them.
//
// What is compared is processor time with time that passes: a busy machine only makes less of the
// first, and a process that spins takes all that it can get.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_reactors.h"
#include "plait/runtime/testing/reactor_factory.h"
#include "plait/schedulers/process_pool/pool_functions.h"
#include "plait/schedulers/process_pool/pool_system.h"
#include "plait/schedulers/process_pool/process_pool.h"
#include "plait/schedulers/process_pool/process_pool_fixture.h"

namespace plait {
namespace {

using internal::AwaitByte;
using internal::Parent;
using internal::Square;
using internal::Until;

// So long they are watched. It has to pass for real.
constexpr absl::Duration kWatched = absl::Seconds(1);

// What a process has taken so far, in all of its threads.
absl::Duration ProcessorTime(int pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/stat"));
  const std::string stat((std::istreambuf_iterator<char>(file)), {});
  // Behind its name, which may hold anything, from the third field: the fourteenth and fifteenth
  // are ticks in its own code and in the system's.
  const std::vector<absl::string_view> fields =
      absl::StrSplit(absl::string_view(stat).substr(stat.rfind(')') + 1), ' ', absl::SkipEmpty());
  int64_t own = 0;
  int64_t systems = 0;
  PLAIT_CHECK(fields.size() > 12 && absl::SimpleAtoi(fields[11], &own) &&
                  absl::SimpleAtoi(fields[12], &systems),
              "there is no such process");
  return absl::Seconds(own + systems) / ::sysconf(_SC_CLK_TCK);
}

Task<absl::Status> Pass(absl::Duration duration) { co_return co_await Sleep(duration); }

class ProcessPoolIdleTest : public internal::ProcessPoolFixture {
 protected:
  // Makes many calls, so that whoever looks for more has learned that it pays; gives all processes.
  std::vector<int> Warm(ProcessPool& pool) {
    std::vector<Task<absl::StatusOr<int>>> calls;
    for (int i = 0; i < 1'000; ++i) calls.push_back(pool.Call(Square, i));
    EXPECT_TRUE(Run(Gather(std::move(calls))).ok());
    for (int i = 0; i < 100; ++i) EXPECT_TRUE(Run(pool.Call(Square, i)).ok());
    Run([](ProcessPool* of) -> Task<void> {
      while (of->worker_pids().size() < 2) co_await Yield();
    }(&pool));
    std::vector<int> pids = pool.worker_pids();
    pids.push_back(*Run(pool.Call(Parent)));
    pids.push_back(::getpid());
    return pids;
  }

  void ExpectThatAllSleep(const std::vector<int>& pids) {
    std::vector<absl::Duration> before;
    for (const int pid : pids) before.push_back(ProcessorTime(pid));
    EXPECT_TRUE(Run(Pass(kWatched)).ok());
    for (size_t i = 0; i < pids.size(); ++i) {
      EXPECT_LT(ProcessorTime(pids[i]) - before[i], kWatched / 4)
          << (pids[i] == ::getpid() ? "the program" : "a process of the pool");
    }
  }
};

TEST_P(ProcessPoolIdleTest, NobodySpinsForLongAfterTheLastCall) {
  ProcessPool pool = NewPool();
  ExpectThatAllSleep(Warm(pool));
  EXPECT_EQ(*Run(pool.Call(Square, 3)), 9);
}

TEST_P(ProcessPoolIdleTest, NobodySpinsForLongForACallThatTakesLong) {
  ProcessPool pool = NewPool();
  const std::vector<int> pids = Warm(pool);
  ASSERT_EQ(::mkfifo(File("pipe").c_str(), 0600), 0);
  const int pipe = ::open(File("pipe").c_str(), O_RDWR | O_CLOEXEC);
  JoinHandle<absl::StatusOr<int>> call =
      Spawn(pool.Call(AwaitByte, folder_.path(), "pipe"), {.executor = &loop_});
  Await("pipe.began");
  ExpectThatAllSleep(pids);
  EXPECT_FALSE(call.done());
  EXPECT_EQ(::write(pipe, "x", 1), 1);
  auto outcome = [](JoinHandle<absl::StatusOr<int>> of) -> Task<absl::StatusOr<int>> {
    co_return co_await of;
  };
  EXPECT_EQ(*Run(outcome(std::move(call))), 'x');
  ::close(pipe);
}

TEST_P(ProcessPoolIdleTest, NobodySpinsForLongWhereThereAreNoFutexes) {
  internal::pool_system::ForbidFutexesForTesting(true);
  {
    ProcessPool pool = NewPool();
    ExpectThatAllSleep(Warm(pool));
    EXPECT_EQ(*Run(pool.Call(Square, 3)), 9);
  }
  internal::pool_system::ForbidFutexesForTesting(false);
}

INSTANTIATE_TEST_SUITE_P(AllReactors, ProcessPoolIdleTest, ::testing::ValuesIn(AllReactors()),
                         ReactorFactory::Name);

}  // namespace
}  // namespace plait
