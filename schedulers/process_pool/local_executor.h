// LocalExecutor: a RemoteExecutor without another process, whose steps a test decides. Test-only.
#ifndef PLAIT_SCHEDULERS_PROCESS_POOL_LOCAL_EXECUTOR_H_
#define PLAIT_SCHEDULERS_PROCESS_POOL_LOCAL_EXECUTOR_H_

#include <string>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "plait/runtime/core/atomic.h"
#include "plait/schedulers/process_pool/codec.h"
#include "plait/schedulers/process_pool/function_table.h"
#include "plait/schedulers/process_pool/remote_executor.h"
#include "plait/schedulers/process_pool/worker_context.h"

namespace plait {

// Runs functions where it is: at once, or when Finish says so, on the thread that does.
class LocalExecutor final : public RemoteExecutor {
 public:
  explicit LocalExecutor(FunctionTable functions) : table_(std::move(functions)) {}

  void Start(RemoteCall& call) noexcept override {
    ++started;
    options = call.options;
    key = std::string(call.options.idempotency_key);
    if (at_once) return Finish(call);
    waiting = &call;
  }
  void Cancel(RemoteCall& call) noexcept override {
    ++cancelled;
    if (!finish_cancelled || waiting != &call) return;
    call.status = absl::CancelledError("stopped");
    std::exchange(waiting, nullptr)->run(call);
  }
  RemoteCapacity capacity() const noexcept override { return lanes; }

  void Finish(RemoteCall& call) noexcept {
    Encoder counting({});
    call.encode(call, counting);
    std::string arguments(counting.needed(), '\0');
    Encoder out(absl::MakeSpan(arguments));
    call.encode(call, out);
    call.status = Invoke(call, arguments);
    call.run(call);
  }

  bool at_once = true;
  bool finish_cancelled = true;
  RemoteCapacity lanes;
  int started = 0;
  CallOptions options;  // of the last call; its key is kept
  std::string key;
  internal::Atomic<int> cancelled{0};
  RemoteCall* waiting = nullptr;

 private:
  absl::Status Invoke(RemoteCall& call, absl::string_view arguments) {
    const absl::StatusOr<size_t> index = table_.IndexOf(call.function);
    if (!index.ok()) return index.status();
    WorkerContext context;
    Decoder in(arguments);
    const auto emit = [&call](absl::FunctionRef<void(Encoder&)> encode) {
      Encoder counting({});
      encode(counting);
      std::string bytes(counting.needed(), '\0');
      Encoder out(absl::MakeSpan(bytes));
      encode(out);
      call.decode(call, bytes);
    };
    return call.count == 0 ? table_.Invoke(*index, context, in, emit)
                           : table_.InvokeMany(*index, call.count, context, in, emit);
  }

  const FunctionTable table_;
};

}  // namespace plait

#endif  // PLAIT_SCHEDULERS_PROCESS_POOL_LOCAL_EXECUTOR_H_
