// StreamShots: what a connection receives by a multishot, on reactors that have them. Internal to
// streams.
//
// One request to the kernel then serves read after read, and a connection that is idle has no
// memory waiting in the kernel's hands. Data that nobody asks for stays in the reactor's buffers, a
// few of them, and then in the kernel; once it has ended, in memory of its own (Keep).
//
// One word, as every connection has it. Threads: the reactor's. Lifetime: its owner sees to it that
// it is stopped.
#ifndef PLAIT_IO_NET_STREAM_SHOTS_H_
#define PLAIT_IO_NET_STREAM_SHOTS_H_

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "plait/io/net/byte_buffer.h"
#include "plait/runtime/core/multishot.h"
#include "plait/runtime/core/reactor.h"

namespace plait::internal {

class StreamShots {
 public:
  StreamShots() = default;
  StreamShots(const StreamShots&) = delete;
  StreamShots& operator=(const StreamShots&) = delete;

  // False, and nothing begun, where the reactor has nothing better than one read after another.
  // `owner` is told when there is something to take, or it has ended.
  bool Start(Reactor& reactor, int fd, MultishotOwner& owner) noexcept;
  // From Start until Stop or Forget. After Stop it may be started again.
  bool started() const noexcept { return word_ != 0; }
  // What was not taken is lost.
  void Stop(Reactor& reactor) noexcept;
  // The reactor is gone, and it with it; or it is kept, of which the reactor knows nothing.
  void Forget() noexcept {
    if (is_kept()) delete kept();
    word_ = 0;
  }
  // Of one that is not kept: its descriptor is closed where it cannot be stopped.
  void DescriptorGone() noexcept { shots().DescriptorGone(); }

  // The following once it was started, with the reactor that it was started on.

  // Fills `into` as far as there are bytes; how many. What is left of the reactor's last piece goes
  // to `rest`, which is empty.
  size_t TakeInto(Reactor& reactor, absl::Span<char> into, ByteBuffer& rest) noexcept;
  // Appends what there is, until `into` has `enough`; how many. `into` may have much more room
  // then; who keeps its bytes trims it.
  size_t TakeInto(Reactor& reactor, ByteBuffer& into, size_t enough) noexcept;

  // Of one that is ending: what nobody takes yet is copied, and the reactor has its buffers back,
  // and what it had for it.
  void Keep(Reactor& reactor) noexcept;
  // That was done: it needs no reactor to be forgotten, and outlives it.
  bool is_kept() const noexcept { return (word_ & kKeptTag) != 0; }

  // No more will come than what is there. Then end() is 0 for the end of the stream, or -errno.
  bool ending() const noexcept { return is_kept() || shots().ended(); }
  // And nothing is there.
  bool ended() const noexcept { return ending() && !has_some(); }
  // Something is there.
  bool has_some() const noexcept {
    return is_kept() ? !kept()->bytes.empty() : shots().has_shots();
  }
  int end() const noexcept { return is_kept() ? kept()->end : shots().end(); }

 private:
  // What is left of one that the reactor has back.
  struct Kept {
    ByteBuffer bytes;
    int end = 0;
  };

  // One word, a Multishot's address or, where its lowest bit is set, that of a Kept.
  static constexpr uintptr_t kKeptTag = 1;
  // Back to what was put there, as the tag says.
  Kept* kept() const noexcept { return reinterpret_cast<Kept*>(word_ & ~kKeptTag); }
  Multishot& shots() const noexcept { return *reinterpret_cast<Multishot*>(word_); }
  size_t TakeShotsInto(Reactor& reactor, ByteBuffer& into, size_t enough) noexcept;

  uintptr_t word_ = 0;
};

}  // namespace plait::internal

#endif  // PLAIT_IO_NET_STREAM_SHOTS_H_
