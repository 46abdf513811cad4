// Sockets, pipes and files for tests, made with plain system calls.
//
// Whatever fails here ends the test program: a test has nothing to say without its sockets.
#ifndef PLAIT_RUNTIME_TESTING_SOCKETS_H_
#define PLAIT_RUNTIME_TESTING_SOCKETS_H_

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace plait {

// A descriptor that is closed in the end. Close it through the reactor, and Release it here, when
// the number is to be used again while the reactor lives.
class OwnedFd {
 public:
  OwnedFd() = default;
  explicit OwnedFd(int fd) : fd_(fd) {}
  OwnedFd(OwnedFd&& other) noexcept : fd_(other.Release()) {}
  OwnedFd& operator=(OwnedFd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~OwnedFd() { Reset(); }

  int get() const { return fd_; }
  int Release() { return std::exchange(fd_, -1); }
  void Reset();

 private:
  int fd_ = -1;
};

struct FdPair {
  OwnedFd first;
  OwnedFd second;
};

// Two connected Unix stream sockets, blocking.
FdPair MakeSocketPair(int type = SOCK_STREAM);
// Its reading end first.
FdPair MakePipe();
// Two ends of a TCP connection over loopback, blocking.
FdPair MakeTcpPair();

struct TcpListener {
  OwnedFd fd;
  sockaddr_in address{};

  const sockaddr* name() const { return reinterpret_cast<const sockaddr*>(&address); }
};
// On a free port of 127.0.0.1.
TcpListener MakeTcpListener(int backlog = 128);
OwnedFd MakeTcpSocket();

// A port of 127.0.0.1 that refuses connections for as long as this lives: bound, and nobody
// listens.
TcpListener MakeRefusingPort();

// A listener whose queue is full: to connect to it takes until it accepts, as loopback drops the
// SYN.
struct FullListener {
  TcpListener listener;
  std::vector<OwnedFd> queued;
};
FullListener MakeFullListener();

// A Unix listener in the abstract namespace, which leaves no file behind.
struct UnixListener {
  OwnedFd fd;
  sockaddr_un address{};
  socklen_t size = 0;

  const sockaddr* name() const { return reinterpret_cast<const sockaddr*>(&address); }
};
UnixListener MakeUnixListener(int backlog = 128);
OwnedFd MakeUnixSocket();

// A connection to `address`, blocking: also to a listener that does not accept, while its queue has
// room.
OwnedFd MakeConnection(const sockaddr* address, socklen_t size);

// A file without a name, holding `content`, positioned at its start.
OwnedFd MakeFile(absl::string_view content);
std::string FileContent(int fd);

// Blocking, all of it; a peer's end of the conversation.
void WriteAll(int fd, absl::string_view data);
// Blocking: exactly `size` bytes, fewer at the end.
std::string ReadExactly(int fd, size_t size);
// Fills what can be written to `fd` without blocking; gives how many bytes went in.
size_t FillUp(int fd);
// Reads what is there, without blocking.
std::string Drain(int fd);

void SetBufferSizes(int fd, int bytes);
// Closes with a reset instead of an orderly end.
void CloseWithReset(OwnedFd fd);

// How many descriptors this process has open.
int CountOpenDescriptors();

// `size` bytes, different at every place, that a shift or a swap of parts changes.
std::string Pattern(size_t size, unsigned seed = 1);

}  // namespace plait

#endif  // PLAIT_RUNTIME_TESTING_SOCKETS_H_
