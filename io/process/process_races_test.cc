// The end of a child against everything that may happen at the same moment: a cancel of who waits
// for it or talks to it, a signal to it, the drop of its Process, the end of the executor, and the
// ends of many others; on every executor that waits for I/O. What is said of the outcome is true;
// no signal goes to a number whose exit was taken, as that may be another's by then; every child is
// reaped, and no descriptor is left.
//
// Traps: a cancel that races the completion, a buffer freed while the kernel owns it, a wake-up
// lost between check and park.
#include <errno.h>
#include <signal.h>

#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/io/process/process.h"
#include "plait/io/process/process_fixture.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_executors.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/runtime/testing/races.h"
#include "plait/runtime/testing/sockets.h"

namespace plait {
namespace {

using Ended = absl::StatusOr<ExitStatus>;
using Text = absl::StatusOr<std::string>;

// Ends when its standard input does, which it writes to its standard output.
Process StartCat() {
  ProcessOptions options;
  options.arguments = {"cat"};
  options.input = options.output = Stdio::Pipe();
  absl::StatusOr<Process> process = Process::Start(options);
  EXPECT_TRUE(process.ok()) << process.status();
  return *std::move(process);
}

// Sees that a signal goes to no child whose exit was taken. Where told so, the system has no
// descriptors of processes, and signals go by number.
class NumbersThatAreTaken final : public sys::SystemCalls {
 public:
  explicit NumbersThatAreTaken(bool by_number) : by_number_(by_number) {}

  int Spawn(const sys::SpawnRequest& request) noexcept override {
    const int pid = SystemCalls::Spawn(request);
    absl::MutexLock hold(&mutex_);
    taken_.erase(pid);
    return pid;
  }
  int OpenProcess(int pid) noexcept override {
    return by_number_ ? -ENOSYS : SystemCalls::OpenProcess(pid);
  }
  int SignalPid(int pid, int signal, bool group) noexcept override {
    {
      absl::MutexLock hold(&mutex_);
      EXPECT_EQ(taken_.count(pid), 0u) << "this number may be another's";
      ++signals_;
    }
    return SystemCalls::SignalPid(pid, signal, group);
  }
  int TakeExit(int pidfd, int pid, sys::ProcessExit* out) noexcept override {
    const int taken = SystemCalls::TakeExit(pidfd, pid, out);
    absl::MutexLock hold(&mutex_);
    // Nobody else may wait for it, nor may it be asked about a second time.
    EXPECT_NE(taken, -ECHILD);
    if (taken == 1 && out != nullptr) taken_.insert(pid);
    return taken;
  }
  int signals() {
    absl::MutexLock hold(&mutex_);
    return signals_;
  }

 private:
  const bool by_number_;
  absl::Mutex mutex_;
  std::set<int> taken_ ABSL_GUARDED_BY(mutex_);
  int signals_ ABSL_GUARDED_BY(mutex_) = 0;
};

class ProcessRaces : public ProcessFixture {
 protected:
  ProcessRaces() {
    // The first one may leave something for all that follow.
    executor();
    EndExecutor();
    descriptors_ = OpenDescriptors();
  }
  ~ProcessRaces() override {
    EndExecutor();
    // Where kqueue is a library's, that keeps the queues of a pool's spare threads.
    const int kept = GetParam().reactor.name == "Kqueue" ? spare_descriptors() : 0;
    EXPECT_GE(OpenDescriptors(), descriptors_);
    EXPECT_LE(OpenDescriptors(), descriptors_ + kept);
  }

  // From no time at all to what a child takes to end.
  Task<void> LetSomeTimePass() {
    for (unsigned turns = jitter_(4); turns > 0; --turns) co_await Yield();
    if (jitter_(2) != 0) co_return;
    const absl::Status slept = co_await Sleep(absl::Microseconds(jitter_(1000)));
    EXPECT_TRUE(slept.ok()) << slept;
  }

  // Signals to a child that is about to end, while another task waits for it.
  Task<void> SignalOne() {
    Process process = StartCat();
    JoinHandle<Ended> waiting = Spawn(process.Wait());
    if (jitter_(2) != 0) co_await Yield();
    process.input().Reset();
    bool sent_one = false;
    for (;;) {
      co_await LetSomeTimePass();
      const bool asks = jitter_(2) != 0;
      const absl::Status sent = asks ? process.Terminate() : process.Signal(SIGURG);
      if (sent.ok()) {
        sent_one = sent_one || asks;
        continue;
      }
      EXPECT_TRUE(absl::IsFailedPrecondition(sent)) << sent;
      break;
    }
    EXPECT_TRUE(process.exit_status().has_value()) << "a signal was refused before it had ended";
    const Ended ended = co_await waiting;
    EXPECT_TRUE(ended.ok()) << ended.status();
    if (!ended.ok()) co_return;
    EXPECT_TRUE(ended->ok() || (sent_one && *ended == ExitStatus::Signalled(SIGTERM))) << *ended;
    EXPECT_EQ(process.exit_status(), *ended);
    EXPECT_TRUE(absl::IsFailedPrecondition(process.Kill()));
  }

