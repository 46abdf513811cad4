// Server and Serve: a task for each connection that a Listener takes. (asyncio: start_server,
// Server.)
//
//   plait::Task<absl::Status> Echo(plait::Stream stream) {
//     std::array<char, 16 * 1024> buffer;
//     for (;;) {
//       const size_t size = co_await plait::OrReturn(stream.Read(absl::MakeSpan(buffer)));
//       if (size == 0) co_return co_await stream.Close();
//       co_await plait::OrReturn(stream.Write(absl::string_view(buffer.data(), size)));
//     }
//   }
//   plait::Task<absl::Status> Main() {
//     plait::Listener listener = co_await plait::OrReturn(plait::Listen("127.0.0.1:8080"));
//     co_return co_await plait::Serve(std::move(listener), Echo);
//   }
//
// The handler is called with each Stream and gives a Task<absl::Status> or a Task<void>. It may be
// a lambda with captures: it is kept until every connection has ended. It closes its stream, or
// lets it go, which drops what was not sent.
//
// Errors of a handler (an exception is one) end its connection only, and are told to
// ServerOptions::on_error. Where descriptors run out, accepting waits; see listener.h.
//
// The end. Stop takes no more connections and lets those that there are go on for
// ServerOptions::grace; then their handlers are cancelled. A cancel of the task that serves cancels
// them at once, or, with drain_on_cancel, is as a Stop. Either way the listener is closed first,
// and Serve returns when every handler has ended.
//
// Threads: a Server runs on one executor. Where that has several threads the connections are spread
// over them; handlers then run side by side, and so does what `handler` does before it gives a
// Task. Stop, CloseClients and AbortClients may be called from any thread, also where nobody serves
// yet or any more. For several executors run a Server in each, with ListenOptions::reuse_port.
// Cost: a connection is a task, whose coroutine is the handler's own, and so two blocks of memory
// and what its Stream has; one that ended leaves nothing.
#ifndef PLAIT_IO_NET_SERVER_H_
#define PLAIT_IO_NET_SERVER_H_

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <type_traits>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "plait/io/net/accept_shots.h"
#include "plait/io/net/address.h"
#include "plait/io/net/listener.h"
#include "plait/io/net/stream.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/deadline.h"
#include "plait/runtime/core/task_registry.h"
#include "plait/runtime/sync/event.h"
#include "plait/runtime/sync/semaphore.h"
#include "plait/runtime/task/result.h"
#include "plait/runtime/task/task.h"
#include "plait/runtime/task/task_group.h"
#include "plait/runtime/task/task_state.h"

namespace plait {

struct ServerOptions {
  // So many connections at once; at this number none is accepted until one has ended, and those
  // that come wait in the system's queue (ListenOptions::backlog). 0: no limit; they are then taken
  // as they come, all of a burst at once where the reactor can do that (io_uring), and those that
  // were taken so and are not served yet when it stops are closed.
  size_t max_connections = 0;
  // How long connections may go on after Stop. absl::InfiniteDuration(): as long as they like.
  absl::Duration grace = absl::Seconds(30);
  // A cancel is as a Stop: for servers that end well on SIGINT.
  bool drain_on_cancel = false;
  // Told of a handler's error, with the peer (kUnix without a name, where that is no IP address and
  // the stream is closed by then), and, with no address, of what keeps the server from accepting,
  // or of a connection that it has dropped, and goes on, as its peer could not be asked for. Not of
  // absl::CancelledError. On a thread of the server's executor, one call at a time; it does not
  // block. Null, or one that throws: the executor's reports (RunOptions::on_report, or a line on
  // standard error).
  std::function<void(const absl::Status& error, const SocketAddress& peer)> on_error;
};

namespace internal {

using ConnectionHandler = absl::AnyInvocable<Task<absl::Status>(Stream)>;

template <class F>
concept HandlesConnections = std::same_as<std::invoke_result_t<F&, Stream>, Task<absl::Status>> ||
                             std::same_as<std::invoke_result_t<F&, Stream>, Task<void>>;

// `handler`, called with a Stream, must give a Task<absl::Status> or a Task<void>.
template <HandlesConnections F>
ConnectionHandler ToConnectionHandler(F handler) {
  if constexpr (std::same_as<std::invoke_result_t<F&, Stream>, Task<absl::Status>>) {
    return ConnectionHandler(std::move(handler));
  } else {
    return [handler = std::move(handler)](Stream stream) mutable -> Task<absl::Status> {
      co_await handler(std::move(stream));
      co_return absl::OkStatus();
    };
  }
}

}  // namespace internal

class Server {
 public:
  template <internal::HandlesConnections F>
  Server(Listener listener, F handler, ServerOptions options = {})
      : Server(std::move(listener), internal::ToConnectionHandler(std::move(handler)),
               std::move(options), Made()) {}
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  // Not while it serves (CHECK).
  ~Server();

