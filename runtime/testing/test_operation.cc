#include "plait/runtime/testing/test_operation.h"

namespace plait {

void TestOperation::Run(WorkItem& item) noexcept {
  auto& self = static_cast<TestOperation&>(item);
  ++self.deliveries;
  if (self.next_turn != nullptr) self.turn = (*self.next_turn)++;
  if (self.on_delivery != nullptr) self.on_delivery();
}

ReadOperation::ReadOperation(int fd, absl::Span<char> buffer, int64_t offset)
    : TestOperation(IoOpcode::kRead, fd) {
  args.data = buffer.data();
  args.size = buffer.size();
  args.offset = offset;
}

WriteOperation::WriteOperation(int fd, absl::string_view data, int64_t offset)
    : TestOperation(IoOpcode::kWrite, fd) {
  args.const_data = data.data();
  args.size = data.size();
  args.offset = offset;
}

AcceptOperation::AcceptOperation(int fd) : TestOperation(IoOpcode::kAccept, fd) {
  args.address = nullptr;
  args.address_size_out = nullptr;
}

ConnectOperation::ConnectOperation(int fd, const sockaddr* address, size_t size)
    : TestOperation(IoOpcode::kConnect, fd) {
  args.const_address = address;
  args.size = size;
}

PollOperation::PollOperation(int fd, uint32_t events) : TestOperation(IoOpcode::kPoll, fd) {
  args.events = events;
}

}  // namespace plait
