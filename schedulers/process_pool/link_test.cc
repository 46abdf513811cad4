// Of the five traps these face one: a wake-up lost between check and park (the ping-pongs, in which
// one that is lost hangs the test).
#include "plait/schedulers/process_pool/link.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/io/ops/operations.h"
#include "plait/runtime/core/deadline.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/io_operation.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_reactors.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/runtime/testing/reactor_factory.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/schedulers/event_loop/event_loop.h"
#include "plait/schedulers/process_pool/pool_system.h"

namespace plait::internal {
namespace {

constexpr size_t kCapacity = 16384;
constexpr uint32_t kQuit = 0xffff'ffff;

std::shared_ptr<LinkMemory> NewMemory() {
  absl::StatusOr<std::shared_ptr<LinkMemory>> memory = LinkMemory::Create(kCapacity);
  EXPECT_TRUE(memory.ok()) << memory.status();
  return *std::move(memory);
}

// Runs `body` in another process, which does not outlive this one.
pid_t StartProcess(const std::function<void()>& body) {
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() == parent) body();
  ::_exit(0);
}

int WaitFor(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

// A worker that sends back what it gets, until it is told to quit.
void Echo(const std::shared_ptr<LinkMemory>& memory) {
  LinkEnd worker(memory, LinkEnd::kWorker);
  for (;;) {
    std::optional<RingRecord> record;
    while (!(record = worker.Peek()).has_value()) {
      if (!worker.status().ok()) return;
      worker.Wait(absl::InfiniteDuration());
    }
    const std::string bytes(record->bytes.data(), record->bytes.size());
    const uint32_t tag = record->tag;
    worker.Pop();
    if (tag == kQuit) return;
    char* to = nullptr;
    while ((to = worker.Reserve(bytes.size())) == nullptr) {
      if (!worker.status().ok()) return;
      // A record is of no use without room for its answer.
      worker.Wait(absl::InfiniteDuration(), {.record = false, .room = bytes.size() + 1});
    }
    std::memcpy(to, bytes.data(), bytes.size());
    worker.Commit(bytes.size(), tag);
  }
}

bool Send(LinkEnd& end, absl::string_view bytes, uint32_t tag) {
  char* const to = end.Reserve(bytes.size());
  if (to == nullptr) return false;
  std::memcpy(to, bytes.data(), bytes.size());
  end.Commit(bytes.size(), tag);
  return true;
}

std::string Content(uint32_t tag) {
  return std::string(tag * 37 % 5000, static_cast<char>('a' + tag % 26));
}

// Suspends until there is a record, or room where it is not 0.
Task<absl::Status> UntilReady(LinkEnd& end, int event, size_t room) {
  while (end.PrepareToSleep({.room = room})) {
    const absl::StatusOr<uint32_t> events = co_await io::Poll(event, kPollReadable);
    if (!end.TakeSignals()) co_return absl::UnavailableError("the worker is gone");
    if (!events.ok()) co_return events.status();
  }
  co_return end.status();
}

uint32_t Times(int whole) { return static_cast<uint32_t>(Repeats(whole)); }

Task<absl::Status> PingPong(LinkEnd& end, int event, uint32_t rounds) {
  for (uint32_t i = 0; i < rounds; ++i) {
    EXPECT_TRUE(Send(end, Content(i), i));
    co_await OrReturn(UntilReady(end, event, 0));
    const std::optional<RingRecord> record = end.Peek();
    if (!record.has_value()) co_return absl::InternalError("woken for nothing");
    EXPECT_EQ(record->tag, i);
    EXPECT_EQ(record->bytes, Content(i));
    end.Pop();
  }
  EXPECT_TRUE(Send(end, "", kQuit));
  co_return absl::OkStatus();
}

// As many on their way as there is room for.
Task<absl::Status> Pipeline(LinkEnd& end, int event, uint32_t count) {
  uint32_t sent = 0;
  for (uint32_t received = 0; received < count;) {
    while (sent < count && Send(end, Content(sent), sent)) ++sent;
    // At least 1, as 0 is to wait for no room at all.
    const size_t room = sent < count ? Content(sent).size() + 1 : 0;
    co_await OrReturn(UntilReady(end, event, room));
    while (const std::optional<RingRecord> record = end.Peek()) {
      EXPECT_EQ(record->tag, received);
      EXPECT_EQ(record->bytes, Content(received));
      ++received;
      end.Pop();
    }
  }
  EXPECT_TRUE(Send(end, "", kQuit));
  co_return absl::OkStatus();
}

class LinkTest : public testing::TestWithParam<ReactorFactory> {
 protected:
  // Runs what `program` makes of the parent's end and its event.
  absl::Status Run(const std::shared_ptr<LinkMemory>& memory,
                   const std::function<Task<absl::Status>(LinkEnd&, int)>& program) {
    absl::StatusOr<std::unique_ptr<Reactor>> reactor = GetParam().make(nullptr);
    if (!reactor.ok()) return reactor.status();
    EventLoop loop(*std::move(reactor));
    LinkEnd end(memory, LinkEnd::kParent);
    return BlockOn(loop, program(end, memory->event_descriptor()));
  }
};

TEST_P(LinkTest, AProcessAnswersEachRecordAndNoWakeUpIsLost) {
  const auto memory = NewMemory();
  const pid_t worker = StartProcess([&memory] { Echo(memory); });
  EXPECT_EQ(Run(memory, [](LinkEnd& end, int event) { return PingPong(end, event, Times(5'000)); }),
            absl::OkStatus());
  EXPECT_EQ(WaitFor(worker), 0);
}

TEST_P(LinkTest, RecordsThatFillTheRingsBothWaysAllArriveInOrder) {
  const auto memory = NewMemory();
  const pid_t worker = StartProcess([&memory] { Echo(memory); });
  EXPECT_EQ(
      Run(memory, [](LinkEnd& end, int event) { return Pipeline(end, event, Times(10'000)); }),
      absl::OkStatus());
  EXPECT_EQ(WaitFor(worker), 0);
}

// The same where ThreadSanitizer sees both ends.
TEST_P(LinkTest, TheEndsMayBeThreadsOfOneProcess) {
  for (const bool pipelined : {false, true}) {
    const auto memory = NewMemory();
    Thread worker = StartThread("worker", [&memory] { Echo(memory); });
    EXPECT_EQ(Run(memory,
                  [pipelined](LinkEnd& end, int event) {
                    return pipelined ? Pipeline(end, event, Times(3'000))
                                     : PingPong(end, event, Times(2'000));
                  }),
              absl::OkStatus());
    worker.join();
  }
}

// Forbids futexes here for as long as it lives.
class NoFutexes {
 public:
  NoFutexes() { pool_system::ForbidFutexesForTesting(true); }
  NoFutexes(const NoFutexes&) = delete;
  NoFutexes& operator=(const NoFutexes&) = delete;
  ~NoFutexes() { pool_system::ForbidFutexesForTesting(false); }
};

TEST_P(LinkTest, WhereFutexesFailTheWorkerSleepsOnItsEventAndNoWakeUpIsLost) {
  for (const bool parent_too : {false, true}) {
    std::optional<NoFutexes> forbidden;
    if (parent_too) forbidden.emplace();
    const auto memory = NewMemory();
    const pid_t worker = StartProcess([&memory] {
      pool_system::ForbidFutexesForTesting(true);
      Echo(memory);
    });
    EXPECT_EQ(
        Run(memory, [](LinkEnd& end, int event) { return PingPong(end, event, Times(2'000)); }),
        absl::OkStatus());
    EXPECT_EQ(WaitFor(worker), 0);
  }
}

TEST_P(LinkTest, WhereTheParentHasNoFutexesTheWorkerUsesNoneEither) {
  std::shared_ptr<LinkMemory> memory;
  {
    const NoFutexes forbidden;
    memory = NewMemory();
  }
  const pid_t worker = StartProcess([&memory] { Echo(memory); });
  const NoFutexes forbidden;
  EXPECT_EQ(Run(memory, [](LinkEnd& end, int event) { return Pipeline(end, event, Times(3'000)); }),
            absl::OkStatus());
  EXPECT_EQ(WaitFor(worker), 0);
}

TEST_P(LinkTest, TheParentHearsThatTheWorkerIsGone) {
  const auto memory = NewMemory();
  const pid_t worker = StartProcess([] {});
  memory->CloseWorkerEvent();
  EXPECT_EQ(Run(memory, [](LinkEnd& end, int event) { return UntilReady(end, event, 0); }).code(),
            absl::StatusCode::kUnavailable);
  EXPECT_EQ(WaitFor(worker), 0);
}

TEST_P(LinkTest, WaitingForAWorkerThatSaysNothingCanBeCancelled) {
  const auto memory = NewMemory();
  EXPECT_TRUE(absl::IsCancelled(Run(memory, [](LinkEnd& end, int event) -> Task<absl::Status> {
    JoinHandle<absl::Status> waiting = Spawn(UntilReady(end, event, 0));
    co_await Yield();
    waiting.Cancel("enough");
    co_return co_await waiting;
  })));
}

INSTANTIATE_TEST_SUITE_P(AllReactors, LinkTest, testing::ValuesIn(AllReactors()),
                         ReactorFactory::Name);

TEST(LinkMemoryTest, ItsDescriptorsAreAllThatAnotherOpenNeedsAndAreClosedInTheEnd) {
  const int before = OpenDescriptors();
  {
    const auto memory = NewMemory();
    absl::StatusOr<std::shared_ptr<LinkMemory>> other = LinkMemory::Open(
        ::dup(memory->memory_descriptor()), ::dup(memory->worker_event_descriptor()));
    ASSERT_TRUE(other.ok()) << other.status();
    LinkEnd parent(memory, LinkEnd::kParent);
    LinkEnd worker(*other, LinkEnd::kWorker);
    const std::string bytes(parent.max_record(), 'x');
    for (uint32_t i = 0; i < 10; ++i) {
      EXPECT_TRUE(Send(parent, bytes, i));
      ASSERT_TRUE(worker.Peek().has_value());
      EXPECT_EQ(worker.Peek()->bytes, bytes);
      worker.Pop();
      EXPECT_TRUE(Send(worker, bytes, i));
      ASSERT_TRUE(parent.Peek().has_value());
      EXPECT_EQ(parent.Peek()->bytes, bytes);
      parent.Pop();
    }
  }
  EXPECT_EQ(OpenDescriptors(), before);
}

TEST(LinkMemoryTest, DescriptorsThatAreSomethingElseAreRefusedAndClosed) {
  const int before = OpenDescriptors();
  const int pages = ::memfd_create("pages", MFD_CLOEXEC);
  ASSERT_EQ(::ftruncate(pages, 5 * 4096), 0);
  // It could be made shorter under our feet.
  EXPECT_EQ(LinkMemory::Open(pages, ::dup(0)).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(LinkMemory::Open(::dup(0), ::dup(0)).ok());
  EXPECT_FALSE(LinkMemory::Open(-1, -1).ok());
  EXPECT_EQ(OpenDescriptors(), before);
}

TEST(LinkMemoryTest, NobodyCanMakeTheMemoryShorter) {
  const auto memory = NewMemory();
  EXPECT_EQ(::ftruncate(memory->memory_descriptor(), 0), -1);
  EXPECT_EQ(errno, EPERM);
}

TEST(LinkEndTest, AWaitEndsAfterItsTimeAndAtOnceWhereThereIsSomething) {
  const auto memory = NewMemory();
  LinkEnd parent(memory, LinkEnd::kParent);
  LinkEnd worker(memory, LinkEnd::kWorker);
  for (int i = 0; i < 5; ++i) worker.Wait(absl::Milliseconds(1));
  EXPECT_FALSE(worker.Peek().has_value());
  EXPECT_TRUE(Send(parent, "a", 1));
  worker.Wait(absl::InfiniteDuration());
  EXPECT_EQ(worker.Peek()->bytes, "a");
  worker.Pop();
  worker.Wait(absl::InfiniteDuration(), {.room = worker.max_record()});
  // More than there can be is as much as there can be.
  worker.Wait(absl::InfiniteDuration(), {.room = worker.max_record() + 1});
}

TEST(LinkEndTest, AWaitWithoutFutexesEndsAfterItsTimeAsWell) {
  pool_system::ForbidFutexesForTesting(true);
  const auto memory = NewMemory();
  LinkEnd worker(memory, LinkEnd::kWorker);
  Clock& clock = Clock::Real();
  const Deadline begin = clock.Now();
  while (clock.Now() < begin + absl::Milliseconds(5)) worker.Wait(absl::Milliseconds(1));
  EXPECT_FALSE(worker.Peek().has_value());
  pool_system::ForbidFutexesForTesting(false);
}

TEST(LinkEndTest, NothingThatAWorkerDoesToItsEventMakesTheParentWait) {
  const auto memory = NewMemory();
  LinkEnd parent(memory, LinkEnd::kParent);
  EXPECT_EQ(::fcntl(memory->worker_event_descriptor(), F_SETFL, 0), 0);
  EXPECT_TRUE(parent.TakeSignals());
  EXPECT_NE(::fcntl(memory->event_descriptor(), F_GETFL) & O_NONBLOCK, 0);
  // More signals than there is room for.
  for (int i = 0; i < 100'000; ++i) {
    static_cast<void>(::send(memory->worker_event_descriptor(), "x", 1, MSG_DONTWAIT));
  }
  EXPECT_TRUE(parent.TakeSignals());
  EXPECT_TRUE(parent.PrepareToSleep());
  memory->CloseWorkerEvent();
  EXPECT_FALSE(parent.TakeSignals());
}

TEST(LinkEndTest, AWorkerThatIsKilledInTheMiddleOfARecordLeavesTheOnesBeforeIt) {
  const auto memory = NewMemory();
  const pid_t pid = StartProcess([&memory] {
    LinkEnd worker(memory, LinkEnd::kWorker);
    for (uint32_t i = 0; i < 100; ++i) Send(worker, "whole", i);
    std::memset(worker.Reserve(100), 'x', 50);
    ::raise(SIGKILL);
  });
  EXPECT_TRUE(WIFSIGNALED(WaitFor(pid)));
  LinkEnd parent(memory, LinkEnd::kParent);
  for (uint32_t i = 0; i < 100; ++i) {
    const std::optional<RingRecord> record = parent.Peek();
    ASSERT_TRUE(record.has_value());
    EXPECT_EQ(record->tag, i);
    EXPECT_EQ(record->bytes, "whole");
    parent.Pop();
  }
  EXPECT_FALSE(parent.Peek().has_value());
  EXPECT_EQ(parent.status(), absl::OkStatus());
}

TEST(LinkEndTest, AWorkerThatWritesAllOverTheMemoryWhileItIsUsedDoesNoHarm) {
  int damaged = 0;
  for (const int number : ShareOf(40)) {
    const auto round = static_cast<uint32_t>(number);
    const auto memory = NewMemory();
    const pid_t pid = StartProcess([&memory, round] {
      std::mt19937 engine(round);
      // The header, and all of both rings.
      char* const base = reinterpret_cast<char*>(&memory->header());
      for (int i = 0; i < 200'000; ++i) {
        const size_t limit = i % 4 == 0 ? sizeof(LinkHeader) : 4096 + 4 * kCapacity;
        base[engine() % limit] = static_cast<char>(engine());
      }
    });
    LinkEnd parent(memory, LinkEnd::kParent);
    size_t bytes = 0;
    size_t zeros = 0;
    int status = 0;
    while (::waitpid(pid, &status, WNOHANG) == 0) {
      Send(parent, Content(round), round);
      if (const std::optional<RingRecord> record = parent.Peek()) {
        // Every byte is read: those outside of the mapping are not there.
        for (const char c : record->bytes) zeros += c == 0 ? 1 : 0;
        bytes += record->bytes.size();
        parent.Pop();
      }
      if (parent.PrepareToSleep({.room = 8})) parent.WakeUp();
    }
    EXPECT_EQ(status, 0);
    EXPECT_LE(zeros, bytes);
    if (!parent.status().ok()) {
      ++damaged;
      EXPECT_EQ(parent.status().code(), absl::StatusCode::kDataLoss);
      EXPECT_FALSE(parent.Peek().has_value());
      EXPECT_EQ(parent.Reserve(8), nullptr);
    }
  }
  EXPECT_GT(damaged, 0);
  EXPECT_FALSE(HasChildren());
}

}  // namespace
}  // namespace plait::internal
