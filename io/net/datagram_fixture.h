// What the tests of DatagramSocket share: sockets, and datagrams on pages that are gone once the
// call has returned.
#ifndef PLAIT_IO_NET_DATAGRAM_FIXTURE_H_
#define PLAIT_IO_NET_DATAGRAM_FIXTURE_H_

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "plait/io/net/datagram_socket.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_executors.h"
#include "plait/runtime/testing/guarded_buffer.h"

namespace plait {

inline DatagramSocket Bound(const SocketAddress& local, const DatagramOptions& options = {}) {
  absl::StatusOr<DatagramSocket> socket = DatagramSocket::Bind(local, options);
  EXPECT_TRUE(socket.ok()) << socket.status();
  return socket.ok() ? *std::move(socket) : DatagramSocket();
}

inline DatagramSocket Connected(const SocketAddress& peer, const DatagramOptions& options = {}) {
  absl::StatusOr<DatagramSocket> socket = DatagramSocket::Connect(peer, options);
  EXPECT_TRUE(socket.ok()) << socket.status();
  return socket.ok() ? *std::move(socket) : DatagramSocket();
}

inline DatagramSocket Udp() { return Bound(SocketAddress::Loopback(0)); }
inline DatagramSocket UnixSocket() {
  absl::StatusOr<DatagramSocket> socket =
      DatagramSocket::BindAnywhere(SocketAddress::Family::kUnix);
  EXPECT_TRUE(socket.ok()) << socket.status();
  return *std::move(socket);
}

// What arrived, its bytes on pages that are gone once it was received.
struct Arrived {
  absl::Status status;
  ReceivedDatagram datagram;
  std::string text;
};

inline Task<Arrived> ReceiveFrom(const DatagramSocket& socket, size_t room = 100) {
  const GuardedBuffer buffer(room);
  const absl::StatusOr<ReceivedDatagram> got = co_await socket.ReceiveFrom(buffer.span());
  if (!got.ok()) co_return Arrived{.status = got.status(), .datagram = {}, .text = ""};
  co_return Arrived{
      .status = absl::OkStatus(), .datagram = *got, .text = std::string(buffer.text(got->size))};
}

inline Task<Arrived> Receive(const DatagramSocket& socket, size_t room = 100) {
  const GuardedBuffer buffer(room);
  const absl::StatusOr<ReceivedDatagram> got = co_await socket.Receive(buffer.span());
  if (!got.ok()) co_return Arrived{.status = got.status(), .datagram = {}, .text = ""};
  co_return Arrived{
      .status = absl::OkStatus(), .datagram = *got, .text = std::string(buffer.text(got->size))};
}

inline Task<absl::Status> SendTo(const DatagramSocket& socket, std::string text, SocketAddress to) {
  const GuardedBuffer buffer(text);
  co_return co_await socket.SendTo(buffer.text(buffer.size()), to);
}

inline Task<absl::Status> Send(const DatagramSocket& socket, std::string text) {
  const GuardedBuffer buffer(text);
  co_return co_await socket.Send(buffer.text(buffer.size()));
}

class DatagramSocketTest : public IoTest {};

}  // namespace plait

#endif  // PLAIT_IO_NET_DATAGRAM_FIXTURE_H_
