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

// As a task that is begun on a thread of its executor.
bool AddOwn(ExecutorTasks& tasks, TaskLink& link) {
  return tasks.AddQuickly(link) || tasks.Add(link, /*own=*/true);
}

void ItsThreadComesAndGoesWhileAnotherLooks() {
  ExecutorTasks tasks;
  TaskLink lasting, brief;
  Parallel({[&] {
              tasks.Add(lasting, /*own=*/true);
              for (int i = 0; i < 2; ++i) {
                AddOwn(tasks, brief);
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

// Either the one that closes finds the task, or the task is told. The list is its thread's own by
// the second.
void ItClosesWhileTasksAreAdded() {
  ExecutorTasks tasks;
  TaskLink links[3];
  size_t open = 0;
  size_t found = 0;
  Parallel({[&] {
              for (TaskLink& link : links) open += AddOwn(tasks, link) ? 1 : 0;
            },
            [&] {
              tasks.Close();
              found = Seen(tasks);
            }});
  Require(open <= found, "a task is missed");
  Require(Seen(tasks) == 3, "each is there once");
}

TEST(TaskRegistryExploredTest, NoTaskIsMissed) {
  ExpectAllExecutionsPass(
      {{"its thread comes and goes while another looks", ItsThreadComesAndGoesWhileAnotherLooks},
       {"another ends what its thread has begun", AnotherEndsWhatItsThreadHasBegun},
       {"one of its own begins another elsewhere", OneOfItsOwnBeginsAnotherElsewhere},
       {"one from elsewhere begins one of its own", OneFromElsewhereBeginsOneOfItsOwn},
       {"it closes while tasks are added", ItClosesWhileTasksAreAdded}});
}

}  // namespace
}  // namespace plait::internal
