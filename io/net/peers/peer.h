// What the C++ servers here have in common: their command line, their listening socket and how they
// end.
//
// Each takes --port=N (0: any free one), prints "listening on PORT" as its first line, echoes what
// it receives on every connection, on one thread, and ends on SIGTERM or SIGINT. Nothing of Plait
// is used: these are what it is measured against.
#ifndef PLAIT_IO_NET_PEERS_PEER_H_
#define PLAIT_IO_NET_PEERS_PEER_H_

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace peers {

// One sentence on standard error, and the end.
[[noreturn]] inline void Die(const char* sentence) {
  std::fprintf(stderr, "%s: %s.\n", program_invocation_short_name, sentence);
  std::exit(2);
}

// For a system call that gave `result`: -1 with errno.
inline int Check(int result, const char* call) {
  if (result >= 0) return result;
  std::fprintf(stderr, "%s: %s: %s.\n", program_invocation_short_name, call, std::strerror(errno));
  std::exit(2);
}

// Whether `argument` is --name=N; then N is in `*value`.
inline bool ReadFlag(std::string_view argument, std::string_view name, int64_t* value) {
  if (!argument.starts_with("--")) return false;
  argument.remove_prefix(2);
  if (!argument.starts_with(name)) return false;
  argument.remove_prefix(name.size());
  if (!argument.starts_with('=')) return false;
  argument.remove_prefix(1);
  const char* const end = argument.data() + argument.size();
  const auto [rest, error] = std::from_chars(argument.data(), end, *value);
  if (error != std::errc() || rest != end || *value < 0) Die("a flag's value is not a number");
  return true;
}

// A server's only flag.
inline uint16_t PortFlag(int argc, char** argv) {
  int64_t port = 0;
  for (int i = 1; i < argc; ++i) {
    if (!ReadFlag(argv[i], "port", &port) || port > 65535) Die("the only flag is --port=N");
  }
  return static_cast<uint16_t>(port);
}

// As many descriptors as the system allows us.
inline uint64_t RaiseDescriptorLimit() {
  rlimit limit;
  Check(getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
  limit.rlim_cur = limit.rlim_max;
  Check(setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
  return limit.rlim_cur;
}

inline sockaddr_in Loopback(uint32_t host, uint16_t port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(host);
  address.sin_port = htons(port);
  return address;
}

inline uint16_t PortOf(int socket) {
  sockaddr_in address = {};
  socklen_t size = sizeof(address);
  Check(getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size), "getsockname");
  return ntohs(address.sin_port);
}

// A listening socket on the loopback interface. Connections inherit TCP_NODELAY.
inline int Listen(uint16_t port) {
  const int listener =
      Check(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket");
  const int on = 1;
  Check(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), "setsockopt");
  Check(setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), "setsockopt");
  const sockaddr_in address = Loopback(INADDR_LOOPBACK, port);
  Check(bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), "bind");
  Check(listen(listener, 4096), "listen");
  return listener;
}

// What a server does first: reads its command line, listens and says where.
inline int ListenAsTold(int argc, char** argv) {
  const int listener = Listen(PortFlag(argc, argv));
  std::printf("listening on %d\n", PortOf(listener));
  std::fflush(stdout);
  return listener;
}

}  // namespace peers

#endif  // PLAIT_IO_NET_PEERS_PEER_H_
