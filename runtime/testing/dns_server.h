// DnsServer: a DNS server of the test's own on 127.0.0.1, over UDP and TCP, that answers what the
// test says.
//
//   DnsServer server([&](const DnsServer::Question& question) {
//     return std::vector<std::string>{zone.Answer(question)};
//   });
//   options.servers = {server.address()};
//
// It runs on a thread of its own and makes plain system calls, so that neither the loop under test
// nor its faults have anything to do with it.
#ifndef PLAIT_RUNTIME_TESTING_DNS_SERVER_H_
#define PLAIT_RUNTIME_TESTING_DNS_SERVER_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "plait/io/dns/testing/dns_message.h"
#include "plait/io/net/address.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/testing/sockets.h"

namespace plait {

class DnsServer {
 public:
  struct Question : DnsQuestion {
    bool tcp = false;
    SocketAddress peer;  // who asks
  };
  // On the server's thread. Gives the packets to send back at once: none, one, or several.
  using Handler = std::function<std::vector<std::string>(const Question& question)>;

  explicit DnsServer(Handler handler);
  DnsServer(const DnsServer&) = delete;
  DnsServer& operator=(const DnsServer&) = delete;
  ~DnsServer();

  // Where it listens, over UDP and TCP.
  const SocketAddress& address() const { return address_; }

  // What has been asked so far, and how much of it over TCP: counted before the handler is called.
  int questions() const { return questions_.load(internal::kAcquire); }
  int tcp_questions() const { return tcp_questions_.load(internal::kAcquire); }

  // Any thread: sends a packet over UDP, as a late answer.
  void Send(const SocketAddress& peer, absl::string_view packet);

 private:
  struct Connection {
    OwnedFd fd;
    std::string received;
  };

  void Serve();
  void ServeUdp();
  // False when it has ended.
  bool ServeConnection(Connection& connection);

  const Handler handler_;
  OwnedFd udp_;
  OwnedFd tcp_;
  FdPair stop_;
  SocketAddress address_;
  internal::Atomic<int> questions_{0};
  internal::Atomic<int> tcp_questions_{0};
  Thread thread_;
};

}  // namespace plait

#endif  // PLAIT_RUNTIME_TESTING_DNS_SERVER_H_
