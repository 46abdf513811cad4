// What Run reports, to whom, and what an interrupt does.
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/io/auto_reactor/auto_reactor.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/report.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/test_clock.h"
#include "plait/schedulers/event_loop/event_loop.h"
#include "plait/schedulers/run.h"

namespace plait {
namespace {

// Keeps what is reported.
class Reports {
 public:
  ReportHandler handler() {
    return [this](const Report& report) { reports_.push_back(report); };
  }
  std::vector<Report> Of(ReportKind kind) const {
    std::vector<Report> found;
    for (const Report& report : reports_) {
      if (report.kind == kind) found.push_back(report);
    }
    return found;
  }
  size_t size() const { return reports_.size(); }

 private:
  std::vector<Report> reports_;
};

Task<absl::Status> Fail() {
  co_await Yield();
  co_return absl::InternalError("it broke");
}

Task<int> Give(int n) { co_return n; }

// --- errors that nobody looks at ---

TEST(RunReportsTest, AnErrorThatNobodyLooksAtIsReported) {
  Reports reports;
  plait::Run(
      []() -> Task<void> {
        Spawn(Fail(), {.name = "detached"});
        {
          JoinHandle<absl::Status> dropped_later = Spawn(Fail(), {.name = "dropped"});
          for (int i = 0; i < 5; ++i) co_await Yield();
          EXPECT_TRUE(dropped_later.done());
        }
      }(),
      {.on_report = reports.handler()});
  const std::vector<Report> lost = reports.Of(ReportKind::kErrorNeverRetrieved);
  ASSERT_EQ(lost.size(), 2u);
  EXPECT_EQ(lost[0].task_name, "detached");
  EXPECT_TRUE(absl::StrContains(lost[0].message, "it broke")) << lost[0].message;
  EXPECT_EQ(lost[1].task_name, "dropped");
}

TEST(RunReportsTest, AnErrorThatSomebodyHasSeenIsNotReported) {
  Reports reports;
  const absl::Status status = plait::Run(
      []() -> Task<absl::Status> {
        JoinHandle<absl::Status> awaited = Spawn(Fail());
        const absl::Status seen = co_await awaited;
        EXPECT_FALSE(seen.ok());
        JoinHandle<absl::Status> asked = Spawn(Fail());
        JoinHandle<absl::Status> error = Spawn(Fail());
        for (int i = 0; i < 5; ++i) co_await Yield();
        EXPECT_FALSE(asked.result().ok());
        EXPECT_FALSE(error.error().ok());
        const absl::Status group = co_await WithTaskGroup([](TaskGroup& g) -> Task<absl::Status> {
          g.Spawn(Fail());
          co_return absl::OkStatus();
        });
        EXPECT_FALSE(group.ok());
        // A cancel is no failure.
        Spawn([]() -> Task<absl::Status> { co_return co_await Sleep(absl::Hours(1)); }());
        co_await Yield();
        co_return absl::InternalError("the main task's own");
      }(),
      {.on_report = reports.handler()});
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(reports.size(), 0u);
}

#if defined(__cpp_exceptions)
TEST(RunReportsTest, AnExceptionThatNobodyLooksAtIsReported) {
  Reports reports;
  plait::Run(
      []() -> Task<void> {
        Spawn([]() -> Task<int> {
          co_await Yield();
          throw std::runtime_error("thrown away");
          co_return 0;
        }());
        for (int i = 0; i < 5; ++i) co_await Yield();
      }(),
      {.on_report = reports.handler()});
  const std::vector<Report> lost = reports.Of(ReportKind::kErrorNeverRetrieved);
  ASSERT_EQ(lost.size(), 1u);
  EXPECT_TRUE(absl::StrContains(lost[0].message, "thrown away")) << lost[0].message;
}
#endif

// --- debug mode ---

Task<void> DropATask() {
  {
    Task<int> never = Give(1);
  }
  co_return;
}

TEST(RunReportsTest, ATaskThatIsNeverAwaitedIsReportedInDebugMode) {
  Reports reports;
  plait::Run(DropATask(), {.debug = true, .on_report = reports.handler()});
  const std::vector<Report> dropped = reports.Of(ReportKind::kTaskNeverAwaited);
  ASSERT_EQ(dropped.size(), 1u);
  EXPECT_TRUE(absl::StrContains(dropped[0].message, "Give")) << dropped[0].message;
  Reports silent;
  plait::Run(DropATask(), {.on_report = silent.handler()});
  EXPECT_EQ(silent.size(), 0u);
}

Task<absl::Status> HoldTheLoop(TestClock* clock) {
  co_await OrReturn(Sleep(absl::Seconds(1)));
  clock->Advance(absl::Milliseconds(250));  // as if it had computed for so long
  co_return co_await Sleep(absl::Seconds(1));
}

Task<absl::Status> Caller(TestClock* clock) { co_return co_await HoldTheLoop(clock); }

TEST(RunReportsTest, ACallbackThatHoldsTheLoopIsReportedWithItsTaskAndAwaitChain) {
  TestClock clock;
  Reports reports;
  const absl::Status status = plait::Run(
      [](TestClock* c) -> Task<absl::Status> {
        JoinHandle<absl::Status> culprit = Spawn(Caller(c), {.name = "culprit"});
        co_return co_await culprit;
      }(&clock),
      {.clock = &clock, .debug = true, .on_report = reports.handler()});
  EXPECT_TRUE(status.ok()) << status;
  const std::vector<Report> slow = reports.Of(ReportKind::kSlowCallback);
  ASSERT_EQ(slow.size(), 1u);
  EXPECT_EQ(slow[0].task_name, "culprit");
  const std::string& message = slow[0].message;
  EXPECT_TRUE(absl::StrContains(message, "250ms")) << message;
  const size_t caller = message.find("Caller\n");
  const size_t holder = message.find("HoldTheLoop\n");
  EXPECT_NE(caller, std::string::npos) << message;
  EXPECT_NE(holder, std::string::npos) << message;
  EXPECT_LT(caller, holder) << message;
  EXPECT_TRUE(absl::StrContains(message, "waits for Sleep")) << message;
}

TEST(RunReportsTest, ShortCallbacksAreNotReported) {
  TestClock clock;
  Reports reports;
  plait::Run(
      [](TestClock* c) -> Task<void> {
        c->Advance(absl::Milliseconds(99));
        co_await Yield();
        c->Advance(absl::Milliseconds(99));
      }(&clock),
      {.clock = &clock, .debug = true, .on_report = reports.handler()});
  EXPECT_EQ(reports.size(), 0u);
}

TEST(RunReportsTest, TheEnvironmentTurnsDebugModeOn) {
  ::setenv("PLAIT_DEBUG", "1", 1);
  Reports reports;
  plait::Run(DropATask(), {.on_report = reports.handler()});
  ::setenv("PLAIT_DEBUG", "0", 1);
  plait::Run(DropATask(), {.on_report = reports.handler()});
  ::unsetenv("PLAIT_DEBUG");
  EXPECT_EQ(reports.Of(ReportKind::kTaskNeverAwaited).size(), 1u);
}

TEST(RunReportsTest, ACallFromTheWrongThreadIsRefusedAndReportedInDebugMode) {
  Reports reports;
  EventLoop loop(MakeReactor(), {.hooks = {.on_report = reports.handler(), .debug = true}});
  bool ran = false;
  absl::StatusOr<EventLoop::Handle> timer = loop.PostAfter(absl::Hours(1), [] {});
  ASSERT_TRUE(timer.ok());
  loop.Post([&] {
    StartThread("stranger", [&] {
      EXPECT_TRUE(absl::IsFailedPrecondition(loop.PostAfter(absl::Seconds(1), [] {}).status()));
      EXPECT_FALSE(timer->Cancel());
      ran = true;
    }).join();
    EXPECT_TRUE(timer->Cancel());
  });
  EXPECT_TRUE(loop.Run().ok());
  EXPECT_TRUE(ran);
  EXPECT_EQ(reports.Of(ReportKind::kWrongThread).size(), 2u);
}

TEST(RunReportsTest, WithoutAHandlerReportsGoToStandardError) {
  testing::internal::CaptureStderr();
  plait::Run([]() -> Task<void> {
    Spawn(Fail());
    for (int i = 0; i < 5; ++i) co_await Yield();
  }());
  const std::string printed = testing::internal::GetCapturedStderr();
  EXPECT_TRUE(absl::StartsWith(printed, "plait: task ")) << printed;
  EXPECT_TRUE(absl::EndsWith(printed, "\n")) << printed;
}

// --- observers ---

class Observer final : public TaskObserver {
 public:
  void OnStart(const ObservedTask& task, uint64_t parent_id) noexcept override {
    log_.push_back("start " + std::string(task.name.data(), task.name.size()));
    if (task.name == "main") main_ = task.id;
    if (task.name == "child") child_of_main_ = parent_id == main_;
  }
  void OnEnd(const ObservedTask& task, Ending ending) noexcept override {
    const char* how = ending == Ending::kOk       ? " ok"
                      : ending == Ending::kFailed ? " failed"
                                                  : " cancelled";
    log_.push_back("end " + std::string(task.name.data(), task.name.size()) + how);
  }
  const std::vector<std::string>& log() const { return log_; }
  bool child_of_main() const { return child_of_main_; }

