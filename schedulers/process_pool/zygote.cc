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

// How long the destructor waits before it does not ask any more.
constexpr int kPatienceMs = 2000;

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

void Zygote::Stop() noexcept { pool_system::EndSending(control_); }

Zygote::Zygote(int pid, int control, Method method)
    : pid_(pid), control_(control), method_(method), generation_(ProcessGeneration()) {}

Zygote::~Zygote() {
  // A copy, in a process that the program has forked: the zygote is not its own.
  if (generation_ != ProcessGeneration()) {
    pool_system::Close(control_);
    return;
  }
  Stop();
  // It says nothing, so this is its end.
  pollfd end = {.fd = control_, .events = POLLIN, .revents = 0};
  int ready = 0;
  do {
    ready = pool_system::Poll(absl::MakeSpan(&end, 1), kPatienceMs);
  } while (ready == -EINTR);
  if (ready <= 0) pool_system::SignalProcess(pid_, SIGKILL);
  pool_system::ProcessEnd how;
  // Somebody may have reaped it: a program that waits for all of its children.
  pool_system::TakeEnd(pid_, true, &how);
  pool_system::Close(control_);
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

}  // namespace plait::internal
