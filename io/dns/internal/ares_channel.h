// AresChannel: c-ares on a Worker's reactor and timers: asks DNS servers, and nothing else (no
// hosts file, no file at all after Create).
//
// c-ares owns the protocol: it makes packets, retries, turns to TCP, tries the next server. It does
// no waiting of its own. For each of its sockets it says whether it waits to read or to write; a
// Socket here keeps a kPoll operation of that kind in flight, whose delivery has c-ares process the
// socket. When it wants to be called though nothing came, a Timer does it.
//
// A descriptor that a reactor knows must be closed through it, so c-ares opens and closes its
// sockets through us: a Socket that is closed gives the descriptor to a kClose operation and goes
// when that is delivered, which is after its polls were. Sockets that were never waited for (c-ares
// connects some to learn a route, see RFC 6724) are closed at once.
//
// c-ares calls us back in the middle of its work, when it must be neither entered nor cancelled. So
// a callback only takes the answer over and posts the lookup, which goes on in a turn of its own.
//
// A lookup and the query that c-ares works on for it, one block on the heap:
//
//   asked --answer--> answered: posted, and resumed
//     \---cancel----> the lookup is resumed; its query is abandoned, and its answer dropped
//
// c-ares can't take back one query, but all of them. It is told to when the last lookup that
// somebody waits for has ended. That one lingers until every socket is closed and no timer is left:
// a channel without lookups has nothing in flight, and may be destroyed on any thread, also when
// its Worker has gone.
//
// Threads: the Worker that the first lookup came from, but for Create and the destructor. Lookups
// from others of its group are carried there.
#ifndef PLAIT_IO_DNS_INTERNAL_ARES_CHANNEL_H_
#define PLAIT_IO_DNS_INTERNAL_ARES_CHANNEL_H_

#include <sys/types.h>

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "plait/io/net/address.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/timer.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/core/worker.h"
#include "plait/runtime/task/home_wait.h"
#include "plait/runtime/task/promise.h"

struct ares_addrinfo;
struct ares_channeldata;
struct iovec;

namespace plait::internal {

struct AresOptions {
  std::vector<SocketAddress> servers;              // empty: the system's
  std::optional<std::vector<std::string>> search;  // none: the system's
  absl::Duration timeout;                          // of the first try; at least a millisecond
  int tries = 1;                                   // of each server
};

struct DnsAnswer {
  enum Outcome : uint8_t {
    kFound,
    kNoSuchName,   // NXDOMAIN
    kNoData,       // there is such a name, but nothing of the kind that was asked for
    kNoReply,      // in time
    kNoServer,     // none could be reached, or none was willing; `error` may say why
    kRefused,      // SERVFAIL, REFUSED, ...
    kBadReply,     // makes no sense
    kBadName,      // does not fit a packet
    kNoMemory,     // or c-ares itself is at an end
    kSystemError,  // `error` says which
    kTooMany,      // lookups were given up and wait for their answers still
    kNoReactor,    // this executor has none
    kWrongThread,  // the channel is another's
    kCancelled,
  };

  Outcome outcome = kCancelled;
  int error = 0;                         // -errno, or 0
  std::vector<SocketAddress> addresses;  // kFound, of a name: without a port, RFC 6724's order
  std::string name;                      // kFound, of an address
};

class AresChannel {
 public:
  // So many queries that nobody waits for any more may be under way. c-ares 1.18 never returns when
  // all 65,536 numbers of queries are taken, and an address lookup takes two.
  static constexpr size_t kMaxAbandoned = 16'384;

  // Reads /etc/resolv.conf, and blocks meanwhile.
  static absl::StatusOr<std::unique_ptr<AresChannel>> Create(const AresOptions& options);
  AresChannel(const AresChannel&) = delete;
  AresChannel& operator=(const AresChannel&) = delete;
  // No lookup may be under way (CHECK).
  ~AresChannel();

  // The servers that are asked, in this order.
  const std::vector<SocketAddress>& servers() const { return servers_; }

