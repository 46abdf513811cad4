// What the thread that is gone has left in the ring's own queues. (What goes on elsewhere on any
// reactor is in the reactor suite, and multishots are in multishot_threads_test.)
#include <deque>
#include <memory>
#include <string>

#include "gtest/gtest.h"
#include "plait/io/io_uring/io_uring_reactor.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/reactor.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/runtime/testing/test_operation.h"

namespace plait {
namespace {

void Turn(Reactor& reactor) {
  WorkQueue ready;
  reactor.Poll(Deadline::Immediate(), Clock::Real(), ready);
  while (WorkItem* item = ready.Pop()) item->run(*item);
}

// The kernel keeps them for the thread that they are for, and drops them with it: data that was
// received would be nobody's. Traps: buffer.
TEST(RingTakeoverTest, CompletionsThatFoundNoRoomInTheQueueComeToTheNextThread) {
  constexpr int kReads = 20;
  const std::unique_ptr<Reactor> reactor = *MakeIoUringReactor({.entries = 1});  // room for eight
  std::deque<FdPair> pairs;
  std::deque<GuardedBuffer> buffers;
  std::deque<ReadOperation> reads;
  StartThread("gone", [&] {
    for (int i = 0; i < kReads; ++i) {
      pairs.push_back(MakeSocketPair());
      buffers.emplace_back(4);
      reactor->Submit(reads.emplace_back(pairs[i].first.get(), buffers[i].span()));
    }
    for (int i = 0; i < 2 * kReads; ++i) Turn(*reactor);  // each takes one
    for (const FdPair& pair : pairs) WriteAll(pair.second.get(), "data");
    Turn(*reactor);
    EXPECT_GT(reactor->in_flight(), 0u) << "nothing is left that could be lost";
    reactor->Flush();
  }).join();
  for (int i = 0; i < 10 * kReads && reactor->in_flight() > 0; ++i) Turn(*reactor);
  for (int i = 0; i < kReads; ++i) {
    EXPECT_EQ(reads[i].result, 4) << "read " << i;
    EXPECT_EQ(buffers[i].text(4), "data");
  }
  ASSERT_EQ(reactor->in_flight(), 0u);
}

}  // namespace
}  // namespace plait
