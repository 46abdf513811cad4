// Multishots, and the ring itself, where another thread than the ring's closes what they are on, or
// destroys the reactor, while the ring's thread is still there and does something else. Traps:
// reuse (of a descriptor's number), buffer, race.
//
// Whatever the kernel has or has not been told of by then: nothing is taken from who has the number
// next, nothing that arrives is lost, and the sockets are closed when they are closed.
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "plait/io/io_uring/io_uring_reactor.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/multishot.h"
#include "plait/runtime/core/reactor.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/runtime/testing/test_operation.h"
#include "plait/runtime/testing/thread_that_stays.h"

namespace plait {
namespace {

// Longer than anything here takes on any machine.
constexpr int kPatienceMs = 60'000;

// Rings are not registered with their thread before so many turns without a pause.
constexpr int kManyTurns = 100;

// Takes nothing by itself.
struct Owner final : MultishotOwner {
  void OnShots(Multishot&) noexcept override { ++told; }
  void OnReactorGone(Multishot&) noexcept override { ++gone; }

  int told = 0;
  int gone = 0;
};

// While it is told to, the kernel takes nothing and gives nothing.
class BusyKernel final : public sys::SystemCalls {
 public:
  int IoUringEnter(int ring, unsigned submit, unsigned wait_for, unsigned flags,
                   const void* argument, size_t argument_size) noexcept override {
    if (!busy) {
      return SystemCalls::IoUringEnter(ring, submit, wait_for, flags, argument, argument_size);
    }
    ++refused;
    return -EBUSY;
  }

