// What libkqueue 2.3 does unlike kqueue(2), and what is done about it.
//
// Where it calls the system, it is linked with calls of ours (plait_libkqueue_*) instead:
// - It reads SO_ERROR, which takes the error away from whom it is for.
// - It refuses descriptors of kinds that it does not know.
// - It registers a descriptor with epoll once for each filter, which epoll refuses.
//
// And where it is called:
// - It tells that there is something to read after it was read, and calls that the end of the
//   stream: we look again, as kqueue does. Of data behind an urgent byte it knows nothing.
// - After receipts (EV_RECEIPT) it goes on to wait. Changes are made one by one.
// - It cuts timeouts to milliseconds, and wraps long ones.
// - It frees a queue some time after it was closed, in a thread of its own that is told by a
//   signal, and touches freed memory then. Queues are kept for the next one who wants one instead.
// - In a forked child the queue is still there, and that thread is not.
#include "plait/io/system/libkqueue.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/event.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/core/spin_lock.h"

// libkqueue's own.
extern "C" pthread_mutex_t kq_mtx;
extern "C" pthread_once_t monitoring_thread_initialized;

// LeakSanitizer's, where it is linked.
extern "C" __attribute__((weak)) void __lsan_disable();
extern "C" __attribute__((weak)) void __lsan_enable();

namespace plait::sys {
namespace {

using plait::internal::SpinLock;
using plait::internal::SpinLockHolder;

int OrErrno(int result) noexcept { return result < 0 ? -errno : result; }

// --- what libkqueue calls ---

// The descriptors that are registered with epoll, each once for both filters.
class Registrations {
 public:
  static Registrations& Get() {
    static Registrations* const registrations = new Registrations;
    return *registrations;
  }

  int Add(int epoll, int fd, const epoll_event& event) {
    SpinLockHolder hold(lock_);
    std::unique_ptr<Registration>& registration = registrations_[{epoll, fd}];
    const bool first = registration == nullptr;
    if (first) registration = std::make_unique<Registration>();
    Interest& interest = registration->interest((event.events & EPOLLOUT) != 0);
    interest = {.events = event.events, .knote = event.data.ptr};
    const int result = Tell(epoll, first ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, *registration);
    if (result < 0) interest = Interest();
    if (registration->empty()) registrations_.erase({epoll, fd});
    return result;
  }

  // Also when the descriptor was closed before, which has ended its registration.
  void Delete(int epoll, int fd, bool writing) {
    SpinLockHolder hold(lock_);
    const auto found = registrations_.find({epoll, fd});
    if (found == registrations_.end()) return;
    Registration& registration = *found->second;
    registration.interest(writing) = Interest();
    Tell(epoll, registration.empty() ? EPOLL_CTL_DEL : EPOLL_CTL_MOD, fd, registration);
    if (registration.empty()) registrations_.erase(found);
  }

  // An event for each filter.
  static int Wait(int epoll, epoll_event* events, int count, int timeout_ms) {
    // As each may become two, half as many, into the second half.
    epoll_event* const read_into = events + (count - count / 2);
    const int found = ::epoll_wait(epoll, read_into, count / 2, timeout_ms);
    int told = 0;
    for (int i = 0; i < found; ++i) {
      const epoll_event event = read_into[i];
      const auto& registration = *static_cast<const Registration*>(event.data.ptr);
      for (const Interest& interest : registration.interests) {
        const uint32_t bits = event.events & (interest.events | EPOLLHUP | EPOLLERR);
        if (interest.knote == nullptr || bits == 0) continue;
        events[told++] = {.events = bits, .data = {.ptr = interest.knote}};
      }
    }
    return found < 0 ? found : told;
  }

  void Lock() { lock_.lock(); }
  void Unlock() { lock_.unlock(); }

 private:
  struct Interest {
    uint32_t events = 0;
    void* knote = nullptr;  // what libkqueue knows it by
  };
  struct Registration {
    Interest interests[2];

