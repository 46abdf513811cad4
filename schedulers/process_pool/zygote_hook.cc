#include "plait/schedulers/process_pool/zygote_hook.h"

#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "plait/runtime/core/atomic.h"
#include "plait/schedulers/process_pool/pool_system.h"
#include "plait/schedulers/process_pool/process_system.h"

namespace plait::internal {
namespace {

constexpr char kVariable[] = "PLAIT_PROCESS_ZYGOTE";
// Where Zygote puts it.
constexpr int kControl = 3;

// Relaxed: it orders nothing.
constinit Atomic<bool> hands_over{false};

}  // namespace

std::string AskToServe(int parent, uint64_t fingerprint) {
  return absl::StrCat(kVariable, "=", parent, ":", fingerprint);
}

bool HandsOver() noexcept { return hands_over.load(kRelaxed); }

void ServeAsZygoteIfAsked(const WorkerBody& body, uint64_t fingerprint) {
  hands_over.store(true, kRelaxed);
  const std::string asked = pool_system::TakeVariable(kVariable);
  if (asked.empty()) return;
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(asked, absl::MaxSplits(':', 1));
  int parent = 0;
  uint64_t expected = 0;
  // Somebody's environment may have been copied: what is meant has that program's channel.
  if (!absl::SimpleAtoi(parts.first, &parent) || !absl::SimpleAtoi(parts.second, &expected) ||
      pool_system::ChannelMaker(kControl) != parent) {
    return;
  }
  // It has died meanwhile, and does not want to be run again.
  if (pool_system::ParentId() != parent) pool_system::ExitAtOnce(0);
  absl::Status refusal;
  if (expected != fingerprint) {
    refusal = absl::FailedPreconditionError(
        "the FunctionTable that main gives to RunProcessWorkersIfAsked has other functions than "
        "the pool's");
  }
  if (const int threads = pool_system::ThreadCount(); threads != 1) {
    refusal = absl::FailedPreconditionError(absl::StrCat(
        "the program has ", threads, " threads when main calls RunProcessWorkersIfAsked"));
  }
  pool_system::SetName("plait-zygote");
  ZygoteMain(kControl, parent, refusal, body);
}

}  // namespace plait::internal
