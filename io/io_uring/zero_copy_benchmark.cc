// From how many bytes on does sending without a copy pay (IoUringOptions::zero_copy_bytes)?
//
// The processor's time of one send, which ends when the memory is the sender's again: by a copy at
// once, without one when the kernel has told that it needs the memory no more. What the device does
// is not measured, and the receiver is none: bytes of the stream are thrown away unread.
//
// Over loopback the kernel copies also what is sent without a copy, as the receiver must not see
// memory that changes, so there it can only be dearer, at any size: what the streams here show is
// the price of asking for it in vain, which the reactor pays once a connection. Where the threshold
// lies shows a device that takes the memory as it is: have the datagrams leave through one that
// throws them away, as root:
//
//   ip link add plait0 mtu 65535 up type ifb && ip addr add 10.9.9.1/24 dev plait0
//   PLAIT_ZERO_COPY_TO=10.9.9.2:9 bazel run -c opt //io/io_uring:zero_copy_benchmark
//
// Each result says whether the kernel copied. What it showed (Linux 6.18 on a virtual machine of
// 2.1 GHz; ns of a send, and what it takes without a copy as a ratio of that):
//
//   datagrams, KiB               8     16     24     32     40     48     56
//     through ifb, copied    3,112  2,926  3,202  3,396  4,018  4,016  4,044
//     without a copy          0.98   1.06   1.00   0.96   0.82   0.84   0.87
//     through veth, copied   3,798  3,650  3,881  4,026  4,452  4,547  4,624
//     without a copy          0.95   1.01   0.95   0.95   0.86   0.85   0.85
//   a stream over loopback       4     16     64    256  1,024
//     copied                 6,196  6,692  9,203 16,825 69,947
//     asked for in vain       1.37   1.44   1.51   1.72   1.97
#include <arpa/inet.h>
#include <liburing.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "benchmark/benchmark.h"
#include "plait/io/io_uring/benchmark_ring.h"
#include "plait/io/io_uring/ring.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/testing/sockets.h"

namespace plait {
namespace {

using internal::BenchmarkRing;

enum class How { kCopying, kWithoutCopy };

// Sends all of `data`, piece by piece; `taken(count)` is called for each, before its memory is
// free. Whether the kernel copied.
template <class Taken>
bool Send(BenchmarkRing& ring, int fd, absl::string_view data, How how, Taken taken) {
  bool copied = how == How::kCopying;
  while (!data.empty()) {
    io_uring_sqe& entry = ring.Next();
    if (how == How::kCopying) {
      io_uring_prep_send(&entry, fd, data.data(), data.size(), MSG_NOSIGNAL);
    } else {
      io_uring_prep_send_zc(&entry, fd, data.data(), data.size(), MSG_NOSIGNAL,
                            internal::kSendZeroCopyReportUsage);
    }
    int32_t sent = 0;
    bool is_free = false;
    const auto handle = [&](const io_uring_cqe& completion) {
      if ((completion.flags & IORING_CQE_F_NOTIF) != 0) {
        is_free = true;
        copied = (static_cast<unsigned>(completion.res) & internal::kNotificationCopied) != 0;
      } else {
        is_free = (completion.flags & IORING_CQE_F_MORE) == 0;
        sent = completion.res;
      }
    };
    ring.SubmitAndWait(1, handle);
    PLAIT_CHECK(sent > 0, "a send failed");
    taken(sent);
    if (!is_free) ring.SubmitAndWait(1, handle);
    data.remove_prefix(static_cast<size_t>(sent));
  }
  return copied;
}

void SayWhether(benchmark::State& state, bool copied) {
  state.SetBytesProcessed(state.iterations() * state.range(0) * 1024);
  state.SetLabel(copied ? "copied" : "not copied");
}

void BM_StreamOverLoopback(benchmark::State& state, How how) {
  BenchmarkRing ring(state);
  if (!ring.works()) return;
  const FdPair pair = MakeTcpPair();
  const std::string data(static_cast<size_t>(state.range(0)) * 1024, 'x');
  bool copied = false;
  for (auto _ : state) {
    copied = Send(ring, pair.first.get(), data, how, [&](int32_t count) {
      // Thrown away in the kernel.
      while (count > 0) {
        const ssize_t gone =
            ::recv(pair.second.get(), nullptr, static_cast<size_t>(count), MSG_TRUNC);
        PLAIT_CHECK(gone > 0, "recv failed");
        count -= static_cast<int32_t>(gone);
      }
    });
  }
  SayWhether(state, copied);
}

// Where PLAIT_ZERO_COPY_TO says, or a socket over loopback that nobody reads from.
sockaddr_in Destination(const OwnedFd& unread) {
  sockaddr_in address{};
  socklen_t size = sizeof(address);
  const char* const given = ::getenv("PLAIT_ZERO_COPY_TO");
  if (given == nullptr) {
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    PLAIT_CHECK(::bind(unread.get(), reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                    ::getsockname(unread.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0,
                "no address to bind to");
    return address;
  }
  char ip[16] = "";
  uint16_t port = 0;
  PLAIT_CHECK(::sscanf(given, "%15[0-9.]:%hu", ip, &port) == 2 &&
                  ::inet_pton(AF_INET, ip, &address.sin_addr) == 1,
              "PLAIT_ZERO_COPY_TO is no IPv4 address with a port");
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  return address;
}

void BM_Datagram(benchmark::State& state, How how) {
  BenchmarkRing ring(state);
  if (!ring.works()) return;
  const OwnedFd unread(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const OwnedFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const sockaddr_in to = Destination(unread);
  PLAIT_CHECK(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&to), sizeof(to)) == 0,
              "connect failed");
  const std::string data(static_cast<size_t>(state.range(0)) * 1024, 'x');
  bool copied = false;
  for (auto _ : state) copied = Send(ring, socket.get(), data, how, [](int32_t) {});
  SayWhether(state, copied);
}

BENCHMARK_CAPTURE(BM_StreamOverLoopback, copying, How::kCopying)
    ->RangeMultiplier(4)
    ->Range(4, 1024);
BENCHMARK_CAPTURE(BM_StreamOverLoopback, without_copy, How::kWithoutCopy)
    ->RangeMultiplier(4)
    ->Range(4, 1024);
BENCHMARK_CAPTURE(BM_Datagram, copying, How::kCopying)->DenseRange(8, 56, 8);
BENCHMARK_CAPTURE(BM_Datagram, without_copy, How::kWithoutCopy)->DenseRange(8, 56, 8);

}  // namespace
}  // namespace plait
