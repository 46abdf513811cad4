#include "plait/schedulers/process_pool/zygote_main.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "plait/schedulers/process_pool/pool_system.h"
#include "plait/schedulers/process_pool/process_system.h"
#include "plait/schedulers/process_pool/worker_setup.h"
#include "plait/schedulers/process_pool/zygote_protocol.h"

namespace plait::internal {
namespace {

// Where the system cannot tell of the program's end, or of workers': how often to look.
constexpr int kLookMs = 200;
// Not more is read of workers' standard errors than is shown.
constexpr size_t kMaxToShow = 64 << 10;
constexpr size_t kShownAtOnce = 4096;
constexpr int kErrorDescriptor = 2;

struct Child {
  int pid = -1;
  int channel = -1;
  int error = -1;  // the pipe from its standard error
  bool shown = false;
  std::string tail;
};

class Zygote {
 public:
  Zygote(int control, int parent, const absl::Status& refusal, const WorkerBody& body)
      : control_(control),
        parent_(parent),
        refusal_(refusal),
        body_(body),
        self_(pool_system::ProcessId()),
        children_ended_(pool_system::OpenChildSignals()),
        parent_ended_(pool_system::OpenProcess(parent)),
        show_(pool_system::OpenWithoutWaiting(kErrorDescriptor)) {}

  // Until the program is gone.
  void Serve() {
    // The program may have ended before its descriptor was opened, or the number is another's.
    while (pool_system::ParentId() == parent_) {
      const std::vector<pollfd> ready = Wait();
      if (ready[kParent].revents != 0) return;
      if (ready[kControl].revents != 0 && !TakeRequests()) return;
      // Before their ends, which take what is left.
      TakeFromChildren(ready);
      if (ready[kEnds].revents != 0 || children_ended_ < 0) TakeEnds();
      if (ready[kShow].revents != 0) Show();
    }
  }

  void KillAll() {
    for (const std::unique_ptr<Child>& child : children_) Kill(*child);
    for (const std::unique_ptr<Child>& child : children_) {
      pool_system::ProcessEnd end;
      pool_system::TakeEnd(child->pid, true, &end);
    }
  }

 private:
  enum Place { kControl, kParent, kEnds, kShow, kFixed };

  std::vector<pollfd> Wait();
  bool TakeRequests();
  void Start(const StartRequest& request, std::vector<int> descriptors);
  [[noreturn]] void RunWorker(const StartRequest& request, std::vector<int> descriptors,
                              int error_pipe) noexcept;
  void TakeFromChildren(const std::vector<pollfd>& ready);
  void TakeCommands(Child& child);
  void TakeErrorText(Child& child);
  void TakeEnds();
  void Report(Child& child, const pool_system::ProcessEnd& end);
  void Show();

  static void Kill(const Child& child) {
    // The group is there once the worker has made it. Its number stays its own until it is reaped.
    pool_system::SignalGroup(child.pid, SIGKILL);
    pool_system::SignalProcess(child.pid, SIGKILL);
  }

