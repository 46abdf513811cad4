// Operations on an executor with several Workers, each with a reactor, between which tasks go to
// and fro. Traps: a buffer that is freed while the kernel owns it (of a read that is ended from
// another worker), a cancel that races completion (and one that comes while an operation is carried
// home), a wake-up that is lost between a look and a park (of a number whose last descriptor was
// closed from another worker).
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "plait/io/ops/operations.h"
#include "plait/io/ops/owned_descriptor.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/core/worker.h"
#include "plait/runtime/core/worker_group.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_reactors.h"
#include "plait/runtime/testing/executor_fixture.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/runtime/testing/reactor_factory.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/runtime/testing/test_pool.h"

namespace plait::io {
namespace {

Task<absl::StatusOr<std::string>> ReadSome(int fd, size_t most = 64) {
  GuardedBuffer buffer(most);
  const absl::StatusOr<size_t> count = co_await Read(fd, buffer.span());
  if (!count.ok()) co_return count.status();
  co_return std::string(buffer.text(*count));
}

Task<absl::Status> WriteText(int fd, std::string text) {
  const GuardedBuffer buffer(text);
  const absl::StatusOr<size_t> count = co_await Write(fd, buffer.span());
  co_return count.status();
}

class OperationsOnWorkersTest : public testing::TestWithParam<ReactorFactory> {
 protected:
  OperationsOnWorkersTest() { Make(/*restless=*/false); }
  ~OperationsOnWorkersTest() override {
    // What was dropped is closed by a task.
    for (int round = 0; pool_->tasks().size() > 0; ++round) plait::internal::SpinWait(round);
    // Fewer, where a thread that started had a file open for a moment.
    EXPECT_LE(OpenDescriptors(), open_before_);
  }

  void Make(bool restless, int workers = 2) {
    pool_ = nullptr;
    pool_ = std::make_unique<TestPool>([] { return GetParam().make(nullptr); },
                                       TestPool::Options{.workers = workers, .restless = restless});
    open_before_ = OpenDescriptors();
  }
  template <class Body>
  auto RunTask(Body body) {
    return BlockOn(*pool_, body());
  }
  TestPool& pool() { return *pool_; }

  // A task that has begun to read `fd` on worker 0, where that is at home from now on.
  Task<JoinHandle<absl::StatusOr<std::string>>> ReaderAtHome(int fd) {
    co_await pool_->MoveTo(0);
    co_return Spawn(ReadSome(fd), {.eager = true});
  }