    Interest& interest(bool writing) { return interests[writing ? 1 : 0]; }
    bool empty() const { return interests[0].events == 0 && interests[1].events == 0; }
  };

  static int Tell(int epoll, int operation, int fd, Registration& registration) {
    epoll_event event{
        .events = registration.interest(false).events | registration.interest(true).events,
        .data = {.ptr = &registration}};
    return ::epoll_ctl(epoll, operation, fd, &event);
  }

  SpinLock lock_;
  absl::flat_hash_map<std::pair<int, int>, std::unique_ptr<Registration>> registrations_;
};

// When libkqueue deletes a registration it does not say which.
thread_local bool deleting_write = false;

}  // namespace

extern "C" {

int plait_libkqueue_epoll_ctl(int epoll, int operation, int fd, epoll_event* event) {
  if (operation == EPOLL_CTL_ADD) return Registrations::Get().Add(epoll, fd, *event);
  Registrations::Get().Delete(epoll, fd, deleting_write);
  return 0;
}

int plait_libkqueue_epoll_wait(int epoll, epoll_event* events, int count, int timeout_ms) {
  return Registrations::Wait(epoll, events, count, timeout_ms);
}

int plait_libkqueue_fstat(int fd, struct stat* status) {
  const int result = ::fstat(fd, status);
  if (result == 0 && !S_ISSOCK(status->st_mode)) status->st_mode = S_IFCHR;
  return result;
}

int plait_libkqueue_getsockopt(int fd, int level, int name, void* value, socklen_t* size) {
  if (level == SOL_SOCKET && name == SO_ERROR) {
    errno = EIO;
    return -1;
  }
  return ::getsockopt(fd, level, name, value, size);
}

}  // extern "C"

namespace {

// --- what calls libkqueue ---

int ChangeOne(int queue, const struct kevent& change) noexcept {
  deleting_write = change.filter == EVFILT_WRITE;
  return OrErrno(::kevent(queue, &change, 1, nullptr, 0, nullptr));
}

// What is watched in one queue. Only the thread that polls the queue changes it.
class Watched {
 public:
  explicit Watched(int queue) : queue_(queue) {}

  int Change(const struct kevent& change) {
    const Key key = {change.filter, change.ident};
    if ((change.flags & EV_DELETE) != 0) {
      return watched_.erase(key) == 0 ? -ENOENT : ChangeOne(queue_, change);
    }
    const int result = ChangeOne(queue_, change);
    if (result == 0) watched_.insert(key);
    return result;
  }

  void DeleteAll() {
    for (const Key& key : watched_) {
      struct kevent change{};
      EV_SET(&change, key.second, key.first, EV_DELETE, 0, 0, nullptr);
      ChangeOne(queue_, change);
    }
    watched_.clear();
  }

 private:
  using Key = std::pair<short, uintptr_t>;  // filter, ident

  const int queue_;
  absl::flat_hash_set<Key> watched_;
};

// All queues of this process.
class Queues {
 public:
  static Queues& Get() {
    static Queues* const queues = new Queues;
    return *queues;
  }

  int Create() {
    SpinLockHolder hold(lock_);
    int queue = -1;
    if (!unused_.empty()) {
      queue = unused_.back();
      unused_.pop_back();
    } else {
      // It keeps them where the leak checker does not look.
      if (__lsan_disable != nullptr) __lsan_disable();
      queue = ::kqueue();
      const int error = errno;
      if (__lsan_enable != nullptr) __lsan_enable();
      if (queue < 0) return -error;
    }
    queues_[queue] = std::make_unique<Watched>(queue);
    return queue;
  }

  int Close(int queue) {
    Watched* const watched = Find(queue);
    if (watched == nullptr) return -EBADF;
    watched->DeleteAll();
    SpinLockHolder hold(lock_);
    queues_.erase(queue);
    unused_.push_back(queue);
    return 0;
  }

  // Null where there is none, as in a forked child, which does not have its parent's.
  Watched* Find(int queue) {
    SpinLockHolder hold(lock_);
    const auto found = queues_.find(queue);
    return found == queues_.end() ? nullptr : found->second.get();
  }