  const int control_;
  const int parent_;
  const absl::Status& refusal_;
  const WorkerBody& body_;
  const int self_;
  const int children_ended_;
  const int parent_ended_;
  const int show_;  // the program's standard error, which does not keep this from its work
  std::vector<std::unique_ptr<Child>> children_;
  std::string to_show_;
};

void SendReport(int channel, WorkerReport report, absl::string_view text) {
  text = text.substr(0, WorkerReport::kMaxText);
  std::memcpy(report.text, text.data(), text.size());
  // There is room for it, as there are two of them ever; whom nobody hears is not waited for.
  pool_system::Send(channel, &report, WorkerReport::Size(text.size()), {});
}

std::vector<pollfd> Zygote::Wait() {
  std::vector<pollfd> descriptors(kFixed);
  descriptors[kControl] = {.fd = control_, .events = POLLIN, .revents = 0};
  descriptors[kParent] = {.fd = parent_ended_, .events = POLLIN, .revents = 0};
  descriptors[kEnds] = {.fd = children_ended_, .events = POLLIN, .revents = 0};
  descriptors[kShow] = {.fd = to_show_.empty() ? -1 : show_, .events = POLLOUT, .revents = 0};
  for (const std::unique_ptr<Child>& child : children_) {
    const bool wait = child->shown && to_show_.size() >= kMaxToShow;
    descriptors.push_back({.fd = child->channel, .events = POLLIN, .revents = 0});
    descriptors.push_back({.fd = wait ? -1 : child->error, .events = POLLIN, .revents = 0});
  }
  const int timeout_ms = parent_ended_ < 0 || children_ended_ < 0 ? kLookMs : -1;
  if (pool_system::Poll(absl::MakeSpan(descriptors), timeout_ms) < 0) {
    for (pollfd& descriptor : descriptors) descriptor.revents = 0;
  }
  return descriptors;
}

// False when the program wants no more.
bool Zygote::TakeRequests() {
  for (;;) {
    StartRequest request;
    std::vector<int> descriptors(1 + kMaxWorkerDescriptors);
    const int64_t size = pool_system::Receive(control_, &request, sizeof request, &descriptors);
    if (size == -EAGAIN) return true;
    if (size <= 0) return false;
    // What is no request is a ping, and closing what came with it is the answer.
    if (size != sizeof request || descriptors.empty()) {
      for (const int fd : descriptors) pool_system::Close(fd);
      continue;
    }
    Start(request, std::move(descriptors));
  }
}

void Zygote::Start(const StartRequest& request, std::vector<int> descriptors) {
  const int channel = descriptors.front();
  descriptors.erase(descriptors.begin());
  int pipe[2] = {-1, -1};
  const bool keeps =
      request.error == WorkerError::kKeep || request.error == WorkerError::kShowAndKeep;
  std::string why(refusal_.message());
  int pid = -1;
  if (refusal_.ok()) {
    const int piped = keeps ? pool_system::CreatePipe(pipe) : 0;
    pid = piped < 0 ? piped : pool_system::Fork();
    if (pid == 0) RunWorker(request, std::move(descriptors), pipe[1]);
    if (pid < 0) {
      why = absl::StrCat(piped < 0 ? "a pipe for its standard error: " : "fork: ",
                         std::strerror(-pid));
    }
  }
  for (const int fd : descriptors) pool_system::Close(fd);
  if (pipe[1] >= 0) pool_system::Close(pipe[1]);
  if (pid < 0) {
    SendReport(channel, {.kind = WorkerReport::kNotStarted}, why);
    pool_system::Close(channel);
    if (pipe[0] >= 0) pool_system::Close(pipe[0]);
    return;
  }
  SendReport(channel, {.kind = WorkerReport::kStarted, .pid = pid}, "");
  children_.push_back(
      std::make_unique<Child>(Child{.pid = pid,
                                    .channel = channel,
                                    .error = pipe[0],
                                    .shown = request.error == WorkerError::kShowAndKeep}));
}

void Zygote::RunWorker(const StartRequest& request, std::vector<int> descriptors,
                       int error_pipe) noexcept {
  SetUpWorker(request, self_, descriptors, error_pipe);
  for (size_t i = 0; i < descriptors.size(); ++i) descriptors[i] = 3 + static_cast<int>(i);
  pool_system::Exit(body_(descriptors));
}

void Zygote::TakeFromChildren(const std::vector<pollfd>& ready) {
  for (size_t i = 0; kFixed + 2 * i < ready.size(); ++i) {
    if (ready[kFixed + 2 * i].revents != 0) TakeCommands(*children_[i]);
    if (ready[kFixed + 2 * i + 1].revents != 0) TakeErrorText(*children_[i]);
  }
}

void Zygote::TakeCommands(Child& child) {
  for (;;) {
    WorkerCommand command;
    const int64_t size = pool_system::Receive(child.channel, &command, sizeof command, nullptr);
    if (size == -EAGAIN) return;
    if (size <= 0) {
      // Nobody wants it any more, nor its report.
      pool_system::Close(child.channel);
      child.channel = -1;
      return Kill(child);
    }
    if (command.signal == SIGKILL) {
      Kill(child);
    } else {
      pool_system::SignalProcess(child.pid, command.signal);
    }
  }
}

void Zygote::TakeErrorText(Child& child) {
  std::array<char, kShownAtOnce> buffer;
  const int64_t size = pool_system::Read(child.error, buffer.data(), buffer.size());
  if (size == -EAGAIN) return;
  if (size <= 0) {
    pool_system::Close(child.error);
    child.error = -1;
    return;
  }
  const absl::string_view text(buffer.data(), static_cast<size_t>(size));
  if (child.shown && show_ >= 0) absl::StrAppend(&to_show_, text);
  absl::StrAppend(&child.tail, text);
  if (child.tail.size() > WorkerReport::kMaxText) {
    child.tail.erase(0, child.tail.size() - WorkerReport::kMaxText);
  }
}

void Zygote::TakeEnds() {
  pool_system::DrainChildSignals(children_ended_);
  for (std::unique_ptr<Child>& child : children_) {
    if (pool_system::HasEnded(child->pid) != 1) continue;
    // Those that it started.
    pool_system::SignalGroup(child->pid, SIGKILL);
    pool_system::ProcessEnd end;
    pool_system::TakeEnd(child->pid, true, &end);
    Report(*child, end);
    child = nullptr;
  }
  std::erase(children_, nullptr);
}

void Zygote::Report(Child& child, const pool_system::ProcessEnd& end) {
  // As much as a pipe holds, and not what one that has got away still writes.
  for (int i = 0; child.error >= 0 && i < 16; ++i) TakeErrorText(child);
  if (child.error >= 0) pool_system::Close(child.error);
  if (child.channel < 0) return;
  SendReport(child.channel,
             {.kind = WorkerReport::kEnded,
              .core_dumped = end.core_dumped,
              .pid = child.pid,
              .code = end.code,
              .signal = end.signal},
             child.tail);
  pool_system::Close(child.channel);
}

void Zygote::Show() {
  const int64_t size =
      pool_system::WriteWithoutWaiting(show_, absl::string_view(to_show_).substr(0, kShownAtOnce));
  if (size == -EAGAIN || size == -EINTR) return;
  // Nobody looks.
  if (size <= 0) return to_show_.clear();
  to_show_.erase(0, static_cast<size_t>(size));
}

}  // namespace

void ZygoteMain(int control, int parent, const absl::Status& refusal,
                const WorkerBody& body) noexcept {
  Zygote zygote(control, parent, refusal, body);
  zygote.Serve();
  zygote.KillAll();
  pool_system::ExitAtOnce(0);
}

}  // namespace plait::internal
