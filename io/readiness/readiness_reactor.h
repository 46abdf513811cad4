// ReadinessReactor: makes completions out of readiness: try the operation, park it while the system
// says "not now", try again when the system says that the descriptor is ready. What epoll and
// kqueue share; each adds how it watches and waits. (SubmitOrComplete says when the first try was
// all it took.)
//
// A descriptor is registered once, for both directions, edge-triggered, at its first operation, and
// stays registered until it is closed through kClose: waiting costs no system call of its own. Each
// direction has a FIFO of parked operations and remembers whether the system may have more
// (`maybe_ready`), so that an operation that must wait is parked without being tried: a short read
// from a TCP socket has emptied it. Who reads by himself (kAwaitInput) is told once that there may
// be more; whether there is he finds out, and waits again for what comes then.
//
// A descriptor that was used here must be closed through kClose and not behind the reactor's back:
// the number would be used again and the registration be another's. But for one that is closed
// while its loop does not run: after each Flush a descriptor is looked at again, at its first
// operation. The reactor makes descriptors
// non-blocking. Regular files are always "ready", and would block: their reads and writes, and all
// that names a file, go to an injected executor. Those at a position run side by side there; of
// those that go on where the last one ended, one per direction at a time.
#ifndef PLAIT_IO_READINESS_READINESS_REACTOR_H_
#define PLAIT_IO_READINESS_READINESS_REACTOR_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "plait/io/reactor/blocking_operations.h"
#include "plait/io/reactor/operation_list.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/executor.h"
#include "plait/runtime/core/reactor.h"

namespace plait {

// What the system said of one descriptor.
struct ReadinessEvent {
  int fd = -1;
  uint16_t generation = 0;  // as it was given to Watch
  bool readable = false;
  bool writable = false;
  bool urgent = false;  // out-of-band data, at which reads stop short
  // How many bytes can be read, where the system says: then `urgent` need not be told.
  int64_t readable_bytes = 0;
  bool broken = false;  // an error or a hang-up, in whichever direction: it stays
};

class ReadinessReactor : public Reactor {
 public:
  ~ReadinessReactor() override;

  void Submit(IoOperation& operation) noexcept final;
  bool SubmitOrComplete(IoOperation& operation) noexcept final;
  void Cancel(IoOperation& operation) noexcept final;
  void CancelAll() noexcept final;
  void Poll(Deadline deadline, Clock& clock, WorkQueue& ready) noexcept final;
  void Flush() noexcept final;
  size_t in_flight() const noexcept final { return in_flight_; }
  bool prefers_await_input() const noexcept final { return true; }

 protected:
  // `blocking` may be null: operations on regular files then run on the executor's, and where there
  // is none, end with -EPERM. Outlives the reactor.
  explicit ReadinessReactor(Executor* blocking) : blocking_(blocking, *this) {}

  // To be called first in the destructor of what derives from this, as long as Wake works: waits
  // for other threads that are still inside of it. No operation may be in flight (CHECK).
  void Retire() noexcept;

  static constexpr int kEventsPerWait = 64;

  // Registers `fd`, whether a socket or not, for both directions, edge-triggered. 0, or -errno;
  // -EPERM for what is always ready (a regular file).
  virtual int Watch(int fd, bool socket, uint16_t generation) noexcept = 0;
  virtual void Unwatch(int fd) noexcept = 0;
  // Whether what is `fd` now was given to Watch. Where it was, what it is ready for is told again.
  virtual bool StillWatched(int fd, uint16_t generation) noexcept = 0;
  // Waits up to `timeout` (null: for ever), and calls Handle for each event. 0 or -errno.
  virtual int WaitForEvents(const timespec* timeout) noexcept = 0;
  void Handle(const ReadinessEvent& event) noexcept;

 private:
  using OperationList = internal::OperationList;

