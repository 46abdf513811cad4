#include "plait/io/kqueue/kqueue_reactor.h"

#include <errno.h>
#include <sys/types.h>
// It needs the one before.
#include <sys/event.h>
#include <time.h>

#include <cstdint>

#include "plait/io/reactor/failed_wait.h"
#include "plait/io/readiness/readiness_reactor.h"
#include "plait/io/system/errno_status.h"
#include "plait/io/system/system_calls.h"
#ifdef __linux__
#include "plait/io/system/libkqueue.h"
#endif

namespace plait {
namespace {

// Of the one event that is no descriptor's.
constexpr uintptr_t kWakeIdent = 0;

struct kevent MakeChange(uintptr_t ident, int filter, int flags, unsigned what = 0,
                         uint16_t generation = 0) noexcept {
  struct kevent change;
  EV_SET(&change, ident, static_cast<short>(filter), static_cast<unsigned short>(flags), what, 0,
         reinterpret_cast<void*>(uintptr_t{generation}));
  return change;
}

class KqueueReactor final : public ReadinessReactor {
 public:
  KqueueReactor(int queue, Executor* blocking) : ReadinessReactor(blocking), queue_(queue) {}
  ~KqueueReactor() override {
    Retire();
    sys::Calls().CloseKqueue(queue_);
  }

  absl::string_view name() const override { return "kqueue"; }
  void Wake() noexcept override {
    const struct kevent trigger = MakeChange(kWakeIdent, EVFILT_USER, 0, NOTE_TRIGGER);
    internal::WakeBy([&]() noexcept {
      return sys::Calls().KqueueEvents(queue_, &trigger, 1, nullptr, 0, nullptr);
    });
  }

 private:
  int Watch(int fd, bool socket, uint16_t generation) noexcept override {
    if (!socket) {
      const int always = sys::Calls().AlwaysReady(fd);
      if (always != 0) return always < 0 ? always : -EPERM;
    }
    const int error = ChangeBoth(fd, EV_ADD | EV_CLEAR, generation);
    if (error == 0) return 0;
    Unwatch(fd);
    // Devices that kqueue has no filter for are used as files are.
    const bool no_filter = error == -EINVAL || error == -ENODEV || error == -EOPNOTSUPP;
    return no_filter ? -EPERM : error;
  }

  // libkqueue, unlike a system, keeps what is not taken out when the descriptor is closed, and then
  // takes the next one with its number for the same: so once more, should the call itself fail.
  void Unwatch(int fd) noexcept override {
    if (ChangeBoth(fd, EV_DELETE, 0) == -ENOMEM) ChangeBoth(fd, EV_DELETE, 0);
  }

  // The system does not say: it is added again.
  bool StillWatched(int /*fd*/, uint16_t /*generation*/) noexcept override { return false; }

  // In both filters, also if the first does not want it. The first error, or 0.
  int ChangeBoth(int fd, int flags, uint16_t generation) noexcept {
    const auto ident = static_cast<uintptr_t>(fd);
    // With a receipt for each, in the place of events that wait.
    const struct kevent changes[] = {
        MakeChange(ident, EVFILT_READ, flags | EV_RECEIPT, 0, generation),
        MakeChange(ident, EVFILT_WRITE, flags | EV_RECEIPT, 0, generation)};
    struct kevent receipts[2];
    const timespec no_wait{};
    int count = 0;
    do {  // the changes may have been made: to make them again does no harm
      count = sys::Calls().KqueueEvents(queue_, changes, 2, receipts, 2, &no_wait);
    } while (count == -EINTR);
    for (int i = 0; i < count; ++i) {
      const auto error = static_cast<int>(receipts[i].data);
      // A pipe whose other end is closed: whoever reads or writes finds out without an event.
      if (error != 0 && error != EPIPE) return -error;
    }
    return count < 0 ? count : 0;
  }

  int WaitForEvents(const timespec* timeout) noexcept override {
    // Some systems refuse long waits.
    constexpr timespec kLongest{.tv_sec = 24 * 60 * 60, .tv_nsec = 0};
    if (timeout != nullptr && timeout->tv_sec >= kLongest.tv_sec) timeout = &kLongest;
    struct kevent raw[kEventsPerWait];
    const int count = sys::Calls().KqueueEvents(queue_, nullptr, 0, raw, kEventsPerWait, timeout);
    for (int i = 0; i < count; ++i) {
      if (raw[i].filter == EVFILT_USER) continue;
      const bool readable = raw[i].filter == EVFILT_READ;
      // The system's place for a word of ours is a pointer; the generation went in there as one.
      Handle({.fd = static_cast<int>(raw[i].ident),
              .generation = static_cast<uint16_t>(reinterpret_cast<uintptr_t>(raw[i].udata)),
              .readable = readable,
              .writable = !readable,
              .readable_bytes = readable ? static_cast<int64_t>(raw[i].data) : 0,
              .broken = (raw[i].flags & EV_EOF) != 0});
    }
    return count < 0 ? count : 0;
  }

  const int queue_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Reactor>> MakeKqueueReactor(KqueueOptions options) {
#ifdef __linux__
  sys::UseLibkqueue();
#endif
  sys::SystemCalls& calls = sys::Calls();
  const int queue = calls.Kqueue();
  if (queue < 0) return ErrnoToStatus(queue, "kqueue reactor: kqueue");
  const struct kevent wake = MakeChange(kWakeIdent, EVFILT_USER, EV_ADD | EV_CLEAR);
  int added = 0;
  do {
    added = calls.KqueueEvents(queue, &wake, 1, nullptr, 0, nullptr);
  } while (added == -EINTR);
  if (added < 0) {
    calls.CloseKqueue(queue);
    return ErrnoToStatus(added, "kqueue reactor: kevent");
  }
  return std::make_unique<KqueueReactor>(queue, options.blocking);
}

std::function<absl::StatusOr<std::unique_ptr<Reactor>>()> KqueueReactorFactory(
    KqueueOptions options) {
  return [options] { return MakeKqueueReactor(options); };
}

}  // namespace plait
