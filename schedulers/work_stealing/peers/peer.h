// The main() of a peer: runs one workload of workloads.h, once to warm up and once to be timed, and
// prints a line as examples/fork_join does:
//
//   tbb workload=fib n=39 threads=2 seconds=1.234567 result=63245986 peak_mib=10.0
//
//   NAME fib|skynet|nqueens|matmul|channel N THREADS
//
// An answer that is wrong is exit status 1.
#ifndef PLAIT_SCHEDULERS_WORK_STEALING_PEERS_PEER_H_
#define PLAIT_SCHEDULERS_WORK_STEALING_PEERS_PEER_H_

#include <chrono>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string_view>

#include "plait/schedulers/work_stealing/peers/workloads.h"

namespace peers {

// How a peer does each; null where it does not: all that forks, or the channel.
struct Peer {
  const char* name;
  int64_t (*fib)(int n);
  int64_t (*skynet)(int64_t first, int levels);
  int64_t (*nqueens)(const Board& board, int row, int n);
  // C += A B for quarters of n x n.
  void (*matmul)(const int* a, const int* b, int* c, int n, int stride);
  int64_t (*channel)(int n, int threads);
  // Calls `body` where forks run on `threads` threads.
  void (*run_on)(int threads, const std::function<void()>& body);
};

inline int64_t RunWorkload(const Peer& peer, std::string_view workload, int n, int threads) {
  if (workload == "fib") return peer.fib(n);
  if (workload == "skynet") return peer.skynet(0, n);
  if (workload == "nqueens") return peer.nqueens({}, 0, n);
  if (workload == "channel") return peer.channel(n, threads);
  // As in the comparison, it begins with the memory.
  Matrices m(n);
  peer.matmul(m.a.data(), m.b.data(), m.c.data(), n, n);
  return m.Check();
}

inline int64_t Answer(std::string_view workload, int n) {
  if (workload == "fib") return FibAnswer(n);
  if (workload == "skynet") return SkynetAnswer(n);
  if (workload == "nqueens") return NQueensAnswer(n);
  return workload == "channel" ? ChannelAnswer(n) : MatmulAnswer(n);
}

inline int PeerMain(const Peer& peer, int argc, char** argv) {
  const std::string_view workload = argc > 1 ? argv[1] : "";
  const int n = argc > 2 ? std::atoi(argv[2]) : 0;
  const int threads = argc > 3 ? std::atoi(argv[3]) : 0;
  const bool forks = peer.fib != nullptr;
  const bool known =
      (forks && (workload == "fib" || workload == "skynet" || workload == "nqueens")) ||
      (workload == "channel" && peer.channel != nullptr) ||
      (forks && workload == "matmul" && (n & (n - 1)) == 0);
  if (argc != 4 || !known || n < 1 || threads < 1) {
    std::fprintf(stderr, "usage: %s fib|skynet|nqueens|matmul|channel N THREADS\n", argv[0]);
    return 2;
  }
  int64_t result = -1;
  double seconds = 0;
  peer.run_on(threads, [&] {
    // The comparison warms up with all of it, fib with less.
    RunWorkload(peer, workload, workload == "fib" && n > 30 ? 30 : n, threads);
    const auto start = std::chrono::steady_clock::now();
    result = RunWorkload(peer, workload, n, threads);
    seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  });
  std::printf("%s workload=%s n=%d threads=%d seconds=%.6f result=%" PRId64 " peak_mib=%.1f\n",
              peer.name, argv[1], n, threads, seconds, result, PeakMib());
  return result == Answer(workload, n) ? 0 : 1;
}

}  // namespace peers

#endif  // PLAIT_SCHEDULERS_WORK_STEALING_PEERS_PEER_H_
