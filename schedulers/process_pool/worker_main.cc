#include "plait/schedulers/process_pool/worker_main.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "plait/schedulers/process_pool/call_server.h"
#include "plait/schedulers/process_pool/process_system.h"

namespace plait::internal {
namespace {

constexpr int kErrorDescriptor = 2;

int Fail(int code, absl::string_view what, const absl::Status& why) {
  pool_system::Write(kErrorDescriptor,
                     absl::StrCat("plait worker: ", what, ": ", why.ToString(), "\n"));
  return code;
}

int Serve(const FunctionTable& table, absl::Span<const int> descriptors) {
  if (descriptors.size() != 3) {
    return Fail(kWorkerGotGarbage, "start", absl::InternalError("it has other descriptors"));
  }
  absl::StatusOr<std::shared_ptr<LinkMemory>> memory =
      LinkMemory::Open(descriptors[0], descriptors[1]);
  absl::StatusOr<std::shared_ptr<PayloadMemory>> payload = PayloadMemory::Open(descriptors[2]);
  if (!memory.ok()) return Fail(kWorkerGotGarbage, "start", memory.status());
  if (!payload.ok()) return Fail(kWorkerGotGarbage, "start", payload.status());
  pool_system::KeepFreedMemory();
  if (absl::Status status = table.Initialize(); !status.ok()) {
    return Fail(kInitializerFailed, "its initialiser failed", status);
  }
  LinkEnd link(*std::move(memory), LinkEnd::kWorker);
  const absl::Status served = ServeCalls(link, *std::move(payload), table);
  return served.ok() ? 0 : Fail(kWorkerGotGarbage, "serving calls", served);
}

}  // namespace

WorkerBody ServeTable(FunctionTable table) {
  return [table = std::move(table)](absl::Span<const int> descriptors) {
    return Serve(table, descriptors);
  };
}

std::vector<int> WorkerDescriptors(const LinkMemory& link, const PayloadMemory& payload) {
  return {link.memory_descriptor(), link.worker_event_descriptor(), payload.memory_descriptor()};
}

}  // namespace plait::internal