 private:
  std::vector<std::string> log_;
  uint64_t main_ = 0;
  bool child_of_main_ = false;
};

TEST(RunReportsTest, AnObserverIsToldOfEachTask) {
  Observer observer;
  plait::Run(
      []() -> Task<void> {
        JoinHandle<int> child = Spawn(Give(1), {.name = "child"});
        const int one = co_await child;
        EXPECT_EQ(one, 1);
        JoinHandle<absl::Status> failing = Spawn(Fail(), {.name = "failing"});
        const absl::Status failed = co_await failing;
        EXPECT_FALSE(failed.ok());
        Spawn([]() -> Task<absl::Status> { co_return co_await Sleep(absl::Hours(1)); }(),
              {.name = "left behind"});
      }(),
      {.observer = &observer});
  EXPECT_EQ(observer.log(),
            (std::vector<std::string>{"start main", "start child", "end child ok", "start failing",
                                      "end failing failed", "start left behind", "end main ok",
                                      "end left behind cancelled"}));
  EXPECT_TRUE(observer.child_of_main());
}

// --- SIGINT ---

TEST(RunInterruptTest, AnInterruptCancelsTheMainTaskOnce) {
  for (int round = 0; round < 3; ++round) {
    int cancels = 0;
    const absl::Status status = plait::Run([](int* count) -> Task<absl::Status> {
      ::raise(SIGINT);
      absl::Status slept = co_await Sleep(absl::Hours(1));
      *count += absl::IsCancelled(slept) ? 1 : 0;
      // Cleanup runs to its end.
      const absl::Status cleaned = co_await Uncancellable(Sleep(absl::Milliseconds(1)));
      EXPECT_TRUE(cleaned.ok()) << cleaned;
      co_return slept;
    }(&cancels));
    EXPECT_TRUE(absl::IsCancelled(status)) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), "SIGINT")) << status;
    EXPECT_EQ(cancels, 1);
  }
}

