// unsync: one kind of future, whatever brings the result about.
//
// A coroutine, and a function that blocks, are started in the same words, and main, which is
// neither, gets each result in the same way: from a JoinHandle, by waiting for it. All are started
// before any is waited for, so together they take as long as one.
#include <pthread.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "plait/examples/support/console.h"
#include "plait/examples/support/flags.h"
#include "plait/examples/support/timing.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/runtime.h"
#include "plait/schedulers/thread_pool/thread_pool.h"

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

struct Started {
  std::string kind;
  plait::JoinHandle<std::string> future;
};

Started Start(const std::string& kind, absl::Duration duration, plait::ThreadPool& pool) {
  const plait::SpawnOptions options{.name = kind, .executor = &pool};
  if (kind == "coroutine") return {kind, plait::Spawn(WaitAsCoroutine(duration), options)};
  const auto function = [duration] { return BlockAsFunction(duration); };
  return {kind, plait::Spawn(plait::Offload(function), options)};
}

}  // namespace

int main(int argc, char** argv) {
  std::string kind = "all";
  int64_t count = 2;
  std::optional<absl::Duration> duration;
  examples::Flags flags("unsync",
                        "Work of several kinds, each started and waited for in the same words.");
  flags.Choice("kind", &kind, {"coroutine", "thread", "process", "all"},
               "what runs the work; all: of every kind");
  flags.Int("count", &count, 0, 64, "how many of each kind are started");
  flags.Time("duration", &duration, "how long each takes; not given: 200ms");
  flags.Check([&kind] {
    if (kind != "process") return absl::OkStatus();
    return absl::UnimplementedError(
        "work in processes of their own is not there yet: --kind is coroutine, thread or all");
  });
  if (const auto status = flags.Parse(argc, argv)) return *status;

  Console console;
  const Stopwatch watch;
  const auto say = [&](const std::string& what, Color color) {
    console.Print(absl::StrCat(Stamp(watch.elapsed()), ": ", what), color);
  };
  plait::ThreadPool pool({.threads = 1, .name = "coroutines"});
  std::vector<Started> all;
  for (const std::string each : {"coroutine", "thread"}) {
    for (int64_t n = 0; n < count && (kind == "all" || kind == each); ++n) {
      all.push_back(Start(each, duration.value_or(absl::Milliseconds(200)), pool));
      say(absl::StrCat("started a ", each), Color::kYellow);
    }
  }
  for (Started& started : all) {
    const std::string result = plait::BlockingGet(started.future);  // blocks main, and nobody else
    say(absl::StrCat("the ", started.kind, " ", result), Color::kGreen);
  }
  return 0;
}
