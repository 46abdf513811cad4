#include "plait/io/io_uring/io_uring_reactor.h"

#include <errno.h>
#include <liburing.h>

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "plait/io/io_uring/io_uring_fixture.h"
#include "plait/io/system/fault_injection.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/reactor_suite.h"
#include "plait/runtime/testing/reactor_task_suite.h"
#include "plait/runtime/testing/sockets.h"

namespace plait {
namespace {

ReactorFactory Variant(std::string name, IoUringOptions options) {
  return {std::move(name), [options](Executor* blocking) {
            IoUringOptions with = options;
            with.blocking = blocking;
            return MakeIoUringReactor(with);
          }};
}

// As the kernel is; as older kernels are; with queues that are always full.
std::vector<ReactorFactory> Variants() {
  return {
      Variant("IoUring", {}),
      Variant("IoUringOfAnOldKernel", {.without = {.deferred_task_work = true,
                                                   .single_issuer = true,
                                                   .registered_ring = true,
                                                   .multishot = true,
                                                   .file_operations = true,
                                                   .zero_copy_send = true}}),
      Variant("IoUringOfLinux60", {.without = {.deferred_task_work = true}}),
      Variant("IoUringWithTinyQueues", {.entries = 1}),
  };
}

INSTANTIATE_TEST_SUITE_P(IoUring, ReactorSuite, testing::ValuesIn(Variants()),
                         ReactorFactory::Name);
INSTANTIATE_TEST_SUITE_P(IoUring, ReactorTaskSuite, testing::ValuesIn(EventLoopsOver(Variants())),
                         ReactorTaskExecutor::Name);

// --- making one ---

TEST_F(IoUringTest, OptionsThatMakeNoSenseAreRefused) {
  for (const IoUringOptions& options :
       {IoUringOptions{.entries = 0}, IoUringOptions{.entries = 3},
        IoUringOptions{.entries = 65536}, IoUringOptions{.max_buffers = 100},
        IoUringOptions{.buffer_size = 0}, IoUringOptions{.first_buffers = 0}}) {
    EXPECT_EQ(MakeIoUringReactor(options).status().code(), absl::StatusCode::kInvalidArgument);
  }
}

// What each kernel has more than the one before it; Plait wants 5.15.
constexpr unsigned kSince519 =
    IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL;
constexpr unsigned kSince60 = IORING_SETUP_SINGLE_ISSUER;
constexpr unsigned kSince61 = IORING_SETUP_DEFER_TASKRUN;

// A kernel that does not know some flags of io_uring_setup.
class OlderKernel final : public sys::SystemCalls {
 public:
  explicit OlderKernel(unsigned lacks) : lacks_(lacks) {}

  int IoUringSetup(unsigned entries, io_uring_params* params) noexcept override {
    if ((params->flags & lacks_) != 0) return -EINVAL;
    flags_ = params->flags;
    return SystemCalls::IoUringSetup(entries, params);
  }
  // Of the newest ring, of those that can be told apart.
  unsigned flags() const { return flags_ & (kSince519 | kSince60 | kSince61); }

