#include "plait/schedulers/process_pool/worker_seat.h"

#include <cstring>
#include <utility>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "plait/schedulers/process_pool/call_protocol.h"
#include "plait/schedulers/process_pool/codec.h"

namespace plait::internal {

WorkerSeat::WorkerSeat(std::shared_ptr<LinkMemory> link, std::shared_ptr<PayloadMemory> payload,
                       std::unique_ptr<WorkerProcess> process, PoolWatch::Owner& watcher)
    : event(watcher),
      end(watcher),
      link_memory_(std::move(link)),
      payload_(std::move(payload)),
      process_(std::move(process)),
      link_(link_memory_, LinkEnd::kParent),
      arguments_(payload_, payload_->to_worker()),
      results_(payload_, payload_->to_parent()) {
  alarm.self = event.worker = end.worker = this;
}

// Of a worker that has nothing to do nobody looks at what it says, until it is given a call: this
// is seen before that.
bool WorkerSeat::LooksWell() {
  if (!corrupt_ && outstanding() == 0) {
    // Also where it has said so meanwhile and then something else: what it has begun is not known.
    corrupt_ = link_.Peek().has_value() || begun() >= next_;
  }
  if (!link_.status().ok()) corrupt_ = true;
  return !corrupt_;
}

WorkerSeat::Given WorkerSeat::Give(PoolCall& call, absl::Status& status) {
  if (!LooksWell()) return Given::kCorrupt;
  if (outstanding() + 1 >= CallBoard::kSlots) return Given::kNoRoom;
  char* const to = link_.Reserve(sizeof(CallHeader) + kInlineBytes);
  if (to == nullptr) return LooksWell() ? Given::kNoRoom : Given::kCorrupt;
  char* const body = to + sizeof(CallHeader);
  Encoder out(absl::MakeSpan(body, kInlineBytes));
  call.call.encode(call.call, out);
  status = out.status();
  if (!status.ok()) return Given::kFailed;
  if (out.fits()) {
    Commit(call, RecordKind::kCall, to, out.needed(), PayloadRef());
    return Given::kGiven;
  }
  absl::StatusOr<PayloadRef> ref = arguments_.Allocate(out.needed());
  if (absl::IsUnavailable(ref.status())) return Given::kNoRoom;
  if (absl::IsOutOfRange(ref.status())) {
    status = absl::ResourceExhaustedError(ref.status().message());
    return Given::kFailed;
  }
  if (!ref.ok()) {
    status = std::move(ref).status();
    return Given::kFailed;
  }
  Encoder large(arguments_.Bytes(*ref));
  call.call.encode(call.call, large);
  if (!large.status().ok() || large.needed() != out.needed()) {
    arguments_.Release(*ref).IgnoreError();
    status = absl::InternalError("a codec writes a value otherwise the second time");
    return Given::kFailed;
  }
  std::memcpy(body, &*ref, sizeof *ref);
  Commit(call, RecordKind::kCallElsewhere, to, sizeof *ref, *ref);
  return Given::kGiven;
}

void WorkerSeat::Commit(PoolCall& call, RecordKind kind, char* to, size_t size,
                        const PayloadRef& elsewhere) {
  const CallHeader header{next_, call.function, call.call.count};
  std::memcpy(to, &header, sizeof header);
  entries_[next_ % CallBoard::kSlots] = {.call = &call, .arguments = elsewhere};
  call.place = PoolCall::Place::kGiven;
  call.worker = this;
  call.number = next_++;
  ++live_;
  ++given_;
  ++call.call.attempts;
  link_.Commit(sizeof header + size, static_cast<uint32_t>(kind));
}

bool WorkerSeat::SayGoodbye() {
  if (link_.Reserve(0) == nullptr) return false;
  link_.Commit(0, static_cast<uint32_t>(RecordKind::kGoodbye));
  return true;
}

bool WorkerSeat::TakeAnswers(Listener& listener) {
  bool any = false;
  while (!corrupt_) {
    const std::optional<RingRecord> record = link_.Peek();
    if (!record.has_value()) break;
    any = true;
    TakeAnswer(*record, listener);
    link_.Pop();
  }
  if (!link_.status().ok()) corrupt_ = true;
  return any;
}

void WorkerSeat::TakeAnswer(const RingRecord& record, Listener& listener) {
  absl::string_view bytes = record.bytes;
  const std::optional<uint64_t> number = TakeFront<uint64_t>(bytes);
  const auto kind = static_cast<RecordKind>(record.tag);
  if (kind == RecordKind::kReady && state == State::kStarting) return listener.OnReady(*this);
  // The first of those that it has, and only one that it has begun.
  if (!number.has_value() || *number != first_ || first_ == next_ || state == State::kStarting) {
    corrupt_ = true;
    return;
  }
  PoolCall* const call = this->call(*number);
  absl::Status status;
  if (kind == RecordKind::kResult) {
    if (call != nullptr) call->call.decode(call->call, bytes);
  } else if (kind == RecordKind::kResultElsewhere) {
    const std::optional<PayloadRef> ref = TakeFront<PayloadRef>(bytes);
    absl::StatusOr<absl::string_view> result =
        ref.has_value() ? results_.View(*ref) : absl::DataLossError("a result came without itself");
    if (!result.ok()) {
      corrupt_ = true;
      return;
    }
    if (call != nullptr) call->call.decode(call->call, *result);
    payload_->board().TakeResult();
  } else if (kind == RecordKind::kRefused) {
    status = Decode<absl::Status>(bytes);
    if (status.ok()) status = absl::DataLossError("a worker process refused a call without reason");
  } else if (kind != RecordKind::kWithdrawn ||
             (call != nullptr && !entries_[*number % CallBoard::kSlots].recalled)) {
    corrupt_ = true;
    return;
  }
  ReleaseFirst();
  if (call == nullptr) return;
  --live_;
  if (kind == RecordKind::kWithdrawn) {
    --given_;
    return listener.OnReturned(*this, *call);
  }
  listener.OnAnswer(*this, *call, std::move(status));
}

void WorkerSeat::ReleaseFirst() {
  Entry& entry = entries_[first_++ % CallBoard::kSlots];
  if (entry.arguments.size != 0) arguments_.Release(entry.arguments).IgnoreError();
  entry = Entry();
}

bool WorkerSeat::GiveUp(PoolCall& call) {
  const uint64_t number = call.number;
  Take(number);
  if (payload_->board().Withdraw(number)) return true;
  payload_->board().Stop(number);
  return false;
}

bool WorkerSeat::Recall(PoolCall& call) {
  Entry& entry = entries_[call.number % CallBoard::kSlots];
  if (entry.recalled) return false;
  if (!payload_->board().Withdraw(call.number)) {
    entry.recalled = true;
    return false;
  }
  Take(call.number);
  --given_;
  return true;
}

bool WorkerSeat::NeverBegins(uint64_t number) {
  return payload_->board().Withdraw(number) && number > begun();
}

PoolCall* WorkerSeat::Take(uint64_t number) {
  PoolCall* const call = std::exchange(entries_[number % CallBoard::kSlots].call, nullptr);
  if (call != nullptr) --live_;
  return call;
}

}  // namespace plait::internal
