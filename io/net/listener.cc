#include "plait/io/net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "plait/io/net/socket_error.h"
#include "plait/io/ops/operations.h"
#include "plait/io/ops/owned_descriptor.h"
#include "plait/io/system/errno_status.h"
#include "plait/io/system/file_status.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/deadline.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/core/worker.h"
#include "plait/runtime/core/worker_group.h"
#include "plait/runtime/sync/event.h"
#include "plait/runtime/task/or_return.h"
#include "plait/runtime/time/timeout.h"

namespace plait {
namespace {

// Between two tries while the system has no room: at most ten a second.
constexpr absl::Duration kPause = absl::Milliseconds(100);
// So many broken connections in a row are passed over without a pause.
constexpr int kMostPassedOver = 16;

std::string Naming(const SocketAddress& address) {
  return absl::StrCat("listen on ", address.ToString());
}

std::optional<FileStatus> StatusOf(const std::string& path) {
  sys::RawFileStatus raw;
  if (sys::Calls().Status(AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW, &raw) < 0) {
    return std::nullopt;
  }
  return sys::Decode(raw);
}

void RemovePath(const std::string& path) noexcept {
  static_cast<void>(sys::Calls().Unlink(AT_FDCWD, path.c_str(), 0));
}

int TurnOn(int fd, int level, int option, bool on) {
  const int value = on ? 1 : 0;
  return sys::Calls().SetSocketOption(fd, level, option, &value, sizeof(value));
}

int SetOptions(int fd, const SocketAddress& address, const ListenOptions& options) {
  if (!address.is_ip()) return 0;
  int result = 0;
  if (options.reuse_address) result = TurnOn(fd, SOL_SOCKET, SO_REUSEADDR, true);
  if (result >= 0 && options.reuse_port) result = TurnOn(fd, SOL_SOCKET, SO_REUSEPORT, true);
  // Whatever the system's own default is.
  if (result >= 0 && address.family() == SocketAddress::Family::kIpv6) {
    result = TurnOn(fd, IPPROTO_IPV6, IPV6_V6ONLY, options.ipv6_only);
  }
  // Connections inherit it, so that it costs them nothing.
  if (result >= 0 && options.no_delay) result = TurnOn(fd, IPPROTO_TCP, TCP_NODELAY, true);
  return result;
}

// A Unix socket's file on which nobody listens. To ask does not wait.
bool IsStale(const SocketAddress& address, const std::string& path) {
  const std::optional<FileStatus> status = StatusOf(path);
  if (!status.has_value() || status->kind != FileKind::kSocket) return false;
  const int fd = sys::Calls().Socket(AF_UNIX, SOCK_STREAM, 0);
  if (fd < 0) return false;
  const int asked =
      sys::Calls().Connect(fd, address.data(), static_cast<socklen_t>(address.size()));
  sys::Calls().Close(fd);
  return asked == -ECONNREFUSED;
}

int Bind(int fd, const SocketAddress& address, const ListenOptions& options) {
  const auto try_it = [&] {
    return sys::Calls().Bind(fd, address.data(), static_cast<socklen_t>(address.size()));
  };
  const int bound = try_it();
  const std::string path(address.unix_path());
  if (bound != -EADDRINUSE || path.empty() || !options.replace_stale_path) return bound;
  if (!IsStale(address, path)) return bound;
  RemovePath(path);
  return try_it();
}

// Connections that came to one worker of a group would all be at home with that. One without a
// reactor is passed over: a spare that is about to begin.
void SettleInTurn(int fd) noexcept {
  Worker* const here = Worker::Current();
  if (here == nullptr || here->group() == nullptr) return;
  Worker* home = &here->group()->Next();
  while (home->reactor() == nullptr && home != here) home = &here->group()->Next();
  static_cast<void>(here->group()->HomeOf(fd, *home));
}

// 0, or -errno: ENOTCONN where it has gone again.
int AskForPeer(int fd, SocketAddress& peer) noexcept {
  ::sockaddr* const room = peer.room();
  return sys::Calls().PeerName(fd, room, peer.room_size());
}

// Nothing that will pass by itself: cancelled, closed, no listener, no reactor (0). By its number,
// as an accept also tells of what is wrong with the network, or with that connection, in the words
// of what is wrong with the call (ENOPROTOOPT; see accept(2)).
bool IsFinal(int error) {
  switch (error) {
    case 0:
    case ECANCELED:
    case EBADF:
    case EINVAL:
    case ENOTSOCK:
    case EFAULT:
      return true;
    default:
      return false;
  }
}

}  // namespace

// Tasks may be at it on several threads at once.
struct Listener::State {
  ~State() { RemoveOwnPath(); }

