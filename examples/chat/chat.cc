// chat: rooms in which people talk, over TCP, a line at a time. Any telnet will do:
//
//   bazel run //examples/chat &
//   telnet 127.0.0.1 7778
//
// What one says is told to all others in the room. See rooms.h for how those who read slowly keep
// nobody waiting.
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "plait/examples/chat/rooms.h"
#include "plait/examples/support/console.h"
#include "plait/examples/support/flags.h"
#include "plait/examples/support/listen_flags.h"
#include "plait/examples/support/runtime_flags.h"
#include "plait/io/net/net.h"
#include "plait/io/signal/shutdown.h"
#include "plait/schedulers/run.h"

int main(int argc, char** argv) {
  int64_t patience = 100;
  int64_t max_guests = 1000;
  plait::RunOptions options;
  options.handle_sigint = false;  // RunUntilShutdownSignal does
  examples::Flags flags("chat",
                        "Rooms in which people talk, a line at a time. Ends on SIGINT or SIGTERM."
                        "\nThe first line that it prints is \"listening on PORT\".");
  examples::ListenFlags where(flags, 7778);
  flags.Int("max_guests", &max_guests, 1, 1'000'000, "so many at once; others wait");
  flags.Int("patience", &patience, 1, 1'000'000,
            "so many lines may wait for a guest who reads slowly; further ones it misses");
  examples::AddReactorFlag(flags, &options);
  if (const auto status = flags.Parse(argc, argv)) return *status;

  examples::Console console;
  std::optional<plait::Listener> listener = where.Listen(console, "chat");
  if (!listener.has_value()) return 1;
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
