// The ping-pong on Plait: an event loop a thread, on the reactor that --reactor=NAME names.
#include "plait/io/net/peers/ping_pong.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/types/span.h"
#include "plait/io/auto_reactor/auto_reactor.h"
#include "plait/io/net/address.h"
#include "plait/io/net/peers/peer.h"
#include "plait/io/net/stream.h"
#include "plait/io/ops/operations.h"
#include "plait/io/ops/owned_descriptor.h"
#include "plait/runtime/runtime.h"
#include "plait/schedulers/event_loop/event_loop.h"
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

void RunOn(absl::string_view reactor, Task<absl::Status> task) {
  plait::EventLoop loop(plait::MakeReactor(reactor));
  const absl::Status status = plait::BlockOn(loop, std::move(task));
  if (!status.ok()) Die(status.ToString().c_str());
}

}  // namespace
}  // namespace peers

int main(int argc, char** argv) {
  absl::string_view reactor = argc > 1 ? argv[1] : "";
  if (argc > 2 || (argc == 2 && !absl::ConsumePrefix(&reactor, "--reactor="))) {
    peers::Die("the only flag is --reactor=NAME");
  }
  const int listener = peers::Listen(0);
  const uint16_t port = peers::PortOf(listener);
  const peers::PingPongTimer timer;
  std::thread server([&] { peers::RunOn(reactor, peers::ServeAll(listener)); });
  std::thread client([&] { peers::RunOn(reactor, peers::AskAll(port)); });
  client.join();
  server.join();
  timer.Print();
}
