// StreamShots: what a connection receives by a multishot, on reactors that have them. Internal to
// streams.
//
// One request to the kernel then serves read after read, and a connection that is idle has no
// memory waiting in the kernel's hands. Data that nobody asks for stays in the reactor's buffers, a
// few of them, and then in the kernel; once it has ended, in memory of its own (Keep).
//
// Threads: the reactor's. Lifetime: the stream's, which it keeps while it is there.
#ifndef PLAIT_IO_NET_STREAM_SHOTS_H_
#define PLAIT_IO_NET_STREAM_SHOTS_H_

#include <cstddef>

#include "absl/types/span.h"
#include "plait/io/net/byte_buffer.h"
#include "plait/runtime/core/multishot.h"
#include "plait/runtime/core/reactor.h"

namespace plait::internal {

class StreamShots : private MultishotOwner {
 public:
  StreamShots() = default;
  StreamShots(const StreamShots&) = delete;
  StreamShots& operator=(const StreamShots&) = delete;
  // Stops; what was not taken is lost.
  virtual ~StreamShots();

  // Before all else. False where the reactor has nothing better than one read after another.
  bool Start(Reactor& reactor, int fd) noexcept;

  // Fills `into` as far as there are bytes; how many. What is left of the reactor's last piece goes
  // to `rest`, which is empty.
  size_t TakeInto(absl::Span<char> into, ByteBuffer& rest) noexcept;
  // Appends what there is, until `into` has `enough`; how many. `into` may have much more room
  // then; who keeps its bytes trims it.
  size_t TakeInto(ByteBuffer& into, size_t enough) noexcept;

  // What nobody takes yet is copied, and the reactor has its buffers back.
  void Keep() noexcept;

  // No more will come than what is there. Then end() is 0 for the end of the stream, or -errno.
  bool ending() const noexcept { return shots_->ended(); }
  // And nothing is there.
  bool ended() const noexcept { return ending() && !has_some(); }
  // Something is there.
  bool has_some() const noexcept { return !kept_.empty() || shots_->has_shots(); }
  int end() const noexcept { return shots_->end(); }

 private:
  void TakeShotsInto(ByteBuffer& into, size_t enough) noexcept;
  // There is something to take, or it has ended.
  virtual void OnCame() noexcept = 0;
  // The reactor is gone. Destroys this.
  virtual void OnGone() noexcept = 0;

  void OnShots(Multishot&) noexcept override { OnCame(); }
  void OnReactorGone(Multishot&) noexcept override {
    shots_ = nullptr;
    OnGone();
  }

  Reactor* reactor_ = nullptr;
  Multishot* shots_ = nullptr;
  ByteBuffer kept_;  // comes before what the reactor has
};

}  // namespace plait::internal

#endif  // PLAIT_IO_NET_STREAM_SHOTS_H_
