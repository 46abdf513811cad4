// Nodes with children: every means of composition, checked against how the children really ended.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/task/result.h"
#include "plait/runtime/testing/stress_programs.h"

namespace plait::stress {

using internal::AwaitInto;
using internal::Result;

// --- nodes ---

Task<absl::Status> RunNode(World& world, Draw draw, int depth, Outcome& outcome, const Kind* kind) {
  Alive alive(world);
  world.Expect(!std::exchange(outcome.begun, true), "a task ran twice");
  if (kind == nullptr) {
    const bool leaf = depth >= kMaxDepth || draw.OneIn(6);
    const absl::Span<const Kind> kinds = leaf ? Leaves() : Branches();
    kind = &kinds[static_cast<size_t>(draw.Below(static_cast<int>(kinds.size())))];
  }
  world.Trace(depth, kind->name, "begins");
  Result<absl::Status> result;
  co_await AwaitInto<absl::Status>(kind->run(world, draw.Fork(), depth), nullptr, result);
  outcome.threw = result.has_exception();
  if (!outcome.threw) outcome.status = result.value();
  outcome.order = world.endings.fetch_add(1, internal::kRelaxed);
  outcome.ended = true;
  world.Trace(depth, kind->name, outcome.threw ? "threw" : outcome.status.ToString());
  co_return result.Take();
}

namespace {

// A child of the node at `depth`.
Task<absl::Status> Child(World& world, Draw& draw, int depth, Outcome& outcome) {
  return RunNode(world, draw.Fork(), depth + 1, outcome);
}

// Spawns `task`, on any executor, and counts it and its end.
JoinHandle<absl::Status> Launch(World& world, Draw& draw, Task<absl::Status> task) {
  SpawnOptions options;
  options.eager = draw.OneIn(4);
  if (!world.executors.empty()) {
    options.executor =
        world.executors[static_cast<size_t>(draw.Below(static_cast<int>(world.executors.size())))];
  }
  world.tasks.Begin();
  JoinHandle<absl::Status> handle = Spawn(std::move(task), options);
  handle.OnDone([&world] { world.tasks.End(); });
  return handle;
}

// Asks a task to end, twice; returns whether that was the first time.
bool CancelOnce(World& world, TaskHandle& handle) {
  const bool first = handle.Cancel();
  world.Expect(!handle.Cancel(), "a task was cancelled twice");
  return first;
}

// A moment, in which other things happen.
Task<void> Pause(World& world, Draw draw) {
  Alive alive(world);
  for (int turns = draw.Below(4); turns > 0; --turns) co_await Yield();
  if (draw.OneIn(3)) static_cast<void>(co_await Sleep(world.unit * draw.Below(20)));
}

// `result` must be what the child ended with.
void ExpectSame(World& world, const Outcome& child, const Result<absl::Status>& result,
                const char* what) {
  world.Expect(child.ended, "a child was not joined");
  world.Expect(child.threw == result.has_exception(), what);
  // Who was cancelled may say so in words of its own.
  if (result.has_value() && !absl::IsCancelled(child.status)) {
    world.Expect(child.status == result.value(), what);
  } else if (result.has_value()) {
    world.Expect(absl::IsCancelled(result.value()), what);
  }
}

void ExpectJoined(World& world, const Outcomes& outcomes) {
  for (const Outcome& outcome : outcomes) {
    world.Expect(outcome.begun == outcome.ended, "a child was left behind");
  }
}

// --- one child ---

Task<absl::Status> TimeoutNode(World& world, Draw draw, int depth) {
  Alive alive(world);
  const absl::Duration limit = world.unit * draw.Below(40);
  const Deadline before = world.clock.Now();
  Outcome child;
  Result<absl::Status> result;
  co_await AwaitInto<absl::Status>(Timeout(limit, Child(world, draw, depth, child)), nullptr,
                                   result);
  const bool cut_short = child.ended && !child.threw && absl::IsCancelled(child.status) &&
                         result.has_value() && absl::IsDeadlineExceeded(result.value());
  if (cut_short) {
    world.Expect(world.clock.Now().Since(before) >= limit, "a Timeout came early");
  } else {
    // Also where the deadline passed: what came in spite of it is kept.
    ExpectSame(world, child, result, "a Timeout changed its result");
  }
  co_return result.Take();
}

Task<absl::Status> CancelScopeNode(World& world, Draw draw, int depth) {
  Alive alive(world);
  CancelScope scope;
  if (draw.OneIn(2)) {
    const absl::Status set = scope.Reschedule(world.unit * draw.Below(40));
    world.Expect(set.ok(), "a deadline could not be set");
  }
  Outcome child;
  auto meddle = [&](Draw more) -> Task<absl::Status> {
    Alive meddler(world);
    co_await Pause(world, more.Fork());
    if (more.OneIn(3)) scope.Cancel();
    if (more.OneIn(3)) scope.Reschedule(world.unit * more.Below(40)).IgnoreError();
    co_return absl::OkStatus();
  };
  Result<absl::Status> result;
  Task<absl::Status> inside = scope.Run(Child(world, draw, depth, child));
  co_await AwaitInto<absl::Status>(Gather(std::move(inside), meddle(draw.Fork())), nullptr, result);
  const bool same = result.has_exception() || result.value() == child.status ||
                    (absl::IsCancelled(result.value()) && absl::IsCancelled(child.status));
  if (child.begun && !child.threw && !same) {
    world.Expect(absl::IsCancelled(child.status) && absl::IsDeadlineExceeded(result.value()),
                 "a CancelScope changed its result");
    world.Expect(scope.expired(), "a CancelScope reported a deadline that had not passed");
  }
  co_return result.Take();
}

Task<absl::Status> CleanUp(World& world, Draw draw) {
  Alive alive(world);
  const absl::Status slept = co_await Sleep(world.unit * draw.Below(5));
  world.Expect(slept.ok(), "a cancel reached an Uncancellable cleanup");
  co_await Yield();
  world.cleanups.End();
  co_return slept;
}

Task<absl::Status> CleanupNode(World& world, Draw draw, int depth) {
  Alive alive(world);
  Outcome child;
  Result<absl::Status> result;
  world.cleanups.Begin();
  co_await AwaitInto<absl::Status>(Child(world, draw, depth, child), nullptr, result);
  ExpectSame(world, child, result, "co_await gave another result");
  const absl::Status cleaned = co_await Uncancellable(CleanUp(world, draw.Fork()));
  world.Expect(cleaned.ok(), "an Uncancellable cleanup failed");
  co_return result.Take();
}

class Resource {
 public:
  Resource(World& world, Draw draw) : world_(&world), draw_(draw) { world.resources.Begin(); }
  Task<absl::Status> Close() {
    Alive alive(*world_);
    const absl::Status slept = co_await Sleep(world_->unit * draw_.Below(5));
    world_->Expect(slept.ok(), "a cancel reached the closing of a resource");
    world_->resources.End();
    co_return draw_.OneIn(4) ? absl::DataLossError("planned") : absl::OkStatus();
  }

