// WorkerSleep in every execution of small programs; every memory order weakened.
//
// Traps: the wake-up lost between check and park, which is a deadlock here.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "gtest/gtest.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/deadline.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/testing/explorer/expect.h"
#include "plait/runtime/testing/explorer/explorer.h"
#include "plait/schedulers/work_stealing/sleepy_reactor.h"
#include "plait/schedulers/work_stealing/worker_sleep.h"

namespace plait::internal {
namespace {

using explorer::Event;
using explorer::ExpectAllExecutionsPass;
using explorer::ExpectMutantsKilled;
using explorer::Parallel;
using explorer::Require;
using explorer::Scenario;

struct Worker {
  explicit Worker(bool begins_asleep = false) : state(nullptr, begins_asleep) {}

  void Sleep(bool in_reactor = false) {
    if (!state.Begin(in_reactor)) return;
    state.Block(Deadline::Infinite(), clock, ready);
    state.End();
  }

  WorkerSleep state;
  StoppedClock clock;
  WorkQueue ready;
};

// Who is woken, before it sleeps, while or when it is about to, sees what it was woken for.
void OneWake() {
  Worker worker;
  int written = 0;
  Parallel({[&] {
              worker.Sleep();
              Require(written == 1, "what it was woken for is visible");
            },
            [&] {
              written = 1;
              worker.state.Wake();
            }});
}

// Wake-ups may be one, and then it sees what each of them was for.
void TwoWakes() {
  Worker worker;
  int written[2] = {};
  Atomic<int> woken = 0;
  const auto wake = [&](int which) {
    written[which] = 1;
    woken.fetch_add(1, kRelaxed);
    worker.state.Wake();
  };
  Parallel({[&] {
              while (woken.load(kRelaxed) != 2) worker.Sleep();
            },
            [&] { wake(0); }, [&] { wake(1); }});
}

// A reactor that was made when others knew of the worker already: who finds it asleep there may
// wake it there.
void AReactorThatWasMadeLate() {
  Worker worker;
  SleepyReactor reactor;
  Parallel({[&] {
              worker.state.set_reactor(&reactor);
              worker.Sleep(/*in_reactor=*/true);
            },
            [&] { worker.state.Wake(); }});
}

// And who asks for it may use it.
void ALateReactorIsAskedFor() {
  Worker worker;
  std::unique_ptr<SleepyReactor> reactor;
  Parallel({[&] {
              reactor = std::make_unique<SleepyReactor>();
              worker.state.set_reactor(reactor.get());
            },
            [&] {
              if (Reactor* const made = worker.state.reactor()) {
                Require(made->in_flight() == 1, "it is whole");
              }
            }});
}

// A worker without a thread sleeps until something is posted to it. Its thread then begins, and
// once it sleeps again, it is done.
void AWorkerThatBeginsLate() {
  Worker worker(/*begins_asleep=*/true);
  int posted = 0;
  Parallel({[&] {
              Require(worker.state.asleep(), "there is nothing yet");
              posted = 1;
              worker.state.Wake();
              Require(!worker.state.asleep() || posted == 2, "it is awake until that is done");
            },
            [&] {
              if (worker.state.asleep()) return;  // it is not needed
              worker.state.End();
              Require(posted == 1, "what it began for is visible");
              posted = 2;
              Require(worker.state.Begin(/*in_reactor=*/false), "nobody wakes it again");
            }});
}

// Of workers that fall asleep, the last sees that all sleep.
void TwoFallAsleep() {
  Worker one, two;
  bool one_sees = false, two_sees = false;
  const auto fall_asleep = [](Worker& self, Worker& other, bool& sees) {
    Require(self.state.Begin(/*in_reactor=*/false), "nobody has woken it");
    sees = other.state.asleep();
  };
  Parallel({[&] { fall_asleep(one, two, one_sees); }, [&] { fall_asleep(two, one, two_sees); }});
  Require(one_sees || two_sees, "the last one sees it");
}

// Somebody who waits for workers to sleep says so first; a worker that falls asleep looks at that.
void ItsWatcherAwaitsItsSleep() {
  Worker worker;
  SleepWatch watch;
  bool found_asleep = false, tells = false;
  Parallel({[&] {
              Require(worker.state.Begin(/*in_reactor=*/false), "nobody has woken it");
              tells = watch.on();
            },
            [&] {
              watch.Begin();
              found_asleep = worker.state.asleep();
            }});
  Require(found_asleep || tells, "the watcher waits, and nobody tells it of the worker");
}

// The last of the workers to sleep finds out whether all reactors were asked since the last item
// had run: that item may have written to a pipe.
void OneAsksItsReactorWhileTheOtherRuns() {
  Worker runs, asks;
  RestCount rests;
  Atomic<int> pipe = 0;
  Atomic<uint64_t> asked_at = 0;
  int found = 0;
  const auto look = [&] {
    if (!runs.state.asleep() || !asks.state.asleep()) return;
    if (asked_at.load(kRelaxed) == rests.count()) Require(found == 1, "it has asked since");
  };
  Parallel({[&] {
              pipe.store(1, kRelaxed);
              rests.Note();
              Require(runs.state.Begin(/*in_reactor=*/false), "nobody has woken it");
              look();
            },
            [&] {
              const uint64_t count = rests.count();
              found = pipe.load(kRelaxed);
              asked_at.store(count, kRelaxed);
              Require(asks.state.Begin(/*in_reactor=*/true), "nobody has woken it");
              look();
            }});
}

// Somebody who sleeps while the worker does says so first; a worker that wakes up looks at that.
void ItsWatcherFallsAsleep() {
  Worker worker;
  SleepWatch watch;
  bool found_awake = false, tells = false;
  Parallel({[&] {
              worker.Sleep();
              tells = watch.on();
            },
            [&] { worker.state.Wake(); },
            [&] {
              watch.Begin();
              found_awake = !worker.state.asleep();
            }});
  Require(found_awake || tells, "the watcher sleeps, and nobody tells it of the worker");
}

// The same, of a worker that has no thread yet to say that it is awake.
void ItIsPostedToBeforeItBegins() {
  Worker worker(/*begins_asleep=*/true);
  SleepWatch watch;
  bool found_awake = false, tells = false;
  Parallel({[&] {
              worker.state.Wake();
              tells = watch.on();
            },
            [&] {
              watch.Begin();
              found_awake = !worker.state.asleep();
            }});
  Require(found_awake || tells, "the watcher sleeps, and nobody tells it of the worker");
}

std::vector<Scenario> Scenarios() {
  return {{"one wake", OneWake},
          {"two wakes", TwoWakes},
          {"a reactor that was made late", AReactorThatWasMadeLate},
          {"a late reactor is asked for", ALateReactorIsAskedFor},
          {"a worker that begins late", AWorkerThatBeginsLate},
          {"two fall asleep", TwoFallAsleep},
          {"its watcher awaits its sleep", ItsWatcherAwaitsItsSleep},
          {"its watcher falls asleep", ItsWatcherFallsAsleep},
          {"it is posted to before it begins", ItIsPostedToBeforeItBegins},
          {"one asks its reactor while the other runs", OneAsksItsReactorWhileTheOtherRuns}};
}

TEST(WorkerSleepExploredTest, NoWakeUpIsLost) { ExpectAllExecutionsPass(Scenarios()); }

TEST(WorkerSleepExploredTest, WeakeningAnyMemoryOrderIsNoticed) {
  ExpectMutantsKilled("schedulers/work_stealing/worker_sleep.", Scenarios(), 10);
}

}  // namespace
}  // namespace plait::internal
