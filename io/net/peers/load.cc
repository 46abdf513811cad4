#include "plait/io/net/peers/load.h"

#include <time.h>

#include <random>

#include "plait/io/net/peers/peer.h"

namespace peers {
namespace {

constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kPatience = 10 * kSecond;

int64_t ReadClock(clockid_t clock) {
  timespec time;
  Check(clock_gettime(clock, &time), "clock_gettime");
  return time.tv_sec * kSecond + time.tv_nsec;
}

}  // namespace

int64_t NowNanos() { return ReadClock(CLOCK_MONOTONIC); }

int64_t CpuNanos(int64_t pid) {
  if (pid == 0) return -1;
  clockid_t clock;
  errno = clock_getcpuclockid(static_cast<pid_t>(pid), &clock);
  Check(errno == 0 ? 0 : -1, "clock_getcpuclockid");
  return ReadClock(clock);
}

int ConnectTo(uint16_t port, bool blocking) {
  static uint32_t count = 0;
  const uint32_t source_host = INADDR_LOOPBACK + 1 + count++ % 250;
  const int type = SOCK_STREAM | SOCK_CLOEXEC | (blocking ? 0 : SOCK_NONBLOCK);
  const int fd = Check(socket(AF_INET, type, 0), "socket");
  const int on = 1;
  Check(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), "setsockopt");
  // The port is chosen by connect, which knows that only the pair of addresses must be unique.
  Check(setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)), "setsockopt");
  const sockaddr_in source = Loopback(source_host, 0);
  Check(bind(fd, reinterpret_cast<const sockaddr*>(&source), sizeof(source)), "bind");
  const sockaddr_in server = Loopback(INADDR_LOOPBACK, port);
  const int result = connect(fd, reinterpret_cast<const sockaddr*>(&server), sizeof(server));
  if (result != 0 && (blocking || errno != EINPROGRESS)) Check(result, "connect");
  return fd;
}

Pattern::Pattern() {
  std::minstd_rand generator(1);
  for (uint64_t i = 0; i < kPeriod; ++i) bytes_[i] = static_cast<char>(generator() >> 8);
  std::memcpy(bytes_.data() + kPeriod, bytes_.data(), kRun);
}

Measurement::Measurement(const Load& load) : load_(load), made_(NowNanos()), last_progress_(made_) {
  if (load_.requests > 0 || load_.warmup_ms == 0) Begin(made_);
}

void Measurement::Begin(int64_t now) {
  begun_ = true;
  began_ = now;
  cpu_began_ = CpuNanos(load_.server_pid);
}

bool Measurement::Over(int64_t done, Histogram& latency) {
  const int64_t now = NowNanos();
  if (done != last_done_) {
    last_done_ = done;
    last_progress_ = now;
  } else if (now - last_progress_ > kPatience) {
    Die("the server has answered nothing for 10 seconds");
  }
  if (load_.requests > 0) return done >= load_.requests;
  if (!begun_) {
    if (now - made_ < load_.warmup_ms * 1'000'000) return false;
    latency = Histogram();
    Begin(now);
  }
  return now - began_ >= load_.seconds * kSecond;
}

void Measurement::Print(const Histogram& latency) const {
  const auto requests = static_cast<double>(latency.count());
  const auto nanos = static_cast<double>(NowNanos() - began_);
  const auto micros = [&](double fraction) {
    return static_cast<double>(latency.Quantile(fraction)) / 1000;
  };
  std::printf("requests=%.0f requests_per_second=%.0f p50_us=%.1f p99_us=%.1f p999_us=%.1f",
              requests, requests * kSecond / nanos, micros(0.5), micros(0.99), micros(0.999));
  if (load_.server_pid != 0) {
    const auto cpu = static_cast<double>(CpuNanos(load_.server_pid) - cpu_began_);
    std::printf(" server_cpu_us_per_request=%.3f server_busy=%.3f", cpu / 1000 / requests,
                cpu / nanos);
  }
  std::printf("\n");
}

}  // namespace peers
