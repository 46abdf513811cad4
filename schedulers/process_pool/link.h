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
// readable; reading that takes the signal away. The worker has one link and nothing else to do: it
// sleeps in Wait, on a futex. Who is awake is never signalled: under load there are no system
// calls at all.
//
// A doorbell is one word in the shared memory:
//
//     0, awake  --PrepareToSleep-->  what it waits for  --the other end, having published it-->  0
//                                                         and a signal
//
// An end that goes to sleep raises its word and then looks once more; the other publishes (a record
// or the room that one took) and then looks at the word. Both are sequentially consistent, so one
// of them sees the other: no wake-up is lost between the look and the sleep.
//
// Trust: a peer that dies or writes anywhere at any moment does no harm but to the records (see
// ring.h). The worst that it can do to a doorbell is not to ring it: who waits for a process that
// may be gone waits for its end too. The memory cannot be made shorter by the peer.
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
};

// The memory and the parent's event. Whoever has them can talk: a process gets them by fork, or as
// the two descriptors.
class LinkMemory {
 public:
  // `capacity` bytes each way: a power of 2, at least a page and at most 2 GiB (CHECK).
  static absl::StatusOr<std::shared_ptr<LinkMemory>> Create(size_t capacity);
  // Of descriptors that another process's Create made; they are this object's from then on, also
  // when it fails. InvalidArgument when they are something else.
  static absl::StatusOr<std::shared_ptr<LinkMemory>> Open(int memory, int event);
  LinkMemory(const LinkMemory&) = delete;
  LinkMemory& operator=(const LinkMemory&) = delete;
  ~LinkMemory();

  int memory_descriptor() const noexcept { return memory_; }
  // Readable when the parent was woken: an eventfd, non-blocking.
  int event_descriptor() const noexcept { return event_; }

  LinkHeader& header() const noexcept { return *reinterpret_cast<LinkHeader*>(base_); }
  RingMemory to_worker() const noexcept;
  RingMemory to_parent() const noexcept;

 private:
  LinkMemory(int memory, int event) : memory_(memory), event_(event) {}
  absl::Status Map();

  const int memory_;
  const int event_;
  char* base_ = nullptr;  // header, twice the data to the worker, twice the data to the parent
  size_t mapped_ = 0;
  size_t capacity_ = 0;
};

// What an end waits for: any of these.
struct LinkWait {
  bool record = true;
  // Room for a record of that size, where it is not 0.
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

  // The worker: sleeps until what is waited for is there, or `timeout` is over; may return early.
  // It spins for some microseconds first, where that has paid lately.
  void Wait(absl::Duration timeout, LinkWait wait = {}) noexcept;

 private:
  bool corrupt() const noexcept { return writer_.corrupt() || reader_.corrupt(); }
  bool Ready(const LinkWait& wait) noexcept;
  bool SpinUntilReady(const LinkWait& wait) noexcept;
  void WakeOther(uint32_t what) noexcept;

  const std::shared_ptr<LinkMemory> memory_;
  const Side side_;
  Atomic<uint32_t>& asleep_;        // ours
  Atomic<uint32_t>& other_asleep_;  // theirs
  RingWriter writer_;
  RingReader reader_;
  // How many more times to spin before sleeping.
  int spins_;
};

}  // namespace plait::internal

#endif  // PLAIT_SCHEDULERS_PROCESS_POOL_LINK_H_
