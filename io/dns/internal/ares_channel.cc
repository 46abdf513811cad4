#include "plait/io/dns/internal/ares_channel.h"

#include <sys/time.h>

#include <algorithm>

#include "plait/io/dns/internal/ares_callbacks.h"
#include "plait/io/dns/internal/host_name.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/core/io_operation.h"
#include "plait/runtime/core/reactor.h"
#include "plait/runtime/core/worker_group.h"

namespace plait::internal {
namespace {

constexpr NamedNote kDnsNote("a DNS server");

// The headers of 1.18 do not say what a query's class and type are called.
constexpr int kInternet = 1;
constexpr int kPointer = 12;

DnsAnswer::Outcome OutcomeOf(int status) {
  switch (status) {
    case ARES_SUCCESS:
      return DnsAnswer::kFound;
    case ARES_ENOTFOUND:
      return DnsAnswer::kNoSuchName;
    case ARES_ENODATA:
      return DnsAnswer::kNoData;
    case ARES_ETIMEOUT:
      return DnsAnswer::kNoReply;
    case ARES_ECONNREFUSED:
    case ARES_EOF:
      return DnsAnswer::kNoServer;
    case ARES_ESERVFAIL:
    case ARES_EREFUSED:
    case ARES_ENOTIMP:
    case ARES_EFORMERR:
      return DnsAnswer::kRefused;
    case ARES_EBADNAME:
      return DnsAnswer::kBadName;
    case ARES_ECANCELLED:
    case ARES_EDESTRUCTION:
      return DnsAnswer::kCancelled;
    case ARES_EBADRESP:
      return DnsAnswer::kBadReply;
    default:
      return DnsAnswer::kNoMemory;
  }
}

}  // namespace

AresChannel::~AresChannel() {
  PLAIT_CHECK(idle() && lingering_ == nullptr && sockets_.empty() && closing_ == 0 && !timer_busy_,
              "a Resolver was destroyed with lookups under way: cancel and join them first");
  if (channel_ != nullptr) ares_destroy(channel_);
}

// --- lookups ---

AresChannel::Lookup::Lookup(AresChannel& channel, const std::string* name,
                            const SocketAddress* address, int family) noexcept
    : HomeWait(&OnStop<&CancelLookup>),
      channel_(channel),
      name_(name),
      address_(address),
      family_(family),
      delivery_(&Deliver) {
  delivery_.lookup = this;
}

AresChannel::Lookup AresChannel::AddressesOf(const std::string& name, int family) noexcept {
  return Lookup(*this, &name, nullptr, family);
}

AresChannel::Lookup AresChannel::NameOf(const SocketAddress& address) noexcept {
  return Lookup(*this, nullptr, &address, AF_UNSPEC);
}

bool AresChannel::Lookup::Suspend(PromiseBase& waiter) noexcept {
  Worker* const here = Worker::Current();
  Worker* home = nullptr;
  answer_.outcome = channel_.Bind(here, &home);
  if (answer_.outcome != DnsAnswer::kFound) return false;
  if (home == here) return StartHere(*this, waiter);
  StartAt<&StartHere, &CancelLookup>(waiter, *home, kDnsNote);
  return true;
}

bool AresChannel::Lookup::StartHere(HomeWait& wait, PromiseBase& waiter) noexcept {
  auto& self = static_cast<Lookup&>(wait);
  // Before Begin, which may have another thread go on with the coroutine if a stop came first.
  self.answer_.outcome = DnsAnswer::kCancelled;
  if (self.Begin(waiter, *Worker::Current(), kDnsNote)) self.channel_.Start(self);
  return true;
}

bool AresChannel::Lookup::CancelLookup(HomeWait& wait) noexcept {
  auto& self = static_cast<Lookup&>(wait);
  return self.channel_.Abandon(self);
}

void AresChannel::Deliver(WorkItem& item) noexcept {
  static_cast<Delivery&>(item).lookup->Happened();
}

DnsAnswer::Outcome AresChannel::Bind(Worker* here, Worker** home) noexcept {
  if (here == nullptr || here->reactor() == nullptr) return DnsAnswer::kNoReactor;
  Worker* owner = nullptr;
  // Relaxed: only this thread's own Worker is ever followed, and those that its group knows.
  if (home_.compare_exchange_strong(owner, here, kRelaxed, kRelaxed)) owner = here;
  const bool reachable = owner == here || (here->group() != nullptr && here->group()->Has(owner));
  if (!reachable) return DnsAnswer::kWrongThread;
  *home = owner;
  return DnsAnswer::kFound;
}

void AresChannel::Start(Lookup& lookup) noexcept {
  ++waiting_;
  if (lingering_ != nullptr) Post(*std::exchange(lingering_, nullptr));  // we linger in its stead
  if (abandoned_ >= kMaxAbandoned) {
    Finish(lookup, ARES_SUCCESS);
    lookup.answer_.outcome = DnsAnswer::kTooMany;
  } else {
    Ask(lookup);
  }
  Update();
}

// May call back before it returns.
void AresChannel::Ask(Lookup& lookup) noexcept {
  auto* const query = new Query{this, &lookup, SocketAddress()};
  lookup.query_ = query;
  if (lookup.name_ != nullptr) {
    ares_addrinfo_hints hints{};
    hints.ai_family = lookup.family_;
    hints.ai_socktype = SOCK_STREAM;
    ares_getaddrinfo(channel_, lookup.name_->c_str(), nullptr, &hints, &Callbacks::OnAddresses,
                     query);
  } else {
    query->address = *lookup.address_;
    ares_query(channel_, ReverseName(query->address).c_str(), kInternet, kPointer,
               &Callbacks::OnName, query);
  }
}

// Inside of c-ares, most of the time.
void AresChannel::Finish(Lookup& lookup, int ares_status) noexcept {
  DnsAnswer& answer = lookup.answer_;
  answer.outcome = OutcomeOf(ares_status);
  if (answer.outcome == DnsAnswer::kFound) socket_error_ = 0;
  if (answer.outcome == DnsAnswer::kNoServer) answer.error = socket_error_;
  if (answer.outcome == DnsAnswer::kCancelled && failure_ != 0) {
    answer.outcome = DnsAnswer::kSystemError;
    answer.error = failure_;
  }
  if (--waiting_ > 0) {
    Post(lookup);
  } else {
    lingering_ = &lookup;
  }
}

bool AresChannel::Abandon(Lookup& lookup) noexcept {
  if (lookup.query_ == nullptr) return false;  // answered: posted, or lingering
  std::exchange(lookup.query_, nullptr)->lookup = nullptr;
  ++abandoned_;
  if (--waiting_ > 0) return true;
  lingering_ = &lookup;
  Update();
  return false;
}

void AresChannel::Post(Lookup& lookup) noexcept { lookup.home()->Post(lookup.delivery_); }

// --- driving c-ares ---

void AresChannel::Process(int readable, int writable) noexcept {
  ares_process_fd(channel_, readable, writable);
  Update();
}

void AresChannel::Update() noexcept {
  if (waiting_ == 0 && abandoned_ > 0) ares_cancel(channel_);
  Reactor& reactor = *home_.load(kRelaxed)->reactor();
  for (Socket* const socket : sockets_) {
    socket->PollIfWanted(socket->readable, reactor);
    socket->PollIfWanted(socket->writable, reactor);
  }
  UpdateTimer();
  ReleaseLingering();
}

void AresChannel::UpdateTimer() noexcept {
  Worker& home = *home_.load(kRelaxed);
  if (idle()) {
    if (timer_busy_ && home.CancelTimer(timer_)) timer_busy_ = false;
    return;
  }
  const Deadline now = home.clock().Now();
#if ARES_VERSION < 0x012000
  // There ares_timeout looks at every query. No new one is due before a first try's time has
  // passed, and to be called too early does no harm.
  if (timer_busy_ && timer_.deadline <= now + first_timeout_) return;
#endif
  timeval left{};
  if (ares_timeout(channel_, nullptr, &left) == nullptr) return;
  // c-ares rounds down, and would have us come a moment too early over and over.
  const Deadline deadline = now + absl::DurationFromTimeval(left) + absl::Milliseconds(1);
  if (timer_busy_) {
    if (timer_.deadline <= deadline || !home.CancelTimer(timer_)) return;
  }
  timer_.deadline = deadline;
  timer_busy_ = true;
  home.AddTimer(timer_);
}

void AresChannel::TimerFired(WorkItem& item) noexcept {
  AresChannel& self = *static_cast<ProcessTimer&>(item).channel;
  self.timer_busy_ = false;
  self.Process(ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

void AresChannel::ReleaseLingering() noexcept {
  const bool quiet = idle() && sockets_.empty() && closing_ == 0 && !timer_busy_;
  if (quiet && lingering_ != nullptr) Post(*std::exchange(lingering_, nullptr));
}

void AresChannel::Fail(int error) noexcept {
  failure_ = error;
  ares_cancel(channel_);
  failure_ = 0;
  Update();
}

// --- sockets ---

AresChannel::Socket* AresChannel::Find(int fd) noexcept {
  const auto found = std::find_if(sockets_.begin(), sockets_.end(),
                                  [fd](const Socket* socket) { return socket->fd == fd; });
  return found == sockets_.end() ? nullptr : *found;
}

void AresChannel::WatchSocket(int fd, bool read, bool write) noexcept {
  Socket* socket = Find(fd);
  if (socket == nullptr) {
    if (!read && !write) return;
    socket = sockets_.emplace_back(new Socket(*this, fd));
  }
  socket->readable.wanted = read;
  socket->writable.wanted = write;
}

void AresChannel::CloseSocket(int fd) noexcept {
  Socket* const socket = Find(fd);
  if (socket == nullptr) {
    sys::Calls().Close(fd);
    return;
  }
  std::erase(sockets_, socket);
  socket->closing = true;
  ++closing_;
  home_.load(kRelaxed)->reactor()->Submit(socket->retirement);
}

}  // namespace plait::internal