TEST(RunInterruptTest, AnInterruptWakesALoopThatSleeps) {
  const absl::Status status = plait::Run([]() -> Task<absl::Status> {
    Thread thread;
    {
      const ::pthread_t loop_thread = ::pthread_self();
      thread = StartThread("interrupter", [loop_thread] { ::pthread_kill(loop_thread, SIGINT); });
    }
    absl::Status slept = co_await Sleep(absl::Hours(1));
    thread.join();
    co_return slept;
  }());
  EXPECT_TRUE(absl::IsCancelled(status)) << status;
}

TEST(RunInterruptTest, TheSignalIsLeftAsItWas) {
  const auto disposition = [] {
    struct sigaction present = {};
    ::sigaction(SIGINT, nullptr, &present);
    return present.sa_handler;
  };
  plait::Run([](auto* ask) -> Task<void> {
    EXPECT_NE((*ask)(), SIG_DFL);
    co_return;
  }(&disposition));
  EXPECT_EQ(disposition(), SIG_DFL);
  // A program that ignores or handles it keeps its way.
  ::signal(SIGINT, SIG_IGN);
  plait::Run([]() -> Task<void> {
    ::raise(SIGINT);
    const absl::Status slept = co_await Sleep(absl::Milliseconds(1));
    EXPECT_TRUE(slept.ok()) << slept;
  }());
  EXPECT_EQ(disposition(), SIG_IGN);
  ::signal(SIGINT, SIG_DFL);
}

TEST(RunInterruptDeathTest, ASecondInterruptEndsTheProcess) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(plait::Run([]() -> Task<void> {
                ::raise(SIGINT);
                ::raise(SIGINT);
                co_return;
              }()),
              testing::KilledBySignal(SIGINT), "");
}

TEST(RunInterruptDeathTest, WithoutHandlingTheFirstInterruptEndsTheProcess) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(plait::Run(
                  []() -> Task<void> {
                    ::raise(SIGINT);
                    co_return;
                  }(),
                  {.handle_sigint = false}),
              testing::KilledBySignal(SIGINT), "");
}

}  // namespace
}  // namespace plait
