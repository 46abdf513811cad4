// The ping-pong on standalone Asio, in its coroutines: an io_context a thread.
#include <asio.hpp>
#include <asio/experimental/as_tuple.hpp>
#include <thread>

#include "plait/io/net/peers/peer.h"
#include "plait/io/net/peers/ping_pong.h"

namespace peers {
namespace {

using asio::awaitable;
using asio::ip::tcp;

constexpr auto kAwait = asio::experimental::as_tuple(asio::use_awaitable);

awaitable<void> Serve(tcp::socket socket) {
  char buffer[4096];
  while (true) {
    const auto [read_error, size] = co_await socket.async_read_some(asio::buffer(buffer), kAwait);
    if (read_error) co_return;
    const auto [write_error, written] =
        co_await asio::async_write(socket, asio::buffer(kResponse), kAwait);
    if (write_error) co_return;
  }
}

awaitable<void> AcceptAll(tcp::acceptor& acceptor) {
  for (int i = 0; i < kConnections; ++i) {
    auto [error, socket] = co_await acceptor.async_accept(kAwait);
    if (error) Die("accept fails");
    socket.set_option(tcp::no_delay(true));
    asio::co_spawn(acceptor.get_executor(), Serve(std::move(socket)), asio::detached);
  }
}

awaitable<void> Ask(tcp::endpoint server) {
  tcp::socket socket(co_await asio::this_coro::executor);
  const auto [connect_error] = co_await socket.async_connect(server, kAwait);
  if (connect_error) Die("connect fails");
  socket.set_option(tcp::no_delay(true));
  char buffer[4096];
  for (int i = 0; i < kRequestsEach; ++i) {
    const auto [write_error, written] =
        co_await asio::async_write(socket, asio::buffer(kRequest), kAwait);
    if (write_error) Die("a write fails");
    const auto [read_error, size] = co_await socket.async_read_some(asio::buffer(buffer), kAwait);
    if (read_error) Die("a read fails");
  }
}

}  // namespace
}  // namespace peers

int main() {
  asio::io_context server(1);
  asio::io_context client(1);
  asio::ip::tcp::acceptor acceptor(server,
                                   {asio::ip::address_v4::loopback(), asio::ip::port_type{0}});
  asio::co_spawn(server, peers::AcceptAll(acceptor), asio::detached);
  for (int i = 0; i < peers::kConnections; ++i) {
    asio::co_spawn(client, peers::Ask(acceptor.local_endpoint()), asio::detached);
  }
  const peers::PingPongTimer timer;
  std::thread server_thread([&] { server.run(); });
  std::thread client_thread([&] { client.run(); });
  client_thread.join();
  server_thread.join();
  timer.Print();
}
