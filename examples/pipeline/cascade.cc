#include "plait/examples/pipeline/cascade.h"

#include <deque>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "plait/examples/support/timing.h"

namespace examples {
namespace {

using Photos = plait::Queue<int64_t>;  // by number

// What the stages of one run share.
struct Studio {
  Studio(const Plan& p, Console& c, plait::Clock& clock) : plan(p), console(c), watch(clock) {
    for (size_t i = 0; i < plan.stages.size(); ++i) {
      queues.emplace_back(plan.capacity);
      working.push_back(plan.stages[i].workers);
      outcome.done.push_back(0);
      outcome.pushed_back.push_back(0);
    }
  }

  void Say(size_t stage, const std::string& what, Color color = Color::kPlain) {
    console.Print(absl::StrFormat("%s %s%-6s %s", Stamp(watch.elapsed()),
                                  std::string(10 * stage, ' '), plan.stages[stage].name, what),
                  color);
  }

  // Between stage `i` - 1 and stage `i`; the first is what the source puts into.
  Photos& before(size_t stage) { return queues[stage]; }
  bool last(size_t stage) const { return stage + 1 == plan.stages.size(); }

  const Plan& plan;
  Console& console;
  const Stopwatch watch;
  std::deque<Photos> queues;
  std::vector<int64_t> working;  // tasks of each stage that have not ended
  Outcome outcome;
};

// Hands `photo` on to the stage behind `stage`, and waits while there is no room for it.
plait::Task<absl::Status> HandOn(Studio& studio, size_t stage, int64_t photo) {
  Photos& next = studio.before(stage + 1);
  if (next.full()) {
    ++studio.outcome.pushed_back[stage];
    studio.Say(stage,
               absl::StrCat("waits with ", photo, ": the queue to ",
                            studio.plan.stages[stage + 1].name, " is full"),
               Color::kDim);
  }
  co_return co_await next.Put(photo);
}

// The work of one task of a stage: until nothing comes any more.
plait::Task<absl::Status> Work(Studio& studio, size_t stage) {
  Photos& photos = studio.before(stage);
  for (;;) {
    const absl::StatusOr<int64_t> photo = co_await photos.Get();
    if (absl::IsFailedPrecondition(photo.status())) break;  // closed, and nothing is left
    if (!photo.ok()) co_return photo.status();              // cancelled
    studio.Say(stage, absl::StrCat("begins ", *photo), Color::kYellow);
    co_await plait::OrReturn(plait::Sleep(studio.plan.stages[stage].time));
    if (stage == 1 && *photo == studio.plan.broken) {
      studio.Say(stage, absl::StrCat("cannot do ", *photo), Color::kRed);
      co_return absl::DataLossError(absl::StrCat("photograph ", *photo, " is damaged"));
    }
    ++studio.outcome.done[stage];
    studio.Say(stage, absl::StrCat("has done ", *photo), Color::kCyan);
    if (!studio.last(stage)) co_await plait::OrReturn(HandOn(studio, stage, *photo));
  }
  if (--studio.working[stage] == 0) {
    studio.Say(stage, "is finished", Color::kGreen);
    if (!studio.last(stage)) studio.before(stage + 1).Close();
  }
  co_return absl::OkStatus();
}

// Puts every photograph before the first stage, and closes.
plait::Task<absl::Status> Source(Studio& studio) {
  for (int64_t photo = 1; photo <= studio.plan.photos; ++photo) {
    co_await plait::OrReturn(studio.before(0).Put(photo));
  }
  studio.before(0).Close();
  co_return absl::OkStatus();
}

// Here all stages are connected. The first error ends them all.
plait::Task<absl::Status> RunStages(Studio& studio) {
  std::vector<plait::Task<absl::Status>> tasks;
  tasks.push_back(Source(studio));
  for (size_t stage = 0; stage < studio.plan.stages.size(); ++stage) {
    for (int64_t n = 0; n < studio.plan.stages[stage].workers; ++n) {
      tasks.push_back(Work(studio, stage));
    }
  }
  co_return co_await plait::Gather(std::move(tasks));
}

}  // namespace

absl::Duration OneAfterTheOther(const Plan& plan) {
  absl::Duration each;
  for (const Stage& stage : plan.stages) each += stage.time;
  return each * plan.photos;
}

absl::StatusOr<Outcome> RunCascade(const Plan& plan, Console& console,
                                   const plait::RunOptions& options) {
  Studio studio(plan, console, options.clock == nullptr ? plait::Clock::Real() : *options.clock);
  const absl::Status status = plait::Run(RunStages(studio), options);
  if (!status.ok()) return status;
  studio.outcome.total = studio.watch.elapsed();
  return studio.outcome;
}

}  // namespace examples
