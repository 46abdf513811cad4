#include "plait/runtime/testing/sockets.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "plait/runtime/core/check.h"

namespace plait {
namespace {

int Checked(int result, const char* what) {
  PLAIT_CHECK(result >= 0, absl::StrCat(what, ": ", strerror(errno)));
  return result;
}

// For the duration of one call.
class NonBlocking {
 public:
  explicit NonBlocking(int fd) : fd_(fd), flags_(Checked(::fcntl(fd, F_GETFL), "fcntl")) {
    Checked(::fcntl(fd, F_SETFL, flags_ | O_NONBLOCK), "fcntl");
  }
  ~NonBlocking() { Checked(::fcntl(fd_, F_SETFL, flags_), "fcntl"); }

 private:
  int fd_;
  int flags_;
};

TcpListener BindToLoopback() {
  TcpListener bound;
  bound.fd = MakeTcpSocket();
  bound.address.sin_family = AF_INET;
  bound.address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(bound.address);
  Checked(::bind(bound.fd.get(), bound.name(), size), "bind");
  Checked(::getsockname(bound.fd.get(), reinterpret_cast<sockaddr*>(&bound.address), &size),
          "getsockname");
  return bound;
}

}  // namespace

void OwnedFd::Reset() {
  if (fd_ >= 0) ::close(Release());
}

FdPair MakeSocketPair(int type) {
  int fds[2];
  Checked(::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds), "socketpair");
  return {OwnedFd(fds[0]), OwnedFd(fds[1])};
}

FdPair MakePipe() {
  int fds[2];
  Checked(::pipe2(fds, O_CLOEXEC), "pipe2");
  return {OwnedFd(fds[0]), OwnedFd(fds[1])};
}

FdPair MakeTcpPair() {
  TcpListener listener = MakeTcpListener();
  OwnedFd client = MakeTcpSocket();
  Checked(::connect(client.get(), listener.name(), sizeof(listener.address)), "connect");
  OwnedFd server(Checked(::accept4(listener.fd.get(), nullptr, nullptr, SOCK_CLOEXEC), "accept"));
  return {std::move(client), std::move(server)};
}

OwnedFd MakeTcpSocket() {
  return OwnedFd(Checked(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
}

TcpListener MakeTcpListener(int backlog) {
  TcpListener listener = BindToLoopback();
  Checked(::listen(listener.fd.get(), backlog), "listen");
  return listener;
}

TcpListener MakeRefusingPort() { return BindToLoopback(); }

FullListener MakeFullListener() {
  FullListener full;
  full.listener = MakeTcpListener(/*backlog=*/0);
  for (;;) {
    OwnedFd client(
        Checked(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket"));
    const int result = ::connect(client.get(), full.listener.name(), sizeof(sockaddr_in));
    const bool stuck = result < 0 && errno == EINPROGRESS;
    full.queued.push_back(std::move(client));
    if (stuck) return full;
    PLAIT_CHECK(result == 0, "connecting to a listener with room failed");
  }
}

UnixListener MakeUnixListener(int backlog) {
  UnixListener listener;
  listener.fd = MakeUnixSocket();
  // Of no length but the family's: the system chooses a name.
  listener.address.sun_family = AF_UNIX;
  Checked(::bind(listener.fd.get(), listener.name(), sizeof(sa_family_t)), "bind");
  listener.size = sizeof(listener.address);
  Checked(::getsockname(listener.fd.get(), reinterpret_cast<sockaddr*>(&listener.address),
                        &listener.size),
          "getsockname");
  Checked(::listen(listener.fd.get(), backlog), "listen");
  return listener;
}

OwnedFd MakeUnixSocket() {
  return OwnedFd(Checked(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
}

OwnedFd MakeConnection(const sockaddr* address, socklen_t size) {
  OwnedFd client(Checked(::socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
  Checked(::connect(client.get(), address, size), "connect");
  return client;
}

OwnedFd MakeFile(absl::string_view content) {
  // On a file system: memfd_create's and /tmp's answer to epoll is the same, "always ready".
  const char* const folder = ::getenv("TEST_TMPDIR");
  OwnedFd file(Checked(
      ::open(folder == nullptr ? "/tmp" : folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600), "open"));
  WriteAll(file.get(), content);
  Checked(static_cast<int>(::lseek(file.get(), 0, SEEK_SET)), "lseek");
  return file;
}

std::string FileContent(int fd) {
  std::string content(static_cast<size_t>(::lseek(fd, 0, SEEK_END)), '\0');
  const ssize_t size = ::pread(fd, content.data(), content.size(), 0);
  PLAIT_CHECK(size == static_cast<ssize_t>(content.size()), "pread came back short");
  return content;
}

void WriteAll(int fd, absl::string_view data) {
  while (!data.empty()) {
    const ssize_t written = ::write(fd, data.data(), data.size());
    if (written < 0 && errno == EINTR) continue;
    Checked(static_cast<int>(written), "write");
    data.remove_prefix(static_cast<size_t>(written));
  }
}

std::string ReadExactly(int fd, size_t size) {
  std::string data;
  while (data.size() < size) {
    char part[64 * 1024];
    const ssize_t count = ::read(fd, part, std::min(sizeof(part), size - data.size()));
    if (count < 0 && errno == EINTR) continue;
    Checked(static_cast<int>(count), "read");
    if (count == 0) break;
    data.append(part, static_cast<size_t>(count));
  }
  return data;
}

size_t FillUp(int fd) {
  const NonBlocking scope(fd);
  const std::string block(4096, 'f');
  size_t total = 0;
  // Until not even a byte fits.
  for (size_t size = block.size(); size > 0;) {
    const ssize_t written = ::write(fd, block.data(), size);
    if (written > 0) {
      total += static_cast<size_t>(written);
    } else {
      PLAIT_CHECK(errno == EAGAIN || errno == EINTR, strerror(errno));
      if (errno == EAGAIN) size /= 2;
    }
  }
  return total;
}

std::string Drain(int fd) {
  const NonBlocking scope(fd);
  std::string data;
  for (;;) {
    char part[64 * 1024];
    const ssize_t count = ::read(fd, part, sizeof(part));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return data;
    data.append(part, static_cast<size_t>(count));
  }
}

void SetBufferSizes(int fd, int bytes) {
  Checked(::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)), "setsockopt");
  Checked(::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)), "setsockopt");
}

void CloseWithReset(OwnedFd fd) {
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  Checked(::setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), "setsockopt");
}

int CountOpenDescriptors() {
  DIR* const folder = ::opendir("/proc/self/fd");
  PLAIT_CHECK(folder != nullptr, strerror(errno));
  int count = -1;  // the folder's own
  while (const dirent* const entry = ::readdir(folder)) count += entry->d_name[0] != '.' ? 1 : 0;
  ::closedir(folder);
  return count;
}

std::string Pattern(size_t size, unsigned seed) {
  std::string data(size, '\0');
  char* const bytes = data.data();
  // By words, as a byte at a time takes most of some tests under a sanitizer.
  uint64_t state = seed * uint64_t{2654435761} + 1;
  for (size_t at = 0; at < size; at += sizeof(state)) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    const uint64_t word = state ^ (state >> 32);
    std::memcpy(bytes + at, &word, std::min(sizeof(word), size - at));
  }
  return data;
}

}  // namespace plait
