#include "plait/schedulers/process_pool/call_server.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <optional>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "plait/schedulers/process_pool/call_protocol.h"
#include "plait/schedulers/process_pool/codec.h"
#include "plait/schedulers/process_pool/process_system.h"

namespace plait::internal {
namespace {

// So long without a call, and the memory of results and of values goes back to the system.
constexpr absl::Duration kIdle = absl::Seconds(1);

class CallServer {
 public:
  CallServer(LinkEnd& link, std::shared_ptr<PayloadMemory> payload, const FunctionTable& table)
      : link_(link),
        table_(table),
        payload_(std::move(payload)),
        arguments_(payload_, payload_->to_worker()),
        results_(payload_, payload_->to_parent()) {}

  absl::Status Serve() {
    absl::Status status = Answer(RecordKind::kReady, 0, {});
    while (status.ok()) {
      const std::optional<RingRecord> record = Next();
      if (!record.has_value()) return link_.status();
      if (record->tag == static_cast<uint32_t>(RecordKind::kGoodbye)) return absl::OkStatus();
      status = ServeRecord(*record);
      if (status.ok()) link_.Pop();
    }
    return status;
  }

 private:
  // Nothing when the link is corrupt.
  std::optional<RingRecord> Next() {
    for (;;) {
      std::optional<RingRecord> record = link_.Peek();
      if (record.has_value() || !link_.status().ok()) return record;
      // Nobody says when the last result was read: that is looked at, too.
      const bool may_trim = had_large_ || results_.trimmable() || !outstanding_.empty();
      link_.Wait(may_trim ? kIdle : absl::InfiniteDuration());
      if (may_trim && !link_.Peek().has_value()) {
        if (absl::Status status = TakeBackResults(); status.ok()) results_.Trim();
        if (std::exchange(had_large_, false)) pool_system::GiveBackFreedMemory();
      }
    }
  }

  absl::Status ServeRecord(const RingRecord& record) {
    absl::string_view bytes = record.bytes;
    const std::optional<CallHeader> header = TakeFront<CallHeader>(bytes);
    if (!header.has_value()) return absl::DataLossError("a call without a number came");
    if (record.tag == static_cast<uint32_t>(RecordKind::kCallElsewhere)) {
      const std::optional<PayloadRef> ref = TakeFront<PayloadRef>(bytes);
      if (!ref.has_value()) return absl::DataLossError("a call came without its arguments");
      absl::StatusOr<absl::string_view> view = arguments_.View(*ref);
      if (!view.ok()) return std::move(view).status();
      bytes = *view;
      had_large_ = true;
    } else if (record.tag != static_cast<uint32_t>(RecordKind::kCall)) {
      return absl::DataLossError("something came that is not a call");
    }
    CallBoard& board = payload_->board();
    if (!board.Begin(header->number)) return Answer(RecordKind::kWithdrawn, header->number, {});
    return Run(*header, bytes);
  }

  absl::Status Run(const CallHeader& header, absl::string_view bytes) {
    WorkerContext context(&payload_->board().stop_word(header.number), header.number);
    Decoder in(bytes);
    absl::Status sent;
    const auto emit = [&](absl::FunctionRef<void(Encoder&)> encode) {
      sent = SendResult(header.number, encode);
    };
    absl::Status invoked =
        header.count == 0 ? table_.Invoke(header.function, context, in, emit)
                          : table_.InvokeMany(header.function, header.count, context, in, emit);
    if (!invoked.ok()) return Refuse(header.number, invoked);
    return sent;
  }

