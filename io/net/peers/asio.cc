// The echo server on standalone Asio: its fastest way, callbacks on one thread without locks.
//
// On epoll; with -DASIO_HAS_IO_URING -DASIO_DISABLE_EPOLL on io_uring.
#include <asio.hpp>
#include <memory>

#include "plait/io/net/peers/peer.h"

namespace peers {
namespace {

using asio::ip::tcp;

// Owned by what is pending: one operation at a time.
class Connection {
 public:
  explicit Connection(tcp::socket socket) : socket_(std::move(socket)) {}

  static void Read(std::unique_ptr<Connection> self) {
    Connection& connection = *self;
    connection.socket_.async_read_some(
        asio::buffer(connection.buffer_),
        [self = std::move(self)](const asio::error_code& error, size_t size) mutable {
          if (!error) Write(std::move(self), size);
        });
  }

 private:
  static void Write(std::unique_ptr<Connection> self, size_t size) {
    Connection& connection = *self;
    asio::async_write(connection.socket_, asio::buffer(connection.buffer_, size),
                      [self = std::move(self)](const asio::error_code& error, size_t) mutable {
                        if (!error) Read(std::move(self));
                      });
  }

  tcp::socket socket_;
  char buffer_[4096];
};

void Accept(tcp::acceptor& acceptor) {
  acceptor.async_accept([&acceptor](const asio::error_code& error, tcp::socket socket) {
    if (!error) {
      socket.set_option(tcp::no_delay(true));
      Connection::Read(std::make_unique<Connection>(std::move(socket)));
    }
    Accept(acceptor);
  });
}

}  // namespace
}  // namespace peers

int main(int argc, char** argv) {
  peers::RaiseDescriptorLimit();
  asio::io_context context(ASIO_CONCURRENCY_HINT_UNSAFE);
  asio::ip::tcp::acceptor acceptor(context, asio::ip::tcp::v4(), peers::ListenAsTold(argc, argv));
  peers::Accept(acceptor);
  context.run();
}
