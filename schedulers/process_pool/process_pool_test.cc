// Of the five traps this faces three: reference parameters of a lazy task (arguments are kept by
// value), a wake-up lost between look and sleep (every test that waits for a call), and a cancel
// that races with the end (CancelsThatRaceWithTheEndsLeaveOneOutcomeEach).
#include "plait/schedulers/process_pool/process_pool.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <fstream>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_reactors.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/runtime/testing/reactor_factory.h"
#include "plait/runtime/testing/sanitized.h"
#include "plait/runtime/testing/test_folder.h"
#include "plait/schedulers/event_loop/event_loop.h"
#include "plait/schedulers/process_pool/pool_functions.h"
#include "plait/schedulers/process_pool/process_pool_fixture.h"
#include "plait/schedulers/process_pool/process_system.h"
#include "plait/schedulers/process_pool/remote_executor.h"

namespace plait {
namespace {

using internal::Die;
using internal::Echo;
using internal::Exists;
using internal::HalfOf;
using internal::IsInSharedMemory;
using internal::kLong;
using internal::Length;
using internal::Make;
using internal::Nothing;
using internal::Pid;
using internal::Square;
using internal::Stubborn;
using internal::Touch;
using internal::Until;
using internal::WaitAtGate;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ProcessPoolTest : public internal::ProcessPoolFixture {};

TEST_P(ProcessPoolTest, ACallRunsInAnotherProcess) {
  ProcessPool pool = NewPool();
  EXPECT_EQ(*Run(pool.Call(Square, 7)), 49);
  const absl::StatusOr<int> pid = Run(pool.Call(Pid));
  ASSERT_TRUE(pid.ok()) << pid.status();
  EXPECT_NE(*pid, ::getpid());
  Run([](ProcessPool& of) -> Task<void> {
    while (of.worker_pids().size() < 2) co_await Yield();
  }(pool));
  EXPECT_THAT(pool.worker_pids(), ::testing::Contains(*pid));
  EXPECT_TRUE(Run(pool.Call(&Nothing)).ok());
}

TEST_P(ProcessPoolTest, WhatAFunctionFailsWithComesBack) {
  ProcessPool pool = NewPool();
  EXPECT_EQ(*Run(pool.Call(HalfOf, 8)), 4);
  EXPECT_EQ(Run(pool.Call(HalfOf, 7)).status(), absl::InvalidArgumentError("7 is odd"));
}

TEST_P(ProcessPoolTest, AFunctionThatIsNotInTheTableIsNotCalled) {
  ProcessPool pool = NewPool();
  EXPECT_EQ(Run(pool.Call(static_cast<int (*)(int)>([](int n) { return n; }), 1)).status().code(),
            absl::StatusCode::kNotFound);
  constexpr ProcessFunction<int(int)> kUnknown("unknown");
  EXPECT_EQ(Run(pool.Call(kUnknown, 1)).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Run(CallRemote(pool, kUnknown, {}, 1)).status().code(), absl::StatusCode::kNotFound);
  constexpr ProcessFunction<int(int)> kSquare("square");
  EXPECT_EQ(*Run(CallRemote(pool, kSquare, {}, 5)), 25);
}

TEST_P(ProcessPoolTest, LargeArgumentsAndResultsArrive) {
  ProcessPool pool = NewPool();
  const std::string large(5'000'000, 'x');
  EXPECT_EQ(*Run(pool.Call(Length, absl::string_view(large))), 5'000'000);
  EXPECT_EQ(Run(pool.Call(Make, 3'000'000))->size(), 3'000'000u);
  EXPECT_EQ(*Run(pool.Call(Echo, large)), large);
  EXPECT_EQ(*Run(pool.Call(Echo, absl::string_view(large))), large);
}

// Of this process, in KiB.
int64_t MemoryOfThis(absl::string_view what) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    absl::string_view rest = line;
    int64_t kib = 0;
    if (absl::ConsumePrefix(&rest, what) && absl::ConsumePrefix(&rest, ":") &&
        absl::ConsumeSuffix(&rest, "kB") && absl::SimpleAtoi(rest, &kib)) {
      return kib;
    }
  }
  return -1;
}

