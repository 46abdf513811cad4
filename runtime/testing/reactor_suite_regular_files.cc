// ReactorSuite: reads and writes of regular files.
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

#include <cstdint>
#include <deque>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/reactor_suite.h"
#include "plait/runtime/testing/repeats.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/runtime/testing/thread_executor.h"

namespace plait {
namespace {

// --- regular files. Traps: buffer, race (the blocking thread against the end of the reactor) ---

TEST_P(ReactorSuite, FilesAreReadAndWritten) {
  OwnedFd file = MakeFile("0123456789");
  GuardedBuffer buffer(4);
  ReadOperation at(file.get(), buffer.span(), 3);
  EXPECT_EQ(Do(at), 4);
  EXPECT_EQ(buffer.text(4), "3456");
  ReadOperation from_start(file.get(), buffer.span());
  EXPECT_EQ(Do(from_start), 4);
  EXPECT_EQ(buffer.text(4), "0123");
  WriteOperation in_order(file.get(), "abc");
  EXPECT_EQ(Do(in_order), 3);
  WriteOperation write_at(file.get(), "xy", 8);
  EXPECT_EQ(Do(write_at), 2);
  EXPECT_EQ(FileContent(file.get()), "0123abc7xy");
  ReadOperation end(file.get(), buffer.span(), 10);
  EXPECT_EQ(Do(end), 0);
  PollOperation poll(file.get(), kPollReadable | kPollWritable);
  EXPECT_EQ(Do(poll), static_cast<int32_t>(kPollReadable | kPollWritable));
  Close(file);
  ExpectNothingMore();
}

TEST_P(ReactorSuite, Line46TransfersOfAFileWithoutAPositionAreServedInOrder) {
  ThreadExecutor several(4);
  ReplaceReactor(&several);
  const std::string content = Pattern(100'000);
  OwnedFd file = MakeFile(content);
  OwnedFd copy = MakeFile("");
  std::deque<GuardedBuffer> buffers;
  std::deque<ReadOperation> reads;
  std::deque<WriteOperation> writes;
  for (int i = 0; i < 100; ++i) {
    buffers.emplace_back(1000);
    Submit(reads.emplace_back(file.get(), buffers.back().span()));
    Submit(writes.emplace_back(copy.get(), absl::string_view(content).substr(i * 1000, 1000)));
  }
  std::string read;
  for (int i = 0; i < 100; ++i) {
    Await(reads[i]);
    Await(writes[i]);
    ASSERT_EQ(reads[i].result, 1000);
    ASSERT_EQ(writes[i].result, 1000);
    read += std::string(buffers[i].text(1000));
  }
  EXPECT_TRUE(read == content);
  EXPECT_TRUE(FileContent(copy.get()) == content);
  ReplaceReactor(nullptr);
}

TEST_P(ReactorSuite, AWriteThatALimitCutsShortMovesThePositionOfTheFile) {
  OwnedFd file = MakeFile("");
  const std::string content = Pattern(10'000);
  ASSERT_NE(::signal(SIGXFSZ, SIG_IGN), SIG_ERR);
  rlimit limit;
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &limit), 0);
  const rlimit small{.rlim_cur = 6000, .rlim_max = limit.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  WriteOperation all(file.get(), content);
  EXPECT_EQ(Do(all), 6000);
  WriteOperation rest(file.get(), absl::string_view(content).substr(6000));
  EXPECT_EQ(Do(rest), -EFBIG);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  ASSERT_NE(::signal(SIGXFSZ, SIG_DFL), SIG_ERR);
  WriteOperation again(file.get(), absl::string_view(content).substr(6000));
  EXPECT_EQ(Do(again), 4000);
  EXPECT_TRUE(FileContent(file.get()) == content);
  Close(file);
}

TEST_P(ReactorSuite, WithoutABlockingExecutorFilesWorkOrAreRefused) {
  ReplaceReactor(nullptr);
  OwnedFd file = MakeFile("hello");
  GuardedBuffer buffer(5);
  ReadOperation read(file.get(), buffer.span());
  const int32_t result = Do(read);
  if (result != -EPERM) {
    EXPECT_EQ(result, 5);
    EXPECT_EQ(buffer.text(5), "hello");
  }
  WriteOperation write(file.get(), "x", 0);
  EXPECT_EQ(Do(write), result == -EPERM ? -EPERM : 1);
  Close(file);
}

TEST_P(ReactorSuite, ClosingAFileWaitsForTheTransfersThatHaveBegun) {
  blocking().Pause();
  OwnedFd file = MakeFile("hello");
  std::deque<GuardedBuffer> buffers;
  std::deque<ReadOperation> reads;
  for (int i = 0; i < 4; ++i) {
    buffers.emplace_back(5);
    Submit(reads.emplace_back(file.get(), buffers.back().span(), i % 2 == 0 ? 0 : -1));
  }
  const int number = file.Release();
  CloseOperation close(number);
  Submit(close);
  PollOnce(Deadline::Immediate());
  blocking().Resume();
  Await(close);
  EXPECT_EQ(close.result, 0);
  for (ReadOperation& read : reads) {
    EXPECT_EQ(read.deliveries, 1);
    EXPECT_TRUE(read.result == 5 || read.result == -ECANCELED) << read.result;
    EXPECT_LT(read.turn, close.turn);
  }
  buffers.clear();
  ReadOperation late(number, absl::Span<char>());
  EXPECT_EQ(Do(late), -EBADF);
}

TEST_P(ReactorSuite, ACancelledFileTransferEndsOnce) {
  OwnedFd file = MakeFile("hello");
  for (int i = 0; i < Repeats(200); ++i) {
    GuardedBuffer buffer(5);
    ReadOperation first(file.get(), buffer.span(), 0);
    ReadOperation second(file.get(), buffer.span());
    ReadOperation third(file.get(), buffer.span());
    for (TestOperation* read : {&first, &second, &third}) Submit(*read);
    if (i % 2 == 0) PollOnce(Deadline::Immediate());
    for (TestOperation* read : {&third, &first, &second}) {
      if (!read->delivered()) Cancel(*read);
    }
    for (TestOperation* read : {&first, &second, &third}) {
      Await(*read);
      EXPECT_TRUE(read->result == 5 || read->result == 0 || read->result == -ECANCELED)
          << read->result;
    }
  }
}

TEST_P(ReactorSuite, AReactorMayBeDestroyedAsSoonAsItsLastFileTransferIsDelivered) {
  OwnedFd file = MakeFile("hello");
  for (int i = 0; i < Repeats(300); ++i) {
    GuardedBuffer buffer(5);
    ReadOperation read(file.get(), buffer.span(), 0);
    Submit(read);
    // Without sleeping: the blocking thread may still be about to wake the reactor when it goes.
    while (!read.delivered()) PollOnce(i % 2 == 0 ? Deadline::Immediate() : Deadline::Infinite());
    EXPECT_EQ(read.result, 5);
    ReplaceReactor(&blocking());
  }
}

}  // namespace
}  // namespace plait
