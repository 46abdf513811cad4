// What a program and its zygote say to one another; see zygote.h. Internal.
//
// Each message is a packet that holds one of these as it lies in memory: both sides are one
// program.
#ifndef PLAIT_SCHEDULERS_PROCESS_POOL_ZYGOTE_PROTOCOL_H_
#define PLAIT_SCHEDULERS_PROCESS_POOL_ZYGOTE_PROTOCOL_H_

#include <cstddef>
#include <cstdint>

#include "plait/schedulers/process_pool/worker_options.h"

namespace plait::internal {

// To the zygote: start a worker. With the zygote's end of the worker's own channel, and then the
// descriptors that the worker is to have as 3, 4, ...
struct StartRequest {
  char name[16] = {};
  uint64_t memory_limit = 0;
  int32_t nice = 0;
  WorkerOutput output = WorkerOutput::kInherit;
  WorkerError error = WorkerError::kInherit;
};
inline constexpr size_t kMaxWorkerDescriptors = 8;

// To the zygote: a sign of life is wanted. With an end of a channel, which it closes.
inline constexpr char kPing = 1;

// To the zygote, in a worker's channel: send it this signal. The end of that channel kills it.
struct WorkerCommand {
  int32_t signal = 0;
};

// From the zygote, in a worker's channel, once it was started and once it has ended.
struct WorkerReport {
  enum Kind : uint8_t { kStarted, kNotStarted, kEnded };

  static constexpr size_t kMaxText = 4096;
  static constexpr size_t Size(size_t text) { return offsetof(WorkerReport, text) + text; }

  Kind kind = kStarted;
  bool core_dumped = false;
  int32_t pid = 0;
  int32_t code = 0;
  int32_t signal = 0;
  // kNotStarted: why. kEnded: the tail of its standard error. As long as the packet is.
  char text[kMaxText];
};

}  // namespace plait::internal

#endif  // PLAIT_SCHEDULERS_PROCESS_POOL_ZYGOTE_PROTOCOL_H_