  enum Side : uint8_t { kInput = 1, kOutput = 2 };  // bits of Descriptor::maybe_ready
  // What few descriptors have.
  struct Rare {
    OperationList polls;
    int blocking_operations = 0;   // on the blocking executor now
    IoOperation* close = nullptr;  // waits for those
    uint8_t file_busy = 0;         // Sides: a transfer at the file's own position is under way
  };
  enum class Kind : uint8_t { kUnknown, kTcpSocket, kOtherSocket, kOther, kFile };
  // Two of them are a cache line: there may be very many, and each request comes by here.
  struct alignas(32) Descriptor {
    OperationList input;  // parked
    OperationList output;
    std::unique_ptr<Rare> rare;  // made when first needed
    int32_t announced = 0;       // bytes that the system spoke of, and that are not read yet
    uint16_t generation = 0;
    uint8_t maybe_ready = 0;  // Sides; never where operations are parked, outside of Serve
    Kind kind : 3 = Kind::kUnknown;
    bool told : 1 = false;  // who reads by himself, and he may have left some
    bool broken : 1 = false;
    bool urgent : 1 = false;
    bool stale : 1 = false;  // not used since the last Flush

    OperationList& Parked(Side side) noexcept { return side == kInput ? input : output; }
    bool MayBeReady(Side side) const noexcept { return (maybe_ready & side) != 0; }
    void SetReady(Side side) noexcept { maybe_ready |= side; }
    void SetNotReady(Side side) noexcept { maybe_ready &= static_cast<uint8_t>(~side); }
    bool closing() const noexcept { return rare != nullptr && rare->close != nullptr; }
    // By operations, which hold their descriptors.
    bool InUse() const noexcept {
      return !input.empty() || !output.empty() ||
             (rare != nullptr && (!rare->polls.empty() || rare->blocking_operations > 0));
    }
    Rare& MakeRare() {
      if (rare == nullptr) rare = std::make_unique<Rare>();
      return *rare;
    }
  };
  static_assert(sizeof(Descriptor) == 32);

  // Null when it was never set up here, or was closed since.
  Descriptor* Find(int fd) noexcept;
  // Finds out what `fd` is and registers it. 0 or -errno.
  int SetUp(int fd);
  // Stale: forgets it if the number is another's now.
  void LookAgain(int fd, Descriptor& descriptor) noexcept;
  void Forget(int fd, Descriptor& descriptor) noexcept;
  static Side SideOf(const IoOperation& operation) noexcept;
  static OperationList& ListOf(Descriptor& descriptor, const IoOperation& operation) noexcept;

  void SubmitOther(IoOperation& operation) noexcept;
  void SubmitPoll(Descriptor& descriptor, IoOperation& operation) noexcept;
  void SubmitAwaitInput(Descriptor& descriptor, IoOperation& operation) noexcept;
  void DeliverInput(Descriptor& descriptor, IoOperation& operation) noexcept;
  void SubmitConnect(Descriptor& descriptor, IoOperation& operation) noexcept;
  void SubmitClose(IoOperation& operation) noexcept;
  void CancelParked(Descriptor& descriptor) noexcept;
  void SubmitBlocking(Descriptor& descriptor, IoOperation& operation) noexcept;
  void StartBlocking(Descriptor& descriptor, IoOperation& operation) noexcept;

  // True when it was completed; false when it has to wait.
  bool Try(Descriptor& descriptor, IoOperation& operation) noexcept;
  bool TryConnect(Descriptor& descriptor, IoOperation& operation) noexcept;
  bool TryPoll(IoOperation& operation) noexcept;
  void HandleOther(Descriptor& descriptor, const ReadinessEvent& event) noexcept;
  void Serve(Descriptor& descriptor, Side side) noexcept;
  void ServeBlocking() noexcept;
  void FinishClose(IoOperation& operation) noexcept;
  void Complete(IoOperation& operation, int64_t result) noexcept;

  internal::BlockingOperations blocking_;
  // By number. In blocks, as operations know the lists that they are in.
  static constexpr size_t kPerBlock = 256;
  std::vector<std::unique_ptr<Descriptor[]>> descriptors_;
  WorkQueue completed_;
  size_t in_flight_ = 0;
  size_t undelivered_ = 0;          // in completed_
  IoOperation* at_once_ = nullptr;  // is not delivered, if it completes inside its Submit
  int polls_without_wait_ = 0;
};

}  // namespace plait

#endif  // PLAIT_IO_READINESS_READINESS_REACTOR_H_
