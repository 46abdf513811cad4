// Link: the connection between a parent and one worker process: a ring of records each way in
// shared memory, and doorbells. Internal.
//
//   absl::StatusOr<std::shared_ptr<LinkMemory>> memory = LinkMemory::Create(1 << 20);
//   LinkEnd parent(*memory, LinkEnd::kParent);                       // in one process
//   LinkEnd worker(*memory, LinkEnd::kWorker);                       // in the other, after a fork
//
//   if (char* to = parent.Reserve(size)) { ...; parent.Commit(size, tag); }
//   while (!worker.Peek().has_value() && worker.status().ok()) worker.Wait(absl::Seconds(1));
//
// The parent has many links and one loop: it never blocks. Before it suspends it calls
// PrepareToSleep and then waits, with the reactor of its executor, until event_descriptor() is
// readable; TakeSignals takes the signal away. The worker has one link and nothing else to do: it
// sleeps in Wait, on a futex or, where the system does not allow futexes, on its end of the
// parent's event. Who is awake is never signalled: under load there are no system calls at all.
//
// A doorbell is one word in the shared memory:
//
//     0, awake  --PrepareToSleep-->  what it waits for  --the other end, having published it-->  0
//                                     and how             and a signal
//
// An end that goes to sleep raises its word and then looks once more; the other publishes (a record
// or the room that one took) and then looks at the word. Both are sequentially consistent, so one
// of them sees the other: no wake-up is lost between the look and the sleep.
//
// Trust: a peer that dies or writes anywhere at any moment does no harm but to the records (see
// ring.h). The worst that it can do to a doorbell is not to ring it: who waits for a process that
// may be gone waits for its end too. Events are two ends of a connection, so that no peer can make
// the other's block. The memory cannot be made shorter by the peer.
// Threads: an end belongs to one at a time.
#ifndef PLAIT_SCHEDULERS_PROCESS_POOL_LINK_H_
#define PLAIT_SCHEDULERS_PROCESS_POOL_LINK_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "plait/runtime/core/atomic.h"
#include "plait/schedulers/process_pool/ring.h"

namespace plait::internal {

// At the start of the shared memory.
struct LinkHeader {
  RingPositions to_worker;
  RingPositions to_parent;
  alignas(64) Atomic<uint32_t> parent_asleep;
  alignas(64) Atomic<uint32_t> worker_asleep;
  // 1 where the parent has no futexes; written before there is a worker.
  Atomic<uint32_t> no_futexes;
};

// The memory and the parent's event. Whoever has them can talk: a worker gets them by fork, or as
// two descriptors, the memory's and the worker's end of the event.
class LinkMemory {
 public:
  // `capacity` bytes each way: a power of 2, at least a page and at most 2 GiB (CHECK).
  static absl::StatusOr<std::shared_ptr<LinkMemory>> Create(size_t capacity);
  // In a worker, of descriptors that the parent's Create made; they are this object's from then on,
  // also when it fails. InvalidArgument when they are something else.
  static absl::StatusOr<std::shared_ptr<LinkMemory>> Open(int memory, int worker_event);
  LinkMemory(const LinkMemory&) = delete;
  LinkMemory& operator=(const LinkMemory&) = delete;
  ~LinkMemory();

  int memory_descriptor() const noexcept { return memory_; }
  // The parent's end of the event: readable when the parent was woken, or when nobody has the
  // worker's end any more. A socket, non-blocking; -1 in a worker.
  int event_descriptor() const noexcept { return event_; }
  // The worker's end.
  int worker_event_descriptor() const noexcept { return worker_event_; }
  // In the parent, once the worker has its copy: it then hears when the worker is gone.
  void CloseWorkerEvent() noexcept;

  LinkHeader& header() const noexcept { return *reinterpret_cast<LinkHeader*>(base_); }
  RingMemory to_worker() const noexcept;
  RingMemory to_parent() const noexcept;

 private:
  LinkMemory(int memory, int event, int worker_event)
      : memory_(memory), event_(event), worker_event_(worker_event) {}
  absl::Status Map();

  const int memory_;
  const int event_;
  int worker_event_;
  char* base_ = nullptr;  // header, twice the data to the worker, twice the data to the parent
  size_t mapped_ = 0;
  size_t capacity_ = 0;
};

// What an end waits for: any of these.
struct LinkWait {
  bool record = true;
  // Room for a record of that size, where it is not 0. No more than max_record() is waited for.
  size_t room = 0;
};

class LinkEnd {
 public:
  enum Side { kParent, kWorker };

  // One end of each side for a LinkMemory, ever: an end knows where it was.
  LinkEnd(std::shared_ptr<LinkMemory> memory, Side side);
  LinkEnd(const LinkEnd&) = delete;
  LinkEnd& operator=(const LinkEnd&) = delete;

  // A record to the other side; see RingWriter. Commit wakes it.
  size_t max_record() const noexcept { return writer_.max_record(); }
  char* Reserve(size_t size) noexcept { return corrupt() ? nullptr : writer_.Reserve(size); }
  void Commit(size_t size, uint32_t tag) noexcept;

  // A record from the other side; see RingReader. Pop wakes it, where it waits for room.
  std::optional<RingRecord> Peek() noexcept { return corrupt() ? std::nullopt : reader_.Peek(); }
  void Pop() noexcept;

  // DataLoss when the other side has written what it should not: nothing more comes, nor goes.
  absl::Status status() const;

  // Whether to sleep: false where what is waited for is there, or the link is corrupt. When true
  // the end counts as asleep until the other side has woken it, or WakeUp.
  [[nodiscard]] bool PrepareToSleep(LinkWait wait = {}) noexcept;
  // Awake again, for another reason than a signal.
  void WakeUp() noexcept;
  // The parent: awake again, and signals that came are taken away. Does not block. False when
  // nobody has the worker's end of the event any more, so that none will come.
  bool TakeSignals() noexcept;

  // The worker: sleeps until what is waited for is there, or `timeout` is over; may return early.
  // It spins for some microseconds first, where that has paid lately.
  void Wait(absl::Duration timeout, LinkWait wait = {}) noexcept;

 private:
  bool corrupt() const noexcept { return writer_.corrupt() || reader_.corrupt(); }
  bool Ready(const LinkWait& wait) noexcept;
  bool SpinUntilReady(const LinkWait& wait) noexcept;
  void SleepUntilWoken(const LinkWait& wait, int64_t timeout_ns) noexcept;
  void WakeOther(uint32_t what) noexcept;
  uint32_t Bits(const LinkWait& wait) const noexcept;

  const std::shared_ptr<LinkMemory> memory_;
  const Side side_;
  Atomic<uint32_t>& asleep_;        // ours
  Atomic<uint32_t>& other_asleep_;  // theirs
  RingWriter writer_;
  RingReader reader_;
  // Whether the worker sleeps on its event, as one of the two has no futexes.
  const bool sleeps_on_event_;
  // How many more times to spin before sleeping.
  int spins_;
};

}  // namespace plait::internal

#endif  // PLAIT_SCHEDULERS_PROCESS_POOL_LINK_H_
