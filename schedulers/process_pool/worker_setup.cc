#include "plait/schedulers/process_pool/worker_setup.h"

#include <errno.h>

#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "plait/schedulers/process_pool/process_system.h"

namespace plait::internal {
namespace {

constexpr int kSetUpFailed = 125;

void Require(int result, int error_descriptor, absl::string_view what) {
  if (result >= 0) return;
  pool_system::Write(error_descriptor,
                     absl::StrCat("plait worker: ", what, ": ", std::strerror(-result), "\n"));
  pool_system::ExitAtOnce(kSetUpFailed);
}

}  // namespace

void SetUpWorker(const StartRequest& request, int zygote, absl::Span<const int> descriptors,
                 int error_pipe) {
  // Nobody hears of it where the zygote is gone.
  if (pool_system::DieWithParent(zygote) < 0) pool_system::ExitAtOnce(kSetUpFailed);
  pool_system::LeadGroup();
  pool_system::SetName(request.name);
  const int null = pool_system::OpenNull();
  Require(null, 2, "/dev/null");
  const int error = error_pipe >= 0                          ? error_pipe
                    : request.error == WorkerError::kInherit ? 2
                                                             : null;
  const int output = request.output == WorkerOutput::kInherit   ? 1
                     : request.output == WorkerOutput::kToError ? error
                                                                : null;
  std::vector<int> kept = {null, output, error};
  kept.insert(kept.end(), descriptors.begin(), descriptors.end());
  Require(pool_system::KeepDescriptors(kept), error, "its descriptors");
  if (request.nice != 0) Require(pool_system::AddNice(request.nice), 2, "its niceness");
  if (request.memory_limit != 0) {
    Require(pool_system::LimitMemory(request.memory_limit), 2, "its memory limit");
  }
  pool_system::BufferOutputByLine();
  // Last: what was sent meanwhile takes its effect here.
  pool_system::ResetSignals();
}

}  // namespace plait::internal
