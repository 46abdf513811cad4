#include <poll.h>
#include <unistd.h>

#include <vector>

#include "plait/io/net/peers/load.h"
#include "plait/io/net/peers/peer.h"

namespace peers {
namespace {

// One message there and back, so that the server has certainly taken the connection and waits on it
// as it does between two requests.
void EchoOnce(int fd, const Pattern& pattern, size_t size) {
  const char* const message = pattern.At(0);
  for (size_t sent = 0; sent < size;) {
    sent += static_cast<size_t>(
        Check(static_cast<int>(send(fd, message + sent, size - sent, MSG_NOSIGNAL)), "send"));
  }
  std::vector<char> answer(size);
  for (size_t received = 0; received < size;) {
    const int count =
        Check(static_cast<int>(recv(fd, answer.data() + received, size - received, 0)), "recv");
    if (count == 0) Die("the server has closed a connection");
    received += static_cast<size_t>(count);
  }
  if (std::memcmp(answer.data(), message, size) != 0) {
    Die("the server sent other bytes than it was sent");
  }
}

}  // namespace

void RunIdle(const Load& load) {
  if (static_cast<uint64_t>(load.size) > Pattern::kRun)
    Die("in this mode --size is 64 KiB at most");
  const Pattern pattern;
  for (int64_t i = 0; i < load.connections; ++i) {
    EchoOnce(ConnectTo(static_cast<uint16_t>(load.port), /*blocking=*/true), pattern,
             static_cast<size_t>(load.size));
  }
  std::printf("holding %lld connections\n", static_cast<long long>(load.connections));
  std::fflush(stdout);
  char ignored[256];
  while (read(STDIN_FILENO, ignored, sizeof(ignored)) > 0) {
  }
}

}  // namespace peers
