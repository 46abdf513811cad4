// chat: rooms in which people talk, over TCP, a line at a time. Any telnet will do:
//
//   bazel run //examples/chat &
//   telnet 127.0.0.1 7778
//
// What one says is told to all others in the room. See rooms.h for how those who read slowly keep
// nobody waiting.
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "plait/examples/chat/rooms.h"
#include "plait/examples/support/console.h"
#include "plait/examples/support/flags.h"
#include "plait/examples/support/runtime_flags.h"
#include "plait/io/net/net.h"
#include "plait/io/signal/shutdown.h"
#include "plait/schedulers/run.h"

int main(int argc, char** argv) {
  int64_t port = 7778;
  int64_t patience = 100;
  int64_t max_guests = 1000;
  std::string host = "127.0.0.1";
  plait::RunOptions options;
  options.handle_sigint = false;  // RunUntilShutdownSignal does
  examples::Flags flags("chat",
                        "Rooms in which people talk, a line at a time. Ends on SIGINT or SIGTERM."
                        "\nThe first line that it prints is \"listening on PORT\".");
  flags.Int("port", &port, 0, 65535, "where it listens; 0: on a free port");
  flags.Text("host", &host, "the IP address that it listens on; ::, for all of them");
  flags.Int("max_guests", &max_guests, 1, 1'000'000, "so many at once; others wait");
  flags.Int("patience", &patience, 1, 1'000'000,
            "so many lines may wait for a guest who reads slowly; further ones it misses");
  plait::SocketAddress address;
  flags.Check([&]() -> absl::Status {
    const absl::StatusOr<plait::SocketAddress> parsed =
        plait::SocketAddress::ParseIp(host, static_cast<int>(port));
    if (!parsed.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("--host: ", parsed.status().message()));
    }
    address = *parsed;
    return absl::OkStatus();
  });
  examples::AddReactorFlag(flags, &options);
  if (const auto status = flags.Parse(argc, argv)) return *status;

  absl::StatusOr<plait::Listener> listener = plait::Listen(address);
  if (!listener.ok()) {
    std::fprintf(stderr, "chat: %s.\n", std::string(listener.status().message()).c_str());
    return 1;
  }
  examples::Console console;
  console.Print(absl::StrCat("listening on ", listener->local_address().port()));
  examples::Rooms rooms(static_cast<size_t>(patience));
  plait::ServerOptions server;
  server.max_connections = static_cast<size_t>(max_guests);
  server.on_error = [&](const absl::Status& error, const plait::SocketAddress&) {
    console.Print(absl::StrCat("!! ", error.message()), examples::Color::kDim);
  };
  auto receive = [&rooms](plait::Stream stream) { return rooms.Receive(std::move(stream)); };
  const absl::Status ended = plait::Run(
      plait::RunUntilShutdownSignal(plait::Serve(*std::move(listener), receive, server)), options);
  console.Print(absl::StrFormat("chat guests=%d lines=%d", rooms.guests(), rooms.lines()));
  if (ended.ok()) return 0;
  std::fprintf(stderr, "chat: %s.\n", ended.ToString().c_str());
  return 1;
}
