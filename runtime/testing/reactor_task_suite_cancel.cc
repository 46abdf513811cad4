// ReactorTaskSuite: cancels and timeouts.
#include <netinet/in.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/io/ops/operations.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/reactor_task_programs.h"
#include "plait/runtime/testing/reactor_task_suite.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/runtime/testing/task_programs.h"

namespace plait {
namespace {

using testing_programs::Turns;

using internal::Atomic;
using internal::kAcquire;
using internal::kRelease;

// --- cancel. Traps: race, buffer. Lines 53, 54, 56, 59 ---

TEST_P(ReactorTaskSuite, Line56ATaskThatWasCancelledBeforeItReadsDoesNotRead) {
  FdPair pair = MakeSocketPair();
  WriteAll(pair.second.get(), "kept");
  const auto body = [&]() -> Task<void> {
    // A task that runs, is cancelled, and only then reads.
    Promise<void> go;
    const auto late = [&]() -> Task<absl::StatusOr<std::string>> {
      const absl::Status told = co_await Uncancellable(go.future());
      EXPECT_TRUE(told.ok()) << told;
      co_return co_await ReadSome(pair.first.get(), 10);
    };
    JoinHandle<absl::StatusOr<std::string>> handle = Spawn(late());
    co_await Turns(1);
    handle.Cancel();
    go.Set();
    const absl::StatusOr<std::string> read = co_await handle;
    EXPECT_TRUE(absl::IsCancelled(read.status())) << read.status();
  };
  RunTask(body);
  EXPECT_EQ(Drain(pair.first.get()), "kept");
}

TEST_P(ReactorTaskSuite, ACancelEndsEveryKindOfOperation) {
  FdPair pair = MakeSocketPair();
  TcpListener listener = MakeTcpListener();
  FullListener full = MakeFullListener();
  OwnedFd client = MakeTcpSocket();
  FillUp(pair.first.get());
  const auto read = [&]() -> Task<absl::Status> {
    const absl::StatusOr<std::string> result = co_await ReadSome(pair.first.get(), 10);
    co_return result.status();
  };
  const auto write = [&]() -> Task<absl::Status> { return WriteEverything(pair.first.get(), "x"); };
  const auto poll = [&]() -> Task<absl::Status> {
    const absl::StatusOr<uint32_t> result =
        co_await io::Poll(pair.first.get(), kPollReadable | kPollWritable);
    co_return result.status();
  };
  const auto accept = [&]() -> Task<absl::Status> {
    const absl::StatusOr<int> result = co_await io::Accept(listener.fd.get());
    co_return result.status();
  };
  const auto connect = [&]() -> Task<absl::Status> {
    co_return co_await io::Connect(client.get(), full.listener.name(), sizeof(sockaddr_in));
  };
  const auto body = [&]() -> Task<void> {
    std::vector<JoinHandle<absl::Status>> handles;
    handles.push_back(Spawn(read(), {.name = "read"}));
    handles.push_back(Spawn(write(), {.name = "write"}));
    handles.push_back(Spawn(poll(), {.name = "poll"}));
    handles.push_back(Spawn(accept(), {.name = "accept"}));
    handles.push_back(Spawn(connect(), {.name = "connect"}));
    co_await Turns(3);
    for (JoinHandle<absl::Status>& handle : handles) {
      EXPECT_FALSE(handle.done()) << handle.name();
      EXPECT_TRUE(handle.Cancel());
    }
    for (JoinHandle<absl::Status>& handle : handles) {
      const absl::Status ended = co_await handle;
      EXPECT_TRUE(absl::IsCancelled(ended)) << handle.name() << ": " << ended;
      EXPECT_FALSE(handle.Cancel()) << "line 59: a cancel after the end does nothing";
    }
  };
  RunTask(body);
  EndExecutor();
}

// The data arrives and the cancel is asked for in the same turn, in either order.
TEST_P(ReactorTaskSuite, Line54DataAndACancelInOneTurnLoseNothing) {
  FdPair pair = MakeSocketPair();
  int cancelled = 0;
  int arrived = 0;
  const auto body = [&]() -> Task<void> {
    for (int i = 0; i < 300; ++i) {
      JoinHandle<absl::StatusOr<std::string>> reader = Spawn(ReadSome(pair.first.get(), 10));
      co_await Turns(1);
      if (i % 7 == 0) {
        // And where nothing arrives, the cancel is what ends it.
        reader.Cancel();
        const absl::StatusOr<std::string> nothing = co_await reader;
        EXPECT_TRUE(absl::IsCancelled(nothing.status())) << nothing.status();
        continue;
      }
      WriteAll(pair.second.get(), "hello");
      for (int yields = 0; yields < i % 5; ++yields) co_await Yield();
      reader.Cancel();
      const absl::StatusOr<std::string> read = co_await reader;
      if (read.ok()) {
        ++arrived;
        EXPECT_EQ(*read, "hello");
        EXPECT_EQ(Drain(pair.first.get()), "");
      } else {
        ++cancelled;
        EXPECT_TRUE(absl::IsCancelled(read.status())) << read.status();
        EXPECT_EQ(Drain(pair.first.get()), "hello");
      }
    }
  };
  RunTask(body);
  // Which of them is first is for the system to say.
  EXPECT_EQ(cancelled + arrived, 257);
}

// The cancel comes from another thread while the loop waits, or is about to, or delivers.
TEST_P(ReactorTaskSuite, ACancelFromAnotherThreadRacesTheData) {
  FdPair pair = MakeSocketPair();
  const int rounds = Repeats(500);
  Atomic<int> asked{0};
  Atomic<int> done{0};
  TaskHandle to_cancel;
  Thread canceller = StartThread("canceller", [&] {
    for (int i = 1; i <= rounds; ++i) {
      for (int spin = 0; asked.load(kAcquire) != i; ++spin) internal::SpinWait(spin);
      if (i % 2 == 0) WriteAll(pair.second.get(), "hello");
      to_cancel.Cancel();
      if (i % 2 != 0) WriteAll(pair.second.get(), "hello");
      done.store(i, kRelease);
    }
  });
  const auto body = [&]() -> Task<void> {
    for (int i = 1; i <= rounds; ++i) {
      JoinHandle<absl::StatusOr<std::string>> reader = Spawn(ReadSome(pair.first.get(), 10));
      to_cancel = reader;
      if (i % 3 != 0) co_await Yield();
      asked.store(i, kRelease);
      const absl::StatusOr<std::string> read = co_await reader;
      // What the canceller writes is there, too, from here on.
      while (done.load(kAcquire) != i) co_await Yield();
      if (read.ok()) {
        EXPECT_EQ(*read, "hello");
        EXPECT_EQ(Drain(pair.first.get()), "");
      } else {
        EXPECT_TRUE(absl::IsCancelled(read.status())) << read.status();
        EXPECT_EQ(Drain(pair.first.get()), "hello");
      }
    }
  };
  RunTask(body);
  canceller.join();
}

TEST_P(ReactorTaskSuite, ACancelFromAnotherThreadWakesAnExecutorThatSleepsInPoll) {
  FdPair pair = MakeSocketPair();
  for (int i = 0; i < Repeats(200); ++i) {
    absl::Notification about_to_sleep;
    JoinHandle<absl::StatusOr<std::string>> reader =
        Spawn(ReadSome(pair.first.get(), 10), {.executor = &executor()});
    Thread canceller =
        StartThread("canceller", [&about_to_sleep, handle = TaskHandle(reader)]() mutable {
          about_to_sleep.WaitForNotification();
          handle.Cancel();
        });
    const auto body = [&]() -> Task<absl::StatusOr<std::string>> {
      // Nothing else is there to do then: all sleep until the cancel comes, or are about to.
      about_to_sleep.Notify();
      co_return co_await reader;
    };
    const absl::StatusOr<std::string> read = RunTask(body);
    canceller.join();
    EXPECT_TRUE(absl::IsCancelled(read.status())) << read.status();
  }
}

// Timeouts and data meet at all distances: what does not arrive in one read arrives in the next.
TEST_P(ReactorTaskSuite, Line54ATimeoutAgainstDataLosesNoByte) {
  FdPair pair = MakeTcpPair();
  const std::string data = Pattern(static_cast<size_t>(Repeats(2000)));
  Thread peer = StartThread("peer", [&] {
    for (const char c : data) WriteAll(pair.second.get(), absl::string_view(&c, 1));
    pair.second.Reset();
  });
  const auto body = [&]() -> Task<absl::StatusOr<std::string>> {
    std::string received;
    for (int i = 0;; ++i) {
      const absl::StatusOr<std::string> part = co_await Timeout(
          absl::Microseconds(i % 20), ReadSome(pair.first.get(), 1 + static_cast<size_t>(i) % 3));
      if (absl::IsDeadlineExceeded(part.status())) continue;
      if (!part.ok()) co_return part.status();
      if (part->empty()) co_return received;
      received += *part;
    }
  };
  const absl::StatusOr<std::string> received = RunTask(body);
  peer.join();
  ASSERT_TRUE(received.ok()) << received.status();
  EXPECT_TRUE(*received == data);
}

TEST_P(ReactorTaskSuite, AReadThatIsCutShortByATimeoutLeavesItsBufferAlone) {
  FdPair pair = MakeSocketPair();
  const auto body = [&]() -> Task<void> {
    for (int i = 0; i < 20; ++i) {
      const absl::StatusOr<std::string> read =
          co_await Timeout(absl::Microseconds(50), ReadSome(pair.first.get(), 10));
      EXPECT_TRUE(absl::IsDeadlineExceeded(read.status())) << read.status();
      // Its buffer is gone by now.
      WriteAll(pair.second.get(), "late");
      for (int n = 0; n < 3; ++n) co_await Yield();
      const absl::StatusOr<std::string> next = co_await ReadSome(pair.first.get(), 10);
      EXPECT_TRUE(next.ok() && *next == "late");
    }
  };
  RunTask(body);
}

}  // namespace
}  // namespace plait
