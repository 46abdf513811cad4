// Everything of this folder: connections, servers, datagrams, and the addresses of all.
//
//   address.h             SocketAddress: IPv4, IPv6, Unix
//   endpoint.h            Endpoint: a host and a port, as people write them
//   stream.h              Stream: bytes to and from a peer
//   partial_bytes.h       what an operation on one had moved when it failed
//   connect.h             Connect: a Stream to an address or a host, by happy eyeballs
//   listener.h            Listen and Listener: connections that come in
//   server.h              Serve and Server: a task for each of them
//   send_file.h           SendFile: a file to a Stream
//   datagram_socket.h     DatagramSocket: UDP and Unix datagrams
//   protocol.h            Protocol and Transport: a Stream by callbacks
//   datagram_protocol.h   DatagramProtocol: a DatagramSocket by callbacks
//   pipe.h, socket_pair.h  Streams that are connected with each other
//   stdio.h               standard input, output and error as Streams
//   descriptor_passing.h  descriptors to another process
//   socket_options.h      SocketOptions
#ifndef PLAIT_IO_NET_NET_H_
#define PLAIT_IO_NET_NET_H_

// IWYU pragma: begin_exports
#include "plait/io/net/address.h"
#include "plait/io/net/connect.h"
#include "plait/io/net/datagram_protocol.h"
#include "plait/io/net/datagram_socket.h"
#include "plait/io/net/descriptor_passing.h"
#include "plait/io/net/endpoint.h"
#include "plait/io/net/listener.h"
#include "plait/io/net/partial_bytes.h"
#include "plait/io/net/pipe.h"
#include "plait/io/net/protocol.h"
#include "plait/io/net/send_file.h"
#include "plait/io/net/server.h"
#include "plait/io/net/socket_options.h"
#include "plait/io/net/socket_pair.h"
#include "plait/io/net/stdio.h"
#include "plait/io/net/stream.h"
// IWYU pragma: end_exports

#endif  // PLAIT_IO_NET_NET_H_
