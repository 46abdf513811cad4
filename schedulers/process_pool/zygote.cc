#include "plait/schedulers/process_pool/zygote.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/thread_state.h"
#include "plait/schedulers/process_pool/pool_system.h"
#include "plait/schedulers/process_pool/process_system.h"
#include "plait/schedulers/process_pool/zygote_hook.h"
#include "plait/schedulers/process_pool/zygote_protocol.h"

namespace plait::internal {
namespace {

// How long the destructor waits before it does not ask any more, and then for the end of what was
// killed.
constexpr int kPatienceMs = 2000;
constexpr int kKilledPatienceMs = 1000;
// How long it may take until it has taken what it was asked for.
constexpr int kRoomMs = 10'000;

absl::Status SystemError(int negative_errno, absl::string_view what) {
  return absl::ErrnoToStatus(-negative_errno, what);
}

absl::Status NoWay(int threads) {
  return absl::FailedPreconditionError(
      absl::StrCat("worker processes cannot be forked from a program that has ", threads,
                   " threads: make the pool before the first thread is started, or call "
                   "plait::RunProcessWorkersIfAsked in the first line of main"));
}

// In the forked child: nothing of the program is left but its memory.
[[noreturn]] void BecomeZygote(int control, int parent, const WorkerBody& body) {
  pool_system::LeadGroup();
  pool_system::SetName("plait-zygote");
  // What runs on this thread runs in the program and not here.
  thread_state = ThreadState();
  const int null = pool_system::OpenNull();
  if (null < 0) pool_system::ExitAtOnce(1);
  if (pool_system::KeepDescriptors({null, 1, 2, control}) < 0) pool_system::ExitAtOnce(1);
  // A mapping keeps what is mapped: a reactor's ring and its files, what is shared with workers.
  pool_system::UnmapFiles({"[io_uring]", "/memfd:plait-"});
  ZygoteMain(3, parent, absl::OkStatus(), body);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Zygote>> Zygote::Start(WorkerBody body, uint64_t fingerprint,
                                                      Method method) {
  const int threads = pool_system::ThreadCount();
  const bool may_fork = threads == 1;
  if (method == Method::kAny) method = may_fork ? Method::kFork : Method::kExec;
  if (method == Method::kFork && !may_fork) return NoWay(threads);
  if (method == Method::kExec && !HandsOver()) return NoWay(threads);
  int channel[2];
  if (const int result = pool_system::CreateChannel(true, channel); result < 0) {
    return SystemError(result, "a channel to the process that starts workers");
  }
  const absl::StatusOr<int> pid =
      method == Method::kFork ? StartByFork(channel, body) : StartByExec(channel, fingerprint);
  pool_system::Close(channel[1]);
  if (!pid.ok()) {
    pool_system::Close(channel[0]);
    return pid.status();
  }
  return std::unique_ptr<Zygote>(new Zygote(*pid, channel[0], method));
}

absl::StatusOr<int> Zygote::StartByFork(const int (&channel)[2], const WorkerBody& body) {
  const int parent = pool_system::ProcessId();
  const int pid = pool_system::Fork();
  if (pid == 0) BecomeZygote(channel[1], parent, body);
  if (pid < 0) return SystemError(pid, "forking the process that starts workers");
  return pid;
}

absl::StatusOr<int> Zygote::StartByExec(const int (&channel)[2], uint64_t fingerprint) {
  std::string ask = AskToServe(pool_system::ProcessId(), fingerprint);
  std::vector<char*> environment;
  for (char* const* entry = pool_system::Environment(); *entry != nullptr; ++entry) {
    environment.push_back(*entry);
  }
  environment.push_back(ask.data());
  environment.push_back(nullptr);
  // For ps, and for those who look for their files beside the program.
  std::string path = pool_system::ProgramPath();
  std::string name = "plait-zygote";
  char* const arguments[] = {path.data(), name.data(), nullptr};
  const int pid = pool_system::SpawnSelf(arguments, environment.data(), channel[1]);
  if (pid < 0) return SystemError(pid, "starting the program once more, to start workers");
  return pid;
}

Zygote::Zygote(int pid, int control, Method method)
    : pid_(pid),
      process_(pool_system::OpenProcess(pid)),
      control_(control),
      method_(method),
      generation_(ProcessGeneration()) {}

Zygote::~Zygote() {
  // In a copy, in a process that the program has forked, the zygote is not its own.
  if (generation_ == ProcessGeneration() && !Gone()) {
    Stop();
    WaitForEnd(kPatienceMs);
    if (!Gone()) {
      Kill();
      WaitForEnd(kKilledPatienceMs);
    }
  }
  StopAsking();
  if (process_ >= 0) pool_system::Close(process_);
  pool_system::Close(control_);
}

void Zygote::Stop() noexcept {
  pool_system::EndSending(control_);
  Continue();
}

void Zygote::Kill() noexcept { Signal(SIGKILL); }

void Zygote::Continue() noexcept { Signal(SIGCONT); }

void Zygote::Signal(int signal) noexcept {
  if (gone_) return;
  if (process_ >= 0) {
    pool_system::SignalOpened(process_, signal);
  } else {
    pool_system::SignalProcess(pid_, signal);
  }
}

bool Zygote::Answers() noexcept {
  if (ping_ >= 0) {
    char nothing = 0;
    if (pool_system::Receive(ping_, &nothing, 1, nullptr) == -EAGAIN) return false;
    StopAsking();
  }
  int channel[2];
  // Without descriptors nothing is known against it.
  if (pool_system::CreateChannel(true, channel) < 0) return true;
  const int64_t sent = pool_system::Send(control_, &kPing, sizeof kPing, {channel[1]});
  pool_system::Close(channel[1]);
  if (sent == sizeof kPing) {
    ping_ = channel[0];
    return true;
  }
  pool_system::Close(channel[0]);
  // There is no room as it takes nothing. Where it is gone its end says so.
  return sent != -EAGAIN;
}

void Zygote::StopAsking() noexcept {
  if (ping_ >= 0) pool_system::Close(std::exchange(ping_, -1));
}

bool Zygote::Gone() noexcept {
  if (gone_) return true;
  // Somebody may have reaped it: a program that waits for all of its children.
  pool_system::ProcessEnd how;
  gone_ = process_ >= 0 ? pool_system::TakeEndOfOpened(process_, &how) != 0
                        : pool_system::TakeEnd(pid_, false, &how) != 0;
  return gone_;
}

void Zygote::WaitForEnd(int patience_ms) noexcept {
  Clock& clock = Clock::Real();
  const Deadline until = clock.Now() + absl::Milliseconds(patience_ms);
  while (!Gone()) {
    const absl::Duration left = until.Since(clock.Now());
    if (left <= absl::ZeroDuration()) return;
    // Without a descriptor of the process its channel tells, a moment before it can be reaped.
    pollfd end = {.fd = end_descriptor(), .events = POLLIN, .revents = 0};
    pool_system::Poll(absl::MakeSpan(&end, 1), static_cast<int>(absl::ToInt64Milliseconds(left)));
  }
}

absl::Status Zygote::RequestWorker(const WorkerOptions& options, int channel,
                                   absl::Span<const int> descriptors) {
  if (descriptors.size() > kMaxWorkerDescriptors) {
    return absl::InvalidArgumentError("a worker has too many descriptors");
  }
  StartRequest request;
  const size_t length = std::min(options.name.size(), sizeof request.name - 1);
  std::memcpy(request.name, options.name.data(), length);
  request.memory_limit = options.memory_limit;
  request.nice = options.nice;
  request.output = options.output;
  request.error = options.error;
  std::vector<int> all = {channel};
  all.insert(all.end(), descriptors.begin(), descriptors.end());
  const int64_t sent = pool_system::Send(control_, &request, sizeof request, all);
  if (sent == sizeof request) return absl::OkStatus();
  if (sent == -EAGAIN || sent == -ETOOMANYREFS || sent == -ENOBUFS || sent == -ENOMEM) {
    return absl::ResourceExhaustedError(
        "too many worker processes were asked for at once: ask again later");
  }
  return absl::UnavailableError(absl::StrCat("the process that starts workers has died (",
                                             std::strerror(static_cast<int>(-sent)), ")"));
}

void Zygote::WaitForRoom() noexcept {
  pollfd room = {.fd = control_, .events = POLLOUT, .revents = 0};
  while (pool_system::Poll(absl::MakeSpan(&room, 1), kRoomMs) == -EINTR) {
  }
}

}  // namespace plait::internal
