#include "plait/io/net/server.h"

#include <sys/socket.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "plait/io/net/stream_at_home.h"
#include "plait/io/net/stream_state.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/core/executor.h"
#include "plait/runtime/core/report.h"
#include "plait/runtime/core/thread_state.h"
#include "plait/runtime/core/worker.h"
#include "plait/runtime/task/describe_exception.h"
#include "plait/runtime/task/result.h"
#include "plait/runtime/task/select.h"
#include "plait/runtime/task/stop_token.h"
#include "plait/runtime/task/task_context.h"
#include "plait/runtime/task/uncancellable.h"
#include "plait/runtime/time/timeout.h"

namespace plait {
namespace {

constexpr TaskName kConnection{"connection"};

// A Semaphore's; whoever asks for more means that there is no limit.
constexpr size_t kMostPlaces = size_t{1} << 60;

// Ends the connection itself, which another descriptor of it (a SendFile's, say) would keep: by a
// reset, or, where the system sends one only when the last of them is closed, by both.
void EndConnection(int fd) noexcept {
  ::sockaddr nobody{};
  nobody.sa_family = AF_UNSPEC;
  if (sys::Calls().Connect(fd, &nobody, sizeof(nobody)) >= 0) return;
  const ::linger at_once{.l_onoff = 1, .l_linger = 0};
  static_cast<void>(
      sys::Calls().SetSocketOption(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)));
  static_cast<void>(sys::Calls().Shutdown(fd, SHUT_RDWR));
}

// At the stream's home, where that is this executor's: elsewhere the descriptor's number may be
// another's by then.
Task<void> AbortConnection(internal::StreamRef stream) {
  co_await internal::StreamState::AtHome(*stream.get(), [&] {
    if (stream->fd() < 0) return;  // closed already
    stream->AbortForOwner(EndConnection);
  });
}

Task<absl::Status> Failed(absl::Status status) { co_return status; }

SocketAddress UnnamedUnix() noexcept {
  ::sockaddr unnamed{};
  unnamed.sa_family = AF_UNIX;
  return SocketAddress::FromSystem(&unnamed, sizeof(sa_family_t)).value_or(SocketAddress());
}

Deadline Now() noexcept {
  Worker* const worker = Worker::Current();
  return worker == nullptr ? Deadline() : worker->clock().Now();
}

}  // namespace

// One that is being served: its task, whose coroutine is the handler's, and what the server has to
// know of it. One block of memory, as there may be very many.
//
//   accepted --its task begins--> served --its handler ends--------------> over
//                                    \                                     ^
//                                     closing (CloseConnection) --both end-/
class Server::Connection final : public internal::TaskState {
 public:
  Connection(Server& server, Stream stream) noexcept
      : TaskState(&Begin), server_(server), stream_(std::move(stream.state_)) {
    set_name(kConnection);
  }

  const internal::StreamRef& stream() const noexcept { return stream_; }
  // True if CloseConnection is to be called, and is not to be a second time.
  bool BeginClosing() noexcept {
    uint8_t served = kServed;
    return phase_.compare_exchange_strong(served, kServed | kClosing, internal::kRelaxed,
                                          internal::kRelaxed);
  }
  // And nothing more: neither being closed nor over.
  bool served() const noexcept { return phase_.load(internal::kRelaxed) == kServed; }

  // From CloseConnection.
  void Closed() noexcept {
    const uint8_t phase =
        phase_.fetch_and(static_cast<uint8_t>(~uint8_t{kClosing}), internal::kRelaxed);
    if ((phase & kHandled) != 0) Count();
  }

  // How it ends is its server's to tell, and no failure of the group.
  absl::Status error() const override { return absl::OkStatus(); }
  std::exception_ptr exception() const override { return nullptr; }
  const internal::PromiseBase* coroutine() const noexcept override {
    return static_cast<const internal::PromiseBase*>(result_.pending());
  }

