// StreamState: what a Stream is made of, with stream_read.h and stream_write.h. Internal; see
// stream.h for what it promises.
//
// Reading. StreamRead takes what was read ahead, and then what the kernel has, straight into the
// caller's memory, or, to read ahead, into `incoming_`. Where the reactor tells of readiness it
// reads by itself: when it begins, unless the last one emptied the socket, and when the reactor has
// told of more, which is right before its task goes on, so that what the kernel and the task have
// of this connection is touched once. Else the reactor reads; but for reading ahead it is only
// asked to wait, for which nobody needs memory. What the kernel gave to a read that then failed
// goes back to `incoming_`, so that the next one finds it. A TCP connection that waits for small
// reads again and again receives by a multishot, where the reactor has those (stream_shots.h).
//
// Writing. StreamWrite sends what the kernel takes there and then. The rest waits in `outgoing_`,
// in which one operation at a time, the pump, sends it in the background:
//
//   nothing to send, no memory --Write that the kernel did not take whole--> pump in flight
//        ^                                                                     |        |
//        +------------------ delivered, nothing is left -----------------------+        |
//                                                            delivered, more is left ---+
//
// A Write that does not fit below the high-water mark waits, and its memory is sent in its place,
// without a copy, until what is left of it fits.
//
// Threads: one, that of its home: the Worker on which it first waited. Where that is one of a group
// (runtime/core/worker_group.h) it is at home from its first use on, and what is asked of it on
// another of the group is carried there, also what would not have to wait: the pump, a multishot
// and the other half's operations are at work there. What is atomic may be looked at elsewhere, and
// what was read ahead is the reading task's own while no read waits. Lifetime: counted; a Stream,
// awaits and a pump in flight hold it, so it outlives whatever the kernel has of it. Each request
// counts a few times, so the count is under a HomeLock, which costs a home that has no group
// little.
#ifndef PLAIT_IO_NET_STREAM_STATE_H_
#define PLAIT_IO_NET_STREAM_STATE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "plait/io/net/address.h"
#include "plait/io/net/byte_buffer.h"
#include "plait/io/net/ip_peer.h"
#include "plait/io/net/stream_shots.h"
#include "plait/io/ops/owned_descriptor.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/home_lock.h"
#include "plait/runtime/core/io_operation.h"
#include "plait/runtime/core/multishot.h"
#include "plait/runtime/core/worker.h"
#include "plait/runtime/sync/event.h"
#include "plait/runtime/task/task.h"

