// StopProcess: a child of this process is stopped (SIGSTOP), and not only told to. Test-only.
#ifndef PLAIT_SCHEDULERS_PROCESS_POOL_STOP_PROCESS_H_
#define PLAIT_SCHEDULERS_PROCESS_POOL_STOP_PROCESS_H_

#include <signal.h>
#include <sys/wait.h>

#include "gtest/gtest.h"

namespace plait::internal {

inline void StopProcess(int pid) {
  ASSERT_EQ(::kill(pid, SIGSTOP), 0);
  siginfo_t info = {};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(pid), &info, WSTOPPED | WNOWAIT), 0);
}

}  // namespace plait::internal

#endif  // PLAIT_SCHEDULERS_PROCESS_POOL_STOP_PROCESS_H_
