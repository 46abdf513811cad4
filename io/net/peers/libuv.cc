// The echo server on libuv: its fastest way, uv_try_write from one buffer that all share.
#include <unistd.h>
#include <uv.h>

#include "plait/io/net/peers/peer.h"

namespace peers {
namespace {

constexpr size_t kBufferSize = 64 * 1024;

struct Connection {
  uv_tcp_t socket;
  uv_write_t write;
  char* rest = nullptr;  // what the peer was too slow to take
};

void Close(Connection* connection) {
  uv_close(reinterpret_cast<uv_handle_t*>(&connection->socket), [](uv_handle_t* handle) {
    auto* const closed = static_cast<Connection*>(handle->data);
    std::free(closed->rest);
    delete closed;
  });
}

void LendBuffer(uv_handle_t*, size_t, uv_buf_t* buffer) {
  static char memory[kBufferSize];
  *buffer = uv_buf_init(memory, kBufferSize);
}

void OnRead(uv_stream_t* stream, ssize_t size, const uv_buf_t* buffer);

void OnWritten(uv_write_t* write, int status) {
  auto* const connection = static_cast<Connection*>(write->data);
  std::free(connection->rest);
  connection->rest = nullptr;
  if (status == UV_ECANCELED) return;
  if (status < 0) return Close(connection);
  uv_read_start(write->handle, LendBuffer, OnRead);
}

void OnRead(uv_stream_t* stream, ssize_t size, const uv_buf_t* buffer) {
  auto* const connection = static_cast<Connection*>(stream->data);
  if (size == 0) return;
  if (size < 0) return Close(connection);
  uv_buf_t data = uv_buf_init(buffer->base, static_cast<unsigned>(size));
  const int sent = uv_try_write(stream, &data, 1);
  if (sent == size) return;
  if (sent < 0 && sent != UV_EAGAIN) return Close(connection);
  // Nothing more is read until the peer has taken it.
  uv_read_stop(stream);
  const size_t done = sent < 0 ? 0 : static_cast<size_t>(sent);
  const size_t left = static_cast<size_t>(size) - done;
  connection->rest = static_cast<char*>(std::malloc(left));
  std::memcpy(connection->rest, buffer->base + done, left);
  data = uv_buf_init(connection->rest, static_cast<unsigned>(left));
  uv_write(&connection->write, stream, &data, 1, OnWritten);
}

void OnConnection(uv_stream_t* listener, int status) {
  if (status < 0) return;
  auto* const connection = new Connection;
  connection->socket.data = connection->write.data = connection;
  uv_tcp_init(listener->loop, &connection->socket);
  auto* const stream = reinterpret_cast<uv_stream_t*>(&connection->socket);
  if (uv_accept(listener, stream) != 0) return Close(connection);
  uv_tcp_nodelay(&connection->socket, 1);
  uv_read_start(stream, LendBuffer, OnRead);
}

}  // namespace
}  // namespace peers

int main(int argc, char** argv) {
  const int socket = peers::ListenAsTold(argc, argv);
  peers::RaiseDescriptorLimit();
  uv_loop_t* const loop = uv_default_loop();
  uv_tcp_t listener;
  uv_tcp_init(loop, &listener);
  // Takes the socket over, listening as it is.
  uv_tcp_open(&listener, socket);
  uv_listen(reinterpret_cast<uv_stream_t*>(&listener), 4096, peers::OnConnection);
  return uv_run(loop, UV_RUN_DEFAULT);
}
