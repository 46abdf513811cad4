// The records that a parent and a worker process exchange over a Link. Internal; they run the same
// program, so the layout is that of the compiler.
#ifndef PLAIT_SCHEDULERS_PROCESS_POOL_CALL_PROTOCOL_H_
#define PLAIT_SCHEDULERS_PROCESS_POOL_CALL_PROTOCOL_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>

#include "absl/strings/string_view.h"

namespace plait::internal {

// What a record is; its tag.
enum class RecordKind : uint32_t {
  // To the worker.
  kCall = 1,           // CallHeader, arguments
  kCallElsewhere = 2,  // CallHeader, PayloadRef
  kGoodbye = 3,        // end, with what came before answered
  // To the parent: an answer to each call, in their order.
  kReady = 16,            // the worker has started; no answer
  kResult = 17,           // the call's number, result
  kResultElsewhere = 18,  // the call's number, PayloadRef
  kRefused = 19,          // the call's number, an absl::Status: there is no result
  kWithdrawn = 20,        // the call's number: it was not run
};

struct CallHeader {
  uint64_t number = 0;    // see call_board.h
  uint32_t function = 0;  // where it is in the table
  uint32_t count = 0;     // RemoteCall::count
};

// Values up to this size travel in the record.
inline constexpr size_t kInlineBytes = size_t{16} << 10;

// Takes a T from the front of a record; nothing where it is too short.
template <class T>
std::optional<T> TakeFront(absl::string_view& bytes) {
  if (bytes.size() < sizeof(T)) return std::nullopt;
  T value;
  std::memcpy(&value, bytes.data(), sizeof(T));
  bytes.remove_prefix(sizeof(T));
  return value;
}

}  // namespace plait::internal

#endif  // PLAIT_SCHEDULERS_PROCESS_POOL_CALL_PROTOCOL_H_