namespace plait::internal {

class StreamRead;
class StreamState;
class StreamWrite;

// Why an operation did not begin.
enum class StreamRefusal : uint8_t {
  kNone,
  kClosed,
  kClosing,      // it is being closed by somebody else, or was
  kShutDown,     // a write behind ShutdownWrite
  kBusy,         // another operation of its kind is waiting
  kNoReactor,    // the executor has none
  kOtherThread,  // not the one where the stream has waited before
};

// Counts a StreamState's holders. Null is a stream that is closed.
class StreamRef {
 public:
  StreamRef() = default;
  explicit StreamRef(StreamState* state) noexcept : state_(state) {
    if (state != nullptr) Hold(*state);
  }
  StreamRef(const StreamRef& other) noexcept : StreamRef(other.state_) {}
  StreamRef(StreamRef&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  StreamRef& operator=(StreamRef other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~StreamRef() {
    if (state_ != nullptr) Drop(*state_);
  }

  StreamState* get() const noexcept { return state_; }
  StreamState* operator->() const noexcept { return state_; }
  explicit operator bool() const noexcept { return state_ != nullptr; }

 private:
  // Calls: a coroutine has two of each for every await of a stream, and in line they were a quarter
  // of what it runs.
  static void Hold(StreamState& state) noexcept;
  static void Drop(StreamState& state) noexcept;

  StreamState* state_ = nullptr;
};

class StreamState final : private MultishotOwner {
 public:
  static constexpr size_t kDefaultHighWater = 64 * 1024;

  StreamState(io::OwnedDescriptor descriptor, const SocketAddress& peer);
  // Of a descriptor whose file others share: when it is closed, `shared`, another descriptor of
  // that file, blocks again as they expect.
  void BlockAgainAtTheEnd(int shared) noexcept { blocks_again_ = shared; }
  StreamState(const StreamState&) = delete;
  StreamState& operator=(const StreamState&) = delete;

  int fd() const noexcept { return descriptor_.get(); }
  // Its descriptor, for those who are not at home, where it may be closed at any time.
  const io::OwnedDescriptor& owned() const noexcept { return descriptor_; }
  // How errors call it: its peer where that is known.
  // Any thread, like the next two.
  std::string Name() const;
  absl::StatusOr<SocketAddress> LocalAddress() const;
  absl::StatusOr<SocketAddress> PeerAddress() const;

  // Any thread.
  void set_high_water(size_t bytes) noexcept {
    high_water_.store(static_cast<uint32_t>(std::min<size_t>(bytes, UINT32_MAX)), kRelaxed);
  }
  // Accepted, and not with the kernel yet. Any thread.
  size_t unsent() const noexcept { return unsent_.load(kRelaxed); }
  // Read ahead.
  absl::string_view buffered() const noexcept { return incoming_.view(); }
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
  // One waits.
  bool reading() const noexcept { return reader_.load(kRelaxed) != nullptr; }
  // OK where a read may begin.
  absl::Status CheckRead() const { return Refused("read", RefusalToRead()); }

  // Ends all that waits on it with Cancelled; closes the descriptor when that has ended. Drops what
  // was not sent.
  void Abort() noexcept;
  // The same, waiting for it.
  static Task<absl::Status> CloseDescriptor(StreamRef state);
  // For whoever closes it though it is somebody else's, once: tells its StreamOwner and waits for
  // that, and sends what was accepted before. From the call's first step on a Write that waits is
  // cancelled, and so is whatever is begun, but for a Flush; dropping the Stream drops nothing.
  // Where another executor uses it nobody here can wait for its home, which may be gone: its home
  // closes it when it has sent all, and this only ends a connection that has nothing to send.
  static Task<absl::Status> CloseForOwner(StreamRef state);
  // The same at once, dropping what was not sent. At home, or where that is another executor's.
  // `end_connection` is called in between, with a number of the connection's, as a transfer on
  // another thread that sees the connection's end is to know whose doing it was.
  void AbortForOwner(void (*end_connection)(int fd)) noexcept;
  bool closing() const noexcept { return HasEnd(kClosing); }
  // Whether the Stream's end is the state's: not where somebody else closes it, unless that is left
  // to its home and nothing is to be sent.
  bool ends_with_stream() const noexcept {
    return !closing() || (HasEnd(kAtHome) && unsent() == 0);
  }
  bool closed() const noexcept { return HasEnd(kClosed); }
  // By a StreamOwner.
  void BeginClosing() noexcept { SetEnd(kClosing); }
  // At home, by its StreamOwner that is awaited: what was accepted in the owner's own memory, which
  // is sent as well. Dropped where it cannot be.
  void AcceptLast(absl::string_view data);
  // co_await: for a socket, when what was accepted is with the kernel: ends the writing half.
  static Task<absl::Status> ShutDownNow(StreamRef state);
  bool shut_down() const noexcept { return HasEnd(kShutDown); }

  // Where this is to be done, which is not here; null: here. Decides on the home, where a group has
  // not used it before.
  Worker* HomeElsewhere() noexcept {
    Worker* const here = Worker::Current();
    if (here == home_.load(kRelaxed)) [[likely]]
      return nullptr;
    return here == nullptr || here->group() == nullptr ? nullptr : FindHome(*here);
  }
  // co_await: calls `step` at home (stream_at_home.h).
  template <class Step>
  class AtHome;
  bool is_socket() const noexcept { return kind_ <= Kind::kSocket; }

 private:
  friend class StreamRef;
  friend class StreamRead;
  friend class StreamWrite;

  // The pump and what it sends. Only while there is something to send.
  struct Outgoing : IoCall {
    explicit Outgoing(StreamState& of) noexcept : IoCall(&Sent), state(&of) {}
    ~Outgoing() {
      if (gone != nullptr) gone->Set();
    }

    StreamRef state;
    ByteBuffer sending;             // stays where it is while the pump is in flight
    ByteBuffer waiting;             // behind it
    bool from_writer = false;       // what is in flight is the waiting writer's own memory
    StreamWrite* writer = nullptr;  // waiting
    Event* gone = nullptr;          // set when there is nothing to send any more
  };

  // Files (what has positions; terminals and pipes have none) never say "not now": they are left to
  // the reactor, which knows how not to wait for a disk.
  // Unix sockets are kSocket: descriptors may be received from them, of which a multishot knows
  // nothing.
  enum class Kind : uint8_t { kTcp, kSocket, kNonBlocking, kFile };

  // Bits of ends_.
  enum End : uint8_t {
    kClosed = 1,
    kClosing = 2,  // by CloseForOwner or AbortForOwner
    kShutDown = 4,
    kAtHome = 8,  // kClosing, by another executor than its home's, where the rest is done
  };

  // Who calls the kernel for it, and whether the reactor can wait for it without reading.
  enum class Reading : uint8_t { kUnknown, kItself, kReactor, kReactorAtOnce };

  ~StreamState();

  static Kind KindOf(int fd, const SocketAddress& peer) noexcept;
  template <auto kCall>
  absl::StatusOr<SocketAddress> AskForAddress(absl::string_view what) const;
  void BlockAgain() noexcept;
  bool HasEnd(End end) const noexcept { return (ends_.load(kRelaxed) & end) != 0; }
  void SetEnd(End end) noexcept { ends_.fetch_or(end, kRelaxed); }
  // 0 or -errno: what the kernel says only once.
  int read_error() const noexcept { return -int{read_errno_}; }
  void set_read_error(int error) noexcept { read_errno_ = static_cast<uint8_t>(-error); }
  // 0 or -errno: nothing is accepted any more.
  int write_error() const noexcept { return -int{write_errno_}; }
  void set_write_error(int error) noexcept { write_errno_ = static_cast<uint8_t>(-error); }

  void Ref() noexcept {
    if (!lock_.Enter()) [[unlikely]]
      return RefLocked();
    ++holders_;
    lock_.Leave();
  }
  // True if that was the last: then it is the caller's to delete, who sees what all others did.
  bool Unref() noexcept {
    if (!lock_.Enter()) [[unlikely]]
      return UnrefLocked();
    const bool last = --holders_ == 0;
    lock_.Leave();
    return last;
  }
  void RefLocked() noexcept;
  bool UnrefLocked() noexcept;
  Worker* FindHome(Worker& here) noexcept;
  struct LateAbort;
  void AbortHere() noexcept;
  static Task<void> AbortAtHome(StreamRef state);
  void TellOwner() noexcept;
  // Whether its home is another executor's, or gone; else it is this one's from now on.
  bool BelongsElsewhere() noexcept;
  // Ends the connection, whose number is its home's to close, by another number of it.
  void EndElsewhere(void (*end_connection)(int fd)) noexcept;
  // Both at once: a Stream that is dropped meanwhile closes itself, or leaves that to its home.
  void LeaveToHome() noexcept { ends_.fetch_or(kClosing | kAtHome, kAcqRel); }
  // At home, when nothing is to be sent any more.
  void EndIfClosedElsewhere() noexcept {
    // With acquire and release, as LeaveToHome: this sees that it was closed, or who closes it sees
    // that nothing is to be sent.
    if (outgoing_ == nullptr && !closed() && (ends_.fetch_or(0, kAcqRel) & kAtHome) != 0)
        [[unlikely]] {
      AbortHere();
    }
  }
  // None on the thread where it waits, which the first wait decides.
  StreamRefusal ComeHome(Worker* worker) noexcept {
    // One that is the home has a reactor.
    if (worker != nullptr && is_home(worker)) [[likely]]
      return StreamRefusal::kNone;
    return Settle(worker);
  }
  StreamRefusal Settle(Worker* worker) noexcept;
  bool is_home(Worker* worker) const noexcept { return home_.load(kRelaxed) == worker; }
  // Whether it has a home, and that is here.
  bool IsAtHome() const noexcept {
    Worker* const here = Worker::Current();
    return here != nullptr && is_home(here);
  }
  Worker& home() const noexcept { return *home_.load(kRelaxed); }
  StreamRefusal RefusalToRead() const noexcept {
    const uint8_t ends = ends_.load(kRelaxed);
    if ((ends & (kClosing | kClosed)) != 0) [[unlikely]]
      return (ends & kClosing) != 0 ? StreamRefusal::kClosing : StreamRefusal::kClosed;
    return !reading() ? StreamRefusal::kNone : StreamRefusal::kBusy;
  }
  StreamRefusal RefusalToWrite(bool flush) const noexcept {
    const uint8_t ends = ends_.load(kRelaxed);
    if (ends != 0) [[unlikely]] {
      if ((ends & kClosing) != 0 && ((ends & kClosed) != 0 || !flush)) {
        return StreamRefusal::kClosing;
      }
      if ((ends & kClosed) != 0) return StreamRefusal::kClosed;
      if ((ends & kShutDown) != 0 && !flush) return StreamRefusal::kShutDown;
    }
    return !writing() ? StreamRefusal::kNone : StreamRefusal::kBusy;
  }
  absl::Status Refused(absl::string_view what, StreamRefusal refusal) const;

  void OnShots(Multishot&) noexcept override;
  void OnReactorGone(Multishot&) noexcept override;
  void DropShots() noexcept;
  // Whether `reader`, which begins to wait, does so for a multishot: starts one where that pays.
  bool UsesShots(StreamRead& reader) noexcept {
    return shots_.started() || (!no_shots_ && StartsShots(reader));
  }
  bool StartsShots(StreamRead& reader) noexcept;
  // It has ended: takes what there is of it, for `filled`, a read ahead that has taken some, or for
  // the next one (null). 0 or -errno, which the next read will find.
  int EndShots(StreamRead* filled) noexcept;
  // Before the descriptor is closed.
  void StopShots() noexcept;

  // What the kernel has now, up to into.size(): how much, 0 at the end, or -errno; -EAGAIN when it
  // has nothing now. In stream_calls.h, as SendNow is.
  inline int64_t ReceiveNow(absl::Span<char> into) noexcept;
  // Whether reads do that, and do not leave it to the reactor.
  bool reads_itself() const noexcept { return reading_ == Reading::kItself; }
  // What the kernel takes now: how much, or -errno; 0 when it takes nothing now.
  inline int64_t SendNow(absl::Span<const char> data) noexcept;
  bool Fits(size_t bytes) const noexcept { return bytes + unsent() <= high_water_.load(kRelaxed); }
  void CountUnsent() noexcept;
  void Enqueue(absl::Span<const char> data);
  // Sends the next piece, with the pump not in flight; ends it when there is none.
  void Pump() noexcept;
  static void Sent(WorkItem& item) noexcept;
  void OnSent(int result) noexcept;
  // One waits.
  bool writing() const noexcept { return outgoing_ != nullptr && outgoing_->writer != nullptr; }
  // Takes the waiting writer out if it has nothing more to wait for.
  StreamWrite* TakeFinishedWriter(int* result) noexcept;

  // Reads that ask for more than this had better go straight into the caller's memory.
  static constexpr size_t kMostByShots = size_t{16} << 10;

  // What each request touches comes first. There may be very many, so what has few values is small,
  // and stands where others leave room.
  HomeLock lock_;  // guards holders_
  io::OwnedDescriptor descriptor_;
  int blocks_again_ = -1;
  uint8_t read_errno_ = 0;
  uint8_t write_errno_ = 0;
  Atomic<uint8_t> ends_{0};
  Kind kind_;
  [[no_unique_address]] const IpPeer peer_;
  // The reading half's.
  Reading reading_ : 2 = Reading::kUnknown;
  bool has_waited_ : 1 = false;  // for bytes
  bool no_shots_ : 1 = false;    // the reactor has none, or they have ended
  bool unseen_ : 1 = false;      // of what was read ahead nobody was told: the next ReadMore does
  bool drained_ : 1 = false;     // a read took all there was; more has its event
  uint32_t holders_ = 0;
  Atomic<Worker*> home_{nullptr};
  Atomic<StreamRead*> reader_{nullptr};  // waiting
  ByteBuffer incoming_;
  std::unique_ptr<Outgoing> outgoing_;
  StreamShots shots_;           // what a multishot brings, once that pays; it holds the state
  Atomic<uint32_t> unsent_{0};  // what no mark allows counts as the most that fits here
  Atomic<uint32_t> high_water_{kDefaultHighWater};
};

// There may be very many that wait for something to happen.
static_assert(sizeof(StreamState) <= 88);

}  // namespace plait::internal

#endif  // PLAIT_IO_NET_STREAM_STATE_H_
