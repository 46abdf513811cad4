// echo_client: says something to echo_server and prints what comes back; with --load it measures
// how many messages a second the server answers, and how long they take. With --ca it speaks TLS.
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "plait/examples/echo_client/load.h"
#include "plait/examples/support/console.h"
#include "plait/examples/support/flags.h"
#include "plait/examples/support/runtime_flags.h"
#include "plait/io/net/net.h"
#include "plait/io/tls/tls.h"
#include "plait/runtime/runtime.h"
#include "plait/schedulers/run.h"

namespace {

using examples::Console;
using plait::OrReturn;

// S: a Stream or a TlsStream.
template <class S>
plait::Task<absl::Status> SayOn(S stream, std::string message, absl::Duration timeout,
                                Console& console) {
  co_await OrReturn(stream.Write(message));
  co_await OrReturn(stream.ShutdownWrite());
  const std::string answer =
      co_await OrReturn(plait::Timeout(timeout, stream.ReadAll(message.size())));
  console.Print(answer);
  if (answer == message) co_return absl::OkStatus();
  co_return absl::DataLossError(
      absl::StrCat("of ", message.size(), " bytes ", answer.size(), " came back"));
}

// `ca`: the file of who vouches for the server; empty: not over TLS.
plait::Task<absl::Status> Say(std::string target, std::string ca, std::string message,
                              absl::Duration timeout, Console& console) {
  plait::ConnectOptions connect;
  connect.timeout = timeout;
  if (ca.empty()) {
    plait::Stream stream = co_await OrReturn(plait::Connect(target, connect));
    co_return co_await SayOn(std::move(stream), std::move(message), timeout, console);
  }
  plait::TlsClientOptions options;
  options.ca_file = ca;
  plait::TlsContext context = co_await OrReturn(plait::TlsContext::Client(options));
  plait::TlsOptions tls;
  tls.handshake_timeout = timeout;
  plait::TlsStream stream =
      co_await OrReturn(plait::ConnectTls(target, std::move(context), connect, tls));
  co_return co_await SayOn(std::move(stream), std::move(message), timeout, console);
}

absl::Status Measure(const examples::Load& load, const plait::RunOptions& options,
                     Console& console) {
  const absl::StatusOr<examples::LoadResult> result = plait::Run(examples::PutLoad(load), options);
  if (!result.ok()) return result.status();
  const double seconds = absl::ToDoubleSeconds(result->elapsed);
  console.Print(absl::StrFormat(
      "echo_client connections=%d in_flight=%d size=%d seconds=%.3f requests=%d "
      "requests_per_second=%.0f p50_us=%.1f p99_us=%.1f",
      load.connections, load.in_flight, load.size, seconds, result->requests,
      static_cast<double>(result->requests) / seconds, absl::ToDoubleMicroseconds(result->p50),
      absl::ToDoubleMicroseconds(result->p99)));
  return absl::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
  bool with_load = false;
  int64_t port = 7777;
  std::string host = "127.0.0.1";
  std::string message = "hello";
  std::string ca;
  int64_t seconds = 2;
  std::optional<absl::Duration> timeout;
  examples::Load load;
  plait::RunOptions options;
  examples::Flags flags("echo_client",
                        "Sends a message to echo_server and prints what comes back."
                        "\nWith --load it measures how many messages a second are answered.");
  flags.Int("port", &port, 1, 65535, "where the server listens");
  flags.Text("host", &host, "the server's name or IP address");
  flags.Text("message", &message, "what is sent");
  flags.Text("ca", &ca, "over TLS, to a server for which those in this file (PEM) vouch");
  flags.Time("timeout", &timeout, "how long to wait for the server; not given: 5s");
  flags.Bool("load", &with_load, "sends messages over and over, and measures");
  flags.Int("connections", &load.connections, 1, 20'000, "with --load: how many connections");
  flags.Int("in_flight", &load.in_flight, 1, 10'000,
            "with --load: how many messages are on their way on each connection");
  flags.Int("size", &load.size, 1, 16 << 20, "with --load: how many bytes a message has");
  flags.Int("seconds", &seconds, 1, 3600, "with --load: for how long");
  flags.Check([&] {
    // Their copies are in memory: what fits is more than any kernel takes.
    constexpr int64_t kMost = int64_t{1} << 30;
    if (load.connections * load.in_flight * load.size <= kMost) return absl::OkStatus();
    return absl::InvalidArgumentError(
        "--connections, --in_flight and --size make more than a gibibyte");
  });
  flags.Check([&] {
    if (ca.empty() || !with_load) return absl::OkStatus();
    return absl::InvalidArgumentError("--load does not go over TLS (--ca)");
  });
  examples::AddReactorFlag(flags, &options);
  if (const auto status = flags.Parse(argc, argv)) return *status;

  const std::string target =
      absl::StrCat(absl::StrContains(host, ':') ? absl::StrCat("[", host, "]") : host, ":", port);
  Console console;
  absl::Status ended;
  if (with_load) {
    load.target = target;
    load.duration = absl::Seconds(seconds);
    load.connect_timeout = timeout.value_or(load.connect_timeout);
    ended = Measure(load, options, console);
  } else {
    ended =
        plait::Run(Say(target, ca, message, timeout.value_or(absl::Seconds(5)), console), options);
  }
  if (ended.ok()) return 0;
  std::fprintf(stderr, "echo_client: %s.\n", std::string(ended.message()).c_str());
  return 1;
}
