// Workers that serve a table, of a zygote that is this program started once more: it has threads.
// Its main hands over.
#include "plait/schedulers/process_pool/worker_main.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/schedulers/process_pool/call_protocol.h"
#include "plait/schedulers/process_pool/codec.h"
#include "plait/schedulers/process_pool/function_table.h"
#include "plait/schedulers/process_pool/link.h"
#include "plait/schedulers/process_pool/payload.h"
#include "plait/schedulers/process_pool/process_function.h"
#include "plait/schedulers/process_pool/run_process_workers.h"
#include "plait/schedulers/process_pool/worker_fixture.h"
#include "plait/schedulers/process_pool/worker_process.h"
#include "plait/schedulers/process_pool/zygote.h"
#include "plait/schedulers/process_pool/zygote_hook.h"

namespace plait::internal {
namespace {

bool initialised = false;

int Square(int n) { return n * n; }
bool Initialised() { return initialised; }
std::string Name() {
  // Of what it allocates.
  return std::string(100, 'n');
}
int Crash(int n) {
  std::fprintf(stderr, "crash %d\n", n);
  ::raise(SIGSEGV);
  return n;
}

volatile int spins = 0;
void Spin() {
  for (;;) spins = spins + 1;
}

FunctionTable Table() {
  FunctionTable table;
  table.Add("square", &Square).Add("initialised", &Initialised).Add("name", &Name);
  table.Add("crash", &Crash).Add("spin", &Spin);
  table.SetInitializer([] {
    initialised = true;
    return absl::OkStatus();
  });
  return table;
}

// A worker and the parent's side of its link, by hand.
class TestWorker {
 public:
  explicit TestWorker(Zygote& zygote)
      : memory_(*LinkMemory::Create(1 << 16)),
        payload_(*PayloadMemory::Create(1 << 16)),
        link_(memory_, LinkEnd::kParent) {
    WorkerOptions options;
    options.error = WorkerError::kKeep;
    absl::StatusOr<std::unique_ptr<WorkerProcess>> process =
        WorkerProcess::Start(zygote, options, WorkerDescriptors(*memory_, *payload_));
    EXPECT_TRUE(process.ok()) << process.status();
    process_ = *std::move(process);
    memory_->CloseWorkerEvent();
  }

  template <class F, class... Arguments>
  void Send(const F& function, const Arguments&... arguments) {
    const CallHeader header = {.number = ++number_,
                               .function = static_cast<uint32_t>(*table_.IndexOf(function))};
    char* const to = link_.Reserve(1024);
    std::memcpy(to, &header, sizeof header);
    Encoder out(absl::MakeSpan(to + sizeof header, 1024 - sizeof header));
    CallTraits<F>::Codec::EncodeArguments(out, arguments...);
    link_.Commit(sizeof header + out.needed(), static_cast<uint32_t>(RecordKind::kCall));
  }