 private:
  const unsigned lacks_;
  unsigned flags_ = 0;
};

TEST_F(IoUringTest, EachKernelIsAskedForTheBestThatItHas) {
  constexpr unsigned kNotAlone = kSince519 & ~IORING_SETUP_COOP_TASKRUN;  // deferring is instead
  struct Kernel {
    const char* version;
    unsigned lacks;
    unsigned flags;
  };
  for (const Kernel& kernel : {Kernel{"5.15", kSince519 | kSince60 | kSince61, 0},
                               Kernel{"5.19", kSince60 | kSince61, kSince519},
                               Kernel{"6.0", kSince61, kSince519 | kSince60},
                               Kernel{"6.1", 0, kNotAlone | kSince60 | kSince61}}) {
    SCOPED_TRACE(kernel.version);
    reactor_ = nullptr;
    OlderKernel calls(kernel.lacks);
    const sys::ScopedSystemCalls scope(calls);
    Replace({});
    EXPECT_EQ(calls.flags(), kernel.flags);

    FdPair pair = MakeTcpPair();
    GuardedBuffer buffer(5);
    ReadOperation read(pair.first.get(), buffer.span());
    reactor_->Submit(read);
    PollTillQuiet();
    WriteOperation write(pair.second.get(), "hello");
    EXPECT_EQ(Do(write), 5);
    while (!read.delivered()) PollOnce(Deadline::Infinite());
    EXPECT_EQ(read.result, 5);
    EXPECT_EQ(buffer.text(5), "hello");

    // Those are for kernels that receive in io_uring_enter and at no other time.
    Collector collector(*reactor_);
    Multishot* const shots = reactor_->StartMultishot(IoOpcode::kRead, pair.first.get(), collector);
    ASSERT_EQ(shots != nullptr, kernel.lacks == 0);
    if (shots != nullptr) reactor_->StopMultishot(*shots);
    reactor_ = nullptr;
  }
}

// --- sending without copies. Trap: buffer ---

TEST_F(IoUringTest, WhatIsSentWithoutCopiesArrivesWholeAndItsMemoryIsFreeOnceItIsDelivered) {
  Replace({.zero_copy_bytes = 1});
  for (const bool tcp : {true, false}) {
    SCOPED_TRACE(tcp ? "TCP" : "Unix, which cannot");
    FdPair pair = tcp ? MakeTcpPair() : MakeSocketPair();
    for (const size_t size : {size_t{1}, size_t{4096}, size_t{20'000}}) {
      const std::string data = Pattern(size);
      size_t sent = 0;
      while (sent < size) {
        GuardedBuffer buffer(absl::string_view(data).substr(sent));
        WriteOperation write(pair.first.get(), buffer.text(buffer.size()));
        const int32_t count = Do(write);
        buffer.Release();
        ASSERT_GT(count, 0);
        sent += static_cast<size_t>(count);
      }
      EXPECT_TRUE(ReadExactly(pair.second.get(), size) == data);
    }
  }
}

// --- cost, in system calls, and faults ---

TEST_F(IoUringTest, ATurnIsOneSystemCallHoweverMuchItSubmits) {
  std::vector<FdPair> pairs;
  std::vector<std::unique_ptr<WriteOperation>> writes;
  for (int i = 0; i < 50; ++i) pairs.push_back(MakeSocketPair());
  sys::FaultInjection counts;
  const sys::ScopedSystemCalls scope(counts);
  PollOnce(Deadline::Immediate());
  const int64_t before = counts.count(sys::FaultInjection::kIoUringEnter);
  for (FdPair& pair : pairs) {
    writes.push_back(std::make_unique<WriteOperation>(pair.first.get(), "x"));
    writes.back()->next_turn = &turn_;
    reactor_->Submit(*writes.back());
  }
  PollOnce(Deadline::Infinite());
  EXPECT_EQ(counts.count(sys::FaultInjection::kIoUringEnter) - before, 1);
  for (const auto& write : writes) EXPECT_EQ(write->result, 1);
}

// Sees how the ring is entered, and refuses it a number of its thread's own.
class RegistrationSpy final : public sys::SystemCalls {
 public:
  explicit RegistrationSpy(int refusal = 0) : refusal_(refusal) {}

  int IoUringEnter(int ring, unsigned submit, unsigned wait_for, unsigned flags,
                   const void* argument, size_t argument_size) noexcept override {
    by_number_ = (flags & IORING_ENTER_REGISTERED_RING) != 0;
    return SystemCalls::IoUringEnter(ring, submit, wait_for, flags, argument, argument_size);
  }
  int IoUringRegister(int ring, unsigned what, const void* argument,
                      unsigned count) noexcept override {
    if (what == IORING_REGISTER_RING_FDS) {
      ++asked_;
      if (refusal_ != 0) return -refusal_;
    }
    return SystemCalls::IoUringRegister(ring, what, argument, count);
  }
  // Whether the last Enter was by a registered ring's number.
  bool by_number() const { return by_number_; }
  int asked() const { return asked_; }

 private:
  const int refusal_;
  bool by_number_ = false;
  int asked_ = 0;
};

class IoUringRegisteredTest : public IoUringTest {
 protected:
  // How many turns, of so many, until the ring is entered by its number; from then on it is. 0:
  // never.
  int TurnsUntilRegistered(const RegistrationSpy& spy, int turns) {
    const FdPair pair = MakeSocketPair();
    int first = 0;
    for (int turn = 1; turn <= turns; ++turn) {
      WriteOperation write(pair.first.get(), "x");
      reactor_->Submit(write);
      PollOnce(Deadline::Infinite());
      EXPECT_EQ(write.result, 1) << "turn " << turn;
      if (spy.by_number() && first == 0) first = turn;
      EXPECT_EQ(spy.by_number(), first != 0) << "turn " << turn;
    }
    return first;
  }
};

TEST_F(IoUringRegisteredTest, ARingIsRegisteredOnceItHasBeenPolledForAWhileAndUntilAPause) {
  reactor_ = nullptr;
  RegistrationSpy spy;
  const sys::ScopedSystemCalls scope(spy);
  Replace({});
  for (int run = 1; run <= 3; ++run) {
    SCOPED_TRACE(run);
    EXPECT_EQ(TurnsUntilRegistered(spy, 200), 64);
    EXPECT_EQ(spy.asked(), run);
    reactor_->Flush();
  }
  reactor_ = nullptr;
}

TEST_F(IoUringRegisteredTest, ARingThatIsNotRegisteredIsEnteredAsBeforeAndNotTriedEachTurn) {
  // By a kernel before 5.18, one whose thread has as many already, one without memory, and an
  // option.
  for (const int refusal : {EINVAL, EBUSY, ENOMEM, 0}) {
    SCOPED_TRACE(refusal);
    reactor_ = nullptr;
    RegistrationSpy spy(refusal);
    const sys::ScopedSystemCalls scope(spy);
    Replace({.without = {.registered_ring = refusal == 0}});
    EXPECT_EQ(TurnsUntilRegistered(spy, 200), 0);
    EXPECT_EQ(spy.asked(), refusal == 0 ? 0 : 1);
    reactor_ = nullptr;
  }
}

// The kernel keeps them, and says so.
TEST_F(IoUringTest, CompletionsThatFindNoRoomInTheQueueComeThoughNobodyWaitsForThem) {
  Replace({.entries = 1});  // there is room for eight
  constexpr int kReads = 100;
  std::vector<FdPair> pairs;
  std::vector<std::unique_ptr<GuardedBuffer>> buffers;
  std::vector<std::unique_ptr<ReadOperation>> reads;
  for (int i = 0; i < kReads; ++i) {
    pairs.push_back(MakeSocketPair());
    buffers.push_back(std::make_unique<GuardedBuffer>(4));
    reads.push_back(std::make_unique<ReadOperation>(pairs[i].first.get(), buffers[i]->span()));
    reactor_->Submit(*reads[i]);
  }
  PollTillQuiet();
  EXPECT_EQ(reactor_->in_flight(), static_cast<size_t>(kReads));
  for (FdPair& pair : pairs) WriteAll(pair.second.get(), "data");
  for (int i = 0; i < 10 * kReads && reactor_->in_flight() > 0; ++i) {
    PollOnce(Deadline::Immediate());
  }
  for (int i = 0; i < kReads; ++i) {
    ASSERT_EQ(reads[i]->result, 4) << "read " << i << " has not come";
    EXPECT_EQ(buffers[i]->text(4), "data");
  }
}

TEST_F(IoUringTest, AnEnterThatIsRefusedForAWhileLosesNothing) {
  FdPair pair = MakeSocketPair();
  for (const int error : {EINTR, EAGAIN, EBUSY, ENOMEM}) {
    sys::FaultInjection faults;
    const sys::ScopedSystemCalls scope(faults);
    faults.Fail(sys::FaultInjection::kIoUringEnter, error, {.times = 5});
    GuardedBuffer buffer(5);
    WriteOperation write(pair.second.get(), "hello");
    EXPECT_EQ(Do(write), 5);
    ReadOperation read(pair.first.get(), buffer.span());
    EXPECT_EQ(Do(read), 5);
  }
}

}  // namespace
}  // namespace plait
