// How long until a new pool gives its first result, with a zygote that is forked and with one that
// is the program started once more? And until a worker that died is replaced? The floors are a bare
// fork and a bare posix_spawn of this program.
//
// Each round starts everything, has one call answered, and ends everything; only the way to the
// answer is timed.

#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "benchmark/benchmark.h"
#include "plait/runtime/core/environment.h"
#include "plait/schedulers/process_pool/call_protocol.h"
#include "plait/schedulers/process_pool/codec.h"
#include "plait/schedulers/process_pool/function_table.h"
#include "plait/schedulers/process_pool/link.h"
#include "plait/schedulers/process_pool/payload.h"
#include "plait/schedulers/process_pool/process_function.h"
#include "plait/schedulers/process_pool/run_process_workers.h"
#include "plait/schedulers/process_pool/worker_main.h"
#include "plait/schedulers/process_pool/worker_process.h"
#include "plait/schedulers/process_pool/zygote.h"

namespace plait::internal {
namespace {

// Asks the program that it is started in to end at once.
constexpr char kOnlyEnd[] = "PLAIT_BENCHMARK_ONLY_END";

int Square(int n) { return n * n; }

FunctionTable Table() {
  FunctionTable table;
  table.Add("square", &Square);
  return table;
}

double Seconds(int64_t nanos) { return static_cast<double>(nanos) / 1e9; }

// One worker and one call, from nothing to the answer.
class OneCall {
 public:
  explicit OneCall(Zygote& zygote)
      : memory_(*LinkMemory::Create(1 << 20)),
        payload_(*PayloadMemory::Create(1 << 20)),
        link_(memory_, LinkEnd::kParent),
        process_(*WorkerProcess::Start(zygote, WorkerOptions(),
                                       WorkerDescriptors(*memory_, *payload_))) {
    memory_->CloseWorkerEvent();
    const CallHeader header = {.number = 1};
    char* const to = link_.Reserve(256);
    std::memcpy(to, &header, sizeof header);
    Encoder out(absl::MakeSpan(to + sizeof header, 256 - sizeof header));
    CallTraits<decltype(Square)>::Codec::EncodeArguments(out, 7);
    link_.Commit(sizeof header + out.needed(), static_cast<uint32_t>(RecordKind::kCall));
  }

  bool WaitForResult() {
    for (;;) {
      while (const std::optional<RingRecord> record = link_.Peek()) {
        if (record->tag == static_cast<uint32_t>(RecordKind::kResult)) return true;
        link_.Pop();
      }
      if (!link_.PrepareToSleep()) continue;
      pollfd event = {.fd = memory_->event_descriptor(), .events = POLLIN, .revents = 0};
      ::poll(&event, 1, -1);
      if (!link_.TakeSignals()) return false;
    }
  }

 private:
  const std::shared_ptr<LinkMemory> memory_;
  const std::shared_ptr<PayloadMemory> payload_;
  LinkEnd link_;
  const std::unique_ptr<WorkerProcess> process_;
};

void FirstResult(benchmark::State& state, Zygote::Method method) {
  const FunctionTable table = Table();
  Clock& clock = Clock::Real();
  for (auto _ : state) {
    const int64_t begin = clock.Now().nanos();
    absl::StatusOr<std::unique_ptr<Zygote>> zygote =
        Zygote::Start(ServeTable(table), table.fingerprint(), method);
    if (!zygote.ok()) return state.SkipWithError("no zygote");
    OneCall call(**zygote);
    if (!call.WaitForResult()) return state.SkipWithError("no result");
    state.SetIterationTime(Seconds(clock.Now().nanos() - begin));
  }
}

void BM_FirstResultOfAForkedZygote(benchmark::State& state) {
  FirstResult(state, Zygote::Method::kFork);
}
BENCHMARK(BM_FirstResultOfAForkedZygote)->UseManualTime()->Unit(benchmark::kMicrosecond);

void BM_FirstResultOfTheProgramStartedAgain(benchmark::State& state) {
  FirstResult(state, Zygote::Method::kExec);
}
BENCHMARK(BM_FirstResultOfTheProgramStartedAgain)->UseManualTime()->Unit(benchmark::kMicrosecond);

void BM_FirstResultOfANewWorker(benchmark::State& state) {
  const FunctionTable table = Table();
  const std::unique_ptr<Zygote> zygote =
      *Zygote::Start(ServeTable(table), table.fingerprint(), Zygote::Method::kFork);
  Clock& clock = Clock::Real();
  for (auto _ : state) {
    const int64_t begin = clock.Now().nanos();
    OneCall call(*zygote);
    if (!call.WaitForResult()) return state.SkipWithError("no result");
    state.SetIterationTime(Seconds(clock.Now().nanos() - begin));
  }
}
BENCHMARK(BM_FirstResultOfANewWorker)->UseManualTime()->Unit(benchmark::kMicrosecond);

void BM_FloorForkAndWait(benchmark::State& state) {
  for (auto _ : state) {
    const pid_t pid = ::fork();
    if (pid == 0) ::_exit(0);
    ::waitpid(pid, nullptr, 0);
  }
}
BENCHMARK(BM_FloorForkAndWait)->UseRealTime()->Unit(benchmark::kMicrosecond);

void BM_FloorSpawnThisProgramAndWait(benchmark::State& state) {
  ::setenv(kOnlyEnd, "1", 1);
  for (auto _ : state) {
    pid_t pid = 0;
    char name[] = "floor";
    char* const arguments[] = {name, nullptr};
    if (::posix_spawn(&pid, "/proc/self/exe", nullptr, nullptr, arguments, environ) == 0) {
      ::waitpid(pid, nullptr, 0);
    }
  }
  ::unsetenv(kOnlyEnd);
}
BENCHMARK(BM_FloorSpawnThisProgramAndWait)->UseRealTime()->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace plait::internal

int main(int argc, char** argv) {
  if (std::getenv(plait::internal::kOnlyEnd) != nullptr) return 0;
  plait::RunProcessWorkersIfAsked(plait::internal::Table());
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