TEST_P(ProcessPoolTest, ALargeArgumentIsOnceInSharedMemoryAndNotInBetween) {
  ProcessPool pool = NewPool({.workers = 1});
  const std::string large(size_t{64} << 20, 'x');
  EXPECT_TRUE(*Run(pool.Call(IsInSharedMemory, absl::string_view(large)))) << "it is a copy";
  EXPECT_FALSE(*Run(pool.Call(IsInSharedMemory, absl::string_view("small"))));
  if (kSanitized) return;  // which have memory of their own
  ProcessPool fresh = NewPool({.workers = 1});
  EXPECT_EQ(*Run(fresh.Call(Square, 2)), 4);
  const bool is_reset{std::ofstream("/proc/self/clear_refs") << "5" << std::flush};
  if (!is_reset || MemoryOfThis("VmHWM") < 0) {
    // A kernel without CONFIG_PROC_PAGE_MONITOR; the worker's side was seen above.
    GTEST_SKIP() << "the system does not tell how much memory a process had at most";
  }
  const int64_t before = MemoryOfThis("VmHWM");
  EXPECT_EQ(*Run(fresh.Call(Length, absl::string_view(large))), int64_t{64} << 20);
  const int64_t taken = MemoryOfThis("VmHWM") - before;
  // Less what this process has given back meanwhile.
  EXPECT_GE(taken, 60 << 10) << "this does not see it";
  EXPECT_LT(taken, 96 << 10) << "there was a copy of it in between";
}

