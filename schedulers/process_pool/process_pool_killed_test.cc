// A program with a process pool is killed, and cannot clean up: nobody of its pool outlives it.
//
// All processes of the pool, and those that its functions have started, have the program's standard
// output, which is a pipe here: it is at its end when the last of them is gone, whether somebody
// knew of that one or not.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <string>
#include <tuple>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_reactors.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/runtime/testing/reactor_factory.h"
#include "plait/runtime/testing/test_folder.h"
#include "plait/schedulers/event_loop/event_loop.h"
#include "plait/schedulers/process_pool/pool_functions.h"
#include "plait/schedulers/process_pool/process_pool.h"
#include "plait/schedulers/process_pool/process_pool_fixture.h"
#include "plait/schedulers/process_pool/worker_fixture.h"

namespace plait {
namespace {

using internal::Square;
using internal::StartSleeper;
using internal::Stubborn;
using internal::Until;
using internal::WaitAtGate;

// A second is what is promised. A machine that does much else may need longer until the processes
// are run that are to see it: but not each time.
constexpr int64_t kPromisedMs = 1'000;
constexpr int kRounds = 20;
// One that is left stays for ever.
constexpr int kPatienceMs = 60'000;

enum class Start { kFork, kExec };

// Has calls that run, calls that wait behind them, and a process that a function has started; says
// so, and goes on.
Task<void> Work(ProcessPool* pool, std::string folder) {
  const absl::StatusOr<int> sleeper = co_await pool->Call(StartSleeper);
  PLAIT_CHECK(sleeper.ok() && *sleeper > 0, "a function starts no process");
  std::vector<JoinHandle<absl::StatusOr<int>>> calls;
  calls.push_back(pool->Submit(WaitAtGate, folder, "gate"));
  calls.push_back(pool->Submit(Stubborn, folder, "stubborn"));
  for (int i = 0; i < 500; ++i) calls.push_back(pool->Submit(Square, i));
  for (const char* const name : {"gate", "stubborn"}) {
    const std::string began = absl::StrCat(folder, "/", name, ".began");
    co_await Until(&began);
  }
  std::puts("all run");
  std::fflush(stdout);
  for (;;) (co_await Sleep(absl::Hours(1))).IgnoreError();
}

[[noreturn]] void RunProgram(const ReactorFactory& reactor, Start start, std::string folder) {
  // So that the pool's processes come from the program's file.
  Thread other;
  if (start == Start::kExec) {
    other = StartThread("another", [] {
      for (;;) ::pause();
    });
  }
  EventLoop loop(reactor.make(nullptr));
  ProcessPoolOptions options;
  options.functions = internal::PoolFunctions();
  options.workers = 3;
  absl::StatusOr<ProcessPool> pool = ProcessPool::Create(std::move(options));
  PLAIT_CHECK(pool.ok(), pool.status().ToString());
  BlockOn(loop, Work(&*pool, std::move(folder)));
  PLAIT_CHECK(false, "it ends when it is killed");
  ::abort();
}

class ProcessPoolKilledTest : public ::testing::TestWithParam<std::tuple<ReactorFactory, Start>> {};

// How long it takes until nobody is left.
int64_t KillAProgram(const ReactorFactory& reactor, Start start) {
  const TestFolder folder;
  internal::AnswerPipe output;
  std::fflush(nullptr);
  const pid_t program = ::fork();
  if (program == 0) {
    ::dup2(output.writer, STDOUT_FILENO);
    RunProgram(reactor, start, folder.path());
  }
  output.CloseWriter();
  EXPECT_EQ(output.ReadLine(), "all run");
  const Deadline killed = Clock::Real().Now();
  EXPECT_EQ(::kill(program, SIGKILL), 0);
  EXPECT_TRUE(output.WaitForEnd(kPatienceMs)) << "somebody is left";
  const int64_t took_ms = absl::ToInt64Milliseconds(Clock::Real().Now().Since(killed));
  int status = 0;
  EXPECT_EQ(::waitpid(program, &status, 0), program);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
  EXPECT_FALSE(HasChildren());
  return took_ms;
}

TEST_P(ProcessPoolKilledTest, NobodyIsLeftASecondAfterTheProgramWasKilled) {
  const auto& [reactor, start] = GetParam();
  int64_t took_ms = KillAProgram(reactor, start);
  for (int round = 1; took_ms >= kPromisedMs && round < kRounds && !HasFailure(); ++round) {
    took_ms = KillAProgram(reactor, start);
  }
  EXPECT_LT(took_ms, kPromisedMs);
}

INSTANTIATE_TEST_SUITE_P(AllReactors, ProcessPoolKilledTest,
                         ::testing::Combine(::testing::ValuesIn(AllReactors()),
                                            ::testing::Values(Start::kFork, Start::kExec)),
                         [](const auto& info) {
                           return std::get<0>(info.param).name +
                                  (std::get<1>(info.param) == Start::kFork ? "Fork" : "Exec");
                         });

}  // namespace
}  // namespace plait