 private:
  int open_before_ = 0;
  std::unique_ptr<TestPool> pool_;
};

TEST_P(OperationsOnWorkersTest, AnOperationGoesOnWhereItsDescriptorIsAtHome) {
  FdPair pair = MakeSocketPair();
  OwnedDescriptor end(pair.first.Release());
  const auto body = [&]() -> Task<void> {
    auto reader = co_await ReaderAtHome(end.get());
    co_await pool().MoveTo(1);
    EXPECT_EQ(pool().here(), 1);
    const absl::Status wrote = co_await WriteText(end.get(), "from one side");
    EXPECT_TRUE(wrote.ok()) << wrote;
    EXPECT_EQ(pool().here(), 0);
    WriteAll(pair.second.get(), "to the other");
    const absl::StatusOr<std::string> read = co_await reader;
    EXPECT_TRUE(read.ok() && *read == "to the other") << read.status();
    const absl::Status closed = co_await end.Close();
    EXPECT_TRUE(closed.ok()) << closed;
  };
  RunTask(body);
  EXPECT_EQ(ReadExactly(pair.second.get(), 13), "from one side");
}

TEST_P(OperationsOnWorkersTest, AReadIsTakenUpOnAnotherWorkerThanTheOneBefore) {
  FdPair pair = MakeTcpPair();
  OwnedDescriptor end(pair.first.Release());
  const auto body = [&]() -> Task<void> {
    for (int round = 0; round < 4; ++round) {
      co_await pool().MoveTo(round % 2);
      WriteAll(pair.second.get(), "round");
      const absl::StatusOr<std::string> read = co_await ReadSome(end.get());
      EXPECT_TRUE(read.ok() && *read == "round") << read.status();
      EXPECT_EQ(pool().here(), 0);
    }
    const absl::Status closed = co_await end.Close();
    EXPECT_TRUE(closed.ok()) << closed;
  };
  RunTask(body);
}

TEST_P(OperationsOnWorkersTest, ACloseOnAnotherWorkerEndsWhatIsPending) {
  FdPair pair = MakeSocketPair();
  OwnedDescriptor end(pair.first.Release());
  const auto body = [&]() -> Task<void> {
    auto reader = co_await ReaderAtHome(end.get());
    co_await pool().MoveTo(1);
    const absl::Status closed = co_await end.Close();
    EXPECT_TRUE(closed.ok()) << closed;
    const absl::StatusOr<std::string> read = co_await reader;
    EXPECT_TRUE(absl::IsCancelled(read.status())) << read.status();
  };
  RunTask(body);
}

TEST_P(OperationsOnWorkersTest, ADescriptorThatIsDroppedOnAnotherWorkerEndsWhatIsPending) {
  FdPair pair = MakeSocketPair();
  auto end = std::make_unique<OwnedDescriptor>(pair.first.Release());
  const auto body = [&]() -> Task<void> {
    auto reader = co_await ReaderAtHome(end->get());
    co_await pool().MoveTo(1);
    end = nullptr;
    const absl::StatusOr<std::string> read = co_await reader;
    EXPECT_TRUE(absl::IsCancelled(read.status())) << read.status();
  };
  RunTask(body);
  EXPECT_EQ(ReadExactly(pair.second.get(), 1), "") << "it is still open";
}

TEST_P(OperationsOnWorkersTest, ANumberThatWasClosedElsewhereWorksForTheNext) {
  const auto body = [&]() -> Task<void> {
    std::optional<int> number;
    for (int round = 0; round < 6; ++round) {
      FdPair pair = MakeSocketPair();
      OwnedDescriptor end(pair.first.Release());
      if (!number.has_value()) number = end.get();
      EXPECT_EQ(end.get(), *number) << "the test has nothing to say";
      // At home with each worker in turn, and always closed from the other.
      const int home = round % 2;
      co_await pool().MoveTo(home);
      auto reader = Spawn(ReadSome(end.get()), {.eager = true});
      co_await pool().MoveTo(1 - home);
      WriteAll(pair.second.get(), "x");
      const absl::StatusOr<std::string> read = co_await reader;
      EXPECT_TRUE(read.ok() && *read == "x") << read.status();
      co_await pool().MoveTo(1 - home);
      const absl::Status closed = co_await end.Close();
      EXPECT_TRUE(closed.ok()) << closed;
      EXPECT_EQ(pool().here(), home);
    }
  };
  RunTask(body);
}

// Keeps a worker busy until it is let go: what is posted to it meanwhile arrives in that order.
class HeldWorker {
 public:
  explicit HeldWorker(Worker& worker) {
    worker.Post(item_);
    held_.WaitForNotification();
  }
  // On another thread. What was posted runs after this object's own item, so that whoever has seen
  // some of it may destroy this.
  void LetGo() { go_.Notify(); }

