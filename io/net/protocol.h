// Protocol and Transport: a connection by callbacks, for state machines that are written that way.
// (asyncio: Protocol, Transport.) In a coroutine of one's own a Stream is simpler.
//
//   class Echo : public plait::Protocol {
//    public:
//     void OnConnected(plait::Transport& transport) override { transport_ = &transport; }
//     void OnData(absl::string_view data) override { transport_->Write(data); }
//     void OnPauseWriting() override { transport_->PauseReading(); }
//     void OnResumeWriting() override { transport_->ResumeReading(); }
//    private:
//     plait::Transport* transport_ = nullptr;
//   };
//
//   plait::Task<absl::Status> Handle(plait::Stream stream) {
//     Echo echo;
//     co_return co_await plait::RunProtocol(std::move(stream), echo);
//   }
//
// The callbacks come in this order, on a thread of the executor of the task that runs the protocol,
// one at a time; they must not block:
//
//   OnConnected  ( OnData* )  [ OnEnd ]  OnClosed      and in between, alternately,
//                                                      OnPauseWriting and OnResumeWriting
//
// Writing never waits: what the system does not take at once is kept. When more than the high
// limit waits the protocol is asked to pause, and when no more than the low one does, to go on; it
// is up to it, and nothing is refused. Writes of one callback are sent together.
#ifndef PLAIT_IO_NET_PROTOCOL_H_
#define PLAIT_IO_NET_PROTOCOL_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "plait/io/net/address.h"
#include "plait/io/net/socket_options.h"
#include "plait/io/net/stream.h"
#include "plait/io/net/stream_owner.h"
#include "plait/io/net/write_limits.h"
#include "plait/runtime/sync/event.h"
#include "plait/runtime/sync/mutex.h"
#include "plait/runtime/task/task.h"

namespace plait {

class Transport;

// What a connection tells. A callback may use the transport in any way, also end it.
class Protocol {
 public:
  virtual ~Protocol() = default;

  // First. The transport is there until OnClosed has returned.
  virtual void OnConnected(Transport& transport) { static_cast<void>(transport); }
  // Bytes that have come, at least one, in pieces of any size; `data` is valid until it returns.
  virtual void OnData(absl::string_view data) = 0;
  // The peer sends nothing more. True keeps the connection, to be written to; false closes it, as
  // Transport::Close does.
  virtual bool OnEnd() { return false; }
  // Last, and once, whatever happened: OK after Close, Aborted after Abort, Cancelled when the task
  // was or its server closes the connection, else what went wrong. The connection is closed
  // already, but for what was written before its server closed it, which is sent still.
  virtual void OnClosed(const absl::Status& status) { static_cast<void>(status); }
  virtual void OnPauseWriting() {}
  virtual void OnResumeWriting() {}
};

// What a protocol does with its connection, between OnConnected and OnClosed: from callbacks, and,
// where the executor has one thread, from other tasks.
class Transport {
 public:
  // Sends `data`, in order. False, and nothing done, when it is closing, or after ShutdownWrite.
  bool Write(absl::string_view data);
  // Tells the peer, behind what was written, that nothing more comes; reading goes on.
  void ShutdownWrite();

  // Ends the connection when all that was written has been sent. There is no OnData and no OnEnd
  // from now on. A peer that reads nothing can keep it waiting: Abort ends that too. Where bytes of
  // the peer have not been read the system resets the connection, and the peer may miss the end of
  // what was sent: to be sure, ShutdownWrite, and read until OnEnd.
  void Close();
  // Ends it at once, dropping what was not sent.
  void Abort();
  // Close or Abort was called, or OnEnd has said so.
  bool is_closing() const noexcept { return closing_ || aborted_; }

  // From now on there is no OnData and no OnEnd, until ResumeReading: the peer has to wait. Again
  // does nothing.
  void PauseReading() { reading_.Clear(); }
  void ResumeReading();
  bool is_reading() const noexcept { return reading_.IsSet(); }

  // How many bytes may wait; 64 KiB and 16 KiB at first. InvalidArgument when low > high. May call
  // OnPauseWriting or OnResumeWriting.
  absl::Status SetWriteLimits(size_t high, size_t low);
  // Written, and not with the system yet.
  size_t write_buffer_size() const noexcept { return limits_.unsent(); }

  absl::StatusOr<SocketAddress> local_address() const { return stream_.local_address(); }
  absl::StatusOr<SocketAddress> peer_address() const { return stream_.peer_address(); }
  SocketOptions options() const noexcept { return stream_.options(); }

 private:
  friend Task<absl::Status> RunProtocol(Stream stream, Protocol& protocol);

  Transport(Stream stream, Protocol& protocol);
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  Task<absl::Status> Run();
  Task<absl::Status> ReadLoop();
  Task<absl::Status> WriteLoop();
  Task<absl::Status> SendAll();
  // Where its server closes the connection, what was written is sent still. When neither loop runs
  // any more.
  Task<void> LeaveToStream();

  Stream stream_;
  Protocol& protocol_;
  // Held by whoever calls the protocol, or uses what follows: the two loops may be on two threads.
  Mutex turn_;
  internal::WriteLimits limits_;
  std::string pending_;
  bool write_ended_ = false;
  bool closing_ = false;
  std::string sending_;  // before it; WriteLoop's, and the system's, in part, while that waits
  size_t sent_ = 0;      // of `sending_`
  Event work_;           // WriteLoop has something to do
  Event reading_{true};  // not paused
  bool aborted_ = false;
  internal::StreamOwner owner_;
};

// co_await: runs `protocol` on the connection until that is closed, and gives what OnClosed was
// told. The protocol outlives the co_await. Cancellation: the connection is closed at once, what
// was not sent is dropped, and OnClosed told of absl::CancelledError. An exception that leaves a
// callback ends the connection and comes out of here; OnClosed is then not called. Cost: a
// connection on which nothing happens has no buffers.
Task<absl::Status> RunProtocol(Stream stream, Protocol& protocol);

}  // namespace plait

#endif  // PLAIT_IO_NET_PROTOCOL_H_
