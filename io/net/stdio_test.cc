// Standard streams, over each kind of thing that they may be. Traps: a buffer that is freed while
// the kernel owns it (of a file's write on a blocking thread, whose stream goes).
#include "plait/io/net/stdio.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/io/system/fault_injection.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_reactors.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/runtime/testing/reactor_factory.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/runtime/testing/thread_executor.h"
#include "plait/schedulers/event_loop/event_loop.h"

namespace plait {
namespace {

using internal::OpenStandardStream;
using sys::FaultInjection;

bool Blocks(int fd) { return (::fcntl(fd, F_GETFL) & O_NONBLOCK) == 0; }

struct Terminal {
  OwnedFd master;
  OwnedFd user;
};

Terminal MakeTerminal() {
  Terminal terminal;
  terminal.master = OwnedFd(::posix_openpt(O_RDWR | O_NOCTTY));
  EXPECT_EQ(::grantpt(terminal.master.get()), 0);
  EXPECT_EQ(::unlockpt(terminal.master.get()), 0);
  terminal.user = OwnedFd(::open(::ptsname(terminal.master.get()), O_RDWR | O_NOCTTY));
  EXPECT_GE(terminal.user.get(), 0);
  return terminal;
}

class StdioTest : public testing::TestWithParam<ReactorFactory> {
 protected:
  template <class Body>
  auto RunTask(Body body) {
    return BlockOn(loop_, body());
  }