 private:
  Queues() { ::pthread_atfork(&BeforeFork, &AfterForkInParent, &AfterForkInChild); }

  static void BeforeFork() {
    Get().lock_.lock();
    ::pthread_mutex_lock(&kq_mtx);
    Registrations::Get().Lock();
  }
  static void AfterForkInParent() {
    Registrations::Get().Unlock();
    ::pthread_mutex_unlock(&kq_mtx);
    Get().lock_.unlock();
  }
  static void AfterForkInChild() {
    monitoring_thread_initialized = PTHREAD_ONCE_INIT;
    Get().queues_.clear();
    Get().unused_.clear();
    AfterForkInParent();
  }

  SpinLock lock_;
  absl::flat_hash_map<int, std::unique_ptr<Watched>> queues_;
  std::vector<int> unused_;
};

// Makes of what libkqueue says what kqueue would say. False where that is nothing.
bool Correct(struct kevent& event) noexcept {
  if (event.filter == EVFILT_WRITE && event.fflags != 0) event.flags |= EV_EOF;
  if (event.filter != EVFILT_READ) return true;
  pollfd look{
      .fd = static_cast<int>(event.ident), .events = POLLIN | POLLPRI | POLLRDHUP, .revents = 0};
  if (::poll(&look, 1, 0) <= 0 || (look.revents & POLLNVAL) != 0) return false;
  event.flags &= static_cast<unsigned short>(~EV_EOF);
  if ((look.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0) event.flags |= EV_EOF;
  // There is at least the urgent byte behind what it counted.
  if ((look.revents & POLLPRI) != 0) ++event.data;
  return true;
}

int Wait(int queue, struct kevent* events, int count, const timespec* timeout) noexcept {
  if (timeout == nullptr) return OrErrno(::kevent(queue, nullptr, 0, events, count, nullptr));
  constexpr time_t kLongest = 1'000'000;
  const long rest_ns = timeout->tv_nsec % 1'000'000;
  const timespec milliseconds{.tv_sec = std::min(timeout->tv_sec, kLongest),
                              .tv_nsec = timeout->tv_nsec - rest_ns};
  const int found = OrErrno(::kevent(queue, nullptr, 0, events, count, &milliseconds));
  if (found != 0 || rest_ns == 0) return found;
  const timespec rest{.tv_sec = 0, .tv_nsec = rest_ns};
  return OrErrno(::kevent(queue, nullptr, 0, events, count, &rest));
}

int Events(int queue, const struct kevent* changes, int change_count, struct kevent* events,
           int event_count, const timespec* timeout) noexcept {
  Watched* const watched = Queues::Get().Find(queue);
  if (watched == nullptr) return -EBADF;
  int told = 0;
  for (int i = 0; i < change_count; ++i) {
    struct kevent change = changes[i];
    change.flags &= static_cast<unsigned short>(~EV_RECEIPT);
    // Threads that only trigger an event leave `watched` alone.
    const int result = change.flags == 0 ? ChangeOne(queue, change) : watched->Change(change);
    if (result == 0 && (changes[i].flags & EV_RECEIPT) == 0) continue;
    if (told == event_count) return result;
    events[told] = changes[i];
    events[told].flags = EV_ERROR;
    events[told++].data = -result;
  }
  if (told > 0 || event_count == 0) return told;
  const int found = Wait(queue, events, event_count, timeout);
  for (int i = 0; i < found; ++i) {
    if (Correct(events[i])) events[told++] = events[i];
  }
  return found < 0 ? found : told;
}

constexpr KqueueEmulation kLibkqueue = {
    .create = []() noexcept { return Queues::Get().Create(); },
    .close = [](int queue) noexcept { return Queues::Get().Close(queue); },
    .events = &Events,
};

}  // namespace

void UseLibkqueue() noexcept {
  internal::kqueue_emulation.store(&kLibkqueue, plait::internal::kRelease);
}

}  // namespace plait::sys
