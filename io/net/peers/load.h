// What the load generator's modes share: what was asked for, the way to the server, and the clock.
//
// Neutral: plain sockets and epoll on one thread, nothing of Plait, the same for every server.
#ifndef PLAIT_IO_NET_PEERS_LOAD_H_
#define PLAIT_IO_NET_PEERS_LOAD_H_

#include <array>
#include <cstdint>

#include "plait/io/net/peers/histogram.h"

namespace peers {

struct Load {
  int64_t port = 0;
  int64_t connections = 1;
  int64_t size = 64;        // bytes a message
  int64_t in_flight = 1;    // messages a connection that were sent and have not come back
  int64_t seconds = 3;      // measured
  int64_t warmup_ms = 500;  // before that
  int64_t requests = 0;     // not 0: ends after so many, without a warm-up, instead of `seconds`
  int64_t spin = 0;         // 1: never sleeps, so that only the server's wake-ups are measured
  int64_t server_pid = 0;   // not 0: the process whose CPU time is measured
};

// Message after message over each connection, in_flight at a time. Prints requests_per_second,
// the latency's p50_us, p99_us and p999_us, and with a server_pid server_cpu_us_per_request.
void RunEcho(const Load& load);
// Connects, echoes one message and closes, over and over, on `connections` at a time. Prints
// the same of that, a request being all three.
void RunAccept(const Load& load);
// Opens all connections, echoes a message over each, prints "holding N connections" and holds them
// until standard input ends.
void RunIdle(const Load& load);

// Nanoseconds, monotonic.
int64_t NowNanos();

// Nanoseconds that a process has run, all its threads together; -1 without a process.
int64_t CpuNanos(int64_t pid);

// A socket that connects, or has connected, to the server: non-blocking or blocking. A thousand
// ports of each of many loopback addresses, so that connections that are closed, and block their
// port for a minute, never exhaust them.
int ConnectTo(uint16_t port, bool blocking);

// What every connection sends: bytes that do not repeat for 64 KiB, so that an echo that is late,
// torn or another's is seen.
class Pattern {
 public:
  Pattern();
  // At least kRun bytes of what is at `position` in the stream.
  const char* At(uint64_t position) const { return bytes_.data() + position % kPeriod; }
  static constexpr uint64_t kRun = 64 * 1024;

 private:
  static constexpr uint64_t kPeriod = 64 * 1024;
  std::array<char, kPeriod + kRun> bytes_;
};

// Says when a run is over, and what it measured: asked after each turn of its loop.
class Measurement {
 public:
  explicit Measurement(const Load& load);

  // `done`: how many requests were, in all. True when it is time to end. Once, when the warm-up is
  // over, begins to measure and empties `latency`.
  bool Over(int64_t done, Histogram& latency);
  // Once Over was true: what RunEcho and RunAccept print.
  void Print(const Histogram& latency) const;
  // For epoll_wait.
  int timeout_ms() const { return load_.spin != 0 ? 0 : 100; }

 private:
  void Begin(int64_t now);

  const Load load_;
  const int64_t made_;
  bool begun_ = false;
  int64_t began_ = 0;      // when, and
  int64_t cpu_began_ = 0;  // how long the server had run
  int64_t last_done_ = 0;
  int64_t last_progress_;
};

}  // namespace peers

#endif  // PLAIT_IO_NET_PEERS_LOAD_H_
