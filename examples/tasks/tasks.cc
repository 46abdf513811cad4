// tasks: what can be asked of a task, in each state that it can be in.
//
// Spawn starts a coroutine as a task of its own and gives a JoinHandle. Through it one sees whether
// the task is done, asks it to end, and gets its result, if it has one yet.
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "plait/examples/support/console.h"
#include "plait/examples/support/flags.h"
#include "plait/examples/support/runtime_flags.h"
#include "plait/runtime/runtime.h"
#include "plait/schedulers/run.h"
#if defined(__cpp_exceptions)
#include <stdexcept>
#endif

namespace {

using Result = absl::StatusOr<std::string>;
using examples::Console;

// The task that the others are variations of: it takes its time and then has a result.
plait::Task<Result> Brew(absl::Duration time) {
  co_await plait::OrReturn(plait::Sleep(time));  // a cancelled task ends here
  co_return "tea";
}

plait::Task<Result> BrewWithoutWater() { co_return absl::NotFoundError("no water"); }

plait::Task<absl::Status> OversleepEverything(Console& console) {
  const absl::Status slept = co_await plait::Sleep(absl::Hours(1));
  console.Print(absl::StrCat("  its sleep   -> ", slept.ToString()));
  co_return slept;
}

std::string Show(bool value) { return value ? "true" : "false"; }
std::string Show(const Result& result) {
  return result.ok() ? *result : result.status().ToString();
}

// Asks the three questions. None of them waits.
void Ask(Console& console, plait::JoinHandle<Result>& task) {
  console.Print(absl::StrCat("  done()      -> ", Show(task.done())));
  console.Print(absl::StrCat("  cancelled() -> ", Show(task.cancelled())));
  console.Print(absl::StrCat("  result()    -> ", Show(task.result())));
}

void Title(Console& console, const std::string& title) {
  console.Print();
  console.Print(title, examples::Color::kBold);
}

#if defined(__cpp_exceptions)
plait::Task<int> Spill() {
  co_await plait::Yield();
  throw std::runtime_error("spilt");
}

plait::Task<absl::Status> ShowException(Console& console) {
  Title(console, "Left by an exception: whoever awaits the task, or asks for its result, gets it");
  plait::JoinHandle<int> spill = plait::Spawn(Spill());
  try {
    co_await spill;
    console.Print("  co_await    -> a value");
  } catch (const std::runtime_error& error) {
    console.Print(absl::StrCat("  co_await    -> throws: ", error.what()));
  }
  console.Print(absl::StrCat("  done()      -> ", Show(spill.done())));
  try {
    static_cast<void>(spill.result());
    console.Print("  result()    -> a value");
  } catch (const std::runtime_error& error) {
    console.Print(absl::StrCat("  result()    -> throws: ", error.what()));
  }
  co_return absl::OkStatus();
}
#else
plait::Task<absl::Status> ShowException(Console& console) {
  Title(console, "Left by an exception: this program was built without them");
  co_return absl::OkStatus();
}
#endif

plait::Task<absl::Status> ShowCallbacks(Console& console) {
  Title(console, "Callbacks: called once, when the task is done; one that comes late, at once");
  plait::JoinHandle<Result> tea = plait::Spawn(Brew(absl::Milliseconds(5)));
  tea.OnDone([&](plait::JoinHandle<Result>& task) {
    console.Print(absl::StrCat("  callback    -> ", Show(task.result())));
  });
  plait::DoneCallbackHandle second =
      tea.OnDone([&] { console.Print("  never: it is taken back"); });
  console.Print(absl::StrCat("  Remove()    -> ", Show(second.Remove()), ", the second callback"));
  static_cast<void>(co_await tea);
  tea.OnDone([&] { console.Print("  a late one  -> called at once"); });
  co_return absl::OkStatus();
}

void Ask(Console& console, plait::Future<std::string>& future) {
  console.Print(absl::StrCat("  done()      -> ", Show(future.done())));
  console.Print(absl::StrCat("  cancelled() -> ", Show(future.cancelled())));
}

plait::Task<absl::Status> ShowFutures(Console& console) {
  Title(console, "A future, pending: a value that somebody else will set");
  plait::Promise<std::string> promise;
  plait::Future<std::string> future = promise.future();
  Ask(console, future);
  console.Print(absl::StrCat("  result()    -> ", Show(future.result())));
  future.OnDone([&](const Result& result) {
    console.Print(absl::StrCat("  callback    -> ", Show(result)));
  });

  Title(console, "A future, done: its callbacks are called, and its value can be taken once");
  console.Print(absl::StrCat("  Set()       -> ", Show(promise.Set("coffee"))));
  Ask(console, future);
  console.Print(absl::StrCat("  Set()       -> ", Show(promise.Set("tea")), ", it has a value"));
  const Result taken = co_await future;
  console.Print(absl::StrCat("  co_await    -> ", Show(taken)));
  console.Print(absl::StrCat("  result()    -> ", Show(future.result())));

  Title(console, "A future, cancelled: nobody wants the value any more");
  plait::Promise<std::string> unwanted;
  plait::Future<std::string> given_up = unwanted.future();
  console.Print(absl::StrCat("  Cancel()    -> ", Show(given_up.Cancel())));
  Ask(console, given_up);
  console.Print(absl::StrCat("  Set()       -> ", Show(unwanted.Set("tea")), ", it is too late"));
  co_return absl::OkStatus();
}

plait::Task<absl::Status> Main(Console& console) {
  Title(console, "Pending: spawned a moment ago, it has not even begun");
  plait::JoinHandle<Result> tea = plait::Spawn(Brew(absl::Milliseconds(20)), {.name = "tea"});
  console.Print(absl::StrCat("  name()      -> ", tea.name()));
  Ask(console, tea);

  Title(console, "Pending: it has begun, and waits for its sleep to end");
  co_await plait::Yield();  // lets every task run that can
  Ask(console, tea);

  Title(console, "Done: co_await waits for the end and gives the result");
  const Result brewed = co_await tea;
  console.Print(absl::StrCat("  co_await    -> ", Show(brewed)));
  Ask(console, tea);
  console.Print(absl::StrCat("  Cancel()    -> ", Show(tea.Cancel()), ", it is too late"));
  Ask(console, tea);

  Title(console, "Failed: an error is a result like any other");
  plait::JoinHandle<Result> dry = plait::Spawn(BrewWithoutWater());
  const Result failed = co_await dry;
  console.Print(absl::StrCat("  co_await    -> ", Show(failed)));
  Ask(console, dry);

  Title(console, "Cancelled: its sleep of an hour ends now, and so does the task");
  plait::JoinHandle<Result> slow = plait::Spawn(Brew(absl::Hours(1)));
  co_await plait::Yield();
  console.Print(absl::StrCat("  Cancel()    -> ", Show(slow.Cancel()), ", it was asked to end"));
  console.Print(absl::StrCat("  Cancel()    -> ", Show(slow.Cancel()), ", it was asked before"));
  Ask(console, slow);  // cancelling is a request: the task is still there
  const Result cancelled = co_await slow;
  console.Print(absl::StrCat("  co_await    -> ", Show(cancelled)));
  Ask(console, slow);

  Title(console, "Cancelled before it began: it never runs");
  plait::JoinHandle<Result> never = plait::Spawn(Brew(absl::Hours(1)));
  console.Print(absl::StrCat("  Cancel()    -> ", Show(never.Cancel())));
  const Result nothing = co_await never;
  console.Print(absl::StrCat("  co_await    -> ", Show(nothing)));
  Ask(console, never);

  co_await plait::OrReturn(ShowException(console));
  co_await plait::OrReturn(ShowCallbacks(console));
  co_await plait::OrReturn(ShowFutures(console));

  Title(console,
        "Left behind: its handle is dropped, and the end of Run cancels it and waits for it");
  plait::Spawn(OversleepEverything(console));
  co_await plait::Yield();
  co_return absl::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
  plait::RunOptions options;
  examples::Flags flags("tasks", "What can be asked of a task, in each state that it can be in.");
  examples::AddReactorFlag(flags, &options);
  if (const auto status = flags.Parse(argc, argv)) return *status;

  Console console;
  const absl::Status status = plait::Run(Main(console), options);
  console.Print();
  console.Print(absl::StrCat("Run -> ", status.ToString()));
  return status.ok() ? 0 : 1;
}