  // The next record of that kind; nothing when the worker has ended.
  std::optional<std::string> Next(RecordKind kind) {
    for (;;) {
      while (const std::optional<RingRecord> record = link_.Peek()) {
        std::string bytes(record->bytes.data(), record->bytes.size());
        const uint32_t tag = record->tag;
        link_.Pop();
        if (tag == static_cast<uint32_t>(kind)) return bytes;
      }
      if (!link_.PrepareToSleep()) continue;
      pollfd poll_fd = {.fd = memory_->event_descriptor(), .events = POLLIN, .revents = 0};
      EXPECT_EQ(::poll(&poll_fd, 1, 20'000), 1);
      if (!link_.TakeSignals() && !link_.Peek().has_value()) return std::nullopt;
    }
  }

  template <class F, class... Arguments>
  typename CallTraits<F>::Result Call(const F& function, const Arguments&... arguments) {
    Send(function, arguments...);
    const std::optional<std::string> bytes = Next(RecordKind::kResult);
    if (!bytes.has_value()) return absl::UnavailableError("the worker has died");
    return Decode<typename CallTraits<F>::Result>(
        absl::string_view(*bytes).substr(sizeof(uint64_t)));
  }

  WorkerProcess& process() { return *process_; }

  WorkerExit SayGoodbye() {
    link_.Reserve(0);
    link_.Commit(0, static_cast<uint32_t>(RecordKind::kGoodbye));
    return WaitForExit(*process_);
  }

 private:
  const FunctionTable table_ = Table();
  const std::shared_ptr<LinkMemory> memory_;
  const std::shared_ptr<PayloadMemory> payload_;
  LinkEnd link_;
  std::unique_ptr<WorkerProcess> process_;
  uint64_t number_ = 0;
};

std::unique_ptr<Zygote> StartZygote(Zygote::Method method, const FunctionTable& table) {
  absl::StatusOr<std::unique_ptr<Zygote>> zygote =
      Zygote::Start(ServeTable(table), table.fingerprint(), method);
  EXPECT_TRUE(zygote.ok()) << zygote.status();
  return *std::move(zygote);
}

class WorkerMainTest : public testing::TestWithParam<Zygote::Method> {
 protected:
  std::unique_ptr<Zygote> zygote_ = StartZygote(GetParam(), Table());
};

TEST_P(WorkerMainTest, AWorkerIsInitialisedAndAnswersCallsUntilItIsToldToLeave) {
  TestWorker worker(*zygote_);
  EXPECT_EQ(*worker.Call(&Square, 7), 49);
  EXPECT_EQ(*worker.Call(&Initialised), true);
  EXPECT_FALSE(initialised) << "that was in the worker";
  EXPECT_EQ(*worker.Call(&Name), std::string(100, 'n'));
  EXPECT_EQ(worker.SayGoodbye().ToString(), "exited with status 0");
}

TEST_P(WorkerMainTest, AWorkerThatCrashesIsHeardOfAndSaysWhatItSaid) {
  TestWorker worker(*zygote_);
  TestWorker other(*zygote_);
  EXPECT_EQ(worker.Call(&Crash, 5).status().code(), absl::StatusCode::kUnavailable);
  const WorkerExit exit = WaitForExit(worker.process());
  EXPECT_EQ(exit.signal, SIGSEGV);
  EXPECT_EQ(exit.error_tail, "crash 5\n");
  EXPECT_EQ(*other.Call(&Square, 3), 9);
}

TEST_P(WorkerMainTest, WhatIsNoCallEndsAWorkerWithTheReason) {
  TestWorker worker(*zygote_);
  worker.Send(ProcessFunction<int(int)>("square"), 2);
  EXPECT_TRUE(worker.Next(RecordKind::kResult).has_value());
  absl::StatusOr<std::unique_ptr<WorkerProcess>> garbage =
      WorkerProcess::Start(*zygote_, {.error = WorkerError::kKeep}, {0, 0, 0});
  ASSERT_TRUE(garbage.ok()) << garbage.status();
  const WorkerExit exit = WaitForExit(**garbage);
  EXPECT_EQ(exit.code, kWorkerGotGarbage);
  EXPECT_TRUE(absl::StrContains(exit.error_tail, "plait worker: start: ")) << exit.error_tail;
}

INSTANTIATE_TEST_SUITE_P(Methods, WorkerMainTest,
                         testing::Values(Zygote::Method::kFork, Zygote::Method::kExec),
                         [](const testing::TestParamInfo<Zygote::Method>& info) {
                           return info.param == Zygote::Method::kFork ? "Fork" : "Exec";
                         });

TEST(WorkerMainForkTest, AnInitialiserThatFailsEndsTheWorkerWithTheReason) {
  FunctionTable table = Table();
  table.SetInitializer([] { return absl::NotFoundError("no model"); });
  const std::unique_ptr<Zygote> zygote = StartZygote(Zygote::Method::kFork, table);
  TestWorker worker(*zygote);
  const WorkerExit exit = WaitForExit(worker.process());
  EXPECT_EQ(exit.code, kInitializerFailed);
  EXPECT_EQ(exit.error_tail, "plait worker: its initialiser failed: NOT_FOUND: no model\n");
}

TEST(WorkerMainExecTest, ATableThatMainDoesNotHandOverIsRefusedAndSaidToBe) {
  FunctionTable table = Table();
  table.Add("more", &Square);
  const std::unique_ptr<Zygote> zygote = StartZygote(Zygote::Method::kExec, table);
  TestWorker worker(*zygote);
  EXPECT_EQ(WaitForExit(worker.process()).ToString(),
            "could not be started: the FunctionTable that main gives to RunProcessWorkersIfAsked "
            "has other functions than the pool's");
}

// Starts this program once more, with a channel as descriptor 3 or without, from a process between
// it and this one. Its exit status: 42 where main ran as usual.
int ExitOfAnotherRun(bool with_channel) {
  int channel[2];
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, channel), 0);
  std::string ask = AskToServe(::getpid(), Table().fingerprint());
  const pid_t between = ::fork();
  if (between == 0) {
    const pid_t program = ::fork();
    if (program == 0) {
      if (with_channel) {
        ::dup2(channel[1], 3);
      } else {
        ::close(3);
      }
      char name[] = "program";
      char command[] = "only-exit-42";
      char* const arguments[] = {name, command, nullptr};
      char* const environment[] = {ask.data(), nullptr};
      ::execve("/proc/self/exe", arguments, environment);
      ::_exit(1);
    }
    int status = 0;
    ::waitpid(program, &status, 0);
    ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
  }
  ::close(channel[0]);
  ::close(channel[1]);
  int status = 0;
  ::waitpid(between, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(WorkerMainExecTest, WhereTheProgramHasDiedBeforeItsZygoteCameToMainThatEndsThere) {
  EXPECT_EQ(ExitOfAnotherRun(true), 0);
}

TEST(WorkerMainExecTest, ACopyOfTheEnvironmentMakesNoZygote) {
  EXPECT_EQ(ExitOfAnotherRun(false), 42);
}

TEST(WorkerMainExecTest, NobodyIsLeftSoonAfterTheProgramWasKilled) {
  AnswerPipe told;
  const pid_t program = ::fork();
  if (program == 0) {
    const std::unique_ptr<Zygote> zygote = StartZygote(Zygote::Method::kExec, Table());
    TestWorker idle(*zygote);
    TestWorker busy(*zygote);
    idle.Next(RecordKind::kReady);
    busy.Next(RecordKind::kReady);
    busy.Send(&Spin);
    const std::string pids = absl::StrCat(zygote->pid(), " ", WaitForPid(idle.process()), " ",
                                          WaitForPid(busy.process()), "\n");
    static_cast<void>(::write(told.writer, pids.data(), pids.size()));
    ::pause();
    ::_exit(0);
  }
  WatchedProcesses processes(told.ReadLine());
  EXPECT_EQ(processes.size(), 3u);
  ::kill(program, SIGKILL);
  ::waitpid(program, nullptr, 0);
  EXPECT_TRUE(processes.WaitForEnds());
}

// 100 threads that allocate all the time, so that at every moment some hold the allocator's locks.
class Allocators {
 public:
  Allocators() {
    for (int i = 0; i < 100; ++i) {
      threads_.push_back(StartThread("allocator", [this] {
        std::vector<std::string> kept(64);
        for (size_t round = 0; !stop_.load(kRelaxed); ++round) {
          kept[round % kept.size()] = std::string(round * 131 % 5000, 'x');
          // For the test's own sake: a turn of each would take half a second.
          if (round % 16 == 0) std::this_thread::yield();
        }
      }));
    }
  }
  ~Allocators() {
    stop_.store(true, kRelaxed);
    for (Thread& thread : threads_) thread.join();
  }

 private:
  Atomic<bool> stop_{false};
  std::vector<Thread> threads_;
};

TEST(WorkerMainExecTest, AProgramOfHundredBusyThreadsStartsWorkersAndNoneHangs) {
  const int before = OpenDescriptors();
  {
    const Allocators allocators;
    std::unique_ptr<Zygote> zygote = StartZygote(Zygote::Method::kAny, Table());
    EXPECT_EQ(zygote->method(), Zygote::Method::kExec);
    for (int batch = 0; batch < 5; ++batch) {
      zygote = StartZygote(Zygote::Method::kAny, Table());
      std::vector<std::unique_ptr<TestWorker>> workers;
      for (int i = 0; i < 40; ++i) workers.push_back(std::make_unique<TestWorker>(*zygote));
      for (const auto& worker : workers) worker->Send(&Name);
      for (const auto& worker : workers) {
        EXPECT_TRUE(worker->Next(RecordKind::kResult).has_value());
      }
    }
  }
  EXPECT_FALSE(HasChildren());
  EXPECT_EQ(OpenDescriptors(), before);
}

}  // namespace
}  // namespace plait::internal

int main(int argc, char** argv) {
  plait::RunProcessWorkersIfAsked(plait::internal::Table());
  if (argc == 2 && absl::string_view(argv[1]) == "only-exit-42") return 42;
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