  int descriptors_ = 0;
  Jitter jitter_{RaceSeed()};
};

INSTANTIATE_TEST_SUITE_P(AllExecutors, ProcessRaces, testing::ValuesIn(AllExecutors()),
                         IoExecutor::Name);

TEST_P(ProcessRaces, ACancelOfAWaitAndOfAReadAgainstTheExit) {
  const auto body = [&]() -> Task<void> {
    for (int i = 0, races = Races(150); i < races; ++i) {
      Process process = StartCat();
      const absl::Status written = co_await WriteSome(process.input(), "x");
      EXPECT_TRUE(written.ok()) << written;
      JoinHandle<Ended> waiting = Spawn(process.Wait());
      JoinHandle<Text> reading = Spawn(ReadSome(process.output()));
      if (jitter_(2) != 0) co_await LetSomeTimePass();
      process.input().Reset();
      co_await LetSomeTimePass();
      const bool cancels = jitter_(8) != 0;
      if (cancels) {
        waiting.Cancel();
        reading.Cancel();
      }
      const Ended ended = co_await waiting;
      EXPECT_TRUE(ended.ok() ? ended->ok() : cancels && absl::IsCancelled(ended.status()))
          << ended.status();
      Text read = co_await reading;
      EXPECT_TRUE(read.ok() || (cancels && absl::IsCancelled(read.status()))) << read.status();
      if (!read.ok()) read = co_await ReadSome(process.output());
      EXPECT_TRUE(read.ok() && *read == "x") << "it is lost";
      read = co_await ReadSome(process.output());
      EXPECT_TRUE(read.ok() && read->empty()) << read.status();
      // A wait that was cancelled left it alone, and took nothing from the next.
      const Ended again = co_await process.Wait();
      EXPECT_TRUE(again.ok() && again->ok()) << again.status();
      EXPECT_EQ(process.exit_status(), ExitStatus());
    }
  };
  RunTask(body);
}

TEST_P(ProcessRaces, ACancelOfCommunicateAgainstTheExit) {
  const auto body = [&]() -> Task<void> {
    for (int i = 0, races = Races(150); i < races; ++i) {
      // Sometimes more than the pipes hold.
      const std::string text = Pattern(jitter_(4) != 0 ? jitter_(100) : 200'000, jitter_(1000));
      Process process = StartCat();
      // Eager: one that was cancelled before it had begun never kills it.
      JoinHandle<absl::StatusOr<ProcessOutput>> talking =
          Spawn(process.Communicate(text), {.eager = true});
      for (unsigned pauses = jitter_(4); pauses > 0; --pauses) co_await LetSomeTimePass();
      const bool cancels = jitter_(8) != 0;
      if (cancels) talking.Cancel();
      const absl::StatusOr<ProcessOutput> said = co_await talking;
      const std::optional<ExitStatus> ended = process.exit_status();
      EXPECT_TRUE(ended.has_value()) << "it was neither waited for nor killed";
      if (!ended.has_value()) continue;
      if (said.ok()) {
        EXPECT_TRUE(said->output == text);
        EXPECT_EQ(said->status, ExitStatus());
        EXPECT_EQ(*ended, ExitStatus());
      } else {
        EXPECT_TRUE(cancels && absl::IsCancelled(said.status())) << said.status();
        EXPECT_TRUE(ended->ok() || *ended == ExitStatus::Signalled(SIGKILL)) << *ended;
      }
    }
  };
  RunTask(body);
}

TEST_P(ProcessRaces, SignalsAgainstTheExit) {
  NumbersThatAreTaken numbers(/*by_number=*/false);
  const CallsInForce scope(*this, numbers);
  const auto body = [&]() -> Task<void> {
    for (int i = 0, races = Races(150); i < races; ++i) co_await SignalOne();
  };
  RunTask(body);
}

TEST_P(ProcessRaces, SignalsByNumberAgainstTheExit) {
  NumbersThatAreTaken numbers(/*by_number=*/true);
  const CallsInForce scope(*this, numbers);
  const auto body = [&]() -> Task<void> {
    for (int i = 0, races = Races(100); i < races; ++i) co_await SignalOne();
    // Whatever the moments were, this one is sent.
    Process process = StartCat();
    EXPECT_TRUE(process.Kill().ok());
    const Ended ended = co_await process.Wait();
    EXPECT_TRUE(ended.ok() && *ended == ExitStatus::Signalled(SIGKILL)) << ended.status();
  };
  RunTask(body);
  EXPECT_GT(numbers.signals(), 0);
}

TEST_P(ProcessRaces, TheDropAgainstTheExitAndWhoWaits) {
  NumbersThatAreTaken numbers(/*by_number=*/false);
  const CallsInForce scope(*this, numbers);
  const auto body = [&]() -> Task<void> {
    for (int i = 0, races = Races(150); i < races; ++i) {
      ProcessOptions options;
      options.arguments = {"cat"};
      options.input = Stdio::Pipe();
      options.kill_on_drop = jitter_(2) != 0;
      absl::StatusOr<Process> started = Process::Start(options);
      EXPECT_TRUE(started.ok()) << started.status();
      if (!started.ok()) co_return;
      std::optional<Process> process = *std::move(started);
      JoinHandle<Ended> waiting = Spawn(process->Wait());
      if (jitter_(2) != 0) process->input().Reset();
      co_await LetSomeTimePass();
      // Its input goes with it, so it ends in any case.
      process.reset();
      const Ended ended = co_await waiting;
      EXPECT_TRUE(ended.ok()) << ended.status();
      EXPECT_TRUE(ended.ok() && (ended->ok() || (options.kill_on_drop &&
                                                 *ended == ExitStatus::Signalled(SIGKILL))));
    }
    co_await UntilNoChildren();
  };
  RunTask(body);
}

TEST_P(ProcessRaces, TheEndOfTheExecutorAgainstTheExitsOfWhatWasDropped) {
  for (int i = 0, races = Races(50); i < races; ++i) {
    const auto body = [&]() -> Task<void> {
      for (unsigned children = 1 + jitter_(3); children > 0; --children) {
        Process process = StartCat();
        if (jitter_(2) != 0) process.input().Reset();
        if (jitter_(2) != 0) Spawn(process.Wait(), {.eager = jitter_(2) != 0});
        co_await LetSomeTimePass();
      }
    };
    RunTask(body);
    EndExecutor();
    EXPECT_FALSE(HasChildren());
  }
}

// They wait for the end of one pipe, and so end at the same moment, at which others are killed,
// dropped, and waited for no more.
TEST_P(ProcessRaces, ManyExitsAtOnceAgainstCancelsSignalsAndDrops) {
  const auto body = [&]() -> Task<void> {
    for (int i = 0, races = Races(10); i < races; ++i) {
      FdPair gate = MakePipe();
      ProcessOptions options;
      options.arguments = {"cat"};
      options.input = Stdio::Descriptor(gate.first.get());
      std::vector<std::optional<Process>> children;
      std::vector<JoinHandle<Ended>> waits;
      for (int n = 0; n < 40; ++n) {
        absl::StatusOr<Process> child = Process::Start(options);
        EXPECT_TRUE(child.ok()) << child.status();
        if (!child.ok()) co_return;
        waits.push_back(Spawn(child->Wait()));
        children.emplace_back(*std::move(child));
      }
      co_await LetSomeTimePass();
      gate.second.Reset();
      std::vector<bool> cancelled(children.size());
      std::vector<bool> killed(children.size());
      for (size_t n = 0; n < children.size(); ++n) {
        if (jitter_(8) == 0) co_await LetSomeTimePass();
        switch (jitter_(4)) {
          case 0:
            waits[n].Cancel();
            cancelled[n] = true;
            break;
          case 1: {
            const absl::Status sent = children[n]->Kill();
            EXPECT_TRUE(sent.ok() || absl::IsFailedPrecondition(sent)) << sent;
            killed[n] = true;
            break;
          }
          case 2:
            children[n].reset();
            killed[n] = true;
            break;
          default:
            break;
        }
      }
      for (size_t n = 0; n < children.size(); ++n) {
        const Ended ended = co_await waits[n];
        if (!ended.ok()) {
          EXPECT_TRUE(cancelled[n] && absl::IsCancelled(ended.status())) << ended.status();
          continue;
        }
        EXPECT_TRUE(ended->ok() || (killed[n] && *ended == ExitStatus::Signalled(SIGKILL)))
            << *ended;
      }
      children.clear();
      co_await UntilNoChildren();
    }
  };
  RunTask(body);
}

}  // namespace
}  // namespace plait
