// Traps: a wake-up lost between check and park (signals that come while nobody waits, or just as
// somebody begins to); a cancel that races completion (a signal is never lost by it). The others
// do not arise: the kernel gets no buffer of the caller's, and no lambda.
#include "plait/io/signal/signal_listener.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "plait/io/process/process.h"
#include "plait/io/system/fault_injection.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_executors.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/thread_executor.h"
#include "plait/schedulers/event_loop/event_loop.h"
#include "plait/schedulers/run.h"

namespace plait {
namespace {

using internal::Atomic;
using sys::FaultInjection;

SignalListener Listen(absl::Span<const int> signals) {
  absl::StatusOr<SignalListener> listener = ListenForSignals(signals);
  EXPECT_TRUE(listener.ok()) << listener.status();
  return *std::move(listener);
}

void Send(int signal) { ASSERT_EQ(::kill(::getpid(), signal), 0); }

// What is set for a signal, for as long as this lives.
class ScopedAction {
 public:
  ScopedAction(int signal, void (*handler)(int)) : signal_(signal) {
    struct sigaction action = {};
    action.sa_handler = handler;
    ::sigaction(signal, &action, &before_);
  }
  ~ScopedAction() { ::sigaction(signal_, &before_, nullptr); }

 private:
  const int signal_;
  struct sigaction before_ = {};
};

void (*HandlerOf(int signal))(int) {
  struct sigaction present = {};
  ::sigaction(signal, nullptr, &present);
  return present.sa_handler;
}

constinit Atomic<int> counted{0};
void Count(int) { counted.fetch_add(1); }
void DoNothing(int) {}

class SignalListenerTest : public IoTest {
 protected:
  SignalListenerTest() {
    testing::FLAGS_gtest_death_test_style = "threadsafe";
    for (const int signal : {SIGUSR1, SIGUSR2}) ::signal(signal, SIG_DFL);
  }
};

INSTANTIATE_TEST_SUITE_P(AllExecutors, SignalListenerTest, testing::ValuesIn(AllExecutors()),
                         IoExecutor::Name);

// --- telling ---

TEST_P(SignalListenerTest, ASignalIsToldHoweverItWasSent) {
  const auto body = [&]() -> Task<void> {
    SignalListener listener = Listen({SIGUSR1, SIGUSR2});
    JoinHandle<absl::StatusOr<int>> next = Spawn(listener.Next(), {.eager = true});
    co_await Yield();
    Send(SIGUSR1);
    absl::StatusOr<int> signal = co_await next;
    EXPECT_EQ(signal.value_or(-1), SIGUSR1);
    ::raise(SIGUSR2);
    signal = co_await listener.Next();
    EXPECT_EQ(signal.value_or(-1), SIGUSR2);
    ::pthread_kill(::pthread_self(), SIGUSR1);
    signal = co_await listener.Next();
    EXPECT_EQ(signal.value_or(-1), SIGUSR1);
  };
  RunTask(body);
}

TEST_P(SignalListenerTest, ASignalWakesALoopThatSleepsWhicheverThreadTakesIt) {
  // The loop's thread blocks it, so that another one has to take it.
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGUSR1);
  SignalListener listener = Listen({SIGUSR1});
  Atomic<bool> waits{false};
  Thread sender = StartThread("sender", [&] {
    while (!waits.load()) internal::SpinWait(100);
    Send(SIGUSR1);
  });
  ASSERT_EQ(::pthread_sigmask(SIG_BLOCK, &set, nullptr), 0);
  const auto body = [&]() -> Task<void> {
    waits.store(true);
    const absl::StatusOr<int> signal = co_await listener.Next();
    EXPECT_EQ(signal.value_or(-1), SIGUSR1);
  };
  RunTask(body);
  sender.join();
  ASSERT_EQ(::pthread_sigmask(SIG_UNBLOCK, &set, nullptr), 0);
}

TEST_P(SignalListenerTest, WhatCameWhileNobodyWaitedIsToldOnceAndByNumber) {
  const auto body = [&]() -> Task<void> {
    SignalListener listener = Listen({SIGUSR2, SIGHUP, SIGUSR1});
    for (int i = 0; i < 3; ++i) {
      ::raise(SIGUSR2);
      ::raise(SIGUSR1);
    }
    ::raise(SIGHUP);
    for (const int expected : {SIGHUP, SIGUSR1, SIGUSR2}) {
      const absl::StatusOr<int> signal = co_await listener.Next();
      EXPECT_EQ(signal.value_or(-1), expected);
    }
    JoinHandle<absl::StatusOr<int>> next = Spawn(listener.Next(), {.eager = true});
    for (int i = 0; i < 5; ++i) co_await Yield();
    EXPECT_FALSE(next.done()) << "each was told once";
    ::raise(SIGHUP);
    const absl::StatusOr<int> signal = co_await next;
    EXPECT_EQ(signal.value_or(-1), SIGHUP);
  };
  RunTask(body);
}

TEST_P(SignalListenerTest, ASignalThatComesAgainAndAgainDoesNotKeepOthersFromBeingTold) {
  const auto body = [&]() -> Task<void> {
    SignalListener listener = Listen({SIGHUP, SIGUSR1});
    ::raise(SIGHUP);
    ::raise(SIGUSR1);
    const absl::StatusOr<int> first = co_await listener.Next();
    EXPECT_EQ(first.value_or(-1), SIGHUP);
    ::raise(SIGHUP);
    const absl::StatusOr<int> second = co_await listener.Next();
    EXPECT_EQ(second.value_or(-1), SIGUSR1);
    const absl::StatusOr<int> third = co_await listener.Next();
    EXPECT_EQ(third.value_or(-1), SIGHUP);
  };
  RunTask(body);
}

TEST_P(SignalListenerTest, RealTimeSignalsAreToldToo) {
  const auto body = [&]() -> Task<void> {
    SignalListener listener = Listen({SIGRTMIN, SIGRTMAX});
    ::raise(SIGRTMAX);
    const absl::StatusOr<int> signal = co_await listener.Next();
    EXPECT_EQ(signal.value_or(-1), SIGRTMAX);
  };
  RunTask(body);
}

TEST_P(SignalListenerTest, Line68ASignalReachesEveryListenerOfEveryExecutorThatAsked) {
  constexpr int kLoops = 4;
  constexpr int kListeners = 5;
  Atomic<int> listening{0};
  Atomic<int> told{0};
  Atomic<int> wrong{0};
  std::vector<Thread> threads;
  for (int i = 0; i < kLoops; ++i) {
    threads.push_back(StartThread("listeners", [&] {
      const std::unique_ptr<Executor> own = GetParam().Make();
      const auto listen = [&]() -> Task<void> {
        SignalListener listener = Listen({SIGUSR1});
        SignalListener other = Listen({SIGUSR2});
        listening.fetch_add(1);
        const absl::StatusOr<int> signal = co_await listener.Next();
        told.fetch_add(signal.value_or(-1) == SIGUSR1 ? 1 : 0);
        ::raise(SIGUSR2);  // which shows that `other` was told of nothing yet
        const absl::StatusOr<int> last = co_await other.Next();
        wrong.fetch_add(last.value_or(-1) == SIGUSR2 ? 0 : 1);
      };
      const auto all = [&]() -> Task<void> {
        std::vector<Task<void>> tasks;
        for (int n = 0; n < kListeners; ++n) tasks.push_back(listen());
        co_await Gather(std::move(tasks));
      };
      BlockOn(*own, all());
    }));
  }
  // SIGUSR2 would end the program once nobody listens any more.
  const SignalListener keep = Listen({SIGUSR2});
  while (listening.load() < kLoops * kListeners) internal::SpinWait(100);
  Send(SIGUSR1);
  for (Thread& thread : threads) thread.join();
  EXPECT_EQ(told.load(), kLoops * kListeners);
  EXPECT_EQ(wrong.load(), 0);
}

TEST_P(SignalListenerTest, AListenerMayBeMovedWhileItIsAwaited) {
  const auto body = [&]() -> Task<void> {
    SignalListener first = Listen({SIGUSR1});
    JoinHandle<absl::StatusOr<int>> next = Spawn(first.Next(), {.eager = true});
    co_await Yield();
    const SignalListener second = std::move(first);
    ::raise(SIGUSR1);
    const absl::StatusOr<int> signal = co_await next;
    EXPECT_EQ(signal.value_or(-1), SIGUSR1);
  };
  RunTask(body);
}

// --- what was set before ---

TEST_P(SignalListenerTest, WhatWasSetBeforeIsInForceAgainWhenTheLastListenerGoes) {
  for (void (*const before)(int) : {SIG_DFL, SIG_IGN, &Count}) {
    const ScopedAction action(SIGUSR1, before);
    counted.store(0);
    const auto body = [&]() -> Task<void> {
      std::optional<SignalListener> first = Listen({SIGUSR1});
      std::optional<SignalListener> second = Listen({SIGUSR2, SIGUSR1});
      EXPECT_NE(HandlerOf(SIGUSR1), before);
      first.reset();
      EXPECT_NE(HandlerOf(SIGUSR1), before);
      ::raise(SIGUSR1);
      const absl::StatusOr<int> signal = co_await second->Next();
      EXPECT_EQ(signal.value_or(-1), SIGUSR1);
      EXPECT_EQ(counted.load(), 0);
      second.reset();
      EXPECT_EQ(HandlerOf(SIGUSR1), before);
    };
    RunTask(body);
    if (before != SIG_DFL) ::raise(SIGUSR1);
    EXPECT_EQ(counted.load(), before == &Count ? 1 : 0);
  }
  EXPECT_EQ(HandlerOf(SIGUSR2), SIG_DFL);
}

TEST_P(SignalListenerTest, AnActionThatSomebodySetMeanwhileIsLeftAlone) {
  std::optional<SignalListener> listener = Listen({SIGUSR1});
  const ScopedAction action(SIGUSR1, &DoNothing);
  listener.reset();
  EXPECT_EQ(HandlerOf(SIGUSR1), &DoNothing);
}

TEST_P(SignalListenerTest, OurHandlerThatSomebodyPutsBackLaterLetsTheSignalHaveItsDefaultAction) {
  EXPECT_EXIT(
      {
        std::optional<SignalListener> listener = Listen({SIGUSR1});
        std::optional<ScopedAction> action(std::in_place, SIGUSR1, &DoNothing);
        listener.reset();
        action.reset();
        ::raise(SIGUSR1);
        ::_exit(0);
      },
      testing::KilledBySignal(SIGUSR1), "");
}

TEST_P(SignalListenerTest, ASignalAfterTheLastListenerHasItsDefaultAction) {
  EXPECT_EXIT(
      {
        Listen({SIGUSR1});
        ::raise(SIGUSR1);
        ::_exit(0);
      },
      testing::KilledBySignal(SIGUSR1), "");
}

// --- refusals and errors ---

TEST_P(SignalListenerTest, SignalsThatNobodyCanListenToAreRefusedAndNothingChanges) {
  const int before = OpenDescriptors();
  for (const int signal :
       {0, -1, 32, 33, SIGRTMAX + 1, 1000, SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL}) {
    const absl::StatusOr<SignalListener> listener = ListenForSignals({SIGUSR1, signal});
    EXPECT_EQ(listener.status().code(), absl::StatusCode::kInvalidArgument) << signal;
  }
  EXPECT_EQ(ListenForSignals({SIGKILL}).status().message(),
            "listen for SIGKILL: the system lets nobody have it");
  EXPECT_EQ(ListenForSignals({-5}).status().message(),
            "listen for signal -5: there is no such signal");
  EXPECT_EQ(ListenForSignals({}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(HandlerOf(SIGUSR1), SIG_DFL);
  EXPECT_EQ(OpenDescriptors(), before);
}

TEST_P(SignalListenerTest, WhatTheSystemRefusesIsAStatusAndNothingChanges) {
  const int before = OpenDescriptors();
  {
    FaultInjection faults;
    const sys::ScopedSystemCalls scope(faults);
    faults.FailNext(FaultInjection::kEventFd, EMFILE);
    absl::StatusOr<SignalListener> listener = ListenForSignals({SIGUSR2, SIGUSR1});
    EXPECT_EQ(listener.status(),
              absl::ResourceExhaustedError(
                  "listen for SIGUSR1 or SIGUSR2: Too many open files (EMFILE)"));
    // Each signal takes two calls: the first one's succeed.
    for (const int good : {0, 1, 2, 3}) {
      faults.Fail(FaultInjection::kSignalAction, EINVAL, {.skip = good});
      listener = ListenForSignals({SIGUSR2, SIGUSR1});
      EXPECT_EQ(listener.status().code(), absl::StatusCode::kInvalidArgument);
      EXPECT_EQ(HandlerOf(SIGUSR1), SIG_DFL);
      EXPECT_EQ(HandlerOf(SIGUSR2), SIG_DFL);
    }
    EXPECT_EQ(OpenDescriptors(), before);
  }
  SignalListener listener = Listen({SIGUSR1});
  EXPECT_NE(HandlerOf(SIGUSR1), SIG_DFL);
}

TEST_P(SignalListenerTest, ASecondWaitForOneListenerIsRefusedAndTheFirstGoesOn) {
  const auto body = [&]() -> Task<void> {
    SignalListener listener = Listen({SIGUSR1});
    JoinHandle<absl::StatusOr<int>> first = Spawn(listener.Next(), {.eager = true});
    co_await Yield();
    const absl::StatusOr<int> second = co_await listener.Next();
    EXPECT_EQ(second.status(),
              absl::FailedPreconditionError(
                  "wait for SIGUSR1: another task waits for the same listener already"));
    ::raise(SIGUSR1);
    const absl::StatusOr<int> signal = co_await first;
    EXPECT_EQ(signal.value_or(-1), SIGUSR1);
  };
  RunTask(body);
}

TEST(SignalListenerWithoutReactorTest, AWaitIsRefused) {
  ThreadExecutor executor;
  SignalListener listener = Listen({SIGUSR1});
  const absl::StatusOr<int> signal = BlockOn(executor, listener.Next());
  EXPECT_EQ(signal.status().code(), absl::StatusCode::kFailedPrecondition) << signal.status();
}

// --- cancellation ---

TEST_P(SignalListenerTest, ACancelledWaitLosesNoSignal) {
  const auto body = [&]() -> Task<void> {
    SignalListener listener = Listen({SIGUSR1});
    for (int i = 0; i < Repeats(200); ++i) {
      JoinHandle<absl::StatusOr<int>> next = Spawn(listener.Next(), {.eager = true});
      co_await Yield();
      if (i % 2 == 0) ::raise(SIGUSR1);
      if (i % 4 == 1) co_await Yield();
      next.Cancel();
      if (i % 2 == 1) ::raise(SIGUSR1);
      absl::StatusOr<int> signal = co_await next;
      if (!signal.ok()) {
        EXPECT_TRUE(absl::IsCancelled(signal.status())) << signal.status();
        EXPECT_TRUE(absl::StrContains(signal.status().message(), "wait for SIGUSR1"));
        signal = co_await listener.Next();
      }
      EXPECT_EQ(signal.value_or(-1), SIGUSR1);
    }
  };
  RunTask(body);
  EndExecutor();
}

// --- many ---

// Whoever is told counts; the signal whose last listener goes is counted by what was set before.
TEST_P(SignalListenerTest, ListenersComeAndGoWhileSignalsFlyAndNothingIsLeftBehind) {
  const ScopedAction action(SIGUSR1, &Count);
  counted.store(0);
  const int before = OpenDescriptors();
  const int rounds = Repeats(150);
  Atomic<bool> over{false};
  Atomic<int> told{0};
  std::vector<Thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.push_back(StartThread("comes and goes", [&] {
      const std::unique_ptr<Executor> own = GetParam().Make();
      const auto body = [&]() -> Task<void> {
        for (int round = 0; round < rounds; ++round) {
          SignalListener listener = Listen({SIGUSR1});
          const absl::StatusOr<int> signal = co_await listener.Next();
          EXPECT_EQ(signal.value_or(-1), SIGUSR1);
          told.fetch_add(1);
          // A few go while a signal may be on its way.
          std::deque<SignalListener> more;
          for (int n = 0; n < round % 4; ++n) more.push_back(Listen({SIGUSR1, SIGUSR2}));
        }
      };
      BlockOn(*own, body());
    }));
  }
  std::vector<Thread> senders;
  for (int i = 0; i < 2; ++i) {
    senders.push_back(StartThread("sender", [&] {
      while (!over.load()) {
        Send(SIGUSR1);
        internal::SpinWait(100);
      }
    }));
  }
  for (Thread& thread : threads) thread.join();
  over.store(true);
  for (Thread& sender : senders) sender.join();
  EXPECT_EQ(told.load(), 3 * rounds);
  EXPECT_EQ(HandlerOf(SIGUSR1), &Count);
  EXPECT_EQ(HandlerOf(SIGUSR2), SIG_DFL);
  EXPECT_EQ(OpenDescriptors(), before);
}

// --- children ---

TEST_P(SignalListenerTest, ProgramsThatAreStartedHaveTheDefaultActionAndNotOurDescriptors) {
  const auto body = [&]() -> Task<void> {
    SignalListener listener = Listen({SIGTERM});
    absl::StatusOr<Process> process = Shell("kill -TERM $$; exit 3");
    EXPECT_TRUE(process.ok()) << process.status();
    const absl::StatusOr<ExitStatus> ended = co_await process->Wait();
    EXPECT_EQ(*ended, ExitStatus::Signalled(SIGTERM));
  };
  RunTask(body);
}

// ThreadSanitizer stands between a program and its signals, but leaves the children that it forks
// alone: what is set for a signal is then not what was set.
constexpr bool kForkedChildrenHaveTheirSignals =
#if defined(__SANITIZE_THREAD__)
    false;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
    false;
#else
    true;
#endif
#else
    true;
#endif

// Without exec there is our handler, and our eventfd.
TEST_P(SignalListenerTest, AForkedChildHasTheDefaultActionAndTellsItsParentNothing) {
  if (!kForkedChildrenHaveTheirSignals) GTEST_SKIP() << "under ThreadSanitizer";
  const auto body = [&]() -> Task<void> {
    SignalListener listener = Listen({SIGTERM, SIGUSR1});
    const pid_t child = ::fork();
    if (child == 0) {
      ::raise(SIGTERM);
      ::_exit(0);
    }
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM) << status;
    ::raise(SIGUSR1);
    const absl::StatusOr<int> signal = co_await listener.Next();
    EXPECT_EQ(signal.value_or(-1), SIGUSR1);
  };
  RunTask(body);
}

TEST_P(SignalListenerTest, AForkedChildMayListenItself) {
  SignalListener parents = Listen({SIGTERM});
  const pid_t child = ::fork();
  if (child == 0) {
    int code = 1;
    {
      EventLoop own(GetParam().reactor.make(nullptr));  // a forked child may have no new threads
      std::optional<SignalListener> listener = Listen({SIGTERM});
      ::raise(SIGTERM);
      const absl::StatusOr<int> signal = BlockOn(own, listener->Next());
      listener.reset();
      if (signal.value_or(-1) == SIGTERM && HandlerOf(SIGTERM) == SIG_DFL) code = 0;
    }
    ::_exit(code);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

// --- together with Run, which takes SIGINT for a cancel of the main task ---

TEST(SignalListenerAndRunTest, AListenerHasTheSignalWhileItLivesAndThenRunHasItAgain) {
  const auto main = [&]() -> Task<absl::Status> {
    std::optional<SignalListener> listener = Listen({SIGINT});
    ::raise(SIGINT);
    const absl::StatusOr<int> signal = co_await listener->Next();
    EXPECT_EQ(signal.value_or(-1), SIGINT);
    const absl::Status slept = co_await Sleep(absl::ZeroDuration());
    EXPECT_TRUE(slept.ok()) << slept;
    listener.reset();
    ::raise(SIGINT);
    co_return co_await Sleep(absl::InfiniteDuration());
  };
  const absl::Status status = plait::Run(main());
  EXPECT_TRUE(absl::IsCancelled(status)) << status;
  EXPECT_EQ(HandlerOf(SIGINT), SIG_DFL);
}

TEST(SignalListenerAndRunTest, AListenerFromBeforeRunKeepsTheSignal) {
  SignalListener listener = Listen({SIGINT});
  const auto main = [&]() -> Task<absl::Status> {
    ::raise(SIGINT);
    const absl::StatusOr<int> signal = co_await listener.Next();
    EXPECT_EQ(signal.value_or(-1), SIGINT);
    co_return co_await Sleep(absl::ZeroDuration());
  };
  const absl::Status status = plait::Run(main());
  EXPECT_TRUE(status.ok()) << status;
}

TEST(SignalListenerAndRunTest, AfterAListenerThatOutlivedRunTheSignalHasItsDefaultAction) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(
      {
        std::optional<SignalListener> listener;
        const auto main = [&]() -> Task<void> {
          listener = Listen({SIGINT});
          co_return;
        };
        plait::Run(main());
        listener.reset();
        ::raise(SIGINT);
        ::_exit(0);
      },
      testing::KilledBySignal(SIGINT), "");
}

TEST(SignalListenerAndRunTest, ARunAfterThatTakesTheSignalAgain) {
  std::optional<SignalListener> listener;
  const auto first = [&]() -> Task<void> {
    listener = Listen({SIGINT});
    co_return;
  };
  plait::Run(first());
  listener.reset();
  const auto second = [&]() -> Task<absl::Status> {
    ::raise(SIGINT);
    co_return co_await Sleep(absl::InfiniteDuration());
  };
  const absl::Status status = plait::Run(second());
  EXPECT_TRUE(absl::IsCancelled(status)) << status;
}

}  // namespace
}  // namespace plait
