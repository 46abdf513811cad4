// SocketOptions: a socket's options, read and set.
//
//   absl::Status set = stream.options().set_no_delay(true);
//   absl::StatusOr<int> room = stream.options().receive_buffer();
//
// A view of a descriptor, which must be open when it is used; copy it freely. Nothing here waits.
// Errors: a Status that names the option and the descriptor: FailedPrecondition for one that is
// closed, InvalidArgument for values that make no sense and for what is no socket; whatever else
// the system says of options that it, or this kind of socket, does not have.
#ifndef PLAIT_IO_NET_SOCKET_OPTIONS_H_
#define PLAIT_IO_NET_SOCKET_OPTIONS_H_

#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace plait {

// Whether a connection on which nothing is said is looked at from time to time, and is given up
// when its peer does not answer.
struct KeepAlive {
  bool on = true;
  // Rounded up to whole seconds, at least one.
  absl::Duration idle = absl::Minutes(1);       // before the first probe
  absl::Duration interval = absl::Seconds(10);  // between two
  int probes = 6;                               // unanswered, and it is over

  friend bool operator==(const KeepAlive&, const KeepAlive&) = default;
};

class SocketOptions {
 public:
  explicit SocketOptions(int descriptor) noexcept : fd_(descriptor) {}

  // TCP: small pieces are sent at once, without waiting for more (TCP_NODELAY).
  absl::Status set_no_delay(bool on) const;
  absl::StatusOr<bool> no_delay() const;

  // TCP (SO_KEEPALIVE and its times).
  absl::Status set_keep_alive(const KeepAlive& keep_alive) const;
  absl::StatusOr<KeepAlive> keep_alive() const;

  // Before it is bound: SO_REUSEADDR, SO_REUSEPORT.
  absl::Status set_reuse_address(bool on) const;
  absl::StatusOr<bool> reuse_address() const;
  absl::Status set_reuse_port(bool on) const;
  absl::StatusOr<bool> reuse_port() const;

  // How much the system keeps for the socket, in bytes, at least 1. The system rounds, has bounds
  // of its own, and for TCP stops to adapt the buffer to the connection. What it tells afterwards
  // counts its own use too: twice the bytes, on Linux.
  absl::Status set_send_buffer(int bytes) const;
  absl::StatusOr<int> send_buffer() const;
  absl::Status set_receive_buffer(int bytes) const;
  absl::StatusOr<int> receive_buffer() const;

  // What the system does with data that is not yet sent when the descriptor is closed: nothing said
  // (the default), it goes on sending in the background; zero, it drops the data and resets the
  // connection. Longer than that, in whole seconds, it sends, and the close blocks its thread that
  // long: not for a loop's thread, where Stream::Close is the better way.
  absl::Status set_linger(std::optional<absl::Duration> time) const;
  absl::StatusOr<std::optional<absl::Duration>> linger() const;

 private:
  int fd_;
};

}  // namespace plait

#endif  // PLAIT_IO_NET_SOCKET_OPTIONS_H_