 private:
  absl::Notification held_;
  absl::Notification go_;
  FunctionItem item_{[this] {
    held_.Notify();
    go_.WaitForNotification();
  }};
};

TEST_P(OperationsOnWorkersTest, AnOperationIsEndedByACloseThatArrivesBeforeItOrAfterIt) {
  for (const bool close_first : {false, true}) {
    SCOPED_TRACE(close_first);
    FdPair pair = MakeSocketPair();
    const int fd = pair.first.Release();
    const auto close = [](int number) -> Task<absl::Status> { co_return co_await Close(number); };
    const auto body = [&]() -> Task<void> {
      co_await pool().MoveTo(0);
      const absl::Status wrote = co_await WriteText(fd, "x");  // it is at home there
      EXPECT_TRUE(wrote.ok()) << wrote;
      co_await pool().MoveTo(1);
      HeldWorker held(pool().worker(0));
      JoinHandle<absl::Status> closing;
      if (close_first) closing = Spawn(close(fd), {.eager = true});
      JoinHandle<absl::StatusOr<std::string>> reading = Spawn(ReadSome(fd), {.eager = true});
      if (!close_first) closing = Spawn(close(fd), {.eager = true});
      held.LetGo();
      const absl::Status closed = co_await closing;
      EXPECT_TRUE(closed.ok()) << closed;
      const absl::StatusOr<std::string> read = co_await reading;
      EXPECT_TRUE(absl::IsCancelled(read.status())) << read.status();
    };
    RunTask(body);
  }
}

// Between the post and the arrival the descriptor is closed at its home, and another file gets its
// number: which is neither read nor written nor closed.
TEST_P(OperationsOnWorkersTest, AnOperationThatArrivesWhenItsNumberIsAnothersDoesThatNoHarm) {
  FdPair pair = MakeSocketPair();
  FdPair others = MakeSocketPair();
  const int fd = pair.first.get();
  WriteAll(others.second.get(), "other's");
  const auto close = [](int number) -> Task<absl::Status> { co_return co_await Close(number); };
  const auto body = [&]() -> Task<void> {
    co_await pool().MoveTo(0);
    WorkerGroup& group = *Worker::Current()->group();
    EXPECT_EQ(&group.HomeOf(fd, *Worker::Current()), Worker::Current());
    co_await pool().MoveTo(1);
    HeldWorker held(pool().worker(0));
    FunctionItem renumber([&] {
      group.Forget(fd);  // as a close does
      EXPECT_EQ(::dup2(others.first.get(), fd), fd);
    });
    pool().worker(0).Post(renumber);
    JoinHandle<absl::StatusOr<std::string>> reading = Spawn(ReadSome(fd), {.eager = true});
    JoinHandle<absl::Status> writing = Spawn(WriteText(fd, "stray"), {.eager = true});
    JoinHandle<absl::Status> closing = Spawn(close(fd), {.eager = true});
    held.LetGo();
    const absl::StatusOr<std::string> read = co_await reading;
    EXPECT_TRUE(absl::IsCancelled(read.status())) << read.status();
    const absl::Status wrote = co_await writing;
    EXPECT_TRUE(absl::IsCancelled(wrote)) << wrote;
    const absl::Status closed = co_await closing;
    EXPECT_TRUE(absl::IsFailedPrecondition(closed)) << closed;
  };
  RunTask(body);
  EXPECT_EQ(ReadExactly(fd, 7), "other's");
  EXPECT_EQ(Drain(others.second.get()), "");
}

TEST_P(OperationsOnWorkersTest, ACancelReachesAnOperationAtItsHome) {
  FdPair pair = MakeSocketPair();
  OwnedDescriptor end(pair.first.Release());
  const auto body = [&]() -> Task<void> {
    auto reader = co_await ReaderAtHome(end.get());
    co_await pool().MoveTo(1);
    reader.Cancel();
    const absl::StatusOr<std::string> read = co_await reader;
    EXPECT_TRUE(absl::IsCancelled(read.status())) << read.status();
    // And one that is carried there under a token that is stopped already.
    co_await pool().MoveTo(1);
    CancelScope scope;
    scope.Cancel();
    const absl::StatusOr<std::string> never = co_await scope.Run(ReadSome(end.get()));
    EXPECT_TRUE(absl::IsCancelled(never.status())) << never.status();
    const absl::Status closed = co_await end.Close();
    EXPECT_TRUE(closed.ok()) << closed;
  };
  RunTask(body);
}

TEST_P(OperationsOnWorkersTest, ATimeoutHoldsWhicheverWorkersItsPartsAreOn) {
  FdPair pair = MakeSocketPair();
  OwnedDescriptor end(pair.first.Release());
  const auto body = [&]() -> Task<void> {
    auto first = co_await ReaderAtHome(end.get());
    WriteAll(pair.second.get(), "x");
    EXPECT_TRUE((co_await first).ok());
    // The timer is worker 1's, the operation worker 0's.
    co_await pool().MoveTo(1);
    const absl::StatusOr<std::string> late =
        co_await Timeout(absl::Milliseconds(1), ReadSome(end.get()));
    EXPECT_TRUE(absl::IsDeadlineExceeded(late.status())) << late.status();
    co_await pool().MoveTo(1);
    WriteAll(pair.second.get(), "y");
    const absl::StatusOr<std::string> soon =
        co_await Timeout(absl::Minutes(1), ReadSome(end.get()));
    EXPECT_TRUE(soon.ok() && *soon == "y") << soon.status();
    const absl::Status closed = co_await end.Close();
    EXPECT_TRUE(closed.ok()) << closed;
  };
  RunTask(body);
}

TEST_P(OperationsOnWorkersTest, ATaskOfAStrandStaysOnItsStrand) {
  FdPair pair = MakeSocketPair();
  OwnedDescriptor end(pair.first.Release());
  Strand strand(pool());
  const auto on_strand = [&]() -> Task<absl::Status> {
    for (int i = 0; i < 20; ++i) {
      WriteAll(pair.second.get(), "x");
      co_await OrReturn(ReadSome(end.get()));
      EXPECT_TRUE(strand.running_here());
      co_await Yield();
    }
    co_return absl::OkStatus();
  };
  const auto body = [&]() -> Task<void> {
    auto first = co_await ReaderAtHome(end.get());
    WriteAll(pair.second.get(), "x");
    EXPECT_TRUE((co_await first).ok());
    co_await pool().MoveTo(1);
    const absl::Status ran = co_await Spawn(on_strand(), {.executor = &strand});
    EXPECT_TRUE(ran.ok()) << ran;
    const absl::Status closed = co_await end.Close();
    EXPECT_TRUE(closed.ok()) << closed;
  };
  RunTask(body);
}

// Both ways at once over each of a few sockets, by tasks that are never long on one worker; some
// reads are given up at any time. All that was written comes, in order.
TEST_P(OperationsOnWorkersTest, RestlessTasksLoseNothing) {
  Make(/*restless=*/true, /*workers=*/3);
  constexpr int kPairs = 4;
  constexpr int kBytes = 400;
  const auto write = [](int fd) -> Task<absl::Status> {
    const std::string text = Pattern(kBytes);
    for (int i = 0; i < kBytes; i += 8) {
      co_await Yield();
      co_await OrReturn(WriteText(fd, text.substr(static_cast<size_t>(i), 8)));
    }
    co_return absl::OkStatus();
  };
  const auto read = [](int fd) -> Task<absl::Status> {
    std::string got;
    for (int i = 0; got.size() < kBytes; ++i) {
      const absl::Duration patience = absl::Microseconds(i % 3 == 0 ? 10 : 1'000'000);
      const absl::StatusOr<std::string> some = co_await Timeout(patience, ReadSome(fd, 5));
      if (some.ok()) {
        got += *some;
      } else if (!absl::IsDeadlineExceeded(some.status())) {
        co_return some.status();
      }
    }
    EXPECT_EQ(got, Pattern(kBytes));
    co_return absl::OkStatus();
  };
  const auto body = [&]() -> Task<absl::Status> {
    std::vector<OwnedDescriptor> ends;
    for (int i = 0; i < kPairs; ++i) {
      FdPair pair = i % 2 == 0 ? MakeSocketPair() : MakeTcpPair();
      ends.emplace_back(pair.first.Release());
      ends.emplace_back(pair.second.Release());
    }
    const auto talk = [&](TaskGroup& group) -> Task<absl::Status> {
      for (const OwnedDescriptor& end : ends) {
        group.Spawn(write(end.get()));
        group.Spawn(read(end.get()));
      }
      co_return absl::OkStatus();
    };
    co_await OrReturn(WithTaskGroup(talk));
    for (OwnedDescriptor& end : ends) co_await OrReturn(end.Close());
    co_return absl::OkStatus();
  };
  const absl::Status ran = RunTask(body);
  EXPECT_TRUE(ran.ok()) << ran;
}

INSTANTIATE_TEST_SUITE_P(AllReactors, OperationsOnWorkersTest, testing::ValuesIn(AllReactors()),
                         ReactorFactory::Name);

}  // namespace
}  // namespace plait::io