  class Lookup;
  // co_await: a DnsAnswer. `name` is well-formed; family AF_INET, AF_INET6 or AF_UNSPEC.
  Lookup AddressesOf(const std::string& name, int family) noexcept;
  // co_await: a DnsAnswer. `address` is an IP address.
  Lookup NameOf(const SocketAddress& address) noexcept;

 private:
  struct Callbacks;  // what c-ares calls
  struct Query;
  struct Socket;
  // Takes a lookup's coroutine through the executor.
  struct Delivery : WorkItem {
    using WorkItem::WorkItem;
    Lookup* lookup = nullptr;
  };
  struct ProcessTimer : Timer {
    using Timer::Timer;
    AresChannel* channel = nullptr;
  };

  explicit AresChannel(const AresOptions& options);
  absl::Status Init(const AresOptions& options);
  absl::Status SetServers(const std::vector<SocketAddress>& servers);
  void ReadServers();

  // kFound if the channel may be used by `here`, which this thread is, at `home`.
  DnsAnswer::Outcome Bind(Worker* here, Worker** home) noexcept;
  void Start(Lookup& lookup) noexcept;
  void Ask(Lookup& lookup) noexcept;
  void Finish(Lookup& lookup, int ares_status) noexcept;
  // The coroutine goes on in a turn of its own.
  void Post(Lookup& lookup) noexcept;
  // False when it goes on only later, and will be posted then.
  bool Abandon(Lookup& lookup) noexcept;

  void Process(int readable, int writable) noexcept;
  // To be called after every call of c-ares: waits for what it wants to know next.
  void Update() noexcept;
  void UpdateTimer() noexcept;
  void ReleaseLingering() noexcept;
  bool idle() const noexcept { return waiting_ == 0 && abandoned_ == 0; }
  // The reactor cannot wait for a socket: everything fails with `error`.
  void Fail(int error) noexcept;
  static void TimerFired(WorkItem& item) noexcept;
  static void Deliver(WorkItem& item) noexcept;

  Socket* Find(int fd) noexcept;
  void WatchSocket(int fd, bool read, bool write) noexcept;
  void CloseSocket(int fd) noexcept;
  int NoteError(int64_t result) noexcept;

  ares_channeldata* channel_ = nullptr;
  [[maybe_unused]] const absl::Duration first_timeout_;
  std::vector<SocketAddress> servers_;
  Atomic<Worker*> home_{nullptr};
  size_t waiting_ = 0;           // lookups asked and neither answered nor cancelled
  size_t abandoned_ = 0;         // queries that nobody waits for
  Lookup* lingering_ = nullptr;  // ended, and waits for the channel to be quiet
  std::vector<Socket*> sockets_;
  size_t closing_ = 0;  // Sockets that wait for their close
  ProcessTimer timer_;
  bool timer_busy_ = false;  // in the timer queue or about to run
  int socket_error_ = 0;     // the last that a socket met, -errno; 0 after an answer
  int failure_ = 0;          // during Fail
};

// In the frame of the coroutine that awaits it.
class [[nodiscard]] AresChannel::Lookup : private HomeWait {
 public:
  bool await_ready() const noexcept { return false; }
  template <PlaitPromise P>
  bool await_suspend(std::coroutine_handle<P> waiter) noexcept {
    return Suspend(waiter.promise());
  }
  DnsAnswer await_resume() noexcept { return std::move(answer_); }

 private:
  friend class AresChannel;
  // Of `name`'s addresses, or if that is null of `address`'s name. Both outlive the lookup.
  Lookup(AresChannel& channel, const std::string* name, const SocketAddress* address,
         int family) noexcept;

  bool Suspend(PromiseBase& waiter) noexcept;
  static bool StartHere(HomeWait& wait, PromiseBase& waiter) noexcept;
  static bool CancelLookup(HomeWait& wait) noexcept;
  AresChannel& channel_;
  const std::string* const name_;
  const SocketAddress* const address_;
  const int family_;
  Query* query_ = nullptr;  // while it is asked
  DnsAnswer answer_;
  Delivery delivery_;
};

}  // namespace plait::internal

#endif  // PLAIT_IO_DNS_INTERNAL_ARES_CHANNEL_H_
