#include "plait/io/net/connect_race.h"

#include <errno.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "plait/io/net/socket_error.h"
#include "plait/io/ops/operations.h"
#include "plait/io/system/errno_status.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/task/or_return.h"
#include "plait/runtime/time/timeout.h"

namespace plait::internal {
namespace {

std::string Naming(const SocketAddress& peer) {
  return absl::StrCat("connect to ", peer.ToString());
}

absl::Status CheckPeer(const SocketAddress& peer) {
  if (peer.family() == SocketAddress::Family::kNone) {
    return absl::InvalidArgumentError(absl::StrCat(Naming(peer), ": this is no address"));
  }
  if (peer.is_ip() && peer.port() == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(Naming(peer), ": the port is 0, where nobody listens"));
  }
  return absl::OkStatus();
}

absl::Status BindTo(const io::OwnedDescriptor& socket, const SocketAddress& local) {
  const int bound =
      sys::Calls().Bind(socket.get(), local.data(), static_cast<socklen_t>(local.size()));
  return ErrnoToStatus(bound, absl::StrCat("from ", local.ToString()));
}

// A port of this machine that nobody listens on may be the one that the system chose for the socket
// itself, which is then connected to itself (TCP's simultaneous open).
bool IsConnectedToItself(int fd, const SocketAddress& peer) {
  if (!peer.is_ip()) return false;
  SocketAddress own;
  ::sockaddr* const room = own.room();
  return sys::Calls().SocketName(fd, room, own.room_size()) >= 0 && own == peer;
}

}  // namespace

std::vector<SocketAddress> InterleaveFamilies(std::vector<SocketAddress> addresses) {
  std::vector<SocketAddress> queues[2];  // those of the first's family, and the others
  for (const SocketAddress& address : addresses) {
    queues[address.family() == addresses.front().family() ? 0 : 1].push_back(address);
  }
  std::vector<SocketAddress> mixed;
  mixed.reserve(addresses.size());
  for (size_t i = 0; mixed.size() < addresses.size(); ++i) {
    for (const std::vector<SocketAddress>& queue : queues) {
      if (i < queue.size()) mixed.push_back(queue[i]);
    }
  }
  return mixed;
}

Task<absl::StatusOr<io::OwnedDescriptor>> ConnectSocket(SocketAddress peer,
                                                        std::optional<SocketAddress> local) {
  co_await OrReturn(CheckPeer(peer));
  const int fd = sys::Calls().Socket(peer.system_family(), SOCK_STREAM, 0);
  if (fd < 0) co_return ErrnoToStatus(fd, Naming(peer));
  io::OwnedDescriptor socket(fd);
  absl::Status status = local.has_value() ? BindTo(socket, *local) : absl::OkStatus();
  if (!status.ok()) {
    status = absl::Status(status.code(), absl::StrCat(Naming(peer), " ", status.message()));
  } else {
    status = NameError(co_await io::Connect(fd, peer.data(), peer.size()), Naming(peer));
    if (status.ok() && IsConnectedToItself(fd, peer)) {
      status = ErrnoToStatus(-ECONNREFUSED, Naming(peer));
    }
  }
  if (status.ok()) co_return std::move(socket);
  const absl::Status closed = co_await socket.Close();
  static_cast<void>(closed);  // there was nothing to lose
  co_return status;
}

Task<absl::StatusOr<ConnectedSocket>> ConnectRace::Run(std::vector<SocketAddress> addresses) {
  if (addresses.empty()) co_return Error(absl::StatusCode::kNotFound, "there is no address to try");
  addresses_ = std::move(addresses);
  errors_.resize(addresses_.size());
  if (addresses_.size() == 1) {
    absl::StatusOr<io::OwnedDescriptor> socket =
        co_await ConnectSocket(addresses_.front(), options_.local);
    if (socket.ok()) co_return ConnectedSocket{*std::move(socket), addresses_.front()};
    errors_.front() = socket.status();
    if (absl::IsCancelled(socket.status()))
      co_return Error(absl::StatusCode::kCancelled, "cancelled");
    co_return AllFailed();
  }
  const absl::Status ended = co_await WithTaskGroup(
      [this](TaskGroup& group) -> Task<absl::Status> { return StartAttempts(group); });
  if (winner_.has_value()) co_return *std::move(winner_);
  if (absl::IsCancelled(ended)) co_return Error(absl::StatusCode::kCancelled, "cancelled");
  if (!ended.ok()) co_return NameError(ended, absl::StrCat("connect to ", target_));
  co_return AllFailed();
}

