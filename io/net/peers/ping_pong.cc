// The ping-pong on Plait: an event loop on each side or, with --scheduler=work_stealing, a pool of
// one thread, on the reactor that --reactor=NAME names.
#include "plait/io/net/peers/ping_pong.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/types/span.h"
#include "plait/io/net/address.h"
#include "plait/io/net/peers/peer.h"
#include "plait/io/net/stream.h"
#include "plait/io/ops/operations.h"
#include "plait/io/ops/owned_descriptor.h"
#include "plait/runtime/runtime.h"
#include "plait/schedulers/run.h"

namespace peers {
namespace {

using plait::OrReturn;
using plait::Task;

Task<absl::Status> Serve(plait::Stream stream) {
  char buffer[4096];
  while (true) {
    const size_t size = co_await OrReturn(stream.Read(absl::MakeSpan(buffer)));
    if (size == 0) co_return absl::OkStatus();
    co_await OrReturn(stream.Write(absl::string_view(kResponse.data(), kResponse.size())));
  }
}

Task<absl::Status> ServeAll(int listener) {
  co_return co_await plait::WithTaskGroup([=](plait::TaskGroup& group) -> Task<absl::Status> {
    for (int i = 0; i < kConnections; ++i) {
      const int connection = co_await OrReturn(plait::io::Accept(listener));
      group.Spawn(Serve(plait::Stream(plait::io::OwnedDescriptor(connection))));
    }
    co_return absl::OkStatus();
  });
}

Task<absl::Status> Ask(plait::SocketAddress server) {
  plait::io::OwnedDescriptor socket(
      Check(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket"));
  const int on = 1;
  Check(::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), "setsockopt");
  co_await OrReturn(plait::io::Connect(socket.get(), server.data(), server.size()));
  plait::Stream stream(std::move(socket));
  char buffer[4096];
  for (int i = 0; i < kRequestsEach; ++i) {
    co_await OrReturn(stream.Write(absl::string_view(kRequest.data(), kRequest.size())));
    if (co_await OrReturn(stream.Read(absl::MakeSpan(buffer))) == 0) Die("the server went away");
  }
  co_return co_await stream.Close();
}

Task<absl::Status> AskAll(uint16_t port) {
  co_return co_await plait::WithTaskGroup([=](plait::TaskGroup& group) -> Task<absl::Status> {
    for (int i = 0; i < kConnections; ++i) group.Spawn(Ask(plait::SocketAddress::Loopback(port)));
    co_return absl::OkStatus();
  });
}

struct Flags {
  std::string reactor;
  std::string scheduler;
};

void RunOn(const Flags& flags, Task<absl::Status> task) {
  const absl::Status status = plait::Run(std::move(task), {.scheduler = flags.scheduler,
                                                           .threads = 1,
                                                           .reactor = flags.reactor,
                                                           .handle_sigint = false});
  if (!status.ok()) Die(status.ToString().c_str());
}

}  // namespace
}  // namespace peers

int main(int argc, char** argv) {
  peers::Flags flags;
  for (int i = 1; i < argc; ++i) {
    absl::string_view flag = argv[i];
    if (absl::ConsumePrefix(&flag, "--reactor=")) {
      flags.reactor = std::string(flag);
    } else if (absl::ConsumePrefix(&flag, "--scheduler=")) {
      flags.scheduler = std::string(flag);
    } else {
      peers::Die("the only flags are --reactor=NAME and --scheduler=NAME");
    }
  }
  const int listener = peers::Listen(0);
  const uint16_t port = peers::PortOf(listener);
  const peers::PingPongTimer timer;
  std::thread server([&] { peers::RunOn(flags, peers::ServeAll(listener)); });
  std::thread client([&] { peers::RunOn(flags, peers::AskAll(port)); });
  client.join();
  server.join();
  timer.Print();
}