  // Ends what waits, and hands the descriptor out for its close: to one of those who ask.
  io::OwnedDescriptor TakeDescriptor() {
    if (taken.exchange(true, internal::kAcqRel)) return {};
    RemoveOwnPath();
    closed.Set();
    return std::move(descriptor);
  }

  void RemoveOwnPath() noexcept {
    if (path.empty()) return;
    const std::optional<FileStatus> now = StatusOf(path);
    const bool still_ours =
        now.has_value() && now->inode == file.inode && now->device == file.device;
    if (still_ours) RemovePath(path);
    path.clear();
  }

  // There is no room: from now on each try waits for its turn. Whether that is news.
  bool RunShort() noexcept {
    const internal::SpinLockHolder hold(lock);
    if (short_of_room.load(internal::kRelaxed)) return false;
    next_try = Now() + kPause;
    short_of_room.store(true, internal::kRelaxed);
    return true;
  }

  // How long until there is a turn; 0: it is taken. A turn is taken when it is there, not before:
  // one that was given up would be lost to the others.
  absl::Duration TakeTurn() noexcept {
    const internal::SpinLockHolder hold(lock);
    const Deadline now = Now();
    if (now < next_try) return next_try.Since(now);
    next_try = now + kPause;
    return absl::ZeroDuration();
  }

  // co_await: until its turn has come. Cancelled when it is closed meanwhile.
  Task<absl::Status> AwaitTurn() {
    while (short_of_room.load(internal::kRelaxed)) {
      const absl::Duration left = TakeTurn();
      if (left == absl::ZeroDuration()) break;
      const absl::Status waited = co_await Timeout(left, closed.Wait());
      if (waited.ok()) co_return absl::CancelledError("accept: the listener was closed");
      if (!absl::IsDeadlineExceeded(waited)) co_return waited;
    }
    co_return absl::OkStatus();
  }

  static Deadline Now() noexcept {
    Worker* const worker = Worker::Current();
    return worker == nullptr ? Deadline() : worker->clock().Now();
  }

