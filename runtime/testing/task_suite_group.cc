// TaskGroup. The numbers in the tests' names are those of the list "What any event loop must get
// right".
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/task/future.h"
#include "plait/runtime/task/join_handle.h"
#include "plait/runtime/task/spawn.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/task/task_group.h"
#include "plait/runtime/task/uncancellable.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/task_programs.h"
#include "plait/runtime/testing/task_suite.h"

namespace plait {
namespace {

using namespace testing_programs;  // NOLINT: they are this file's own words

using internal::Atomic;

// Ends well, after some turns, and says so; counts how many of its kind live.
Task<absl::Status> Counted(Atomic<int>* ended, int turns) {
  co_await Turns(turns);
  ended->fetch_add(1, internal::kRelaxed);
  co_return absl::OkStatus();
}

TEST_P(TaskSuite, AGroupJoinsAllOfItsChildren) {
  Atomic<int> ended{0};
  const absl::Status status = Await([&]() -> Task<absl::Status> {
    co_return co_await WithTaskGroup([&](TaskGroup& group) -> Task<absl::Status> {
      for (int i = 0; i < 5; ++i) group.Spawn(Counted(&ended, i * 3));
      EXPECT_FALSE(group.closing());
      co_return absl::OkStatus();
    });
  });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(ended.load(internal::kRelaxed), 5);
}

TEST_P(TaskSuite, AnEmptyGroupEndsWell) {
  const absl::Status status = Await([]() -> Task<absl::Status> {
    co_return co_await WithTaskGroup([](TaskGroup&) -> Task<absl::Status> { return Ok(); });
  });
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(TaskSuite, AGroupTakesChildrenOfEveryType) {
  const absl::Status status = Await([]() -> Task<absl::Status> {
    co_return co_await WithTaskGroup([](TaskGroup& group) -> Task<absl::Status> {
      JoinHandle<int> value = group.Spawn(Give(1));
      JoinHandle<void> nothing = group.Spawn(Nothing());
      JoinHandle<absl::StatusOr<int>> status_or = group.Spawn(GiveOr(2), {.name = "two"});
      JoinHandle<std::unique_ptr<int>> move_only = group.Spawn(GiveMoveOnly(3));
      const int one = co_await value;
      co_await nothing;
      const absl::StatusOr<int> two = co_await status_or;
      const std::unique_ptr<int> three = co_await move_only;
      EXPECT_EQ(one, 1);
      EXPECT_EQ(*two, 2);
      EXPECT_EQ(*three, 3);
      EXPECT_EQ(status_or.name(), "two");
      co_return absl::OkStatus();
    });
  });
  EXPECT_TRUE(status.ok()) << status;
}

Task<absl::Status> SpawnDown(TaskGroup* group, Atomic<int>* ended, int depth) {
  co_await Yield();
  if (depth > 0) {
    group->Spawn(SpawnDown(group, ended, depth - 1));
    group->Spawn(SpawnDown(group, ended, depth - 1));
  }
  ended->fetch_add(1, internal::kRelaxed);
  co_return absl::OkStatus();
}

TEST_P(TaskSuite, AGroupJoinsChildrenThatItsChildrenSpawn) {
  Atomic<int> ended{0};
  const absl::Status status = Await([&]() -> Task<absl::Status> {
    co_return co_await WithTaskGroup([&](TaskGroup& group) -> Task<absl::Status> {
      group.Spawn(SpawnDown(&group, &ended, 6));
      co_return absl::OkStatus();
    });
  });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(ended.load(internal::kRelaxed), 127);
}

TEST_P(TaskSuite, Line51AFailingChildCancelsItsSiblingsAndTheBodyAndAllAreJoined) {
  Atomic<int> ended{0};
  bool body_cancelled = false;
  const absl::Status status = Await([&]() -> Task<absl::Status> {
    co_return co_await WithTaskGroup([&](TaskGroup& group) -> Task<absl::Status> {
      for (int i = 0; i < 3; ++i) group.Spawn(CountedForever(&ended));
      group.Spawn(TurnsThenFail(4, "the culprit"));
      co_return co_await ForeverNoting(&body_cancelled);
    });
  });
  EXPECT_EQ(status, absl::InternalError("the culprit"));
  EXPECT_TRUE(body_cancelled);
  EXPECT_EQ(ended.load(internal::kRelaxed), 3);
}

TEST_P(TaskSuite, Line51AFailingBodyCancelsTheChildrenWhichAreJoined) {
  Atomic<int> ended{0};
  const absl::Status status = Await([&]() -> Task<absl::Status> {
    co_return co_await WithTaskGroup([&](TaskGroup& group) -> Task<absl::Status> {
      for (int i = 0; i < 3; ++i) group.Spawn(CountedForever(&ended));
      co_await Turns(5);
      co_return absl::NotFoundError("body");
    });
  });
  EXPECT_EQ(status, absl::NotFoundError("body"));
  EXPECT_EQ(ended.load(internal::kRelaxed), 3);
}

TEST_P(TaskSuite, Line52EveryErrorIsReportedTheFirstOneFirst) {
  std::vector<absl::Status> errors;
  const absl::Status status = Await([&]() -> Task<absl::Status> {
    TaskGroup group;
    group.Spawn(FailWhenCancelled("second"));
    group.Spawn(FailWhenCancelled("third"));
    co_await Turns(3);
    group.Spawn(FailWith("first"));
    absl::Status joined = co_await group.Join();
    errors = group.errors();
    co_return joined;
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_TRUE(absl::StartsWith(status.message(), "first")) << status;
  for (const char* each : {"2 more", "second", "third", "DATA_LOSS"}) {
    EXPECT_TRUE(absl::StrContains(status.message(), each)) << each << " in " << status;
  }
  ASSERT_EQ(errors.size(), 3u);
  EXPECT_EQ(errors[0], absl::InternalError("first"));
  EXPECT_EQ(errors[1].code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(errors[2].code(), absl::StatusCode::kDataLoss);
}

TEST_P(TaskSuite, Line53AnOuterCancelReachesBodyAndChildrenAndIsNotSwallowed) {
  Await([&]() -> Task<void> {
    auto run_group = [](Atomic<int>* ended, bool* body_cancelled) -> Task<absl::Status> {
      auto body = [ended, body_cancelled](TaskGroup& group) -> Task<absl::Status> {
        group.Spawn(CountedForever(ended));
        group.Spawn(CountedForever(ended));
        static_cast<void>(co_await ForeverNoting(body_cancelled));
        co_return absl::OkStatus();  // the body keeps it to itself; the group does not
      };
      co_return co_await WithTaskGroup(body);
    };
    Atomic<int> ended{0};
    bool body_cancelled = false;
    JoinHandle<absl::Status> handle = Spawn(run_group(&ended, &body_cancelled));
    co_await Turns(10);
    EXPECT_FALSE(handle.done());
    handle.Cancel();
    const absl::Status status = co_await handle;
    EXPECT_TRUE(absl::IsCancelled(status)) << status;
    EXPECT_TRUE(handle.cancelled());
    if (!ordered()) co_return;  // on a pool the cancel may come before the body or a child began
    EXPECT_TRUE(body_cancelled);
    EXPECT_EQ(ended.load(internal::kRelaxed), 2);
  });
}

TEST_P(TaskSuite, Line53AnOuterCancelThatCutNothingShortLeavesASuccess) {
  Await([]() -> Task<void> {
    auto run_group = [](Future<int> gate) -> Task<absl::Status> {
      auto body = [gate](TaskGroup&) -> Task<absl::Status> {
        const absl::StatusOr<int> opened = co_await Uncancellable(gate);
        co_return opened.status();
      };
      co_return co_await WithTaskGroup(body);
    };
    Promise<int> gate;
    JoinHandle<absl::Status> handle = Spawn(run_group(gate.future()));
    co_await Turns(5);
    handle.Cancel();
    gate.Set(1);
    const absl::Status status = co_await handle;
    EXPECT_TRUE(status.ok()) << status;
  });
}

TEST_P(TaskSuite, Line53AFailureOfAChildIsReportedThoughAnOuterCancelCameToo) {
  Await([]() -> Task<void> {
    auto child = [](Promise<void>* begun) -> Task<absl::Status> {
      begun->Set();
      co_return co_await FailWhenCancelled("flush failed");
    };
    auto run_group = [child](Promise<void>* begun) -> Task<absl::Status> {
      auto body = [child, begun](TaskGroup& group) -> Task<absl::Status> {
        group.Spawn(child(begun));
        co_return co_await Forever();
      };
      co_return co_await WithTaskGroup(body);
    };
    Promise<void> begun;
    Future<void> has_begun = begun.future();
    JoinHandle<absl::Status> handle = Spawn(run_group(&begun));
    static_cast<void>(co_await has_begun);
    handle.Cancel();
    const absl::Status status = co_await handle;
    EXPECT_EQ(status, absl::DataLossError("flush failed"));
  });
}

TEST_P(TaskSuite, Line57SpawningIntoAClosingGroupIsRejectedAndTheTaskNeverRuns) {
  Await([]() -> Task<void> {
    auto argument = std::make_shared<int>(1);
    auto touch = [](bool* flag, std::shared_ptr<int>) -> Task<absl::Status> {
      *flag = true;
      co_return absl::OkStatus();
    };
    bool ran = false;
    TaskGroup group;
    group.Cancel();
    EXPECT_TRUE(group.closing());
    JoinHandle<absl::Status> rejected = group.Spawn(touch(&ran, argument));
    EXPECT_TRUE(rejected.done());
    EXPECT_TRUE(rejected.cancelled());
    EXPECT_EQ(argument.use_count(), 1);
    const absl::Status status = co_await rejected;
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
    JoinHandle<int> plain = group.Spawn(Give(1));
    EXPECT_TRUE(plain.done());
    EXPECT_TRUE(plain.cancelled());
    const absl::Status joined = co_await group.Join();
    EXPECT_TRUE(joined.ok()) << joined;  // a rejected task is nobody's failure
    JoinHandle<absl::Status> late = group.Spawn(touch(&ran, argument));
    EXPECT_TRUE(absl::IsFailedPrecondition(late.result())) << late.result();
    co_await Turns(5);
    EXPECT_FALSE(ran);
  });
}

TEST_P(TaskSuite, Line57ACancelledChildThatSpawnsIntoItsGroupIsRejected) {
  Await([]() -> Task<void> {
    auto spawn_late = [](TaskGroup* group, absl::Status* seen) -> Task<absl::Status> {
      static_cast<void>(co_await Forever());
      JoinHandle<absl::Status> late = group->Spawn(Ok());
      *seen = co_await late;
      co_return absl::OkStatus();
    };
    absl::Status seen;
    auto body = [&](TaskGroup& group) -> Task<absl::Status> {
      group.Spawn(spawn_late(&group, &seen));
      co_await Turns(3);
      group.Cancel();
      co_return absl::OkStatus();
    };
    const absl::Status status = co_await WithTaskGroup(body);
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_TRUE(absl::IsFailedPrecondition(seen)) << seen;
  });
}

TEST_P(TaskSuite, CancellingAGroupEndsItsChildrenAndIsNotAFailure) {
  Atomic<int> ended{0};
  const absl::Status status = Await([&]() -> Task<absl::Status> {
    co_return co_await WithTaskGroup([&](TaskGroup& group) -> Task<absl::Status> {
      for (int i = 0; i < 3; ++i) group.Spawn(CountedForever(&ended));
      co_await Turns(3);
      group.Cancel();
      group.Cancel();
      co_return absl::OkStatus();
    });
  });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(ended.load(internal::kRelaxed), 3);
}

TEST_P(TaskSuite, OneCancelledChildIsNotAFailureAndTheOthersGoOn) {
  Atomic<int> ended{0};
  const absl::Status status = Await([&]() -> Task<absl::Status> {
    co_return co_await WithTaskGroup([&](TaskGroup& group) -> Task<absl::Status> {
      JoinHandle<absl::Status> victim = group.Spawn(Forever());
      group.Spawn(Counted(&ended, 10));
      co_await Turns(3);
      victim.Cancel();
      const absl::Status cut = co_await victim;
      EXPECT_TRUE(absl::IsCancelled(cut)) << cut;
      EXPECT_FALSE(group.closing());
      co_return absl::OkStatus();
    });
  });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(ended.load(internal::kRelaxed), 1);
}

TEST_P(TaskSuite, AGroupInACancelledTaskIsClosedFromTheStart) {
  Await([]() -> Task<void> {
    auto late_group = [](bool* ran) -> Task<absl::Status> {
      CurrentTask().Cancel();
      auto body = [ran](TaskGroup& group) -> Task<absl::Status> {
        EXPECT_TRUE(group.closing());
        JoinHandle<void> handle = group.Spawn([](bool* flag) -> Task<void> {
          *flag = true;
          co_return;
        }(ran));
        EXPECT_TRUE(handle.cancelled());
        co_return co_await Forever();
      };
      co_return co_await WithTaskGroup(body);
    };
    bool ran = false;
    JoinHandle<absl::Status> handle = Spawn(late_group(&ran));
    const absl::Status status = co_await handle;
    EXPECT_TRUE(absl::IsCancelled(status)) << status;
    EXPECT_FALSE(ran);
  });
}

// Trap: a lambda coroutine that outlives its captures. The callable is a temporary here; the group
// keeps it.
TEST_P(TaskSuite, AGroupKeepsItsBodysCapturesAliveUntilTheBodyHasEnded) {
  auto captured = std::make_shared<std::string>("captured");
  std::string seen;
  const absl::Status status = Await([&]() -> Task<absl::Status> {
    Task<absl::Status> task =
        WithTaskGroup([copy = captured, &seen](TaskGroup& group) -> Task<absl::Status> {
          group.Spawn(Turns(3));
          co_await Turns(5);
          seen = *copy;
          co_return absl::OkStatus();
        });
    EXPECT_EQ(captured.use_count(), 2);
    co_return co_await std::move(task);
  });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(seen, "captured");
  EXPECT_EQ(captured.use_count(), 1);
}

TEST_P(TaskSuite, AGroupsChildrenMayRunOnAnotherExecutor) {
  RunningExecutor other(MakeExecutor());
  Atomic<int> ended{0};
  const absl::Status status = Await([&]() -> Task<absl::Status> {
    co_return co_await WithTaskGroup([&](TaskGroup& group) -> Task<absl::Status> {
      for (int i = 0; i < 50; ++i) {
        group.Spawn(Counted(&ended, i % 5), {.executor = &other.executor()});
        group.Spawn(Counted(&ended, i % 3));
      }
      co_return absl::OkStatus();
    });
  });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(ended.load(internal::kRelaxed), 100);
}

// Trap: the cancel that races the completion: children end on one thread while another's failure
// cancels them.
TEST_P(TaskSuite, AFailureOnAnotherExecutorRacesTheOthersEnds) {
  RunningExecutor other(MakeExecutor());
  // A yield on a pool may wake a thread.
  for (const int round : ShareOf(ordered() ? 200 : 40)) {
    Atomic<int> ended{0};
    const absl::Status status = Await([&]() -> Task<absl::Status> {
      co_return co_await WithTaskGroup([&](TaskGroup& group) -> Task<absl::Status> {
        for (int i = 0; i < 4; ++i) {
          group.Spawn(CountedForever(&ended));
          group.Spawn(Counted(&ended, round % 5));
        }
        group.Spawn(TurnsThenFail(round % 3, "oh"), {.executor = &other.executor()});
        co_return absl::OkStatus();
      });
    });
    EXPECT_EQ(status, absl::InternalError("oh"));
    EXPECT_LE(ended.load(internal::kRelaxed), 8);
  }
}

Task<void> LeaveUnjoined() {
  TaskGroup group;
  group.Spawn(Forever());
  co_await Turns(2);
}

TEST_P(TaskSuite, AGroupThatDiesBeforeItsChildrenAreJoinedIsAProgrammingError) {
  EXPECT_DEATH(
      {
        std::unique_ptr<Executor> mortal = MakeExecutor();
        BlockOn(*mortal, LeaveUnjoined());
      },
      "a TaskGroup was destroyed before its children were joined");
}

TEST_P(TaskSuite, AGroupOutsideOfATaskIsAProgrammingError) {
  EXPECT_DEATH(TaskGroup(), "this can only be used inside a task");
}

#if defined(__cpp_exceptions)

TEST_P(TaskSuite, AnExceptionOfAChildCancelsTheOthersAndComesOutOfTheGroup) {
  Atomic<int> ended{0};
  Await([&]() -> Task<void> {
    bool caught = false;
    try {
      static_cast<void>(co_await WithTaskGroup([&](TaskGroup& group) -> Task<absl::Status> {
        group.Spawn(CountedForever(&ended));
        group.Spawn(Throw("thrown"));
        co_return co_await Forever();
      }));
    } catch (const std::runtime_error& error) {
      caught = error.what() == std::string("thrown");
    }
    EXPECT_TRUE(caught);
  });
  EXPECT_EQ(ended.load(internal::kRelaxed), 1);
}

TEST_P(TaskSuite, AnExceptionOfTheBodyCancelsTheChildrenAndComesOutOfTheGroup) {
  Atomic<int> ended{0};
  Await([&]() -> Task<void> {
    bool caught = false;
    try {
      static_cast<void>(co_await WithTaskGroup([&](TaskGroup& group) -> Task<absl::Status> {
        group.Spawn(CountedForever(&ended));
        co_await Turns(5);
        co_return co_await ThrowInStatus("body");
      }));
    } catch (const std::runtime_error& error) {
      caught = error.what() == std::string("body");
    }
    EXPECT_TRUE(caught);
  });
  EXPECT_EQ(ended.load(internal::kRelaxed), 1);
}

TEST_P(TaskSuite, Line52AnExceptionAfterAnErrorIsReportedAsInternal) {
  Await([]() -> Task<void> {
    auto throw_when_cancelled = []() -> Task<absl::Status> {
      static_cast<void>(co_await Forever());
      throw std::runtime_error("late");
    };
    TaskGroup group;
    group.Spawn(throw_when_cancelled());
    co_await Turns(3);
    group.Spawn(FailWith("first"));
    const absl::Status status = co_await group.Join();
    EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
    EXPECT_TRUE(absl::StartsWith(status.message(), "first")) << status;
    EXPECT_EQ(group.errors().size(), 2u);
  });
}

#endif

}  // namespace
}  // namespace plait
