#include "plait/schedulers/process_pool/pool_system.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cstring>

namespace plait::internal::pool_system {
namespace {

// In one message.
constexpr size_t kMaxDescriptors = 16;

constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

constinit Atomic<bool> futexes_forbidden{false};

// Of a negative one nothing is used.
timespec TimeSpec(int64_t nanos) {
  constexpr int64_t kSecond = 1'000'000'000;
  timespec time = {};
  time.tv_sec = static_cast<time_t>(nanos / kSecond);
  time.tv_nsec = static_cast<long>(nanos % kSecond);
  return time;
}

}  // namespace

size_t PageSize() noexcept {
  static const size_t size = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  return size;
}

int CreateMemory(const char* name, size_t size) noexcept {
  const int fd = ::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return -errno;
  if (::ftruncate(fd, static_cast<off_t>(size)) != 0 || ::fcntl(fd, F_ADD_SEALS, kSeals) != 0) {
    const int error = errno;
    ::close(fd);
    return -error;
  }
  return fd;
}

int64_t MemorySize(int fd) noexcept {
  const int seals = ::fcntl(fd, F_GET_SEALS);
  if (seals < 0) return -errno;
  if ((seals & kSeals) != kSeals) return -EINVAL;
  struct stat status;
  if (::fstat(fd, &status) != 0) return -errno;
  return status.st_size;
}

int ReserveAddresses(size_t size, char** out) noexcept {
  void* const at =
      ::mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) return -errno;
  *out = static_cast<char*>(at);
  return 0;
}

int MapMemory(char* at, int fd, size_t offset, size_t size) noexcept {
  void* const mapped = ::mmap(at, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
                              static_cast<off_t>(offset));
  return mapped == MAP_FAILED ? -errno : 0;
}

void ReleaseAddresses(char* at, size_t size) noexcept { ::munmap(at, size); }

int PopulateMemory(char* at, size_t size) noexcept {
#ifdef MADV_POPULATE_WRITE
  while (::madvise(at, size, MADV_POPULATE_WRITE) != 0) {
    if (errno == EINTR || errno == EAGAIN) continue;
    return errno == EINVAL || errno == ENOSYS ? 0 : -errno;
  }
#else
  static_cast<void>(at), static_cast<void>(size);
#endif
  return 0;
}

void GiveBackMemory(char* at, size_t size) noexcept { ::madvise(at, size, MADV_REMOVE); }

void AdviseLargePages(char* at, size_t size, bool wanted) noexcept {
  const size_t page = PageSize();
  const size_t before = (page - reinterpret_cast<uintptr_t>(at) % page) % page;
  if (size < before + page) return;
  ::madvise(at + before, (size - before) / page * page, wanted ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
}

int FutexWait(Atomic<uint32_t>& word, uint32_t expected, int64_t timeout_ns) noexcept {
  if (futexes_forbidden.load(kRelaxed)) return -EPERM;
  const timespec timeout = TimeSpec(timeout_ns);
  const long result = ::syscall(SYS_futex, &word, FUTEX_WAIT, expected,
                                timeout_ns < 0 ? nullptr : &timeout, nullptr, 0);
  return result < 0 ? -errno : 0;
}

int FutexWake(Atomic<uint32_t>& word) noexcept {
  if (futexes_forbidden.load(kRelaxed)) return -EPERM;
  const long result = ::syscall(SYS_futex, &word, FUTEX_WAKE, 1, nullptr, nullptr, 0);
  return result < 0 ? -errno : static_cast<int>(result);
}

bool HasFutexes() noexcept {
  // Nobody waits there, and nobody would.
  static const bool has = [] {
    Atomic<uint32_t> word{0};
    return FutexWake(word) == 0 && FutexWait(word, 1, 0) == -EAGAIN;
  }();
  return has && !futexes_forbidden.load(kRelaxed);
}

void ForbidFutexesForTesting(bool forbid) noexcept { futexes_forbidden.store(forbid, kRelaxed); }

int CreateChannel(bool packets, int out[2]) noexcept {
  const int type = (packets ? SOCK_SEQPACKET : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK;
  int ends[2];
  if (::socketpair(AF_UNIX, type, 0, ends) < 0) return -errno;
  int error = 0;
  for (int i = 0; i < 2; ++i) {
    out[i] = ends[i];
    if (ends[i] > 2) continue;
    out[i] = ::fcntl(ends[i], F_DUPFD_CLOEXEC, 3);
    if (out[i] < 0) error = errno;
    ::close(ends[i]);
  }
  if (error == 0) return 0;
  for (int i = 0; i < 2; ++i) {
    if (out[i] >= 0) ::close(out[i]);
  }
  return -error;
}

int ChannelMaker(int fd) noexcept {
  ucred credentials;
  socklen_t size = sizeof credentials;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0) return -errno;
  return credentials.pid;
}

int64_t Send(int fd, const void* data, size_t size, absl::Span<const int> descriptors) noexcept {
  iovec part = {const_cast<void*>(data), size};  // sendmsg only reads it
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxDescriptors * sizeof(int))] = {};
  const size_t bytes = descriptors.size() * sizeof(int);
  if (descriptors.size() > kMaxDescriptors) return -EINVAL;
  if (!descriptors.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(bytes);
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(bytes);
    std::memcpy(CMSG_DATA(header), descriptors.data(), bytes);
  }
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent < 0 ? -errno : sent;
}

int64_t Receive(int fd, void* data, size_t size, std::vector<int>* descriptors) noexcept {
  iovec part = {data, size};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxDescriptors * sizeof(int))] = {};
  const size_t wanted = descriptors == nullptr ? 0 : descriptors->size();
  if (wanted > kMaxDescriptors) return -EINVAL;
  if (wanted != 0) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(wanted * sizeof(int));
  }
  ssize_t received = 0;
  do {
    received = ::recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (received < 0 && errno == EINTR);
  const int error = errno;
  if (descriptors != nullptr) descriptors->clear();
  if (received < 0) return -error;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    descriptors->resize(count);
    std::memcpy(descriptors->data(), CMSG_DATA(header), count * sizeof(int));
  }
  return received;
}

int WaitReadable(int fd, int64_t timeout_ns) noexcept {
  pollfd poll_fd = {.fd = fd, .events = POLLIN, .revents = 0};
  const timespec timeout = TimeSpec(timeout_ns);
  const int ready = ::ppoll(&poll_fd, 1, timeout_ns < 0 ? nullptr : &timeout, nullptr);
  return ready < 0 ? -errno : ready;
}

int EndSending(int fd) noexcept { return ::shutdown(fd, SHUT_WR) < 0 ? -errno : 0; }

int Duplicate(int fd) noexcept {
  const int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
  return copy < 0 ? -errno : copy;
}

int Close(int fd) noexcept { return ::close(fd) < 0 ? -errno : 0; }

}  // namespace plait::internal::pool_system
