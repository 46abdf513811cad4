// An executor's tasks under the explorer: its thread, which soon has its list to itself, against
// those who look.
//
// Traps: a task that is missed, or seen twice, while another thread takes the list's lock away.
#include <cstddef>
#include <vector>

#include "gtest/gtest.h"
#include "plait/runtime/core/task_registry.h"
#include "plait/runtime/testing/explorer/expect.h"
#include "plait/runtime/testing/explorer/explorer.h"

namespace plait::internal {
namespace {

using explorer::ExpectAllExecutionsPass;
using explorer::Parallel;
using explorer::Require;
using explorer::Scenario;

size_t Seen(ExecutorTasks& tasks) {
  size_t seen = 0;
  tasks.ForEach([&seen](TaskLink&) { ++seen; });
  return seen;
}

void ItsThreadComesAndGoesWhileAnotherLooks() {
  ExecutorTasks tasks;
  TaskLink lasting, brief;
  Parallel({[&] {
              tasks.Add(lasting, /*own=*/true);
              for (int i = 0; i < 2; ++i) {
                tasks.Add(brief, /*own=*/true);
                tasks.Remove(brief, /*own=*/true);
              }
            },
            [&] {
              const size_t seen = Seen(tasks);
              Require(seen <= 2, "each is seen once");
            }});
  Require(Seen(tasks) == 1, "one is left");
}

void AnotherEndsWhatItsThreadHasBegun() {
  ExecutorTasks tasks;
  TaskLink first, second, third;
  tasks.Add(first, /*own=*/true);
  Parallel({[&] {
              tasks.Add(second, /*own=*/true);
              tasks.Add(third, /*own=*/true);
              tasks.Remove(second, /*own=*/true);
            },
            [&] { tasks.Remove(first, /*own=*/true); }});
  Require(tasks.size() == 1 && Seen(tasks) == 1, "one is left");
}

// There is one at any time, in one list or the other.
void OneBeginsAnother(bool own) {
  ExecutorTasks tasks;
  TaskLink first, second;
  tasks.Add(first, own);
  Parallel({[&] {
              tasks.Add(second, !own);
              tasks.Remove(first, own);
            },
            [&] { Require(tasks.size() > 0, "there is always one"); }});
}

void OneOfItsOwnBeginsAnotherElsewhere() { OneBeginsAnother(/*own=*/true); }
void OneFromElsewhereBeginsOneOfItsOwn() { OneBeginsAnother(/*own=*/false); }

// Either the one that closes finds the task, or the task is told.
void ItClosesWhileATaskIsAdded() {
  ExecutorTasks tasks;
  TaskLink link;
  bool open = false;
  size_t found = 0;
  Parallel({[&] { open = tasks.Add(link, /*own=*/true); },
            [&] {
              tasks.Close();
              found = Seen(tasks);
            }});
  Require(!open || found == 1, "a task is missed");
}

TEST(TaskRegistryExploredTest, NoTaskIsMissed) {
  ExpectAllExecutionsPass(
      {{"its thread comes and goes while another looks", ItsThreadComesAndGoesWhileAnotherLooks},
       {"another ends what its thread has begun", AnotherEndsWhatItsThreadHasBegun},
       {"one of its own begins another elsewhere", OneOfItsOwnBeginsAnotherElsewhere},
       {"one from elsewhere begins one of its own", OneFromElsewhereBeginsOneOfItsOwn},
       {"it closes while a task is added", ItClosesWhileATaskIsAdded}});
}

}  // namespace
}  // namespace plait::internal