  io::OwnedDescriptor descriptor;
  internal::Atomic<bool> taken{false};
  SocketAddress local;
  std::string path;  // to be removed in the end; empty: none
  FileStatus file;   // what it was
  Event closed;
  internal::Atomic<bool> short_of_room{false};
  internal::SpinLock lock;
  Deadline next_try;  // while it is; under the lock
};

absl::StatusOr<Listener> Listen(const SocketAddress& address, ListenOptions options) {
  const auto refuse = [&address](absl::string_view why) {
    return absl::InvalidArgumentError(absl::StrCat(Naming(address), ": ", why));
  };
  if (address.family() == SocketAddress::Family::kNone) return refuse("this is no address");
  if (options.backlog < 1) return refuse(absl::StrCat("a backlog of ", options.backlog));
  const int fd = sys::Calls().Socket(address.system_family(), SOCK_STREAM, 0);
  if (fd < 0) return ErrnoToStatus(fd, Naming(address));
  const auto state = std::make_shared<Listener::State>();
  Listener listener(state);
  state->descriptor = io::OwnedDescriptor(fd);
  int result = SetOptions(fd, address, options);
  if (result >= 0) result = Bind(fd, address, options);
  if (result >= 0 && options.remove_path && !address.unix_path().empty()) {
    const std::string path(address.unix_path());
    if (const std::optional<FileStatus> file = StatusOf(path)) {
      state->path = path;
      state->file = *file;
    }
  }
  if (result >= 0) result = sys::Calls().Listen(fd, options.backlog);
  if (result >= 0) {
    ::sockaddr* const room = state->local.room();
    result = sys::Calls().SocketName(fd, room, state->local.room_size());
  }
  if (result < 0) return ErrnoToStatus(result, Naming(address));
  return listener;
}

absl::StatusOr<Listener> Listen(absl::string_view address, ListenOptions options) {
  const absl::StatusOr<SocketAddress> parsed = SocketAddress::Parse(address);
  if (!parsed.ok()) {
    return absl::Status(parsed.status().code(),
                        absl::StrCat("listen: ", parsed.status().message()));
  }
  return Listen(*parsed, options);
}

Listener::~Listener() {
  if (state_ != nullptr) state_->TakeDescriptor().Reset();
}

internal::AcceptShots Listener::ShotsOf(const StateRef& state) {
  return internal::AcceptShots(state->descriptor.get(), state->taken);
}

Event& Listener::ClosedOf(const StateRef& state) { return state->closed; }

Task<absl::StatusOr<Stream>> Listener::AcceptOn(StateRef state, const ErrorHandler* on_error,
                                                internal::AcceptShots* shots) {
  int passed_over = 0;
  for (;;) {
    if (state == nullptr || !state->descriptor.valid()) {
      co_return absl::FailedPreconditionError("accept: the listener is closed");
    }
    if (state->short_of_room.load(internal::kRelaxed)) [[unlikely]] {
      co_await OrReturn(state->AwaitTurn());
    }
    SocketAddress peer;
    io::internal::Outcome<int> accepted = {-1};
    absl::StatusOr<int>& fd = accepted.result;
    if (shots != nullptr && shots->pays()) {
      const int next = co_await shots->Next();
      if (!shots->pays()) continue;  // the reactor has none
      if (next < 0) {
        accepted = {ErrnoToStatus(next, "accept"), -next};
      } else {
        fd = next;
      }
      const int asked = next < 0 ? 0 : AskForPeer(next, peer);
      if (asked < 0) {
        // No reactor knows it yet.
        static_cast<void>(sys::Calls().Close(next));
        // Often it was reset already. The multishot goes on in any case.
        if (asked != -ENOTCONN && on_error != nullptr && *on_error) {
          (*on_error)(internal::NameError(ErrnoToStatus(asked, "getpeername"),
                                          absl::StrCat("accept on ", state->local.ToString())));
        }
        continue;
      }
    } else {
      ::sockaddr* const room = peer.room();
      accepted = co_await io::Accept(state->descriptor.get(), room, peer.room_size())
                     .OwnedBy(state->descriptor.cell())
                     .WithErrorNumber();
    }
    // One that came alone says that there is room, and nothing wrong.
    if (shots != nullptr) shots->set_pays(fd.ok());
    if (fd.ok()) {
      state->short_of_room.store(false, internal::kRelaxed);
      SettleInTurn(*fd);
      co_return Stream(io::OwnedDescriptor(*fd), peer);
    }
    const absl::Status error =
        internal::NameError(fd.status(), absl::StrCat("accept on ", state->local.ToString()));
    if (IsFinal(accepted.error)) co_return error;
    if (!absl::IsResourceExhausted(error) && ++passed_over % kMostPassedOver != 0) continue;
    if (state->RunShort() && on_error != nullptr && *on_error) (*on_error)(error);
  }
}

Task<absl::Status> Listener::Close() { return CloseState(state_); }

Task<absl::Status> Listener::CloseState(StateRef state) {
  if (state == nullptr) co_return absl::OkStatus();
  io::OwnedDescriptor descriptor = state->TakeDescriptor();
  if (!descriptor.valid()) co_return absl::OkStatus();
  const absl::Status closed = co_await descriptor.Close();
  co_return internal::NameError(closed, absl::StrCat("close ", state->local.ToString()));
}

SocketAddress Listener::local_address() const {
  return state_ == nullptr ? SocketAddress() : state_->local;
}

bool Listener::is_open() const noexcept { return descriptor() >= 0; }

int Listener::descriptor() const noexcept {
  return state_ == nullptr ? -1 : state_->descriptor.get();
}

}  // namespace plait