 private:
  ThreadExecutor blocking_{2};
  EventLoop loop_{GetParam().make(&blocking_), {.blocking = &blocking_}};
};

TEST_P(StdioTest, APipeIsReadAndWrittenAndStillBlocksForOthers) {
  const auto body = [&]() -> Task<absl::Status> {
    FdPair pipe = MakePipe();
    Stream input = co_await OrReturn(OpenStandardStream(pipe.first.get(), true));
    Stream output = co_await OrReturn(OpenStandardStream(pipe.second.get(), false));
    const std::string text = Pattern(300'000);
    const auto write = [&]() -> Task<absl::Status> {
      co_await OrReturn(output.Write(text));
      co_return co_await output.Close();
    };
    JoinHandle<absl::Status> writing = Spawn(write());
    const std::string read = co_await OrReturn(input.ReadExactly(text.size()));
    EXPECT_TRUE(read == text);
    EXPECT_TRUE(Blocks(pipe.first.get()));
    EXPECT_TRUE(Blocks(pipe.second.get()));
    co_await OrReturn(std::move(writing));
    // Closed was the stream, and not the standard descriptor.
    WriteAll(pipe.second.get(), "more\n");
    EXPECT_EQ(co_await OrReturn(input.ReadLine()), "more");
    pipe.second.Reset();
    EXPECT_EQ(co_await OrReturn(input.ReadAll(10)), "");
    co_return absl::OkStatus();
  };
  const absl::Status done = RunTask(body);
  EXPECT_TRUE(done.ok()) << done;
}

TEST_P(StdioTest, ATerminalIsReadLineByLineAndGoesOnAfterAnEnd) {
  const auto body = [&]() -> Task<absl::Status> {
    Terminal terminal = MakeTerminal();
    ::termios mode{};
    EXPECT_EQ(::tcgetattr(terminal.user.get(), &mode), 0);
    mode.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    mode.c_oflag &= ~static_cast<tcflag_t>(OPOST);
    EXPECT_EQ(::tcsetattr(terminal.user.get(), TCSANOW, &mode), 0);
    Stream input = co_await OrReturn(OpenStandardStream(terminal.user.get(), true));
    Stream output = co_await OrReturn(OpenStandardStream(terminal.user.get(), false));
    JoinHandle<absl::StatusOr<std::string>> reading = Spawn(input.ReadLine());
    co_await Yield();
    EXPECT_FALSE(reading.done());
    WriteAll(terminal.master.get(), "typed\n");
    EXPECT_EQ(co_await OrReturn(std::move(reading)), "typed");
    WriteAll(terminal.master.get(), "\x04");  // what a person types for the end
    EXPECT_EQ(co_await OrReturn(input.Read(10)), "");
    WriteAll(terminal.master.get(), "again\n");
    EXPECT_EQ(co_await OrReturn(input.ReadLine()), "again");
    // The end may be typed ahead, behind a line of any length.
    for (const size_t size : {126, 127, 128, 2000}) {
      const std::string line(size, 'l');
      WriteAll(terminal.master.get(), line + "\n\x04");
      EXPECT_EQ(co_await OrReturn(input.ReadLine()), line);
      EXPECT_EQ(co_await OrReturn(Timeout(absl::Seconds(20), input.Read(10))), "") << size;
    }
    co_await OrReturn(output.Write("shown\n"));
    co_await OrReturn(output.Flush());
    EXPECT_EQ(ReadExactly(terminal.master.get(), 6), "shown\n");
    EXPECT_TRUE(Blocks(terminal.user.get()));
    co_return absl::OkStatus();
  };
  const absl::Status done = RunTask(body);
  EXPECT_TRUE(done.ok()) << done;
}

TEST_P(StdioTest, ACancelThatMeetsTheNewsThatThereAreNoEventsLeavesTheStreamAsItWas) {
  const auto body = [&]() -> Task<absl::Status> {
    FdPair pipe = MakePipe();
    Stream input(io::OwnedDescriptor(pipe.first.Release()));
    FaultInjection faults;
    const sys::ScopedSystemCalls scope(faults);
    faults.FailNext(FaultInjection::kEpollControl, EPERM);
    JoinHandle<absl::StatusOr<std::string>> reading = Spawn(input.Read(10), {.eager = true});
    reading.Cancel();
    const absl::StatusOr<std::string> cancelled = co_await reading;
    EXPECT_TRUE(absl::IsCancelled(cancelled.status())) << cancelled.status();
    WriteAll(pipe.second.get(), "more");
    EXPECT_EQ(co_await OrReturn(input.Read(10)), "more");
    co_return co_await input.Close();
  };
  const absl::Status done = RunTask(body);
  EXPECT_TRUE(done.ok()) << done;
}

TEST_P(StdioTest, AFileGoesOnFromWhereItIsAndLeavesItThere) {
  const auto body = [&]() -> Task<absl::Status> {
    OwnedFd file = MakeFile("skipped\nfirst\nsecond\n");
    EXPECT_EQ(ReadExactly(file.get(), 8), "skipped\n");
    Stream input = co_await OrReturn(OpenStandardStream(file.get(), true));
    EXPECT_EQ(co_await OrReturn(input.ReadLine()), "first");
    EXPECT_EQ(co_await OrReturn(input.ReadLine()), "second");
    EXPECT_EQ(co_await OrReturn(input.ReadAll(10)), "");
    co_await OrReturn(input.Close());
    Stream output = co_await OrReturn(OpenStandardStream(file.get(), false));
    const std::string text = Pattern(300'000);
    co_await OrReturn(output.Write("third\n"));
    co_await OrReturn(output.Write(text));
    co_await OrReturn(output.Close());
    WriteAll(file.get(), "end");
    EXPECT_TRUE(FileContent(file.get()) == "skipped\nfirst\nsecond\nthird\n" + text + "end");
    co_return absl::OkStatus();
  };
  const absl::Status done = RunTask(body);
  EXPECT_TRUE(done.ok()) << done;
}

TEST_P(StdioTest, AFilesStreamMayGoWhileItIsWritten) {
  OwnedFd file = MakeFile("");
  const auto body = [&]() -> Task<absl::Status> {
    Stream output = co_await OrReturn(OpenStandardStream(file.get(), false));
    co_await OrReturn(output.Write(Pattern(50'000)));
    co_return absl::OkStatus();
  };
  const absl::Status done = RunTask(body);
  EXPECT_TRUE(done.ok()) << done;
}

TEST_P(StdioTest, WhatIsAlwaysReadyIsReadAndWritten) {
  const auto body = [&]() -> Task<absl::Status> {
    const OwnedFd null(::open("/dev/null", O_RDWR));
    Stream input = co_await OrReturn(OpenStandardStream(null.get(), true));
    EXPECT_EQ(co_await OrReturn(input.ReadAll(10)), "");
    Stream output = co_await OrReturn(OpenStandardStream(null.get(), false));
    co_await OrReturn(output.Write(Pattern(300'000)));
    co_return co_await output.Close();
  };
  const absl::Status done = RunTask(body);
  EXPECT_TRUE(done.ok()) << done;
}

TEST_P(StdioTest, WhatCannotBeOpenedAnewBlocksAgainInTheEnd) {
  for (const bool close : {true, false}) {
    SCOPED_TRACE(close);
    FdPair pair = MakeSocketPair();
    const auto body = [&]() -> Task<absl::Status> {
      Stream input = co_await OrReturn(OpenStandardStream(pair.first.get(), true));
      WriteAll(pair.second.get(), "line\nrest");
      EXPECT_EQ(co_await OrReturn(input.ReadLine()), "line");
      if (close) co_return co_await input.Close();
      co_return absl::OkStatus();
    };
    EXPECT_TRUE(Blocks(pair.first.get()));
    const absl::Status done = RunTask(body);
    EXPECT_TRUE(done.ok()) << done;
    EXPECT_TRUE(Blocks(pair.first.get()));
    // One that did not block stays so.
    EXPECT_EQ(::fcntl(pair.first.get(), F_SETFL, O_NONBLOCK), 0);
    WriteAll(pair.second.get(), "line\n");
    const absl::Status again = RunTask(body);
    EXPECT_TRUE(again.ok()) << again;
    EXPECT_FALSE(Blocks(pair.first.get()));
  }
}

TEST_P(StdioTest, APipeThatCannotBeOpenedAnewIsSharedAndBlocksAgain) {
  FdPair pipe = MakePipe();
  const auto body = [&]() -> Task<absl::Status> {
    FaultInjection faults;
    sys::ScopedSystemCalls scope(faults);
    faults.FailNext(FaultInjection::kOpen, EACCES);
    Stream input = co_await OrReturn(OpenStandardStream(pipe.first.get(), true));
    EXPECT_FALSE(Blocks(pipe.first.get()));
    JoinHandle<absl::StatusOr<std::string>> reading = Spawn(input.ReadLine());
    co_await Yield();
    WriteAll(pipe.second.get(), "line\n");
    EXPECT_EQ(co_await OrReturn(std::move(reading)), "line");
    co_return absl::OkStatus();
  };
  const absl::Status done = RunTask(body);
  EXPECT_TRUE(done.ok()) << done;
  EXPECT_TRUE(Blocks(pipe.first.get()));
}

INSTANTIATE_TEST_SUITE_P(AllReactors, StdioTest, testing::ValuesIn(AllReactors()),
                         ReactorFactory::Name);

TEST(StdioOutsideTest, TheThreeAreTheProcesssOwnAndAreLeftOpen) {
  const int before = OpenDescriptors();
  {
    const absl::StatusOr<Stream> input = StandardInput();
    EXPECT_TRUE(input.ok()) << input.status();
    const absl::StatusOr<Stream> output = StandardOutput();
    EXPECT_TRUE(output.ok()) << output.status();
    const absl::StatusOr<Stream> error = StandardError();
    EXPECT_TRUE(error.ok()) << error.status();
    EXPECT_GT(input->descriptor(), 2);
    EXPECT_GT(output->descriptor(), 2);
    EXPECT_GT(error->descriptor(), 2);
  }
  EXPECT_EQ(OpenDescriptors(), before);
}

TEST(StdioOutsideTest, OneThatIsClosedSaysSo) {
  EXPECT_TRUE(absl::IsFailedPrecondition(OpenStandardStream(-1, true).status()));
}

}  // namespace
}  // namespace plait
