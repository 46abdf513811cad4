// TlsState: what a TlsStream is made of: a Stream's state below, a TlsEngine, and what was read
// ahead. Internal; see tls_stream.h for what it promises.
//
// The engine is one object for both directions, so `lock_` is held around each call of it, and
// never while something is waited for. What a call has left to be sent is taken out under the same
// lock.
//
// Writing. `sending_` is held from before data becomes records until the stream below has accepted
// these, so that they go out in the engine's order; a writer holds it as long as it writes. The
// stream below has no high-water mark: it accepts at once, also for a task that is cancelled, so
// that no record is ever torn. What may wait is counted here, by the piece. A read that has made
// the engine say something (an alert) sends that if nobody is sending; else who sends does it, and
// looks for it when it has given `sending_` up, as its last flush may have taken long. How
// much of that the kernel does not take is counted by itself, as the peer decides how much there is
// of it, and a read neither waits until it is sent nor has a high-water mark.
//
// Reading. Whoever takes what came from the stream below holds `receiving_`: reads, and a write
// whose engine wants input first, as it is in the middle of a message of the protocol's own that a
// read has begun. Where a read holds it already the write waits until that has got something, and
// tries again: the read may have got the rest, and go on waiting for data.
//
// Threads: any of the executor's, each member as it says. Lifetime: counted; a TlsStream and all
// that waits on it hold it.
#ifndef PLAIT_IO_TLS_TLS_STATE_H_
#define PLAIT_IO_TLS_TLS_STATE_H_

#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "plait/io/net/byte_buffer.h"
#include "plait/io/net/stream_state.h"
#include "plait/io/tls/tls_context.h"
#include "plait/io/tls/tls_engine.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/sync/event.h"
#include "plait/runtime/sync/mutex.h"
#include "plait/runtime/task/task.h"

namespace plait::internal {

class TlsState;
using TlsRef = std::shared_ptr<TlsState>;

// What was agreed on in the handshake.
struct TlsAgreement {
  std::string alpn;
  std::string server_name;
  const char* version = "";
  const char* cipher = "";
  TlsEngine::Certificate peer;
};

class TlsState {
 public:
  static constexpr size_t kDefaultHighWater = StreamState::kDefaultHighWater;

  TlsState(StreamRef stream, TlsContext context);

  // Before all else, and alone. Of a client: whom it wants; see TlsEngine.
  static Task<absl::Status> Handshake(TlsRef state, std::string server_name);
  const TlsAgreement& agreement() const noexcept { return agreement_; }

  StreamState& stream() const noexcept { return *stream_.get(); }
  std::string Name() const { return stream_->Name(); }

  // --- by who reads ---

  // OK where a read may begin.
  absl::Status CheckRead() const;
  absl::string_view buffered() const noexcept { return incoming_.view(); }
  bool reading() const noexcept { return reading_.load(kRelaxed); }
  // By who has seen it all.
  void Consume(size_t count) noexcept {
    unseen_ = false;
    incoming_.Consume(count);
  }
  // By a read, which leaves what nobody was told of.
  void ConsumeRead(size_t count) noexcept {
    incoming_.Consume(count);
    unseen_ = !incoming_.empty();
  }
  // co_await: waits for bytes, and adds them to those that were read ahead; how many, 0 at the end.
  static Task<absl::StatusOr<size_t>> Fill(TlsRef state) {
    return Receive(std::move(state), {}, Target::kAheadUntold);
  }
  // The whole operations of a TlsStream of these names.
  static Task<absl::StatusOr<size_t>> Read(TlsRef state, absl::Span<char> into);
  static Task<absl::Status> ReadExactly(TlsRef state, absl::Span<char> into);
  static Task<absl::StatusOr<size_t>> ReadMore(TlsRef state);

  // --- by who writes ---

  static Task<absl::Status> Write(TlsRef state, absl::string_view data);
  static Task<absl::Status> Flush(TlsRef state);
  static Task<absl::Status> ShutDownWriting(TlsRef state);
  static Task<absl::Status> Close(TlsRef state);

  // --- any thread ---

  void set_high_water(size_t bytes) noexcept { high_water_.store(bytes, kRelaxed); }
  size_t unsent() const noexcept { return stream_->unsent(); }
  void Abort() noexcept { stream_->Abort(); }

