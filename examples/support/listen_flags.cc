#include "plait/examples/support/listen_flags.h"

#include <cstdio>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

namespace examples {

ListenFlags::ListenFlags(Flags& flags, int64_t port) : port_(port) {
  flags.Int("port", &port_, 0, 65535, "where it listens; 0: on a free port");
  flags.Text("host", &host_, "the IP address that it listens on; ::, for all of them");
  flags.Check([this]() -> absl::Status {
    absl::StatusOr<plait::SocketAddress> parsed =
        plait::SocketAddress::ParseIp(host_, static_cast<int>(port_));
    if (!parsed.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("--host: ", parsed.status().message()));
    }
    address_ = *std::move(parsed);
    return absl::OkStatus();
  });
}

std::optional<plait::Listener> ListenFlags::Listen(Console& console,
                                                   absl::string_view program) const {
  absl::StatusOr<plait::Listener> listener = plait::Listen(address_);
  if (!listener.ok()) {
    const std::string line = absl::StrCat(program, ": ", listener.status().message(), ".\n");
    std::fputs(line.c_str(), stderr);
    return std::nullopt;
  }
  console.Print(absl::StrCat("listening on ", listener->local_address().port()));
  return *std::move(listener);
}

}  // namespace examples