  bool busy = false;
  int refused = 0;
};

std::unique_ptr<Reactor> Make(const IoUringOptions& options = {}) {
  return *MakeIoUringReactor(options);
}

void Turn(Reactor& reactor) {
  WorkQueue ready;
  reactor.Poll(Deadline::Immediate(), Clock::Real(), ready);
  while (WorkItem* item = ready.Pop()) item->run(*item);
}

void ManyTurns(Reactor& reactor) {
  for (int i = 0; i < kManyTurns; ++i) Turn(reactor);
}

bool IsReadable(int fd) {
  pollfd wanted = {.fd = fd, .events = POLLIN, .revents = 0};
  return ::poll(&wanted, 1, kPatienceMs) == 1;
}

// Closes `pair.first`, which another socket has the number of then: that of the result's first.
FdPair GiveNumberToAnother(FdPair& pair) {
  const int number = pair.first.Release();
  EXPECT_EQ(::close(number), 0);
  FdPair next = MakeSocketPair();
  if (next.first.get() != number) next.first = OwnedFd(::dup2(next.first.get(), number));
  return next;
}

// --- another thread goes on ---

// Not with the one after it.
void TheNextConnectionIsAccepted(bool stays) {
  for (int round = 0; round < 20; ++round) {
    const std::unique_ptr<Reactor> reactor = Make({.entries = round % 2 == 0 ? 1u : 128u});
    const TcpListener listener = MakeTcpListener();
    Owner owner;
    Multishot* shots = nullptr;
    const auto begin = [&] {
      shots = reactor->StartMultishot(IoOpcode::kAccept, listener.fd.get(), owner);
      ManyTurns(*reactor);
    };
    std::optional<ThreadThatStays> there;
    if (stays) {
      there.emplace(begin);
    } else {
      StartThread("gone", begin).join();
    }
    ASSERT_NE(shots, nullptr) << "this kernel's io_uring has no multishots";
    Turn(*reactor);
    EXPECT_EQ(owner.told, 0);
    const OwnedFd client = MakeConnection(listener.name(), sizeof(listener.address));
    const Deadline patience = Clock::Real().Now() + absl::Milliseconds(kPatienceMs);
    while (owner.told == 0 && Clock::Real().Now() < patience) {
      WorkQueue ready;
      reactor->Poll(patience, Clock::Real(), ready);
      while (WorkItem* item = ready.Pop()) item->run(*item);
    }
    ASSERT_EQ(owner.told, 1) << "round " << round;
    reactor->StopMultishot(*shots);
    Turn(*reactor);
    EXPECT_EQ(MultishotUseOf(*reactor).armed, 0u);
  }
}

TEST(MultishotThreadsTest, TheNextConnectionIsAcceptedWhenTheThreadThatBeganItIsGone) {
  TheNextConnectionIsAccepted(/*stays=*/false);
}
TEST(MultishotThreadsTest, TheNextConnectionIsAcceptedWhenTheThreadThatBeganItIsStillThere) {
  TheNextConnectionIsAccepted(/*stays=*/true);
}

// --- a descriptor is closed by another thread ---

// What the kernel refuses when it is asked the second time, with room for one, or for more: then it
// has not seen what it was given.
void CloseWhileItIsNotKnown(unsigned entries) {
  BusyKernel kernel;
  const sys::ScopedSystemCalls scope(kernel);
  const int before = OpenDescriptors();
  {
    const std::unique_ptr<Reactor> reactor = Make({.entries = entries});
    FdPair pair = MakeSocketPair();
    Owner owner;
    if (entries > 1) Turn(*reactor);
    kernel.busy = true;
    Multishot* const shots = reactor->StartMultishot(IoOpcode::kRead, pair.first.get(), owner);
    ASSERT_NE(shots, nullptr) << "this kernel's io_uring has no multishots";
    reactor->Flush();
    EXPECT_GT(kernel.refused, 0);
    FdPair next;
    StartThread("closer", [&] {
      shots->DescriptorGone();
      next = GiveNumberToAnother(pair);
    }).join();
    WriteAll(next.second.get(), "keep");
    kernel.busy = false;
    for (int i = 0; i < kManyTurns; ++i) Turn(*reactor);
    EXPECT_TRUE(shots->ended());
    EXPECT_EQ(shots->end(), -ECANCELED);
    EXPECT_EQ(Drain(next.first.get()), "keep");
    reactor->StopMultishot(*shots);
    Turn(*reactor);
    EXPECT_EQ(MultishotUseOf(*reactor).armed, 0u);
    EXPECT_FALSE(reactor->expects_results());
  }
  EXPECT_EQ(OpenDescriptors(), before);
}

TEST(MultishotThreadsTest, OneThatFoundTheQueueFullTakesNothingFromTheNextOfItsNumber) {
  CloseWhileItIsNotKnown(/*entries=*/1);
}

TEST(MultishotThreadsTest, NorDoesOneThatTheKernelWouldNotTake) {
  CloseWhileItIsNotKnown(/*entries=*/8);
}

// It has the kernel's word that there is no buffer, and is not asked for again.
TEST(MultishotThreadsTest, OneThatIsOutOfBuffersTakesNothingFromTheNextOfItsNumber) {
  const std::unique_ptr<Reactor> reactor =
      Make({.buffer_size = 4, .first_buffers = 1, .max_buffers = 2});
  FdPair pair = MakeSocketPair();
  Owner owner;
  Multishot* const shots = reactor->StartMultishot(IoOpcode::kRead, pair.first.get(), owner);
  ASSERT_NE(shots, nullptr) << "this kernel's io_uring has no multishots";
  WriteAll(pair.second.get(), "0123456789abcdef");
  for (int i = 0; i < kManyTurns && !shots->ended(); ++i) Turn(*reactor);
  EXPECT_TRUE(shots->ended());
  EXPECT_EQ(shots->end(), -ENOBUFS);
  EXPECT_EQ(Drain(pair.first.get()), "89abcdef") << "what was not received is there";
  FdPair next;
  StartThread("closer", [&] {
    shots->DescriptorGone();
    next = GiveNumberToAnother(pair);
  }).join();
  WriteAll(next.second.get(), "keep");
  // It has buffers again.
  while (Shot* const shot = shots->Take()) reactor->ReturnShot(*shots, *shot);
  ManyTurns(*reactor);
  EXPECT_EQ(Drain(next.first.get()), "keep");
  reactor->StopMultishot(*shots);
}

// The kernel ended it, as its owner took nothing; it would go on now that all was returned.
TEST(MultishotThreadsTest, NorDoesOneThatWasHeldBackAndWouldGoOn) {
  const std::unique_ptr<Reactor> reactor = Make({.buffer_size = 1});
  FdPair pair = MakeSocketPair();
  Owner owner;
  Multishot* const shots = reactor->StartMultishot(IoOpcode::kRead, pair.first.get(), owner);
  ASSERT_NE(shots, nullptr) << "this kernel's io_uring has no multishots";
  WriteAll(pair.second.get(), std::string(Multishot::kMaxUntaken, 'x'));
  // In the turn in which the last has come the kernel is asked to hold it back: it ends in the
  // next.
  while (owner.told == 0) Turn(*reactor);
  int taken = 0;
  while (Shot* const shot = shots->Take()) {
    reactor->ReturnShot(*shots, *shot);
    ++taken;
  }
  FdPair next;
  StartThread("closer", [&] {
    shots->DescriptorGone();
    static_cast<void>(::shutdown(pair.first.get(), SHUT_RDWR));
    next = GiveNumberToAnother(pair);
  }).join();
  WriteAll(next.second.get(), "keep");
  ManyTurns(*reactor);
  EXPECT_TRUE(shots->ended());
  EXPECT_EQ(Drain(next.first.get()), "keep");
  EXPECT_GT(taken, 0);
  reactor->StopMultishot(*shots);
}

// --- the reactor is destroyed by another thread ---

class DestroyedElsewhere : public testing::TestWithParam<bool> {};

INSTANTIATE_TEST_SUITE_P(MultishotThreadsTest, DestroyedElsewhere, testing::Bool(),
                         [](const auto& info) { return info.param ? "Flushed" : "NotFlushed"; });

// Armed, full of data that nobody took, and not known to the kernel yet; some results are lent.
TEST_P(DestroyedElsewhere, WhatWasArmedIsLetGoOfAndWhatArrivesIsTheNextReaders) {
  constexpr int kConnections = 40;
  const int before = OpenDescriptors();
  {
    std::unique_ptr<Reactor> reactor;
    std::deque<FdPair> pairs;
    for (int i = 0; i < kConnections; ++i) pairs.push_back(MakeSocketPair());
    UnixListener listener = MakeUnixListener();
    std::vector<Owner> owners(kConnections + 1);
    const ThreadThatStays ring_thread([&] {
      reactor = Make();
      Owner* owner = &owners.front();
      Multishot* const accepting =
          reactor->StartMultishot(IoOpcode::kAccept, listener.fd.get(), *owner);
      ASSERT_NE(accepting, nullptr) << "this kernel's io_uring has no multishots";
      for (int i = 0; i < kConnections; ++i) {
        Multishot* const shots = reactor->StartMultishot(
            IoOpcode::kRead, pairs[static_cast<size_t>(i)].first.get(), *++owner);
        ASSERT_NE(shots, nullptr);
        if (i == kConnections - 2) {
          WriteAll(pairs.front().second.get(), "lent");
          ManyTurns(*reactor);
        }
      }
      if (GetParam()) reactor->Flush();
    });
    // The kernel was told of them, and nobody has asked it since.
    for (FdPair& pair : pairs) WriteAll(pair.second.get(), "before");
    const OwnedFd client = MakeConnection(listener.name(), listener.size);
    reactor = nullptr;
    for (const Owner& owner : owners) EXPECT_EQ(owner.gone, 1);
    for (FdPair& pair : pairs) {
      EXPECT_EQ(Drain(pair.first.get()), "before");
      WriteAll(pair.second.get(), "after");
      EXPECT_EQ(Drain(pair.first.get()), "after");
    }
    ASSERT_TRUE(IsReadable(listener.fd.get())) << "the connection is lost";
    const OwnedFd accepted(::accept4(listener.fd.get(), nullptr, nullptr, SOCK_CLOEXEC));
    EXPECT_GE(accepted.get(), 0);
    if (GetParam()) {
      // The thread of the ring is still there.
      for (FdPair& pair : pairs) {
        pair.first.Reset();
        EXPECT_TRUE(IsReadable(pair.second.get())) << "the kernel keeps the socket";
        EXPECT_EQ(ReadExactly(pair.second.get(), 1), "") << "the peer is told of the end";
      }
    }
  }
  EXPECT_EQ(OpenDescriptors(), before);
}

// The ring's thread goes on with another ring, and so does the destroyer.
TEST(MultishotThreadsTest, TheEndOfAReactorLeavesTheRingsOfTheThreadThatDestroysItAlone) {
  for (const bool single_issuer : {true, false}) {
    std::unique_ptr<Reactor> theirs;
    const ThreadThatStays ring_thread([&] {
      theirs = Make({.without = {.single_issuer = !single_issuer}});
      ManyTurns(*theirs);
    });
    const std::unique_ptr<Reactor> ours = Make();
    ManyTurns(*ours);
    theirs = nullptr;
    FdPair pair = MakeSocketPair();
    GuardedBuffer byte(1);
    ReadOperation read(pair.first.get(), byte.span());
    ours->Submit(read);
    WriteAll(pair.second.get(), "x");
    for (int i = 0; i < kManyTurns && !read.delivered(); ++i) Turn(*ours);
    EXPECT_EQ(read.result, 1);
    CloseOperation close(pair.first.Release());
    ours->Submit(close);
    while (!close.delivered()) Turn(*ours);
  }
}

}  // namespace
}  // namespace plait