 private:
  // That an operation of a kind is in progress, if none was.
  class Turn {
   public:
    explicit Turn(Atomic<bool>& taken) noexcept
        : taken_(taken.exchange(true, kAcquire) ? nullptr : &taken) {}
    Turn(Turn&& other) noexcept : taken_(std::exchange(other.taken_, nullptr)) {}
    ~Turn() {
      if (taken_ != nullptr) taken_->store(false, kRelease);
    }
    explicit operator bool() const noexcept { return taken_ != nullptr; }

   private:
    Atomic<bool>* taken_;
  };
  // A read's hold on receiving_.
  struct Receiving {
    ~Receiving() {
      guard.Unlock();
      received.Set();
    }

    MutexGuard guard;
    Event& received;
  };
  // By who holds lock_ and sending_: what is to be sent.
  void TakeOutput(ByteBuffer& records) {
    left_.store(false, kRelaxed);
    records.Swap(engine_.output());
  }
  // Where a read puts what came: into memory of the caller's; or ahead, of which the caller is
  // told, or the next one.
  enum class Target { kMemory, kAhead, kAheadUntold };
  enum class Sending { kData, kEnd };

  absl::Status Busy(absl::string_view what) const;
  // OK where a write may begin. By who holds sending_.
  absl::Status CheckWrite(absl::string_view what) const;
  // Of an engine that failed.
  absl::Status Failed(absl::string_view what) const;
  absl::Status Truncated(absl::string_view what) const;

  // By who holds lock_: calls of the engine. The first takes from what came from the stream below,
  // and the second too with `receives`: by who holds receiving_ besides.
  TlsEngine::Step Decrypt(absl::Span<char> into, Target target, size_t* count);
  // The same, which counts what it makes the engine say, and fails the engine where that is too
  // much.
  TlsEngine::Step DecryptAndCount(absl::Span<char> into, Target target, size_t* count);
  TlsEngine::Step Encrypt(Sending what, absl::string_view data, bool receives, size_t* count);
  template <class F>
  TlsEngine::Step WithInput(F call);

  static Task<absl::StatusOr<size_t>> Receive(TlsRef state, absl::Span<char> into, Target target);
  static Task<absl::Status> WritePieces(TlsRef state, absl::string_view data, size_t* accepted);
  // By who holds sending_. `*accepted` becomes more by what was accepted of `data`.
  static Task<absl::Status> Send(TlsRef state, Sending what, absl::string_view data,
                                 size_t* accepted);
  // By who holds sending_: has the stream below accept `records`, also by a task that is cancelled.
  // Where it does not, nothing is sent any more.
  static Task<absl::Status> SendBelow(TlsRef state, const ByteBuffer& records);
  // After who held sending_ has given it up: sends what a read has left.
  static Task<void> SendLeft(TlsRef state);
  static Task<absl::Status> FlushBelow(TlsRef state);
  static Task<absl::Status> SendEnd(TlsRef state);
  static Task<absl::Status> EndAtOnce(TlsRef state);
  // Before the descriptor is closed. A system that finds bytes which nobody has read resets the
  // connection instead of ending it, and what is on its way to the peer is lost; and a server's
  // tickets come unasked.
  static Task<void> DropWhatCame(TlsRef state);

  const StreamRef stream_;
  Mutex lock_;  // of engine_
  TlsEngine engine_;
  size_t answers_ = 0;  // bytes that reads had the engine say since all was sent; of lock_
  Mutex receiving_;
  // A read has got something, or does not receive any more, since a write has cleared it.
  Event received_{/*set=*/true};
  Mutex sending_;
  Atomic<bool> left_{false};  // a read has found sending_ held
  absl::Status torn_;         // why records are missing below, if some are; of who holds sending_
  Atomic<bool> reading_{false};
  Atomic<bool> writing_{false};
  Atomic<bool> shut_down_{false};
  bool truncated_ = false;  // the stream below has ended; of who holds receiving_
  bool unseen_ = false;     // see StreamState; of who reads, as the next
  ByteBuffer incoming_;
  Atomic<size_t> high_water_{kDefaultHighWater};
  TlsAgreement agreement_;
};

// For buffered_reads.h.
inline Task<absl::StatusOr<size_t>> ReadAhead(const TlsRef& state) { return TlsState::Fill(state); }

}  // namespace plait::internal

#endif  // PLAIT_IO_TLS_TLS_STATE_H_