 private:
  static void Begin(WorkItem& item) noexcept {
    auto& self = static_cast<Connection&>(item);
    self.server_.count_.fetch_add(1, internal::kRelaxed);
    self.phase_.store(kServed, internal::kRelaxed);
    const TaskContext* const outer = std::exchange(internal::thread_state.context, &self.context());
    internal::TaskPromise<absl::Status>* const coroutine =
        self.server_.Handle(Stream(self.stream_)).Release();
    internal::thread_state.context = outer;
    PLAIT_CHECK(coroutine != nullptr,
                "a handler gave a Task that was moved from or awaited before");
    coroutine->result = &self.result_;
    self.result_.SetPending(static_cast<internal::PromiseBase*>(coroutine));
    self.Take(*coroutine);
    self.StartWith(*coroutine);
  }

  internal::TaskRegistry* siblings() noexcept override {
    return &server_.serving_->connections.children();
  }
  void DropCoroutine() noexcept override {}  // it has none before it begins
  bool SetStatusResult(absl::Status) override { return false; }
  TaskObserver::Ending HowItEnded() override {
    using Ending = TaskObserver::Ending;
    if (!result_.has_value() || !result_.value().ok()) Report();
    if ((phase_.fetch_or(kHandled, internal::kRelaxed) & kClosing) == 0) Count();
    return cancel_requested() ? Ending::kCancelled : Ending::kOk;
  }

  void Report() noexcept {
    const absl::Status ended =
        result_.has_value() ? result_.value()
                            : absl::InternalError(internal::DescribeException(result_.exception()));
    if (absl::IsCancelled(ended)) return;
    // The server's ear for errors may do what tasks may.
    const TaskContext* const outer = std::exchange(internal::thread_state.context, &context());
    // A stream that is closed knows its peer only where that has an IP address.
    const absl::StatusOr<SocketAddress> peer = stream_->PeerAddress();
    server_.Report(ended, peer.ok() ? *peer : UnnamedUnix());
    internal::thread_state.context = outer;
  }

  // It is over. The server may be gone after this, but for the group's task that this runs in.
  void Count() noexcept {
    server_.count_.fetch_sub(1, internal::kRelaxed);
    if (server_.options_.max_connections > 0) server_.places_.Release();
    const bool last = server_.unfinished_.fetch_sub(1, internal::kSeqCst) == 1;
    if (last && server_.ending_.load(internal::kSeqCst)) server_.wake_.Set();
  }

  // Bits of phase_; none: accepted.
  enum Phase : uint8_t {
    kServed = 1,
    kClosing = 2,  // CloseConnection has this
    kHandled = 4,  // the handler has ended
  };

  Server& server_;
  const internal::StreamRef stream_;  // also when the handler's Stream has gone
  [[no_unique_address]] internal::Result<absl::Status> result_;  // ends with padding
  // Relaxed: it tells which of the two ends last, and no more. What they have done is seen by who
  // joins their groups, and the stream by who finds this in its group.
  internal::Atomic<uint8_t> phase_{0};
};

// Of one that is being closed, also when its handler has ended. In CloseConnection's frame.
struct Server::Closing : internal::TaskLink {
  internal::StreamRef stream;
};

Server::Server(Listener listener, internal::ConnectionHandler handler, ServerOptions options, Made)
    : listener_(std::move(listener)),
      handler_(std::move(handler)),
      options_(std::move(options)),
      places_(static_cast<int64_t>(std::min(options_.max_connections, kMostPlaces))) {}

Server::~Server() { PLAIT_CHECK(serving_ == nullptr, "a Server was destroyed while it served"); }

void Server::Ask(uint8_t request) noexcept {
  requests_.fetch_or(request, internal::kAcqRel);
  wake_.Set();
}

Task<absl::Status> Server::Serve() {
  if (std::exchange(served_, true)) {
    co_return absl::FailedPreconditionError("serve: a Server serves once");
  }
  if (options_.grace < absl::ZeroDuration()) {
    co_return absl::InvalidArgumentError(
        absl::StrCat("serve: the grace is negative: ", absl::FormatDuration(options_.grace)));
  }
  const auto cancel = [this] { Ask(options_.drain_on_cancel ? kStop : kCancel); };
  const StopCallback on_cancel(CurrentStopToken(), cancel);
  co_return co_await Uncancellable(Run());
}

