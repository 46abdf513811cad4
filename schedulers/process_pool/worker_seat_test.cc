// The parent's side of a worker that says of itself what cannot be.
#include "plait/schedulers/process_pool/worker_seat.h"

#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "plait/schedulers/process_pool/call_board.h"
#include "plait/schedulers/process_pool/call_protocol.h"
#include "plait/schedulers/process_pool/codec.h"
#include "plait/schedulers/process_pool/function_table.h"
#include "plait/schedulers/process_pool/link.h"
#include "plait/schedulers/process_pool/payload.h"
#include "plait/schedulers/process_pool/pool_call.h"
#include "plait/schedulers/process_pool/pool_core.h"
#include "plait/schedulers/process_pool/pool_watch.h"
#include "plait/schedulers/process_pool/remote_executor.h"

namespace plait::internal {
namespace {

constexpr uint64_t kMost = std::numeric_limits<uint64_t>::max();

int Square(int n) { return n * n; }

class WorkerSeatTest : public ::testing::Test,
                       private WorkerSeat::Listener,
                       private PoolWatch::Owner {
 protected:
  // A call of nothing, that gives nothing.
  struct Call : RemoteCall {
    explicit Call(PoolCore& core) {
      encode = [](const RemoteCall&, Encoder&) {};
      decode = [](RemoteCall&, absl::string_view) {};
      pool_call = &PoolCall::Make(core, *this);
    }
    PoolCall* pool_call = nullptr;
  };

  WorkerSeatTest() { seat_.state = WorkerSeat::State::kReady; }

  WorkerSeat::Given Give(Call& call) {
    absl::Status status;
    return seat_.Give(*call.pool_call, status);
  }
  // As the worker.
  void Answer(uint64_t number) {
    ASSERT_TRUE(worker_.Peek().has_value());
    worker_.Pop();
    char* const to = worker_.Reserve(sizeof number);
    ASSERT_NE(to, nullptr);
    std::memcpy(to, &number, sizeof number);
    worker_.Commit(sizeof number, static_cast<uint32_t>(RecordKind::kResult));
  }
  // Says that it has begun that one, whatever it was given.
  void SayBegun(uint64_t number) { static_cast<void>(payload_->board().Begin(number)); }
  bool TakeAnswers() { return seat_.TakeAnswers(*this); }
  int answered() const { return answered_; }

  // Whose calls they are; it is not asked.
  const std::shared_ptr<PoolCore> core_ = *PoolCore::Create(
      {.functions = std::move(FunctionTable().Add("square", &Square)), .workers = 1});
  const std::shared_ptr<LinkMemory> link_ = *LinkMemory::Create(size_t{128} << 10);
  const std::shared_ptr<PayloadMemory> payload_ = *PayloadMemory::Create(1);
  WorkerSeat seat_{link_, payload_, nullptr, *this};
  LinkEnd worker_{link_, LinkEnd::kWorker};

 private:
  void OnReady(WorkerSeat&) noexcept override {}
  void OnAnswer(WorkerSeat&, PoolCall&, absl::Status status) noexcept override {
    EXPECT_TRUE(status.ok()) << status;
    ++answered_;
  }
  void OnReturned(WorkerSeat&, PoolCall&) noexcept override { ADD_FAILURE(); }
  void OnReadable(PoolWatch&) noexcept override {}
  void OnStopped(PoolWatch&) noexcept override {}

  int answered_ = 0;
};

TEST_F(WorkerSeatTest, OneThatHasBegunWhatItWasNotGivenIsCorruptAndTheCallUntouched) {
  for (const uint64_t ahead : {uint64_t{1}, kMost}) {
    SayBegun(ahead);
    Call call(*core_);
    EXPECT_EQ(Give(call), WorkerSeat::Given::kCorrupt);
    EXPECT_EQ(call.pool_call->place, PoolCall::Place::kTravelling);
    EXPECT_EQ(call.attempts, 0);
    EXPECT_EQ(seat_.outstanding(), 0u);
  }
  EXPECT_TRUE(seat_.corrupt());
}

TEST_F(WorkerSeatTest, OneThatHasBegunAllThereCouldBeEndsTheCallsThatItHasAndGetsNoOther) {
  Call first(*core_);
  Call second(*core_);
  ASSERT_EQ(Give(first), WorkerSeat::Given::kGiven);
  ASSERT_EQ(Give(second), WorkerSeat::Given::kGiven);
  SayBegun(kMost);
  EXPECT_EQ(seat_.begun(), kMost);
  EXPECT_FALSE(seat_.Recall(*second.pool_call)) << "it may have begun";
  EXPECT_FALSE(seat_.NeverBegins(2));
  // It takes that back, and answers as if nothing were.
  SayBegun(2);
  EXPECT_EQ(seat_.begun(), kMost);
  EXPECT_FALSE(seat_.NeverBegins(2));
  Answer(1);
  Answer(2);
  EXPECT_TRUE(TakeAnswers());
  EXPECT_EQ(answered(), 2);
  Call third(*core_);
  EXPECT_EQ(Give(third), WorkerSeat::Given::kCorrupt) << "nobody could know what it has begun";
}

TEST_F(WorkerSeatTest, WhatItHasBegunItCannotTakeBack) {
  Call call(*core_);
  ASSERT_EQ(Give(call), WorkerSeat::Given::kGiven);
  EXPECT_EQ(seat_.begun(), 0u);
  SayBegun(1);
  EXPECT_EQ(seat_.begun(), 1u);
  SayBegun(0);
  EXPECT_FALSE(seat_.NeverBegins(1));
}

}  // namespace
}  // namespace plait::internal
