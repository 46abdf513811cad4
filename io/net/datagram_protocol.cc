#include "plait/io/net/datagram_protocol.h"

#include <utility>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "plait/runtime/task/or_return.h"
#include "plait/runtime/task/select.h"
#include "plait/runtime/time/sleep.h"

namespace plait {
namespace {

// Each of what a network answers is told once. What goes on by itself must not keep the processor.
constexpr int kErrorsWithoutAPause = 16;
constexpr absl::Duration kPause = absl::Milliseconds(100);

}  // namespace

DatagramTransport::DatagramTransport(DatagramSocket socket, DatagramProtocol& protocol,
                                     size_t largest)
    : socket_(std::move(socket)), protocol_(protocol), buffer_(largest, '\0') {}

bool DatagramTransport::SendTo(absl::string_view data, const SocketAddress& to) {
  if (is_closing()) return false;
  pending_.push_back({.data = std::string(data), .to = to});
  work_.Set();
  internal::Tell(protocol_, limits_.Add(data.size() + kOverhead));
  return true;
}

void DatagramTransport::Close() {
  closing_ = true;
  work_.Set();
}

void DatagramTransport::Abort() { aborted_.Set(); }

absl::Status DatagramTransport::SetWriteLimits(size_t high, size_t low) {
  absl::Status status = limits_.Set(high, low);
  if (status.ok()) internal::Tell(protocol_, limits_.Update());
  return status;
}

// Ends with an error only, of which there is one that ends it: nothing comes from the socket any
// more.
Task<absl::Status> DatagramTransport::ReceiveLoop() {
  int errors_in_a_row = 0;
  for (;;) {
    const absl::StatusOr<ReceivedDatagram> received =
        co_await socket_.ReceiveFrom(absl::MakeSpan(buffer_));
    if (absl::IsCancelled(received.status()) || absl::IsFailedPrecondition(received.status())) {
      co_return received.status();
    }
    {
      const MutexGuard turn = co_await OrReturn(turn_.Lock());
      // What comes while it is closing is dropped.
      if (received.ok()) {
        errors_in_a_row = 0;
        if (!is_closing()) {
          protocol_.OnDatagram(absl::string_view(buffer_.data(), received->size), *received);
        }
        continue;
      }
      if (!is_closing()) protocol_.OnError(received.status());
    }
    if (++errors_in_a_row > kErrorsWithoutAPause) co_await OrReturn(Sleep(kPause));
  }
}

// Ends when all was sent and the socket is to be closed, or is cancelled.
Task<absl::Status> DatagramTransport::SendLoop() {
  for (;;) {
    work_.Clear();
    const Outgoing* next = nullptr;
    {
      const MutexGuard turn = co_await OrReturn(turn_.Lock());
      // It stays where it is while others are put behind it.
      if (!pending_.empty()) next = &pending_.front();
      if (next == nullptr && closing_) co_return absl::OkStatus();
    }
    if (next == nullptr) {
      co_await OrReturn(work_.Wait());
      continue;
    }
    const absl::Status sent = co_await socket_.SendTo(next->data, next->to);
    if (absl::IsCancelled(sent)) co_return sent;
    const MutexGuard turn = co_await OrReturn(turn_.Lock());
    const size_t size = next->data.size() + kOverhead;
    pending_.pop_front();
    if (!sent.ok()) protocol_.OnError(sent);
    internal::Tell(protocol_, limits_.Remove(size));
  }
}

Task<absl::Status> DatagramTransport::Run() {
  auto selected = co_await Select(aborted_.Wait(), SendLoop(), ReceiveLoop());
  closing_ = true;
  absl::Status status = selected.get<0>();
  // Both, as what a callback has thrown comes out of here, whatever else there is.
  if (selected.has<1>()) {
    const absl::Status sent = selected.get<1>();
    if (selected.index() == 1) status = sent;
  }
  if (selected.has<2>()) {
    const absl::Status received = selected.get<2>();
    if (selected.index() == 2) status = received;
  }
  if (selected.index() == 0 && status.ok()) {
    status = absl::AbortedError("the socket was aborted by this side");
  }
  const absl::Status closed = co_await socket_.Close();
  co_return status.ok() ? closed : status;
}

Task<absl::Status> RunDatagramProtocol(DatagramSocket socket, DatagramProtocol& protocol,
                                       size_t largest) {
  DatagramTransport transport(std::move(socket), protocol, largest);
  protocol.OnConnected(transport);
  const absl::Status status = co_await transport.Run();
  protocol.OnClosed(status);
  co_return status;
}

}  // namespace plait