Task<absl::Status> Server::Run() {
  Groups groups;
  serving_ = &groups;
  const absl::Cleanup served = [this] { serving_ = nullptr; };
  JoinHandle<void> accepting =
      groups.others.Spawn(AcceptConnections(groups.connections), {.name = "accept"});
  const auto stops = [this] { return Asked(kStop | kCancel | kFailed); };
  co_await RunUntil(groups, absl::InfiniteDuration(), stops);
  ending_.store(true, internal::kSeqCst);
  accepting.Cancel();
  const absl::Status closed = co_await listener_.Close();
  static_cast<void>(closed);  // nothing is lost with it
  co_await accepting;
  const auto gone = [this] { return Asked(kCancel) || unfinished_.load(internal::kSeqCst) == 0; };
  const bool in_time = co_await RunUntil(groups, options_.grace, gone);
  const size_t cut_short = unfinished_.load(internal::kSeqCst);
  for (TaskGroup* const group : {&groups.connections, &groups.others}) group->Cancel();
  // A handler may go on in spite of that: its client can still be closed or aborted.
  const auto all_gone = [this] { return unfinished_.load(internal::kSeqCst) == 0; };
  co_await RunUntil(groups, absl::InfiniteDuration(), all_gone);
  for (TaskGroup* const group : {&groups.connections, &groups.others, &groups.last}) {
    const absl::Status joined = co_await group->Join();
    static_cast<void>(joined);  // none of its tasks can fail
  }
  if (!accept_error_.ok()) co_return accept_error_;
  if (Asked(kCancel)) co_return absl::CancelledError("serve: cancelled");
  if (in_time) co_return absl::OkStatus();
  co_return absl::DeadlineExceededError(
      absl::StrCat("serve: ", cut_short, " of the connections did not end within ",
                   absl::FormatDuration(options_.grace), " and were cut short"));
}

template <class Done>
Task<bool> Server::RunUntil(Groups& groups, absl::Duration grace, Done done) {
  const Deadline deadline = Now() + grace;
  for (;;) {
    wake_.Clear();
    CloseOrAbort(groups);
    if (done()) co_return true;
    const absl::Duration left = grace == absl::InfiniteDuration() ? grace : deadline.Since(Now());
    const absl::Status waited = co_await Timeout(left, wake_.Wait());
    if (!waited.ok()) co_return done();
  }
}

void Server::CloseOrAbort(Groups& groups) {
  const uint8_t asked =
      requests_.fetch_and(static_cast<uint8_t>(~(kClose | kAbort)), internal::kAcqRel);
  if ((asked & (kClose | kAbort)) == 0) return;
  std::vector<internal::StreamRef> aborted;
  std::vector<internal::TaskRef<Connection>> closed;
  // Memory is had without the registry's lock.
  aborted.reserve(connections());
  closed.reserve(connections());
  groups.connections.children().ForEach([&](internal::TaskLink& link) {
    auto& each = static_cast<Connection&>(static_cast<internal::TaskState&>(link));
    if (!each.served() || each.stream()->fd() < 0) return;  // closed already
    if ((asked & kAbort) != 0) {
      aborted.push_back(each.stream());
    } else if (each.BeginClosing()) {
      each.Ref();
      closed.emplace_back(&each);
    }
  });
  if ((asked & kAbort) != 0) {
    closing_.ForEach(
        [&](internal::TaskLink& link) { aborted.push_back(static_cast<Closing&>(link).stream); });
  }
  TaskGroup& closers = groups.others.closing() ? groups.last : groups.others;
  // Eager: from here on the handler's Stream, where it goes, drops nothing.
  const SpawnOptions options{.name = "close", .eager = true};
  for (internal::StreamRef& each : aborted)
    closers.Spawn(AbortConnection(std::move(each)), options);
  for (internal::TaskRef<Connection>& each : closed) {
    closers.Spawn(CloseConnection(std::move(each)), options);
  }
}

