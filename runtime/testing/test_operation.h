// TestOperation: an operation that takes note of its deliveries, and one type for each common kind.
#ifndef PLAIT_RUNTIME_TESTING_TEST_OPERATION_H_
#define PLAIT_RUNTIME_TESTING_TEST_OPERATION_H_

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <functional>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "plait/runtime/core/io_operation.h"
#include "plait/runtime/testing/sockets.h"

namespace plait {

struct TestOperation : IoCall {
  TestOperation(IoOpcode code, int on_fd) : IoCall(&Run) {
    opcode = code;
    fd = on_fd;
  }

  bool delivered() const { return deliveries > 0; }

  int deliveries = 0;
  int64_t turn = -1;                  // its place in the order of all deliveries
  int64_t* next_turn = nullptr;       // where that order is kept; may be null
  std::function<void()> on_delivery;  // may be null

 private:
  static void Run(WorkItem& item) noexcept;
};

struct ReadOperation : TestOperation {
  ReadOperation(int fd, absl::Span<char> buffer, int64_t offset = -1);
};
struct WriteOperation : TestOperation {
  WriteOperation(int fd, absl::string_view data, int64_t offset = -1);
};
struct AcceptOperation : TestOperation {
  explicit AcceptOperation(int fd);
  OwnedFd Take() const { return OwnedFd(result); }
};
struct ConnectOperation : TestOperation {
  ConnectOperation(int fd, const sockaddr* address, size_t size);
};
struct PollOperation : TestOperation {
  PollOperation(int fd, uint32_t events);
};
struct AwaitInputOperation : TestOperation {
  // `after_nothing`: a read has just found nothing.
  AwaitInputOperation(int fd, bool after_nothing) : TestOperation(IoOpcode::kAwaitInput, fd) {
    found_nothing = after_nothing;
  }
};
struct CloseOperation : TestOperation {
  explicit CloseOperation(int fd) : TestOperation(IoOpcode::kClose, fd) {}
};

}  // namespace plait

#endif  // PLAIT_RUNTIME_TESTING_TEST_OPERATION_H_
