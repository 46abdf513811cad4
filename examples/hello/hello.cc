// hello: the event loop in one page.
//
// An event loop runs what is ready, first in, first out; when nothing is, it waits for the next
// timer or the next word from the operating system. A coroutine that awaits gives the loop back,
// and is run again when what it waits for is there.
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "plait/examples/support/console.h"
#include "plait/examples/support/flags.h"
#include "plait/examples/support/runtime_flags.h"
#include "plait/examples/support/timing.h"
#include "plait/io/auto_reactor/auto_reactor.h"
#include "plait/runtime/runtime.h"
#include "plait/schedulers/event_loop/event_loop.h"

namespace {

void Say(const examples::Stopwatch& watch, examples::Console& console, const std::string& words) {
  console.Print(examples::Stamp(watch.elapsed()) + ": " + words);
}

// A coroutine: it can stop at every co_await, and other work runs until it goes on.
plait::Task<absl::Status> Hello(const examples::Stopwatch& watch, examples::Console& console) {
  Say(watch, console, "Hello ...");
  co_await plait::OrReturn(plait::Sleep(absl::Milliseconds(200)));
  Say(watch, console, "... World!");
  co_return absl::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
  plait::RunOptions options;
  examples::Flags flags("hello",
                        "The event loop: callbacks in order, then a coroutine that sleeps.");
  examples::AddReactorFlag(flags, &options);
  if (const auto status = flags.Parse(argc, argv)) return *status;

  examples::Console console;
  const examples::Stopwatch watch;
  plait::EventLoop loop(plait::MakeReactor(options.reactor));

  // Nothing runs yet: the loop only takes note.
  loop.Post([&] {
    Say(watch, console, "callback 1");
    loop.Post([&] { Say(watch, console, "callback 4, which callback 1 has posted"); });
  });
  loop.Post([&] { Say(watch, console, "callback 2"); });
  loop.Post([&] { Say(watch, console, "callback 3"); });
  // While the coroutine sleeps, the loop is free for this.
  const auto timer = loop.PostAfter(absl::Milliseconds(100),
                                    [&] { Say(watch, console, "a timer, while Hello sleeps"); });
  Say(watch, console, "the loop starts");

  // Runs the loop until the coroutine has ended.
  const absl::Status status = plait::BlockOn(loop, Hello(watch, console));
  Say(watch, console, "the loop has ended");
  return timer.ok() && status.ok() ? 0 : 1;
}
