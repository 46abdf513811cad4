// kqueue(2), or what stands in for it on Linux.

#include <errno.h>
#include <unistd.h>

#include "plait/io/system/system_calls.h"
#ifdef __linux__
#include <sys/epoll.h>
#else
#include <sys/types.h>
// They need the one before.
#include <sys/event.h>
#include <sys/stat.h>
#include <time.h>
#endif

namespace plait::sys {

#ifdef __linux__

int SystemCalls::Kqueue() noexcept {
  const auto* emulation = internal::kqueue_emulation.load(plait::internal::kAcquire);
  return emulation == nullptr ? -ENOSYS : emulation->create();
}
int SystemCalls::CloseKqueue(int queue) noexcept {
  const auto* emulation = internal::kqueue_emulation.load(plait::internal::kAcquire);
  return emulation == nullptr ? -ENOSYS : emulation->close(queue);
}
int SystemCalls::KqueueEvents(int queue, const struct kevent* changes, int change_count,
                              struct kevent* events, int event_count,
                              const timespec* timeout) noexcept {
  const auto* emulation = internal::kqueue_emulation.load(plait::internal::kAcquire);
  if (emulation == nullptr) return -ENOSYS;
  return emulation->events(queue, changes, change_count, events, event_count, timeout);
}
int SystemCalls::AlwaysReady(int fd) noexcept {
  // Only epoll itself knows.
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) return -errno;
  epoll_event event{};
  const int added = ::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
  ::close(epoll);
  return added == -EPERM ? 1 : added;
}

#else

int SystemCalls::Kqueue() noexcept {
  const int queue = ::kqueue();
  return queue < 0 ? -errno : queue;
}
int SystemCalls::CloseKqueue(int queue) noexcept { return Close(queue); }
int SystemCalls::KqueueEvents(int queue, const struct kevent* changes, int change_count,
                              struct kevent* events, int event_count,
                              const timespec* timeout) noexcept {
  const int count = ::kevent(queue, changes, change_count, events, event_count, timeout);
  return count < 0 ? -errno : count;
}
int SystemCalls::AlwaysReady(int fd) noexcept {
  struct stat status;
  if (::fstat(fd, &status) < 0) return -errno;
  const auto kind = status.st_mode & S_IFMT;
  return kind == S_IFREG || kind == S_IFDIR || kind == S_IFBLK ? 1 : 0;
}

#endif

}  // namespace plait::sys
