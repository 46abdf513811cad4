// Every system call that a lookup makes, failing at every place and in every way that its manual
// page lists, on every executor: see io/system/fault_matrix.h. The server behaves.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/io/dns/resolver.h"
#include "plait/io/dns/testing/dns_message.h"
#include "plait/io/system/fault_injection.h"
#include "plait/io/system/fault_matrix.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_executors.h"
#include "plait/runtime/testing/dns_server.h"
#include "plait/runtime/testing/executor_under_faults.h"

namespace plait {
namespace {

using sys::ArmFaults;
using sys::FaultInjection;
using sys::RunFaultMatrix;

using ResolverFaultsTest = testing::TestWithParam<IoExecutor>;

INSTANTIATE_TEST_SUITE_P(AllExecutors, ResolverFaultsTest,
                         testing::ValuesIn(ExecutorsUnderFaults()), IoExecutor::Name);

TEST_P(ResolverFaultsTest, ALookup) {
  DnsServer server([](const DnsServer::Question& question) {
    DnsZone zone;
    zone.AddAddress("www.example", "10.0.0.7");
    return std::vector<std::string>{zone.Answer(question)};
  });
  const auto scenario = [&](const ArmFaults& arm) -> absl::Status {
    ResolverOptions options;
    options.servers = {server.address()};
    options.hosts_file = "";
    options.search.emplace();
    options.timeout = absl::Milliseconds(20);  // a question that got lost is asked again
    absl::StatusOr<std::unique_ptr<Resolver>> resolver = Resolver::Create(std::move(options));
    if (!resolver.ok()) return resolver.status();
    const auto body = [&]() -> Task<absl::Status> {
      ResolveOptions which;
      which.family = AddressFamily::kIpv4;
      const auto addresses = co_await OrReturn((*resolver)->Resolve("www.example", 80, which));
      EXPECT_EQ(addresses.size(), 1u);
      co_return absl::OkStatus();
    };
    return RunUnderFaults(GetParam(), arm, body);
  };
  // What it cannot do in the end is c-ares's to say, in words of its own.
  RunFaultMatrix({.errors_are_named = false,
                  .short_transfers = false,
                  .reaches = {FaultInjection::kSocket, FaultInjection::kConnect,
                              FaultInjection::kSendMessage, FaultInjection::kReceiveMessage},
                  .left_out = LeftOutOf(GetParam())},
                 scenario);
}

}  // namespace
}  // namespace plait
