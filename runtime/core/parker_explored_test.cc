// Parker, and the Futex under it, in every execution of small programs; every memory order
// weakened.
//
// Traps: the wake-up lost between check and park, which is a deadlock here.
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/futex.h"
#include "plait/runtime/core/parker.h"
#include "plait/runtime/testing/explorer/expect.h"
#include "plait/runtime/testing/explorer/explorer.h"

namespace plait::internal {
namespace {

using explorer::ExpectAllExecutionsPass;
using explorer::ExpectMutantsKilled;
using explorer::Explore;
using explorer::Parallel;
using explorer::Report;
using explorer::Require;
using explorer::Scenario;

// Each look at it is a nanosecond later.
class CountingClock final : public Clock {
 public:
  Deadline Now() noexcept override { return Deadline::AtNanos(now_++); }
  absl::Time WallTime() noexcept override { return absl::UnixEpoch(); }

 private:
  int64_t now_ = 0;
};

struct Program {
  Parker parker;
  CountingClock clock;
  int written[2] = {};  // before a Wake

  bool Park(Deadline deadline = Deadline::Infinite()) { return parker.Park(deadline, clock); }
  void WriteAndWake(int which) {
    written[which] = 1;
    parker.Wake();
  }
};

void OneWake() {
  Program program;
  Parallel({[&] {
              Require(program.Park(), "it was woken");
              Require(program.written[0] == 1, "what came before the wake-up is visible");
            },
            [&] { program.WriteAndWake(0); }});
}

// What the thread waits for is not the wake-up, but what came with it.
void TwoWakers() {
  Program program;
  Atomic<int> done = 0;
  const auto wake = [&](int which) {
    program.written[which] = 1;
    done.fetch_add(1, kRelaxed);
    program.parker.Wake();
  };
  Parallel({[&] {
              while (done.load(kRelaxed) != 2) program.Park();
            },
            [&] { wake(0); }, [&] { wake(1); }});
}

// Two wake-ups before a Park are one, and it sees what came before each.
void BothWereBefore() {
  Program program;
  Atomic<int> woken = 0;
  const auto wake = [&](int which) {
    program.WriteAndWake(which);
    woken.fetch_add(1, kRelaxed);
  };
  Parallel({[&] {
              if (woken.load(kRelaxed) != 2) return;
              Require(program.Park(), "it was woken");
              Require(program.written[0] + program.written[1] == 2, "by both");
            },
            [&] { wake(0); }, [&] { wake(1); }});
}

// A sleep that its deadline ends, whenever that is, leaves nothing behind.
void ADeadline() {
  Program program;
  Parallel({[&] {
              if (program.Park(Deadline::AtNanos(1))) {
                Require(program.written[0] == 1, "what came before the wake-up is visible");
                Require(!program.Park(Deadline::AtNanos(2)), "it was woken once");
              } else {
                Require(program.Park(), "it is woken later, or was meanwhile");
                Require(program.written[0] == 1, "what came before the wake-up is visible");
              }
            },
            [&] { program.WriteAndWake(0); }});
}

std::vector<Scenario> Scenarios() {
  return {{"one wake", OneWake},
          {"a deadline", ADeadline},
          {"both were before", BothWereBefore},
          {"two wakers", TwoWakers}};
}

TEST(ParkerExploredTest, NoWakeUpIsLost) { ExpectAllExecutionsPass(Scenarios()); }

TEST(ParkerExploredTest, WeakeningAnyMemoryOrderIsNoticed) {
  ExpectMutantsKilled("runtime/core/parker.", Scenarios(), 3);
}

// Of what stands in for the system's futex elsewhere. The words order nothing: only what the table
// does brings a sleeper and a wake-up together.
struct TableProgram {
  void Sleep(Atomic<uint32_t>& word) {
    while (word.load(kRelaxed) == 0) table.Wait(word, 0, absl::InfiniteDuration());
  }
  void Change(Atomic<uint32_t>& word) {
    word.store(1, kRelaxed);
    table.Wake(word);
  }

  FutexTable table;
  Atomic<uint32_t> one = 0;
  Atomic<uint32_t> other = 0;
};

void TableOneSleeps() {
  TableProgram program;
  Parallel({[&] { program.Sleep(program.one); }, [&] { program.Change(program.one); }});
}

void TableTwoSleep() {
  TableProgram program;
  Parallel({[&] { program.Sleep(program.one); }, [&] { program.Sleep(program.one); },
            [&] { program.Change(program.one); }});
}

// The place of a word is another's next.
void TableTwoWords() {
  TableProgram program;
  Parallel({[&] {
              program.Sleep(program.one);
              program.Sleep(program.other);
            },
            [&] { program.Change(program.one); }, [&] { program.Change(program.other); }});
}

std::vector<Scenario> TableScenarios() {
  return {{"one sleeps in a table", TableOneSleeps},
          {"two words in a table", TableTwoWords},
          {"two sleep in a table", TableTwoSleep}};
}

TEST(FutexTableExploredTest, NoWakeUpIsLost) { ExpectAllExecutionsPass(TableScenarios()); }

TEST(FutexTableExploredTest, WeakeningAnyMemoryOrderIsNoticed) {
  ExpectMutantsKilled("runtime/core/futex.", TableScenarios(), 11);
}

// The explorer's futex does lose the wake-ups of those who use it wrongly.
TEST(FutexExploredTest, AWakeUpBeforeTheWordChangesIsLost) {
  const Report report = Explore([] {
    Atomic<uint32_t> word = 0;
    Parallel({[&] { FutexWait(word, 0, absl::InfiniteDuration()); },
              [&] {
                FutexWake(word);
                word.store(1, kRelaxed);
              }});
  });
  EXPECT_NE(report.failure.find("deadlock"), std::string::npos) << report.ToString();
}

TEST(FutexExploredTest, AWakeUpAfterTheWordHasChangedIsNot) {
  const Report report = Explore([] {
    Atomic<uint32_t> word = 0;
    Parallel({[&] { FutexWait(word, 0, absl::InfiniteDuration()); },
              [&] {
                word.store(1, kRelaxed);
                FutexWake(word);
              }});
  });
  EXPECT_TRUE(report.ok()) << report.ToString();
}

TEST(FutexExploredTest, ItOrdersNothing) {
  const Report report = Explore([] {
    Atomic<uint32_t> word = 0;
    int written = 0;
    Parallel({[&] {
                while (word.load(kRelaxed) == 0) FutexWait(word, 0, absl::InfiniteDuration());
                Require(written == 1, "visible");
              },
              [&] {
                written = 1;
                word.store(1, kRelaxed);
                FutexWake(word);
              }});
  });
  EXPECT_NE(report.failure.find("data race"), std::string::npos) << report.ToString();
}

}  // namespace
}  // namespace plait::internal