Task<absl::Status> ConnectRace::StartAttempts(TaskGroup& group) {
  for (size_t i = 0; i < addresses_.size(); ++i) {
    failed_.Clear();
    group.Spawn(Attempt(group, i), {.name = "connect"});
    if (i + 1 == addresses_.size()) break;
    const absl::Status waited = co_await Timeout(options_.attempt_delay, failed_.Wait());
    // Cancelled: somebody has won, or nobody wants the connection any more.
    if (!waited.ok() && !absl::IsDeadlineExceeded(waited)) co_return waited;
  }
  co_return absl::OkStatus();
}

Task<void> ConnectRace::Attempt(TaskGroup& group, size_t index) {
  const SocketAddress& peer = addresses_[index];
  absl::StatusOr<io::OwnedDescriptor> socket = co_await ConnectSocket(peer, options_.local);
  if (!socket.ok()) {
    Failed(index, socket.status());
  } else if (Won(*socket, peer)) {
    group.Cancel();
  } else {
    const absl::Status closed = co_await socket->Close();
    static_cast<void>(closed);
  }
}

bool ConnectRace::Won(io::OwnedDescriptor& socket, const SocketAddress& peer) {
  const SpinLockHolder hold(lock_);
  if (winner_.has_value()) return false;
  winner_ = ConnectedSocket{std::move(socket), peer};
  return true;
}

void ConnectRace::Failed(size_t index, absl::Status error) {
  {
    const SpinLockHolder hold(lock_);
    errors_[index] = std::move(error);
  }
  failed_.Set();
}

std::vector<absl::Status> ConnectRace::errors() const {
  const SpinLockHolder hold(lock_);
  std::vector<absl::Status> errors;
  for (const absl::Status& error : errors_) {
    // One that was cut short has nothing to say.
    if (!error.ok() && !absl::IsCancelled(error)) errors.push_back(error);
  }
  return errors;
}

absl::Status ConnectRace::Error(absl::StatusCode code, absl::string_view headline) const {
  std::string message = absl::StrCat("connect to ", target_, ": ", headline);
  absl::string_view separator = ": ";
  for (const absl::Status& error : errors()) {
    absl::StrAppend(&message, separator, error.message());
    separator = "; ";
  }
  return absl::Status(code, message);
}

absl::Status ConnectRace::AllFailed() const {
  const std::vector<absl::Status> all = errors();
  if (all.size() == 1 && addresses_.front().ToString() == target_) return all.front();
  // Where one of them may be there another time, so may all of it.
  const bool later = std::any_of(
      all.begin(), all.end(), [](const absl::Status& error) { return absl::IsUnavailable(error); });
  return Error(later ? absl::StatusCode::kUnavailable : all.front().code(),
               all.size() == 1 ? absl::StrCat("its address failed")
                               : absl::StrCat("all ", all.size(), " addresses failed"));
}

Task<absl::StatusOr<ConnectedSocket>> RunWithin(
    absl::Duration timeout, std::string target, ConnectRace::Options options,
    Task<absl::StatusOr<std::vector<SocketAddress>>> addresses) {
  const absl::Duration delay = options.attempt_delay;
  if (timeout < absl::ZeroDuration() || delay < absl::ZeroDuration()) {
    co_return absl::InvalidArgumentError(
        absl::StrCat("connect to ", target, ": the ",
                     timeout < absl::ZeroDuration() ? "timeout" : "attempt delay",
                     " is negative: ", absl::FormatDuration(std::min(timeout, delay))));
  }
  ConnectRace race(std::move(target), std::move(options));
  bool cut_short = false;
  const auto run = [&]() -> Task<absl::StatusOr<ConnectedSocket>> {
    absl::StatusOr<std::vector<SocketAddress>> found = co_await std::move(addresses);
    if (!found.ok()) {
      cut_short = absl::IsCancelled(found.status());
      co_return found.status();
    }
    absl::StatusOr<ConnectedSocket> connected = co_await race.Run(*std::move(found));
    cut_short = absl::IsCancelled(connected.status());
    co_return std::move(connected);
  };
  if (timeout == absl::InfiniteDuration()) co_return co_await run();
  absl::StatusOr<ConnectedSocket> connected = co_await Timeout(timeout, run());
  if (cut_short && absl::IsDeadlineExceeded(connected.status())) {
    co_return race.Error(absl::StatusCode::kDeadlineExceeded,
                         absl::StrCat("no connection within ", absl::FormatDuration(timeout)));
  }
  co_return std::move(connected);
}

}  // namespace plait::internal
