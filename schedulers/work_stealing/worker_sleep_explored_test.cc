// WorkerSleep in every execution of small programs; every memory order weakened.
//
// Traps: the wake-up lost between check and park, which is a deadlock here.
#include <cstddef>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/deadline.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/reactor.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/testing/explorer/expect.h"
#include "plait/runtime/testing/explorer/explorer.h"
#include "plait/schedulers/work_stealing/worker_sleep.h"

namespace plait::internal {
namespace {

using explorer::Event;
using explorer::ExpectAllExecutionsPass;
using explorer::ExpectMutantsKilled;
using explorer::Parallel;
using explorer::Require;
using explorer::Scenario;

class StoppedClock final : public Clock {
 public:
  Deadline Now() noexcept override { return Deadline::AtNanos(0); }
  absl::Time WallTime() noexcept override { return absl::UnixEpoch(); }
};

// A reactor in which nothing ever happens but wake-ups, which it remembers.
class SleepyReactor final : public Reactor {
 public:
  absl::string_view name() const override { return "sleepy"; }
  void Submit(IoOperation&) noexcept override {}
  void Cancel(IoOperation&) noexcept override {}
  void Poll(Deadline, Clock&, WorkQueue&) noexcept override { woken_.Wait(); }
  void Wake() noexcept override { woken_.Set(); }
  size_t in_flight() const noexcept override { return 1; }

 private:
  Event woken_;
};

struct Worker {
  explicit Worker(Reactor* reactor = nullptr) : state(reactor) {}

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

// Somebody who sleeps while the worker does says so first; a worker that wakes up looks at that.
void ItsWatcherFallsAsleep() {
  Worker worker;
  Atomic<bool> watcher_sleeps = false;
  bool found_awake = false, tells = false;
  Parallel({[&] {
              worker.Sleep();
              tells = watcher_sleeps.load(kSeqCst);
            },
            [&] { worker.state.Wake(); },
            [&] {
              watcher_sleeps.store(true, kSeqCst);
              found_awake = !worker.state.asleep();
            }});
  Require(found_awake || tells, "the watcher sleeps, and nobody tells it of the worker");
}

std::vector<Scenario> Scenarios() {
  return {{"one wake", OneWake},
          {"two wakes", TwoWakes},
          {"a reactor that was made late", AReactorThatWasMadeLate},
          {"two fall asleep", TwoFallAsleep},
          {"its watcher falls asleep", ItsWatcherFallsAsleep}};
}

TEST(WorkerSleepExploredTest, NoWakeUpIsLost) { ExpectAllExecutionsPass(Scenarios()); }

TEST(WorkerSleepExploredTest, WeakeningAnyMemoryOrderIsNoticed) {
  ExpectMutantsKilled("schedulers/work_stealing/worker_sleep.", Scenarios(), 5);
}

}  // namespace
}  // namespace plait::internal
