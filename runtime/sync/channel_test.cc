#include "plait/runtime/sync/channel.h"

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/allocations.h"
#include "plait/runtime/testing/task_programs.h"
#include "plait/schedulers/run.h"

namespace plait {
namespace {

using testing_programs::Turns;

Task<absl::Status> SendTask(Channel<int>* channel, int value) {
  co_return co_await channel->Send(value);
}

Task<absl::StatusOr<int>> ReceiveTask(Channel<int>* channel) {
  co_return co_await channel->Receive();
}

TEST(ChannelTest, ItGivesWhatWasSentInOrderWithoutWaitingWhereThereIsRoom) {
  Channel<int> channel(3);
  EXPECT_EQ(channel.capacity(), 3u);
  EXPECT_TRUE(channel.empty());
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(channel.TrySend(i).ok());
  EXPECT_TRUE(channel.full());
  EXPECT_EQ(channel.size(), 3u);
  EXPECT_TRUE(absl::IsResourceExhausted(channel.TrySend(3)));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(*channel.TryReceive(), i);
  EXPECT_TRUE(absl::IsUnavailable(channel.TryReceive().status()));
}

TEST(ChannelTest, ATrySendThatFailsLeavesTheValueWithTheCaller) {
  Channel<std::unique_ptr<int>> channel(1);
  EXPECT_TRUE(channel.TrySend(std::make_unique<int>(1)).ok());
  auto value = std::make_unique<int>(2);
  EXPECT_TRUE(absl::IsResourceExhausted(channel.TrySend(std::move(value))));
  ASSERT_NE(value, nullptr);  // NOLINT: a refused item stays where it was
  channel.Close();
  EXPECT_TRUE(absl::IsFailedPrecondition(channel.TrySend(std::move(value))));
  ASSERT_NE(value, nullptr);  // NOLINT: a refused item stays where it was
}

TEST(ChannelTest, AReceiveWaitsForASendAndASendForRoom) {
  plait::Run([]() -> Task<void> {
    Channel<int> channel(1);
    JoinHandle<absl::StatusOr<int>> receiver = Spawn(ReceiveTask(&channel));
    co_await Turns(3);
    EXPECT_FALSE(receiver.done());
    const absl::Status sent = co_await channel.Send(1);
    EXPECT_TRUE(sent.ok()) << sent;
    const absl::StatusOr<int> one = co_await receiver;
    EXPECT_TRUE(one.ok() && *one == 1) << one.status();

    EXPECT_TRUE(channel.TrySend(2).ok());
    JoinHandle<absl::Status> sender = Spawn(SendTask(&channel, 3));
    co_await Turns(3);
    EXPECT_FALSE(sender.done());
    EXPECT_EQ(channel.size(), 1u);
    const absl::StatusOr<int> two = co_await channel.Receive();
    EXPECT_TRUE(two.ok() && *two == 2) << two.status();
    const absl::Status waited = co_await sender;
    EXPECT_TRUE(waited.ok()) << waited;
    EXPECT_EQ(*channel.TryReceive(), 3);
  }());
}

TEST(ChannelTest, WhoWaitsIsServedInTheOrderOfArrivalAndNobodyOvertakes) {
  plait::Run([]() -> Task<void> {
    Channel<int> channel(2);
    std::vector<JoinHandle<absl::StatusOr<int>>> receivers;
    for (int i = 0; i < 4; ++i) receivers.push_back(Spawn(ReceiveTask(&channel)));
    co_await Turns(3);
    EXPECT_TRUE(absl::IsUnavailable(channel.TryReceive().status()));
    for (int i = 0; i < 4; ++i) EXPECT_TRUE(channel.TrySend(i).ok());  // handed over: never full
    for (int i = 0; i < 4; ++i) {
      const absl::StatusOr<int> value = co_await receivers[static_cast<size_t>(i)];
      EXPECT_TRUE(value.ok() && *value == i) << value.status();
    }

    EXPECT_TRUE(channel.TrySend(0).ok());
    EXPECT_TRUE(channel.TrySend(1).ok());
    std::vector<JoinHandle<absl::Status>> senders;
    for (int i = 2; i < 6; ++i) senders.push_back(Spawn(SendTask(&channel, i)));
    co_await Turns(3);
    for (int i = 0; i < 6; ++i) {
      EXPECT_EQ(*channel.TryReceive(), i);
      if (i < 4) {
        EXPECT_TRUE(absl::IsResourceExhausted(channel.TrySend(99)));
      }
    }
    for (auto& sender : senders) {
      const absl::Status status = co_await sender;
      EXPECT_TRUE(status.ok()) << status;
    }
  }());
}

TEST(ChannelTest, CloseReleasesWhoWaitsAndKeepsWhatIsIn) {
  plait::Run([]() -> Task<void> {
    Channel<int> empty(1);
    JoinHandle<absl::StatusOr<int>> a = Spawn(ReceiveTask(&empty));
    JoinHandle<absl::StatusOr<int>> b = Spawn(ReceiveTask(&empty));
    Channel<int> full(1);
    EXPECT_TRUE(full.TrySend(1).ok());
    JoinHandle<absl::Status> sender = Spawn(SendTask(&full, 2));
    co_await Turns(3);
    empty.Close();
    full.Close();
    full.Close();  // again
    EXPECT_TRUE(full.closed());
    const absl::StatusOr<int> from_a = co_await a;
    const absl::StatusOr<int> from_b = co_await b;
    EXPECT_TRUE(absl::IsFailedPrecondition(from_a.status())) << from_a.status();
    EXPECT_TRUE(absl::IsFailedPrecondition(from_b.status())) << from_b.status();
    const absl::Status refused = co_await sender;
    EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
    const absl::Status late = co_await full.Send(3);
    EXPECT_TRUE(absl::IsFailedPrecondition(late)) << late;
    EXPECT_TRUE(absl::IsFailedPrecondition(full.TrySend(3)));
    const absl::StatusOr<int> left = co_await full.Receive();
    EXPECT_TRUE(left.ok() && *left == 1) << left.status();
    const absl::StatusOr<int> none = co_await full.Receive();
    EXPECT_TRUE(absl::IsFailedPrecondition(none.status())) << none.status();
    EXPECT_TRUE(absl::IsFailedPrecondition(full.TryReceive().status()));
  }());
}

// Trap: a cancel that races the completion; here it comes first.
TEST(ChannelTest, ACancelledReceiveTakesNothingAndACancelledSendHasNotSent) {
  plait::Run([]() -> Task<void> {
    Channel<int> channel(1);
    JoinHandle<absl::StatusOr<int>> cancelled = Spawn(ReceiveTask(&channel));
    JoinHandle<absl::StatusOr<int>> next = Spawn(ReceiveTask(&channel));
    co_await Turns(3);
    cancelled.Cancel();
    EXPECT_TRUE(channel.TrySend(1).ok());
    const absl::StatusOr<int> none = co_await cancelled;
    EXPECT_TRUE(absl::IsCancelled(none.status())) << none.status();
    const absl::StatusOr<int> one = co_await next;
    EXPECT_TRUE(one.ok() && *one == 1) << one.status();

    EXPECT_TRUE(channel.TrySend(2).ok());
    JoinHandle<absl::Status> cancelled_send = Spawn(SendTask(&channel, 3));
    JoinHandle<absl::Status> next_send = Spawn(SendTask(&channel, 4));
    co_await Turns(3);
    cancelled_send.Cancel();
    EXPECT_EQ(*channel.TryReceive(), 2);
    const absl::Status status = co_await cancelled_send;
    EXPECT_TRUE(absl::IsCancelled(status)) << status;
    const absl::Status sent = co_await next_send;
    EXPECT_TRUE(sent.ok()) << sent;
    EXPECT_EQ(*channel.TryReceive(), 4);
    EXPECT_TRUE(channel.empty());
  }());
}

// Trap: a cancel that races the completion; here it comes second.
TEST(ChannelTest, WhoWasServedBeforeTheCancelSucceeds) {
  plait::Run([]() -> Task<void> {
    Channel<int> channel(1);
    JoinHandle<absl::StatusOr<int>> receiver = Spawn(ReceiveTask(&channel));
    co_await Turns(3);
    EXPECT_TRUE(channel.TrySend(1).ok());
    receiver.Cancel();
    const absl::StatusOr<int> value = co_await receiver;
    EXPECT_TRUE(value.ok() && *value == 1) << value.status();

    EXPECT_TRUE(channel.TrySend(2).ok());
    JoinHandle<absl::Status> sender = Spawn(SendTask(&channel, 3));
    co_await Turns(3);
    EXPECT_EQ(*channel.TryReceive(), 2);
    sender.Cancel();
    const absl::Status status = co_await sender;
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_EQ(*channel.TryReceive(), 3);
  }());
}

// Cancelled waiters leave a side's flag up; nobody may be held up by it.
TEST(ChannelTest, AfterEveryWaiterWasCancelledItWorksWithoutWaitingAgain) {
  plait::Run([]() -> Task<void> {
    Channel<int> channel(1);
    JoinHandle<absl::StatusOr<int>> receiver = Spawn(ReceiveTask(&channel));
    co_await Turns(3);
    receiver.Cancel();
    const absl::StatusOr<int> none = co_await receiver;
    EXPECT_TRUE(absl::IsCancelled(none.status())) << none.status();
    EXPECT_TRUE(absl::IsUnavailable(channel.TryReceive().status()));
    EXPECT_TRUE(channel.TrySend(1).ok());
    JoinHandle<absl::Status> sender = Spawn(SendTask(&channel, 2));
    co_await Turns(3);
    sender.Cancel();
    const absl::Status status = co_await sender;
    EXPECT_TRUE(absl::IsCancelled(status)) << status;
    EXPECT_TRUE(absl::IsResourceExhausted(channel.TrySend(3)));
    EXPECT_EQ(*channel.TryReceive(), 1);
    EXPECT_TRUE(channel.TrySend(4).ok());
    EXPECT_EQ(*channel.TryReceive(), 4);
  }());
}

TEST(ChannelTest, AWaitInACancelledTaskEndsAtOnceAndWhatNeedNotWaitSucceeds) {
  plait::Run([]() -> Task<void> {
    auto receive = [](Channel<int>* channel) -> Task<absl::StatusOr<int>> {
      CurrentTask().Cancel();
      co_return co_await channel->Receive();
    };
    auto send = [](Channel<int>* channel) -> Task<absl::Status> {
      CurrentTask().Cancel();
      co_return co_await channel->Send(9);
    };
    Channel<int> channel(1);
    const absl::StatusOr<int> none = co_await Spawn(receive(&channel));
    EXPECT_TRUE(absl::IsCancelled(none.status())) << none.status();
    const absl::Status sent = co_await Spawn(send(&channel));
    EXPECT_TRUE(sent.ok()) << sent;
    const absl::Status full = co_await Spawn(send(&channel));
    EXPECT_TRUE(absl::IsCancelled(full)) << full;
    const absl::StatusOr<int> nine = co_await Spawn(receive(&channel));
    EXPECT_TRUE(nine.ok() && *nine == 9) << nine.status();
    channel.Close();
    const absl::StatusOr<int> closed = co_await Spawn(receive(&channel));
    EXPECT_TRUE(absl::IsFailedPrecondition(closed.status())) << closed.status();
    const absl::Status in_vain = co_await Spawn(send(&channel));
    EXPECT_TRUE(absl::IsFailedPrecondition(in_vain)) << in_vain;
  }());
}

TEST(ChannelTest, ItCarriesMoveOnlyItemsAndFreesThoseThatAreLeft) {
  auto counted = std::make_shared<int>(1);
  plait::Run([](std::shared_ptr<int> item) -> Task<void> {
    Channel<std::unique_ptr<std::shared_ptr<int>>> channel(2);
    const absl::Status sent =
        co_await channel.Send(std::make_unique<std::shared_ptr<int>>(std::move(item)));
    EXPECT_TRUE(sent.ok());
    auto got = co_await channel.Receive();
    EXPECT_TRUE(got.ok());
    const absl::Status again = co_await channel.Send(*std::move(got));
    EXPECT_TRUE(again.ok());
  }(counted));
  EXPECT_EQ(counted.use_count(), 1);
}

TEST(ChannelTest, NothingIsAllocatedPerItemWaitOrNot) {
  plait::Run([]() -> Task<void> {
    Channel<int> channel(2);
    auto send = [](Channel<int>* c) -> Task<void> {
      for (int i = 0; i < 100; ++i) {
        const absl::Status status = co_await c->Send(i);
        EXPECT_TRUE(status.ok());
      }
    };
    auto receive = [](Channel<int>* c) -> Task<void> {
      for (int i = 0; i < 100; ++i) {
        const absl::StatusOr<int> item = co_await c->Receive();
        EXPECT_TRUE(item.ok() && *item == i);
      }
    };
    JoinHandle<void> a = Spawn(send(&channel));
    JoinHandle<void> b = Spawn(receive(&channel));
    const int64_t before = AllocationCount();
    co_await a;
    co_await b;
    EXPECT_EQ(AllocationCount(), before);
  }());
}

TEST(ChannelDeathTest, ItNeedsACapacityAndOutlivesItsWaiters) {
  EXPECT_DEATH(Channel<int>(0), "a Channel needs a capacity of at least 1");
  EXPECT_DEATH(Channel<int>(size_t{1} << 62), "a Channel's capacity is memory");
  EXPECT_DEATH(plait::Run([]() -> Task<void> {
                 auto channel = std::make_unique<Channel<int>>(1);
                 JoinHandle<absl::StatusOr<int>> receiver = Spawn(ReceiveTask(channel.get()));
                 co_await Turns(3);
                 channel = nullptr;
               }()),
               "a Channel was destroyed while a task waits on it");
}

}  // namespace
}  // namespace plait
