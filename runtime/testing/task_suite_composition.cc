// TaskGroup and Gather. The numbers in the tests' names are those of the list "What any event loop
// must get right".
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/task/future.h"
#include "plait/runtime/task/gather.h"
#include "plait/runtime/task/join_handle.h"
#include "plait/runtime/task/spawn.h"
#include "plait/runtime/task/stop_token.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/task/task_context.h"
#include "plait/runtime/task/task_group.h"
#include "plait/runtime/task/uncancellable.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/task_programs.h"
#include "plait/runtime/testing/task_suite.h"
#include "plait/runtime/time/sleep.h"

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

// Ends by a cancel only, and then takes its time.
Task<absl::Status> CountedForever(Atomic<int>* ended) {
  absl::Status status = co_await Forever();
  co_await Turns(3);
  ended->fetch_add(1, internal::kRelaxed);
  co_return status;
}

// --- TaskGroup ---

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

Task<absl::Status> FailWhenCancelled(std::string what) {
  static_cast<void>(co_await Forever());
  co_return absl::DataLossError(what);
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

// --- Gather ---

TEST_P(TaskSuite, GatherGivesATupleInTheOrderOfTheArguments) {
  int target = 0;
  Await([&]() -> Task<void> {
    auto late = [](int turns, int n) -> Task<int> {
      co_await Turns(turns);
      co_return n;
    };
    const auto [a, b, c] = co_await Gather(late(5, 1), late(0, 2), Give(std::string("three")));
    EXPECT_EQ(a, 1);
    EXPECT_EQ(b, 2);
    EXPECT_EQ(c, "three");
    const std::tuple<std::unique_ptr<int>, int> moved = co_await Gather(GiveMoveOnly(4), Give(5));
    EXPECT_EQ(*std::get<0>(moved), 4);
    EXPECT_EQ(std::get<1>(moved), 5);
    const std::tuple<int&, int> with_reference = co_await Gather(GiveReference(target), Give(6));
    EXPECT_EQ(&std::get<0>(with_reference), &target);
    const std::tuple<std::monostate, int> with_void = co_await Gather(Nothing(), Give(7));
    EXPECT_EQ(std::get<1>(with_void), 7);
    co_await Gather(Nothing(), Nothing());
    const std::tuple<> none = co_await Gather();
    static_cast<void>(none);
  });
}

TEST_P(TaskSuite, GatherGivesAVectorInOrder) {
  Await([]() -> Task<void> {
    auto late = [](int turns, int n) -> Task<int> {
      co_await Turns(turns);
      co_return n;
    };
    std::vector<Task<int>> tasks;
    for (int i = 0; i < 20; ++i) tasks.push_back(late((i * 7) % 5, i));
    const std::vector<int> values = co_await Gather(std::move(tasks));
    EXPECT_EQ(values.size(), 20u);
    for (int i = 0; i < 20; ++i) EXPECT_EQ(values[static_cast<size_t>(i)], i);

    std::vector<Task<std::unique_ptr<int>>> move_only;
    move_only.push_back(GiveMoveOnly(1));
    const std::vector<std::unique_ptr<int>> moved = co_await Gather(std::move(move_only));
    EXPECT_EQ(*moved[0], 1);

    std::vector<Task<void>> nothings;
    nothings.push_back(Turns(2));
    nothings.push_back(Nothing());
    co_await Gather(std::move(nothings));
  });
}

TEST_P(TaskSuite, GatherOfAnEmptyVectorEndsAtOnce) {
  Await([]() -> Task<void> {
    const std::vector<int> none = co_await Gather(std::vector<Task<int>>());
    EXPECT_TRUE(none.empty());
    co_await Gather(std::vector<Task<void>>());
    const absl::Status status = co_await Gather(std::vector<Task<absl::Status>>());
    EXPECT_TRUE(status.ok()) << status;
    const absl::StatusOr<std::vector<int>> or_none =
        co_await Gather(std::vector<Task<absl::StatusOr<int>>>());
    EXPECT_TRUE(or_none.ok() && or_none->empty());
  });
}

TEST_P(TaskSuite, GatherOfStatusOrsGivesTheValues) {
  Await([]() -> Task<void> {
    const absl::StatusOr<std::tuple<int, int>> both =
        co_await Gather(GiveOr(1), TurnsThenGive(3, 2));
    EXPECT_TRUE(both.ok()) << both.status();
    EXPECT_EQ(*both, std::make_tuple(1, 2));
    const absl::StatusOr<std::tuple<std::monostate, int, int>> mixed =
        co_await Gather(Ok(), GiveOr(2), Give(3));
    EXPECT_TRUE(mixed.ok()) << mixed.status();
    EXPECT_EQ(std::get<2>(*mixed), 3);
    std::vector<Task<absl::StatusOr<int>>> tasks;
    for (int i = 0; i < 5; ++i) tasks.push_back(TurnsThenGive(5 - i, i));
    const absl::StatusOr<std::vector<int>> all = co_await Gather(std::move(tasks));
    EXPECT_TRUE(all.ok()) << all.status();
    EXPECT_EQ(*all, (std::vector<int>{0, 1, 2, 3, 4}));
    const absl::Status statuses = co_await Gather(Ok(), Ok());
    EXPECT_TRUE(statuses.ok()) << statuses;
  });
}

TEST_P(TaskSuite, Line51TheFirstErrorOfAGatherCancelsTheOthersAndAllAreJoined) {
  Atomic<int> ended{0};
  Await([&]() -> Task<void> {
    const absl::Status of_tuple =
        co_await Gather(CountedForever(&ended), TurnsThenFail(3, "first"), CountedForever(&ended),
                        FailWhenCancelled("too late"));
    EXPECT_EQ(of_tuple, absl::InternalError("first"));
    EXPECT_EQ(ended.load(internal::kRelaxed), 2);
    std::vector<Task<absl::Status>> tasks;
    tasks.push_back(CountedForever(&ended));
    tasks.push_back(TurnsThenFail(1, "of vector"));
    const absl::Status of_vector = co_await Gather(std::move(tasks));
    EXPECT_EQ(of_vector, absl::InternalError("of vector"));
    EXPECT_EQ(ended.load(internal::kRelaxed), 3);
    const absl::StatusOr<std::tuple<int, int>> or_tuple = co_await Gather(GiveOr(1), FailOr("or"));
    EXPECT_EQ(or_tuple.status(), absl::InternalError("or"));
  });
}

TEST_P(TaskSuite, Line53AnOuterCancelReachesEveryChildOfAGather) {
  Await([]() -> Task<void> {
    auto gather = [](Atomic<int>* ended) -> Task<absl::Status> {
      co_return co_await Gather(CountedForever(ended), CountedForever(ended));
    };
    auto gather_plain = [](bool* a, bool* b) -> Task<void> {
      auto note = [](bool* cancelled) -> Task<int> {
        static_cast<void>(co_await ForeverNoting(cancelled));
        co_return 1;
      };
      const std::tuple<int, int> both = co_await Gather(note(a), note(b));
      EXPECT_EQ(both, std::make_tuple(1, 1));
    };
    Atomic<int> ended{0};
    JoinHandle<absl::Status> handle = Spawn(gather(&ended));
    bool a = false;
    bool b = false;
    JoinHandle<void> plain = Spawn(gather_plain(&a, &b));
    co_await Turns(5);
    handle.Cancel();
    plain.Cancel();
    const absl::Status status = co_await handle;
    EXPECT_TRUE(absl::IsCancelled(status)) << status;
    EXPECT_EQ(ended.load(internal::kRelaxed), 2);
    co_await plain;
    EXPECT_TRUE(a && b);
  });
}

TEST_P(TaskSuite, AGatheredTaskIsLazyAndChildrenStartInOrder) {
  Await([&]() -> Task<void> {
    if (!ordered()) co_return;
    std::vector<int> started;
    auto note = [](std::vector<int>* log, int n) -> Task<void> {
      log->push_back(n);
      co_return;
    };
    Task<void> gather = Gather(note(&started, 0), note(&started, 1), note(&started, 2));
    co_await Turns(3);
    EXPECT_TRUE(started.empty());
    co_await std::move(gather);
    EXPECT_EQ(started, (std::vector<int>{0, 1, 2}));
  });
}

Task<void> GatherMovedFrom() {
  Task<int> task = Give(1);
  Task<int> other = std::move(task);
  static_cast<void>(co_await Gather(std::move(task)));  // NOLINT: the misuse is the test
}

TEST_P(TaskSuite, GatheringAMovedFromTaskIsAProgrammingError) {
  EXPECT_DEATH(
      {
        std::unique_ptr<Executor> mortal = MakeExecutor();
        BlockOn(*mortal, GatherMovedFrom());
      },
      "gathering a Task that was moved from or awaited before");
}

#if defined(__cpp_exceptions)
TEST_P(TaskSuite, AnExceptionOfAGatheredChildCancelsTheOthersAndIsRethrown) {
  Atomic<int> ended{0};
  Await([&]() -> Task<void> {
    bool caught = false;
    try {
      static_cast<void>(co_await Gather(CountedForever(&ended), Throw("oh"), Throw("later")));
    } catch (const std::runtime_error& error) {
      caught = error.what() == std::string("oh") || !ordered();
    }
    EXPECT_TRUE(caught);
    EXPECT_EQ(ended.load(internal::kRelaxed), 1);
    caught = false;
    std::vector<Task<int>> tasks;
    tasks.push_back(Give(1));
    tasks.push_back(Throw("of vector"));
    try {
      static_cast<void>(co_await Gather(std::move(tasks)));
    } catch (const std::runtime_error& error) {
      caught = error.what() == std::string("of vector");
    }
    EXPECT_TRUE(caught);
  });
}
#endif

}  // namespace
}  // namespace plait
