// What the tests of the Resolver share: every executor there is, and a server of their own.
#ifndef PLAIT_IO_DNS_RESOLVER_FIXTURE_H_
#define PLAIT_IO_DNS_RESOLVER_FIXTURE_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "plait/io/dns/resolver.h"
#include "plait/io/dns/testing/dns_message.h"
#include "plait/io/net/address.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_executors.h"
#include "plait/runtime/testing/dns_server.h"
#include "plait/schedulers/event_loop/event_loop.h"

namespace plait {

using Addresses = std::vector<SocketAddress>;
using Questions = std::vector<DnsServer::Question>;

class ResolverFixture : public IoTest {
 protected:
  // Whatever a test did, nothing is left with the kernel when no lookup is under way.
  ~ResolverFixture() override { ExpectNothingInFlight(); }

  // Of a pool only its end tells.
  void ExpectNothingInFlight() {
    if (!is_loop()) return;
    EXPECT_EQ(static_cast<EventLoop&>(executor()).io().in_flight(), 0u);
  }

  // Asks `server` only, knows no hosts and no search list, and takes a server that is slow for one
  // that will answer some time: what is to time out says so.
  static ResolverOptions Asking(const DnsServer& server) {
    ResolverOptions options;
    options.servers = {server.address()};
    options.timeout = absl::Minutes(10);
    options.hosts_file = "";
    options.search.emplace();
    return options;
  }
  static std::unique_ptr<Resolver> Make(ResolverOptions options) {
    absl::StatusOr<std::unique_ptr<Resolver>> resolver = Resolver::Create(std::move(options));
    EXPECT_TRUE(resolver.ok()) << resolver.status();
    return *std::move(resolver);
  }

  absl::StatusOr<Addresses> Resolve(Resolver& resolver, std::string host,
                                    ResolveOptions options = {}, uint16_t port = 0) {
    return BlockOn(executor(), resolver.Resolve(std::move(host), port, options));
  }
  absl::StatusOr<std::string> Reverse(Resolver& resolver, const SocketAddress& address) {
    return BlockOn(executor(), resolver.ReverseLookup(address));
  }

  static SocketAddress Ip(absl::string_view ip, int port = 0) {
    return *SocketAddress::ParseIp(ip, port);
  }

  // Lets the others run until `done`. A test whose other half never comes ends by its time limit.
  template <class Done>
  static Task<void> YieldUntil(Done done) {
    while (!done()) co_await Yield();
  }
};

// Takes note of the questions and gives no answer: the test does, when it likes. Any thread.
class HeldQuestions {
 public:
  DnsServer::Handler handler() {
    return [this](const DnsServer::Question& question) {
      const internal::SpinLockHolder hold(lock_);
      questions_.push_back(question);
      return std::vector<std::string>();
    };
  }
  Questions questions() {
    const internal::SpinLockHolder hold(lock_);
    return questions_;
  }
  size_t size() { return questions().size(); }

 private:
  internal::SpinLock lock_;
  Questions questions_;
};

}  // namespace plait

#endif  // PLAIT_IO_DNS_RESOLVER_FIXTURE_H_