  // co_await: once. Takes connections until it is stopped, cancelled, or the listener fails for
  // good, and returns when all handlers have ended. OK after a Stop, as which counts that somebody
  // closes the listener; DeadlineExceeded when handlers had to be cut short at the end of the
  // grace; absl::CancelledError after a cancel, unless drain_on_cancel; else the listener's error,
  // after the grace as well.
  Task<absl::Status> Serve();

  // Takes no more connections, and ends when there are none.
  void Stop() noexcept { Ask(kStop); }
  // Closes every connection that there is now in good order: what its stream has accepted is sent,
  // whatever its handler does meanwhile but Abort, and the handler's writes end at once, its reads
  // at the latest then, with absl::CancelledError; a Flush or Close goes on. It counts as a
  // connection until then: a peer that reads nothing keeps it, to the end of the grace after Stop,
  // or, where this comes later, until it is aborted. Where the handler has another executor use the
  // stream, that one closes it when it has sent what was accepted; until the handler has ended it
  // counts, and can be aborted.
  void CloseClients() noexcept { Ask(kClose); }
  // The same at once: what was not sent is dropped, and TCP peers are told by a reset.
  void AbortClients() noexcept { Ask(kAbort); }

  SocketAddress local_address() const { return listener_.local_address(); }
  // How many there are now. Any thread.
  size_t connections() const noexcept { return count_.load(internal::kRelaxed); }

  // For Serve.
  static Task<absl::Status> ServeOn(Listener listener, internal::ConnectionHandler handler,
                                    ServerOptions options);
  static Listener Share(const Listener& listener) { return listener.Share(); }

 private:
  struct Made {};
  class Connection;
  struct Closing;
  struct Groups {
    TaskGroup connections;  // Connections only
    TaskGroup others;       // that accept and close them
    TaskGroup last;         // and close them when those were cancelled
  };
  // kFailed: accept_error_ is there.
  enum Request : uint8_t { kStop = 1, kCancel = 2, kClose = 4, kAbort = 8, kFailed = 16 };

  Server(Listener listener, internal::ConnectionHandler handler, ServerOptions options, Made);

  // Any thread: wakes Run for it.
  void Ask(uint8_t request) noexcept;
  bool Asked(uint8_t requests) const noexcept {
    return (requests_.load(internal::kAcquire) & requests) != 0;
  }

  Task<absl::Status> Run();
  Task<void> AcceptConnections(TaskGroup& connections);
  Task<void> AcceptInto(TaskGroup& connections, internal::AcceptShots* shots);
  Task<SemaphoreGuard> AwaitPlace();
  Task<absl::Status> Handle(Stream stream);
  // co_await: until `done`, and true; or until `grace` is over, and false.
  template <class Done>
  Task<bool> RunUntil(Groups& groups, absl::Duration grace, Done done);
  void CloseOrAbort(Groups& groups);
  Task<void> CloseConnection(internal::TaskRef<Connection> connection);
  void Report(const absl::Status& error, const SocketAddress& peer);

  Listener listener_;
  internal::ConnectionHandler handler_;
  const ServerOptions options_;
  Semaphore places_;
  internal::TaskRegistry closing_;          // Closings
  internal::Atomic<size_t> count_{0};       // of connections that run
  internal::Atomic<size_t> unfinished_{0};  // and of those that were accepted and do not run yet
  internal::Atomic<uint8_t> requests_{0};
  Event wake_;  // Run has something to look at
  bool served_ = false;
  Groups* serving_ = nullptr;
  // Run wants to know when the last connection has gone. Sequentially consistent with
  // unfinished_: Run sees that none is left, or the last one sees this.
  internal::Atomic<bool> ending_{false};
  absl::Mutex reporting_;
  absl::Status accept_error_;
};

// co_await: serves until the task is cancelled or the listener fails, and closes the listener. An
// lvalue stays the caller's, for its address, and to be closed.
template <internal::HandlesConnections F>
Task<absl::Status> Serve(Listener&& listener, F handler, ServerOptions options = {}) {
  return Server::ServeOn(std::move(listener), internal::ToConnectionHandler(std::move(handler)),
                         std::move(options));
}
template <internal::HandlesConnections F>
Task<absl::Status> Serve(Listener& listener, F handler, ServerOptions options = {}) {
  return Serve(Server::Share(listener), std::move(handler), std::move(options));
}

}  // namespace plait

#endif  // PLAIT_IO_NET_SERVER_H_