Task<void> Server::CloseConnection(internal::TaskRef<Connection> connection) {
  Closing closing;
  closing.stream = connection->stream();
  closing_.Add(closing);
  const absl::Status closed = co_await internal::StreamState::CloseForOwner(connection->stream());
  static_cast<void>(closed);  // its handler hears of it, if anybody
  closing_.Remove(closing);
  connection->Closed();
}

Task<void> Server::AcceptConnections(TaskGroup& connections) {
  if (!listener_.is_open() || options_.max_connections > 0) {
    // To the connection: what a multishot takes, it takes from others who may have room for it.
    co_return co_await AcceptInto(connections, nullptr);
  }
  internal::AcceptShots shots = Listener::ShotsOf(listener_.state_);
  co_await AcceptInto(connections, &shots);
  co_await shots.Stop();
}

Task<void> Server::AcceptInto(TaskGroup& connections, internal::AcceptShots* shots) {
  static_assert(sizeof(Connection) <= 136, "there may be very many");
  const Listener::ErrorHandler on_error = [this](const absl::Status& error) {
    Report(error, SocketAddress());
  };
  const bool was_open = listener_.is_open();
  for (;;) {
    SemaphoreGuard place;
    if (options_.max_connections > 0) {
      place = places_.TryAcquire();
      if (!place.ok()) place = co_await AwaitPlace();
      // Cancelled, or somebody has closed the listener.
      if (!place.ok()) co_return Ask(kStop);
    }
    absl::StatusOr<Stream> stream = co_await Listener::AcceptOn(listener_.state_, &on_error, shots);
    if (!stream.ok()) {
      if (ending_.load(internal::kSeqCst)) co_return;
      // Somebody has closed the listener: in the midst of this, or before it began.
      const bool closed = was_open && !listener_.is_open();
      if (closed || absl::IsCancelled(stream.status())) co_return Ask(kStop);
      accept_error_ = stream.status();
      co_return Ask(kFailed);
    }
    unfinished_.fetch_add(1, internal::kSeqCst);
    place.Keep();  // the connection gives it back
    const internal::TaskRef<Connection> connection(new Connection(*this, *std::move(stream)));
    connections.StartChild(*connection, {});
  }
}

// Not for longer than the listener is open, which was accepted from.
Task<SemaphoreGuard> Server::AwaitPlace() {
  auto either = co_await Select(places_.Acquire(), Listener::ClosedOf(listener_.state_).Wait());
  co_return std::move(either.get<0>());
}

Task<absl::Status> Server::Handle(Stream stream) {
  // A handler that is no coroutine may throw before it gives a Task.
  internal::Result<Task<absl::Status>> made;
  made.Capture([&] { return handler_(std::move(stream)); });
  if (made.has_value()) return made.Take();
  return Failed(absl::InternalError(internal::DescribeException(made.exception())));
}

void Server::Report(const absl::Status& error, const SocketAddress& peer) {
  std::string on_error_threw;
  if (options_.on_error) {
    const absl::MutexLock hold(&reporting_);
    internal::Result<void> told;
    told.Capture([&] { options_.on_error(error, peer); });
    if (told.has_value()) return;
    on_error_threw =
        absl::StrCat(", and on_error threw ", internal::DescribeException(told.exception()));
  }
  const std::string whose =
      peer.family() == SocketAddress::Family::kNone
          ? std::string("a server has not accepted: ")
          : absl::StrCat("the handler of a connection from ", peer.ToString(), " failed: ");
  TaskContext::Current()->executor->hooks().Tell(
      plait::Report{.kind = ReportKind::kErrorNeverRetrieved,
                    .task_name = "server",
                    .message = absl::StrCat(whose, error.ToString(), on_error_threw)});
}

Task<absl::Status> Server::ServeOn(Listener listener, internal::ConnectionHandler handler,
                                   ServerOptions options) {
  Server server(std::move(listener), std::move(handler), std::move(options), Made());
  co_return co_await server.Serve();
}

}  // namespace plait
