#include "plait/examples/resolve/lookups.h"

#include <memory>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "plait/examples/resolve/demo_server.h"
#include "plait/examples/support/timing.h"
#include "plait/io/net/address.h"
#include "plait/runtime/runtime.h"

namespace examples {
namespace {

using plait::SocketAddress;
using Addresses = std::vector<SocketAddress>;

// What the lookups share. All of them run on one thread, so plain variables do.
struct Session {
  Session(const Plan& p, Console& c, plait::Clock& clock) : plan(p), console(c), watch(clock) {}

  void Say(absl::string_view what, Color color) {
    console.Print(absl::StrFormat(" %s %s", Stamp(watch.elapsed()), what), color);
  }

  const Plan& plan;
  Console& console;
  const Stopwatch watch;
  std::unique_ptr<plait::Resolver> resolver;
  Outcome outcome;
};

plait::Task<void> Reverse(Session& session, SocketAddress address) {
  const absl::StatusOr<std::string> name =
      co_await session.resolver->ReverseLookup(address, session.plan.lookup.timeout);
  if (name.ok()) {
    session.Say(absl::StrCat("<- ", address.ip(), " is ", *name), Color::kCyan);
  } else {
    session.Say(absl::StrCat("!! ", name.status().ToString()), Color::kDim);
  }
}

plait::Task<void> LookUp(Session& session, std::string name) {
  session.Say(absl::StrCat("-> ", name), Color::kYellow);
  const absl::StatusOr<Addresses> found =
      co_await session.resolver->Resolve(name, /*port=*/0, session.plan.lookup);
  if (!found.ok()) {
    ++session.outcome.failed;
    session.Say(absl::StrCat("!! ", found.status().ToString()), Color::kRed);
    co_return;
  }
  ++session.outcome.found;
  const auto append_ip = [](std::string* out, const SocketAddress& address) {
    absl::StrAppend(out, address.ip());
  };
  session.Say(absl::StrCat("<- ", name, ": ", absl::StrJoin(*found, ", ", append_ip)),
              Color::kCyan);
  if (!session.plan.reverse) co_return;
  for (const SocketAddress& address : *found) co_await Reverse(session, address);
}

// Ends by a cancel.
plait::Task<absl::Status> Tick(Session& session) {
  for (;;) {
    co_await plait::OrReturn(plait::Sleep(session.plan.tick));
    ++session.outcome.ticks;
  }
}

plait::Task<absl::Status> LookUpNames(Session& session) {
  plait::ResolverOptions options = session.plan.resolver;
  std::optional<DemoServer> server;
  std::vector<plait::JoinHandle<absl::Status>> helpers;
  if (session.plan.demo) {
    absl::StatusOr<DemoServer> opened = DemoServer::Open(session.plan.demo_slow);
    if (!opened.ok()) co_return opened.status();
    server = *std::move(opened);
    options.servers = {server->address()};
    options.search.emplace();
    session.console.Print(absl::StrCat("A server of our own, at ", server->address().ToString()),
                          Color::kBold);
    helpers.push_back(plait::Spawn(server->Serve(), {.name = "server"}));
  }
  // It reads /etc/resolv.conf and /etc/hosts, which may block.
  auto create = [options] { return plait::Resolver::Create(options); };
  absl::StatusOr<std::unique_ptr<plait::Resolver>> resolver =
      co_await plait::Offload(std::move(create));
  if (resolver.ok()) {
    session.resolver = *std::move(resolver);
    helpers.push_back(plait::Spawn(Tick(session), {.name = "clock"}));
    std::vector<plait::Task<void>> lookups;
    for (const std::string& name : session.plan.names) lookups.push_back(LookUp(session, name));
    co_await plait::Gather(std::move(lookups));
  }
  session.outcome.total = session.watch.elapsed();
  absl::Status status = resolver.status();
  for (plait::JoinHandle<absl::Status>& helper : helpers) {
    helper.Cancel();
    const absl::Status ended = co_await helper;
    if (!absl::IsCancelled(ended)) status.Update(ended);
  }
  co_return status;
}

}  // namespace

absl::StatusOr<Outcome> LookUpAll(const Plan& plan, Console& console,
                                  const plait::RunOptions& options) {
  Session session(plan, console, options.clock == nullptr ? plait::Clock::Real() : *options.clock);
  if (absl::Status status = plait::Run(LookUpNames(session), options); !status.ok()) return status;
  return session.outcome;
}

}  // namespace examples
