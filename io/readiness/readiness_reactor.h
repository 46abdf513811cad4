// ReadinessReactor: makes completions out of readiness: try the operation, park it while the system
// says "not now", try again when the system says that the descriptor is ready. What epoll and
// kqueue share; each adds how it watches and waits.
//
// A descriptor is registered once, for both directions, edge-triggered, at its first operation, and
// stays registered until it is closed through kClose: waiting costs no system call of its own. Each
// direction has a FIFO of parked operations and remembers whether the system may have more
// (`maybe_ready`), so that an operation that must wait is parked without being tried: a short read
// from a TCP socket has emptied it. Who reads by himself (kAwaitInput) is told once that there may
// be more; whether there is he finds out, and waits again for what comes then.
//
// A descriptor that was used here must be closed through kClose and not behind the reactor's back:
// the number would be used again and the registration be another's. The reactor makes descriptors
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
  uint32_t generation = 0;  // as it was given to Watch
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
  void Cancel(IoOperation& operation) noexcept final;
  void Poll(Deadline deadline, Clock& clock, WorkQueue& ready) noexcept final;
  size_t in_flight() const noexcept final { return in_flight_; }
  bool prefers_await_input() const noexcept final { return true; }

 protected:
  // `blocking` may be null: operations on regular files then end with -EPERM. Outlives the reactor.
  explicit ReadinessReactor(Executor* blocking) : blocking_(blocking, *this) {}

  // To be called first in the destructor of what derives from this, as long as Wake works: waits
  // for other threads that are still inside of it. No operation may be in flight (CHECK).
  void Retire() noexcept;

  static constexpr int kEventsPerWait = 64;

  // Registers `fd`, whether a socket or not, for both directions, edge-triggered. 0, or -errno;
  // -EPERM for what is always ready (a regular file).
  virtual int Watch(int fd, bool socket, uint32_t generation) noexcept = 0;
  virtual void Unwatch(int fd) noexcept = 0;
  // Waits up to `timeout` (null: for ever), and calls Handle for each event. 0 or -errno.
  virtual int WaitForEvents(const timespec* timeout) noexcept = 0;
  void Handle(const ReadinessEvent& event) noexcept;

 private:
  using OperationList = internal::OperationList;

  struct Direction {
    OperationList parked;
    int32_t announced = 0;     // bytes that the system spoke of, and that are not read yet
    bool maybe_ready = false;  // never while operations are parked, outside of Serve
    bool told = false;         // who reads by himself, and he may have left some
    bool file_busy = false;    // a transfer at the file's own position is under way
  };
  // What few descriptors have.
  struct Rare {
    OperationList polls;
    int blocking_operations = 0;   // on the blocking executor now
    IoOperation* close = nullptr;  // waits for those
  };
  enum class Kind : uint8_t { kUnknown, kTcpSocket, kOtherSocket, kOther, kFile };
  // A cache line: there may be very many, and each request comes by here.
  struct alignas(64) Descriptor {
    Direction read;
    Direction write;
    std::unique_ptr<Rare> rare;  // made when first needed
    uint32_t generation = 0;
    Kind kind = Kind::kUnknown;
    bool broken = false;
    bool urgent = false;

    bool closing() const noexcept { return rare != nullptr && rare->close != nullptr; }
    Rare& MakeRare() {
      if (rare == nullptr) rare = std::make_unique<Rare>();
      return *rare;
    }
  };
  static_assert(sizeof(Descriptor) == 64);

  // Null when it was never set up here, or was closed since.
  Descriptor* Find(int fd) noexcept;
  // Finds out what `fd` is and registers it. 0 or -errno.
  int SetUp(int fd);
  Direction& DirectionOf(Descriptor& descriptor, const IoOperation& operation) noexcept;
  OperationList& ListOf(Descriptor& descriptor, const IoOperation& operation) noexcept;

  void SubmitPoll(Descriptor& descriptor, IoOperation& operation) noexcept;
  void SubmitAwaitInput(Descriptor& descriptor, IoOperation& operation) noexcept;
  void DeliverInput(Direction& direction, IoOperation& operation) noexcept;
  void SubmitConnect(Descriptor& descriptor, IoOperation& operation) noexcept;
  void SubmitClose(IoOperation& operation) noexcept;
  void SubmitBlocking(Descriptor& descriptor, IoOperation& operation) noexcept;
  void StartBlocking(Descriptor& descriptor, IoOperation& operation) noexcept;

  // True when it was completed; false when it has to wait.
  bool Try(Descriptor& descriptor, IoOperation& operation) noexcept;
  bool TryConnect(Direction& direction, IoOperation& operation) noexcept;
  bool TryPoll(IoOperation& operation) noexcept;
  void Serve(Descriptor& descriptor, Direction& direction) noexcept;
  void ServeBlocking() noexcept;
  void FinishClose(IoOperation& operation) noexcept;
  void Complete(IoOperation& operation, int64_t result) noexcept;

  internal::BlockingOperations blocking_;
  // By number. In blocks, as operations know the lists that they are in.
  static constexpr size_t kPerBlock = 256;
  std::vector<std::unique_ptr<Descriptor[]>> descriptors_;
  WorkQueue completed_;
  size_t in_flight_ = 0;
  size_t undelivered_ = 0;  // in completed_
  int polls_without_wait_ = 0;
};

}  // namespace plait

#endif  // PLAIT_IO_READINESS_READINESS_REACTOR_H_
