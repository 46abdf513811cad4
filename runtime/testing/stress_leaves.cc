// Nodes without children: every kind of suspension point, where a cancel or a deadline may come.
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "plait/runtime/testing/stress_programs.h"
#if defined(__cpp_exceptions)
#include <stdexcept>
#endif

namespace plait::stress {
namespace {

Executor* CurrentExecutor() { return TaskContext::Current()->executor; }

// A wait that gave `status` was cancelled only if its task was, and then never gives anything else.
void CheckWait(World& world, bool stopped_before, const absl::Status& status) {
  if (absl::IsCancelled(status)) {
    world.Expect(StopRequested(), "a wait was cancelled though nobody had asked");
  } else {
    world.Expect(!stopped_before, "a wait of a cancelled task was not cancelled");
  }
}

Task<absl::Status> SleepNode(World& world, Draw draw, int) {
  Alive alive(world);
  const absl::Duration asked = world.unit * draw.Below(60);
  const bool stopped = StopRequested();
  const Deadline before = world.clock.Now();
  const absl::Status slept = co_await Sleep(asked);
  const absl::Duration took = world.clock.Now().Since(before);
  CheckWait(world, stopped, slept);
  if (slept.ok()) {
    world.Expect(took >= asked, "a Sleep ended early");
    world.Expect(!world.exact || took == asked, "a Sleep took longer than asked on a test clock");
  } else {
    world.Expect(absl::IsCancelled(slept), "a Sleep failed otherwise than by a cancel");
    world.Expect(!world.exact || took <= asked, "a cancelled Sleep went on");
    world.Expect(!world.exact || !stopped || took == absl::ZeroDuration(),
                 "a Sleep in a cancelled task took time");
  }
  co_return slept;
}

Task<absl::Status> YieldNode(World& world, Draw draw, int) {
  Alive alive(world);
  for (int turns = draw.Below(5); turns > 0; --turns) co_await Yield();
  co_return absl::OkStatus();
}

Task<absl::Status> FailNode(World& world, Draw draw, int) {
  Alive alive(world);
  for (int turns = draw.Below(3); turns > 0; --turns) co_await Yield();
  co_return absl::InternalError(absl::StrCat("planned ", draw.Next()));
}

#if defined(__cpp_exceptions)
Task<absl::Status> ThrowNode(World& world, Draw draw, int) {
  Alive alive(world);
  for (int turns = draw.Below(3); turns > 0; --turns) co_await Yield();
  throw std::runtime_error("planned");
  co_return absl::OkStatus();
}
#endif

// Settles a promise after a while, in one of the three ways.
Task<void> SettleLater(World& world, Draw draw, Promise<int> promise) {
  Alive alive(world);
  static_cast<void>(co_await Sleep(world.unit * draw.Below(10)));
  const int way = draw.Below(3);
  if (way == 0) promise.Set(7);
  if (way == 1) promise.SetError(absl::DataLossError("planned"));
}

Task<absl::Status> TakeFuture(World& world, Future<int> future) {
  Alive alive(world);
  const bool stopped = StopRequested() && !future.ready();
  const absl::StatusOr<int> value = co_await future;
  if (value.ok()) {
    world.Expect(*value == 7, "a future gave another value than was set");
    co_return absl::OkStatus();
  }
  if (!absl::IsCancelled(value.status())) co_return value.status();
  CheckWait(world, stopped, value.status());
  // What came in spite of the cancel is still there.
  const absl::StatusOr<int> later = co_await Uncancellable(future);
  world.Expect(!absl::IsCancelled(later.status()), "an Uncancellable wait was cancelled");
  world.Expect(!later.ok() || *later == 7, "a future gave another value than was set");
  co_return value.status();
}

Task<absl::Status> FutureNode(World& world, Draw draw, int) {
  Alive alive(world);
  Promise<int> promise;
  Future<int> future = promise.future();
  // As a plain coroutine the setter ends the wait even if this task is cancelled.
  Task<absl::Status> taking = TakeFuture(world, std::move(future));
  Task<void> settling = SettleLater(world, draw.Fork(), std::move(promise));
  auto [taken, settled] = co_await GatherAll(std::move(taking), std::move(settling));
  world.Expect(settled.ok(), "a void task of GatherAll failed");
  world.Expect(
      taken.ok() || absl::IsCancelled(taken) || absl::IsAborted(taken) || absl::IsDataLoss(taken),
      "a future failed in an unknown way");
  co_return taken;
}

// Queue and Channel, under one name.
struct QueueAccess {
  using Type = Queue<int>;
  static auto Put(Type& queue, int item) { return queue.Put(item); }
  static auto Get(Type& queue) { return queue.Get(); }
  static absl::StatusOr<int> TryGet(Type& queue) { return queue.TryGet(); }
};
struct ChannelAccess {
  using Type = Channel<int>;
  static auto Put(Type& channel, int item) { return channel.Send(item); }
  static auto Get(Type& channel) { return channel.Receive(); }
  static absl::StatusOr<int> TryGet(Type& channel) { return channel.TryReceive(); }
};

struct Traffic {
  internal::Atomic<int> producers{0};
  internal::Atomic<int64_t> put{0};  // the sum of the items
  internal::Atomic<int64_t> got{0};
};

template <class Access>
Task<absl::Status> Produce(World& world, Draw draw, typename Access::Type& queue,
                           Traffic& traffic) {
  Alive alive(world);
  absl::Status status;
  for (int items = draw.Below(8); items > 0 && status.ok(); --items) {
    const int item = 1 + draw.Below(1000);
    status = co_await Access::Put(queue, item);
    if (status.ok()) traffic.put.fetch_add(item, internal::kRelaxed);
    if (draw.OneIn(4)) co_await Yield();
    if (draw.OneIn(4)) static_cast<void>(co_await Sleep(world.unit * draw.Below(3)));
  }
  if (absl::IsCancelled(status)) world.Expect(StopRequested(), "a Put was cancelled by nobody");
  if (traffic.producers.fetch_sub(1, internal::kAcqRel) == 1) queue.Close();
  co_return status;
}

template <class Access>
Task<absl::Status> Consume(World& world, Draw draw, typename Access::Type& queue,
                           Traffic& traffic) {
  Alive alive(world);
  for (;;) {
    const absl::StatusOr<int> item = co_await Access::Get(queue);
    if (absl::IsFailedPrecondition(item.status())) co_return absl::OkStatus();  // closed
    if (!item.ok()) {
      world.Expect(absl::IsCancelled(item.status()) && StopRequested(),
                   "a Get was cancelled by nobody");
      co_return item.status();
    }
    traffic.got.fetch_add(*item, internal::kRelaxed);
    if (draw.OneIn(4)) static_cast<void>(co_await Sleep(world.unit * draw.Below(3)));
  }
}

template <class Access>
Task<absl::Status> TrafficNode(World& world, Draw draw, int) {
  Alive alive(world);
  typename Access::Type queue(static_cast<size_t>(1 + draw.Below(2)));
  Traffic traffic;
  const int producers = 1 + draw.Below(2);
  const int consumers = 1 + draw.Below(2);
  traffic.producers.store(producers, internal::kRelaxed);
  std::vector<Task<absl::Status>> workers;
  for (int i = 0; i < producers; ++i) {
    workers.push_back(Produce<Access>(world, draw.Fork(), queue, traffic));
  }
  for (int i = 0; i < consumers; ++i) {
    workers.push_back(Consume<Access>(world, draw.Fork(), queue, traffic));
  }
  const absl::Status status = co_await Gather(std::move(workers));
  int64_t left = 0;
  for (;;) {
    const absl::StatusOr<int> item = Access::TryGet(queue);
    if (!item.ok()) break;
    left += *item;
  }
  world.Expect(traffic.put.load(internal::kRelaxed) == traffic.got.load(internal::kRelaxed) + left,
               "items were lost or doubled");
  world.Expect(status.ok() || absl::IsCancelled(status), "a queue failed in an unknown way");
  co_return status;
}

// Mutex and Semaphore, under one name.
struct MutexAccess {
  static constexpr int kLimit = 1;
  Mutex mutex;
  auto Enter() { return mutex.Lock(); }
};
struct SemaphoreAccess {
  static constexpr int kLimit = 2;
  Semaphore semaphore{kLimit};
  auto Enter() { return semaphore.Acquire(); }
};

template <class Access>
Task<absl::Status> EnterAndLeave(World& world, Draw draw, Access& access,
                                 internal::Atomic<int>& inside) {
  Alive alive(world);
  for (int rounds = 1 + draw.Below(3); rounds > 0; --rounds) {
    auto guard = co_await access.Enter();
    if (!guard.ok()) {
      world.Expect(absl::IsCancelled(guard.status()) && StopRequested(),
                   "a lock was cancelled by nobody");
      co_return guard.status();
    }
    world.Expect(inside.fetch_add(1, internal::kAcqRel) < Access::kLimit,
                 "more tasks hold a lock than may");
    if (draw.OneIn(2)) co_await Yield();
    if (draw.OneIn(2)) static_cast<void>(co_await Sleep(world.unit * draw.Below(3)));
    inside.fetch_sub(1, internal::kAcqRel);
  }
  co_return absl::OkStatus();
}

template <class Access>
Task<absl::Status> LockNode(World& world, Draw draw, int) {
  Alive alive(world);
  Access access;
  internal::Atomic<int> inside{0};
  std::vector<Task<absl::Status>> workers;
  for (int i = 0; i < 3; ++i) {
    workers.push_back(EnterAndLeave<Access>(world, draw.Fork(), access, inside));
  }
  co_return co_await Gather(std::move(workers));
}

Task<absl::Status> WaitForEvent(World& world, Event& event) {
  Alive alive(world);
  const absl::Status waited = co_await event.Wait();
  if (!waited.ok()) {
    world.Expect(absl::IsCancelled(waited) && StopRequested(),
                 "an Event's Wait was cancelled by nobody");
  }
  co_return waited;
}

Task<absl::Status> SetEventLater(World& world, Draw draw, Event& event) {
  Alive alive(world);
  static_cast<void>(co_await Sleep(world.unit * draw.Below(10)));
  event.Set();
  co_return absl::OkStatus();
}

Task<absl::Status> EventNode(World& world, Draw draw, int) {
  Alive alive(world);
  Event event;
  std::vector<Task<absl::Status>> workers;
  for (int waiters = draw.Below(3); waiters > 0; --waiters) {
    workers.push_back(WaitForEvent(world, event));
  }
  workers.push_back(SetEventLater(world, draw.Fork(), event));
  co_return co_await Gather(std::move(workers));
}

// What the tasks of a ConditionVariableNode share; guarded by the mutex.
struct Jobs {
  Mutex mutex;
  ConditionVariable changed;
  int waiting = 0;
};

Task<absl::Status> TakeJob(World& world, Jobs& jobs) {
  Alive alive(world);
  MutexGuard guard = co_await OrReturn(jobs.mutex.Lock());
  const absl::Status waited = co_await jobs.changed.Wait(guard, [&] { return jobs.waiting > 0; });
  world.Expect(guard.ok(), "the guard holds nothing after a Wait");
  if (!waited.ok()) {
    world.Expect(absl::IsCancelled(waited) && StopRequested(),
                 "a ConditionVariable's Wait was cancelled by nobody");
    co_return waited;
  }
  world.Expect(jobs.waiting-- > 0, "a Wait ended though its predicate did not hold");
  co_return absl::OkStatus();
}

Task<absl::Status> AddJobs(World& world, Draw draw, Jobs& jobs, int count) {
  Alive alive(world);
  for (; count > 0; --count) {
    static_cast<void>(co_await Sleep(world.unit * draw.Below(5)));
    MutexGuard guard = co_await OrReturn(jobs.mutex.Lock());
    ++jobs.waiting;
    jobs.changed.NotifyOne();
  }
  co_return absl::OkStatus();
}

Task<absl::Status> ConditionVariableNode(World& world, Draw draw, int) {
  Alive alive(world);
  Jobs jobs;
  const int count = draw.Below(4);
  std::vector<Task<absl::Status>> workers;
  for (int i = 0; i < count; ++i) workers.push_back(TakeJob(world, jobs));
  workers.push_back(AddJobs(world, draw.Fork(), jobs, count));
  const absl::Status status = co_await Gather(std::move(workers));
  if (status.ok()) world.Expect(jobs.waiting == 0, "a notification was lost");
  co_return status;
}

Task<absl::Status> Arrive(World& world, Draw draw, Barrier& barrier, int rounds,
                          internal::Atomic<int>& arrivals, int parties) {
  Alive alive(world);
  for (int round = 1; round <= rounds; ++round) {
    static_cast<void>(co_await Sleep(world.unit * draw.Below(5)));
    arrivals.fetch_add(1, internal::kAcqRel);
    const absl::StatusOr<int> index = co_await barrier.Wait();
    if (!index.ok()) {
      world.Expect(absl::IsCancelled(index.status()) && StopRequested(),
                   "a Barrier's Wait was cancelled by nobody");
      co_return index.status();
    }
    world.Expect(arrivals.load(internal::kAcquire) >= round * parties,
                 "a Barrier opened before all were there");
  }
  co_return absl::OkStatus();
}

Task<absl::Status> BarrierNode(World& world, Draw draw, int) {
  Alive alive(world);
  const int parties = 1 + draw.Below(3);
  const int rounds = 1 + draw.Below(3);
  Barrier barrier(parties);
  internal::Atomic<int> arrivals{0};
  std::vector<Task<absl::Status>> workers;
  for (int i = 0; i < parties; ++i) {
    workers.push_back(Arrive(world, draw.Fork(), barrier, rounds, arrivals, parties));
  }
  co_return co_await Gather(std::move(workers));
}

// `plain` is what a strand guards: no atomic, so that ThreadSanitizer looks after it too.
Task<absl::Status> CountOnStrand(World& world, Draw draw, Strand& strand, int64_t& plain) {
  Alive alive(world);
  for (int turns = draw.Below(5); turns > 0; --turns) {
    const int64_t before = plain++;
    world.Expect(plain == before + 1 && CurrentExecutor() == &strand,
                 "two ran on a strand at once");
    co_await Yield();
  }
  co_return absl::OkStatus();
}

Task<absl::Status> StrandNode(World& world, Draw draw, int) {
  Alive alive(world);
  Strand strand(*CurrentExecutor());
  int64_t plain = 0;
  std::vector<JoinHandle<absl::Status>> handles;
  for (int i = 0; i < 3; ++i) {
    handles.push_back(
        Spawn(CountOnStrand(world, draw.Fork(), strand, plain), {.executor = &strand}));
  }
  if (draw.OneIn(3)) handles.front().Cancel();
  absl::Status status;
  for (JoinHandle<absl::Status>& handle : handles) {
    const absl::Status ended = co_await Uncancellable(handle);
    if (status.ok() && !absl::IsCancelled(ended)) status = ended;
  }
  co_return status;
}

constexpr Kind kLeaves[] = {
    {"Sleep", &SleepNode},
    {"Yield", &YieldNode},
    {"Fail", &FailNode},
#if defined(__cpp_exceptions)
    {"Throw", &ThrowNode},
#endif
    {"Future", &FutureNode},
    {"Queue", &TrafficNode<QueueAccess>},
    {"Channel", &TrafficNode<ChannelAccess>},
    {"Mutex", &LockNode<MutexAccess>},
    {"Semaphore", &LockNode<SemaphoreAccess>},
    {"Event", &EventNode},
    {"ConditionVariable", &ConditionVariableNode},
    {"Barrier", &BarrierNode},
    {"Strand", &StrandNode},
};

}  // namespace

absl::Span<const Kind> Leaves() { return kLeaves; }

}  // namespace plait::stress
