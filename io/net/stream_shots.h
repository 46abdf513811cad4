// StreamShots: what a connection receives by a multishot, on reactors that have them. Internal to
// streams.
//
// One request to the kernel then serves read after read, and a connection that is idle has no
// memory waiting in the kernel's hands. Data that nobody asks for stays in the reactor's buffers, a
// few of them, and then in the kernel.
//
// Threads: the reactor's. Lifetime: the stream's, which it keeps while it is there.
#ifndef PLAIT_IO_NET_STREAM_SHOTS_H_
#define PLAIT_IO_NET_STREAM_SHOTS_H_

#include <cstddef>
#include <memory>

#include "absl/types/span.h"
#include "plait/io/net/byte_buffer.h"
#include "plait/runtime/core/multishot.h"
#include "plait/runtime/core/reactor.h"

namespace plait::internal {

// Who is told that there is something to take, or that it has ended.
class StreamShotsUser {
 public:
  virtual void OnShots() noexcept = 0;
  // The reactor is gone: stops using them.
  virtual void DropShots() noexcept = 0;

 protected:
  ~StreamShotsUser() = default;
};

class StreamShots final : private MultishotOwner {
 public:
  // Null where the reactor has nothing better than one read after another.
  static std::unique_ptr<StreamShots> Start(Reactor& reactor, int fd, StreamShotsUser& user);
  StreamShots(const StreamShots&) = delete;
  StreamShots& operator=(const StreamShots&) = delete;
  // Stops; what was not taken is lost.
  ~StreamShots();

  // Fills `into` as far as there are bytes; how many. What is left of the last piece goes to
  // `rest`, which is empty.
  size_t TakeInto(absl::Span<char> into, ByteBuffer& rest) noexcept;
  // Appends what there is, until `into` has `enough`; how many.
  size_t TakeInto(ByteBuffer& into, size_t enough) noexcept;

  // Nothing is left, nor will more come. Then end() is 0 for the end of the stream, or -errno.
  bool ended() const noexcept { return shots_->ended() && !shots_->has_shots(); }
  int end() const noexcept { return shots_->end(); }

 private:
  StreamShots(Reactor& reactor, StreamShotsUser& user) : reactor_(reactor), user_(user) {}

  void OnShots(Multishot&) noexcept override { user_.OnShots(); }
  void OnReactorGone(Multishot&) noexcept override {
    shots_ = nullptr;
    user_.DropShots();
  }

  Reactor& reactor_;
  StreamShotsUser& user_;
  Multishot* shots_ = nullptr;
};

}  // namespace plait::internal

#endif  // PLAIT_IO_NET_STREAM_SHOTS_H_
