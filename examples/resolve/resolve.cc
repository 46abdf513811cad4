// resolve: names to addresses, all at once, without ever blocking the loop.
//
// A Resolver asks DNS servers over the same reactor that everything else waits on. Each name is
// looked up by a task of its own; answers are printed as they come, slow ones last. With --demo the
// program answers itself, and needs no network: there is an alias, a name that has only an IPv6
// address, one whose answer is slow, one that never gets any, and one that does not exist.
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "plait/examples/resolve/demo_server.h"
#include "plait/examples/resolve/lookups.h"
#include "plait/examples/support/console.h"
#include "plait/examples/support/flags.h"
#include "plait/examples/support/runtime_flags.h"
#include "plait/io/net/address.h"

namespace {

using examples::Color;
using plait::AddressFamily;
using plait::SocketAddress;

// An IP address, with a port or without, which is then 53; an IPv6 address may stand in brackets in
// both cases.
absl::StatusOr<SocketAddress> ParseServer(absl::string_view text) {
  absl::string_view ip = text;
  if (absl::ConsumePrefix(&ip, "[") && !absl::ConsumeSuffix(&ip, "]")) ip = text;
  absl::StatusOr<SocketAddress> server = SocketAddress::ParseIp(ip, 53);
  const bool is_alone =
      server.ok() && (ip == text || server->family() == SocketAddress::Family::kIpv6);
  if (!is_alone) server = SocketAddress::Parse(text);
  if (server.ok() && server->is_ip() && server->port() != 0) return server;
  // A name would have to be looked up first, by this very server.
  return absl::InvalidArgumentError(absl::StrCat(
      "\"", absl::Utf8SafeCHexEscape(text),
      "\" is not the address of a server: write an IP address, as 192.0.2.1 or 2001:db8::1, or one "
      "with a port from 1 to 65535, as 192.0.2.1:5353 or [2001:db8::1]:5353"));
}

AddressFamily ParseFamily(const std::string& text) {
  if (text == "ipv4") return AddressFamily::kIpv4;
  if (text == "ipv6") return AddressFamily::kIpv6;
  return AddressFamily::kAny;
}

}  // namespace

int main(int argc, char** argv) {
  std::string names;
  std::string server;
  std::string family = "any";
  std::optional<absl::Duration> timeout;
  examples::Plan plan;
  plait::RunOptions options;
  examples::Flags flags(
      "resolve",
      "Looks up names of hosts, all at once, and prints each answer as it comes."
      "\nWith --demo it asks a small DNS server of its own: no network is needed.");
  flags.Text("names", &names,
             "what to look up, with commas between; not given: names that every machine knows, or "
             "those of --demo");
  flags.Text("server", &server,
             "the DNS server to ask, as IP, IP:PORT or [IPv6]:PORT; the port is 53 where there is "
             "none; not given: those of /etc/resolv.conf");
  flags.Time("timeout", &timeout, "how long a lookup may take; not given: 5s, or 1s with --demo");
  flags.Choice("family", &family, {"any", "ipv4", "ipv6"}, "which addresses are wanted");
  flags.Bool("reverse", &plan.reverse, "looks up the names of the addresses that were found, too");
  flags.Bool("demo", &plan.demo, "asks a server of the program's own, which knows a few names");
  flags.Check([&]() -> absl::Status {
    if (server.empty()) return absl::OkStatus();
    if (plan.demo) {
      return absl::InvalidArgumentError("--demo asks a server of its own, and no --server");
    }
    const absl::StatusOr<SocketAddress> address = ParseServer(server);
    if (!address.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("--server: ", address.status().message()));
    }
    plan.resolver.servers = {*address};
    return absl::OkStatus();
  });
  examples::AddReactorFlag(flags, &options);
  if (const auto status = flags.Parse(argc, argv)) return *status;
  if (names.empty()) {
    names = plan.demo ? std::string(examples::kDemoNames) : "localhost,127.0.0.1,::1";
  }
  plan.names = absl::StrSplit(names, ',', absl::SkipEmpty());
  plan.lookup.family = ParseFamily(family);
  plan.lookup.timeout = timeout.value_or(plan.demo ? absl::Seconds(1) : absl::Seconds(5));

  examples::Console console;
  const absl::StatusOr<examples::Outcome> outcome = examples::LookUpAll(plan, console, options);
  if (!outcome.ok()) {
    console.Print(outcome.status().ToString(), Color::kRed);
    return 1;
  }
  console.Print(absl::StrFormat("resolve names=%d found=%d failed=%d seconds=%.3f ticks=%d",
                                plan.names.size(), outcome->found, outcome->failed,
                                absl::ToDoubleSeconds(outcome->total), outcome->ticks));
  // In the demonstration some are meant to fail.
  return plan.demo || outcome->failed == 0 ? 0 : 1;
}
