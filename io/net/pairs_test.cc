// Streams that come in pairs: SocketPair and Pipe. Traps: a wake-up lost between the look and the
// wait (of a reader whose writer goes); the others are those of a Stream, see its tests.
#include <errno.h>

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "plait/io/net/pipe.h"
#include "plait/io/net/socket_pair.h"
#include "plait/io/net/stream_fixture.h"
#include "plait/io/system/fault_injection.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_reactors.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/runtime/testing/sockets.h"

namespace plait {
namespace {

using PairsTest = StreamLoopTest;

TEST_P(PairsTest, BothEndsOfASocketPairReadAndWrite) {
  const auto body = [&]() -> Task<absl::Status> {
    auto [a, b] = co_await OrReturn(SocketPair());
    co_await OrReturn(a.Write("to b\n"));
    co_await OrReturn(b.Write("to a\n"));
    EXPECT_EQ(co_await OrReturn(a.ReadLine()), "to a");
    EXPECT_EQ(co_await OrReturn(b.ReadLine()), "to b");
    EXPECT_EQ(a.peer_address()->family(), SocketAddress::Family::kUnix);
    co_await OrReturn(a.options().set_send_buffer(10'000));
    co_await OrReturn(a.Close());
    EXPECT_EQ(co_await OrReturn(b.ReadAll(10)), "");
    co_return co_await b.Close();
  };
  const absl::Status done = RunTask(body);
  EXPECT_TRUE(done.ok()) << done;
}

TEST_P(PairsTest, APipeGoesOneWayAndEndsWithItsWriter) {
  const auto body = [&]() -> Task<absl::Status> {
    PipeEnds pipe = co_await OrReturn(Pipe());
    const std::string text = Pattern(300'000);
    JoinHandle<absl::StatusOr<std::string>> reading = Spawn(pipe.reader.ReadAll(1 << 20));
    co_await OrReturn(pipe.writer.Write(text));
    EXPECT_FALSE(reading.done());
    co_await OrReturn(pipe.writer.Close());
    const std::string read = co_await OrReturn(std::move(reading));
    EXPECT_TRUE(read == text);
    co_return co_await pipe.reader.Close();
  };
  const absl::Status done = RunTask(body);
  EXPECT_TRUE(done.ok()) << done;
}

TEST_P(PairsTest, TheWrongEndOfAPipeSaysSo) {
  const auto body = [&]() -> Task<absl::Status> {
    PipeEnds pipe = co_await OrReturn(Pipe());
    const absl::Status written = co_await pipe.reader.Write("x");
    EXPECT_TRUE(absl::IsFailedPrecondition(written)) << written;
    const absl::StatusOr<std::string> read = co_await pipe.writer.Read(1);
    EXPECT_TRUE(absl::IsFailedPrecondition(read.status())) << read.status();
    // There is no half to shut down: the whole is closed.
    co_await OrReturn(pipe.writer.ShutdownWrite());
    EXPECT_EQ(co_await OrReturn(pipe.reader.ReadAll(10)), "");
    co_return absl::OkStatus();
  };
  const absl::Status done = RunTask(body);
  EXPECT_TRUE(done.ok()) << done;
}

TEST_P(PairsTest, AWriterThatWaitsLearnsThatItsReaderHasGone) {
  const auto body = [&]() -> Task<absl::Status> {
    PipeEnds pipe = co_await OrReturn(Pipe());
    const std::string text = Pattern(1 << 20);
    const auto write = [&]() -> Task<absl::Status> { co_return co_await pipe.writer.Write(text); };
    JoinHandle<absl::Status> writing = Spawn(write());
    co_await Yield();
    EXPECT_FALSE(writing.done());
    pipe.reader.Abort();
    const absl::Status written = co_await writing;
    EXPECT_TRUE(absl::IsFailedPrecondition(written)) << written;
    co_return absl::OkStatus();
  };
  const absl::Status done = RunTask(body);
  EXPECT_TRUE(done.ok()) << done;
}

INSTANTIATE_TEST_SUITE_P(AllReactors, PairsTest, testing::ValuesIn(AllReactors()),
                         ReactorFactory::Name);

TEST(PairsOutsideTest, WithoutDescriptorsThereAreNone) {
  const int before = OpenDescriptors();
  sys::FaultInjection faults;
  sys::ScopedSystemCalls scope(faults);
  faults.FailNext(sys::FaultInjection::kSocketPair, EMFILE);
  EXPECT_TRUE(absl::IsResourceExhausted(SocketPair().status()));
  faults.FailNext(sys::FaultInjection::kPipe, EMFILE);
  EXPECT_TRUE(absl::IsResourceExhausted(Pipe().status()));
  EXPECT_EQ(OpenDescriptors(), before);
  // Made and dropped outside of all executors, they are closed at once.
  EXPECT_TRUE(SocketPair().ok());
  EXPECT_TRUE(Pipe().ok());
  EXPECT_EQ(OpenDescriptors(), before);
}

}  // namespace
}  // namespace plait
