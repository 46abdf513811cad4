// --host and --port: where a server listens.
#ifndef PLAIT_EXAMPLES_SUPPORT_LISTEN_FLAGS_H_
#define PLAIT_EXAMPLES_SUPPORT_LISTEN_FLAGS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "plait/examples/support/console.h"
#include "plait/examples/support/flags.h"
#include "plait/io/net/address.h"
#include "plait/io/net/listener.h"

namespace examples {

class ListenFlags {
 public:
  // Adds them to `flags`, which it outlives.
  ListenFlags(Flags& flags, int64_t port);
  ListenFlags(const ListenFlags&) = delete;
  ListenFlags& operator=(const ListenFlags&) = delete;

  // After Flags::Parse. Listens and prints "listening on PORT", which tests wait for; or says on
  // standard error, as `program`, why it cannot, and gives nothing.
  std::optional<plait::Listener> Listen(Console& console, absl::string_view program) const;

 private:
  int64_t port_;
  std::string host_ = "127.0.0.1";
  plait::SocketAddress address_;
};

}  // namespace examples

#endif  // PLAIT_EXAMPLES_SUPPORT_LISTEN_FLAGS_H_
