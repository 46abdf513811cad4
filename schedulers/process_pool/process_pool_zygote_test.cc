// A process pool whose zygote, the process that starts its workers, is stopped, hangs or dies.
//
// It hangs for certain where this process traces it: no signal but SIGKILL has it go on.
#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_reactors.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/runtime/testing/reactor_factory.h"
#include "plait/schedulers/process_pool/pool_functions.h"
#include "plait/schedulers/process_pool/process_pool.h"
#include "plait/schedulers/process_pool/process_pool_fixture.h"
#include "plait/schedulers/process_pool/stop_process.h"

namespace plait {
namespace {

using internal::Die;
using internal::kLong;
using internal::Parent;
using internal::Pid;
using internal::Square;
using internal::StopProcess;
using internal::Until;
using internal::WaitAtGate;
using ::testing::HasSubstr;

// The children of this thread, which starts them all.
std::vector<int> Children() {
  std::ifstream file(absl::StrCat("/proc/self/task/", ::gettid(), "/children"));
  std::vector<int> pids;
  for (int pid = 0; file >> pid;) pids.push_back(pid);
  return pids;
}

// Returns when it hangs; false where this process may not have it so.
bool Hang(int pid) {
  if (::ptrace(PTRACE_SEIZE, pid, nullptr, nullptr) != 0) return false;
  if (::ptrace(PTRACE_INTERRUPT, pid, nullptr, nullptr) != 0) return false;
  int status = 0;
  return ::waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status);
}

class ProcessPoolZygoteTest : public internal::ProcessPoolFixture {
 protected:
  static ProcessPool NewPool(absl::Duration zygote_grace = kLong, int workers = 2) {
    return ProcessPoolFixture::NewPool({.workers = workers,
                                        .cancel_grace = absl::Milliseconds(1),
                                        .terminate_grace = absl::Milliseconds(50),
                                        .zygote_grace = zygote_grace,
                                        .quarantine_after = 0});
  }

