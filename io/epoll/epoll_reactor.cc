#include "plait/io/epoll/epoll_reactor.h"

#include <sys/epoll.h>

#include <cstdint>

#include "plait/io/reactor/failed_wait.h"
#include "plait/io/readiness/readiness_reactor.h"
#include "plait/io/system/errno_status.h"
#include "plait/io/system/system_calls.h"

namespace plait {
namespace {

class EpollReactor final : public ReadinessReactor {
 public:
  EpollReactor(int epoll, int wake, Executor* blocking)
      : ReadinessReactor(blocking), epoll_(epoll), wake_(wake) {}
  ~EpollReactor() override {
    Retire();
    sys::Calls().Close(wake_);
    sys::Calls().Close(epoll_);
  }

  absl::string_view name() const override { return "epoll"; }
  void Wake() noexcept override { internal::SignalWake(wake_); }

 private:
  int Control(int what, int fd, uint16_t generation) noexcept {
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP | EPOLLET;
    event.data.u64 = (uint64_t{generation} << 32) | static_cast<uint32_t>(fd);
    return sys::Calls().EpollControl(epoll_, what, fd, &event);
  }

  int Watch(int fd, bool /*socket*/, uint16_t generation) noexcept override {
    return Control(EPOLL_CTL_ADD, fd, generation);
  }

  void Unwatch(int fd) noexcept override {
    epoll_event event{};
    sys::Calls().EpollControl(epoll_, EPOLL_CTL_DEL, fd, &event);
  }

  // The system knows it by the number and the file behind that.
  bool StillWatched(int fd, uint16_t generation) noexcept override {
    return Control(EPOLL_CTL_MOD, fd, generation) == 0;
  }

  int WaitForEvents(const timespec* timeout) noexcept override {
    epoll_event raw[kEventsPerWait];
    const int count = sys::Calls().EpollWait(epoll_, raw, kEventsPerWait, timeout);
    for (int i = 0; i < count; ++i) {
      const auto fd = static_cast<int>(static_cast<uint32_t>(raw[i].data.u64));
      // Edge-triggered: each write to it is a new event, so it is never read.
      if (fd == wake_) continue;
      const uint32_t bits = raw[i].events;
      Handle({.fd = fd,
              .generation = static_cast<uint16_t>(raw[i].data.u64 >> 32),
              .readable = (bits & EPOLLIN) != 0,
              .writable = (bits & EPOLLOUT) != 0,
              .urgent = (bits & EPOLLPRI) != 0,
              .broken = (bits & (EPOLLERR | EPOLLHUP | EPOLLRDHUP)) != 0});
    }
    return count < 0 ? count : 0;
  }

  const int epoll_;
  const int wake_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Reactor>> MakeEpollReactor(EpollOptions options) {
  sys::SystemCalls& calls = sys::Calls();
  const int epoll = calls.EpollCreate();
  if (epoll < 0) return ErrnoToStatus(epoll, "epoll reactor: epoll_create1");
  const int wake = calls.EventFd();
  if (wake < 0) {
    calls.Close(epoll);
    return ErrnoToStatus(wake, "epoll reactor: eventfd");
  }
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  event.data.u64 = static_cast<uint32_t>(wake);
  const int added = calls.EpollControl(epoll, EPOLL_CTL_ADD, wake, &event);
  if (added < 0) {
    calls.Close(wake);
    calls.Close(epoll);
    return ErrnoToStatus(added, "epoll reactor: epoll_ctl");
  }
  return std::make_unique<EpollReactor>(epoll, wake, options.blocking);
}

std::function<absl::StatusOr<std::unique_ptr<Reactor>>()> EpollReactorFactory(
    EpollOptions options) {
  return [options] { return MakeEpollReactor(options); };
}

}  // namespace plait
