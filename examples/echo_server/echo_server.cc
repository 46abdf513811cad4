// echo_server: sends back what it is sent, on any number of connections, on one thread or on a
// pool's.
//
// Each connection is a task of its own, which reads as though it were the only one. Serve starts
// them, keeps to the limit, and ends them: on SIGINT or SIGTERM at once, a second one ends the
// program the hard way. With a certificate it does so over TLS. echo_client talks to it, and
// measures it.
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"
#include "plait/examples/support/console.h"
#include "plait/examples/support/flags.h"
#include "plait/examples/support/listen_flags.h"
#include "plait/examples/support/runtime_flags.h"
#include "plait/io/net/net.h"
#include "plait/io/signal/shutdown.h"
#include "plait/io/tls/tls.h"
#include "plait/runtime/runtime.h"
#include "plait/schedulers/run.h"

namespace {

using plait::OrReturn;

// Handlers run side by side where the scheduler has several threads.
struct Totals {
  std::atomic<int64_t> connections = 0;
  std::atomic<int64_t> failed = 0;  // ended by an error: reset by the peer, say
  std::atomic<uint64_t> bytes = 0;
};

// What a connection has echoed: a part of the totals when it ends, however it does, as others count
// there too.
struct Echoed {
  ~Echoed() { totals.bytes += bytes; }

  Totals& totals;
  uint64_t bytes = 0;
};

// S: a Stream or a TlsStream.
template <class S>
plait::Task<absl::Status> Echo(S stream, Totals& totals) {
  ++totals.connections;
  Echoed echoed{totals};
  for (;;) {
    // What has come is in the stream's own memory, which it has only while something is there.
    const size_t size = co_await OrReturn(stream.ReadMore());
    if (size == 0) break;
    co_await OrReturn(stream.Write(stream.buffered()));
    stream.Consume(size);
    echoed.bytes += size;
  }
  co_return co_await stream.Close();
}

plait::Task<absl::Status> ServeUntilToldToEnd(plait::Listener listener, int64_t max_connections,
                                              std::optional<plait::TlsContext> tls,
                                              Totals& totals) {
  plait::ServerOptions options;
  options.max_connections = static_cast<size_t>(max_connections);
  options.on_error = [&totals](const absl::Status& error, const plait::SocketAddress& peer) {
    // A peer that went away is no news; that nobody can come is.
    if (peer.family() == plait::SocketAddress::Family::kNone) {
      std::fprintf(stderr, "echo_server: %s.\n", error.ToString().c_str());
    } else {
      ++totals.failed;
    }
  };
  auto echo = [&totals](auto stream) { return Echo(std::move(stream), totals); };
  plait::Task<absl::Status> serving =
      tls.has_value()
          ? plait::Serve(std::move(listener), plait::OverTls(*tls, echo), std::move(options))
          : plait::Serve(std::move(listener), echo, std::move(options));
  co_return co_await plait::RunUntilShutdownSignal(std::move(serving));
}

}  // namespace

int main(int argc, char** argv) {
  int64_t max_connections = 0;
  plait::TlsServerOptions tls_options;
  plait::RunOptions options;
  options.handle_sigint = false;  // RunUntilShutdownSignal does
  examples::Flags flags("echo_server",
                        "Sends back what it is sent. Ends on SIGINT or SIGTERM."
                        "\nThe first line that it prints is \"listening on PORT\".");
  examples::ListenFlags where(flags, 7777);
  flags.Int("max_connections", &max_connections, 0, 1'000'000,
            "so many connections at once, others wait; 0: no limit");
  flags.Text("certificate", &tls_options.certificate_chain_file,
             "over TLS, with the certificates in this file (PEM)");
  flags.Text("key", &tls_options.private_key_file, "the certificate's private key (PEM)");
  flags.Check([&] {
    if (tls_options.certificate_chain_file.empty() == tls_options.private_key_file.empty()) {
      return absl::OkStatus();
    }
    return absl::InvalidArgumentError("--certificate and --key go together");
  });
  examples::AddReactorFlag(flags, &options);
  examples::AddSchedulerFlag(flags, &options);
  if (const auto status = flags.Parse(argc, argv)) return *status;

  std::optional<plait::TlsContext> tls;
  if (!tls_options.certificate_chain_file.empty()) {
    absl::StatusOr<plait::TlsContext> made = plait::TlsContext::Server(tls_options);
    if (!made.ok()) {
      std::fprintf(stderr, "echo_server: %s.\n", made.status().ToString().c_str());
      return 1;
    }
    tls = *std::move(made);
  }
  examples::Console console;
  std::optional<plait::Listener> listener = where.Listen(console, "echo_server");
  if (!listener.has_value()) return 1;
  Totals totals;
  const absl::Status ended = plait::Run(
      ServeUntilToldToEnd(*std::move(listener), max_connections, std::move(tls), totals), options);
  console.Print(absl::StrFormat("echo_server connections=%d failed=%d bytes=%d reactor=%s",
                                totals.connections.load(), totals.failed.load(),
                                totals.bytes.load(), examples::ReactorName(options)));
  if (ended.ok()) return 0;
  std::fprintf(stderr, "echo_server: %s.\n", ended.ToString().c_str());
  return 1;
}
