// unsync: one kind of future, whatever brings the result about.
//
// A coroutine, a function that blocks, and one in another process are started in the same words,
// and main, which is none of them, gets each result in the same way: from a JoinHandle, by waiting
// for it. All are started before any is waited for, so together they take as long as one.
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "plait/examples/support/console.h"
#include "plait/examples/support/flags.h"
#include "plait/examples/support/runtime_flags.h"
#include "plait/examples/support/timing.h"
#include "plait/io/auto_reactor/auto_reactor.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/runtime.h"
#include "plait/schedulers/process_pool/process_pool.h"
#include "plait/schedulers/process_pool/run_process_workers.h"
#include "plait/schedulers/run.h"
#include "plait/schedulers/work_stealing/work_stealing_pool.h"

namespace {

using examples::Color;
using examples::Console;
using examples::Stamp;
using examples::Stopwatch;

// What each kind of work says of itself.
std::string ThisThreadsName() {
  char name[16] = "?";
  pthread_getname_np(pthread_self(), name, sizeof(name));
  return name;
}

// For what mostly waits: while it does, its thread runs others.
plait::Task<std::string> WaitAsCoroutine(absl::Duration duration) {
  const absl::Status slept = co_await plait::Sleep(duration);
  co_return absl::StrCat(slept.ok() ? "slept" : slept.ToString(),
                         " as a coroutine, on a thread "
                         "called \"",
                         ThisThreadsName(), "\"");
}

// For what blocks, such as a library that knows nothing of coroutines.
std::string BlockAsFunction(absl::Duration duration) {
  examples::BlockFor(duration, plait::Clock::Real());
  return absl::StrCat("blocked as a function, on a thread called \"", ThisThreadsName(), "\"");
}

// For what computes, or may crash.
std::string WorkInProcess(absl::Duration duration) {
  examples::BlockFor(duration, plait::Clock::Real());
  return absl::StrCat("worked as a function, in the process ", ::getpid());
}

plait::FunctionTable Functions() {
  plait::FunctionTable functions;
  functions.Add("work", &WorkInProcess);
  return functions;
}

// A failed call as a text.
plait::Task<std::string> CallProcess(plait::ProcessPool& processes, absl::Duration duration) {
  const absl::StatusOr<std::string> result = co_await processes.Call(WorkInProcess, duration);
  co_return result.ok() ? *result : absl::StrCat("failed: ", result.status().ToString());
}

struct Started {
  std::string kind;
  plait::JoinHandle<std::string> future;
};

Started Start(const std::string& kind, absl::Duration duration, plait::Executor& pool,
              plait::ProcessPool& processes) {
  const plait::SpawnOptions options{.name = kind, .executor = &pool};
  if (kind == "coroutine") return {kind, plait::Spawn(WaitAsCoroutine(duration), options)};
  if (kind == "process") return {kind, plait::Spawn(CallProcess(processes, duration), options)};
  const auto function = [duration] { return BlockAsFunction(duration); };
  return {kind, plait::Spawn(plait::Offload(function), options)};
}

}  // namespace

int main(int argc, char** argv) {
  plait::RunProcessWorkersIfAsked(Functions());
  std::string kind = "all";
  int64_t count = 2;
  std::optional<absl::Duration> duration;
  plait::RunOptions options;
  examples::Flags flags("unsync",
                        "Work of several kinds, each started and waited for in the same words.");
  flags.Choice("kind", &kind, {"coroutine", "thread", "process", "all"},
               "what runs the work; all: of every kind");
  flags.Int("count", &count, 0, 64, "how many of each kind are started");
  flags.Time("duration", &duration, "how long each takes; not given: 200ms");
  examples::AddReactorFlag(flags, &options);
  if (const auto status = flags.Parse(argc, argv)) return *status;

  Console console;
  const Stopwatch watch;
  const auto say = [&](const std::string& what, Color color) {
    console.Print(absl::StrCat(Stamp(watch.elapsed()), ": ", what), color);
  };
  absl::StatusOr<plait::ProcessPool> processes = plait::ProcessPool::Create(
      {.functions = Functions(), .workers = static_cast<int>(std::max<int64_t>(1, count))});
  // One thread with a reactor, which drives the processes too.
  const auto make_reactor = [&options] { return plait::MakeReactor(options.reactor); };
  auto pool = plait::WorkStealingPool::Create(
      {.threads = 1, .name = "coroutines", .reactor = make_reactor});
  for (const absl::Status& status : {processes.status(), pool.status()}) {
    if (status.ok()) continue;
    console.Print(status.ToString(), Color::kRed);
    return 1;
  }
  std::vector<Started> all;
  for (const std::string each : {"coroutine", "thread", "process"}) {
    for (int64_t n = 0; n < count && (kind == "all" || kind == each); ++n) {
      all.push_back(Start(each, duration.value_or(absl::Milliseconds(200)), **pool, *processes));
      say(absl::StrCat("started a ", each), Color::kYellow);
    }
  }
  for (Started& started : all) {
    const std::string result = plait::BlockingGet(started.future);  // blocks main, and nobody else
    say(absl::StrCat("the ", started.kind, " ", result), Color::kGreen);
  }
  return 0;
}
