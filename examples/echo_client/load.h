// Load on an echo server: many connections, with several messages on their way on each.
//
// Each connection is a task. It sends so many messages, and for each that has come back whole
// another; every byte is compared with what was sent. How long a message took counts from when it
// was handed to the stream until its last byte was read.
#ifndef PLAIT_EXAMPLES_ECHO_CLIENT_LOAD_H_
#define PLAIT_EXAMPLES_ECHO_CLIENT_LOAD_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "plait/io/net/net.h"
#include "plait/runtime/runtime.h"

namespace examples {

struct Load {
  std::string target;  // as Connect takes it
  int64_t connections = 64;
  int64_t in_flight = 1;  // messages on each connection
  int64_t size = 64;      // bytes of a message
  absl::Duration duration = absl::Seconds(2);
  absl::Duration connect_timeout = absl::Seconds(5);
};

struct LoadResult {
  int64_t requests = 0;
  absl::Duration elapsed;  // from when all were connected
  absl::Duration p50;
  absl::Duration p99;
};

// co_await: connects all, and then puts the load on. The first error of a connection ends it.
plait::Task<absl::StatusOr<LoadResult>> PutLoad(Load load);

}  // namespace examples

#endif  // PLAIT_EXAMPLES_ECHO_CLIENT_LOAD_H_