  // What becomes of a call that runs while `happens` is done to process `pid`, and of one behind
  // it, which gives the zygote.
  struct Outcomes {
    absl::Status running;
    absl::StatusOr<int> behind;
  };
  Outcomes RunWhile(ProcessPool& pool, void (*happens)(int pid), int pid) {
    return Run([](ProcessPool& on, std::string in, void (*event)(int), int to) -> Task<Outcomes> {
      JoinHandle<absl::StatusOr<int>> gate = on.Submit(WaitAtGate, in, "gate");
      const std::string began = in + "/gate.began";
      co_await Until(&began);
      event(to);
      JoinHandle<absl::StatusOr<int>> behind = on.Submit(Parent);
      // Not in braces with a co_await, which g++ 12 destroys twice.
      Outcomes outcomes;
      outcomes.running = (co_await gate).status();
      outcomes.behind = co_await behind;
      co_return outcomes;
    }(pool, folder_.path(), happens, pid));
  }
};

TEST_P(ProcessPoolZygoteTest, AStoppedZygoteGoesOnWhenAWorkerIsToBeReplacedAndNothingIsLost) {
  ProcessPool pool = NewPool();
  const int zygote = *Run(pool.Call(Parent));
  StopProcess(zygote);
  std::vector<Task<absl::StatusOr<int>>> calls;
  for (int i = 0; i < 6; ++i) calls.push_back(pool.Call(Die, "kill"));
  for (const absl::StatusOr<int>& result : Run(GatherAll(std::move(calls)))) {
    EXPECT_EQ(result.status().code(), absl::StatusCode::kAborted) << result.status();
    EXPECT_THAT(std::string(result.status().message()), HasSubstr("SIGKILL"));
  }
  EXPECT_EQ(*Run(pool.Call(Square, 3)), 9);
  EXPECT_EQ(*Run(pool.Call(Parent)), zygote) << "it is the same";
}

TEST_P(ProcessPoolZygoteTest, AStoppedZygoteGoesOnWhenAWorkerIsToBeKilled) {
  ProcessPool pool = NewPool(kLong, 1);
  const int zygote = *Run(pool.Call(Parent));
  StopProcess(zygote);
  auto late = [](ProcessPool& on, std::string in) -> Task<absl::StatusOr<int>> {
    const absl::StatusOr<int> gate =
        co_await on.CallWith({.timeout = absl::Milliseconds(1)}, internal::Stubborn, in, "gate");
    if (!absl::IsDeadlineExceeded(gate.status())) co_return gate.status();
    co_return co_await on.Call(Parent);
  };
  EXPECT_EQ(*Run(late(pool, folder_.path())), zygote);
}

TEST_P(ProcessPoolZygoteTest, AStoppedZygoteIsNoReasonNotToDrain) {
  ProcessPool pool = NewPool();
  StopProcess(*Run(pool.Call(Parent)));
  EXPECT_TRUE(Run(pool.Drain()).ok());
  EXPECT_FALSE(HasChildren());
}

TEST_P(ProcessPoolZygoteTest, AZygoteThatHangsIsReplacedAndTheCallThatRanIsToldSo) {
  ProcessPool pool = NewPool(absl::Milliseconds(500), 1);
  const int zygote = *Run(pool.Call(Parent));
  const int worker = *Run(pool.Call(Pid));
  if (!Hang(zygote)) GTEST_SKIP() << "this process may not trace another";
  // Which nobody tells the pool now.
  const Outcomes outcomes =
      RunWhile(pool, [](int pid) { EXPECT_EQ(::kill(pid, SIGKILL), 0); }, worker);
  EXPECT_EQ(outcomes.running.code(), absl::StatusCode::kAborted) << outcomes.running;
  EXPECT_THAT(std::string(outcomes.running.message()),
              HasSubstr("the process that starts workers gave no sign of life for 500ms and was "
                        "killed"));
  ASSERT_TRUE(outcomes.behind.ok()) << outcomes.behind.status();
  EXPECT_NE(*outcomes.behind, zygote);
  EXPECT_TRUE(Run(pool.Drain()).ok());
  EXPECT_FALSE(HasChildren());
}

TEST_P(ProcessPoolZygoteTest, AZygoteThatHangsBeforeItHasStartedAWorkerIsReplaced) {
  ProcessPool pool = NewPool(absl::Milliseconds(500), 3);
  const std::vector<int> children = Children();
  ASSERT_EQ(children.size(), 1u);
  if (!Hang(children.front())) GTEST_SKIP() << "this process may not trace another";
  const absl::StatusOr<int> zygote = Run(pool.Call(Parent));
  ASSERT_TRUE(zygote.ok()) << zygote.status();
}

TEST_P(ProcessPoolZygoteTest, TheLoopGoesOnWhileThePoolWaitsForTheEndOfAZygoteThatHangs) {
  ProcessPool pool = NewPool();
  const int zygote = *Run(pool.Call(Parent));
  if (!Hang(zygote)) GTEST_SKIP() << "this process may not trace another";
  // Only this loop lets it go.
  auto drain = [](ProcessPool& on, int hangs) -> Task<absl::Status> {
    JoinHandle<absl::Status> drained = Spawn(on.Drain());
    for (int turn = 0; turn < 100; ++turn) co_await Yield();
    if (drained.done()) co_return absl::InternalError("its end was not waited for");
    if (::ptrace(PTRACE_DETACH, hangs, nullptr, nullptr) != 0) {
      co_return absl::ErrnoToStatus(errno, "it was killed");
    }
    co_return co_await drained;
  };
  EXPECT_EQ(Run(drain(pool, zygote)), absl::OkStatus());
  EXPECT_FALSE(HasChildren());
}

TEST_P(ProcessPoolZygoteTest, APoolThatWasNeverUsedEndsInATaskWithoutBlockingItsLoop) {
  auto drop = [](ProcessPool made) -> Task<bool> {
    std::optional<ProcessPool> pool(std::move(made));
    const std::vector<int> children = Children();
    if (children.size() != 1 || !Hang(children.front())) co_return false;
    pool.reset();
    for (int turn = 0; turn < 100; ++turn) co_await Yield();
    EXPECT_EQ(::ptrace(PTRACE_DETACH, children.front(), nullptr, nullptr), 0) << "it was killed";
    co_return true;
  };
  if (!Run(drop(NewPool()))) GTEST_SKIP() << "this process may not trace another";
  ASSERT_TRUE(loop_.Close().ok());
  EXPECT_FALSE(HasChildren());
}

TEST_P(ProcessPoolZygoteTest, AZygoteThatIsKilledFailsTheCallThatRunsAndNoOther) {
  ProcessPool pool = NewPool(kLong, 1);
  const int zygote = *Run(pool.Call(Parent));
  const Outcomes outcomes =
      RunWhile(pool, [](int pid) { EXPECT_EQ(::kill(pid, SIGKILL), 0); }, zygote);
  EXPECT_EQ(outcomes.running.code(), absl::StatusCode::kAborted) << outcomes.running;
  EXPECT_THAT(std::string(outcomes.running.message()),
              HasSubstr("the process that starts workers has died"));
  ASSERT_TRUE(outcomes.behind.ok()) << outcomes.behind.status();
  EXPECT_NE(*outcomes.behind, zygote);
}

TEST_P(ProcessPoolZygoteTest, AZygoteThatIsKilledAgainAndAgainCostsNoCallThatMayRunAgain) {
  ProcessPool pool = NewPool();
  for (int round = 0; round < 5; ++round) {
    for (const int zygote : Children()) ::kill(zygote, SIGKILL);
    // Its two workers may live for a moment longer, and die in the call.
    const absl::StatusOr<int> next = Run(pool.CallWith({.attempts = 3}, Square, round));
    ASSERT_TRUE(next.ok()) << next.status();
    EXPECT_EQ(*next, round * round);
  }
}

INSTANTIATE_TEST_SUITE_P(AllReactors, ProcessPoolZygoteTest, ::testing::ValuesIn(AllReactors()),
                         ReactorFactory::Name);

}  // namespace
}  // namespace plait