  absl::Status SendResult(uint64_t number, absl::FunctionRef<void(Encoder&)> encode) {
    absl::StatusOr<char*> to = Reserve(sizeof number + kInlineBytes);
    if (!to.ok()) return std::move(to).status();
    Encoder out(absl::MakeSpan(*to + sizeof number, kInlineBytes));
    encode(out);
    if (absl::Status status = out.status(); !status.ok()) return Refuse(number, status);
    if (out.fits()) {
      Commit(RecordKind::kResult, number, *to, out.needed());
      return absl::OkStatus();
    }
    absl::StatusOr<PayloadRef> ref = AllocateResult(out.needed());
    if (absl::IsOutOfRange(ref.status())) {
      return Refuse(number, absl::ResourceExhaustedError(ref.status().message()));
    }
    if (!ref.ok()) return Refuse(number, ref.status());
    Encoder large(results_.Bytes(*ref));
    encode(large);
    if (!large.status().ok() || large.needed() != out.needed()) {
      results_.Release(*ref).IgnoreError();
      return Refuse(number,
                    absl::InternalError("a codec writes a value otherwise the second time"));
    }
    outstanding_.push_back(*ref);
    had_large_ = true;
    // What was reserved is still ours: nothing was committed since.
    std::memcpy(*to + sizeof number, &*ref, sizeof *ref);
    Commit(RecordKind::kResultElsewhere, number, *to, sizeof *ref);
    return link_.status();
  }

  absl::StatusOr<PayloadRef> AllocateResult(size_t size) {
    for (;;) {
      if (absl::Status status = TakeBackResults(); !status.ok()) return status;
      absl::StatusOr<PayloadRef> ref = results_.Allocate(size);
      if (!absl::IsUnavailable(ref.status())) return ref;
      // All that was sent is read when the ring is empty.
      const size_t room = link_.max_record();
      while (link_.Reserve(room) == nullptr) {
        if (!link_.status().ok()) return link_.status();
        link_.Wait(absl::InfiniteDuration(), {.record = false, .room = room});
      }
      if (payload_->board().results_taken() == results_freed_) {
        return absl::DataLossError("results were not taken that are in nobody's way");
      }
    }
  }

  // What the parent has read is free again. It reads in the order in which they were sent.
  absl::Status TakeBackResults() {
    const uint64_t taken = payload_->board().results_taken();
    while (results_freed_ != taken) {
      if (outstanding_.empty())
        return absl::DataLossError("more results were taken than there are");
      if (absl::Status status = results_.Release(outstanding_.front()); !status.ok()) return status;
      outstanding_.pop_front();
      ++results_freed_;
    }
    return absl::OkStatus();
  }

  absl::Status Refuse(uint64_t number, const absl::Status& why) {
    absl::StatusOr<std::string> bytes = Encode(why);
    if (!bytes.ok() || bytes->size() > kInlineBytes) {
      bytes = Encode(absl::Status(why.code(), why.message().substr(0, kInlineBytes / 2)));
    }
    if (!bytes.ok()) return std::move(bytes).status();
    return Answer(RecordKind::kRefused, number, *bytes);
  }

  absl::Status Answer(RecordKind kind, uint64_t number, absl::string_view bytes) {
    absl::StatusOr<char*> to = Reserve(sizeof number + bytes.size());
    if (!to.ok()) return std::move(to).status();
    if (!bytes.empty()) std::memcpy(*to + sizeof number, bytes.data(), bytes.size());
    Commit(kind, number, *to, bytes.size());
    return absl::OkStatus();
  }

  absl::StatusOr<char*> Reserve(size_t size) {
    for (;;) {
      char* const to = link_.Reserve(size);
      if (to != nullptr) return to;
      if (absl::Status status = link_.status(); !status.ok()) return status;
      link_.Wait(absl::InfiniteDuration(), {.record = false, .room = size});
    }
  }

  void Commit(RecordKind kind, uint64_t number, char* to, size_t size) {
    std::memcpy(to, &number, sizeof number);
    link_.Commit(sizeof number + size, static_cast<uint32_t>(kind));
  }

  LinkEnd& link_;
  const FunctionTable& table_;
  const std::shared_ptr<PayloadMemory> payload_;
  const PayloadReader arguments_;
  PayloadWriter results_;
  std::deque<PayloadRef> outstanding_;  // sent, and not known to have been read
  uint64_t results_freed_ = 0;
  bool had_large_ = false;  // since memory was given back
};

}  // namespace

absl::Status ServeCalls(LinkEnd& link, std::shared_ptr<PayloadMemory> payload,
                        const FunctionTable& table) {
  return CallServer(link, std::move(payload), table).Serve();
}

}  // namespace plait::internal