TEST_P(ProcessPoolTest, CallsForWhichThereIsNoRoomYetWaitForIt) {
  for (const int workers : {1, 2}) {
    ProcessPool pool = NewPool({.workers = workers, .max_payload = size_t{1} << 20});
    const std::string large(700'000, 'x');
    std::vector<Task<absl::StatusOr<std::string>>> calls;
    for (int i = 0; i < 64; ++i) calls.push_back(pool.Call(Echo, large));
    const absl::StatusOr<std::vector<std::string>> results = Run(Gather(std::move(calls)));
    ASSERT_TRUE(results.ok()) << results.status();
    for (const std::string& result : *results) ASSERT_EQ(result, large);
  }
}

TEST_P(ProcessPoolTest, WhatIsLargerThanTheLimitIsResourceExhausted) {
  ProcessPool pool = NewPool({.max_payload = size_t{1} << 20});
  const std::string large(2'000'000, 'x');
  EXPECT_EQ(Run(pool.Call(Length, absl::string_view(large))).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(Run(pool.Call(Make, 2'000'000)).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(*Run(pool.Call(Square, 3)), 9);
}

TEST_P(ProcessPoolTest, ManyCallsAtOnceAllComeBack) {
  ProcessPool pool = NewPool({.calls_per_worker = 8});
  std::vector<Task<absl::StatusOr<int>>> calls;
  for (int i = 0; i < 2'000; ++i) calls.push_back(pool.Call(Square, i));
  const absl::StatusOr<std::vector<int>> results = Run(Gather(std::move(calls)));
  ASSERT_TRUE(results.ok()) << results.status();
  for (int i = 0; i < 2'000; ++i) ASSERT_EQ((*results)[static_cast<size_t>(i)], i * i);
}

// One that says when it has ended.
struct CountedCall : RemoteCall {
  explicit CountedCall(int& of_ended) : ended(of_ended) {
    function = "nothing";
    encode = [](const RemoteCall&, Encoder&) {};
    decode = [](RemoteCall&, absl::string_view) {};
    run = [](WorkItem& item) noexcept { ++static_cast<CountedCall&>(item).ended; };
  }
  int& ended;
};

TEST_P(ProcessPoolTest, AWorkerIsGivenSoManyCallsAheadAndTheOthersWait) {
  constexpr int kAhead = 8;
  ProcessPool pool = NewPool({.workers = 1, .calls_per_worker = kAhead});
  std::ptrdiff_t most = 0;  // that were given at once, behind the one that runs
  const auto body = [&](std::string in) -> Task<absl::Status> {
    const std::string began = in + "/gate.began";
    const std::string go = in + "/gate.go";
    JoinHandle<absl::StatusOr<int>> gate = pool.Submit(WaitAtGate, in, "gate");
    co_await Until(&began);
    int ended = 0;
    std::deque<CountedCall> calls;
    for (int i = 0; i < 20; ++i) pool.Start(calls.emplace_back(ended));
    for (int i = 0; i < 100; ++i) {
      most = std::max(most, std::count_if(calls.begin(), calls.end(), [](const CountedCall& call) {
                        return call.attempts == 1;
                      }));
      co_await Yield();
    }
    EXPECT_EQ(ended, 0);
    Touch(go);
    while (ended < 20) co_await Yield();
    ::unlink(began.c_str());
    ::unlink(go.c_str());
    co_return (co_await gate).status();
  };
  // What waits long in a worker is taken back, and it is given fewer for a while: so not always as
  // many, and never more.
  while (most < kAhead - 1) ASSERT_EQ(Run(body(folder_.path())), absl::OkStatus());
  EXPECT_EQ(most, kAhead - 1);
}

TEST_P(ProcessPoolTest, ItHasNoThreads) {
  const int before = internal::pool_system::ThreadCount();
  ProcessPool pool = NewPool({.workers = 8});
  std::vector<Task<absl::StatusOr<int>>> calls;
  for (int i = 0; i < 100; ++i) calls.push_back(pool.Call(Square, i));
  EXPECT_TRUE(Run(Gather(std::move(calls))).ok());
  EXPECT_EQ(internal::pool_system::ThreadCount(), before);
}

TEST_P(ProcessPoolTest, SubmitStartsAtOnce) {
  ProcessPool pool = NewPool();
  auto submit = [](ProcessPool& on, std::string in) -> Task<absl::Status> {
    JoinHandle<absl::StatusOr<int>> handle = on.Submit(WaitAtGate, in, "gate");
    const std::string began = in + "/gate.began";
    co_await Until(&began);  // though nobody awaits it
    Touch(in + "/gate.go");
    co_return (co_await handle).status();
  };
  EXPECT_EQ(Run(submit(pool, folder_.path())), absl::OkStatus());
}

// Whether it waits in the worker, or in the pool as the worker has its one.
constexpr int kCallsAhead[] = {8, 1};

TEST_P(ProcessPoolTest, ACancelledCallThatHasNotBegunNeverBegins) {
  auto both = [](ProcessPool& on, std::string in) -> Task<absl::Status> {
    JoinHandle<absl::StatusOr<int>> first = on.Submit(WaitAtGate, in, "first");
    const std::string began = in + "/first.began";
    co_await Until(&began);
    JoinHandle<absl::StatusOr<int>> second = on.Submit(WaitAtGate, in, "second");
    co_await Yield();
    second.Cancel();
    const absl::Status status = (co_await second).status();
    Touch(in + "/first.go");
    const absl::StatusOr<int> ended = co_await first;
    co_return ended.ok() ? status : ended.status();
  };
  for (const int ahead : kCallsAhead) {
    const TestFolder folder;
    ProcessPool pool = NewPool({.workers = 1, .calls_per_worker = ahead});
    EXPECT_EQ(Run(both(pool, folder.path())).code(), absl::StatusCode::kCancelled);
    EXPECT_EQ(*Run(pool.Call(Square, 2)), 4);
    EXPECT_FALSE(Exists(folder.path() + "/second.began"));
  }
}

TEST_P(ProcessPoolTest, ACancelledCallThatRunsIsToldToStopAndItsProcessGoesOn) {
  ProcessPool pool = NewPool({.workers = 1, .cancel_grace = kLong, .terminate_grace = kLong});
  const int pid = *Run(pool.Call(Pid));
  auto cancel = [](ProcessPool& on, std::string in) -> Task<absl::Status> {
    JoinHandle<absl::StatusOr<int>> call = on.Submit(WaitAtGate, in, "gate");
    const std::string began = in + "/gate.began";
    co_await Until(&began);
    call.Cancel();
    co_return (co_await call).status();
  };
  EXPECT_EQ(Run(cancel(pool, folder_.path())).code(), absl::StatusCode::kCancelled);
  Await("gate.cancelled");
  EXPECT_EQ(*Run(pool.Call(Pid)), pid);
}

TEST_P(ProcessPoolTest, ACallThatDoesNotStopHasItsProcessKilledAndOthersRunElsewhere) {
  ProcessPool pool = NewPool({.workers = 1,
                              .cancel_grace = absl::Milliseconds(1),
                              .terminate_grace = absl::Milliseconds(1)});
  const int pid = *Run(pool.Call(Pid));
  auto cancel = [](ProcessPool& on, std::string in) -> Task<absl::StatusOr<int>> {
    JoinHandle<absl::StatusOr<int>> call = on.Submit(Stubborn, in, "gate");
    const std::string began = in + "/gate.began";
    co_await Until(&began);
    JoinHandle<absl::StatusOr<int>> behind = on.Submit(Pid);
    co_await Yield();
    call.Cancel();
    const absl::StatusOr<int> cancelled = co_await call;
    if (!absl::IsCancelled(cancelled.status())) co_return cancelled.status();
    co_return co_await behind;
  };
  const absl::StatusOr<int> other = Run(cancel(pool, folder_.path()));
  ASSERT_TRUE(other.ok()) << other.status();
  EXPECT_NE(*other, pid);
}

TEST_P(ProcessPoolTest, ALateCallIsDeadlineExceededAndStopped) {
  ProcessPool pool = NewPool({.workers = 1, .cancel_grace = absl::Milliseconds(1)});
  const std::string folder = folder_.path();
  const absl::StatusOr<int> late =
      Run(pool.CallWith({.timeout = absl::Milliseconds(50)}, WaitAtGate, folder, "late"));
  EXPECT_EQ(late.status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(late.status().message()), HasSubstr("gate"));
  // The process stops, or is stopped, and there is one for the next.
  EXPECT_EQ(*Run(pool.Call(Square, 2)), 4);
}

TEST_P(ProcessPoolTest, ALateCallThatRunsIsToldToStopAndItsProcessGoesOn) {
  ProcessPool pool = NewPool({.workers = 1, .cancel_grace = kLong, .terminate_grace = kLong});
  const int pid = *Run(pool.Call(Pid));
  // Until it is not late before it has begun.
  for (absl::Duration timeout = absl::Milliseconds(50); !Exists(File("late.began")); timeout *= 2) {
    const absl::StatusOr<int> late =
        Run(pool.CallWith({.timeout = timeout}, WaitAtGate, folder_.path(), "late"));
    ASSERT_EQ(late.status().code(), absl::StatusCode::kDeadlineExceeded) << late.status();
  }
  Await("late.cancelled");
  EXPECT_EQ(*Run(pool.Call(Pid)), pid);
}

TEST_P(ProcessPoolTest, ALateCallThatHasNotBegunNeverBegins) {
  auto late = [](ProcessPool& on, std::string in) -> Task<absl::Status> {
    JoinHandle<absl::StatusOr<int>> first = on.Submit(WaitAtGate, in, "first");
    const std::string began = in + "/first.began";
    co_await Until(&began);
    const absl::StatusOr<int> second =
        co_await on.CallWith({.timeout = absl::Milliseconds(5)}, WaitAtGate, in, "second");
    Touch(in + "/first.go");
    const absl::StatusOr<int> ended = co_await first;
    co_return ended.ok() ? second.status() : ended.status();
  };
  for (const int ahead : kCallsAhead) {
    const TestFolder folder;
    ProcessPool pool = NewPool({.workers = 1, .calls_per_worker = ahead});
    EXPECT_EQ(Run(late(pool, folder.path())).code(), absl::StatusCode::kDeadlineExceeded);
    EXPECT_EQ(*Run(pool.Call(Square, 2)), 4);
    EXPECT_FALSE(Exists(folder.path() + "/second.began"));
  }
}

TEST_P(ProcessPoolTest, AForkedChildLeavesThePoolAlone) {
  ProcessPool pool = NewPool({.workers = 1});
  const int pid = *Run(pool.Call(Pid));
  // On the thread that drives the pool.
  auto in_child = [](ProcessPool& on) -> Task<int> {
    const int child = ::fork();
    if (child == 0) {
      on.Stop();
      RemoteCall call;
      call.run = [](WorkItem&) noexcept {};
      on.Start(call);
      on.Cancel(call);
      ::_exit(absl::IsFailedPrecondition(call.status) && on.worker_pids().empty() ? 0 : 1);
    }
    int how = -1;
    ::waitpid(child, &how, 0);
    co_return how;
  };
  EXPECT_EQ(Run(in_child(pool)), 0);
  EXPECT_EQ(*Run(pool.Call(Pid)), pid);
}

TEST_P(ProcessPoolTest, MapKeepsTheOrderOfItsItems) {
  ProcessPool pool = NewPool();
  std::vector<int> items(1'000);
  std::iota(items.begin(), items.end(), 0);
  std::vector<size_t> told;
  for (const size_t chunk : {size_t{0}, size_t{1}, size_t{7}, size_t{5'000}}) {
    told.clear();
    MapOptions options;
    options.chunk = chunk;
    options.progress = [&told](size_t done, size_t of) {
      EXPECT_EQ(of, 1'000u);
      told.push_back(done);
    };
    const absl::StatusOr<std::vector<int>> squares =
        Run(pool.Map(Square, items, std::move(options)));
    ASSERT_TRUE(squares.ok()) << squares.status();
    ASSERT_EQ(squares->size(), items.size());
    for (int i = 0; i < 1'000; ++i) ASSERT_EQ((*squares)[static_cast<size_t>(i)], i * i);
    EXPECT_TRUE(std::is_sorted(told.begin(), told.end()));
    EXPECT_EQ(told.back(), 1'000u);
  }
}

TEST_P(ProcessPoolTest, MapOfNothingAndOfAViewAndWithoutResults) {
  ProcessPool pool = NewPool();
  EXPECT_THAT(*Run(pool.Map(Square, std::vector<int>())), ElementsAre());
  const std::vector<int> items = {3, 4};
  EXPECT_THAT(*Run(pool.Map(Square, absl::MakeSpan(items))), ElementsAre(9, 16));
  const std::vector<std::string> texts = {"a", "bc"};
  EXPECT_THAT(*Run(pool.Map(Length, texts)), ElementsAre(1, 2));
}

TEST_P(ProcessPoolTest, TheFirstErrorEndsAMap) {
  ProcessPool pool = NewPool();
  EXPECT_EQ(Run(pool.Map(HalfOf, std::vector<int>{2, 4, 5, 6})).status(),
            absl::InvalidArgumentError("5 is odd"));
  MapOptions one;
  one.chunk = 1;
  EXPECT_EQ(Run(pool.Map(Die, std::vector<std::string>(3, "kill"), std::move(one))).status().code(),
            absl::StatusCode::kAborted);
}

TEST_P(ProcessPoolTest, DrainWaitsForTheCallsThatAreThereAndRefusesOthers) {
  const int descriptors = OpenDescriptors();
  {
    ProcessPool pool = NewPool();
    auto drain = [](ProcessPool& on, std::string in) -> Task<absl::Status> {
      JoinHandle<absl::StatusOr<int>> call = on.Submit(WaitAtGate, in, "gate");
      const std::string began = in + "/gate.began";
      co_await Until(&began);
      JoinHandle<absl::Status> drained = Spawn(on.Drain());
      co_await Yield();
      const absl::StatusOr<int> refused = co_await on.Call(Square, 2);
      if (refused.status().code() != absl::StatusCode::kFailedPrecondition) {
        co_return absl::InternalError("it was not refused");
      }
      if (drained.done()) co_return absl::InternalError("it did not wait");
      Touch(in + "/gate.go");
      const absl::StatusOr<int> ended = co_await call;
      if (!ended.ok()) co_return ended.status();
      co_return co_await drained;
    };
    EXPECT_EQ(Run(drain(pool, folder_.path())), absl::OkStatus());
    EXPECT_FALSE(HasChildren());
    EXPECT_THAT(pool.worker_pids(), ElementsAre());
  }
  EXPECT_EQ(OpenDescriptors(), descriptors);
}

TEST_P(ProcessPoolTest, StopEndsTheCallsThatAreThere) {
  ProcessPool pool = NewPool();
  auto stop = [](ProcessPool& on, std::string in) -> Task<absl::Status> {
    JoinHandle<absl::StatusOr<int>> call = on.Submit(Stubborn, in, "gate");
    const std::string began = in + "/gate.began";
    co_await Until(&began);
    on.Stop();
    co_return (co_await call).status();
  };
  EXPECT_EQ(Run(stop(pool, folder_.path())).code(), absl::StatusCode::kCancelled);
  EXPECT_TRUE(Run(pool.Drain()).ok());
  EXPECT_FALSE(HasChildren());
}

TEST_P(ProcessPoolTest, NothingOfADroppedPoolStays) {
  const int descriptors = OpenDescriptors();
  {
    ProcessPool unused = NewPool();
    ProcessPool used = NewPool();
    EXPECT_EQ(*Run(used.Call(Square, 3)), 9);
  }
  ASSERT_TRUE(loop_.Close().ok());
  EXPECT_FALSE(HasChildren());
  // The loop's own are gone as well.
  EXPECT_LE(OpenDescriptors(), descriptors);
}

TEST_P(ProcessPoolTest, APoolOutlivesTheLoopThatDroveIt) {
  ProcessPool pool = NewPool({.workers = 1});
  const int pid = *Run(pool.Call(Pid));
  ASSERT_TRUE(loop_.Close().ok());
  EventLoop other(GetParam().make(nullptr));
  EXPECT_EQ(*BlockOn(other, pool.Call(Pid)), pid) << "and its workers stay";
}

TEST_P(ProcessPoolTest, ACallFromAThreadWithoutAReactorIsRefusedUnlessSomebodyDrivesThePool) {
  ProcessPool pool = NewPool();
  auto on_blocking = [](ProcessPool& called) -> Task<absl::StatusOr<int>> {
    co_return co_await On(TaskContext::Current()->executor->blocking(), called.Call(Square, 3));
  };
  EXPECT_EQ(Run(on_blocking(pool)).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(*Run(pool.Call(Square, 3)), 9);
  EXPECT_EQ(*Run(on_blocking(pool)), 9);
}

TEST_P(ProcessPoolTest, ACallOutlivesItsPool) {
  auto drop = [](ProcessPool made, std::string in) -> Task<absl::Status> {
    std::optional<ProcessPool> pool(std::move(made));
    JoinHandle<absl::StatusOr<int>> call = pool->Submit(WaitAtGate, in, "gate");
    const std::string began = in + "/gate.began";
    co_await Until(&began);
    pool.reset();
    co_return (co_await call).status();
  };
  EXPECT_EQ(Run(drop(NewPool(), folder_.path())).code(), absl::StatusCode::kCancelled);
}

TEST_P(ProcessPoolTest, ACallMayBeMadeBeforeItsPoolIsMovedOrDropped) {
  std::optional<ProcessPool> pool(NewPool());
  Task<absl::StatusOr<int>> call = pool->Call(Square, 3);
  Task<absl::StatusOr<std::vector<int>>> map = pool->Map(Square, std::vector<int>{1, 2});
  Task<absl::StatusOr<int>> late = pool->Call(Square, 4);
  std::optional<ProcessPool> moved(*std::move(pool));
  pool.reset();
  EXPECT_EQ(*Run(std::move(call)), 9);
  EXPECT_THAT(*Run(std::move(map)), ElementsAre(1, 4));
  moved.reset();
  EXPECT_EQ(Run(std::move(late)).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_P(ProcessPoolTest, ACallThroughTheInterfaceMayBeMadeBeforeItsPoolIsMovedOrDropped) {
  constexpr ProcessFunction<int(int)> kSquare("square");
  std::optional<ProcessPool> pool(NewPool());
  Task<absl::StatusOr<int>> call = CallRemote(*pool, kSquare, {}, 3);
  Task<absl::StatusOr<int>> late = CallRemote(*pool, kSquare, {}, 4);
  std::optional<ProcessPool> moved(*std::move(pool));
  pool.reset();
  EXPECT_EQ(*Run(std::move(call)), 9);
  moved.reset();
  EXPECT_EQ(Run(std::move(late)).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_P(ProcessPoolTest, APoolThatWasMovedFromSaysSo) {
  ProcessPool pool = NewPool();
  const ProcessPool moved = std::move(pool);
  EXPECT_DEATH(static_cast<void>(pool.workers()), "moved from");
  EXPECT_DEATH(static_cast<void>(pool.Call(Square, 3)), "moved from");
  EXPECT_DEATH(static_cast<void>(pool.Keep()), "moved from");
}

TEST_P(ProcessPoolTest, AMapsKeyIsCopiedWhenItIsMade) {
  ProcessPool pool = NewPool();
  auto key = std::make_unique<std::string>(100, 'k');
  MapOptions options;
  options.call.idempotency_key = *key;
  Task<absl::StatusOr<std::vector<int>>> map =
      pool.Map(Square, std::vector<int>{1, 2}, std::move(options));
  key.reset();
  EXPECT_THAT(*Run(std::move(map)), ElementsAre(1, 4));
}

TEST_P(ProcessPoolTest, CancelsThatRaceWithTheEndsLeaveOneOutcomeEach) {
  ProcessPool pool = NewPool();
  auto race = [](ProcessPool& on) -> Task<int> {
    int outcomes = 0;
    for (int i = 0; i < 300; ++i) {
      std::vector<JoinHandle<absl::StatusOr<int>>> calls;
      for (int n = 0; n < 4; ++n) calls.push_back(on.Submit(Square, n));
      for (int n = 0; n < i % 7; ++n) co_await Yield();
      for (auto& call : calls) call.Cancel();
      for (int n = 0; n < 4; ++n) {
        const absl::StatusOr<int> result = co_await calls[static_cast<size_t>(n)];
        if (result.ok() ? *result == n * n : absl::IsCancelled(result.status())) ++outcomes;
      }
    }
    co_return outcomes;
  };
  EXPECT_EQ(Run(race(pool)), 1'200);
  EXPECT_EQ(*Run(pool.Call(Square, 5)), 25);
}

INSTANTIATE_TEST_SUITE_P(AllReactors, ProcessPoolTest, ::testing::ValuesIn(AllReactors()),
                         ReactorFactory::Name);

}  // namespace
}  // namespace plait
