// FaultMatrix: runs a scenario again and again, each time with one system call that it makes
// failing in one way: the first time that it makes it, the second, ...; with each error that the
// call's manual page lists; interrupted three times in a row; and moving fewer bytes than it could.
//
//   RunFaultMatrix({}, [&](const ArmFaults& arm) -> absl::Status {
//     EventLoop loop(MakeEpollReactor());
//     arm();                                   // what was before is not made to fail
//     return BlockOn(loop, Conversation());    // or an error; data that is wrong is a test failure
//   });
//
// However the call fails, the scenario ends, with success or with a Status that says which error of
// the system's was met; not by a time limit of its own, not after thousands of calls, and without a
// descriptor left. A scenario that does not end is ended, with the name of the fault, and the test
// program with it.
//
// What is left out: errors that the system does not tell of in that place and that would be lies
// (EAGAIN of a transfer: nothing is there yet, so more must come); and what no retry mends of the
// calls that a reactor waits in, which is a CHECK (see io/reactor/failed_wait.h).
#ifndef PLAIT_IO_SYSTEM_FAULT_MATRIX_H_
#define PLAIT_IO_SYSTEM_FAULT_MATRIX_H_

#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "plait/io/system/fault_injection.h"

namespace plait::sys {

// What the manual pages of Linux list for `call`, less what is left out.
const std::vector<int>& ErrorsOf(FaultInjection::Call call);
// The name of the function behind it.
const char* NameOf(FaultInjection::Call call);

using ArmFaults = std::function<void()>;

// An error of a call at the `place`-th time, from 0, that it is made.
struct LeftOut {
  static constexpr int64_t kEverywhere = -1;

  FaultInjection::Call call;
  int64_t place = kEverywhere;
  int error = 0;  // 0: all of them
};

struct FaultMatrixOptions {
  // How many of the times that a call is made, the first ones, are made to fail in turn: all of
  // them, but where it is a matter of time how often that is.
  int64_t places = std::numeric_limits<int64_t>::max();
  // Whether the Status has to name an error of the system's, and not only what failed.
  bool errors_are_named = true;
  // Whether transfers are made short. Not where they go through a TCP socket.
  bool short_transfers = true;
  // Calls that the scenario makes each time, so that the matrix is about what it says.
  std::vector<FaultInjection::Call> reaches;
  // What is not made to fail, for a reason that the test gives.
  std::vector<LeftOut> left_out;
};

// Calls `scenario`, which calls `arm` once. It makes the same calls each time, and succeeds where
// nothing fails.
void RunFaultMatrix(const FaultMatrixOptions& options,
                    absl::FunctionRef<absl::Status(const ArmFaults& arm)> scenario);

}  // namespace plait::sys

#endif  // PLAIT_IO_SYSTEM_FAULT_MATRIX_H_
