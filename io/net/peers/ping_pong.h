// The ping-pong of tzcnt/runtime-benchmarks (io_socket_st): 20 connections send 100,000 requests in
// all, each after the answer to the last, to a server that answers with a line of HTTP. Server and
// client have a thread each, and are of one make. Each program prints `seconds`, and of both sides
// together `cpu_us_per_request` and `peak_mib`, the most memory that it had.
#ifndef PLAIT_IO_NET_PEERS_PING_PONG_H_
#define PLAIT_IO_NET_PEERS_PING_PONG_H_

#include <sys/resource.h>
#include <time.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>

namespace peers {

inline constexpr int kConnections = 20;
inline constexpr int kRequests = 100'000;
inline constexpr int kRequestsEach = kRequests / kConnections;

inline constexpr std::string_view kRequest =
    "HEAD / HTTP/1.1\r\nHost: host:port\r\nConnection: close\r\n\r\n";
inline constexpr std::string_view kResponse =
    "HTTP/1.1 200 OK\nContent-Length: 12\nContent-Type: text/plain; charset=utf-8\n\nHello World!";

// Made when the server listens; Print when the last connection is closed.
class PingPongTimer {
 public:
  void Print() const {
    const double seconds = Seconds() - began_;
    rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    const double cpu = Seconds(usage.ru_utime) + Seconds(usage.ru_stime);
    std::printf("seconds=%.4f cpu_us_per_request=%.3f peak_mib=%.1f\n", seconds,
                cpu * 1e6 / kRequests, PeakMib());
  }

 private:
  static double Seconds() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
  }
  // ru_maxrss has also what whoever started this had.
  static double PeakMib() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
      if (line.rfind("VmHWM:", 0) == 0) return std::strtod(line.c_str() + 6, nullptr) / 1024;
    }
    return 0;
  }
  static double Seconds(const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  }

  const double began_ = Seconds();
};

}  // namespace peers

#endif  // PLAIT_IO_NET_PEERS_PING_PONG_H_
