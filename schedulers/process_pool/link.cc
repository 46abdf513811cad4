#include "plait/schedulers/process_pool/link.h"

#include <errno.h>

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

#include "plait/runtime/core/check.h"
#include "plait/runtime/core/deadline.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/schedulers/process_pool/pool_system.h"

namespace plait::internal {
namespace {

// The words are shared between processes: no lock may be hidden in them.
static_assert(Atomic<uint64_t>::is_always_lock_free && sizeof(Atomic<uint64_t>) == 8);
static_assert(Atomic<uint32_t>::is_always_lock_free && sizeof(Atomic<uint32_t>) == 4);

// A record's size has 32 bits.
constexpr size_t kMaxCapacity = size_t{1} << 31;

// What a wake-up through the system costs, about. To spin longer than that never pays.
constexpr int64_t kSpinNanos = 20'000;
// Spins in vain before none is tried.
constexpr int kMaxSpins = 3;

// What an end that sleeps waits for, in its doorbell.
constexpr uint32_t kForRecord = 1;
constexpr uint32_t kForRoom = 2;
// Always: a wait for nothing but the time is not being awake.
constexpr uint32_t kAsleep = 4;
// It is woken by its event and not by a futex. The parent always is.
constexpr uint32_t kOnEvent = 8;

int SpinsAtFirst() {
  // Where only one thread runs, the other side does not while this one spins.
  static const int spins = HardwareThreads() > 1 ? kMaxSpins : 0;
  return spins;
}

absl::Status SystemError(int negative_errno, absl::string_view what) {
  return absl::ErrnoToStatus(-negative_errno, what);
}

size_t HeaderSize() {
  const size_t page = pool_system::PageSize();
  return (sizeof(LinkHeader) + page - 1) / page * page;
}

}  // namespace

absl::StatusOr<std::shared_ptr<LinkMemory>> LinkMemory::Create(size_t capacity) {
  PLAIT_CHECK(std::has_single_bit(capacity) && capacity >= pool_system::PageSize() &&
                  capacity <= kMaxCapacity,
              "the capacity of a link is a power of 2, at least a page and at most 2 GiB");
  const int memory = pool_system::CreateMemory("plait-link", HeaderSize() + 2 * capacity);
  if (memory < 0) return SystemError(memory, "memory for a worker process");
  int event[2];
  if (const int result = pool_system::CreateChannel(false, event); result < 0) {
    pool_system::Close(memory);
    return SystemError(result, "an event for a worker process");
  }
  std::shared_ptr<LinkMemory> link(new LinkMemory(memory, event[0], event[1]));
  if (absl::Status status = link->Map(); !status.ok()) return status;
  link->header().no_futexes.store(pool_system::HasFutexes() ? 0 : 1, kRelaxed);
  return link;
}

absl::StatusOr<std::shared_ptr<LinkMemory>> LinkMemory::Open(int memory, int worker_event) {
  std::shared_ptr<LinkMemory> link(new LinkMemory(memory, -1, worker_event));
  if (absl::Status status = link->Map(); !status.ok()) return status;
  return link;
}

void LinkMemory::CloseWorkerEvent() noexcept {
  if (worker_event_ >= 0) pool_system::Close(worker_event_);
  worker_event_ = -1;
}

absl::Status LinkMemory::Map() {
  const int64_t size = pool_system::MemorySize(memory_);
  if (size < 0) return SystemError(static_cast<int>(size), "the memory of a worker process");
  const size_t header = HeaderSize();
  const size_t capacity = (static_cast<size_t>(size) - header) / 2;
  if (static_cast<size_t>(size) <= header || !std::has_single_bit(capacity) ||
      capacity < pool_system::PageSize() || capacity > kMaxCapacity ||
      header + 2 * capacity != static_cast<size_t>(size)) {
    return absl::InvalidArgumentError("the memory of a worker process has no such size");
  }
  const size_t mapped = header + 4 * capacity;
  char* base = nullptr;
  int result = pool_system::ReserveAddresses(mapped, &base);
  if (result < 0) return SystemError(result, "addresses for the memory of a worker process");
  base_ = base;
  mapped_ = mapped;
  capacity_ = capacity;
  char* at = base + header;
  result = pool_system::MapMemory(base, memory_, 0, header);
  for (const size_t offset : {header, header, header + capacity, header + capacity}) {
    if (result == 0) result = pool_system::MapMemory(at, memory_, offset, capacity);
    at += capacity;
  }
  if (result < 0) return SystemError(result, "mapping the memory of a worker process");
  return absl::OkStatus();
}

LinkMemory::~LinkMemory() {
  if (base_ != nullptr) pool_system::ReleaseAddresses(base_, mapped_);
  pool_system::Close(memory_);
  if (event_ >= 0) pool_system::Close(event_);
  CloseWorkerEvent();
}

RingMemory LinkMemory::to_worker() const noexcept {
  return {&header().to_worker, base_ + HeaderSize(), capacity_};
}

RingMemory LinkMemory::to_parent() const noexcept {
  return {&header().to_parent, base_ + HeaderSize() + 2 * capacity_, capacity_};
}

LinkEnd::LinkEnd(std::shared_ptr<LinkMemory> memory, Side side)
    : memory_(std::move(memory)),
      side_(side),
      asleep_(side == kParent ? memory_->header().parent_asleep : memory_->header().worker_asleep),
      other_asleep_(side == kParent ? memory_->header().worker_asleep
                                    : memory_->header().parent_asleep),
      writer_(side == kParent ? memory_->to_worker() : memory_->to_parent()),
      reader_(side == kParent ? memory_->to_parent() : memory_->to_worker()),
      sleeps_on_event_(side == kWorker && (memory_->header().no_futexes.load(kRelaxed) != 0 ||
                                           !pool_system::HasFutexes())),
      spins_(SpinsAtFirst()) {}

void LinkEnd::Commit(size_t size, uint32_t tag) noexcept {
  writer_.Commit(size, tag);
  WakeOther(kForRecord);
}

void LinkEnd::Pop() noexcept {
  reader_.Pop();
  WakeOther(kForRoom);
}

absl::Status LinkEnd::status() const {
  if (!corrupt()) return absl::OkStatus();
  return absl::DataLossError("the other process has damaged the memory that is shared with it");
}

uint32_t LinkEnd::Bits(const LinkWait& wait) const noexcept {
  return (wait.record ? kForRecord : 0) | (wait.room != 0 ? kForRoom : 0) | kAsleep |
         (sleeps_on_event_ ? kOnEvent : 0);
}

bool LinkEnd::Ready(const LinkWait& wait) noexcept {
  return (wait.record && Peek().has_value()) ||
         (wait.room != 0 && Reserve(std::min(wait.room, max_record())) != nullptr) || corrupt();
}

bool LinkEnd::PrepareToSleep(LinkWait wait) noexcept {
  asleep_.store(Bits(wait), kSeqCst);
  if (!Ready(wait)) return true;
  WakeUp();
  return false;
}

void LinkEnd::WakeUp() noexcept { asleep_.store(0, kRelaxed); }

bool LinkEnd::TakeSignals() noexcept {
  PLAIT_CHECK(side_ == kParent, "a worker waits in Wait");
  WakeUp();
  std::array<char, 64> signals;
  for (;;) {
    const int64_t size =
        pool_system::Receive(memory_->event_descriptor(), signals.data(), signals.size(), nullptr);
    if (size <= 0) return size == -EAGAIN;
  }
}

void LinkEnd::WakeOther(uint32_t what) noexcept {
  // The look first: as a rule it is awake, and its word then stays in its cache.
  if ((other_asleep_.load(kSeqCst) & what) == 0) return;
  const uint32_t slept = other_asleep_.exchange(0, kSeqCst);
  if (slept == 0) return;  // it is awake by now
  constexpr char kSignal = 0;
  if (side_ == kWorker) {
    // Where there is no room for it, the parent has others to read.
    pool_system::Send(memory_->worker_event_descriptor(), &kSignal, 1, {});
  } else if ((slept & kOnEvent) != 0) {
    pool_system::Send(memory_->event_descriptor(), &kSignal, 1, {});
  } else {
    pool_system::FutexWake(other_asleep_);
  }
}

bool LinkEnd::SpinUntilReady(const LinkWait& wait) noexcept {
  constexpr int kLooksPerRound = 32;
  Clock& clock = Clock::Real();
  const int64_t end = clock.Now().nanos() + kSpinNanos;
  do {
    for (int i = 0; i < kLooksPerRound; ++i) {
      if (Ready(wait)) return true;
      SpinWait(0);
    }
  } while (clock.Now().nanos() < end);
  return false;
}

void LinkEnd::SleepUntilWoken(const LinkWait& wait, int64_t timeout_ns) noexcept {
  if (!sleeps_on_event_) {
    pool_system::FutexWait(asleep_, Bits(wait), timeout_ns);
    return;
  }
  const int event = memory_->worker_event_descriptor();
  pool_system::WaitReadable(event, timeout_ns);
  char signal = 0;
  // One at a time: each is for one sleep. One that came late makes the next sleep short.
  pool_system::Receive(event, &signal, 1, nullptr);
}

void LinkEnd::Wait(absl::Duration timeout, LinkWait wait) noexcept {
  PLAIT_CHECK(side_ == kWorker, "only a worker waits in place: the parent has a reactor");
  if (Ready(wait)) return;
  if (spins_ > 0) {
    if (SpinUntilReady(wait)) {
      spins_ = SpinsAtFirst();
      return;
    }
    --spins_;
  }
  if (!PrepareToSleep(wait)) return;
  Clock& clock = Clock::Real();
  const int64_t begin = clock.Now().nanos();
  const int64_t timeout_ns =
      timeout == absl::InfiniteDuration()
          ? -1
          : std::max<int64_t>(0, absl::ToInt64Nanoseconds(timeout));  // a deadline may have passed
  SleepUntilWoken(wait, timeout_ns);
  WakeUp();
  // A sleep so short that a spin would have done instead.
  if (clock.Now().nanos() - begin < 2 * kSpinNanos) spins_ = SpinsAtFirst();
}

}  // namespace plait::internal
