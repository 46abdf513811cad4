// The ping-pong on TooManyCooks, in its coroutines: an `ex_asio`, which is an io_context of
// standalone Asio with a thread of its own, for each side. Built by compare, with the headers of
// TooManyCooks and tmc-asio.
#define TMC_IMPL
#include <asio/buffer.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/write.hpp>
#include <future>
#include <tmc/all_headers.hpp>
#include <tmc/asio/aw_asio.hpp>
#include <tmc/asio/ex_asio.hpp>
#include <utility>
#include <vector>

#include "plait/io/net/peers/peer.h"
#include "plait/io/net/peers/ping_pong.h"

namespace peers {
namespace {

using asio::ip::tcp;
using tmc::aw_asio;
using Executor = asio::io_context::executor_type;
using Acceptor = asio::basic_socket_acceptor<tcp, Executor>;
using Socket = asio::basic_stream_socket<tcp, Executor>;

tmc::task<void> Serve(Socket socket) {
  char buffer[4096];
  while (true) {
    const auto [read_error, size] = co_await socket.async_read_some(asio::buffer(buffer), aw_asio);
    if (read_error) co_return;
    const auto [write_error, written] =
        co_await asio::async_write(socket, asio::buffer(kResponse), aw_asio);
    if (write_error) co_return;
  }
}

tmc::task<void> AcceptAll(Acceptor& acceptor) {
  auto handlers = tmc::fork_group();
  for (int i = 0; i < kConnections; ++i) {
    auto [error, socket] = co_await acceptor.async_accept(aw_asio);
    if (error) Die("accept fails");
    socket.set_option(tcp::no_delay(true));
    handlers.fork(Serve(std::move(socket)));
  }
  co_await std::move(handlers);
}

tmc::task<void> Ask(tmc::ex_asio& executor, tcp::endpoint server) {
  Socket socket(executor);
  const auto [connect_error] = co_await socket.async_connect(server, aw_asio);
  if (connect_error) Die("connect fails");
  socket.set_option(tcp::no_delay(true));
  char buffer[4096];
  for (int i = 0; i < kRequestsEach; ++i) {
    const auto [write_error, written] =
        co_await asio::async_write(socket, asio::buffer(kRequest), aw_asio);
    if (write_error) Die("a write fails");
    const auto [read_error, size] = co_await socket.async_read_some(asio::buffer(buffer), aw_asio);
    if (read_error) Die("a read fails");
  }
}

tmc::task<void> AskAll(tmc::ex_asio& executor, tcp::endpoint server) {
  std::vector<tmc::task<void>> clients;
  for (int i = 0; i < kConnections; ++i) clients.push_back(Ask(executor, server));
  co_await tmc::spawn_many(clients);
}

}  // namespace
}  // namespace peers

int main() {
  tmc::ex_asio server;
  server.init();
  tmc::ex_asio client;
  client.init();
  peers::Acceptor acceptor(server, {asio::ip::address_v4::loopback(), asio::ip::port_type{0}});
  const asio::ip::tcp::endpoint endpoint = acceptor.local_endpoint();
  const peers::PingPongTimer timer;
  std::future<void> served = tmc::post_waitable(server, peers::AcceptAll(acceptor));
  std::future<void> asked = tmc::post_waitable(client, peers::AskAll(client, endpoint));
  asked.wait();
  served.wait();
  timer.Print();
}
