// IoUringTest: a reactor over io_uring that a test polls itself; and the owner of a multishot.
#ifndef PLAIT_IO_IO_URING_IO_URING_FIXTURE_H_
#define PLAIT_IO_IO_URING_IO_URING_FIXTURE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "plait/io/io_uring/io_uring_reactor.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/multishot.h"
#include "plait/runtime/core/reactor.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/testing/sockets.h"
#include "plait/runtime/testing/test_operation.h"

namespace plait {

class IoUringTest : public testing::Test {
 protected:
  explicit IoUringTest(IoUringOptions options = {}) : reactor_(*MakeIoUringReactor(options)) {}

  void Replace(IoUringOptions options) {
    reactor_ = nullptr;
    reactor_ = *MakeIoUringReactor(options);
  }
  int32_t Do(TestOperation& operation) {
    operation.next_turn = &turn_;
    reactor_->Submit(operation);
    while (!operation.delivered()) PollOnce(Deadline::Infinite());
    return operation.result;
  }
  void PollOnce(Deadline deadline) {
    WorkQueue ready;
    reactor_->Poll(deadline, Clock::Real(), ready);
    while (WorkItem* item = ready.Pop()) item->run(*item);
  }
  void PollTillQuiet() {
    for (int i = 0; i < 32; ++i) PollOnce(Deadline::Immediate());
  }

  std::unique_ptr<Reactor> reactor_;
  int64_t turn_ = 0;
};

// Takes everything there is whenever it is told.
class Collector final : public MultishotOwner {
 public:
  explicit Collector(Reactor& reactor, bool take = true) : reactor_(reactor), take_(take) {}

  void OnShots(Multishot& shots) noexcept override {
    ++calls_;
    if (take_) Take(shots);
  }
  void OnReactorGone(Multishot&) noexcept override { gone_ = true; }
  void Take(Multishot& shots) {
    while (Shot* const shot = shots.Take()) {
      if (shot->data != nullptr) {
        text_.append(shot->data, static_cast<size_t>(shot->result));
      } else {
        fds_.emplace_back(shot->result);
      }
      reactor_.ReturnShot(shots, *shot);
    }
  }
  const std::string& text() const { return text_; }
  const std::vector<OwnedFd>& fds() const { return fds_; }
  int calls() const { return calls_; }
  bool gone() const { return gone_; }

 private:
  Reactor& reactor_;
  const bool take_;
  std::string text_;
  std::vector<OwnedFd> fds_;
  int calls_ = 0;
  bool gone_ = false;
};

}  // namespace plait

#endif  // PLAIT_IO_IO_URING_IO_URING_FIXTURE_H_
