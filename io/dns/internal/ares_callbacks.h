// What AresChannel and c-ares share: queries, sockets, and the functions that c-ares calls.
#ifndef PLAIT_IO_DNS_INTERNAL_ARES_CALLBACKS_H_
#define PLAIT_IO_DNS_INTERNAL_ARES_CALLBACKS_H_

// We stand on what c-ares 1.18 has and 1.34 has too; the latter warns of some of it.
#define CARES_NO_DEPRECATED 1
#include <ares.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <cstddef>

#include "plait/io/dns/internal/ares_channel.h"
#include "plait/io/net/address.h"
#include "plait/runtime/core/io_operation.h"
#include "plait/runtime/core/reactor.h"

namespace plait::internal {

// What c-ares works on for a lookup. Ours until c-ares calls back, which it always does.
struct AresChannel::Query {
  AresChannel* channel;
  Lookup* lookup;         // null once it was abandoned
  SocketAddress address;  // whose name is asked for, if it is
};

// A descriptor that is waited for. Goes when its close is delivered.
struct AresChannel::Socket {
  struct Operation : IoCall {
    Operation(Socket& of, RunFunction run, IoOpcode code) : IoCall(run), owner(of) {
      opcode = code;
      fd = of.fd;
    }

    Socket& owner;
    bool in_flight = false;
    bool wanted = false;
  };

  Socket(AresChannel& owner, int number)
      : channel(owner),
        fd(number),
        readable(*this, &Polled, IoOpcode::kPoll),
        writable(*this, &Polled, IoOpcode::kPoll),
        retirement(*this, &Closed, IoOpcode::kClose) {
    readable.args.events = kPollReadable;
    writable.args.events = kPollWritable;
  }

  void PollIfWanted(Operation& poll, Reactor& reactor) noexcept {
    if (!poll.wanted || poll.in_flight) return;
    poll.in_flight = true;
    reactor.Submit(poll);
  }

  static void Polled(WorkItem& item) noexcept {
    auto& poll = static_cast<Operation&>(item);
    Socket& socket = poll.owner;
    poll.in_flight = false;
    if (socket.closing) return;  // to be freed when that is delivered
    if (poll.result < 0) return socket.channel.Fail(poll.result);
    const bool reads = &poll == &socket.readable;
    if (!poll.wanted) return;
    socket.channel.Process(reads ? socket.fd : ARES_SOCKET_BAD,
                           reads ? ARES_SOCKET_BAD : socket.fd);
  }

  static void Closed(WorkItem& item) noexcept {
    Socket* const socket = &static_cast<Operation&>(item).owner;
    AresChannel& channel = socket->channel;
    delete socket;
    --channel.closing_;
    channel.ReleaseLingering();
  }

  AresChannel& channel;
  const int fd;
  bool closing = false;
  Operation readable;
  Operation writable;
  Operation retirement;  // closes it
};

// errno is how c-ares hears of errors.
struct AresChannel::Callbacks {
  // Takes `query`, and so the lookup that waits for it; null when nobody does.
  static Lookup* Take(void* query);

  // Answers.
  static void OnAddresses(void* query, int status, int timeouts, ares_addrinfo* found);
  static void OnName(void* query, int status, int timeouts, unsigned char* reply, int size);

  // What a socket waits for from now on.
  static void OnSocketState(void* channel, ares_socket_t fd, int read, int write);

  // System calls.
  static ares_socket_t Open(int domain, int type, int protocol, void* channel);
  static int Close(ares_socket_t fd, void* channel);
  static int Connect(ares_socket_t fd, const sockaddr* address, ares_socklen_t size, void* channel);
  static ares_ssize_t Receive(ares_socket_t fd, void* data, size_t size, int flags, sockaddr* from,
                              ares_socklen_t* from_size, void* channel);
  static ares_ssize_t Send(ares_socket_t fd, const iovec* parts, int count, void* channel);

  static constexpr ares_socket_functions kSystemCalls{&Open, &Close, &Connect, &Receive, &Send};
};

}  // namespace plait::internal

#endif  // PLAIT_IO_DNS_INTERNAL_ARES_CALLBACKS_H_
