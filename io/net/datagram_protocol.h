// DatagramProtocol and DatagramTransport: a datagram socket by callbacks. (asyncio:
// DatagramProtocol, DatagramTransport.) In a coroutine of one's own a DatagramSocket is simpler.
//
//   class Echo : public plait::DatagramProtocol {
//    public:
//     void OnConnected(plait::DatagramTransport& transport) override { transport_ = &transport; }
//     void OnDatagram(absl::string_view data, const plait::ReceivedDatagram& datagram) override {
//       transport_->SendTo(data, datagram.from);
//     }
//    ...
//   };
//   Echo echo;
//   absl::Status status = co_await plait::RunDatagramProtocol(std::move(socket), echo);
//
// The callbacks come as those of a Protocol (protocol.h) do, from OnConnected to OnClosed, on the
// thread of the task that runs it, one at a time; they must not block. Sending never waits; the
// limits and what they ask for are those of a Transport. A datagram that cannot be sent is dropped,
// and OnError told why; so is what the network answers to one that was sent (nobody is there, it
// may not pass, it is too large). Neither ends anything; of errors that come without end ten a
// second are told.
#ifndef PLAIT_IO_NET_DATAGRAM_PROTOCOL_H_
#define PLAIT_IO_NET_DATAGRAM_PROTOCOL_H_

#include <cstddef>
#include <deque>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "plait/io/net/address.h"
#include "plait/io/net/datagram_socket.h"
#include "plait/io/net/write_limits.h"
#include "plait/runtime/sync/event.h"
#include "plait/runtime/sync/mutex.h"
#include "plait/runtime/task/task.h"

namespace plait {

class DatagramTransport;

class DatagramProtocol {
 public:
  virtual ~DatagramProtocol() = default;

  // First. The transport is there until OnClosed has returned.
  virtual void OnConnected(DatagramTransport& transport) { static_cast<void>(transport); }
  // One has come, also an empty one; `data` is valid until it returns.
  virtual void OnDatagram(absl::string_view data, const ReceivedDatagram& datagram) = 0;
  // A send failed, or a receive: the peer of a connected socket does not listen (Unavailable), say.
  virtual void OnError(const absl::Status& error) { static_cast<void>(error); }
  // Last, and once: OK after Close, Aborted after Abort, Cancelled when the task was, else what
  // went wrong. The socket is closed already.
  virtual void OnClosed(const absl::Status& status) { static_cast<void>(status); }
  virtual void OnPauseWriting() {}
  virtual void OnResumeWriting() {}
};

// On the thread of the task that runs the protocol, from callbacks or other tasks, between
// OnConnected and OnClosed.
class DatagramTransport {
 public:
  // Sends `data` as one datagram, in order. False, and nothing done, when it is closing.
  bool SendTo(absl::string_view data, const SocketAddress& to);
  // To the peer that the socket is connected to.
  bool Send(absl::string_view data) { return SendTo(data, SocketAddress()); }

  // Ends it when all has been sent; there is no OnDatagram from now on.
  void Close();
  // Ends it at once, dropping what was not sent.
  void Abort();
  bool is_closing() const noexcept { return closing_ || aborted_.IsSet(); }

  // As Transport's.
  absl::Status SetWriteLimits(size_t high, size_t low);
  size_t write_buffer_size() const noexcept { return limits_.unsent(); }

  // For its addresses and options.
  const DatagramSocket& datagram_socket() const noexcept { return socket_; }

 private:
  friend Task<absl::Status> RunDatagramProtocol(DatagramSocket socket, DatagramProtocol& protocol,
                                                size_t largest);
  struct Outgoing {
    std::string data;
    SocketAddress to;
  };
  // What a datagram counts for, besides its bytes: empty ones must have a limit, too.
  static constexpr size_t kOverhead = sizeof(Outgoing);

  DatagramTransport(DatagramSocket socket, DatagramProtocol& protocol, size_t largest);
  DatagramTransport(const DatagramTransport&) = delete;
  DatagramTransport& operator=(const DatagramTransport&) = delete;

  Task<absl::Status> Run();
  Task<absl::Status> ReceiveLoop();
  Task<absl::Status> SendLoop();

  DatagramSocket socket_;
  DatagramProtocol& protocol_;
  std::string buffer_;
  // Held by whoever calls the protocol, or uses what follows: the two loops may be on two threads.
  Mutex turn_;
  internal::WriteLimits limits_;
  std::deque<Outgoing> pending_;  // the first is the system's while SendLoop waits
  bool closing_ = false;
  Event work_;  // SendLoop has something to do
  Event aborted_;
};

// The longest datagram there is, but for IPv6's jumbograms.
inline constexpr size_t kLargestDatagram = 65'535;

// co_await: runs `protocol` on the socket until that is closed, and gives what OnClosed was told.
// The protocol outlives the co_await. What of a datagram is more than `largest` bytes is cut off,
// and ReceivedDatagram::truncated says so. Cancellation, and exceptions of callbacks: as
// RunProtocol. Cost: `largest` bytes of memory while it runs.
Task<absl::Status> RunDatagramProtocol(DatagramSocket socket, DatagramProtocol& protocol,
                                       size_t largest = kLargestDatagram);

}  // namespace plait

#endif  // PLAIT_IO_NET_DATAGRAM_PROTOCOL_H_
