// fibers: ordinary functions that wait without blocking.
//
// Nothing below but the last function is a coroutine: Work calls Step, Step calls Rest, and Rest
// waits with plait::Await. Run as fibers, on stacks of their own, all of them share one thread:
// while one waits, the others go on. So code that was written to block becomes concurrent without
// being rewritten, as greenlet and gevent do it for Python.
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
#include "plait/examples/support/runtime_flags.h"
#include "plait/examples/support/timing.h"
#include "plait/runtime/runtime.h"
#include "plait/schedulers/fiber/fiber.h"
#include "plait/schedulers/run.h"

namespace {

using examples::Color;
using examples::Console;
using examples::Stamp;
using examples::Stopwatch;

constexpr int kSteps = 2;

struct Show {
  Console& console;
  const Stopwatch watch;

  void Say(const std::string& what, Color color) {
    console.Print(absl::StrCat(Stamp(watch.elapsed()), ": ", what), color);
  }
};

// --- ordinary functions ---

absl::Status Rest(absl::Duration duration) { return plait::Await(plait::Sleep(duration)); }

absl::Status Step(Show& show, int64_t number, int step, absl::Duration duration) {
  absl::Status rested = Rest(duration / kSteps);
  if (rested.ok()) {
    show.Say(absl::StrCat("Step ", step, " of ", kSteps, " for number=", number), Color::kDim);
  }
  return rested;
}

absl::Status Work(Show& show, int64_t number, absl::Duration duration) {
  show.Say(absl::StrCat("Started work for number=", number), Color::kYellow);
  for (int step = 1; step <= kSteps; ++step) {
    absl::Status done = Step(show, number, step, duration);
    if (!done.ok()) return done;
  }
  show.Say(absl::StrCat("Finished work for number=", number), Color::kGreen);
  return absl::OkStatus();
}

// --- and the one that runs them ---

plait::Task<absl::Status> Main(Console& console, int64_t count, absl::Duration duration) {
  Show show{console, Stopwatch()};
  std::vector<plait::Task<absl::Status>> fibers;
  for (int64_t n = 0; n < count; ++n) {
    fibers.push_back(plait::RunFiber([&show, n, duration] { return Work(show, n, duration); }));
  }
  const absl::Status all = co_await plait::Gather(std::move(fibers));
  console.Print();
  console.Print(absl::StrCat(count, " functions that take ", absl::FormatDuration(duration),
                             " each, on one thread: ", Stamp(show.watch.elapsed()),
                             ". One after the other: ", Stamp(duration * count), "."),
                Color::kBold);
  co_return all;
}

}  // namespace

int main(int argc, char** argv) {
  int64_t count = 5;
  std::optional<absl::Duration> duration;
  plait::RunOptions options;
  examples::Flags flags("fibers",
                        "Ordinary functions that wait, side by side on one thread: each runs on a "
                        "stack of its own.");
  flags.Int("fibers", &count, 0, 10'000, "how many functions run");
  flags.Time("sleep", &duration, "how long each of them rests in all; not given: 400ms");
  examples::AddReactorFlag(flags, &options);
  if (const auto status = flags.Parse(argc, argv)) return *status;

  Console console;
  const absl::Status status =
      plait::Run(Main(console, count, duration.value_or(absl::Milliseconds(400))), options);
  if (!status.ok()) console.Print(status.ToString(), Color::kRed);
  return status.ok() ? 0 : 1;
}
