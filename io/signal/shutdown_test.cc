// Traps: a cancel that races completion (of the task, by the signal); a wake-up lost between check
// and park (a signal that comes before the wait).
#include "plait/io/signal/shutdown.h"

#include <signal.h>
#include <unistd.h>

#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/io/signal/signal_listener.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_executors.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/runtime/testing/thread_executor.h"
#include "plait/schedulers/run.h"

namespace plait {
namespace {

using internal::Atomic;

void (*HandlerOf(int signal))(int) {
  struct sigaction present = {};
  ::sigaction(signal, nullptr, &present);
  return present.sa_handler;
}

void DoNothing(int) {}

class ShutdownTest : public IoTest {
 protected:
  ShutdownTest() {
    testing::FLAGS_gtest_death_test_style = "threadsafe";
    ::signal(SIGINT, SIG_DFL);
    ::signal(SIGTERM, SIG_DFL);
  }
};

INSTANTIATE_TEST_SUITE_P(AllExecutors, ShutdownTest, testing::ValuesIn(AllExecutors()),
                         IoExecutor::Name);

// A task that waits for a signal to end: it has begun to.
JoinHandle<absl::StatusOr<int>> Waiting() { return Spawn(UntilShutdownSignal(), {.eager = true}); }

Task<absl::Status> Forever() { co_return co_await Sleep(absl::InfiniteDuration()); }

// A task that is asked to end by `signal`, once it runs.
Task<absl::Status> UntilAsked(int signal) {
  ::raise(signal);
  co_return co_await Sleep(absl::InfiniteDuration());
}

TEST_P(ShutdownTest, TheFirstSignalOfEitherKindIsTold) {
  for (const int sent : {SIGINT, SIGTERM}) {
    const auto body = [&]() -> Task<void> {
      JoinHandle<absl::StatusOr<int>> asked = Waiting();
      ::raise(sent);
      const absl::StatusOr<int> signal = co_await asked;
      EXPECT_EQ(signal.value_or(-1), sent);
    };
    RunTask(body);
  }
}

TEST_P(ShutdownTest, ASecondSignalEndsTheProcessWhileTheFirstIsNotEvenTold) {
  for (const int first : {SIGINT, SIGTERM}) {
    for (const int second : {SIGINT, SIGTERM}) {
      const auto body = [&]() -> Task<void> {
        JoinHandle<absl::StatusOr<int>> asked = Waiting();
        co_await Yield();
        ::raise(first);
        ::raise(second);  // the loop hangs, as it were: it has no turn in between
        ::_exit(0);
      };
      EXPECT_EXIT(RunTask(body), testing::KilledBySignal(second), "");
    }
  }
}

TEST_P(ShutdownTest, ASecondSignalEndsTheProcessAfterTheFirstWasToldWhateverWasSetBefore) {
  // One that the program handled is not ignored.
  ::signal(SIGTERM, &DoNothing);
  ::signal(SIGINT, &DoNothing);
  const auto body = [&]() -> Task<void> {
    JoinHandle<absl::StatusOr<int>> asked = Waiting();
    ::raise(SIGINT);
    const absl::StatusOr<int> signal = co_await asked;
    EXPECT_EQ(signal.value_or(-1), SIGINT);
    ::raise(SIGTERM);
    ::_exit(0);
  };
  EXPECT_EXIT(RunTask(body), testing::KilledBySignal(SIGTERM), "");
}

TEST_P(ShutdownTest, ASignalThatIsIgnoredStaysIgnoredAndTheOtherIsTold) {
  for (const auto& [ignored, other] : {std::pair(SIGINT, SIGTERM), std::pair(SIGTERM, SIGINT)}) {
    ::signal(ignored, SIG_IGN);
    const auto body = [&, ignored = ignored, other = other]() -> Task<void> {
      JoinHandle<absl::StatusOr<int>> asked = Waiting();
      EXPECT_EQ(HandlerOf(ignored), SIG_IGN);
      ::raise(ignored);
      ::raise(other);
      // It is no second signal either.
      ::raise(ignored);
      const absl::StatusOr<int> signal = co_await asked;
      EXPECT_EQ(signal.value_or(-1), other);
      EXPECT_EQ(HandlerOf(ignored), SIG_IGN);
      EXPECT_EQ(HandlerOf(other), SIG_DFL);
    };
    RunTask(body);
    ::signal(ignored, SIG_DFL);
  }
}

TEST_P(ShutdownTest, WhereBothAreIgnoredNothingIsToldUntilTheWaitIsCancelled) {
  ::signal(SIGINT, SIG_IGN);
  ::signal(SIGTERM, SIG_IGN);
  const auto body = [&]() -> Task<void> {
    JoinHandle<absl::StatusOr<int>> asked = Waiting();
    ::raise(SIGINT);
    ::raise(SIGTERM);
    for (int i = 0; i < 5; ++i) co_await Yield();
    EXPECT_FALSE(asked.done());
    asked.Cancel();
    const absl::StatusOr<int> signal = co_await asked;
    EXPECT_TRUE(absl::IsCancelled(signal.status())) << signal.status();
    const auto by_itself = []() -> Task<absl::Status> {
      ::raise(SIGINT);
      ::raise(SIGTERM);
      co_await Yield();
      co_return absl::NotFoundError("by itself");
    };
    const absl::Status status = co_await RunUntilShutdownSignal(by_itself());
    EXPECT_EQ(status, absl::NotFoundError("by itself"));
  };
  RunTask(body);
}

// Whoever comes first.
TEST_P(ShutdownTest, AListenerHasASignalThatIsIgnoredAndNobodyIsAskedToEnd) {
  for (const bool listener_first : {true, false}) {
    ::signal(SIGTERM, SIG_IGN);
    const auto body = [&]() -> Task<void> {
      absl::StatusOr<SignalListener> listener = absl::UnknownError("later");
      if (listener_first) listener = ListenForSignals({SIGTERM});
      JoinHandle<absl::StatusOr<int>> asked = Waiting();
      if (!listener_first) listener = ListenForSignals({SIGTERM});
      EXPECT_TRUE(listener.ok()) << listener.status();
      ::raise(SIGTERM);
      const absl::StatusOr<int> heard = co_await listener->Next();
      EXPECT_EQ(heard.value_or(-1), SIGTERM);
      ::raise(SIGINT);
      const absl::StatusOr<int> signal = co_await asked;
      EXPECT_EQ(signal.value_or(-1), SIGINT);
      listener = absl::UnknownError("it has gone");
      EXPECT_EQ(HandlerOf(SIGTERM), SIG_IGN);
    };
    RunTask(body);
  }
}

TEST_P(ShutdownTest, WhoeverListensBesidesKeepsASecondSignalFromEndingTheProcess) {
  const auto body = [&]() -> Task<void> {
    absl::StatusOr<SignalListener> listener = ListenForSignals({SIGTERM});
    EXPECT_TRUE(listener.ok()) << listener.status();
    JoinHandle<absl::StatusOr<int>> asked = Waiting();
    for (int i = 0; i < 2; ++i) {
      ::raise(SIGTERM);
      const absl::StatusOr<int> heard = co_await listener->Next();
      EXPECT_EQ(heard.value_or(-1), SIGTERM);
    }
    const absl::StatusOr<int> signal = co_await asked;
    EXPECT_EQ(signal.value_or(-1), SIGTERM);
  };
  RunTask(body);
}

TEST_P(ShutdownTest, EveryExecutorIsTold) {
  Atomic<int> waiting{0};
  Atomic<int> told{0};
  std::vector<Thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.push_back(StartThread("loop", [&] {
      const std::unique_ptr<Executor> own = GetParam().Make();
      const auto body = [&]() -> Task<void> {
        JoinHandle<absl::StatusOr<int>> asked = Waiting();
        waiting.fetch_add(1);
        const absl::StatusOr<int> signal = co_await asked;
        told.fetch_add(signal.value_or(-1) == SIGTERM ? 1 : 0);
      };
      BlockOn(*own, body());
    }));
  }
  while (waiting.load() < 4) internal::SpinWait(100);
  ASSERT_EQ(::kill(::getpid(), SIGTERM), 0);
  for (Thread& thread : threads) thread.join();
  EXPECT_EQ(told.load(), 4);
}

TEST_P(ShutdownTest, ACancelledWaitLeavesWhatWasSetBefore) {
  ::signal(SIGTERM, &DoNothing);
  executor();  // it has descriptors, too
  const int before = OpenDescriptors();
  const auto body = [&]() -> Task<void> {
    JoinHandle<absl::StatusOr<int>> asked = Waiting();
    EXPECT_NE(HandlerOf(SIGTERM), &DoNothing);
    asked.Cancel();
    const absl::StatusOr<int> signal = co_await asked;
    EXPECT_TRUE(absl::IsCancelled(signal.status())) << signal.status();
    EXPECT_EQ(HandlerOf(SIGTERM), &DoNothing);
    EXPECT_EQ(HandlerOf(SIGINT), SIG_DFL);
  };
  RunTask(body);
  Settle();
  // Fewer, where a thread that started had a file open for a moment.
  EXPECT_LE(OpenDescriptors(), before);
}

// --- RunUntilShutdownSignal ---

TEST_P(ShutdownTest, ATaskThatEndsAsItWasAskedToIsASuccess) {
  for (const int signal : {SIGINT, SIGTERM}) {
    const auto body = [&]() { return RunUntilShutdownSignal(UntilAsked(signal)); };
    const absl::Status status = RunTask(body);
    EXPECT_TRUE(status.ok()) << status;
  }
}

TEST_P(ShutdownTest, ATaskThatIsAskedCleansUpAndItsErrorIsTheResult) {
  bool cleaned = false;
  const auto service = [&]() -> Task<absl::Status> {
    ::raise(SIGTERM);
    const absl::Status slept = co_await Sleep(absl::InfiniteDuration());
    EXPECT_TRUE(absl::IsCancelled(slept)) << slept;
    const absl::Status cleanup = co_await Uncancellable(Sleep(absl::Milliseconds(1)));
    cleaned = cleanup.ok();
    co_return absl::DataLossError("not all was written");
  };
  const auto body = [&]() { return RunUntilShutdownSignal(service()); };
  EXPECT_EQ(RunTask(body), absl::DataLossError("not all was written"));
  EXPECT_TRUE(cleaned);
}

TEST_P(ShutdownTest, ASecondSignalEndsACleanupThatHangs) {
  const auto service = [&]() -> Task<absl::Status> {
    ::raise(SIGTERM);
    const absl::Status slept = co_await Sleep(absl::InfiniteDuration());
    static_cast<void>(slept);
    ::raise(SIGTERM);
    ::_exit(0);
  };
  const auto body = [&]() { return RunUntilShutdownSignal(service()); };
  EXPECT_EXIT(RunTask(body).IgnoreError(), testing::KilledBySignal(SIGTERM), "");
}

TEST_P(ShutdownTest, ATaskThatEndsByItselfLeavesWhatWasSetBefore) {
  ::signal(SIGTERM, &DoNothing);
  const auto waits = [&]() -> Task<absl::Status> {
    EXPECT_NE(HandlerOf(SIGTERM), &DoNothing);
    co_await Yield();
    co_return absl::NotFoundError("by itself");
  };
  const auto does_not = []() -> Task<absl::Status> { co_return absl::NotFoundError("by itself"); };
  const auto body = [&]() -> Task<void> {
    absl::Status status = co_await RunUntilShutdownSignal(waits());
    EXPECT_EQ(status, absl::NotFoundError("by itself"));
    EXPECT_EQ(HandlerOf(SIGTERM), &DoNothing);
    status = co_await RunUntilShutdownSignal(does_not());
    EXPECT_EQ(status, absl::NotFoundError("by itself"));
    EXPECT_EQ(HandlerOf(SIGTERM), &DoNothing);
  };
  RunTask(body);
}

TEST_P(ShutdownTest, ACancelFromElsewhereIsNoSuccess) {
  const auto body = [&]() -> Task<void> {
    JoinHandle<absl::Status> service = Spawn(RunUntilShutdownSignal(Forever()), {.eager = true});
    service.Cancel();
    const absl::Status status = co_await service;
    EXPECT_TRUE(absl::IsCancelled(status)) << status;
  };
  RunTask(body);
}

TEST(ShutdownWithoutReactorTest, IsRefusedAndTheTaskCancelled) {
  ThreadExecutor executor;
  bool cancelled = false;
  Event never;
  const auto service = [&]() -> Task<absl::Status> {
    const absl::Status waited = co_await never.Wait();
    cancelled = absl::IsCancelled(waited);
    co_return waited;
  };
  const absl::Status status = BlockOn(executor, RunUntilShutdownSignal(service()));
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_TRUE(cancelled);
}

TEST(ShutdownAndRunTest, TheMainTaskOfARunEndsWellOnEitherSignal) {
  for (const int signal : {SIGINT, SIGTERM}) {
    ::signal(signal, SIG_DFL);
    const absl::Status status = plait::Run(RunUntilShutdownSignal(UntilAsked(signal)));
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_EQ(HandlerOf(signal), SIG_DFL);
  }
}

}  // namespace
}  // namespace plait