 private:
  World* world_;
  Draw draw_;
};

Task<absl::Status> WithAsyncNode(World& world, Draw draw, int depth) {
  Alive alive(world);
  Outcome child;
  Result<absl::Status> result;
  Task<absl::Status> with = WithAsync(Resource(world, draw.Fork()),
                                      [&](Resource&) { return Child(world, draw, depth, child); });
  co_await AwaitInto<absl::Status>(std::move(with), nullptr, result);
  if (result.has_value() && absl::IsDataLoss(result.value())) {
    world.Expect(
        child.ended && !child.threw && (child.status.ok() || child.status == result.value()),
        "the error of closing was not the only one");
  } else {
    ExpectSame(world, child, result, "WithAsync changed its result");
  }
  co_return result.Take();
}

Task<absl::Status> HandleNode(World& world, Draw draw, int depth) {
  Alive alive(world);
  Outcome child;
  JoinHandle<absl::Status> handle = Launch(world, draw, Child(world, draw, depth, child));
  co_await Pause(world, draw.Fork());
  const bool cancelled = draw.OneIn(2) && CancelOnce(world, handle);
  Result<absl::Status> result;
  co_await AwaitInto<absl::Status>(internal::AsTask(handle), nullptr, result);
  world.Expect(handle.done() && !handle.Cancel(), "an awaited task is not done");
  if (child.begun) {
    ExpectSame(world, child, result, "a handle gave another result");
  } else {
    world.Expect(
        result.has_value() && absl::IsCancelled(result.value()) && (cancelled || StopRequested()),
        "a task did not run though nobody had cancelled it");
  }
  if (result.has_value()) {
    world.Expect(handle.cancelled() == absl::IsCancelled(result.value()),
                 "cancelled() does not fit the result");
  }
  co_return result.Take();
}

Task<absl::Status> OnNode(World& world, Draw draw, int depth) {
  Alive alive(world);
  Executor* const here = TaskContext::Current()->executor;
  Executor* there = here;
  if (!world.executors.empty()) {
    there =
        world.executors[static_cast<size_t>(draw.Below(static_cast<int>(world.executors.size())))];
  }
  Outcome child;
  Result<absl::Status> result;
  co_await AwaitInto<absl::Status>(On(*there, Child(world, draw, depth, child)), nullptr, result);
  world.Expect(TaskContext::Current()->executor == here, "On did not come back");
  if (child.begun) {
    ExpectSame(world, child, result, "On changed its result");
  } else {
    world.Expect(result.has_value() && absl::IsCancelled(result.value()) && StopRequested(),
                 "On did not run its task");
  }
  co_return result.Take();
}

Task<absl::Status> ShieldNode(World& world, Draw draw, int depth) {
  Alive alive(world);
  Outcome child;
  JoinHandle<absl::Status> handle = Launch(world, draw, Child(world, draw, depth, child));
  Result<absl::Status> shielded;
  co_await AwaitInto<absl::Status>(Shield(handle), nullptr, shielded);
  if (!handle.done()) {
    world.Expect(shielded.has_value() && absl::IsCancelled(shielded.value()) && StopRequested(),
                 "a Shield ended before its task though nobody had cancelled it");
    if (draw.OneIn(2)) CancelOnce(world, handle);
  }
  Result<absl::Status> result;
  co_await AwaitInto<absl::Status>(Uncancellable(handle), nullptr, result);
  if (child.begun) ExpectSame(world, child, result, "a handle gave another result");
  co_return result.Take();
}

// Its handle is dropped; it ends when it likes, or when the program does.
Task<absl::Status> DetachedNode(World& world, Draw draw, int depth) {
  Alive alive(world);
  auto outcome = std::make_shared<Outcome>();
  auto run = [](World& in, Draw own, int below,
                std::shared_ptr<Outcome> into) -> Task<absl::Status> {
    Alive frame(in);
    co_return co_await RunNode(in, own, below, *into);
  };
  world.Detach(Launch(world, draw, run(world, draw.Fork(), depth + 1, outcome)));
  co_await Pause(world, draw.Fork());
  co_return absl::OkStatus();
}

// --- several children ---

Task<absl::Status> SequenceNode(World& world, Draw draw, int depth) {
  Alive alive(world);
  for (int children = 1 + draw.Below(4); children > 0; --children) {
    Outcome child;
    co_await OrReturn(Child(world, draw, depth, child));
    world.Expect(child.ended && child.status.ok(), "OrReturn went on after an error");
  }
  co_return absl::OkStatus();
}

Task<absl::Status> GatherNode(World& world, Draw draw, int depth) {
  Alive alive(world);
  Outcomes children(static_cast<size_t>(1 + draw.Below(4)));
  std::vector<Task<absl::Status>> tasks;
  for (Outcome& child : children) tasks.push_back(Child(world, draw, depth, child));
  Result<absl::Status> result;
  Task<absl::Status> gather =
      draw.OneIn(3) ? GatherLimit(1 + draw.Below(2), std::move(tasks)) : Gather(std::move(tasks));
  co_await AwaitInto<absl::Status>(std::move(gather), nullptr, result);
  ExpectJoined(world, children);
  const Outcome* const first =
      Earliest(children, [](const Outcome& o) { return o.ended && (o.threw || !o.status.ok()); });
  const bool failed = result.has_exception() || !result.value().ok();
  // Those that the limit held back until the Gather was cancelled count as cancelled then.
  const bool all_ran = Earliest(children, [](const Outcome& o) { return !o.begun; }) == nullptr;
  const bool held_back = !all_ran && result.has_value() && absl::IsCancelled(result.value());
  world.Expect(failed == (first != nullptr || !all_ran), "a Gather failed iff no child did");
  if (world.exact && first != nullptr && !held_back) {
    ExpectSame(world, *first, result, "a Gather did not give its first failure");
  }
  co_return result.Take();
}

Task<absl::Status> GatherAllNode(World& world, Draw draw, int depth) {
  Alive alive(world);
  Outcomes children(static_cast<size_t>(1 + draw.Below(4)));
  std::vector<Task<absl::Status>> tasks;
  for (Outcome& child : children) tasks.push_back(Child(world, draw, depth, child));
  const std::vector<absl::Status> results = co_await GatherAll(std::move(tasks));
  world.Expect(results.size() == children.size(), "GatherAll lost a result");
  for (size_t i = 0; i < results.size(); ++i) {
    world.Expect(children[i].ended, "GatherAll left a child behind");
    world.Expect(
        children[i].threw ? absl::IsInternal(results[i]) : results[i] == children[i].status,
        "GatherAll gave another result");
  }
  co_return results.front();
}

Task<absl::Status> SelectNode(World& world, Draw draw, int depth) {
  Alive alive(world);
  Outcomes children(2);
  Task<absl::Status> one = Child(world, draw, depth, children[0]);
  Task<absl::Status> two = Child(world, draw, depth, children[1]);
  auto selected = co_await Select(std::move(one), std::move(two));
  ExpectJoined(world, children);
  world.Expect(selected.has<0>() == children[0].begun, "Select does not know what began");
  world.Expect(selected.has<1>() == children[1].begun, "Select does not know what began");
  const Outcome& winner = children[selected.index()];
  world.Expect(winner.ended, "the winner of a Select never ran");
  const Outcome* const first = Earliest(children, [](const Outcome& o) { return o.ended; });
  world.Expect(!world.exact || first == &winner, "the winner of a Select was not the first");
  const absl::Status status = selected.index() == 0 ? selected.get<0>() : selected.get<1>();
  world.Expect(status == winner.status, "a Select changed its result");
  co_return status;
}

Task<absl::Status> WaitNode(World& world, Draw draw, int depth) {
  Alive alive(world);
  Outcomes children(static_cast<size_t>(1 + draw.Below(4)));
  std::vector<JoinHandle<absl::Status>> handles;
  for (Outcome& child : children) {
    handles.push_back(Launch(world, draw, Child(world, draw, depth, child)));
  }
  constexpr WaitFor kWhat[] = {WaitFor::kAll, WaitFor::kFirstCompleted, WaitFor::kFirstError};
  const WaitFor what = kWhat[draw.Below(3)];
  const absl::StatusOr<WaitResult> waited = co_await Wait(handles, what);
  if (waited.ok()) {
    world.Expect(!waited->done.empty(), "a Wait ended before any task");
    world.Expect(waited->done.size() + waited->pending.size() == handles.size(),
                 "a Wait lost a task");
    for (const size_t i : waited->done) {
      world.Expect(handles[i].done(), "a Wait took a task for done that was not");
    }
    world.Expect(what != WaitFor::kAll || waited->pending.empty(), "a Wait for all was short");
  } else {
    world.Expect(absl::IsCancelled(waited.status()) && StopRequested(),
                 "a Wait was cancelled by nobody");
  }
  // Wait does not own them, but their outcomes are here.
  for (JoinHandle<absl::Status>& handle : handles) {
    if (draw.OneIn(2)) CancelOnce(world, handle);
  }
  for (JoinHandle<absl::Status>& handle : handles) {
    Result<absl::Status> result;
    co_await AwaitInto<absl::Status>(Uncancellable(handle), nullptr, result);
  }
  ExpectJoined(world, children);
  co_return waited.status();
}

Task<absl::Status> AsCompletedNode(World& world, Draw draw, int depth) {
  Alive alive(world);
  Outcomes children(static_cast<size_t>(1 + draw.Below(4)));
  std::vector<JoinHandle<absl::Status>> handles;
  std::vector<JoinHandle<absl::Status>> shared;
  for (Outcome& child : children) {
    handles.push_back(Launch(world, draw, Child(world, draw, depth, child)));
    shared.push_back(handles.back().Share());
  }
  auto read = [&](AsyncGenerator<absl::Status> results) -> Task<absl::Status> {
    Alive reader(world);
    size_t count = 0;
    absl::Status last;
    while (auto result = co_await results.Next()) {
      last = *result;
      ++count;
      if (draw.OneIn(6)) co_return last;  // the others are detached
    }
    world.Expect(count == children.size() || absl::IsCancelled(last),
                 "AsCompleted ended before the last task");
    co_return last;
  };
  Result<absl::Status> result;
  co_await AwaitInto<absl::Status>(read(AsCompleted(std::move(handles))), nullptr, result);
  for (JoinHandle<absl::Status>& handle : shared) {
    if (draw.OneIn(2)) handle.Cancel();
    Result<absl::Status> joined;
    co_await AwaitInto<absl::Status>(Uncancellable(handle), nullptr, joined);
  }
  ExpectJoined(world, children);
  co_return result.Take();
}

// What a group's body does: spawns, waits, cancels, and ends as it is drawn to.
Task<absl::Status> GroupBody(World& world, Draw draw, int depth, TaskGroup& group,
                             Outcomes& children, Outcome& body) {
  Alive alive(world);
  body.begun = true;
  std::vector<TaskHandle> handles;
  for (Outcome& child : children) {
    world.tasks.Begin();
    JoinHandle<absl::Status> handle = group.Spawn(Child(world, draw, depth, child));
    handle.OnDone([&world] { world.tasks.End(); });
    handles.push_back(handle);
    if (draw.OneIn(3)) co_await Pause(world, draw.Fork());
    if (draw.OneIn(6)) handle.Cancel();
    if (draw.OneIn(12)) group.Cancel();
  }
  for (TaskHandle& handle : handles) {
    world.Expect(!world.exact || !group.closing() || !handle.Cancel(),
                 "a group that was cancelled, or that failed, has not cancelled its children");
  }
  if (draw.OneIn(6)) body.status = absl::InternalError("planned, in a body");
  if (draw.OneIn(6)) body.status = co_await Sleep(world.unit * draw.Below(20));
  body.order = world.endings.fetch_add(1, internal::kRelaxed);
  body.ended = true;
  co_return body.status;
}

Task<absl::Status> GroupNode(World& world, Draw draw, int depth) {
  Alive alive(world);
  Outcomes all(static_cast<size_t>(1 + draw.Below(4)));  // the body's goes last, later
  Outcome body;
  TaskGroupOptions options;
  options.max_in_flight = static_cast<size_t>(draw.Below(3));
  Result<absl::Status> result;
  Task<absl::Status> whole = WithTaskGroup(options, [&](TaskGroup& group) {
    return GroupBody(world, draw.Fork(), depth, group, all, body);
  });
  co_await AwaitInto<absl::Status>(std::move(whole), nullptr, result);
  ExpectJoined(world, all);
  world.Expect(body.ended, "the body of a group was left behind");
  all.push_back(body);
  const Outcome* const first = Earliest(all, [](const Outcome& o) { return o.failed(); });
  const bool failed =
      result.has_exception() || (!result.value().ok() && !absl::IsCancelled(result.value()));
  world.Expect(failed == (first != nullptr), "a group failed iff no child did");
  if (first != nullptr && world.exact) {
    world.Expect(result.has_exception() == first->threw, "a group did not give its first failure");
    if (result.has_value()) {
      world.Expect(result.value().code() == first->status.code() &&
                       result.value().message().find(first->status.message()) == 0,
                   "a group did not give its first failure");
    }
  }
  if (result.has_value() && absl::IsCancelled(result.value())) {
    world.Expect(StopRequested() || absl::IsCancelled(body.status),
                 "a group was cancelled by nobody");
  }
  co_return result.Take();
}

// --- generators ---

// Counts, with a child's run between the items; cleans up when it is closed.
AsyncGenerator<absl::StatusOr<int>> Items(World& world, Draw draw, int depth, int count) {
  Alive alive(world);
  for (int n = 0; n < count; ++n) {
    if (draw.OneIn(2)) co_await Yield();
    if (draw.OneIn(3)) {
      Outcome child;
      co_await OrReturn(Child(world, draw, depth, child));
    }
    if (!(co_yield n)) {
      world.cleanups.Begin();
      world.Expect(StopRequested(), "the generator that is closed sees no stop");
      co_await OrReturn(Uncancellable(CleanUp(world, draw.Fork())));
      co_return;
    }
  }
}

Task<absl::Status> GeneratorNode(World& world, Draw draw, int depth) {
  Alive alive(world);
  const int count = draw.Below(6);
  const int enough = draw.Below(8);
  auto items = Items(world, draw.Fork(), depth, count);
  int expected = 0;
  bool ended = false;
  absl::Status status;
  while (expected < enough) {
    auto item = co_await items.Next();
    ended = !item.has_value() || !item->ok();
    if (item.has_value()) status = item->status();
    if (ended) break;
    world.Expect(**item == expected++, "a generator gave its items in another order");
  }
  if (ended) world.Expect(!items.valid(), "a generator that has ended is still there");
  if (ended && status.ok()) world.Expect(expected == count, "a generator ended early");
  if (draw.OneIn(2)) {
    const absl::Status closed = co_await items.Close();
    world.Expect(closed.ok() && !items.valid(), "a generator could not be closed");
  }
  co_return status;
}

constexpr Kind kBranches[] = {
    {"Timeout", &TimeoutNode},     {"CancelScope", &CancelScopeNode},
    {"Cleanup", &CleanupNode},     {"WithAsync", &WithAsyncNode},
    {"Handle", &HandleNode},       {"On", &OnNode},
    {"Shield", &ShieldNode},       {"Detached", &DetachedNode},
    {"Sequence", &SequenceNode},   {"Gather", &GatherNode},
    {"GatherAll", &GatherAllNode}, {"Select", &SelectNode},
    {"Wait", &WaitNode},           {"AsCompleted", &AsCompletedNode},
    {"TaskGroup", &GroupNode},     {"AsyncGenerator", &GeneratorNode},
};

// --- whole programs ---

// Longer than any program takes, and only reached when nothing else is left to happen.
Task<void> Watch(World& world) {
  Alive alive(world);
  const absl::Duration patience = world.exact ? absl::Hours(1'000'000) : absl::Seconds(100);
  const absl::Status slept = co_await Sleep(patience);
  PLAIT_CHECK(!slept.ok(), absl::StrCat("the program of PLAIT_STRESS_SEED=", world.seed, " hangs"));
}

}  // namespace

absl::Span<const Kind> Branches() { return kBranches; }

Task<void> RunProgram(World& world, const Kind* kind) {
  Alive alive(world);
  Draw draw(world.seed);
  JoinHandle<void> watchdog = Spawn(Watch(world));
  Outcome outcome;
  JoinHandle<absl::Status> root =
      Launch(world, draw, RunNode(world, draw.Fork(), 0, outcome, kind));
  co_await Pause(world, draw.Fork());
  if (draw.OneIn(3)) {
    static_cast<void>(co_await Sleep(world.unit * draw.Below(60)));
    if (!root.done()) CancelOnce(world, root);
  }
  Result<absl::Status> result;
  co_await AwaitInto<absl::Status>(internal::AsTask(root), nullptr, result);
  world.Expect(outcome.begun == outcome.ended, "the program's task was left behind");
  // Detached tasks detach others.
  for (auto left = world.TakeDetached(); !left.empty(); left = world.TakeDetached()) {
    for (TaskHandle& handle : left) {
      if (draw.OneIn(2)) handle.Cancel();
      while (!handle.done()) static_cast<void>(co_await Sleep(world.unit));
      handle.error().IgnoreError();  // it was looked at
    }
  }
  watchdog.Cancel();
  co_await watchdog;
}

}  // namespace plait::stress
