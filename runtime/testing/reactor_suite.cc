#include "plait/runtime/testing/reactor_suite.h"

#include <utility>

#include "plait/runtime/core/check.h"

namespace plait {

ReactorSuite::ReactorSuite() : reactor_(MakeReactor(&blocking_)) {}

std::unique_ptr<Reactor> ReactorSuite::MakeReactor(Executor* blocking) {
  absl::StatusOr<std::unique_ptr<Reactor>> reactor = GetParam().make(blocking);
  PLAIT_CHECK(reactor.ok(), reactor.status().ToString());
  return *std::move(reactor);
}

void ReactorSuite::ReplaceReactor(Executor* blocking) {
  reactor_ = nullptr;
  reactor_ = MakeReactor(blocking);
}

void ReactorSuite::Submit(TestOperation& operation) {
  operation.next_turn = &next_turn_;
  const int before = operation.deliveries;
  const size_t in_flight = reactor_->in_flight();
  reactor_->Submit(operation);
  EXPECT_EQ(operation.deliveries, before) << "delivered inside Submit";
  EXPECT_EQ(reactor_->in_flight(), in_flight + 1);
}

bool ReactorSuite::SubmitOrComplete(TestOperation& operation) {
  operation.next_turn = &next_turn_;
  const int before = operation.deliveries;
  const size_t in_flight = reactor_->in_flight();
  const bool completed = reactor_->SubmitOrComplete(operation);
  EXPECT_EQ(operation.deliveries, before) << "delivered inside SubmitOrComplete";
  EXPECT_EQ(reactor_->in_flight(), in_flight + (completed ? 0 : 1));
  return completed;
}

void ReactorSuite::Cancel(TestOperation& operation) {
  const int before = operation.deliveries;
  const size_t in_flight = reactor_->in_flight();
  reactor_->Cancel(operation);
  EXPECT_EQ(operation.deliveries, before) << "delivered inside Cancel";
  EXPECT_EQ(reactor_->in_flight(), in_flight) << "a cancelled operation still arrives";
}

int ReactorSuite::PollOnce(Deadline deadline) {
  const size_t in_flight = reactor_->in_flight();
  WorkQueue ready;
  reactor_->Poll(deadline, Clock::Real(), ready);
  const size_t left = reactor_->in_flight();
  int count = 0;
  while (WorkItem* item = ready.Pop()) {
    ++count;
    item->run(*item);
  }
  EXPECT_EQ(in_flight - left, static_cast<size_t>(count)) << "in_flight must count what is left";
  return count;
}

void ReactorSuite::Await(TestOperation& operation) {
  while (!operation.delivered()) PollOnce(Deadline::Infinite());
  EXPECT_EQ(operation.deliveries, 1);
}

int32_t ReactorSuite::Do(TestOperation& operation) {
  Submit(operation);
  Await(operation);
  return operation.result;
}

void ReactorSuite::ExpectNothingMore() {
  // More often than any reactor leaves a look at the system out.
  for (int i = 0; i < 32; ++i) EXPECT_EQ(PollOnce(Deadline::Immediate()), 0);
}

void ReactorSuite::Close(OwnedFd& fd) {
  CloseOperation close(fd.Release());
  EXPECT_EQ(Do(close), 0);
}

EventLoop& ReactorSuite::loop() {
  if (loop_ == nullptr) loop_ = std::make_unique<EventLoop>(MakeReactor(&blocking_));
  return *loop_;
}

}  // namespace plait
