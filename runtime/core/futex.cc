#include "plait/runtime/core/futex.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <utility>

#include "plait/runtime/core/environment.h"

#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>

#include <climits>
#endif

namespace plait::internal {

#if defined(PLAIT_EXPLORE)

void FutexWait(const Atomic<uint32_t>& word, uint32_t value, absl::Duration timeout) noexcept {
  explored::FutexWait(&word, value, timeout != absl::InfiniteDuration());
}

void FutexWake(const Atomic<uint32_t>& word) noexcept { explored::FutexWake(&word); }

#elif defined(__linux__)

static_assert(sizeof(Atomic<uint32_t>) == sizeof(uint32_t), "the kernel reads the word itself");

void FutexWait(const Atomic<uint32_t>& word, uint32_t value, absl::Duration timeout) noexcept {
  const bool forever = timeout == absl::InfiniteDuration();
  const timespec relative = forever ? timespec{} : absl::ToTimespec(timeout);
  // Woken, interrupted, timed out or too late: the caller looks at the word in any case.
  syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, value, forever ? nullptr : &relative, nullptr, 0);
}

void FutexWake(const Atomic<uint32_t>& word) noexcept {
  syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
}

#else

namespace {

// Made before anything runs, as a signal handler may be its first user, and never destroyed, as
// threads may outlive main.
union Eternal {
  constexpr Eternal() : table() {}
  ~Eternal() {}
  FutexTable table;
};
constinit Eternal eternal;

FutexTable& Table() noexcept { return eternal.table; }

}  // namespace

void FutexWait(const Atomic<uint32_t>& word, uint32_t value, absl::Duration timeout) noexcept {
  Table().Wait(word, value, timeout);
}

void FutexWake(const Atomic<uint32_t>& word) noexcept { Table().Wake(word); }

#endif

// --- Bell ---

#if defined(PLAIT_EXPLORE)

Bell::~Bell() = default;

void Bell::Prepare() noexcept {
  if (!made_) made_ = true;
}

void Bell::Await(absl::Duration timeout) noexcept {
  FutexWait(rung_, 0, timeout);
  rung_.exchange(0, kRelaxed);
}

void Bell::Ring() noexcept {
  if (!made_) return;
  rung_.store(1, kRelaxed);
  FutexWake(rung_);
}

#else

Bell::~Bell() {
  for (const int end : ends_) {
    if (end >= 0) ::close(end);
  }
}

void Bell::Prepare() noexcept {
  // Once, also where it fails: who is about to ring for an earlier sleeper may be looking.
  const uint64_t process = ProcessGeneration();
  if (tried_ && tried_in_ == process) return;
  tried_ = true;
  tried_in_ = process;
  int ends[2] = {-1, -1};
  const bool made = ::pipe(ends) == 0;
  for (size_t i = 0; i < 2; ++i) {
    // What is the parent process's too is closed here only.
    if (made_) ::close(ends_[i]);
    ends_[i] = ends[i];
    if (!made) continue;
    ::fcntl(ends[i], F_SETFD, FD_CLOEXEC);
    ::fcntl(ends[i], F_SETFL, O_NONBLOCK);
  }
  made_ = made;
}

void Bell::Await(absl::Duration timeout) noexcept {
  if (!made_) {
    // No descriptor was left: look again in a moment.
    ::poll(nullptr, 0, 1);
    return;
  }
  // In whole milliseconds, rounded up: poll is what all systems have.
  const int64_t left = absl::ToInt64Milliseconds(timeout + absl::Milliseconds(1));
  const bool forever = timeout == absl::InfiniteDuration();
  constexpr int64_t kMost = std::numeric_limits<int>::max();
  ::pollfd end = {.fd = ends_[0], .events = POLLIN, .revents = 0};
  if (::poll(&end, 1, forever ? -1 : static_cast<int>(std::min(left, kMost))) <= 0) return;
  char rings[64];
  static_cast<void>(!::read(ends_[0], rings, sizeof(rings)));
}

void Bell::Ring() noexcept {
  // Who sleeps there in another process is not this one's to wake.
  if (!made_ || tried_in_ != ProcessGeneration()) return;
  const int before = errno;  // a signal handler's caller has its own
  // A pipe that is full has been rung.
  static_cast<void>(!::write(ends_[1], "", 1));
  errno = before;
}

#endif

// --- FutexTable ---

FutexTable::~FutexTable() {
  for (Bucket& bucket : buckets_) {
    for (Bucket* more = bucket.more.load(kRelaxed); more != nullptr;) {
      delete std::exchange(more, more->more.load(kRelaxed));
    }
  }
}

FutexTable::Bucket& FutexTable::BucketOf(const Atomic<uint32_t>& word) noexcept {
  // Only a number to spread the words by.
  const auto address = reinterpret_cast<uintptr_t>(&word);
  return buckets_[((address >> 2) * 0x9E3779B97F4A7C15u >> 58) % kBuckets];
}

FutexTable::Bucket& FutexTable::MoreOf(Bucket& bucket) noexcept {
  // Acquire, in all cases: what another has made is seen whole.
  Bucket* more = bucket.more.load(kAcquire);
  if (more != nullptr) return *more;
  auto fresh = std::make_unique<Bucket>();
  // Release: it is seen whole. Acquire pairs with the look of a waker that found nothing here.
  if (!bucket.more.compare_exchange_strong(more, fresh.get(), kAcqRel, kAcquire)) return *more;
  return *fresh.release();
}

FutexTable::Place& FutexTable::TakePlace(Bucket& first) noexcept {
  for (Bucket* bucket = &first;; bucket = &MoreOf(*bucket)) {
    for (Place& place : bucket->places) {
      uintptr_t free = Place::kFree;
      // Acquire: the bell is as the last sleeper left it.
      if (place.word.compare_exchange_strong(free, Place::kTaken, kAcquire, kRelaxed)) return place;
    }
  }
}

void FutexTable::Wait(const Atomic<uint32_t>& word, uint32_t value,
                      absl::Duration timeout) noexcept {
  Place& place = TakePlace(BucketOf(word));
  place.bell.Prepare();
  // Release: who finds it may ring the bell. Acquire pairs with the look of a waker that came
  // before: the word has changed.
  // As a number, which is compared and never followed: the word may be gone when a waker looks.
  place.word.exchange(reinterpret_cast<uintptr_t>(&word), kAcqRel);
  if (word.load(kRelaxed) == value) place.bell.Await(timeout);
  // Modified, not just stored, so that what is released here (the bell; by a waker's look, the
  // word) is what the next one acquires who takes the place.
  place.word.exchange(Place::kFree, kRelaxed);
}

void FutexTable::Wake(const Atomic<uint32_t>& word) noexcept {
  const auto address = reinterpret_cast<uintptr_t>(&word);  // compared, never followed
  for (Bucket* bucket = &BucketOf(word); bucket != nullptr;) {
    for (Place& place : bucket->places) {
      // A look that others see. Release: who sleeps here later sees the word changed. Acquire: of
      // who sleeps here, the bell.
      if (place.word.fetch_or(0, kAcqRel) == address) place.bell.Ring();
    }
    Bucket* more = nullptr;
    // Likewise.
    bucket->more.compare_exchange_strong(more, nullptr, kRelease, kAcquire);
    bucket = more;
  }
}

}  // namespace plait::internal
